//! Parallel coordinates: one vertical axis per dimension, one line per trial.

use image::{Rgb, RgbImage};

use super::chart::Cover;
use super::paint::{self, GREY, INK, WHITE, area};
use super::text::{self, Style};

/// Size of the plot, that of all charts.
const WIDTH: i64 = super::chart::WIDTH;
const HEIGHT: i64 = super::chart::HEIGHT;
const SIDE: i64 = 90;
const TOP: i64 = 110;
const BOTTOM: i64 = 60;
/// Half the width of a line in pixels.
const HALF_WIDTH: f64 = 1.1;
/// An axis of more values than this has ticks at its ends only.
const MOST_TICKS: usize = 6;
/// Colours of the lowest and the highest value of the last axis; colour-blind readers tell them apart by brightness.
const BEST: [f64; 3] = [0.0, 70.0, 140.0];
const WORST: [f64; 3] = [245.0, 200.0, 150.0];

/// An axis with the value of each trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    name: String,
    /// The place of each trial from 0, below, to 1; NaN: none.
    places: Vec<f64>,
    /// Labels with their places.
    ticks: Vec<(f64, String)>,
}

impl Dimension {
    /// An axis of numbers from the smallest to the largest, over their logarithm if they are all positive and it is asked
    /// for.
    pub fn numbers(name: &str, values: Vec<f64>, is_logarithmic: bool) -> Self {
        let is_logarithmic = is_logarithmic && values.iter().all(|value| *value > 0.0);
        let scaled = |value: f64| if is_logarithmic { value.ln() } else { value };
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let low = finite().fold(f64::INFINITY, f64::min);
        let high = finite().fold(f64::NEG_INFINITY, f64::max);
        let range = scaled(high) - scaled(low);
        let place = |value: f64| if range > 0.0 { (scaled(value) - scaled(low)) / range } else { 0.5 };
        let places = values.iter().map(|value| if value.is_finite() { place(*value) } else { f64::NAN }).collect();
        let mut distinct: Vec<f64> = finite().collect();
        distinct.sort_by(f64::total_cmp);
        distinct.dedup();
        if distinct.len() > MOST_TICKS {
            distinct = vec![low, high];
        }
        let ticks = distinct.into_iter().map(|value| (place(value), short(value))).collect();
        Self { name: name.to_string(), places, ticks }
    }

    /// An axis of names, evenly spaced: each trial has the number of its name.
    pub fn names(name: &str, numbers: Vec<usize>, names: Vec<String>) -> Self {
        let last = names.len().saturating_sub(1);
        let place = |number: usize| if last == 0 { 0.5 } else { number as f64 / last as f64 };
        let places = numbers.into_iter().map(place).collect();
        let ticks = names.into_iter().enumerate().map(|(number, name)| (place(number), name)).collect();
        Self { name: name.to_string(), places, ticks }
    }
}

/// A number with at most four digits.
fn short(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-3..1e5).contains(&size) {
        let digits = (3 - size.max(1e-3).log10().floor() as i32).clamp(0, 6) as usize;
        let text = format!("{value:.digits$}");
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        return text.to_string();
    }
    format!("{value:.1e}")
}

/// Plots parallel coordinates of 960 x 600 pixels. Lines are coloured by their rank in the last dimension: the lowest is
/// dark, and drawn last.
pub fn parallel_coordinates(dimensions: &[Dimension], title: &str) -> RgbImage {
    let mut image = RgbImage::from_pixel(WIDTH as u32, HEIGHT as u32, WHITE);
    let heading = Style::large(INK).bold();
    text::draw(&mut image, 36, 22, &heading.fit(title, WIDTH - 72), heading);
    let gaps = dimensions.len().saturating_sub(1).max(1) as f64;
    let x = |at: usize| SIDE as f64 + at as f64 * (WIDTH - 2 * SIDE) as f64 / gaps;
    let y = |place: f64| TOP as f64 + (1.0 - place) * (HEIGHT - TOP - BOTTOM) as f64;
    let Some(last) = dimensions.last() else { return image };
    let mut order: Vec<usize> = (0..last.places.len()).collect();
    order.sort_by(|a, b| last.places[*b].total_cmp(&last.places[*a]));
    // By rank: one trial that went wrong would make all others look alike.
    let worst = order.len().saturating_sub(1).max(1) as f64;
    for (rank, trial) in order.into_iter().rev().enumerate().rev() {
        let mut cover = Cover::new();
        for at in 1..dimensions.len() {
            let ends = [at - 1, at].map(|at| (x(at), y(dimensions[at].places[trial])));
            if ends.iter().all(|(_, y)| y.is_finite()) {
                cover.line(ends[0], ends[1], HALF_WIDTH);
            }
        }
        cover.blend(&mut image, colour(rank as f64 / worst));
    }
    for (at, dimension) in dimensions.iter().enumerate() {
        draw_axis(&mut image, dimension, x(at).round() as i64, &y, ((WIDTH - 2 * SIDE) as f64 / gaps) as i64);
    }
    image
}

/// The colour of a trial by its rank, from 0 for the best to 1.
fn colour(share: f64) -> Rgb<u8> {
    let mixed = |at: usize| (BEST[at] + share * (WORST[at] - BEST[at])).round() as u8;
    Rgb([mixed(0), mixed(1), mixed(2)])
}

fn draw_axis(image: &mut RgbImage, dimension: &Dimension, x: i64, y: &impl Fn(f64) -> f64, room: i64) {
    let top = y(1.0).round() as i64;
    paint::fill(image, area(x, top, 1, y(0.0).round() as i64 - top + 1), GREY);
    let style = Style::small(INK);
    let name = style.fit(&dimension.name, room.max(2 * SIDE) - 12);
    let left = (x - style.width(&name) / 2).clamp(4, WIDTH - 4 - style.width(&name));
    text::draw(image, left, TOP - 36, &name, style);
    for (place, label) in &dimension.ticks {
        let label = style.fit(label, room.max(SIDE) - 10);
        let at = y(*place).round() as i64;
        let left = (x + 6).min(WIDTH - 4 - style.width(&label));
        paint::fill(image, area(left - 2, at - 9, style.width(&label) + 4, 18), WHITE);
        text::draw(image, left, at - style.height() / 2, &label, style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_few_digits() {
        let words = [0.0, 0.5, 32.0, 0.01234, 1e-4, 12345.0, 0.9].map(short);
        assert_eq!(words, ["0", "0.5", "32", "0.01234", "1.0e-4", "12345", "0.9"]);
    }

    #[test]
    fn places_are_by_the_logarithm_where_asked() {
        let linear = Dimension::numbers("a", vec![1.0, 10.0, 100.0], false);
        let logarithmic = Dimension::numbers("a", vec![1.0, 10.0, 100.0], true);
        assert!((linear.places[1] - 9.0 / 99.0).abs() < 1e-12);
        assert!((logarithmic.places[1] - 0.5).abs() < 1e-12);
        let equal = Dimension::numbers("a", vec![2.0, 2.0, f64::NAN], true);
        assert_eq!(equal.places[..2], [0.5, 0.5]);
        assert!(equal.places[2].is_nan());
        assert_eq!(Dimension::names("b", vec![1, 0], vec!["x".into(), "y".into()]).places, [1.0, 0.0]);
    }

    #[test]
    fn the_lowest_line_is_dark_and_on_top() {
        // Two trials with the same settings: their lines coincide, but on the last axis.
        let setting = Dimension::numbers("lr", vec![1.0, 1.0], false);
        let best = Dimension::numbers("best", vec![0.9, 0.1], false);
        let image = parallel_coordinates(&[setting, best], "two");
        let dark = Rgb(BEST.map(|value| value as u8));
        assert!(image.pixels().any(|pixel| *pixel == dark));
        let empty = parallel_coordinates(&[Dimension::numbers("best", Vec::new(), false)], "none");
        assert_eq!(empty.dimensions(), image.dimensions());
    }
}

//! Bars of counts.

use image::{Rgb, RgbImage};

use super::chart::Axis;
use super::paint::{self, Area, GREY, INK, WHITE, area};
use super::text::{self, Style};

/// Width of a plot.
const WIDTH: i64 = 960;
/// Height of a plot of upright bars.
const HEIGHT: i64 = 420;
/// Height of the title.
const TITLE: i64 = 60;
/// Height of a bar with its name.
const ROW: i64 = 24;
/// The widest name.
const NAME: i64 = 280;
/// Width of the largest count, behind its bar.
const COUNT: i64 = 90;
const LEFT: i64 = 90;
const RIGHT: i64 = 30;
const BOTTOM: i64 = 66;
const MARGIN: i64 = 24;
/// Maximum number of bars with names.
const MAX_NAMED: usize = 60;

/// The least width of bars that are apart.
const APART: i64 = 3;
/// Height of the top of a bar that touches others.
const TOP: i64 = 3;

const BAR: Rgb<u8> = Rgb([0, 100, 170]);
/// Colour below the tops of bars that touch.
const PALE: Rgb<u8> = Rgb([205, 225, 240]);
const GRID: Rgb<u8> = Rgb([229, 231, 235]);

/// Plots counts as bars: up to 60 lie, with their names and numbers, in their order; more stand side by side, the largest
/// first, without names. Too many to be apart are pale below their tops.
pub fn bars(counts: &[(String, u64)], title: &str, unit: &str) -> RgbImage {
    if counts.len() <= MAX_NAMED { lying(counts, title) } else { standing(counts, title, unit) }
}

fn lying(counts: &[(String, u64)], title: &str) -> RgbImage {
    let height = TITLE + counts.len().max(1) as i64 * ROW + MARGIN;
    let mut page = titled(height, title);
    let style = Style::small(INK);
    let widest = counts.iter().map(|(name, _)| style.width(name)).max().unwrap_or(0).min(NAME);
    let left = MARGIN + widest + 12;
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    for (number, (name, count)) in (0..).zip(counts) {
        let y = TITLE + number * ROW;
        let name = style.fit(name, NAME);
        text::draw(&mut page, left - 12 - style.width(&name), y + 3, &name, style);
        let length = (*count as f64 / most as f64 * (WIDTH - left - COUNT) as f64).round() as i64;
        paint::fill(&mut page, area(left, y + 3, length, ROW - 6), BAR);
        text::draw(&mut page, left + length + 8, y + 3, &count.to_string(), Style::small(GREY));
    }
    page
}

fn standing(counts: &[(String, u64)], title: &str, unit: &str) -> RgbImage {
    let mut sorted: Vec<u64> = counts.iter().map(|(_, count)| *count).collect();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let mut page = titled(HEIGHT, title);
    let plot = area(LEFT, TITLE, WIDTH - LEFT - RIGHT, HEIGHT - TITLE - BOTTOM);
    let x_axis = Axis::tight([0.0, sorted.len() as f64].into_iter(), 8);
    draw_upright(&mut page, plot, &sorted, &x_axis, &format!("{unit}, the largest first"));
    page
}

/// Plots a histogram: the counts of values in bins of equal width, the first of which begins at `low` and the last of
/// which ends at `high`.
pub fn histogram(counts: &[u64], low: f64, high: f64, title: &str, label: &str) -> RgbImage {
    let mut page = titled(HEIGHT, title);
    let plot = area(LEFT, TITLE, WIDTH - LEFT - RIGHT, HEIGHT - TITLE - BOTTOM);
    let x_axis = Axis::tight([low, high].into_iter(), 8);
    draw_upright(&mut page, plot, counts, &x_axis, label);
    page
}

/// A white page with a title.
fn titled(height: i64, title: &str) -> RgbImage {
    let mut page = RgbImage::from_pixel(WIDTH as u32, height as u32, WHITE);
    let heading = Style::large(INK).bold();
    text::draw(&mut page, MARGIN, 20, &heading.fit(title, WIDTH - 2 * MARGIN), heading);
    page
}

/// Draws bars from the left end of the plot to its right end, with both axes.
fn draw_upright(page: &mut RgbImage, plot: Area, counts: &[u64], x_axis: &Axis, label: &str) {
    let style = Style::small(GREY);
    let y_axis = Axis::round(counts.iter().map(|&count| count as f64).chain([0.0]), 5);
    for (value, label) in y_axis.ticks() {
        let y = plot.y + ((1.0 - y_axis.share(value)) * plot.height as f64).round() as i64;
        paint::fill(page, area(plot.x, y, plot.width, 1), GRID);
        text::draw(page, plot.x - 10 - style.width(&label), y - style.height() / 2, &label, style);
    }
    let edge = |bar: usize| plot.x + (bar as f64 / counts.len().max(1) as f64 * plot.width as f64).round() as i64;
    let is_apart = plot.width / counts.len().max(1) as i64 >= APART;
    for (bar, &count) in counts.iter().enumerate() {
        let height = (y_axis.share(count as f64) * plot.height as f64).round() as i64;
        let height = height.max(i64::from(count > 0));
        let width = (edge(bar + 1) - edge(bar) - i64::from(is_apart)).max(1);
        let top = plot.y + plot.height - height;
        if is_apart {
            paint::fill(page, area(edge(bar), top, width, height), BAR);
        } else {
            paint::fill(page, area(edge(bar), top, width, height), PALE);
            paint::fill(page, area(edge(bar), top, width, height.min(TOP)), BAR);
        }
    }
    let floor = plot.y + plot.height;
    for (value, label) in x_axis.ticks() {
        let x = plot.x + (x_axis.share(value) * plot.width as f64).round() as i64;
        paint::fill(page, area(x, floor, 1, 5), GREY);
        text::draw(page, x - style.width(&label) / 2, floor + 9, &label, style);
    }
    paint::fill(page, area(plot.x, floor, plot.width, 1), GREY);
    let ink = Style::small(INK);
    let label = ink.fit(label, plot.width);
    text::draw(page, plot.x + (plot.width - ink.width(&label)) / 2, floor + 36, &label, ink);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels of bars in a column.
    fn height(page: &RgbImage, x: i64) -> usize {
        (0..page.height()).filter(|&y| [BAR, PALE].contains(page.get_pixel(x as u32, y))).count()
    }

    #[test]
    fn bars_are_as_long_as_counts() {
        let counts: Vec<(String, u64)> =
            [("ant", 100), ("bee", 50), ("cat", 0)].map(|(n, c)| (n.to_string(), c)).into();
        let page = bars(&counts, "classes", "classes");
        let lengths: Vec<usize> = (0..3)
            .map(|row| {
                let y = (TITLE + row * ROW + ROW / 2) as u32;
                (0..page.width()).filter(|&x| *page.get_pixel(x, y) == BAR).count()
            })
            .collect();
        // Half a pixel is rounded.
        assert!(lengths[0] > 500 && lengths[0].abs_diff(2 * lengths[1]) <= 1 && lengths[2] == 0, "{lengths:?}");
    }

    #[test]
    fn many_bars_are_sorted_and_small_ones_are_seen() {
        let counts: Vec<(String, u64)> = (0..1000).map(|n| (n.to_string(), 1 + n % 500)).collect();
        let page = bars(&counts, "classes", "classes");
        assert_eq!(page.dimensions(), (WIDTH as u32, HEIGHT as u32));
        assert!(height(&page, LEFT + 2) > height(&page, LEFT + 500));
        assert!(height(&page, WIDTH - RIGHT - 2) >= 1);
    }

    /// Equal counts are no solid block.
    #[test]
    fn equal_bars_are_apart_or_pale() {
        let middle = |classes: usize| {
            let counts = vec![("a".to_string(), 50); classes];
            let page = bars(&counts, "classes", "classes");
            let y = (HEIGHT - BOTTOM - 100) as u32;
            (LEFT..WIDTH - RIGHT).filter(|&x| *page.get_pixel(x as u32, y) == BAR).count() as i64
        };
        let width = WIDTH - LEFT - RIGHT;
        assert_eq!(middle(200), width - 200);
        assert_eq!(middle(1000), 0);
    }

    #[test]
    fn a_histogram_fills_its_axis() {
        let page = histogram(&[0, 10, 5, 10], 0.0, 400.0, "widths", "pixels");
        let quarter = (WIDTH - LEFT - RIGHT) / 4;
        let heights: Vec<usize> = (0..4).map(|bar| height(&page, LEFT + bar * quarter + quarter / 2)).collect();
        assert_eq!((heights[0], heights[1]), (0, heights[3]));
        assert!(heights[2] * 2 >= heights[1] - 2 && heights[2] * 2 <= heights[1] + 2, "{heights:?}");
        histogram(&[], 0.0, 0.0, "none", "");
    }
}

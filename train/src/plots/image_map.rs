//! A map of images: each at its position in a plane.

use image::{Rgb, RgbImage, imageops};

use super::paint::{self, GREY, INK, WHITE, area, blend};
use super::text::{self, Style};

/// Side of the square of positions.
const SIDE: i64 = 1800;
/// Longest side of the images on a map.
pub const THUMBNAIL: u32 = 52;
/// Width of the frame of an image, in the colour of its group.
const FRAME: i64 = 3;
/// Radius of a dot.
const DOT: i64 = 5;
/// Margin around all.
const MARGIN: i64 = 40;
/// Height of the title.
const TITLE: i64 = 64;
/// Width of the legend.
const LEGEND: i64 = 300;
/// Side of a square of the legend.
const SQUARE: i64 = 22;
/// Height of a line of the legend.
const LINE: i64 = 36;
/// The most groups with a colour of their own and a line in the legend.
const MAX_GROUPS: usize = 20;

/// Colours of groups that stay apart, after Tableau's twenty.
const COLOURS: [[u8; 3]; MAX_GROUPS] = [
    [31, 119, 180],
    [255, 127, 14],
    [44, 160, 44],
    [214, 39, 40],
    [148, 103, 189],
    [140, 86, 75],
    [227, 119, 194],
    [23, 190, 207],
    [188, 189, 34],
    [70, 70, 70],
    [120, 170, 230],
    [255, 187, 120],
    [152, 223, 138],
    [255, 152, 150],
    [197, 176, 213],
    [196, 156, 148],
    [247, 182, 210],
    [158, 218, 229],
    [219, 219, 141],
    [170, 170, 170],
];

/// A point of a map.
#[derive(Clone, Debug)]
pub struct MapPoint {
    /// x to the right, y upwards.
    pub position: [f64; 2],
    /// The number of its group, such as its class.
    pub group: Option<usize>,
    /// An image of at most [`THUMBNAIL`] pixels a side.
    pub thumbnail: Option<RgbImage>,
}

/// Plots points at their positions: a dot for each, in the colour of its group, and its image where no other image is drawn
/// yet, taken from all parts of the list in turn: lists are often sorted by class. Up to 20 groups have a legend; of more, colours repeat.
pub fn image_map(points: &[MapPoint], groups: &[String], title: &str) -> RgbImage {
    let has_legend = (1..=MAX_GROUPS).contains(&groups.len());
    let width = 2 * MARGIN + SIDE + if has_legend { LEGEND } else { 0 };
    let (places, lowest) = places(points);
    let legend = if has_legend { groups.len() as i64 * LINE } else { 0 };
    let height = (lowest + i64::from(THUMBNAIL) / 2 + FRAME).max(TITLE + MARGIN + legend) + MARGIN;
    let mut page = RgbImage::from_pixel(width as u32, height as u32, WHITE);
    let heading = Style::large(INK).bold();
    text::draw(&mut page, MARGIN, 24, &heading.fit(title, width - 2 * MARGIN), heading);
    if has_legend {
        draw_legend(&mut page, groups);
    }
    for (point, &[x, y]) in points.iter().zip(&places) {
        dot(&mut page, x, y, colour(point.group));
    }
    let mut drawn: Vec<[i64; 2]> = Vec::new();
    let step = i64::from(THUMBNAIL) + 2 * FRAME;
    for place in spread(points.len()) {
        let point = &points[place];
        let [x, y] = places[place];
        let Some(thumbnail) = &point.thumbnail else { continue };
        if drawn.iter().any(|other| (other[0] - x).abs() < step && (other[1] - y).abs() < step) {
            continue;
        }
        drawn.push([x, y]);
        let size = [thumbnail.width(), thumbnail.height()].map(|side| i64::from(side.min(THUMBNAIL)));
        let corner = [x - size[0] / 2, y - size[1] / 2];
        let frame = area(corner[0] - FRAME, corner[1] - FRAME, size[0] + 2 * FRAME, size[1] + 2 * FRAME);
        paint::fill(&mut page, frame, colour(point.group));
        imageops::replace(&mut page, thumbnail, corner[0], corner[1]);
    }
    page
}

/// The numbers below `count`, each once, neighbours far from each other: by steps of about the golden section.
fn spread(count: usize) -> impl Iterator<Item = usize> {
    let divide_both =
        |a: usize, b: usize| (2..=a).any(|divisor| a.is_multiple_of(divisor) && b.is_multiple_of(divisor));
    let longest = (count as f64 * 0.618) as usize;
    let step = (1..=longest).rev().find(|step| !divide_both(*step, count)).unwrap_or(1);
    (0..count).map(move |number| number * step % count)
}

/// The places of points on the page, both axes at one scale, and the lowest of them.
fn places(points: &[MapPoint]) -> (Vec<[i64; 2]>, i64) {
    let range = |axis: usize| {
        let values = points.iter().map(|point| point.position[axis]).filter(|value| value.is_finite());
        let ends = values.fold([f64::INFINITY, f64::NEG_INFINITY], |[l, h], v| [l.min(v), h.max(v)]);
        if ends[0] > ends[1] { [0.0, 0.0] } else { ends }
    };
    let ranges = [range(0), range(1)];
    let longest = ranges.iter().map(|[low, high]| high - low).fold(f64::MIN_POSITIVE, f64::max);
    let inner = SIDE - i64::from(THUMBNAIL) - 2 * FRAME;
    let share = |axis: usize, value: f64| {
        let [low, high] = ranges[axis];
        let centred = (value - (low + high) / 2.0) / longest + 0.5;
        if centred.is_finite() { centred } else { 0.5 }
    };
    let place = |point: &MapPoint| {
        let x = share(0, point.position[0]);
        let y = 1.0 - share(1, point.position[1]);
        [x, y].map(|share| (share * inner as f64).round() as i64)
    };
    let mut places: Vec<[i64; 2]> = points.iter().map(place).collect();
    // The points fill the square in one direction; in the other the page is as high as they need.
    let highest = places.iter().map(|place| place[1]).min().unwrap_or(0);
    let first = MARGIN + (SIDE - inner) / 2;
    for [x, y] in &mut places {
        *x += first;
        *y += TITLE + first - highest;
    }
    let lowest = places.iter().map(|place| place[1]).max().unwrap_or(0);
    (places, lowest)
}

fn colour(group: Option<usize>) -> Rgb<u8> {
    group.map_or(GREY, |group| Rgb(COLOURS[group % MAX_GROUPS]))
}

fn dot(page: &mut RgbImage, x: i64, y: i64, colour: Rgb<u8>) {
    for down in -DOT..=DOT {
        for across in -DOT..=DOT {
            // Half covered at the edge.
            let distance = ((across * across + down * down) as f64).sqrt();
            let share = ((DOT as f64 + 0.5 - distance).clamp(0.0, 1.0) * 255.0) as u8;
            blend(page, x + across, y + down, colour, share);
        }
    }
}

fn draw_legend(page: &mut RgbImage, groups: &[String]) {
    let x = MARGIN + SIDE + 24;
    let style = Style::large(INK);
    for (number, name) in groups.iter().enumerate() {
        let y = TITLE + MARGIN + number as i64 * LINE;
        paint::fill(page, area(x, y, SQUARE, SQUARE), colour(Some(number)));
        text::draw(page, x + SQUARE + 10, y + 1, &style.fit(name, LEGEND - SQUARE - 10), style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(position: [f64; 2], group: usize) -> MapPoint {
        let thumbnail = Some(RgbImage::from_pixel(THUMBNAIL, THUMBNAIL, Rgb([1, 2, 3])));
        MapPoint { position, group: Some(group), thumbnail }
    }

    #[test]
    fn all_parts_of_a_list_are_drawn() {
        for count in [0, 1, 2, 3, 4, 10, 12, 97, 2000] {
            let mut order: Vec<usize> = spread(count).collect();
            let first: Vec<usize> = order.iter().take(4).copied().collect();
            order.sort_unstable();
            assert_eq!(order, (0..count).collect::<Vec<_>>());
            if count >= 10 {
                assert!(first.iter().any(|place| *place > count / 2), "{count}: {first:?}");
            }
        }
        // Two classes on the same ground, one after the other: each has images.
        let points: Vec<MapPoint> = (0..200)
            .map(|number| point([(number % 100 * 37 % 100) as f64, (number % 100 * 59 % 101) as f64], number / 100))
            .collect();
        let page = image_map(&points, &["ant".into(), "bee".into()], "map");
        let frames = |group: usize| page.pixels().filter(|pixel| pixel.0 == COLOURS[group]).count() as f64;
        let ratio = frames(0) / frames(1);
        assert!((0.4..2.5).contains(&ratio), "{ratio}");
    }

    #[test]
    fn images_do_not_cover_each_other() {
        let points = [point([0.0, 0.0], 0), point([10.0, 5.0], 1), point([10.0, 5.001], 1)];
        let page = image_map(&points, &["ant".into(), "bee".into()], "map");
        let count = |colour: [u8; 3]| page.pixels().filter(|pixel| pixel.0 == colour).count() as i64;
        let side = i64::from(THUMBNAIL);
        assert_eq!(count([1, 2, 3]), 2 * side * side);
        // A frame and a square of the legend each.
        let frame = (side + 2 * FRAME).pow(2) - side * side + SQUARE * SQUARE;
        assert_eq!([count(COLOURS[0]), count(COLOURS[1])], [frame; 2]);
    }

    #[test]
    fn any_positions_have_a_place() {
        let points = [point([f64::NAN, 0.0], 0), point([1e300, -1e300], 70), point([0.0, f64::INFINITY], 2)];
        image_map(&points, &[], "map");
        image_map(&[], &[], "no points");
        image_map(&[point([5.0, 5.0], 0)], &["ant".into()], "one");
    }
}

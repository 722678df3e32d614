//! Line charts of a loss or an error over the steps.
//!
//! Not drawn by `plotters`, which needs a font file of its own or of the system: these charts share the bitmap font of the
//! other plots.

mod axis;
mod means;

use image::{Rgb, RgbImage};

use super::paint::{self, Area, GREY, INK, WHITE, area};
use super::text::{self, Style};
pub(super) use axis::Axis;

pub(super) const WIDTH: i64 = 960;
pub(super) const HEIGHT: i64 = 600;
/// Width of the y axis with its label and ticks.
const LEFT: i64 = 100;
const RIGHT: i64 = 36;
const BOTTOM: i64 = 76;
/// Height of the title.
const TITLE: i64 = 60;
/// Height of a line of the legend.
const LEGEND: i64 = 26;
/// Maximum number of lines of the legend; further series have no name.
const MAX_LEGEND: i64 = 4;
/// Half the line width in pixels.
const HALF_WIDTH: f64 = 1.2;
/// Length of a dash and of the gap after it in pixels.
const DASH: f64 = 9.0;
/// Maximum number of points for markers.
const MAX_MARKED: usize = 32;
/// Radius of a marker.
const MARK: f64 = 3.8;
/// A noisy series with more points than this is drawn pale, with means over it.
const MAX_DARK: usize = 400;

const GRID: Rgb<u8> = Rgb([229, 231, 235]);
/// Colours that colour-blind readers can distinguish, also by brightness in print (after Okabe and Ito).
const COLOURS: [Rgb<u8>; 7] = [
    Rgb([0, 100, 170]),
    Rgb([220, 90, 10]),
    Rgb([0, 145, 105]),
    Rgb([190, 90, 150]),
    Rgb([215, 150, 0]),
    Rgb([80, 175, 225]),
    Rgb([60, 60, 60]),
];

/// A line of a chart.
#[derive(Clone, Debug)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points (x, y) in order. The line has a gap at NaN and infinite values.
    pub points: Vec<(f64, f64)>,
}

/// A marked position on the x axis of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The position.
    pub x: f64,
    /// Its label.
    pub label: String,
}

/// A marked value on the y axis of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// The value.
    pub y: f64,
    /// Its label.
    pub label: String,
}

/// Lines of a chart beside its solid curves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoration<'a> {
    /// Vertical lines.
    pub marks: &'a [Mark],
    /// Horizontal lines, which the y axis then includes.
    pub levels: &'a [Level],
    /// Numbers of the series whose lines are dashed.
    pub dashed: &'a [usize],
}

/// Plots a line chart of 960 x 600 pixels with ticks, a grid and, for more than one series, a legend.
///
/// An axis begins at 0 if the smallest value is positive and less than a third of the largest. A series of more than 400
/// points that go up and down is pale, with a line of the means of consecutive points over it; a note gives the number of
/// points per mean.
pub fn curve(series: &[Series], x_label: &str, y_label: &str, title: &str) -> RgbImage {
    curve_with_marks(series, x_label, y_label, title, &[])
}

/// Plots a line chart as [`curve`] does, with a vertical line and its label at each mark within the curves.
pub fn curve_with_marks(series: &[Series], x_label: &str, y_label: &str, title: &str, marks: &[Mark]) -> RgbImage {
    curve_decorated(series, [x_label, y_label, title], Decoration { marks, ..Decoration::default() })
}

/// Plots a line chart as [`curve`] does, with marks, levels and dashed lines. `labels` are those of the axes x and y, and
/// the title.
pub fn curve_decorated(series: &[Series], labels: [&str; 3], decoration: Decoration<'_>) -> RgbImage {
    let x_axis = Axis::tight(drawable(series).map(|(x, _)| x), 8);
    chart(series, labels, x_axis, decoration)
}

/// Plots a line chart as [`curve_with_marks`] does, over the logarithm of x, which must be positive.
pub fn curve_over_decades(series: &[Series], x_label: &str, y_label: &str, title: &str, marks: &[Mark]) -> RgbImage {
    let x_axis = Axis::decades(drawable(series).map(|(x, _)| x));
    chart(series, [x_label, y_label, title], x_axis, Decoration { marks, ..Decoration::default() })
}

/// The points that are drawn.
fn drawable(series: &[Series]) -> impl Iterator<Item = (f64, f64)> {
    series.iter().flat_map(|one| &one.points).copied().filter(|point| is_drawable(*point))
}

fn chart(series: &[Series], labels: [&str; 3], x_axis: Axis, decoration: Decoration<'_>) -> RgbImage {
    let Decoration { marks, levels, dashed } = decoration;
    let [x_label, y_label, title] = labels;
    let mut image = RgbImage::from_pixel(WIDTH as u32, HEIGHT as u32, WHITE);
    let legend = Legend::new(series, dashed);
    let top = TITLE + legend.lines * LEGEND;
    let plot = area(LEFT, top, WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM - top);
    let level_values = levels.iter().map(|level| level.y);
    let y_axis = Axis::round(drawable(series).map(|(_, y)| y).chain(level_values), 6);

    let heading = Style::large(INK).bold();
    text::draw(&mut image, LEFT, 22, &heading.fit(title, plot.width), heading);
    draw_axes(&mut image, plot, &x_axis, &y_axis);
    draw_labels(&mut image, plot, x_label, y_label, y_axis.ticks());
    draw_levels(&mut image, plot, &y_axis, levels);
    draw_marks(&mut image, plot, &x_axis, marks);
    for ((number, one), colour) in series.iter().enumerate().zip(COLOURS.iter().cycle()) {
        let place = |point: (f64, f64)| {
            is_drawable(point).then(|| {
                let x = plot.x as f64 + x_axis.share(point.0) * (plot.width - 1) as f64;
                (x, plot.y as f64 + (1.0 - y_axis.share(point.1)) * (plot.height - 1) as f64)
            })
        };
        let points: Vec<_> = one.points.iter().copied().map(place).collect();
        if dashed.contains(&number) {
            draw_dashes(&mut image, &points, *colour);
        } else {
            draw_series(&mut image, &points, *colour, is_pale(one));
        }
    }
    draw_note(&mut image, plot, series, heading.width(title));
    legend.draw(&mut image);
    image
}

/// Excludes infinite and huge values, whose differences would overflow.
fn is_drawable((x, y): (f64, f64)) -> bool {
    x.abs() < 1e100 && y.abs() < 1e100
}

fn draw_axes(image: &mut RgbImage, plot: Area, x_axis: &Axis, y_axis: &Axis) {
    let style = Style::small(GREY);
    for (value, label) in y_axis.ticks() {
        let y = plot.y + ((1.0 - y_axis.share(value)) * (plot.height - 1) as f64).round() as i64;
        paint::fill(image, area(plot.x, y, plot.width, 1), GRID);
        text::draw(image, plot.x - 10 - style.width(&label), y - style.height() / 2, &label, style);
    }
    let floor = plot.y + plot.height;
    for (value, label) in x_axis.ticks() {
        let x = plot.x + (x_axis.share(value) * (plot.width - 1) as f64).round() as i64;
        paint::fill(image, area(x, floor, 1, 5), GREY);
        text::draw(image, x - style.width(&label) / 2, floor + 10, &label, style);
    }
    paint::fill(image, area(plot.x, floor, plot.width, 1), GREY);
}

/// Draws the labels of the axes, that of y beside its numbers.
fn draw_labels(image: &mut RgbImage, plot: Area, x_label: &str, y_label: &str, y_ticks: Vec<(f64, String)>) {
    let style = Style::small(INK);
    let x_label = style.fit(x_label, plot.width);
    text::draw(image, plot.x + (plot.width - style.width(&x_label)) / 2, HEIGHT - 34, &x_label, style);
    let y_label = style.fit(y_label, plot.height);
    let below = plot.y + (plot.height + style.width(&y_label)) / 2;
    let numbers = y_ticks.iter().map(|(_, label)| style.width(label)).max().unwrap_or(0);
    let left = plot.x - 10 - numbers - 14 - style.height();
    text::draw_upwards(image, left.max(4), below, &y_label, style);
}

/// Draws a vertical line with its label at each mark. The label of a single mark lies, on the side where there is more
/// room; those of several stand.
fn draw_marks(image: &mut RgbImage, plot: Area, x_axis: &Axis, marks: &[Mark]) {
    let style = Style::small(INK);
    let shares = marks.iter().map(|mark| (x_axis.share(mark.x), mark));
    for (share, mark) in shares.filter(|(share, _)| (0.0..=1.0).contains(share)) {
        let x = plot.x + (share * (plot.width - 1) as f64).round() as i64;
        paint::fill(image, area(x, plot.y, 1, plot.height), GREY);
        let width = style.width(&mark.label);
        if marks.len() > 1 {
            text::draw_upwards(image, x + 4, plot.y + 6 + width, &mark.label, style);
        } else {
            let left = if share > 0.5 { x - 8 - width } else { x + 8 };
            text::draw(image, left, plot.y + 6, &mark.label, style);
        }
    }
}

/// Draws a horizontal line at each level, with its label above its right end.
fn draw_levels(image: &mut RgbImage, plot: Area, y_axis: &Axis, levels: &[Level]) {
    let style = Style::small(INK);
    for level in levels {
        let y = plot.y + ((1.0 - y_axis.share(level.y)) * (plot.height - 1) as f64).round() as i64;
        paint::fill(image, area(plot.x, y, plot.width, 1), GREY);
        let label = style.fit(&level.label, plot.width);
        text::draw(image, plot.x + plot.width - style.width(&label), y - style.height() - 2, &label, style);
    }
}

/// Draws a series as dashes, without markers.
fn draw_dashes(image: &mut RgbImage, points: &[Option<(f64, f64)>], colour: Rgb<u8>) {
    let mut cover = Cover::new();
    let mut length = 0.0;
    for pair in points.windows(2) {
        let [Some(from), Some(to)] = *pair else { continue };
        let whole = (to.0 - from.0).hypot(to.1 - from.1).max(1e-9);
        let at = |along: f64| (from.0 + (to.0 - from.0) * along / whole, from.1 + (to.1 - from.1) * along / whole);
        let mut along = 0.0;
        while along < whole {
            let phase = (length + along) % (2.0 * DASH);
            let end = (along + DASH - phase % DASH).max(along + 1e-6).min(whole);
            if phase < DASH {
                cover.line(at(along), at(end), HALF_WIDTH);
            }
            along = end;
        }
        length += whole;
    }
    cover.blend(image, colour);
}

/// Whether a series is drawn pale with means over it: means would round off the steps of one without noise.
fn is_pale(series: &Series) -> bool {
    series.points.len() > MAX_DARK && means::is_noisy(&series.points)
}

/// Draws a series; `None` is a gap.
fn draw_series(image: &mut RgbImage, points: &[Option<(f64, f64)>], colour: Rgb<u8>, is_pale: bool) {
    if is_pale {
        draw_lines(image, points, pale(colour), HALF_WIDTH / 2.0);
        draw_lines(image, &means::means(points), colour, HALF_WIDTH * 1.3);
    } else {
        draw_lines(image, points, colour, HALF_WIDTH);
    }
}

/// Draws the lines between points, with markers for single points and for short series.
fn draw_lines(image: &mut RgbImage, points: &[Option<(f64, f64)>], colour: Rgb<u8>, half_width: f64) {
    let mut cover = Cover::new();
    for (number, point) in points.iter().enumerate() {
        let Some(point) = *point else { continue };
        let before = number.checked_sub(1).and_then(|before| points[before]);
        let alone = before.is_none() && points.get(number + 1).copied().flatten().is_none();
        cover.line(before.unwrap_or(point), point, half_width);
        if alone || points.len() <= MAX_MARKED {
            cover.line(point, point, MARK);
        }
    }
    cover.blend(image, colour);
}

fn pale(colour: Rgb<u8>) -> Rgb<u8> {
    Rgb(colour.0.map(|value| 255 - (255 - value) / 3))
}

/// Draws the note on means to the right of the title, if there is space.
fn draw_note(image: &mut RgbImage, plot: Area, series: &[Series], title: i64) {
    let pale = series.iter().filter(|one| is_pale(one));
    let Some(many) = pale.map(|one| one.points.len()).max() else { return };
    let style = Style::small(GREY);
    let note = format!("pale: each point; dark: means of {}", means::points_per_mean(many));
    if title + style.width(&note) + 20 <= plot.width {
        text::draw(image, plot.x + plot.width - style.width(&note), 24, &note, style);
    }
}

/// Coverage of each pixel by one series, collected first so that overlapping lines are blended once.
pub(super) struct Cover {
    shares: Vec<u8>,
}

impl Cover {
    /// Nothing covered.
    pub fn new() -> Self {
        Self { shares: vec![0; (WIDTH * HEIGHT) as usize] }
    }

    /// Covers the pixels within `half_width` of the segment between two points.
    pub fn line(&mut self, (x0, y0): (f64, f64), (x1, y1): (f64, f64), half_width: f64) {
        let reach = half_width + 1.0;
        let bounds = |a: f64, b: f64, side: i64| {
            ((a.min(b) - reach).floor() as i64).max(0)..((a.max(b) + reach).ceil() as i64 + 1).min(side)
        };
        let dx = x1 - x0;
        let dy = y1 - y0;
        let squared = (dx * dx + dy * dy).max(1e-12);
        for y in bounds(y0, y1, HEIGHT) {
            for x in bounds(x0, x1, WIDTH) {
                let px = x as f64 - x0;
                let py = y as f64 - y0;
                let along = ((px * dx + py * dy) / squared).clamp(0.0, 1.0);
                let distance = (px - along * dx).hypot(py - along * dy);
                let share = ((half_width + 0.5 - distance).clamp(0.0, 1.0) * 255.0).round() as u8;
                let old = &mut self.shares[(y * WIDTH + x) as usize];
                *old = share.max(*old);
            }
        }
    }

    pub fn blend(&self, image: &mut RgbImage, colour: Rgb<u8>) {
        for (place, share) in (0..).zip(&self.shares).filter(|(_, share)| **share > 0) {
            paint::blend(image, place % WIDTH, place / WIDTH, colour, *share);
        }
    }
}

/// Names of the series below the title, if there are several.
struct Legend {
    /// Left edge, line and name.
    entries: Vec<(i64, i64, String)>,
    lines: i64,
    /// Numbers of dashed series.
    dashed: Vec<usize>,
}

impl Legend {
    fn new(series: &[Series], dashed: &[usize]) -> Self {
        let mut entries = Vec::new();
        let dashed = dashed.to_vec();
        if series.len() < 2 {
            return Self { entries, lines: 0, dashed };
        }
        let style = Style::small(INK);
        let mut x = LEFT;
        let mut line = 0;
        for one in series {
            let name = style.fit(&one.name, 300);
            let width = 34 + style.width(&name) + 28;
            if x > LEFT && x + width > WIDTH - RIGHT {
                x = LEFT;
                line += 1;
            }
            if line == MAX_LEGEND {
                break;
            }
            entries.push((x, line, name));
            x += width;
        }
        Self { lines: (line + 1).min(MAX_LEGEND), entries, dashed }
    }

    fn draw(&self, image: &mut RgbImage) {
        let style = Style::small(INK);
        for (number, ((x, line, name), colour)) in self.entries.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let y = TITLE - 6 + line * LEGEND;
            let dashes: &[i64] = if self.dashed.contains(&number) { &[0, 9, 18] } else { &[0, 6, 12, 18] };
            for left in dashes {
                paint::fill(image, area(x + left, y + style.height() / 2 - 1, 6, 3), *colour);
            }
            text::draw(image, x + 34, y, name, style);
        }
    }
}

//! Images with bars of their most probable labels (paper, Fig. 4, left).

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::paint::{self, Area, GREY, INK, WHITE, area};
use super::text::{self, Style};

/// Size of the square of an image, and width of the strip and bars below it.
const SIDE: i64 = 232;
/// Height of the strip with the correct label.
const STRIP: i64 = 32;
/// Height of a bar.
const BAR: i64 = 24;
/// Distance between the tops of two bars.
const BAR_STEP: i64 = 28;
/// Height of the note below the strip.
const NOTE: i64 = 22;
/// Gap between the strip and the first bar.
const GAP: i64 = 6;
/// Margin around and between the cells.
const MARGIN: i64 = 24;
/// Number of labels per image.
const LABELS: usize = 5;
/// Height of the title with its legend.
const TITLE: i64 = 72;
/// The longest title in pixels that a page is widened for.
const MAX_TITLE: i64 = 640;
/// The least probability whose bar is drawn.
const MIN_PROBABILITY: f32 = 0.001;
/// Maximum number of images, which keeps the plot under 60 million pixels.
const MAX_ROWS: usize = 480;

const BACKGROUND: Rgb<u8> = Rgb([238, 240, 243]);
const TRACK: Rgb<u8> = Rgb([243, 245, 248]);
const RIGHT: Rgb<u8> = Rgb([133, 208, 168]);
const WRONG: Rgb<u8> = Rgb([164, 203, 238]);

/// An image and its predictions.
#[derive(Clone, Debug)]
pub struct PredictionRow {
    /// The image, of any size.
    pub image: RgbImage,
    /// The correct label; empty if it is unknown.
    pub truth: String,
    /// Labels with their probabilities, the most probable first.
    pub top: Vec<(String, f32)>,
}

/// An image and its predictions, with a note.
#[derive(Clone, Debug)]
pub struct NotedPrediction {
    /// The image and its predictions.
    pub row: PredictionRow,
    /// The note in small type below the label, such as the image's number; empty for none.
    pub note: String,
}

impl From<PredictionRow> for NotedPrediction {
    fn from(row: PredictionRow) -> Self {
        Self { row, note: String::new() }
    }
}

/// Plots each image with its correct label and bars of its (at most five) most probable labels below. The bar of the
/// correct label has another colour and bold type; a legend names the colours of the bars that are drawn. Labels of less
/// than 0.1 % are left out.
///
/// Eight images make two rows of four, as in the paper. Labels that are too long lose what follows their first comma, or
/// end in "...". At most 480 images are plotted.
pub fn predictions(rows: &[PredictionRow], title: &str) -> RgbImage {
    let rows: Vec<NotedPrediction> = rows.iter().take(MAX_ROWS).cloned().map(NotedPrediction::from).collect();
    noted_predictions(&rows, title)
}

/// Plots images as [`predictions`] does, with their notes.
pub fn noted_predictions(rows: &[NotedPrediction], title: &str) -> RgbImage {
    let rows = &rows[..rows.len().min(MAX_ROWS)];
    let labels = rows.iter().map(|noted| shown(&noted.row).count()).max().unwrap_or(0) as i64;
    let columns = columns(rows.len()) as i64;
    let has_notes = rows.iter().any(|noted| !noted.note.is_empty());
    let strip = STRIP + if has_notes { NOTE } else { 0 };
    let cell = [SIDE, SIDE + strip + GAP + labels * BAR_STEP];
    let lines = (rows.len() as i64 + columns - 1) / columns;
    let heading = Style::large(INK).bold();
    // A title is broader than a single image.
    let least = 2 * MARGIN + heading.width(title).min(MAX_TITLE);
    let width = (MARGIN + columns * (cell[0] + MARGIN)).max(least);
    let below = if rows.is_empty() { MARGIN + STRIP } else { lines * (cell[1] + MARGIN) };
    let height = TITLE + below;
    let mut image = RgbImage::from_pixel(width as u32, height as u32, WHITE);
    if rows.is_empty() {
        text::draw(&mut image, MARGIN, TITLE, "no images", Style::large(GREY));
    }
    text::draw(&mut image, MARGIN, 16, &heading.fit(title, width - 2 * MARGIN), heading);
    draw_legend(&mut image, rows);
    for (number, noted) in (0..).zip(rows) {
        let x = MARGIN + number % columns * (cell[0] + MARGIN);
        let y = TITLE + number / columns * (cell[1] + MARGIN);
        draw_cell(&mut image, [x, y], strip, noted);
    }
    image
}

/// The labels that have a bar.
fn shown(row: &PredictionRow) -> impl Iterator<Item = &(String, f32)> {
    row.top.iter().take(LABELS).filter(|(_, probability)| probability.is_nan() || *probability >= MIN_PROBABILITY)
}

/// Number of columns: four as in the paper, more for many cells.
fn columns(cells: usize) -> usize {
    match cells {
        0..=4 => cells.max(1),
        5 | 9 | 10 => 5,
        6..=8 => 4,
        _ => 6,
    }
}

/// Draws the colours of the bars of images with a known label below the title, of those alone that a bar has.
fn draw_legend(page: &mut RgbImage, rows: &[NotedPrediction]) {
    let has_bar = |is_right: bool| {
        let known = rows.iter().map(|noted| &noted.row).filter(|row| !row.truth.is_empty());
        known.flat_map(|row| shown(row).map(|(label, _)| *label == row.truth)).any(|right| right == is_right)
    };
    let style = Style::small(GREY);
    let mut x = MARGIN;
    for (colour, name, is_right) in [(RIGHT, "correct", true), (WRONG, "wrong", false)] {
        if !has_bar(is_right) {
            continue;
        }
        paint::fill(page, area(x, 44, 16, 14), colour);
        text::draw(page, x + 22, 43, name, style);
        x += 22 + style.width(name) + 20;
    }
}

/// Draws an image at `[x, y]`, with its label and note in a strip of this height, and its bars.
fn draw_cell(page: &mut RgbImage, [x, y]: [i64; 2], strip: i64, noted: &NotedPrediction) {
    let row = &noted.row;
    draw_image(page, area(x, y, SIDE, SIDE), &row.image);
    let bold = Style::large(INK).bold();
    let truth = bold.fit_name(&row.truth, SIDE - 8);
    let middle = y + SIDE + (STRIP - bold.height()) / 2;
    text::draw(page, x + (SIDE - bold.width(&truth)) / 2, middle, &truth, bold);
    let small = Style::small(GREY);
    let note = small.fit(&noted.note, SIDE);
    text::draw(page, x + (SIDE - small.width(&note)) / 2, y + SIDE + STRIP, &note, small);
    for (place, (label, probability)) in (0..).zip(shown(row)) {
        let bar = area(x, y + SIDE + strip + GAP + place * BAR_STEP, SIDE, BAR);
        draw_bar(page, bar, label, *probability, *label == row.truth);
    }
}

/// Draws `image` into `place`, with its aspect ratio.
fn draw_image(page: &mut RgbImage, place: Area, image: &RgbImage) {
    paint::fill(page, place, BACKGROUND);
    let width = i64::from(image.width());
    let height = i64::from(image.height());
    let longer = width.max(height);
    if width == 0 || height == 0 {
        return;
    }
    let fit = |side: i64| ((side * SIDE + longer / 2) / longer).clamp(1, SIDE);
    let width = fit(width);
    let height = fit(height);
    let scaled = imageops::resize(image, width as u32, height as u32, FilterType::CatmullRom);
    imageops::replace(page, &scaled, place.x + (SIDE - width) / 2, place.y + (SIDE - height) / 2);
}

fn draw_bar(page: &mut RgbImage, bar: Area, label: &str, probability: f32, right: bool) {
    let fraction = if probability.is_nan() { 0.0 } else { probability.clamp(0.0, 1.0) };
    let length = (fraction * bar.width as f32).round() as i64;
    paint::fill(page, bar, TRACK);
    paint::fill(page, area(bar.x, bar.y, length, bar.height), if right { RIGHT } else { WRONG });
    let plain = Style::large(INK);
    let note = Style::small(INK);
    let style = if right { plain.bold() } else { plain };
    let percent = percent(probability);
    let percent_width = note.width(&percent);
    let label = style.fit_name(label, bar.width - percent_width - 18);
    text::draw(page, bar.x + 6, bar.y + (bar.height - style.height()) / 2, &label, style);
    let end = bar.x + bar.width - 6 - percent_width;
    text::draw(page, end, bar.y + (bar.height - note.height()) / 2, &percent, note);
}

fn percent(probability: f32) -> String {
    match probability * 100.0 {
        value if !value.is_finite() => "NaN".to_owned(),
        // One decimal for small values only.
        value if value.abs() < 9.95 => format!("{value:.1}%"),
        value => format!("{:.0}%", value.min(9999.0)),
    }
}

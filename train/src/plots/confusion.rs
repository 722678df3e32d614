//! Plot of the confusion matrix.

use classification::Confusion;
use image::{Rgb, RgbImage};

use super::paint::{self, GREY, INK, WHITE, area};
use super::text::{self, Style};

/// Margin around the plot, and height of the title.
const MARGIN: i64 = 24;
const TITLE: i64 = 40;
/// The longest name in pixels.
const MAX_NAME: i64 = 180;
/// Colour of a cell in which all images of its row are.
const FULL: [f64; 3] = [8.0, 69.0, 148.0];

/// Plots a confusion matrix: rows are labels, columns predicted classes, and a cell is the darker, the larger its share of
/// the images of its row. Up to 30 classes, cells have their counts.
pub fn confusion(matrix: &Confusion, names: &[&str]) -> RgbImage {
    let classes = matrix.classes() as i64;
    let cell = (960 / classes.max(1)).clamp(18, 64);
    let style = Style::small(INK);
    let longest = names.iter().map(|name| style.width(name)).max().unwrap_or(0).min(MAX_NAME);
    let left = MARGIN + 24 + longest + 8;
    let top = TITLE + MARGIN;
    let below = top + classes * cell;
    let width = (left + classes * cell + MARGIN).max(left + 560);
    let mut page = RgbImage::from_pixel(width as u32, (below + 8 + longest + 24 + MARGIN) as u32, WHITE);
    let heading = Style::large(INK).bold();
    text::draw(&mut page, left, MARGIN - 4, "Confusion matrix; darker: larger share of the label", heading);
    let note = Style::small(GREY);
    text::draw_upwards(&mut page, MARGIN - 12, top + (classes * cell + note.width("label")) / 2, "label", note);
    let across = left + (classes * cell - note.width("predicted")) / 2;
    text::draw(&mut page, across.max(left), below + 8 + longest + 8, "predicted", note);
    for (place, name) in (0..).zip(names) {
        let name = style.fit(name, MAX_NAME);
        let middle = place * cell + (cell - style.height()) / 2;
        text::draw(&mut page, left - 8 - style.width(&name), top + middle, &name, style);
        text::draw_upwards(&mut page, left + middle, below + 8 + style.width(&name), &name, style);
    }
    for label in 0..matrix.classes() {
        draw_row(&mut page, matrix.row(label), [left, top + label as i64 * cell, cell], classes <= 30);
    }
    page
}

/// Draws a row of cells at `[x, y, size of a cell]`.
fn draw_row(page: &mut RgbImage, counts: &[u32], [left, y, cell]: [i64; 3], with_counts: bool) {
    let sum = counts.iter().map(|&count| f64::from(count)).sum::<f64>().max(1.0);
    for (place, &count) in (0..).zip(counts) {
        let share = f64::from(count) / sum;
        let x = left + place * cell;
        paint::fill(page, area(x, y, cell - 1, cell - 1), shade(share));
        if with_counts && count > 0 {
            let style = Style::small(if share > 0.5 { WHITE } else { INK });
            let text = count.to_string();
            if style.width(&text) < cell {
                text::draw(page, x + (cell - style.width(&text)) / 2, y + (cell - style.height()) / 2, &text, style);
            }
        }
    }
}

/// From a pale grey over blue; the root lets small shares be seen.
fn shade(share: f64) -> Rgb<u8> {
    let depth = share.clamp(0.0, 1.0).sqrt();
    Rgb(FULL.map(|full| (246.0 + (full - 246.0) * depth).round() as u8))
}

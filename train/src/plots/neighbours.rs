//! Images with those whose features are nearest (paper, Fig. 4, right).

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::paint::{self, GREY, INK, WHITE, area};
use super::text::{self, Style};

/// Size of the square of an image.
const SIDE: i64 = 168;
/// Gap between the images of a row.
const GAP: i64 = 10;
/// Gap between the query and its neighbours.
const QUERY_GAP: i64 = 34;
/// Height of the strip with the label.
const STRIP: i64 = 28;
/// Height of the note below the strip.
const NOTE: i64 = 24;
/// Gap between rows.
const ROW_GAP: i64 = 14;
/// Margin around all.
const MARGIN: i64 = 24;
/// Height of the title with the headings of the columns.
const TITLE: i64 = 84;
/// Maximum number of rows, which keeps the plot under 60 million pixels.
const MAX_ROWS: usize = 160;

const BACKGROUND: Rgb<u8> = Rgb([238, 240, 243]);
const SAME: Rgb<u8> = Rgb([133, 208, 168]);
const OTHER: Rgb<u8> = Rgb([246, 196, 160]);

/// An image of a sheet of neighbours.
#[derive(Clone, Debug)]
pub struct LabelledImage {
    /// The image, of any size.
    pub image: RgbImage,
    /// The label; empty if it is unknown.
    pub label: String,
    /// A note in small type below it, such as a distance.
    pub note: String,
}

/// An image and its neighbours, the nearest first.
#[derive(Clone, Debug)]
pub struct NeighbourRow {
    /// The image whose neighbours were searched for.
    pub query: LabelledImage,
    /// Its neighbours.
    pub neighbours: Vec<LabelledImage>,
}

/// Plots a row for each image: the image, and its neighbours to the right of it. The label of a neighbour is on green if
/// it is that of the query, else on orange. `headings` are those of the first column and of the others. At most 160 rows are
/// plotted.
pub fn neighbours(rows: &[NeighbourRow], title: &str, headings: [&str; 2]) -> RgbImage {
    let rows = &rows[..rows.len().min(MAX_ROWS)];
    let most = rows.iter().map(|row| row.neighbours.len()).max().unwrap_or(0) as i64;
    let step = SIDE + STRIP + NOTE + ROW_GAP;
    let first = MARGIN + SIDE + QUERY_GAP;
    let width = first + most.max(1) * (SIDE + GAP) - GAP + MARGIN;
    let height = TITLE + rows.len().max(1) as i64 * step - ROW_GAP + MARGIN;
    let mut page = RgbImage::from_pixel(width as u32, height as u32, WHITE);
    let bold = Style::large(INK).bold();
    text::draw(&mut page, MARGIN, 18, &bold.fit(title, width - 2 * MARGIN), bold);
    let small = Style::small(GREY);
    text::draw(&mut page, MARGIN, 56, &small.fit(headings[0], SIDE + QUERY_GAP - 8), small);
    text::draw(&mut page, first, 56, &small.fit(headings[1], width - first - MARGIN), small);
    for (number, row) in (0..).zip(rows) {
        let y = TITLE + number * step;
        draw(&mut page, MARGIN, y, &row.query, BACKGROUND);
        for (place, neighbour) in (0..).zip(&row.neighbours) {
            let is_known = !row.query.label.is_empty() && !neighbour.label.is_empty();
            let colour = match (is_known, neighbour.label == row.query.label) {
                (false, _) => BACKGROUND,
                (true, true) => SAME,
                (true, false) => OTHER,
            };
            draw(&mut page, first + place * (SIDE + GAP), y, neighbour, colour);
        }
    }
    page
}

/// Width and height of an image with its label and note.
pub(super) const CELL: [i64; 2] = [SIDE, SIDE + STRIP + NOTE];

/// Draws an image with its label on a strip of this colour, and its note.
pub(super) fn draw(page: &mut RgbImage, x: i64, y: i64, labelled: &LabelledImage, colour: Rgb<u8>) {
    paint::fill(page, area(x, y, SIDE, SIDE), BACKGROUND);
    fit(page, x, y, SIDE, &labelled.image);
    paint::fill(page, area(x, y + SIDE, SIDE, STRIP), colour);
    let style = Style::small(INK);
    let label = style.fit(&labelled.label, SIDE - 8);
    text::draw(page, x + (SIDE - style.width(&label)) / 2, y + SIDE + (STRIP - style.height()) / 2, &label, style);
    let note = Style::small(GREY);
    let words = note.fit(&labelled.note, SIDE);
    text::draw(page, x + (SIDE - note.width(&words)) / 2, y + SIDE + STRIP + 4, &words, note);
}

/// Draws an image in the centre of a square of `side`, with its aspect ratio.
fn fit(page: &mut RgbImage, x: i64, y: i64, side: i64, image: &RgbImage) {
    let longer = i64::from(image.width().max(image.height()));
    if image.width() == 0 || image.height() == 0 {
        return;
    }
    let scaled = |length: u32| ((i64::from(length) * side + longer / 2) / longer).clamp(1, side);
    let width = scaled(image.width());
    let height = scaled(image.height());
    // Nearest-neighbour for small images, so that their pixels are visible.
    let filter = if longer * 3 <= side { FilterType::Nearest } else { FilterType::CatmullRom };
    let drawn = imageops::resize(image, width as u32, height as u32, filter);
    imageops::replace(page, &drawn, x + (side - width) / 2, y + (side - height) / 2);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(label: &str, colour: [u8; 3]) -> LabelledImage {
        LabelledImage { image: RgbImage::from_pixel(4, 4, Rgb(colour)), label: label.into(), note: "1.5".into() }
    }

    #[test]
    fn neighbours_of_the_same_label_are_on_green() {
        let red = [200, 0, 0];
        let blue = [0, 0, 200];
        let neighbours = vec![labelled("ant", red), labelled("bee", blue), labelled("", blue)];
        let row = NeighbourRow { query: labelled("ant", red), neighbours };
        let page = super::neighbours(&[row.clone(), row], "neighbours", ["query", "nearest"]);
        let count = |colour: Rgb<u8>| page.pixels().filter(|pixel| **pixel == colour).count() as i64;
        assert_eq!([count(Rgb(red)), count(Rgb(blue))], [4 * SIDE * SIDE; 2]);
        // Text covers some of it.
        for colour in [SAME, OTHER] {
            assert!((2 * SIDE * STRIP - 1000..=2 * SIDE * STRIP).contains(&count(colour)), "{}", count(colour));
        }
        assert_eq!(page.height() as i64, TITLE + 2 * (SIDE + STRIP + NOTE) + ROW_GAP + MARGIN);
        assert!(super::neighbours(&[], "none", ["", ""]).width() > 300);
    }
}

//! Pairs of images, such as near-duplicates.

use image::{Rgb, RgbImage};

use super::neighbours::{self, LabelledImage};
use super::paint::{GREY, INK, WHITE};
use super::text::{self, Style};

/// Pairs of a row.
const COLUMNS: i64 = 3;
/// Gap between the images of a pair.
const GAP: i64 = 6;
/// Gap between pairs.
const PAIR_GAP: i64 = 30;
/// Margin around all.
const MARGIN: i64 = 24;
/// Height of the title.
const TITLE: i64 = 60;
/// Maximum number of pairs, which keeps the plot under 60 million pixels.
const MAX_PAIRS: usize = 480;

const BACKGROUND: Rgb<u8> = Rgb([238, 240, 243]);

/// Plots pairs of images beside each other, each with its label and note, three pairs in a row. At most 480 pairs are
/// plotted.
pub fn image_pairs(pairs: &[[LabelledImage; 2]], title: &str) -> RgbImage {
    let pairs = &pairs[..pairs.len().min(MAX_PAIRS)];
    let [cell_width, cell_height] = neighbours::CELL;
    let pair_width = 2 * cell_width + GAP;
    let columns = COLUMNS.min(pairs.len() as i64).max(1);
    let rows = (pairs.len() as i64 + columns - 1) / columns;
    let width = 2 * MARGIN + columns * (pair_width + PAIR_GAP) - PAIR_GAP;
    let height = TITLE + rows.max(1) * (cell_height + GAP) + MARGIN;
    let mut page = RgbImage::from_pixel(width as u32, height as u32, WHITE);
    let heading = Style::large(INK).bold();
    text::draw(&mut page, MARGIN, 20, &heading.fit(title, width - 2 * MARGIN), heading);
    if pairs.is_empty() {
        text::draw(&mut page, MARGIN, TITLE, "none", Style::large(GREY));
    }
    for (number, pair) in (0..).zip(pairs) {
        let y = TITLE + number / columns * (cell_height + GAP);
        let x = MARGIN + number % columns * (pair_width + PAIR_GAP);
        for (place, image) in (0..).zip(pair) {
            neighbours::draw(&mut page, x + place * (cell_width + GAP), y, image, BACKGROUND);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_images_of_each_pair_are_drawn() {
        let red = Rgb([200, 0, 0]);
        let one = LabelledImage { image: RgbImage::from_pixel(5, 5, red), label: "ant".into(), note: "1.jpg".into() };
        let page = image_pairs(&[[one.clone(), one.clone()], [one.clone(), one.clone()]], "pairs");
        let side = neighbours::CELL[0] as usize;
        assert_eq!(page.pixels().filter(|pixel| **pixel == red).count(), 4 * side * side);
        assert!(image_pairs(&[], "No pairs").height() > 100);
    }
}

//! Images of a pack with their labels, as they are stored and as training varies them.

use image::RgbImage;
use image::imageops::{self, FilterType};

use super::paint::{GREY, INK, WHITE};
use super::text::{self, Style};

/// Side of a cell.
const SIDE: i64 = 160;
/// Between the cells of a sample, and between the stored image and its variants.
const GAP: i64 = 4;
const STEP_ASIDE: i64 = 12;
/// Around and between samples.
const MARGIN: i64 = 24;
/// Height of the label above a sample and of the note beneath it.
const LABEL: i64 = 26;
const NOTE: i64 = 22;
/// Cells side by side at most, which keeps the page about as wide as it is high.
const MAX_CELLS: usize = 10;

/// An image of a pack.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What it shows.
    pub label: String,
    /// Where it is from, in small type.
    pub note: String,
    /// As it is stored.
    pub stored: RgbImage,
    /// As training varies it, all of one size.
    pub varied: Vec<RgbImage>,
}

/// Draws each sample in a row: its label above, the stored image, a gap, its variants, its note beneath. Variants are
/// drawn to the scale of the stored image, so that a crop is smaller than what it is cut from.
pub fn samples(samples: &[Sample]) -> RgbImage {
    let variants = samples.iter().map(|s| s.varied.len()).max().unwrap_or(0);
    let columns = (MAX_CELLS / (variants + 1)).clamp(1, samples.len().max(1)) as i64;
    let aside = if variants > 0 { STEP_ASIDE } else { 0 };
    let cell = [(variants as i64 + 1) * (SIDE + GAP) - GAP + aside, LABEL + SIDE + NOTE];
    let rows = (samples.len() as i64 + columns - 1) / columns;
    let size = [MARGIN + columns * (cell[0] + MARGIN), MARGIN + rows.max(1) * (cell[1] + MARGIN)];
    let mut page = RgbImage::from_pixel(size[0] as u32, size[1] as u32, WHITE);
    for (number, sample) in (0..).zip(samples) {
        let x = MARGIN + number % columns * (cell[0] + MARGIN);
        let y = MARGIN + number / columns * (cell[1] + MARGIN);
        draw_sample(&mut page, x, y, cell[0], sample);
    }
    page
}

fn draw_sample(page: &mut RgbImage, x: i64, y: i64, width: i64, sample: &Sample) {
    let label = Style::large(INK).bold();
    let note = Style::small(GREY);
    text::draw(page, x, y, &label.fit(&sample.label, width), label);
    text::draw(page, x, y + LABEL + SIDE + 4, &note.fit(&sample.note, width), note);
    let whole = sample.stored.width().max(sample.stored.height()).max(1);
    for (place, image) in (0..).zip(std::iter::once(&sample.stored).chain(&sample.varied)) {
        let left = x + place * (SIDE + GAP) + if place > 0 { STEP_ASIDE } else { 0 };
        draw_cell(page, left, y + LABEL, image, whole);
    }
}

/// Draws an image in the middle of a cell, at the scale at which `whole` pixels fill it.
fn draw_cell(page: &mut RgbImage, x: i64, y: i64, image: &RgbImage, whole: u32) {
    if image.width() == 0 || image.height() == 0 {
        return;
    }
    let fit = |side: u32| (i64::from(side) * SIDE / i64::from(whole)).clamp(1, SIDE);
    let width = fit(image.width());
    let height = fit(image.height());
    // Small images are enlarged pixel by pixel: what is stored is to be seen, not a guess at more.
    let filter = if whole < SIDE as u32 { FilterType::Nearest } else { FilterType::CatmullRom };
    let scaled = imageops::resize(image, width as u32, height as u32, filter);
    imageops::replace(page, &scaled, x + (SIDE - width) / 2, y + (SIDE - height) / 2);
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn each_sample_has_its_cells() {
        let red = RgbImage::from_pixel(8, 8, Rgb([200, 0, 0]));
        let blue = RgbImage::from_pixel(4, 4, Rgb([0, 0, 200]));
        let sample =
            Sample { label: "ant".into(), note: "ant/1.jpg".into(), stored: red, varied: vec![blue.clone(), blue] };
        let page = samples(&[sample.clone(), sample.clone(), sample.clone(), sample]);
        // Three samples of three cells a row.
        let width = MARGIN + 3 * (3 * SIDE + 2 * GAP + STEP_ASIDE + MARGIN);
        assert_eq!(page.dimensions(), (width as u32, (MARGIN + 2 * (LABEL + SIDE + NOTE + MARGIN)) as u32));
        let count = |colour: [u8; 3]| page.pixels().filter(|p| p.0 == colour).count() as i64;
        assert_eq!(count([200, 0, 0]), 4 * SIDE * SIDE);
        // Half the side of the stored one.
        assert_eq!(count([0, 0, 200]), 4 * 2 * SIDE * SIDE / 4);
        assert_eq!(samples(&[]).dimensions().0, (MARGIN + SIDE + MARGIN) as u32);
    }
}

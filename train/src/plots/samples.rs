//! Images of a pack with their labels, as stored and with augmentation.

use image::RgbImage;
use image::imageops::{self, FilterType};

use super::paint::{GREY, INK, WHITE};
use super::text::{self, Style};

/// Size of a cell.
const SIDE: i64 = 160;
/// Gap between the cells of a sample.
const GAP: i64 = 4;
/// Additional gap between the stored image and its variants.
const VARIANTS_GAP: i64 = 12;
/// Margin around and between samples.
const MARGIN: i64 = 24;
/// Height of the headings above all, of stored images and of variants.
const HEADINGS: i64 = 26;
/// Height of the label above a sample.
const LABEL: i64 = 26;
/// Height of the note below a sample.
const NOTE: i64 = 22;
/// Maximum number of cells in a row, which keeps the plot about square.
const MAX_CELLS: usize = 10;
/// Maximum number of variants beside a stored image.
const MAX_BESIDE: usize = MAX_CELLS - 1;

/// An image of a pack.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The label.
    pub label: String,
    /// A note in small type, such as the image's name.
    pub note: String,
    /// The stored image.
    pub stored: RgbImage,
    /// Augmented variants, all of one size.
    pub variants: Vec<RgbImage>,
}

/// Plots each sample in a row: the stored image and its variants, with the label above and the note below. Variants have
/// the scale of the stored image, so a crop is smaller. More than nine of them go on in a line below.
pub fn samples(samples: &[Sample]) -> RgbImage {
    let variants = samples.iter().map(|s| s.variants.len()).max().unwrap_or(0);
    let beside = variants.min(MAX_BESIDE);
    let columns = (MAX_CELLS / (beside + 1)).clamp(1, samples.len().max(1)) as i64;
    let variants_gap = if variants > 0 { VARIANTS_GAP } else { 0 };
    let lines = variants.div_ceil(MAX_BESIDE).max(1) as i64;
    let images = lines * (SIDE + GAP) - GAP;
    let cell = [(beside as i64 + 1) * (SIDE + GAP) - GAP + variants_gap, LABEL + images + NOTE];
    let rows = (samples.len() as i64 + columns - 1) / columns;
    let headings = if variants > 0 { HEADINGS } else { 0 };
    let size = [MARGIN + columns * (cell[0] + MARGIN), MARGIN + headings + rows.max(1) * (cell[1] + MARGIN)];
    let mut page = RgbImage::from_pixel(size[0] as u32, size[1] as u32, WHITE);
    if variants > 0 {
        for column in 0..columns {
            draw_headings(&mut page, MARGIN + column * (cell[0] + MARGIN), cell[0]);
        }
    }
    for (number, sample) in (0..).zip(samples) {
        let x = MARGIN + number % columns * (cell[0] + MARGIN);
        let y = MARGIN + headings + number / columns * (cell[1] + MARGIN);
        draw_sample(&mut page, [x, y], [cell[0], images], sample);
    }
    page
}

fn draw_headings(page: &mut RgbImage, x: i64, width: i64) {
    let style = Style::small(GREY);
    let of_variants = SIDE + GAP + VARIANTS_GAP;
    text::draw(page, x, MARGIN - 4, "as stored", style);
    text::draw(page, x + of_variants, MARGIN - 4, &style.fit("as training varies it", width - of_variants), style);
}

/// Draws a sample at `[x, y]` with images in `[width, height]`.
fn draw_sample(page: &mut RgbImage, [x, y]: [i64; 2], [width, height]: [i64; 2], sample: &Sample) {
    let label = Style::large(INK).bold();
    let note = Style::small(GREY);
    text::draw(page, x, y, &label.fit(&sample.label, width), label);
    text::draw(page, x, y + LABEL + height + 4, &note.fit(&sample.note, width), note);
    let whole = sample.stored.width().max(sample.stored.height()).max(1);
    draw_cell(page, x, y + LABEL, &sample.stored, whole);
    for (place, image) in sample.variants.iter().enumerate() {
        let left = x + (place % MAX_BESIDE + 1) as i64 * (SIDE + GAP) + VARIANTS_GAP;
        let top = y + LABEL + (place / MAX_BESIDE) as i64 * (SIDE + GAP);
        draw_cell(page, left, top, image, whole);
    }
}

/// Draws an image in the centre of a cell, at the scale at which `whole` pixels fill it.
fn draw_cell(page: &mut RgbImage, x: i64, y: i64, image: &RgbImage, whole: u32) {
    if image.width() == 0 || image.height() == 0 {
        return;
    }
    let fit = |side: u32| (i64::from(side) * SIDE / i64::from(whole)).clamp(1, SIDE);
    let width = fit(image.width());
    let height = fit(image.height());
    // Nearest-neighbour for small images, so that their pixels are visible.
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
            Sample { label: "ant".into(), note: "ant/1.jpg".into(), stored: red, variants: vec![blue.clone(), blue] };
        let page = samples(&[sample.clone(), sample.clone(), sample.clone(), sample.clone()]);
        // Three samples of three cells a row.
        let width = MARGIN + 3 * (3 * SIDE + 2 * GAP + VARIANTS_GAP + MARGIN);
        assert_eq!(page.dimensions(), (width as u32, (MARGIN + HEADINGS + 2 * (LABEL + SIDE + NOTE + MARGIN)) as u32));
        let count = |colour: [u8; 3]| page.pixels().filter(|p| p.0 == colour).count() as i64;
        assert_eq!(count([200, 0, 0]), 4 * SIDE * SIDE);
        // Half the size of the stored one.
        assert_eq!(count([0, 0, 200]), 4 * 2 * SIDE * SIDE / 4);
        // Twelve variants take two lines.
        let many = Sample { variants: vec![sample.variants[0].clone(); 12], ..sample };
        let page = samples(&[many]);
        let size = [MARGIN + 10 * (SIDE + GAP) - GAP + VARIANTS_GAP + MARGIN, 2 * MARGIN + HEADINGS + LABEL + NOTE];
        assert_eq!(page.dimensions(), (size[0] as u32, (size[1] + 2 * SIDE + GAP) as u32));
        assert_eq!(page.pixels().filter(|p| p.0 == [0, 0, 200]).count() as i64, 12 * SIDE * SIDE / 4);
        assert_eq!(samples(&[]).dimensions().0, (MARGIN + SIDE + MARGIN) as u32);
    }
}

//! The reliability diagram (Guo and others: "On Calibration of Modern Neural Networks", 2017).

use classification::Calibration;
use image::{Rgb, RgbImage};

use super::paint::{self, GREY, INK, WHITE, area};
use super::text::{self, Style};

/// Side of the diagram.
const SIDE: i64 = 600;
const LEFT: i64 = 90;
const TOP: i64 = 84;
/// Height of the histogram of images below the diagram.
const HISTOGRAM: i64 = 110;
/// Width of the frame of a gap within a bar.
const FRAME: i64 = 4;
const GRID: Rgb<u8> = Rgb([229, 231, 235]);
const BAR: Rgb<u8> = Rgb([0, 100, 170]);
const GAP: Rgb<u8> = Rgb([244, 190, 160]);

/// Plots accuracy over confidence in bins, with the line of perfect calibration, the gap to it, and below the share of
/// images in each bin.
pub fn reliability(calibration: &Calibration) -> RgbImage {
    let height = TOP + SIDE + 30 + HISTOGRAM + 80;
    let mut page = RgbImage::from_pixel((LEFT + SIDE + 40) as u32, height as u32, WHITE);
    let heading = Style::large(INK).bold();
    let title = format!("Calibration: expected error {:.1} %", calibration.expected_error * 100.0);
    text::draw(&mut page, LEFT, 18, &title, heading);
    let legend = Style::small(GREY);
    let mut x = LEFT;
    for (colour, name) in [(BAR, "accuracy"), (GAP, "gap to the confidence"), (GREY, "perfect calibration")] {
        paint::fill(&mut page, area(x, 47, 16, if colour == GREY { 2 } else { 12 }), colour);
        text::draw(&mut page, x + 22, 44, name, legend);
        x += 22 + legend.width(name) + 20;
    }
    let small = Style::small(GREY);
    for tick in 0..=5 {
        let label = format!("{}%", tick * 20);
        let y = TOP + SIDE - tick * SIDE / 5;
        paint::fill(&mut page, area(LEFT, y, SIDE, 1), GRID);
        text::draw(&mut page, LEFT - 10 - small.width(&label), y - small.height() / 2, &label, small);
        let x = LEFT + tick * SIDE / 5;
        let below = TOP + SIDE + 30 + HISTOGRAM + 8;
        text::draw(&mut page, x - small.width(&label) / 2, below, &label, small);
    }
    draw_bins(&mut page, calibration);
    for step in 0..SIDE {
        paint::fill(&mut page, area(LEFT + step, TOP + SIDE - 1 - step, 2, 2), GREY);
    }
    paint::fill(&mut page, area(LEFT, TOP + SIDE, SIDE, 1), GREY);
    paint::fill(&mut page, area(LEFT, TOP + SIDE + 30 + HISTOGRAM, SIDE, 1), GREY);
    let label = Style::small(INK);
    text::draw_upwards(&mut page, 16, TOP + (SIDE + label.width("accuracy")) / 2, "accuracy", label);
    let images = TOP + SIDE + 30 + (HISTOGRAM + label.width("images")) / 2;
    text::draw_upwards(&mut page, 16, images, "images", label);
    let across = "confidence: probability of the predicted class";
    text::draw(&mut page, LEFT + (SIDE - label.width(across)) / 2, height - 40, across, label);
    page
}

fn draw_bins(page: &mut RgbImage, calibration: &Calibration) {
    let all = calibration.bins.iter().map(|bin| bin.images).sum::<usize>().max(1) as f64;
    let most = calibration.bins.iter().map(|bin| bin.images).max().unwrap_or(0).max(1) as f64;
    let note = Style::small(GREY);
    for bin in calibration.bins.iter().filter(|bin| bin.images > 0) {
        let place = |share: f64| (share * SIDE as f64).round() as i64;
        let x = LEFT + place(bin.low);
        let width = place(bin.high) - place(bin.low) - 2;
        let accuracy = place(bin.accuracy);
        let confidence = place(bin.confidence);
        paint::fill(page, area(x, TOP + SIDE - accuracy, width, accuracy), BAR);
        if confidence > accuracy {
            paint::fill(page, area(x, TOP + SIDE - confidence, width, confidence - accuracy), GAP);
            paint::fill(page, area(x, TOP + SIDE - accuracy - 1, width, 3), BAR);
        } else {
            // Within the bar, whose top is the accuracy all the same.
            let height = (accuracy - confidence - FRAME).max(0);
            paint::fill(page, area(x + FRAME, TOP + SIDE - confidence - height, width - 2 * FRAME, height), GAP);
        }
        let floor = TOP + SIDE + 30 + HISTOGRAM;
        let height = (bin.images as f64 / most * (HISTOGRAM - 20) as f64).ceil() as i64;
        paint::fill(page, area(x, floor - height, width, height), BAR);
        let share = format!("{:.0}%", 100.0 * bin.images as f64 / all);
        if note.width(&share) <= width {
            text::draw(page, x + (width - note.width(&share)) / 2, floor - height - 18, &share, note);
        }
    }
}

//! Filling rectangles and blending single pixels; everything outside the image is left out.

use image::{Rgb, RgbImage};

/// The page.
pub const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
/// Text.
pub const INK: Rgb<u8> = Rgb([32, 33, 36]);
/// Text and lines that should not catch the eye.
pub const GREY: Rgb<u8> = Rgb([110, 114, 120]);

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The left edge.
    pub x: i64,
    /// The upper edge.
    pub y: i64,
    /// Pixels across.
    pub width: i64,
    /// Pixels down.
    pub height: i64,
}

/// A rectangle from its left upper corner and its size.
pub fn area(x: i64, y: i64, width: i64, height: i64) -> Area {
    Area { x, y, width, height }
}

/// Fills `area` with one colour.
pub fn fill(image: &mut RgbImage, area: Area, colour: Rgb<u8>) {
    let across = area.x.max(0)..(area.x + area.width).min(i64::from(image.width()));
    for y in area.y.max(0)..(area.y + area.height).min(i64::from(image.height())) {
        for x in across.clone() {
            image.put_pixel(x as u32, y as u32, colour);
        }
    }
}

/// Covers a share (0 to 255) of a pixel with a colour.
pub fn blend(image: &mut RgbImage, x: i64, y: i64, colour: Rgb<u8>, share: u8) {
    if x < 0 || y < 0 || x >= i64::from(image.width()) || y >= i64::from(image.height()) {
        return;
    }
    let pixel = image.get_pixel_mut(x as u32, y as u32);
    let share = u32::from(share);
    for (old, new) in pixel.0.iter_mut().zip(colour.0) {
        *old = ((u32::from(*old) * (255 - share) + u32::from(new) * share + 127) / 255) as u8;
    }
}

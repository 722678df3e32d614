//! Filled rectangles and blended pixels, clipped to the image.

use image::{Rgb, RgbImage};

/// Background.
pub const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
/// Text colour.
pub const INK: Rgb<u8> = Rgb([32, 33, 36]);
/// Colour of secondary text and lines.
pub const GREY: Rgb<u8> = Rgb([110, 114, 120]);

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Left edge.
    pub x: i64,
    /// Upper edge.
    pub y: i64,
    /// Width.
    pub width: i64,
    /// Height.
    pub height: i64,
}

/// A rectangle from its upper left corner and its size.
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

/// Blends a pixel with a colour, with a coverage of 0 to 255.
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

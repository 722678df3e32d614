//! Images of explanations, as texts.

use std::io::Cursor;

use analysis::upsample;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use ndarray::{Array2, ArrayD, ArrayView2, Axis};
use train::plots::kernels;

/// The width that a drawn kernel or map aims at, in pixels.
const KERNEL_WIDTH: usize = 96;
/// The least side of an overlay.
const OVERLAY_SIDE: usize = 240;
/// The most that a colour covers of an overlay.
const COVER: f32 = 0.8;
/// Colour of what speaks for a class.
const FOR: [f32; 3] = [235.0, 60.0, 20.0];
/// Colour of what speaks against it.
const AGAINST: [f32; 3] = [30.0, 90.0, 240.0];

/// An image as a `data:` URI of a PNG.
pub(crate) fn png_uri(image: &RgbImage) -> Result<String, image::ImageError> {
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png)?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png.get_ref())))
}

/// A kernel of a convolution, from its smallest weight (black) to its largest (white).
pub(crate) fn kernel(weights: &ArrayD<f32>, kernel: usize) -> Result<RgbImage, tensor::Error> {
    let width = weights.shape().get(2).copied().unwrap_or(1).max(1);
    kernels(&weights.select(Axis(0), &[kernel]), (KERNEL_WIDTH / width).clamp(1, 24) as u32)
}

/// A map in grey, from 0 (black) to `most` (white).
pub(crate) fn map(map: ArrayView2<f32>, most: f32) -> RgbImage {
    let (height, width) = map.dim();
    let level = |value: f32| if most > 0.0 { (value / most * 255.0).clamp(0.0, 255.0).round() as u8 } else { 0 };
    let grey = GrayImage::from_fn(width as u32, height as u32, |x, y| Luma([level(map[[y as usize, x as usize]])]));
    let scale = (KERNEL_WIDTH as u32).div_ceil(width.max(1) as u32).max(1);
    let grey = imageops::resize(&grey, grey.width() * scale, grey.height() * scale, FilterType::Nearest);
    DynamicImage::ImageLuma8(grey).into_rgb8()
}

/// A map over a square image in grey: red where its values are positive, blue where they are negative, the more the
/// larger they are beside the largest.
pub(crate) fn overlay(image: &RgbImage, map: &Array2<f32>) -> RgbImage {
    let side = image.width().max(1) * (OVERLAY_SIDE as u32).div_ceil(image.width().max(1)).max(1);
    let grey = DynamicImage::ImageRgb8(imageops::resize(image, side, side, FilterType::Nearest)).into_luma8();
    let map = upsample(map, side as usize);
    let largest = map.iter().filter(|value| value.is_finite()).fold(0.0f32, |largest, value| largest.max(value.abs()));
    RgbImage::from_fn(side, side, |x, y| {
        let Luma([level]) = *grey.get_pixel(x, y);
        let value = map[[y as usize, x as usize]] / largest;
        let cover = if value.is_finite() { COVER * value.abs() } else { 0.0 };
        let colour = if value > 0.0 { FOR } else { AGAINST };
        Rgb(colour.map(|channel| (channel * cover + f32::from(level) * (1.0 - cover)).round() as u8))
    })
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    #[test]
    fn an_overlay_is_red_for_blue_against_and_grey_elsewhere() {
        let image = RgbImage::from_pixel(48, 48, Rgb([100, 100, 100]));
        let drawn = overlay(&image, &arr2(&[[2.0, 0.0], [0.0, -2.0]]));
        assert_eq!(drawn.dimensions(), (240, 240));
        let Rgb([red, _, blue]) = *drawn.get_pixel(0, 0);
        assert!(red > 200 && blue < 50, "{red} {blue}");
        let Rgb([red, _, blue]) = *drawn.get_pixel(239, 239);
        assert!(blue > 200 && red < 50, "{red} {blue}");
        assert_eq!(drawn.get_pixel(0, 239).0, [100; 3]);
        for nothing in [0.0, f32::NAN] {
            let drawn = overlay(&image, &arr2(&[[nothing]]));
            assert!(drawn.pixels().all(|pixel| pixel.0 == [100; 3]));
        }
    }

    #[test]
    fn a_png_comes_back() {
        let image = RgbImage::from_fn(3, 2, |x, y| Rgb([x as u8, y as u8, 7]));
        let text = png_uri(&image).unwrap();
        let png = STANDARD.decode(text.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        assert_eq!(image::load_from_memory(&png).unwrap().into_rgb8(), image);
    }
}

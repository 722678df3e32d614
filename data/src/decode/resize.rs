//! Resizing and cropping to a square (paper, section 2): the shorter side is resized and the centre kept.
//!
//! The filter is antialiased bilinear, as in Pillow and torchvision, so pixels match those that published weights were
//! trained on to within a level or two. `fast_image_resize` implements Pillow's algorithm with SIMD and reads from a
//! box, so only what the square shows is computed. `image::imageops` has the same filter in scalar floating point
//! without a box: an image of 1 x 5000 would first become 256 x 1,280,000.

use std::cell::RefCell;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::Image;
use crate::error::{Error, Result};
use crate::jpeg::Region;

/// Maximum buffer size in bytes that a thread keeps between images.
pub(super) const MAX_KEPT_BYTES: usize = 8 << 20;
/// Maximum side length of a square.
pub(crate) const MAX_SIZE: usize = 4096;

thread_local! {
    /// Keeps its intermediate buffers from image to image.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// Resizes the shorter side to `size`, keeping the aspect ratio, and crops the centre `size` x `size`, with the exact
/// rounding of torchvision's `Resize` and `CenterCrop`.
///
/// ```
/// use alexnet_data::{Image, resize_and_crop};
///
/// let wide = Image::new(40, 10, vec![77; 40 * 10 * 3]).ok_or("no image")?;
/// let square = resize_and_crop(&wide, 5)?;
/// assert_eq!((square.width(), square.pixels()[0]), (5, 77));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Option`] for a size outside 1 to 4096.
pub fn resize_and_crop(image: &Image, size: usize) -> Result<Image> {
    let plan = SquarePlan::new(image.width(), image.height(), size)?;
    plan.square(image.pixels(), image.width(), image.height(), plan.window)
}

/// The geometry of making an image a square.
#[derive(Debug)]
pub(super) struct SquarePlan {
    size: usize,
    /// Window of the image shown by the square: left, top, width, height.
    window: [f64; 4],
    /// Rows and columns the square depends on.
    pub region: Region,
}

impl SquarePlan {
    pub fn new(width: usize, height: usize, size: usize) -> Result<Self> {
        check(size)?;
        let window = window(width, height, size);
        // The filter reaches one output pixel beyond each pixel's centre.
        let needed_range = |start: f64, length: f64, side: usize| {
            let reach = (length / size as f64).max(1.0) + 1.0;
            let end = ((start + length + reach).ceil() as usize).min(side);
            ((start - reach).floor().max(0.0) as usize).min(end)..end
        };
        let [left, top, w, h] = window;
        Ok(Self {
            size,
            window,
            region: Region { rows: needed_range(top, h, height), columns: needed_range(left, w, width) },
        })
    }

    /// Makes the square from the pixels of `region` alone.
    pub fn square_of_region(&self, pixels: &[u8]) -> Result<Image> {
        let [left, top, w, h] = self.window;
        let Region { rows, columns } = &self.region;
        let window = [left - columns.start as f64, top - rows.start as f64, w, h];
        self.square(pixels, columns.len(), rows.len(), window)
    }

    fn square(&self, pixels: &[u8], width: usize, height: usize, window: [f64; 4]) -> Result<Image> {
        let size = self.size;
        let resize_error = |got: String| Error::option("image", "an image that can be resized", got);
        let pixels = resize(pixels, [width, height], window, size);
        let pixels = pixels.map_err(|e| resize_error(format!("{width} x {height}: {e}")))?;
        Image::new(size, size, pixels).ok_or_else(|| resize_error("another size".into()))
    }
}

/// Resizes the part `[left, top, width, height]` of an image `[width, height]` to a square of `side` with the
/// antialiased bilinear filter. Returns its pixels.
pub(crate) fn resize(
    pixels: &[u8],
    [width, height]: [usize; 2],
    [left, top, part_width, part_height]: [f64; 4],
    side: usize,
) -> std::result::Result<Vec<u8>, Box<dyn std::error::Error>> {
    // Only for this pixel type: compiling the resizer for all of them takes minutes.
    let source = TypedImageRef::<U8x3>::from_buffer(width.try_into()?, height.try_into()?, pixels)?;
    let mut square = vec![0; 3 * side * side];
    let mut target = TypedImage::<U8x3>::from_buffer(side.try_into()?, side.try_into()?, &mut square)?;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .crop(left, top, part_width, part_height)
        .use_alpha(false);
    RESIZER.with_borrow_mut(|resizer| {
        let done = resizer.resize_typed(&source, &mut target, &options);
        if resizer.size_of_internal_buffers() > MAX_KEPT_BYTES {
            resizer.reset_internal_buffers();
        }
        done
    })?;
    Ok(square)
}

pub(crate) fn check(size: usize) -> Result<()> {
    match size {
        1..=MAX_SIZE => Ok(()),
        _ => Err(Error::option("size", format!("1 to {MAX_SIZE}"), size)),
    }
}

/// Window of the image shown by the square: left, top, width, height.
fn window(width: usize, height: usize, size: usize) -> [f64; 4] {
    let short = width.min(height);
    // Start and length of the window along one side, in pixels of the image.
    let span = |side: usize| {
        // torchvision rounds the longer side down and half-pixel offsets to even.
        let resized = (size as u128 * side as u128 / short as u128) as f64;
        let scale = side as f64 / resized;
        let offset = ((resized - size as f64) / 2.0).round_ties_even();
        (offset * scale, (size as f64 * scale).min(side as f64 - offset * scale))
    };
    let (left, w) = span(width);
    let (top, h) = span(height);
    [left, top, w, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_the_centre_square() {
        assert_eq!(window(500, 375, 256), [(42.0 * 500.0 / 341.0), 0.0, 256.0 * 500.0 / 341.0, 375.0]);
        assert_eq!(window(100, 100, 32), [0.0, 0.0, 100.0, 100.0]);
        let [left, top, width, height] = window(1, 5000, 256);
        assert_eq!([left, width], [0.0, 1.0]);
        assert!((top - 2499.5).abs() < 1e-9 && (height - 1.0).abs() < 1e-9, "{top} {height}");
    }

    #[test]
    fn an_image_of_the_right_size_is_unchanged() {
        let pixels: Vec<u8> = (0..16 * 16 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let image = Image::new(16, 16, pixels).unwrap();
        assert_eq!(resize_and_crop(&image, 16).unwrap(), image);
    }

    #[test]
    fn extreme_shapes_stay_flat_and_small() {
        for (width, height) in [(1, 5000), (5000, 1), (1, 1), (65_535, 2)] {
            let image = Image::new(width, height, vec![77; width * height * 3]).unwrap();
            let square = resize_and_crop(&image, 256).unwrap();
            assert!(square.pixels().iter().all(|&v| v == 77), "{width} x {height}");
        }
        let error = resize_and_crop(&Image::new(1, 1, vec![0; 3]).unwrap(), 0).unwrap_err();
        assert_eq!(error.to_string(), "size: expected 1 to 4096, got 0");
    }
}

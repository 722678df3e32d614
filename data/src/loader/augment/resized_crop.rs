//! Random resized crop (Szegedy et al., "Going Deeper with Convolutions", 2014; torchvision's RandomResizedCrop).

use super::check_range;
use super::rect::{CropRect, Rect};
use super::rng::{RESIZED_CROP_BLOCK, SampleRng};
use crate::error::{Error, Result};

/// A rectangle of random area and aspect ratio, resized to the crop with the same antialiased bilinear filter as packs.
///
/// ```
/// use alexnet_data::{Augment, ResizedCrop};
///
/// let crop = ResizedCrop { scale: [0.25, 1.0], ..ResizedCrop::default() };
/// let augment = Augment { resized_crop: Some(crop), mirror: true, ..Augment::default() };
/// # assert!(augment.resized_crop.is_some());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResizedCrop {
    /// Range of the area as a fraction of the image's area.
    pub scale: [f32; 2],
    /// Range of the aspect ratio, width / height.
    pub ratio: [f32; 2],
}

impl Default for ResizedCrop {
    /// 8 to 100 % of the area, aspect ratios of 3:4 to 4:3.
    fn default() -> Self {
        Self { scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] }
    }
}

impl ResizedCrop {
    pub(crate) fn check(&self) -> Result<()> {
        check_range("resized crop's scale", self.scale, [0.0001, 1.0])?;
        check_range("resized crop's ratio", self.ratio, [0.01, 100.0])
    }

    /// Draws the rectangle of an image of `size` x `size`. If no draw fits, the largest central one the ratio allows.
    pub(crate) fn draw(&self, stream: random::Stream, size: usize) -> Rect {
        let mut rng = SampleRng::new(stream, RESIZED_CROP_BLOCK);
        Rect::draw(&mut rng, size, self.scale, self.ratio).unwrap_or_else(|| {
            let [narrow, wide] = self.ratio.map(f64::from);
            let part = |share: f64| ((size as f64 * share.min(1.0)).round() as usize).clamp(1, size);
            let width = part(wide);
            let height = part(1.0 / narrow);
            Rect { left: (size - width) / 2, top: (size - height) / 2, width, height }
        })
    }
}

/// Resizes `rect` of an image into the rectangle `to` of another of the same size.
pub(crate) fn resize_rect_into(image: &[u8], rect: Rect, to: CropRect, out: &mut [u8]) -> Result<()> {
    let part = [rect.left, rect.top, rect.width, rect.height].map(|v| v as f64);
    let resized = crate::decode::resize(image, [to.size; 2], part, to.side);
    let resized = resized.map_err(|e| Error::option("resized crop", "a part that can be resized", e))?;
    for (y, row) in resized.chunks_exact(3 * to.side).enumerate() {
        out[to.row(y)].copy_from_slice(row);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use random::Stream;

    use super::*;

    proptest! {
        #[test]
        fn parts_lie_within_the_image_and_the_ranges(
            size in 1..300usize, from in 0.01..1.0f32, more in 0.0..1.0f32, wide in 1.0..5.0f32, seed: u64,
        ) {
            let crop = ResizedCrop { scale: [from, from + more * (1.0 - from)], ratio: [1.0 / wide, wide] };
            crop.check().unwrap();
            let rect = crop.draw(Stream::new(seed, 1, 0), size);
            prop_assert!(rect.width >= 1 && rect.height >= 1);
            prop_assert!(rect.left + rect.width <= size && rect.top + rect.height <= size);
            // Side lengths are rounded to whole pixels.
            let w = rect.width as f64;
            let h = rect.height as f64;
            let whole = rect.width == size || rect.height == size;
            prop_assert!(whole || (w - 0.5) * (h - 0.5) <= f64::from(crop.scale[1]) * (size * size) as f64 + 1e-3);
            prop_assert!((w + 0.5) / (h - 0.5).max(0.1) >= 1.0 / f64::from(wide) - 1e-3);
            prop_assert!((h + 0.5) / (w - 0.5).max(0.1) >= 1.0 / f64::from(wide) - 1e-3);
        }

        /// A rectangle of the crop's own size is copied unchanged.
        #[test]
        fn a_part_of_the_right_size_is_unchanged(left in 0..5usize, top in 0..5usize, at in 0..5usize) {
            let image: Vec<u8> = (0..12 * 12 * 3).map(|i| (i * 29 % 253) as u8).collect();
            let mut out = vec![0; image.len()];
            let to = CropRect { size: 12, left: at, top: 2, side: 8 };
            resize_rect_into(&image, Rect { left, top, width: 8, height: 8 }, to, &mut out).unwrap();
            let from = CropRect { left, top, ..to };
            for y in 0..8 {
                prop_assert_eq!(&out[to.row(y)], &image[from.row(y)]);
            }
        }
    }

    #[test]
    fn areas_ratios_and_positions_have_the_right_means() {
        let crop = ResizedCrop { scale: [0.1, 0.3], ..ResizedCrop::default() };
        let rects: Vec<Rect> = (0..20_000).map(|i| crop.draw(Stream::new(3, 1, i), 256)).collect();
        let mean = |f: &dyn Fn(&Rect) -> f64| rects.iter().map(f).sum::<f64>() / rects.len() as f64;
        assert!((mean(&|a| (a.width * a.height) as f64 / 65_536.0) - 0.2).abs() < 0.002);
        assert!(mean(&|a| (a.width as f64 / a.height as f64).ln()).abs() < 0.01);
        assert!((mean(&|a| a.left as f64 / (256 - a.width) as f64) - 0.5).abs() < 0.01);
        assert!((mean(&|a| a.top as f64 / (256 - a.height) as f64) - 0.5).abs() < 0.01);
    }

    #[test]
    fn without_a_fitting_draw_the_largest_allowed_rectangle_is_used() {
        let wide = ResizedCrop { scale: [1.0, 1.0], ratio: [2.0, 4.0] };
        assert_eq!(wide.draw(Stream::new(1, 1, 1), 100), Rect { left: 0, top: 25, width: 100, height: 50 });
        let whole = ResizedCrop { scale: [1.0, 1.0], ratio: [1.0, 1.0] };
        assert_eq!(whole.draw(Stream::new(1, 1, 1), 100), Rect { left: 0, top: 0, width: 100, height: 100 });
    }
}

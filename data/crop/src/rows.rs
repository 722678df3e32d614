//! Crops on the CPU, row by row.

use num_traits::{Float, FromPrimitive};

use crate::{Coefficients, CropAndNormalize, CropParams};

impl CropAndNormalize {
    /// Writes a crop of `image` `[size, size, 3]` to `out` `[crop, crop, 3]`. `mean_image` `[size, size, 3]` is the
    /// [normalized mean image](Self::normalized_mean_image), if there is one; [`CropParams::image`] is ignored. The
    /// bits are the same on all processors.
    ///
    /// ```
    /// use alexnet_crop::{CropAndNormalize, CropParams};
    ///
    /// let image: Vec<u8> = (0..27).collect();
    /// let mut values = [0.0f64; 12];
    /// CropAndNormalize::crop_only(2).write_crop(3, &image, &CropParams::new(0, 1, 0, true), None, &mut values);
    /// assert_eq!(values[..6], [6.0, 7.0, 8.0, 3.0, 4.0, 5.0]);
    /// ```
    ///
    /// # Panics
    /// If the crop does not lie within the image.
    pub fn write_crop<E: Float + FromPrimitive + 'static>(
        &self,
        size: usize,
        image: &[u8],
        crop: &CropParams,
        mean_image: Option<&[E]>,
        out: &mut [E],
    ) {
        let rows = CropRows {
            start: crop.start(size),
            size,
            crop: self.crop,
            bgr: self.bgr,
            mirror: crop.mirror,
            coefficients: self.coefficients(crop),
        };
        #[cfg(target_arch = "x86_64")]
        if x86::write(&rows, image, mean_image, out) {
            return;
        }
        rows.write_scalar(image, mean_image, out);
    }
}

/// The rows of one crop.
#[derive(Clone, Copy, Debug)]
struct CropRows {
    /// Position of the first byte in the image.
    start: usize,
    /// Side length of the image.
    size: usize,
    /// Side length of the crop.
    crop: usize,
    bgr: bool,
    mirror: bool,
    coefficients: Coefficients,
}

impl CropRows {
    /// Position of a row's first byte in the image.
    fn row_start(&self, row: usize) -> usize {
        self.start + 3 * row * self.size
    }

    fn write_scalar<E: Float + FromPrimitive>(&self, image: &[u8], mean: Option<&[E]>, out: &mut [E]) {
        for (row, out) in out.chunks_exact_mut((3 * self.crop).max(1)).enumerate() {
            self.write_pixels(row, 0, image, mean, out);
        }
    }

    /// Writes the pixels of a row from number `first` on.
    #[inline]
    fn write_pixels<E: Float + FromPrimitive>(
        &self,
        row: usize,
        first: usize,
        image: &[u8],
        mean: Option<&[E]>,
        out: &mut [E],
    ) {
        let range = self.row_start(row)..self.row_start(row) + 3 * self.crop;
        let image = &image[range.clone()];
        let mean = mean.map(|mean| &mean[range]);
        // Every float type holds all bytes, and `f32` or its nearest value.
        let number = |v: f32| E::from_f32(v).unwrap_or_else(E::zero);
        let factor = self.coefficients.factor.map(number);
        let offset = self.coefficients.offset.map(number);
        let damping = number(self.coefficients.damping);
        for (x, out) in out.chunks_exact_mut(3).enumerate().skip(first) {
            let from = 3 * if self.mirror { self.crop - 1 - x } else { x };
            for c in 0..3 {
                let pixel = E::from_u8(image[from + c]).unwrap_or_else(E::zero);
                let scaled = pixel * factor[c];
                let value = match mean {
                    Some(mean) => scaled + (offset[c] - mean[from + c] * damping),
                    None => scaled + offset[c],
                };
                out[if self.bgr { 2 - c } else { c }] = value;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[path = "rows_x86.rs"]
mod x86;

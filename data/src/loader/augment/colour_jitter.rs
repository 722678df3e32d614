//! Colour jitter (torchvision's ColorJitter).

use random::Stream;

use super::rect::CropRect;
use super::rng::{JITTER_BLOCK, SampleRng};
use crate::error::{Error, Result};

/// Strength of the random changes of brightness, contrast, saturation and hue, applied in random order. Pixels are
/// rounded and clamped to 0 to 255 after each.
///
/// ```
/// use alexnet_data::{Augment, ColourJitter};
///
/// let jitter = ColourJitter { brightness: 0.4, contrast: 0.4, ..ColourJitter::default() };
/// let augment = Augment { jitter: Some(jitter), ..Augment::default() };
/// # assert!(augment.jitter.is_some());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColourJitter {
    /// Brightness is scaled by a factor of 1 ± this, at least 0.
    pub brightness: f32,
    /// Contrast (distance to the mean grey) is scaled by a factor of 1 ± this, at least 0.
    pub contrast: f32,
    /// Saturation (distance to each pixel's grey) is scaled by a factor of 1 ± this, at least 0.
    pub saturation: f32,
    /// Hue is rotated by up to this fraction of 360 degrees either way, 0 to 0.5.
    pub hue: f32,
}

/// One colour operation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ColourOp {
    Brightness(f32),
    Contrast(f32),
    Saturation(f32),
    Hue(f32),
}

impl ColourJitter {
    pub(crate) fn check(&self) -> Result<()> {
        for (name, value) in
            [("brightness", self.brightness), ("contrast", self.contrast), ("saturation", self.saturation)]
        {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::option("jitter", format!("a {name} of at least 0"), value));
            }
        }
        if !(0.0..=0.5).contains(&self.hue) {
            return Err(Error::option("jitter", "a hue of 0 to 0.5", self.hue));
        }
        Ok(())
    }

    fn draw(&self, stream: Stream) -> [ColourOp; 4] {
        let mut rng = SampleRng::new(stream, JITTER_BLOCK);
        let mut factor = |by: f32| rng.uniform_in([(1.0 - by).max(0.0), 1.0 + by]) as f32;
        let brightness = factor(self.brightness);
        let contrast = factor(self.contrast);
        let saturation = factor(self.saturation);
        let hue = rng.uniform_in([-self.hue, self.hue]) as f32;
        let mut ops = [
            ColourOp::Brightness(brightness),
            ColourOp::Contrast(contrast),
            ColourOp::Saturation(saturation),
            ColourOp::Hue(hue),
        ];
        for i in (1..4).rev() {
            ops.swap(i, rng.below(i + 1));
        }
        ops
    }

    /// Jitters the colours of a crop of an image.
    pub(crate) fn apply(&self, stream: Stream, crop: CropRect, image: &mut [u8]) {
        for op in self.draw(stream) {
            match op {
                ColourOp::Brightness(1.0)
                | ColourOp::Contrast(1.0)
                | ColourOp::Saturation(1.0)
                | ColourOp::Hue(0.0) => {}
                ColourOp::Brightness(factor) => scale_about(crop, image, 0.0, factor),
                ColourOp::Contrast(factor) => {
                    let mean = mean_grey(crop, image);
                    scale_about(crop, image, mean, factor);
                }
                ColourOp::Saturation(factor) => map_pixels(crop, image, |pixel| {
                    let grey = grey(pixel);
                    pixel.map(|v| to_byte(grey + (f32::from(v) - grey) * factor))
                }),
                ColourOp::Hue(angle) => map_pixels(crop, image, |pixel| rotate_hue(pixel, angle)),
            }
        }
    }
}

/// Scales the distance of all values to `centre`.
fn scale_about(crop: CropRect, image: &mut [u8], centre: f32, factor: f32) {
    let table: Vec<u8> = (0..=255u8).map(|v| to_byte(centre + (f32::from(v) - centre) * factor)).collect();
    for y in 0..crop.side {
        image[crop.row(y)].iter_mut().for_each(|v| *v = table[usize::from(*v)]);
    }
}

fn map_pixels(crop: CropRect, image: &mut [u8], op: impl Fn([u8; 3]) -> [u8; 3]) {
    for y in 0..crop.side {
        for pixel in image[crop.row(y)].chunks_exact_mut(3) {
            pixel.copy_from_slice(&op([pixel[0], pixel[1], pixel[2]]));
        }
    }
}

fn mean_grey(crop: CropRect, image: &[u8]) -> f32 {
    let rows = (0..crop.side).flat_map(|y| image[crop.row(y)].chunks_exact(3));
    let sum: f64 = rows.map(|p| f64::from(grey([p[0], p[1], p[2]]))).sum();
    (sum / (crop.side * crop.side) as f64) as f32
}

/// Luma by ITU-R BT.601.
fn grey([r, g, b]: [u8; 3]) -> f32 {
    0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)
}

fn to_byte(value: f32) -> u8 {
    // The cast saturates.
    value.round() as u8
}

/// Rotates the hue of a colour in HSV space.
fn rotate_hue(pixel: [u8; 3], angle: f32) -> [u8; 3] {
    let [r, g, b] = pixel.map(f32::from);
    let max = r.max(g).max(b);
    let min = r.min(g).min(b);
    let spread = max - min;
    if spread == 0.0 {
        return pixel;
    }
    // In units of 60 degrees.
    let hue = if max == r {
        (g - b) / spread
    } else if max == g {
        2.0 + (b - r) / spread
    } else {
        4.0 + (r - g) / spread
    };
    let hue = (hue + 6.0 * angle).rem_euclid(6.0);
    let channel = |offset: f32| {
        let k = (offset + hue) % 6.0;
        to_byte(max - spread * k.min(4.0 - k).clamp(0.0, 1.0))
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn factors_are_within_their_ranges(seed: u64, by in prop::array::uniform3(0.0..2.0f32), hue in 0.0..=0.5f32) {
            let jitter = ColourJitter { brightness: by[0], contrast: by[1], saturation: by[2], hue };
            jitter.check().unwrap();
            for op in jitter.draw(Stream::new(seed, 1, 0)) {
                let (factor, by) = match op {
                    ColourOp::Brightness(f) => (f, by[0]),
                    ColourOp::Contrast(f) => (f, by[1]),
                    ColourOp::Saturation(f) => (f, by[2]),
                    ColourOp::Hue(angle) => {
                        prop_assert!(angle.abs() <= hue);
                        continue;
                    }
                };
                prop_assert!(factor >= (1.0 - by).max(0.0) - 1e-6 && factor <= 1.0 + by + 1e-6);
            }
        }

        #[test]
        fn nothing_changes_without_jitter_nor_outside_the_part(seed: u64, left in 0..3usize, side in 1..5usize) {
            let image: Vec<u8> = (0..8 * 8 * 3).map(|i| (i * 41 % 255) as u8).collect();
            let crop = CropRect { size: 8, left, top: 2, side };
            let stream = Stream::new(seed, 1, 0);
            let mut same = image.clone();
            ColourJitter::default().apply(stream, crop, &mut same);
            prop_assert_eq!(&same, &image);
            let mut changed = image.clone();
            ColourJitter { brightness: 1.0, contrast: 1.0, saturation: 1.0, hue: 0.5 }.apply(stream, crop, &mut changed);
            let inside: Vec<usize> = (0..side).flat_map(|y| crop.row(y)).collect();
            prop_assert!((0..image.len()).all(|i| inside.contains(&i) || changed[i] == image[i]));
        }

        /// Rotating three times by a third is the identity; greys have no hue.
        #[test]
        fn hues_turn_in_a_circle(pixel: [u8; 3]) {
            let exact = rotate_hue(rotate_hue(rotate_hue(pixel, 1.0 / 3.0), 1.0 / 3.0), 1.0 / 3.0);
            prop_assert!(exact.iter().zip(pixel).all(|(a, b)| a.abs_diff(b) <= 1), "{exact:?}");
            let [r, g, b] = pixel;
            prop_assert!(rotate_hue(pixel, 1.0 / 3.0).iter().zip([b, r, g]).all(|(x, y)| x.abs_diff(y) <= 1));
            prop_assert_eq!(rotate_hue([r; 3], 0.3), [r; 3]);
            prop_assert_eq!(rotate_hue(pixel, 0.0), pixel);
        }
    }

    #[test]
    fn factors_are_spread_evenly_and_the_orders_too() {
        let jitter = ColourJitter { brightness: 0.4, contrast: 0.0, saturation: 0.0, hue: 0.1 };
        let mut sum = 0.0;
        let mut squares = 0.0;
        let mut first = [0; 4];
        for i in 0..20_000 {
            let ops = jitter.draw(Stream::new(1, 1, i));
            let brightness = ops.iter().find_map(|c| match c {
                ColourOp::Brightness(f) => Some(f64::from(*f)),
                _ => None,
            });
            let f = brightness.unwrap();
            sum += f;
            squares += (f - 1.0).powi(2);
            first[ops.iter().position(|c| matches!(c, ColourOp::Brightness(_))).unwrap()] += 1;
        }
        assert!((sum / 20_000.0 - 1.0).abs() < 0.01);
        // The variance of a uniform distribution is its squared width / 12.
        assert!((squares / 20_000.0 - 0.64 / 12.0).abs() < 0.001);
        assert!(first.iter().all(|&n: &i32| (n - 5000).abs() < 300), "{first:?}");
    }

    #[test]
    fn each_change_is_what_its_name_says() {
        let crop = CropRect { size: 2, left: 0, top: 0, side: 2 };
        let image = [10, 20, 30, 200, 100, 0, 50, 50, 50, 255, 255, 255];
        let with = |op: &dyn Fn(&mut [u8])| {
            let mut image = image;
            op(&mut image);
            image
        };
        let bright = with(&|p| scale_about(crop, p, 0.0, 1.5));
        assert_eq!(bright, [15, 30, 45, 255, 150, 0, 75, 75, 75, 255, 255, 255]);
        let mean = mean_grey(crop, &image);
        assert!((mean - (18.15 + 118.5 + 50.0 + 255.0) / 4.0).abs() < 1e-3, "{mean}");
        assert!(with(&|p| scale_about(crop, p, mean, 0.0)).iter().all(|&v| v == 110));
        let grey = with(&|p| map_pixels(crop, p, |pixel| [to_byte(super::grey(pixel)); 3]));
        assert_eq!(grey[..6], [18, 18, 18, 119, 119, 119]);
        let jitter = ColourJitter { saturation: 0.0, ..ColourJitter::default() };
        assert_eq!(with(&|p| jitter.apply(Stream::new(1, 1, 1), crop, p)), image);
    }
}

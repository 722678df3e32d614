//! Random erasing (Zhong et al., "Random Erasing Data Augmentation", 2017; torchvision's RandomErasing).

use random::Stream;

use super::check_range;
use super::rect::{CropRect, Rect};
use super::rng::{ERASING_BLOCK, SampleRng};
use crate::error::{Error, Result};

/// With a given probability, fills a rectangle of random area and aspect ratio with the mean colour of the data set.
///
/// ```
/// use alexnet_data::{Augment, RandomErasing};
///
/// let erasing = RandomErasing { probability: 0.25, ..RandomErasing::default() };
/// let augment = Augment { random_erasing: Some(erasing), ..Augment::default() };
/// # assert!(augment.random_erasing.is_some());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomErasing {
    /// Probability per image, 0 to 1.
    pub probability: f32,
    /// Range of the area as a fraction of the crop's area.
    pub scale: [f32; 2],
    /// Range of the aspect ratio, width / height.
    pub ratio: [f32; 2],
}

impl Default for RandomErasing {
    /// Half of the images, 2 to 33 % of the area, aspect ratios of 3:10 to 10:3.
    fn default() -> Self {
        Self { probability: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3] }
    }
}

impl RandomErasing {
    pub(crate) fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(Error::option("erasing's probability", "0 to 1", self.probability));
        }
        check_range("erasing's scale", self.scale, [0.0001, 1.0])?;
        check_range("erasing's ratio", self.ratio, [0.01, 100.0])
    }

    /// Draws the rectangle within a crop of `side`, or `None` to erase nothing.
    pub(crate) fn draw(&self, stream: Stream, side: usize) -> Option<Rect> {
        let mut rng = SampleRng::new(stream, ERASING_BLOCK);
        let erased = rng.uniform() < f64::from(self.probability);
        erased.then(|| Rect::draw(&mut rng, side, self.scale, self.ratio)).flatten()
    }

    /// Draws and erases a rectangle of the crop.
    pub(crate) fn apply(&self, stream: Stream, crop: CropRect, colour: [u8; 3], image: &mut [u8]) {
        let Some(rect) = self.draw(stream, crop.side) else { return };
        for y in rect.top..rect.top + rect.height {
            let row = &mut image[crop.row(y)][3 * rect.left..3 * (rect.left + rect.width)];
            row.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&colour));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_the_rectangle_is_erased(seed: u64, left in 0..4usize, side in 1..20usize) {
            let erase = RandomErasing { probability: 1.0, ..RandomErasing::default() };
            let crop = CropRect { size: 24, left, top: 1, side };
            let stream = Stream::new(seed, 1, 0);
            let mut image = vec![7; 24 * 24 * 3];
            erase.apply(stream, crop, [1, 2, 3], &mut image);
            let rect = erase.draw(stream, side);
            let mut erased = 0;
            for (i, pixel) in image.chunks_exact(3).enumerate() {
                let x = i % 24;
                let y = i / 24;
                let inside = rect.is_some_and(|a| {
                    (crop.left + a.left..crop.left + a.left + a.width).contains(&x)
                        && (crop.top + a.top..crop.top + a.top + a.height).contains(&y)
                });
                prop_assert_eq!(pixel, if inside { [1, 2, 3] } else { [7, 7, 7] });
                erased += usize::from(inside);
            }
            prop_assert!(erased as f64 <= 0.33 * (side * side) as f64 + side as f64);
        }
    }

    #[test]
    fn erased_counts_and_areas_match_the_settings() {
        let erase = RandomErasing { probability: 0.25, ..RandomErasing::default() };
        let rects: Vec<Option<Rect>> = (0..20_000).map(|i| erase.draw(Stream::new(5, 1, i), 224)).collect();
        let drawn: Vec<Rect> = rects.iter().filter_map(|a| *a).collect();
        // Standard deviation 61.
        assert!(drawn.len().abs_diff(5000) < 300, "{}", drawn.len());
        let mean = drawn.iter().map(|a| (a.width * a.height) as f64 / 50_176.0).sum::<f64>() / drawn.len() as f64;
        assert!((mean - 0.175).abs() < 0.01, "{mean}");
        assert!(drawn.iter().all(|a| a.left + a.width <= 224 && a.top + a.height <= 224));
    }
}

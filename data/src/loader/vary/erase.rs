//! A rectangle without content (Zhong et al., "Random Erasing Data Augmentation", 2017; torchvision's RandomErasing).

use tensor::random::Stream;

use super::{Area, Draws, ERASE, Square, check_range};
use crate::error::{Error, Result};

/// With a probability, a rectangle of random area and shape takes the mean colour of the pack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Erase {
    /// How many of the images, in 0 to 1.
    pub probability: f32,
    /// Smallest and largest area, as shares of the crop's.
    pub scale: [f32; 2],
    /// Smallest and largest width, as multiples of the height.
    pub ratio: [f32; 2],
}

impl Default for Erase {
    /// Half of the images, 2 to 33 % of the area, 3:10 to 10:3.
    fn default() -> Self {
        Self { probability: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3] }
    }
}

impl Erase {
    pub(crate) fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(Error::option("erasing's probability", "0 to 1", self.probability));
        }
        check_range("erasing's scale", self.scale, [0.0001, 1.0])?;
        check_range("erasing's ratio", self.ratio, [0.01, 100.0])
    }

    /// The rectangle of a crop of `side`, if there is to be one.
    pub(crate) fn draw(&self, stream: Stream, side: usize) -> Option<Area> {
        let mut draws = Draws::new(stream, ERASE);
        let erased = draws.unit() < f64::from(self.probability);
        erased.then(|| Area::draw(&mut draws, side, self.scale, self.ratio)).flatten()
    }

    /// Erases what is drawn.
    pub(crate) fn apply(&self, stream: Stream, square: Square, colour: [u8; 3], image: &mut [u8]) {
        let Some(area) = self.draw(stream, square.side) else { return };
        for y in area.top..area.top + area.height {
            let row = &mut image[square.row(y)][3 * area.left..3 * (area.left + area.width)];
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
            let erase = Erase { probability: 1.0, ..Erase::default() };
            let square = Square { size: 24, left, top: 1, side };
            let stream = Stream::new(seed, 1, 0);
            let mut image = vec![7; 24 * 24 * 3];
            erase.apply(stream, square, [1, 2, 3], &mut image);
            let area = erase.draw(stream, side);
            let mut erased = 0;
            for (i, pixel) in image.chunks_exact(3).enumerate() {
                let x = i % 24;
                let y = i / 24;
                let inside = area.is_some_and(|a| {
                    (square.left + a.left..square.left + a.left + a.width).contains(&x)
                        && (square.top + a.top..square.top + a.top + a.height).contains(&y)
                });
                prop_assert_eq!(pixel, if inside { [1, 2, 3] } else { [7, 7, 7] });
                erased += usize::from(inside);
            }
            prop_assert!(erased as f64 <= 0.33 * (side * side) as f64 + side as f64);
        }
    }

    #[test]
    fn so_many_are_erased_as_are_to_be_and_so_much_of_them() {
        let erase = Erase { probability: 0.25, ..Erase::default() };
        let areas: Vec<Option<Area>> = (0..20_000).map(|i| erase.draw(Stream::new(5, 1, i), 224)).collect();
        let drawn: Vec<Area> = areas.iter().filter_map(|a| *a).collect();
        // Standard deviation 61.
        assert!(drawn.len().abs_diff(5000) < 300, "{}", drawn.len());
        let mean = drawn.iter().map(|a| (a.width * a.height) as f64 / 50_176.0).sum::<f64>() / drawn.len() as f64;
        assert!((mean - 0.175).abs() < 0.01, "{mean}");
        assert!(drawn.iter().all(|a| a.left + a.width <= 224 && a.top + a.height <= 224));
    }
}

//! Random brightness, contrast, saturation and hue (torchvision's ColorJitter).

use tensor::random::Stream;

use super::{Draws, JITTER, Square};
use crate::error::{Error, Result};

/// How much colours are changed, in a random order of the four. Pixels are rounded and held to 0 to 255 after each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Jitter {
    /// The brightness is multiplied by 1 - this to 1 + this, at least 0.
    pub brightness: f32,
    /// The distance to the mean grey is multiplied by 1 - this to 1 + this, at least 0.
    pub contrast: f32,
    /// The distance to each pixel's grey is multiplied by 1 - this to 1 + this, at least 0.
    pub saturation: f32,
    /// The hue is turned by up to this share of the circle either way, at most 0.5.
    pub hue: f32,
}

/// What is done to an image.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Brightness(f32),
    Contrast(f32),
    Saturation(f32),
    Hue(f32),
}

impl Jitter {
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

    fn draw(&self, stream: Stream) -> [Change; 4] {
        let mut draws = Draws::new(stream, JITTER);
        let mut factor = |by: f32| draws.between([(1.0 - by).max(0.0), 1.0 + by]) as f32;
        let [b, c, s] = [self.brightness, self.contrast, self.saturation].map(&mut factor);
        let hue = draws.between([-self.hue, self.hue]) as f32;
        let mut changes = [Change::Brightness(b), Change::Contrast(c), Change::Saturation(s), Change::Hue(hue)];
        for i in (1..4).rev() {
            changes.swap(i, draws.below(i + 1));
        }
        changes
    }

    /// Changes part of an image.
    pub(crate) fn apply(&self, stream: Stream, square: Square, image: &mut [u8]) {
        for change in self.draw(stream) {
            match change {
                Change::Brightness(1.0) | Change::Contrast(1.0) | Change::Saturation(1.0) | Change::Hue(0.0) => {}
                Change::Brightness(factor) => stretch(square, image, 0.0, factor),
                Change::Contrast(factor) => {
                    let mean = mean_grey(square, image);
                    stretch(square, image, mean, factor);
                }
                Change::Saturation(factor) => each(square, image, |pixel| {
                    let grey = grey(pixel);
                    pixel.map(|v| to_byte(grey + (f32::from(v) - grey) * factor))
                }),
                Change::Hue(turn) => each(square, image, |pixel| turn_hue(pixel, turn)),
            }
        }
    }
}

/// Multiplies the distances of all values from `centre`.
fn stretch(square: Square, image: &mut [u8], centre: f32, factor: f32) {
    let table: Vec<u8> = (0..=255u8).map(|v| to_byte(centre + (f32::from(v) - centre) * factor)).collect();
    for y in 0..square.side {
        image[square.row(y)].iter_mut().for_each(|v| *v = table[usize::from(*v)]);
    }
}

fn each(square: Square, image: &mut [u8], change: impl Fn([u8; 3]) -> [u8; 3]) {
    for y in 0..square.side {
        for pixel in image[square.row(y)].chunks_exact_mut(3) {
            pixel.copy_from_slice(&change([pixel[0], pixel[1], pixel[2]]));
        }
    }
}

fn mean_grey(square: Square, image: &[u8]) -> f32 {
    let rows = (0..square.side).flat_map(|y| image[square.row(y)].chunks_exact(3));
    let sum: f64 = rows.map(|p| f64::from(grey([p[0], p[1], p[2]]))).sum();
    (sum / (square.side * square.side) as f64) as f32
}

/// ITU-R BT.601.
fn grey([r, g, b]: [u8; 3]) -> f32 {
    0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)
}

fn to_byte(value: f32) -> u8 {
    // Casting holds it to 0 to 255.
    value.round() as u8
}

/// Turns the hue of a colour in the hexagon of hue, saturation and value.
fn turn_hue(pixel: [u8; 3], turn: f32) -> [u8; 3] {
    let [r, g, b] = pixel.map(f32::from);
    let max = r.max(g).max(b);
    let min = r.min(g).min(b);
    let spread = max - min;
    if spread == 0.0 {
        return pixel;
    }
    // In sixths of the circle.
    let hue = if max == r {
        (g - b) / spread
    } else if max == g {
        2.0 + (b - r) / spread
    } else {
        4.0 + (r - g) / spread
    };
    let hue = (hue + 6.0 * turn).rem_euclid(6.0);
    let part = |offset: f32| {
        let k = (offset + hue) % 6.0;
        to_byte(max - spread * k.min(4.0 - k).clamp(0.0, 1.0))
    };
    [part(5.0), part(3.0), part(1.0)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn factors_are_within_their_ranges(seed: u64, by in prop::array::uniform3(0.0..2.0f32), hue in 0.0..=0.5f32) {
            let jitter = Jitter { brightness: by[0], contrast: by[1], saturation: by[2], hue };
            jitter.check().unwrap();
            for change in jitter.draw(Stream::new(seed, 1, 0)) {
                let (factor, by) = match change {
                    Change::Brightness(f) => (f, by[0]),
                    Change::Contrast(f) => (f, by[1]),
                    Change::Saturation(f) => (f, by[2]),
                    Change::Hue(turn) => {
                        prop_assert!(turn.abs() <= hue);
                        continue;
                    }
                };
                prop_assert!(factor >= (1.0 - by).max(0.0) - 1e-6 && factor <= 1.0 + by + 1e-6);
            }
        }

        #[test]
        fn nothing_changes_without_jitter_nor_outside_the_part(seed: u64, left in 0..3usize, side in 1..5usize) {
            let image: Vec<u8> = (0..8 * 8 * 3).map(|i| (i * 41 % 255) as u8).collect();
            let square = Square { size: 8, left, top: 2, side };
            let stream = Stream::new(seed, 1, 0);
            let mut same = image.clone();
            Jitter::default().apply(stream, square, &mut same);
            prop_assert_eq!(&same, &image);
            let mut changed = image.clone();
            Jitter { brightness: 1.0, contrast: 1.0, saturation: 1.0, hue: 0.5 }.apply(stream, square, &mut changed);
            let inside: Vec<usize> = (0..side).flat_map(|y| square.row(y)).collect();
            prop_assert!((0..image.len()).all(|i| inside.contains(&i) || changed[i] == image[i]));
        }

        /// Six turns of a sixth are none; greys have no hue.
        #[test]
        fn hues_turn_in_a_circle(pixel: [u8; 3]) {
            let exact = turn_hue(turn_hue(turn_hue(pixel, 1.0 / 3.0), 1.0 / 3.0), 1.0 / 3.0);
            prop_assert!(exact.iter().zip(pixel).all(|(a, b)| a.abs_diff(b) <= 1), "{exact:?}");
            let [r, g, b] = pixel;
            prop_assert!(turn_hue(pixel, 1.0 / 3.0).iter().zip([b, r, g]).all(|(x, y)| x.abs_diff(y) <= 1));
            prop_assert_eq!(turn_hue([r; 3], 0.3), [r; 3]);
            prop_assert_eq!(turn_hue(pixel, 0.0), pixel);
        }
    }

    #[test]
    fn factors_are_spread_evenly_and_the_orders_too() {
        let jitter = Jitter { brightness: 0.4, contrast: 0.0, saturation: 0.0, hue: 0.1 };
        let mut sum = 0.0;
        let mut squares = 0.0;
        let mut first = [0; 4];
        for i in 0..20_000 {
            let changes = jitter.draw(Stream::new(1, 1, i));
            let brightness = changes.iter().find_map(|c| match c {
                Change::Brightness(f) => Some(f64::from(*f)),
                _ => None,
            });
            let f = brightness.unwrap();
            (sum, squares) = (sum + f, squares + (f - 1.0).powi(2));
            first[changes.iter().position(|c| matches!(c, Change::Brightness(_))).unwrap()] += 1;
        }
        assert!((sum / 20_000.0 - 1.0).abs() < 0.01);
        // The variance of a uniform value is its width squared by 12.
        assert!((squares / 20_000.0 - 0.64 / 12.0).abs() < 0.001);
        assert!(first.iter().all(|&n: &i32| (n - 5000).abs() < 300), "{first:?}");
    }

    #[test]
    fn each_change_is_what_its_name_says() {
        let square = Square { size: 2, left: 0, top: 0, side: 2 };
        let image = [10, 20, 30, 200, 100, 0, 50, 50, 50, 255, 255, 255];
        let with = |change: &dyn Fn(&mut [u8])| {
            let mut image = image;
            change(&mut image);
            image
        };
        let bright = with(&|p| stretch(square, p, 0.0, 1.5));
        assert_eq!(bright, [15, 30, 45, 255, 150, 0, 75, 75, 75, 255, 255, 255]);
        let mean = mean_grey(square, &image);
        assert!((mean - (18.15 + 118.5 + 50.0 + 255.0) / 4.0).abs() < 1e-3, "{mean}");
        assert!(with(&|p| stretch(square, p, mean, 0.0)).iter().all(|&v| v == 110));
        let grey = with(&|p| each(square, p, |pixel| [to_byte(super::grey(pixel)); 3]));
        assert_eq!(grey[..6], [18, 18, 18, 119, 119, 119]);
        let jitter = Jitter { saturation: 0.0, ..Jitter::default() };
        assert_eq!(with(&|p| jitter.apply(Stream::new(1, 1, 1), square, p)), image);
    }
}

//! Augmentation of training images (paper, section 4.1, and later methods).
//!
//! Augmentations newer than the paper are defined as the transforms of torchvision with similar names.

mod colour_jitter;
mod mixup_cutmix;
mod own;
mod random_erasing;
mod rect;
mod resized_crop;
mod rng;

use std::sync::Arc;

use crop::CropParams;
use random::{Stream, purpose, to_normals};

use crate::error::{Error, Result};
use crate::statistics::{PrincipalComponents, Statistics};

pub use colour_jitter::ColourJitter;
pub(super) use mixup_cutmix::mix_into;
pub use mixup_cutmix::{MixedLabel, MixupCutmix};
pub use own::PixelAugmentation;
pub use random_erasing::RandomErasing;
pub(super) use rect::CropRect;
pub use resized_crop::ResizedCrop;
pub(super) use resized_crop::resize_rect_into;
pub use rng::SampleRng;

/// Augmentation of training images. The default changes nothing.
///
/// Random crops, mirroring and [`ColourNoise`] are the paper's; they add no pass over the pixels, and a device can do
/// them. The other augmentations run on the CPU, on the 8-bit pixels of the crop, in the order of the fields below;
/// mirroring, colour noise and mean subtraction follow them.
///
/// ```
/// use alexnet_data::{Augment, ColourJitter, ResizedCrop};
///
/// let augment = Augment {
///     mirror: true,
///     resized_crop: Some(ResizedCrop::default()),
///     jitter: Some(ColourJitter { brightness: 0.4, ..ColourJitter::default() }),
///     ..Augment::default()
/// };
/// assert!(!augment.random_crop);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Augment {
    /// Crop at a uniformly random position instead of the centre.
    pub random_crop: bool,
    /// Mirror horizontally with probability 0.5.
    pub mirror: bool,
    /// Shift all pixels of an image along the principal components of colour.
    pub colour_noise: Option<ColourNoise>,
    /// Number of consecutive images of an epoch that share one crop and mirroring (128 in the authors' code); with 0 or
    /// 1 each image has its own.
    pub crop_group: usize,
    /// Crop a random rectangle and resize it, instead of [`random_crop`](Self::random_crop).
    pub resized_crop: Option<ResizedCrop>,
    /// Randomly change brightness, contrast, saturation and hue.
    pub jitter: Option<ColourJitter>,
    /// Own augmentations, in this order; see [`Augment::with`].
    pub own: Vec<Arc<dyn PixelAugmentation>>,
    /// Fill a random rectangle with the mean colour.
    pub random_erasing: Option<RandomErasing>,
    /// Mix each image and its label with the previous one of its batch.
    pub mix: Option<MixupCutmix>,
}

/// PCA colour noise: `p1 a1 s1 + p2 a2 s2 + p3 a3 s3` is added to every pixel of an image, where `p` are the
/// eigenvectors of the colour covariance, `a` is drawn from a normal distribution once per image and epoch, and `s` is
/// given by the rule.
///
/// ```
/// use alexnet_data::{Augment, ColourNoise, ColourRule};
///
/// let noise = ColourNoise { rule: ColourRule::AuthorsCode, ..ColourNoise::default() };
/// let augment = Augment { colour_noise: Some(noise), ..Augment::default() };
/// # assert!(augment.colour_noise.is_some());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColourNoise {
    /// Scale of the components.
    pub rule: ColourRule,
    /// Standard deviation of `a`; 0.1 in the paper and in its authors' code.
    pub deviation: f32,
    /// Eigenvalues and eigenvectors; `None` uses those of the pack.
    pub components: Option<PrincipalComponents>,
}

/// Scale `s` of the components of colour noise. `l` are the eigenvalues for pixel values of 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColourRule {
    /// The paper's formula: the eigenvalues, for pixels and covariance scaled to 0 to 1. For 0 to 255 that is `s =
    /// l / 255`: 58, 5 and 2 levels for ImageNet, so a deviation of 0.1 gives noise of about 6 levels. (On the scale of
    /// 0 to 255, `s` would be 14,830 levels and drown the image.)
    Paper,
    /// The authors' code: the standard deviations, `s = sqrt(l)`, 122, 37 and 20 levels for ImageNet. The noisy
    /// mean-subtracted image is then divided by `1 + deviation` to preserve its variance.
    AuthorsCode,
}

impl Default for ColourNoise {
    /// The paper's: its formula, 0.1, and the components of the data set.
    fn default() -> Self {
        Self { rule: ColourRule::Paper, deviation: 0.1, components: None }
    }
}

impl ColourNoise {
    /// Shift of R, G and B per component for a standard normal draw of 1.
    pub(super) fn shifts(&self, statistics: Option<&Statistics>) -> Result<[[f32; 3]; 3]> {
        if !self.deviation.is_finite() || self.deviation < 0.0 {
            return Err(Error::option("colour deviation", "0 or more", self.deviation));
        }
        let unknown = || Error::option("colour noise", "components, or a data set with statistics", "neither");
        let components = self.components.or_else(|| statistics.map(Statistics::components)).ok_or_else(unknown)?;
        components.check()?;
        let mut shifts = components.eigenvectors;
        for (shift, &eigenvalue) in shifts.iter_mut().zip(&components.eigenvalues) {
            let factor = match self.rule {
                ColourRule::Paper => eigenvalue / 255.0,
                ColourRule::AuthorsCode => eigenvalue.sqrt(),
            };
            *shift = shift.map(|v| v * factor * self.deviation);
        }
        Ok(shifts)
    }
}

/// Own augmentations are equal if they are the same objects.
impl PartialEq for Augment {
    fn eq(&self, other: &Self) -> bool {
        let Self { random_crop, mirror, colour_noise, crop_group, resized_crop, jitter, own, random_erasing, mix } =
            self;
        let are_same = own.len() == other.own.len() && own.iter().zip(&other.own).all(|(a, b)| Arc::ptr_eq(a, b));
        are_same
            && (random_crop, mirror, crop_group) == (&other.random_crop, &other.mirror, &other.crop_group)
            && (colour_noise, resized_crop, jitter) == (&other.colour_noise, &other.resized_crop, &other.jitter)
            && (random_erasing, mix) == (&other.random_erasing, &other.mix)
    }
}

/// Random purpose of crop groups, within the range reserved for augmentation.
const CROP_GROUP_PURPOSE: u32 = purpose::AUGMENT + 0x0800_0000;

impl Augment {
    /// Whether the 8-bit pixels are modified.
    pub(super) fn modifies_pixels(&self) -> bool {
        let built_in = [self.resized_crop.is_some(), self.jitter.is_some(), self.random_erasing.is_some()];
        built_in.contains(&true) || self.mix.is_some() || !self.own.is_empty()
    }

    /// Checks the options' ranges.
    pub(super) fn check(&self) -> Result<()> {
        self.resized_crop.as_ref().map_or(Ok(()), ResizedCrop::check)?;
        self.jitter.as_ref().map_or(Ok(()), ColourJitter::check)?;
        self.random_erasing.as_ref().map_or(Ok(()), RandomErasing::check)?;
        self.mix.as_ref().map_or(Ok(()), MixupCutmix::check)
    }

    /// Random stream for all draws of image `index` of a pack in `epoch`.
    pub(super) fn stream(seed: u64, epoch: u64, index: u64) -> Stream {
        // Epoch and index have 32 bits each.
        Stream::new(seed, purpose::AUGMENT, epoch << 32 | index & 0xffff_ffff)
    }

    /// Draws the crop of an image, with `CropParams::image` 0. `margin` is the difference between the side lengths of image
    /// and crop.
    pub(super) fn draw(&self, key: SampleKey, margin: usize, colour: &[[f32; 3]; 3]) -> CropParams {
        let own = Self::stream(key.seed, key.epoch, key.index);
        let shared = match self.crop_group {
            0 | 1 => own,
            n => Stream::new(key.seed, CROP_GROUP_PURPOSE, key.epoch << 32 | (key.position / n) as u64 & 0xffff_ffff),
        };
        let below = |word: u32, n: usize| ((u64::from(word) * n as u64) >> 32) as u32;
        let [left, top, mirror, _] = shared.block(0);
        let is_random = self.random_crop && self.resized_crop.is_none();
        let centre = (margin / 2) as u32;
        let left = if is_random { below(left, margin + 1) } else { centre };
        let top = if is_random { below(top, margin + 1) } else { centre };
        let mut draw = CropParams::new(0, left, top, self.mirror && mirror >> 31 == 1);
        if let Some(noise) = &self.colour_noise {
            let [a, b, c, d] = own.block(1);
            let [x, y] = to_normals([a, b]);
            let [z, _] = to_normals([c, d]);
            for (normal, shift) in [x, y, z].into_iter().zip(colour) {
                for (sum, &part) in draw.shift.iter_mut().zip(shift) {
                    *sum += normal as f32 * part;
                }
            }
            if noise.rule == ColourRule::AuthorsCode {
                draw.damping = 1.0 / (1.0 + noise.deviation);
            }
        }
        draw
    }
}

/// Identifies a sample: an image in an epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampleKey {
    pub seed: u64,
    pub epoch: u64,
    /// Index in the pack, or another number that no other sample of the epoch has.
    pub index: u64,
    /// Position in the epoch.
    pub position: usize,
}

/// Checks that `range` is ascending and lies within `within`.
fn check_range(option: &'static str, range: [f32; 2], within: [f32; 2]) -> crate::Result<()> {
    let [from, to] = range;
    if from <= to && from >= within[0] && to <= within[1] {
        return Ok(());
    }
    let expected = format!("two ascending numbers of {} to {}", within[0], within[1]);
    Err(crate::Error::option(option, expected, format!("{from} to {to}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first shift of the test of its values, as it was drawn when the test was written.
    const FIRST_SHIFT: [f32; 3] = [5.12162, -1.85019, 2.50946];

    fn draws(augment: &Augment, colour: &[[f32; 3]; 3], margin: usize, n: u64) -> Vec<CropParams> {
        let key = |index| SampleKey { seed: 11, epoch: 3, index, position: index as usize };
        (0..n).map(|index| augment.draw(key(index), margin, colour)).collect()
    }

    #[test]
    fn crops_and_mirrors_are_uniform() {
        // Every image, or the first of each crop group.
        for crop_group in [0, 100] {
            let augment = Augment { random_crop: true, mirror: true, crop_group, ..Augment::default() };
            let n = if crop_group > 0 { 5_000_000 } else { 50_000 };
            let draws: Vec<CropParams> = (0..n as u64)
                .step_by(crop_group.max(1))
                .map(|i| {
                    augment.draw(SampleKey { seed: 11, epoch: 3, index: i, position: i as usize }, 4, &[[0.0; 3]; 3])
                })
                .collect();
            let mut places = [[0u32; 5]; 5];
            draws.iter().for_each(|d| places[d.top as usize][d.left as usize] += 1);
            // 2000 each, standard deviation 44.
            assert!(places.iter().flatten().all(|&n| n.abs_diff(2000) < 220), "{places:?}");
            let mirrored = draws.iter().filter(|d| d.mirror).count();
            assert!(mirrored.abs_diff(25_000) < 560, "{mirrored}");
            let both = draws.iter().filter(|d| d.mirror && d.left == 0).count();
            assert!(both.abs_diff(5_000) < 330, "{both}");
        }
    }

    #[test]
    fn crop_groups_share_crop_and_mirroring_but_not_colour() {
        let noise = ColourNoise { rule: ColourRule::AuthorsCode, deviation: 0.1, components: None };
        let augment = Augment {
            random_crop: true,
            mirror: true,
            colour_noise: Some(noise),
            crop_group: 128,
            ..Augment::default()
        };
        let draws = draws(&augment, &[[1.0, 0.0, 0.0]; 3], 1000, 1280);
        let crops: Vec<(u32, u32, bool)> = draws.iter().map(|d| (d.left, d.top, d.mirror)).collect();
        assert!(crops.chunks(128).all(|chunk| chunk.iter().all(|crop| *crop == chunk[0])));
        assert!(crops.chunks(128).zip(crops.chunks(128).skip(1)).all(|(a, b)| a[0] != b[0]));
        assert!(draws.windows(2).all(|pair| pair[0].shift != pair[1].shift));
    }

    #[test]
    fn without_random_crop_the_centre_is_taken() {
        let augment = Augment::default();
        assert!(draws(&augment, &[[0.0; 3]; 3], 5, 100).iter().all(|d| *d == CropParams::new(0, 2, 2, false)));
    }

    #[test]
    fn the_shift_has_the_covariance_of_its_rule() {
        let statistics = crate::statistics::tests::example();
        let custom = PrincipalComponents {
            eigenvalues: [14_830.0, 1375.0, 389.0],
            eigenvectors: [[0.6, 0.0, 0.8], [0.0, 1.0, 0.0], [0.8, 0.0, -0.6]],
        };
        for (rule, power, components) in [
            (ColourRule::Paper, 2, None),
            (ColourRule::AuthorsCode, 1, None),
            (ColourRule::AuthorsCode, 1, Some(custom)),
        ] {
            let noise = ColourNoise { rule, deviation: 0.1, components };
            let augment = Augment { colour_noise: Some(noise), ..Augment::default() };
            let shifts = noise.shifts(Some(&statistics)).unwrap();
            let draws = draws(&augment, &shifts, 0, 40_000);
            let parts = components.unwrap_or_else(|| statistics.components());
            // Sum over components of p p^T l (source) or p p^T (l / 255)^2 (paper), times the deviation squared.
            for i in 0..3 {
                for j in 0..3 {
                    let expected: f64 = (0..3)
                        .map(|k| {
                            let l = f64::from(parts.eigenvalues[k]);
                            let factor = if power == 2 { (l / 255.0).powi(2) } else { l };
                            let p = parts.eigenvectors[k].map(f64::from);
                            0.01 * factor * p[i] * p[j]
                        })
                        .sum();
                    let found = draws.iter().map(|d| f64::from(d.shift[i] * d.shift[j])).sum::<f64>() / 40_000.0;
                    let scale = 0.01 * (f64::from(parts.eigenvalues[0]) / 255.0).powi(2).max(1.0);
                    let scale = if power == 2 { scale } else { 0.01 * f64::from(parts.eigenvalues[0]) };
                    assert!((found - expected).abs() < 0.04 * scale, "{rule:?} {i} {j}: {found} for {expected}");
                }
            }
            let damping = if rule == ColourRule::AuthorsCode { 1.0 / 1.1 } else { 1.0 };
            assert!(draws.iter().all(|d| (d.damping - damping).abs() < 1e-6));
        }
    }

    /// The values of colour noise: the first three normals of the sample's second block, each with its own sign, along
    /// the components. They belong to what a resumed run repeats.
    #[test]
    fn colour_noise_is_the_sum_of_normals_along_the_components() {
        let components = PrincipalComponents {
            eigenvalues: [14_830.0, 1375.0, 389.0],
            eigenvectors: [[0.6, 0.0, 0.8], [0.0, 1.0, 0.0], [0.8, 0.0, -0.6]],
        };
        let noise = ColourNoise { rule: ColourRule::AuthorsCode, deviation: 0.1, components: Some(components) };
        let augment = Augment { colour_noise: Some(noise), ..Augment::default() };
        for (index, draw) in (0..).zip(draws(&augment, &noise.shifts(None).unwrap(), 0, 20)) {
            let words = Stream::new(11, purpose::AUGMENT, 3 << 32 | index).block(1).map(f64::from);
            let radius = |word: f64| (-2.0 * ((word + 0.5) / 2f64.powi(32)).ln()).sqrt();
            let angle = |word: f64| std::f64::consts::TAU * word / 2f64.powi(32);
            let normals = [
                radius(words[0]) * angle(words[1]).cos(),
                radius(words[0]) * angle(words[1]).sin(),
                radius(words[2]) * angle(words[3]).cos(),
            ];
            for (channel, &found) in draw.shift.iter().enumerate() {
                let along = |k: usize| {
                    normals[k]
                        * f64::from(components.eigenvectors[k][channel])
                        * f64::from(components.eigenvalues[k]).sqrt()
                };
                let expected = 0.1 * (along(0) + along(1) + along(2));
                assert!((f64::from(found) - expected).abs() < 1e-3, "{index} {channel}: {found} for {expected}");
            }
        }
        let first = draws(&augment, &noise.shifts(None).unwrap(), 0, 1)[0].shift;
        assert!(first.iter().zip(FIRST_SHIFT).all(|(found, expected)| (found - expected).abs() < 1e-4), "{first:?}");
    }

    #[test]
    fn draws_differ_by_seed_epoch_and_index_only() {
        let augment = Augment { random_crop: true, mirror: true, ..Augment::default() };
        let draw = |seed, epoch, index, position| {
            augment.draw(SampleKey { seed, epoch, index, position }, 10_000, &[[0.0; 3]; 3])
        };
        assert_eq!(draw(1, 2, 3, 5), draw(1, 2, 3, 6));
        for other in [draw(2, 2, 3, 5), draw(1, 3, 3, 5), draw(1, 2, 4, 5)] {
            assert_ne!((other.left, other.top), (draw(1, 2, 3, 5).left, draw(1, 2, 3, 5).top));
        }
    }
}

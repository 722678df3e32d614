//! Mixing of two images and their labels: mixup (Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2017) and
//! CutMix (Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", 2019).

use random::Stream;

use super::rect::{CropRect, Rect};
use super::rng::{MIX_BLOCK, SampleRng};
use crate::error::{Error, Result};

/// Mixes each image of a batch with the previous one (the first with the last). The image's own weight is drawn from
/// Beta(alpha, alpha); each image keeps its own colour noise.
///
/// ```
/// use alexnet_data::{Augment, MixupCutmix};
///
/// // Half of the images are blended, half have a rectangle of the other; `Batch::mixed` has the second labels.
/// let mix = MixupCutmix { mixup: 0.2, cutmix: 1.0 };
/// let augment = Augment { mix: Some(mix), ..Augment::default() };
/// # assert!(augment.mix.is_some());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MixupCutmix {
    /// Alpha of mixup, the weighted mean of both images; 0 disables it.
    pub mixup: f32,
    /// Alpha of CutMix, which pastes a rectangle of the other image; 0 disables it. If both are enabled, each has
    /// probability 0.5.
    pub cutmix: f32,
}

/// The second label of a mixed image.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MixedLabel {
    /// Label of the other image.
    pub label: u32,
    /// Weight of the other label, 0 to 1; the image's own label has the rest.
    pub share: f32,
}

/// One drawn mix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum DrawnMix {
    /// Weight of the other image in every pixel (mixup).
    Blend(f32),
    /// Rectangle taken from the other image (CutMix).
    Paste(Rect),
}

impl MixupCutmix {
    pub(crate) fn check(&self) -> Result<()> {
        let fits = |alpha: f32| (0.0..=100.0).contains(&alpha);
        if !fits(self.mixup) || !fits(self.cutmix) || self.mixup + self.cutmix == 0.0 {
            let got = format!("mixup {} and cutmix {}", self.mixup, self.cutmix);
            return Err(Error::option("mix", "alphas of 0 to 100, one of them above 0", got));
        }
        Ok(())
    }

    pub(crate) fn draw(&self, stream: Stream, side: usize) -> DrawnMix {
        let mut rng = SampleRng::new(stream, MIX_BLOCK);
        let first = rng.next_u32() >> 31 == 0;
        let x = rng.below(side);
        let y = rng.below(side);
        let mixup = if self.mixup > 0.0 && self.cutmix > 0.0 { first } else { self.mixup > 0.0 };
        let other = 1.0 - sample_beta(&mut rng, f64::from(if mixup { self.mixup } else { self.cutmix }));
        if mixup {
            return DrawnMix::Blend(other as f32);
        }
        // A square of that area around a random point, clipped to the image.
        let half = side as f64 * other.sqrt() / 2.0;
        let span = |centre: usize| {
            let from = (centre as f64 - half).max(0.0) as usize;
            (from, ((centre as f64 + half).min(side as f64) as usize).max(from) - from)
        };
        let (left, width) = span(x);
        let (top, height) = span(y);
        DrawnMix::Paste(Rect { left, top, width, height })
    }
}

impl DrawnMix {
    /// Weight of the other image in a crop of `side`.
    pub fn weight(self, side: usize) -> f32 {
        match self {
            Self::Blend(weight) => weight,
            Self::Paste(rect) => (rect.width * rect.height) as f32 / (side * side) as f32,
        }
    }
}

/// Writes the mix of two crops, `[side, side, 3]` each, to the rectangle `to` of an image.
pub(crate) fn mix_into(drawn: DrawnMix, own: &[u8], other: &[u8], to: CropRect, image: &mut [u8]) {
    let width = 3 * to.side;
    // Fixed-point weight with 16 bits: the same result on any machine.
    let weight = match drawn {
        DrawnMix::Blend(weight) => (weight * 65_536.0).round() as u32,
        DrawnMix::Paste(_) => 0,
    };
    for (y, (own, other)) in own.chunks_exact(width).zip(other.chunks_exact(width)).enumerate() {
        let row = &mut image[to.row(y)];
        match drawn {
            DrawnMix::Blend(_) => {
                for ((value, &a), &b) in row.iter_mut().zip(own).zip(other) {
                    *value = ((u32::from(a) * (65_536 - weight) + u32::from(b) * weight + 32_768) >> 16) as u8;
                }
            }
            DrawnMix::Paste(rect) => {
                row.copy_from_slice(own);
                if (rect.top..rect.top + rect.height).contains(&y) {
                    let part = 3 * rect.left..3 * (rect.left + rect.width);
                    row[part.clone()].copy_from_slice(&other[part]);
                }
            }
        }
    }
}

/// Draws from Beta(alpha, alpha), as X / (X + Y) of two gamma values.
fn sample_beta(rng: &mut SampleRng, alpha: f64) -> f64 {
    let x = sample_ln_gamma(rng, alpha);
    let y = sample_ln_gamma(rng, alpha);
    // In logarithms, because the gamma values themselves underflow for small alphas.
    1.0 / (1.0 + (y - x).exp())
}

/// Draws the logarithm of a value of Gamma(alpha, 1) (Marsaglia and Tsang, "A simple method for generating gamma
/// variables", 2000; for alpha below 1 boosted by a uniform value).
fn sample_ln_gamma(rng: &mut SampleRng, alpha: f64) -> f64 {
    if alpha < 1.0 {
        // Avoids the logarithm of zero.
        let u = (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
        return sample_ln_gamma(rng, alpha + 1.0) + u.ln() / alpha;
    }
    let d = alpha - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = rng.normal();
        let u = (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return (d * v).ln();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_have_the_moments_of_their_distribution() {
        for alpha in [0.2f32, 1.0, 3.0] {
            let mix = MixupCutmix { mixup: alpha, cutmix: 0.0 };
            let weights: Vec<f64> = (0..40_000)
                .map(|i| match mix.draw(Stream::new(2, 1, i), 8) {
                    DrawnMix::Blend(weight) => f64::from(weight),
                    DrawnMix::Paste(_) => panic!("no part was asked for"),
                })
                .collect();
            let mean = weights.iter().sum::<f64>() / 40_000.0;
            let variance = weights.iter().map(|s| (s - 0.5).powi(2)).sum::<f64>() / 40_000.0;
            let expected = 1.0 / (4.0 * (2.0 * f64::from(alpha) + 1.0));
            assert!((mean - 0.5).abs() < 0.01, "{alpha}: {mean}");
            assert!((variance / expected - 1.0).abs() < 0.03, "{alpha}: {variance} for {expected}");
            assert!(weights.iter().all(|s| (0.0..=1.0).contains(s)));
        }
    }

    #[test]
    fn both_kinds_are_as_likely_and_parts_are_anywhere() {
        let mix = MixupCutmix { mixup: 1.0, cutmix: 1.0 };
        let drawn: Vec<DrawnMix> = (0..20_000).map(|i| mix.draw(Stream::new(4, 1, i), 100)).collect();
        let rects: Vec<Rect> = drawn
            .iter()
            .filter_map(|m| match m {
                DrawnMix::Paste(rect) => Some(*rect),
                DrawnMix::Blend(_) => None,
            })
            .collect();
        assert!(rects.len().abs_diff(10_000) < 300, "{}", rects.len());
        let mean = |f: &dyn Fn(&Rect) -> usize| rects.iter().map(f).sum::<usize>() as f64 / rects.len() as f64;
        assert!((mean(&|a| 2 * a.left + a.width) - 100.0).abs() < 2.0);
        assert!((mean(&|a| 2 * a.top + a.height) - 100.0).abs() < 2.0);
    }

    proptest! {
        #[test]
        fn mixes_are_those_of_the_formula(
            seed: u64, side in 1..12usize, both in prop::array::uniform2(prop::collection::vec(any::<u8>(), 12 * 12 * 3)),
            cutmix: bool,
        ) {
            let mix = if cutmix { MixupCutmix { mixup: 0.0, cutmix: 1.0 } } else { MixupCutmix { mixup: 0.4, cutmix: 0.0 } };
            mix.check().unwrap();
            let drawn = mix.draw(Stream::new(seed, 1, 0), side);
            let weight = drawn.weight(side);
            prop_assert!((0.0..=1.0).contains(&weight));
            let own = &both[0][..side * side * 3];
            let other = &both[1][..side * side * 3];
            let to = CropRect { size: 14, left: 1, top: 2, side };
            let mut image = vec![0; 14 * 14 * 3];
            mix_into(drawn, own, other, to, &mut image);
            let mut others = 0;
            for y in 0..side {
                for (x, &found) in image[to.row(y)].iter().enumerate() {
                    let a = own[y * side * 3 + x];
                    let b = other[y * side * 3 + x];
                    match drawn {
                        DrawnMix::Blend(_) => {
                            let plain = f64::from(a) + f64::from(weight) * (f64::from(b) - f64::from(a));
                            prop_assert!((f64::from(found) - plain).abs() <= 0.51, "{found} for {plain}");
                        }
                        DrawnMix::Paste(rect) => {
                            let inside = (rect.left..rect.left + rect.width).contains(&(x / 3))
                                && (rect.top..rect.top + rect.height).contains(&y);
                            prop_assert_eq!(found, if inside { b } else { a });
                            others += usize::from(inside);
                        }
                    }
                }
            }
            if let DrawnMix::Paste(_) = drawn {
                prop_assert!((weight - others as f32 / (3 * side * side) as f32).abs() < 1e-6);
            }
        }
    }
}

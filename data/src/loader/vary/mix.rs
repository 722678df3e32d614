//! Mixing two images and their labels: mixup (Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2017) and
//! CutMix (Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", 2019).

use tensor::random::Stream;

use super::{Area, Draws, MIX, Square};
use crate::error::{Error, Result};

/// Each image of a batch is mixed with the one before it (the first with the last). The image's share is drawn from
/// the distribution Beta(alpha, alpha); of the colour noise it keeps its own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mix {
    /// Alpha of mixup, the weighted mean of both images' pixels; 0: none.
    pub mixup: f32,
    /// Alpha of CutMix, a rectangle of the other image; 0: none. With both, each is as likely.
    pub cutmix: f32,
}

/// The other image in a mixed one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mixed {
    /// Its label.
    pub label: u32,
    /// Its share, 0 to 1; the image's own label has the rest.
    pub share: f32,
}

/// How an image is mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mixing {
    /// The other's share of every pixel.
    All(f32),
    /// The part that is the other's.
    Part(Area),
}

impl Mix {
    pub(crate) fn check(&self) -> Result<()> {
        let fits = |alpha: f32| (0.0..=100.0).contains(&alpha);
        if !fits(self.mixup) || !fits(self.cutmix) || self.mixup + self.cutmix == 0.0 {
            let got = format!("mixup {} and cutmix {}", self.mixup, self.cutmix);
            return Err(Error::option("mix", "alphas of 0 to 100, one of them above 0", got));
        }
        Ok(())
    }

    pub(crate) fn draw(&self, stream: Stream, side: usize) -> Mixing {
        let mut draws = Draws::new(stream, MIX);
        let first = draws.word() >> 31 == 0;
        let x = draws.below(side);
        let y = draws.below(side);
        let mixup = if self.mixup > 0.0 && self.cutmix > 0.0 { first } else { self.mixup > 0.0 };
        let other = 1.0 - beta(&mut draws, f64::from(if mixup { self.mixup } else { self.cutmix }));
        if mixup {
            return Mixing::All(other as f32);
        }
        // A square of that area about a point, as much of it as is inside.
        let half = side as f64 * other.sqrt() / 2.0;
        let span = |centre: usize| {
            let from = (centre as f64 - half).max(0.0) as usize;
            (from, ((centre as f64 + half).min(side as f64) as usize).max(from) - from)
        };
        let (left, width) = span(x);
        let (top, height) = span(y);
        Mixing::Part(Area { left, top, width, height })
    }
}

impl Mixing {
    /// The other image's share of a crop of `side`.
    pub fn share(self, side: usize) -> f32 {
        match self {
            Self::All(share) => share,
            Self::Part(area) => (area.width * area.height) as f32 / (side * side) as f32,
        }
    }
}

/// Fills `to` of an image with the mix of two crops `[side, side, 3]`.
pub(crate) fn mix_into(mixing: Mixing, own: &[u8], other: &[u8], to: Square, image: &mut [u8]) {
    let width = 3 * to.side;
    // In 256 parts of 256: the same on any machine.
    let share = match mixing {
        Mixing::All(share) => (share * 65_536.0).round() as u32,
        Mixing::Part(_) => 0,
    };
    for (y, (own, other)) in own.chunks_exact(width).zip(other.chunks_exact(width)).enumerate() {
        let row = &mut image[to.row(y)];
        match mixing {
            Mixing::All(_) => {
                for ((value, &a), &b) in row.iter_mut().zip(own).zip(other) {
                    *value = ((u32::from(a) * (65_536 - share) + u32::from(b) * share + 32_768) >> 16) as u8;
                }
            }
            Mixing::Part(area) => {
                row.copy_from_slice(own);
                if (area.top..area.top + area.height).contains(&y) {
                    let part = 3 * area.left..3 * (area.left + area.width);
                    row[part.clone()].copy_from_slice(&other[part]);
                }
            }
        }
    }
}

/// A value of Beta(alpha, alpha): X / (X + Y) of two gamma values.
fn beta(draws: &mut Draws, alpha: f64) -> f64 {
    let x = ln_gamma_value(draws, alpha);
    let y = ln_gamma_value(draws, alpha);
    // Of logarithms: for small alphas the values themselves underflow.
    1.0 / (1.0 + (y - x).exp())
}

/// The logarithm of a value of Gamma(alpha, 1) (Marsaglia and Tsang, "A simple method for generating gamma variables",
/// 2000; below 1 boosted by a uniform value).
fn ln_gamma_value(draws: &mut Draws, alpha: f64) -> f64 {
    if alpha < 1.0 {
        // Never the logarithm of zero.
        let u = (f64::from(draws.word()) + 0.5) / 4_294_967_296.0;
        return ln_gamma_value(draws, alpha + 1.0) + u.ln() / alpha;
    }
    let d = alpha - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = draws.normal();
        let u = (f64::from(draws.word()) + 0.5) / 4_294_967_296.0;
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
            let mix = Mix { mixup: alpha, cutmix: 0.0 };
            let shares: Vec<f64> = (0..40_000)
                .map(|i| match mix.draw(Stream::new(2, 1, i), 8) {
                    Mixing::All(share) => f64::from(share),
                    Mixing::Part(_) => panic!("no part was asked for"),
                })
                .collect();
            let mean = shares.iter().sum::<f64>() / 40_000.0;
            let variance = shares.iter().map(|s| (s - 0.5).powi(2)).sum::<f64>() / 40_000.0;
            let expected = 1.0 / (4.0 * (2.0 * f64::from(alpha) + 1.0));
            assert!((mean - 0.5).abs() < 0.01, "{alpha}: {mean}");
            assert!((variance / expected - 1.0).abs() < 0.03, "{alpha}: {variance} for {expected}");
            assert!(shares.iter().all(|s| (0.0..=1.0).contains(s)));
        }
    }

    #[test]
    fn both_kinds_are_as_likely_and_parts_are_anywhere() {
        let mix = Mix { mixup: 1.0, cutmix: 1.0 };
        let drawn: Vec<Mixing> = (0..20_000).map(|i| mix.draw(Stream::new(4, 1, i), 100)).collect();
        let parts: Vec<Area> = drawn
            .iter()
            .filter_map(|m| match m {
                Mixing::Part(area) => Some(*area),
                Mixing::All(_) => None,
            })
            .collect();
        assert!(parts.len().abs_diff(10_000) < 300, "{}", parts.len());
        let mean = |f: &dyn Fn(&Area) -> usize| parts.iter().map(f).sum::<usize>() as f64 / parts.len() as f64;
        assert!((mean(&|a| 2 * a.left + a.width) - 100.0).abs() < 2.0);
        assert!((mean(&|a| 2 * a.top + a.height) - 100.0).abs() < 2.0);
    }

    proptest! {
        #[test]
        fn mixes_are_those_of_the_formula(
            seed: u64, side in 1..12usize, both in prop::array::uniform2(prop::collection::vec(any::<u8>(), 12 * 12 * 3)),
            cutmix: bool,
        ) {
            let mix = if cutmix { Mix { mixup: 0.0, cutmix: 1.0 } } else { Mix { mixup: 0.4, cutmix: 0.0 } };
            mix.check().unwrap();
            let mixing = mix.draw(Stream::new(seed, 1, 0), side);
            let share = mixing.share(side);
            prop_assert!((0.0..=1.0).contains(&share));
            let own = &both[0][..side * side * 3];
            let other = &both[1][..side * side * 3];
            let to = Square { size: 14, left: 1, top: 2, side };
            let mut image = vec![0; 14 * 14 * 3];
            mix_into(mixing, own, other, to, &mut image);
            let mut others = 0;
            for y in 0..side {
                for (x, &found) in image[to.row(y)].iter().enumerate() {
                    let a = own[y * side * 3 + x];
                    let b = other[y * side * 3 + x];
                    match mixing {
                        Mixing::All(_) => {
                            let plain = f64::from(a) + f64::from(share) * (f64::from(b) - f64::from(a));
                            prop_assert!((f64::from(found) - plain).abs() <= 0.51, "{found} for {plain}");
                        }
                        Mixing::Part(area) => {
                            let inside = (area.left..area.left + area.width).contains(&(x / 3))
                                && (area.top..area.top + area.height).contains(&y);
                            prop_assert_eq!(found, if inside { b } else { a });
                            others += usize::from(inside);
                        }
                    }
                }
            }
            if let Mixing::Part(_) = mixing {
                prop_assert!((share - others as f32 / (3 * side * side) as f32).abs() < 1e-6);
            }
        }
    }
}

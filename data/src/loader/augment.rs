//! How training pictures are varied (paper, section 4.1).

use tensor::ops::View;
use tensor::random::{Stream, purpose, to_normals};

use crate::error::{Error, Result};
use crate::statistics::Statistics;

/// How training pictures are varied.
#[derive(Clone, Debug, PartialEq)]
pub struct Augment {
    /// Crop anywhere, each place as likely; otherwise the centre.
    pub random_crop: bool,
    /// Mirror left and right half of the time.
    pub mirror: bool,
    /// Shift all pixels of a picture along the principal components of colour.
    pub colour: Option<Colour>,
}

/// Colour noise: `p1 a1 s1 + p2 a2 s2 + p3 a3 s3` is added to every pixel of a picture, where `p` are the eigenvectors
/// of the pack's colour covariance, `a` is drawn once a picture and epoch from a normal distribution, and `s` follows
/// from the rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Colour {
    /// What the draws are multiplied by.
    pub rule: ColourRule,
    /// Standard deviation of the draws; 0.1 in the paper and in its authors' code.
    pub deviation: f32,
}

/// What the draws of colour noise are multiplied by. `l` are the eigenvalues for pixels of 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourRule {
    /// The paper's letter: the eigenvalues, with pixels and covariance on the scale of 0 to 1. On 0 to 255 that is
    /// `s = l / 255`: over ImageNet 58, 5 and 2 levels, so with a deviation of 0.1 the noise is about 6 levels.
    /// (Taken on 0 to 255, `s` would be 14,830 levels, and nothing would be left of the picture.)
    Paper,
    /// The authors' code: the standard deviations, `s = sqrt(l)`, over ImageNet 122, 37 and 20 levels; then the
    /// mean-free picture with its noise is divided by `1 + deviation`, so that it varies as much as one without.
    Source,
}

impl Colour {
    /// By component, what a standard normal draw of 1 adds to R, G and B.
    pub(super) fn shifts(&self, statistics: &Statistics) -> Result<[[f32; 3]; 3]> {
        if !self.deviation.is_finite() || self.deviation < 0.0 {
            return Err(Error::option("colour deviation", "0 or more", self.deviation));
        }
        let mut shifts = statistics.eigenvectors;
        for (shift, &eigenvalue) in shifts.iter_mut().zip(&statistics.eigenvalues) {
            let factor = match self.rule {
                ColourRule::Paper => eigenvalue / 255.0,
                ColourRule::Source => eigenvalue.sqrt(),
            };
            *shift = shift.map(|v| v * factor * self.deviation);
        }
        Ok(shifts)
    }
}

impl Augment {
    /// What is drawn for picture `index` of a pack in `epoch`, as a view of picture 0. `margin` is by how much a picture
    /// is larger than a crop.
    pub(super) fn draw(&self, seed: u64, epoch: u64, index: u64, margin: usize, colour: &[[f32; 3]; 3]) -> View {
        // Epoch and index have 32 bits each.
        let stream = Stream::new(seed, purpose::AUGMENT, epoch << 32 | index & 0xffff_ffff);
        let below = |word: u32, n: usize| ((u64::from(word) * n as u64) >> 32) as u32;
        let [left, top, mirror, _] = stream.block(0);
        let (left, top) = match self.random_crop {
            true => (below(left, margin + 1), below(top, margin + 1)),
            false => ((margin / 2) as u32, (margin / 2) as u32),
        };
        let mut draw = View::crop(0, left, top, self.mirror && mirror >> 31 == 1);
        if let Some(noise) = &self.colour {
            let [a, b, c, d] = stream.block(1);
            let ([x, y], [z, _]) = (to_normals([a, b]), to_normals([c, d]));
            for (normal, shift) in [x, y, z].into_iter().zip(colour) {
                for (sum, &part) in draw.shift.iter_mut().zip(shift) {
                    *sum += normal as f32 * part;
                }
            }
            if noise.rule == ColourRule::Source {
                draw.damping = 1.0 / (1.0 + noise.deviation);
            }
        }
        draw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(augment: &Augment, colour: &[[f32; 3]; 3], margin: usize, n: u64) -> Vec<View> {
        (0..n).map(|index| augment.draw(11, 3, index, margin, colour)).collect()
    }

    #[test]
    fn crops_and_mirrors_are_uniform() {
        let augment = Augment { random_crop: true, mirror: true, colour: None };
        let draws = draws(&augment, &[[0.0; 3]; 3], 4, 50_000);
        let mut places = [[0u32; 5]; 5];
        draws.iter().for_each(|d| places[d.top as usize][d.left as usize] += 1);
        // 2000 each, standard deviation 44.
        assert!(places.iter().flatten().all(|&n| n.abs_diff(2000) < 220), "{places:?}");
        let mirrored = draws.iter().filter(|d| d.mirror).count();
        assert!(mirrored.abs_diff(25_000) < 560, "{mirrored}");
        let both = draws.iter().filter(|d| d.mirror && d.left == 0).count();
        assert!(both.abs_diff(5_000) < 330, "{both}");
    }

    #[test]
    fn without_random_crop_the_centre_is_taken() {
        let augment = Augment { random_crop: false, mirror: false, colour: None };
        assert!(draws(&augment, &[[0.0; 3]; 3], 5, 100).iter().all(|d| *d == View::crop(0, 2, 2, false)));
    }

    #[test]
    fn the_shift_has_the_covariance_of_its_rule() {
        let statistics = crate::statistics::tests::example();
        for (rule, power) in [(ColourRule::Paper, 2), (ColourRule::Source, 1)] {
            let noise = Colour { rule, deviation: 0.1 };
            let augment = Augment { random_crop: false, mirror: false, colour: Some(noise) };
            let shifts = noise.shifts(&statistics).unwrap();
            let draws = draws(&augment, &shifts, 0, 40_000);
            // Sum over components of p p^T l (source) or p p^T (l / 255)^2 (paper), times the deviation squared.
            for i in 0..3 {
                for j in 0..3 {
                    let expected: f64 = (0..3)
                        .map(|k| {
                            let l = f64::from(statistics.eigenvalues[k]);
                            let factor = if power == 2 { (l / 255.0).powi(2) } else { l };
                            let p = statistics.eigenvectors[k].map(f64::from);
                            0.01 * factor * p[i] * p[j]
                        })
                        .sum();
                    let found = draws.iter().map(|d| f64::from(d.shift[i] * d.shift[j])).sum::<f64>() / 40_000.0;
                    let scale = 0.01 * (f64::from(statistics.eigenvalues[0]) / 255.0).powi(2).max(1.0);
                    let scale = if power == 2 { scale } else { 0.01 * f64::from(statistics.eigenvalues[0]) };
                    assert!((found - expected).abs() < 0.04 * scale, "{rule:?} {i} {j}: {found} for {expected}");
                }
            }
            let damping = if rule == ColourRule::Source { 1.0 / 1.1 } else { 1.0 };
            assert!(draws.iter().all(|d| (d.damping - damping).abs() < 1e-6));
        }
    }

    #[test]
    fn draws_differ_by_seed_epoch_and_index_only() {
        let augment = Augment { random_crop: true, mirror: true, colour: None };
        let draw = |seed, epoch, index| augment.draw(seed, epoch, index, 10_000, &[[0.0; 3]; 3]);
        assert_eq!(draw(1, 2, 3), draw(1, 2, 3));
        for other in [draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4)] {
            assert_ne!((other.left, other.top), (draw(1, 2, 3).left, draw(1, 2, 3).top));
        }
    }
}

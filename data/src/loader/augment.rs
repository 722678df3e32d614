//! How training images are varied (paper, section 4.1, and what came after it).

use tensor::ops::View;
use tensor::random::{Stream, purpose, to_normals};

use super::vary::{Erase, Jitter, Mix, ResizedCrop};
use crate::error::{Error, Result};
use crate::statistics::{Components, Statistics};

/// How training images are varied. The default varies nothing.
///
/// Crops, mirrors and [`Colour`] are the paper's; they cost nothing beside cutting the crop, and a device can do them.
/// The rest is done on the CPU, to the 8-bit pixels of the crop, in the order of the fields here; colour noise and the
/// mean come after it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Augment {
    /// Crop anywhere, each place as likely; otherwise the centre.
    pub random_crop: bool,
    /// Mirror left and right half of the time.
    pub mirror: bool,
    /// Shift all pixels of an image along the principal components of colour.
    pub colour: Option<Colour>,
    /// So many images that follow each other in an epoch have the same crop and mirror, as in the authors' code (128);
    /// 0 and 1: each has its own.
    pub shared: usize,
    /// In place of [`random_crop`](Self::random_crop): a random part of the image, resized to the crop.
    pub resized_crop: Option<ResizedCrop>,
    /// Change brightness, contrast, saturation and hue.
    pub jitter: Option<Jitter>,
    /// Put the mean colour over a random rectangle.
    pub erase: Option<Erase>,
    /// Mix each image, and its label, with the one before it in its batch.
    pub mix: Option<Mix>,
}

/// Colour noise: `p1 a1 s1 + p2 a2 s2 + p3 a3 s3` is added to every pixel of an image, where `p` are the eigenvectors
/// of the colour covariance, `a` is drawn once an image and epoch from a normal distribution, and `s` follows from the
/// rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Colour {
    /// What the draws are multiplied by.
    pub rule: ColourRule,
    /// Standard deviation of the draws; 0.1 in the paper and in its authors' code.
    pub deviation: f32,
    /// The eigenvalues and eigenvectors; none: the pack's own.
    pub components: Option<Components>,
}

/// What the draws of colour noise are multiplied by. `l` are the eigenvalues for pixels of 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourRule {
    /// The paper's letter: the eigenvalues, with pixels and covariance on the scale of 0 to 1. On 0 to 255 that is
    /// `s = l / 255`: over ImageNet 58, 5 and 2 levels, so with a deviation of 0.1 the noise is about 6 levels.
    /// (Taken on 0 to 255, `s` would be 14,830 levels, and nothing would be left of the image.)
    Paper,
    /// The authors' code: the standard deviations, `s = sqrt(l)`, over ImageNet 122, 37 and 20 levels; then the
    /// mean-free image with its noise is divided by `1 + deviation`, so that it varies as much as one without.
    Source,
}

impl Colour {
    /// By component, what a standard normal draw of 1 adds to R, G and B.
    pub(super) fn shifts(&self, statistics: &Statistics) -> Result<[[f32; 3]; 3]> {
        if !self.deviation.is_finite() || self.deviation < 0.0 {
            return Err(Error::option("colour deviation", "0 or more", self.deviation));
        }
        let components = self.components.unwrap_or_else(|| statistics.components());
        components.check()?;
        let mut shifts = components.eigenvectors;
        for (shift, &eigenvalue) in shifts.iter_mut().zip(&components.eigenvalues) {
            let factor = match self.rule {
                ColourRule::Paper => eigenvalue / 255.0,
                ColourRule::Source => eigenvalue.sqrt(),
            };
            *shift = shift.map(|v| v * factor * self.deviation);
        }
        Ok(shifts)
    }
}

/// Chunks of images draw from the far half of the purpose's range.
const CHUNKS: u32 = purpose::AUGMENT + 0x0800_0000;

impl Augment {
    /// Whether pixels are changed before the crop is handed on.
    pub(super) fn changes_pixels(&self) -> bool {
        self.resized_crop.is_some() || self.jitter.is_some() || self.erase.is_some() || self.mix.is_some()
    }

    /// Fails for options outside their range.
    pub(super) fn check(&self) -> Result<()> {
        self.resized_crop.as_ref().map_or(Ok(()), ResizedCrop::check)?;
        self.jitter.as_ref().map_or(Ok(()), Jitter::check)?;
        self.erase.as_ref().map_or(Ok(()), Erase::check)?;
        self.mix.as_ref().map_or(Ok(()), Mix::check)
    }

    /// What all draws for image `index` of a pack in `epoch` come from.
    pub(super) fn stream(seed: u64, epoch: u64, index: u64) -> Stream {
        // Epoch and index have 32 bits each.
        Stream::new(seed, purpose::AUGMENT, epoch << 32 | index & 0xffff_ffff)
    }

    /// What is drawn for an image that stands at `place` in the epoch, as a view of image 0. `margin` is by how much
    /// an image is larger than a crop.
    pub(super) fn draw(&self, at: Place, margin: usize, colour: &[[f32; 3]; 3]) -> View {
        let own = Self::stream(at.seed, at.epoch, at.index);
        let shared = match self.shared {
            0 | 1 => own,
            n => Stream::new(at.seed, CHUNKS, at.epoch << 32 | (at.place / n) as u64 & 0xffff_ffff),
        };
        let below = |word: u32, n: usize| ((u64::from(word) * n as u64) >> 32) as u32;
        let [left, top, mirror, _] = shared.block(0);
        let (left, top) = if self.random_crop && self.resized_crop.is_none() {
            (below(left, margin + 1), below(top, margin + 1))
        } else {
            ((margin / 2) as u32, (margin / 2) as u32)
        };
        let mut draw = View::crop(0, left, top, self.mirror && mirror >> 31 == 1);
        if let Some(noise) = &self.colour {
            let [a, b, c, d] = own.block(1);
            let [x, y] = to_normals([a, b]);
            let [z, _] = to_normals([c, d]);
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

/// Which image is drawn for, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub seed: u64,
    pub epoch: u64,
    /// In the pack.
    pub index: u64,
    /// In the epoch.
    pub place: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(augment: &Augment, colour: &[[f32; 3]; 3], margin: usize, n: u64) -> Vec<View> {
        let at = |index| Place { seed: 11, epoch: 3, index, place: index as usize };
        (0..n).map(|index| augment.draw(at(index), margin, colour)).collect()
    }

    #[test]
    fn crops_and_mirrors_are_uniform() {
        // Every image drawn for, or every hundredth with those after it.
        for shared in [0, 100] {
            let augment = Augment { random_crop: true, mirror: true, shared, ..Augment::default() };
            let n = if shared > 0 { 5_000_000 } else { 50_000 };
            let draws: Vec<View> = (0..n as u64)
                .step_by(shared.max(1))
                .map(|i| augment.draw(Place { seed: 11, epoch: 3, index: i, place: i as usize }, 4, &[[0.0; 3]; 3]))
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
    fn chunks_share_crop_and_mirror_and_not_the_colour() {
        let colour = Colour { rule: ColourRule::Source, deviation: 0.1, components: None };
        let augment =
            Augment { random_crop: true, mirror: true, colour: Some(colour), shared: 128, ..Augment::default() };
        let draws = draws(&augment, &[[1.0, 0.0, 0.0]; 3], 1000, 1280);
        let kinds: Vec<(u32, u32, bool)> = draws.iter().map(|d| (d.left, d.top, d.mirror)).collect();
        assert!(kinds.chunks(128).all(|chunk| chunk.iter().all(|kind| *kind == chunk[0])));
        assert!(kinds.chunks(128).zip(kinds.chunks(128).skip(1)).all(|(a, b)| a[0] != b[0]));
        assert!(draws.windows(2).all(|pair| pair[0].shift != pair[1].shift));
    }

    #[test]
    fn without_random_crop_the_centre_is_taken() {
        let augment = Augment::default();
        assert!(draws(&augment, &[[0.0; 3]; 3], 5, 100).iter().all(|d| *d == View::crop(0, 2, 2, false)));
    }

    #[test]
    fn the_shift_has_the_covariance_of_its_rule() {
        let statistics = crate::statistics::tests::example();
        let given = Components {
            eigenvalues: [14_830.0, 1375.0, 389.0],
            eigenvectors: [[0.6, 0.0, 0.8], [0.0, 1.0, 0.0], [0.8, 0.0, -0.6]],
        };
        for (rule, power, components) in
            [(ColourRule::Paper, 2, None), (ColourRule::Source, 1, None), (ColourRule::Source, 1, Some(given))]
        {
            let noise = Colour { rule, deviation: 0.1, components };
            let augment = Augment { colour: Some(noise), ..Augment::default() };
            let shifts = noise.shifts(&statistics).unwrap();
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
            let damping = if rule == ColourRule::Source { 1.0 / 1.1 } else { 1.0 };
            assert!(draws.iter().all(|d| (d.damping - damping).abs() < 1e-6));
        }
    }

    #[test]
    fn draws_differ_by_seed_epoch_and_index_only() {
        let augment = Augment { random_crop: true, mirror: true, ..Augment::default() };
        let draw =
            |seed, epoch, index, place| augment.draw(Place { seed, epoch, index, place }, 10_000, &[[0.0; 3]; 3]);
        assert_eq!(draw(1, 2, 3, 5), draw(1, 2, 3, 6));
        for other in [draw(2, 2, 3, 5), draw(1, 3, 3, 5), draw(1, 2, 4, 5)] {
            assert_ne!((other.left, other.top), (draw(1, 2, 3, 5).left, draw(1, 2, 3, 5).top));
        }
    }
}

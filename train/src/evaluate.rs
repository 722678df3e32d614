//! Top-1 and top-5 error over a pack (paper, section 4.1).

use std::sync::Arc;

use data::{Loader, LoaderOptions, Pack, Shuffle, Views};
use layers::Network;
use ndarray::Array2;
use serde::Serialize;
use tensor::{Backend, Tensor};

use crate::feed::{Feed, Preparer};
use crate::{Error, Result, Stop};

/// What a test showed. Errors are fractions of the images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Images tested.
    pub images: usize,
    /// Crops an image: 1 (centre) or 10 (corners, centre, and their mirrors; softmax averaged).
    pub crops: usize,
    /// Mean of -log(probability of the label), in nats.
    pub loss: f64,
    /// Fraction whose label was not the most probable class.
    pub top1_error: f64,
    /// Fraction whose label was not among the five most probable.
    pub top5_error: f64,
}

/// How to test.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the network expects of its images.
    pub input: data::Input,
    /// One crop or ten.
    pub views: Views,
    /// Images at a time.
    pub batch: usize,
    /// Threads for loading.
    pub threads: usize,
}

/// Tests a network on all images of a pack. `progress` is told how many are done.
///
/// # Errors
/// [`Error::Setting`] if the pack has more classes than the network; [`Error::Stopped`] when asked to end.
pub fn evaluate<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    pack: &Arc<Pack>,
    options: &Options,
    stop: &Stop,
    mut progress: impl FnMut(usize),
) -> Result<Evaluation> {
    let classes = network.model().classes;
    if pack.classes().len() > classes {
        let what = format!("the pack has {} classes, the network {classes}", pack.classes().len());
        return Err(Error::setting("--data", what));
    }
    let mut sums = Sums::default();
    let loader = Loader::new(Arc::clone(pack), options.input.clone(), loader_options(options))?;
    let preparer = Preparer::new(network.device(), loader.preparation())?;
    for batch in Feed::new(network.device(), &loader, 0, 0) {
        stop.check()?;
        let batch = batch?;
        let images = preparer.images(&batch.images, &batch.views)?;
        let probabilities = probabilities(network, images, options.views)?;
        for (row, &label) in probabilities.rows().into_iter().zip(&batch.labels) {
            sums.add(row.as_slice().unwrap_or(&[]), label as usize);
        }
        progress(sums.images);
    }
    Ok(sums.finish(options.views.count()))
}

/// The class probabilities of each image, `[n, classes]`: the softmax, averaged over the views of an image, which
/// are consecutive rows of `images`.
pub fn probabilities<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    images: Tensor<B>,
    views: Views,
) -> Result<Array2<f32>> {
    let softmax = network.predict(images)?.softmax()?;
    let [rows, classes] = [softmax.shape()[0], softmax.shape()[1]];
    let values = softmax.to_vec()?;
    let views = views.count();
    let factor = 1.0 / views as f32;
    let mut mean = Array2::zeros((rows / views, classes));
    for (row, values) in values.chunks_exact(classes).enumerate() {
        for (sum, &value) in mean.row_mut(row / views).iter_mut().zip(values) {
            *sum += value * factor;
        }
    }
    Ok(mean)
}

fn loader_options(options: &Options) -> LoaderOptions {
    LoaderOptions {
        batch: options.batch,
        shuffle: Shuffle::None,
        threads: options.threads,
        augment: None,
        views: options.views,
        ..LoaderOptions::default()
    }
}

#[derive(Default)]
struct Sums {
    images: usize,
    loss: f64,
    wrong1: usize,
    wrong5: usize,
}

impl Sums {
    fn add(&mut self, probabilities: &[f32], label: usize) {
        let p = probabilities[label];
        // Of equals the lower class comes first, as in `rank_of_label`; NaN never counts as a hit.
        let before = |(class, q): (usize, &f32)| !(*q < p || (*q == p && class >= label));
        let rank = probabilities.iter().enumerate().filter(|&(class, q)| before((class, q))).count();
        self.images += 1;
        self.loss -= f64::from(p.max(f32::MIN_POSITIVE)).ln();
        self.wrong1 += usize::from(rank > 0 || p.is_nan());
        self.wrong5 += usize::from(rank >= 5 || p.is_nan());
    }

    fn finish(self, crops: usize) -> Evaluation {
        let n = self.images.max(1) as f64;
        Evaluation {
            images: self.images,
            crops,
            loss: self.loss / n,
            top1_error: self.wrong1 as f64 / n,
            top5_error: self.wrong5 as f64 / n,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_hits_by_rank() {
        let mut sums = Sums::default();
        let probabilities = [0.05, 0.3, 0.1, 0.2, 0.15, 0.1, 0.1];
        sums.add(&probabilities, 1);
        sums.add(&probabilities, 3);
        // Class 6 ties with 2 and 5, which come first: rank 5.
        sums.add(&probabilities, 6);
        let result = sums.finish(1);
        assert_eq!((result.images, result.crops), (3, 1));
        assert!((result.top1_error - 2.0 / 3.0).abs() < 1e-12);
        assert!((result.top5_error - 1.0 / 3.0).abs() < 1e-12);
        let expected = -(0.3f32 as f64).ln() - (0.2f32 as f64).ln() - (0.1f32 as f64).ln();
        assert!((result.loss - expected / 3.0).abs() < 1e-9);
    }

    #[test]
    fn nan_is_never_a_hit() {
        let mut sums = Sums::default();
        sums.add(&[f32::NAN; 3], 0);
        assert_eq!(sums.finish(1).top5_error, 1.0);
    }
}

//! Top-1 and top-5 error over a pack (paper, section 4.1).

use std::sync::Arc;

use data::{CropAndNormalize, Loader, LoaderOptions, Pack, Shuffle, Views};
use layers::Network;
use ndarray::{Array2, ArrayView1};
use serde::Serialize;
use tensor::{Backend, Tensor};

use crate::device_loader::DeviceLoader;
use crate::{Error, Result, Stop};

/// Results of a test. Errors are fractions of the images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Number of images.
    pub images: usize,
    /// Crops per image: 1 (centre) or 10 (corners, centre, and their mirrors; softmax averaged).
    pub crops: usize,
    /// Mean of -log(probability of the label), in nats.
    pub loss: f64,
    /// Fraction of images whose label was not the most probable class.
    pub top1_error: f64,
    /// Fraction of images whose label was not among the five most probable classes.
    pub top5_error: f64,
}

/// Options of a test.
#[derive(Clone, Debug)]
pub struct Options {
    /// The network's input.
    pub input: CropAndNormalize,
    /// One crop or ten.
    pub views: Views,
    /// Images per batch.
    pub batch: usize,
    /// Number of loading threads.
    pub threads: usize,
}

/// Tests a network on all images of a pack. Calls `progress` with the number of images done.
///
/// # Errors
/// [`Error::Setting`] if the pack has more classes than the network; [`Error::NotFinite`] if the network's outputs are not
/// numbers; [`Error::Stopped`] if `stop` was requested.
pub fn evaluate<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    pack: &Arc<Pack>,
    options: &Options,
    stop: &Stop,
    mut progress: impl FnMut(usize),
) -> Result<Evaluation> {
    let classes = network.model().classes;
    if pack.classes().len() > classes {
        let what = format!("it has {} classes, the network {classes}", pack.classes().len());
        return Err(Error::setting("pack", what));
    }
    let mut sums = Sums::default();
    let loader = Loader::new(Arc::clone(pack), options.input.clone(), loader_options(options))?;
    let loader = DeviceLoader::new(network.device(), loader)?;
    for batch in loader.batches(0, 0) {
        stop.check()?;
        let batch = batch?;
        let probabilities = probabilities(network, loader.input(&batch)?, options.views)?;
        for (row, &label) in probabilities.rows().into_iter().zip(&batch.labels) {
            check_finite(row)?;
            sums.add(row.as_slice().unwrap_or(&[]), label as usize);
        }
        progress(sums.images);
    }
    Ok(sums.finish(options.views.count()))
}

/// The class probabilities of each image, `[n, classes]`: the softmax, averaged over the views of an image, which are
/// consecutive in `images`.
pub fn probabilities<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    images: Tensor<B>,
    views: Views,
) -> Result<Array2<f32>> {
    let softmax = network.predict(images)?.softmax()?;
    let rows = softmax.shape()[0];
    let classes = softmax.shape()[1];
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

/// Fails unless the probabilities of an image are numbers.
///
/// # Errors
/// [`Error::NotFinite`].
pub(crate) fn check_finite(probabilities: ArrayView1<f32>) -> Result<()> {
    match probabilities.iter().enumerate().find(|(_, probability)| !probability.is_finite()) {
        Some((class, &probability)) => Err(Error::NotFinite { class, probability }),
        None => Ok(()),
    }
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

/// Sums over the images.
#[derive(Default)]
struct Sums {
    images: usize,
    loss: f64,
    top1_errors: usize,
    top5_errors: usize,
}

impl Sums {
    fn add(&mut self, probabilities: &[f32], label: usize) {
        let p = probabilities[label];
        // Of equals the lower class comes first, as in `rank_of_label`.
        let before = |(class, q): (usize, &f32)| !(*q < p || (*q == p && class >= label));
        let rank = probabilities.iter().enumerate().filter(|&(class, q)| before((class, q))).count();
        self.images += 1;
        self.loss -= f64::from(p.max(f32::MIN_POSITIVE)).ln();
        self.top1_errors += usize::from(rank > 0);
        self.top5_errors += usize::from(rank >= 5);
    }

    fn finish(self, crops: usize) -> Evaluation {
        let n = self.images.max(1) as f64;
        Evaluation {
            images: self.images,
            crops,
            loss: self.loss / n,
            top1_error: self.top1_errors as f64 / n,
            top5_error: self.top5_errors as f64 / n,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        /// The rank of a label is its place in the classes sorted by falling probability, of equals the lower class first.
        #[test]
        fn hits_are_those_of_sorting(
            rows in proptest::collection::vec((proptest::collection::vec(0u8..6, 7), 0usize..7), 1..20),
        ) {
            let mut sums = Sums::default();
            let mut expected = [0; 2];
            let mut loss = 0.0;
            for (row, label) in &rows {
                let row: Vec<f32> = row.iter().map(|&v| (f32::from(v) + 0.5) / 8.0).collect();
                sums.add(&row, *label);
                let mut order: Vec<usize> = (0..7).collect();
                order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
                let rank = order.iter().position(|class| class == label).unwrap();
                expected[0] += usize::from(rank > 0);
                expected[1] += usize::from(rank > 4);
                loss -= f64::from(row[*label]).ln();
            }
            let n = rows.len() as f64;
            let result = sums.finish(10);
            prop_assert_eq!((result.images, result.crops), (rows.len(), 10));
            prop_assert_eq!([result.top1_error, result.top5_error], expected.map(|count| count as f64 / n));
            prop_assert!((result.loss - loss / n).abs() < 1e-9);
        }
    }
}

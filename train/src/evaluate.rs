//! Tests on all images of a data set: class probabilities, of one network or averaged over several, and errors (paper,
//! section 4.1).

use std::sync::Arc;

use classification::{Classification, Outcome, scale_probabilities};
use data::{CropAndNormalize, Dataset, Loader, LoaderOptions, Pack, Shuffle, Views};
use layers::Network;

use ndarray::{Array1, Array2, ArrayView1};
use serde::Serialize;
use tensor::ops::InputTransform;
use tensor::{Backend, Tensor};

use crate::device_loader::DeviceLoader;
use crate::{Error, Result, Stop};

/// Results of a test. Errors are fractions of the images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Number of images.
    pub images: usize,
    /// Crops per image: 1 (centre) or 10 (corners, centre, and their mirrors; softmax averaged). Of a dense network, 2:
    /// the whole image and its mirror image.
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
    /// One crop or several.
    pub views: Views,
    /// Crops per batch. Of ten crops an image, a batch has a tenth as many images, and at least one.
    pub batch: usize,
    /// Number of loading threads.
    pub threads: usize,
}

/// A network of an ensemble.
#[derive(Debug)]
pub struct Member<'a, B: Backend> {
    /// The network.
    pub network: &'a Network<B>,
    /// Its input.
    pub input: CropAndNormalize,
}

impl<B: Backend> Clone for Member<'_, B> {
    fn clone(&self) -> Self {
        Self { network: self.network, input: self.input.clone() }
    }
}

/// Predictions for a batch of images.
#[derive(Debug)]
pub struct BatchPredictions<'a> {
    /// Index of each image in the data set.
    pub indices: &'a [u64],
    /// Label of each image.
    pub labels: &'a [u32],
    /// `[n, classes]`: the softmax, averaged over crops and networks.
    pub probabilities: &'a Array2<f32>,
}

/// Tests a network on all images of a pack. Calls `progress` with the number of images done.
///
/// # Errors
/// Those of [`predict_all`].
pub fn evaluate<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    pack: &Arc<Pack>,
    options: &Options,
    stop: &Stop,
    mut progress: impl FnMut(usize),
) -> Result<Evaluation> {
    let mut test = Classification::new(network.model().classes);
    let members = [Member { network, input: options.input.clone() }];
    predict_all(&members, Arc::clone(pack) as Arc<dyn Dataset>, options, stop, |batch| {
        for (row, &label) in batch.probabilities.rows().into_iter().zip(batch.labels) {
            count(&mut test, label, row)?;
        }
        progress(test.images());
        Ok(())
    })?;
    Ok(Evaluation::of(&test, options.views))
}

/// Counts an image of a test.
///
/// # Errors
/// [`Error::NotFinite`] if the probabilities are not numbers.
pub fn count(test: &mut Classification, label: u32, probabilities: ArrayView1<f32>) -> Result<Outcome> {
    check_finite(probabilities)?;
    let row = probabilities.to_vec();
    test.add(label as usize, &row).map_err(|error| Error::setting("data", error.to_string()))
}

impl Evaluation {
    /// The results of a test with these crops.
    pub fn of(test: &Classification, views: Views) -> Self {
        let figures = test.figures();
        Self {
            images: test.images(),
            crops: views.count(),
            loss: figures.loss,
            top1_error: figures.top1_error,
            top5_error: figures.top5_error,
        }
    }
}

/// Predicts all images of a data set in order, each once, with the averaged probabilities of all members, in one pass over
/// the data. Calls `visit` with each batch. The input of `options` is not used. Memory does not grow with the data set.
///
/// # Errors
/// [`Error::Setting`] if there is no member, if members have different numbers of classes, or if the data set has more
/// classes; [`Error::Stopped`] if `stop` was requested; errors of `visit`.
pub fn predict_all<B: Backend<Scalar = f32>>(
    members: &[Member<'_, B>],
    dataset: Arc<dyn Dataset>,
    options: &Options,
    stop: &Stop,
    mut visit: impl FnMut(BatchPredictions<'_>) -> Result<()>,
) -> Result<()> {
    check_classes(members, dataset.classes().len())?;
    // A loader may decode no more of an image than its own crop.
    let Some(largest) = members.iter().max_by_key(|member| member.input.crop) else { return Ok(()) };
    let size = dataset.size();
    let device = largest.network.device();
    let loader = DeviceLoader::new(device, Loader::new(dataset, largest.input.clone(), loader_options(options))?)?;
    let transforms: Vec<_> =
        members.iter().map(|member| InputTransform::new(device, &member.input)).collect::<tensor::Result<_>>()?;
    for batch in loader.batches(0, 0) {
        let batch = batch?;
        let probabilities = mean_over(members, |number, member| {
            stop.check()?;
            let images = 0..batch.labels.len() as u32;
            let crops: Vec<_> = images.flat_map(|i| options.views.crops(size, member.input.crop, i)).collect();
            let input = loader.input_with(&batch, &transforms[number], &crops)?;
            probabilities(member.network, input, options.views)
        })?;
        visit(BatchPredictions { indices: &batch.indices, labels: &batch.labels, probabilities: &probabilities })?;
    }
    Ok(())
}

/// The mean of the members' probabilities, which `compute` gives for each.
pub(crate) fn mean_over<'a, B: Backend>(
    members: &[Member<'a, B>],
    mut compute: impl FnMut(usize, &Member<'a, B>) -> Result<Array2<f32>>,
) -> Result<Array2<f32>> {
    let share = 1.0 / members.len() as f32;
    let mut mean: Option<Array2<f32>> = None;
    for (number, member) in members.iter().enumerate() {
        let own = compute(number, member)? * share;
        mean = Some(match mean {
            None => own,
            Some(sum) => sum + own,
        });
    }
    Ok(mean.unwrap_or_default())
}

fn check_classes<B: Backend>(members: &[Member<'_, B>], found: usize) -> Result<()> {
    let Some(first) = members.first() else { return Err(Error::setting("weights", "expected at least one network")) };
    let classes = first.network.model().classes;
    if let Some(other) = members.iter().map(|member| member.network.model().classes).find(|other| *other != classes) {
        let what = format!("the networks have {classes} and {other} classes: their predictions cannot be averaged");
        return Err(Error::setting("weights", what));
    }
    if found > classes {
        return Err(Error::setting("pack", format!("it has {found} classes, the network {classes}")));
    }
    Ok(())
}

/// The class probabilities of each image, `[n, classes]`: the softmax, averaged over the views of an image, which are
/// consecutive in `images`, and over the positions of a [dense network](Network::dense).
pub fn probabilities<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    images: Tensor<B>,
    views: Views,
) -> Result<Array2<f32>> {
    let count = images.shape()[0] / views.count();
    let softmax = softmax_of_each(network.predict(images)?)?;
    let classes = softmax.shape()[1];
    let rows_per_image = softmax.shape()[0] / count.max(1);
    let values = softmax.to_vec()?;
    let factor = 1.0 / rows_per_image as f32;
    let mut mean = Array2::zeros((count, classes));
    for (row, values) in values.chunks_exact(classes).enumerate() {
        for (sum, &value) in mean.row_mut(row / rows_per_image).iter_mut().zip(values) {
            *sum += value * factor;
        }
    }
    Ok(mean)
}

/// The softmax `[rows, classes]` of logits `[n, classes]`, or of those of a dense network, `[n, rows, columns, classes]`.
pub(crate) fn softmax_of_each<B: Backend>(logits: Tensor<B>) -> Result<Tensor<B>> {
    let classes = logits.shape().last().copied().unwrap_or(1);
    let rows = logits.len() / classes.max(1);
    Ok(logits.reshape(&[rows, classes])?.softmax()?)
}

/// Divides the logits behind the probabilities of each image by a temperature (see [`scale_probabilities`]).
pub fn with_temperature(mut probabilities: Array2<f32>, temperature: f64) -> Array2<f32> {
    if temperature == 1.0 {
        return probabilities;
    }
    for mut row in probabilities.rows_mut() {
        let mut values = row.to_vec();
        scale_probabilities(&mut values, temperature);
        row.assign(&Array1::from(values));
    }
    probabilities
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

pub(crate) fn loader_options(options: &Options) -> LoaderOptions {
    LoaderOptions {
        batch: (options.batch / options.views.count()).max(1),
        shuffle: Shuffle::None,
        threads: options.threads,
        augment: None,
        views: options.views,
        ..LoaderOptions::default()
    }
}

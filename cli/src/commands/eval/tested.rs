//! The test of networks on a data set, for `eval`, `report` and `demo`.

use std::sync::Arc;

use data::{Dataset, Views};
use tensor::Backend;
use train::classification::Classification;
use train::evaluate::{BatchPredictions, Member, Options, count, predict_all, with_temperature};
use train::{Result, Stop};

use super::report::EvaluationReport;
use super::sheets::SheetImages;
use crate::console::Bar;

/// The networks of a test, at least one, and its images.
pub struct TestInput<'a, B: Backend> {
    /// Networks whose predictions are averaged.
    pub members: &'a [Member<'a, B>],
    /// Names of the classes to print; empty if there are none.
    pub names: &'a [String],
    pub dataset: Arc<dyn Dataset>,
    pub views: Views,
    /// Temperature that the logits of the averaged probabilities are divided by.
    pub temperature: f64,
    pub batch: usize,
    pub threads: usize,
}

/// The results of a test.
pub struct Tested {
    pub report: EvaluationReport,
    pub classification: Classification,
    /// Images to show; none if they were not wanted.
    pub examples: SheetImages,
}

/// Tests networks on all images, with a progress bar. Calls `visit` with each batch.
///
/// # Errors
/// Those of [`predict_all`] and of `visit`.
pub fn test<B: Backend<Scalar = f32>>(
    label: &'static str,
    input: &TestInput<'_, B>,
    wants_examples: bool,
    seed: u64,
    mut visit: impl FnMut(&BatchPredictions<'_>) -> Result<()>,
) -> Result<Tested> {
    let TestInput { members, names, dataset, views, temperature, batch, threads } = input;
    let options = Options { input: members[0].input.clone(), views: *views, batch: *batch, threads: *threads };
    let mut classification = Classification::new(members[0].network.model().classes).fitting_temperature();
    let mut examples = SheetImages::new(wants_examples);
    let bar = Bar::new(label, "images", dataset.len() as u64);
    predict_all(members, Arc::clone(dataset), &options, &Stop::default(), |batch| {
        let scaled = (*temperature != 1.0).then(|| with_temperature(batch.probabilities.clone(), *temperature));
        let batch = BatchPredictions { probabilities: scaled.as_ref().unwrap_or(batch.probabilities), ..batch };
        let images = batch.indices.iter().zip(batch.labels);
        for ((&index, &label), row) in images.zip(batch.probabilities.rows()) {
            let outcome = count(&mut classification, label, row)?;
            examples.offer(index, label, &outcome, row, names);
        }
        visit(&batch)?;
        bar.set_with_rate(classification.images() as u64, "images");
        Ok(())
    })?;
    bar.finish();
    let report = EvaluationReport::new(members.len(), *views, names, &classification, seed);
    Ok(Tested { report, classification, examples })
}

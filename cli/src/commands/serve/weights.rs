//! The weights that are served, and newer ones of a run that trains.

use std::path::{Path, PathBuf};

use serve::{Classifier, Renewal};
use tensor::Backend;
use train::load::CheckpointChoice;
use train::run as run_folder;

use crate::args::NetworkArgs;
use crate::commands::trained::{self, LoadedModels};
use crate::console::note;
use crate::failure::Result;

/// The step of the checkpoint that a run's weights are taken from, as far as it is known without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightsStep(Option<u64>);

impl WeightsStep {
    /// The step of the checkpoint of this choice; none if there is none, or the system does not say.
    pub fn of(run: &Path, choice: CheckpointChoice) -> Self {
        let best = || run_folder::best(run).ok().flatten().map(|best| best.step);
        let newest = || Some(run_folder::checkpoints(run).ok()?.last()?.0);
        Self(match choice {
            CheckpointChoice::Best => best(),
            CheckpointChoice::Newest => newest(),
            CheckpointChoice::BestOrNewest => best().or_else(newest),
        })
    }
}

/// The classifier of loaded weights on a device, with the file that they come from.
pub fn classifier<B: Backend<Scalar = f32>>(models: LoadedModels, device: &B) -> Result<(Classifier<B>, PathBuf)> {
    let views = models.views;
    let temperature = models.temperature;
    let model = models.into_device(device)?.into_first();
    let input = model.input(model.network.model().input.size)?;
    let classifier = Classifier {
        network: model.network,
        input,
        views,
        temperature,
        classes: model.printed_classes,
        exif_orientation: model.exif_orientation,
        weights: model.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        gallery: None,
    };
    Ok((classifier, model.path))
}

/// Loads the weights of a run's later checkpoints, from that of `last` on.
pub fn renewal<B: Backend<Scalar = f32>>(network: NetworkArgs, device: B, mut last: WeightsStep) -> Renewal<B> {
    let choice = network.checkpoint.choice();
    Box::new(move || {
        let now = WeightsStep::of(&network.weights[0], choice);
        if now == last {
            return None;
        }
        last = now;
        let loaded = trained::read(&network).and_then(|models| classifier(models, &device));
        match loaded {
            Ok((classifier, _)) => Some(classifier),
            Err(error) => {
                note(&format!("note: the weights before are kept: {}", error.message()));
                None
            }
        }
    })
}

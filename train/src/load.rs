//! Finding weights: in a file, a checkpoint, or a run's newest checkpoint.

use std::fs;
use std::path::{Path, PathBuf};

use data::Views;
use layers::weights::Weights;
use layers::{Model, Network};
use tensor::Backend;

use crate::checkpoint::Checkpoint;
use crate::compare::Difference;
use crate::input::PackMeans;
use crate::memory::{self, Work};
use crate::{Error, Result, run};

/// Weights and the file they came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file.
    pub path: PathBuf,
    /// Parameters, network, classes and means.
    pub weights: Weights,
}

/// Loads weights from a file or from a run's folder; `model` says what they are for where the file does not, and else must be
/// the same network. `warn` is told of checkpoints that had to be passed over.
///
/// # Errors
/// [`Error::File`] or [`Error::Layers`] that names the file and what is wrong with it; [`Error::Setting`] if it holds weights of
/// another network than `model`.
pub fn weights(path: &Path, model: Option<&Model>, warn: &mut dyn FnMut(String)) -> Result<Loaded> {
    let metadata = fs::metadata(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    if metadata.is_dir() {
        let (path, checkpoint) = newest_checkpoint(path, warn)?
            .ok_or_else(|| Error::file(path, "holds no checkpoint yet: train further, or name a weights file"))?;
        return Loaded { path, weights: checkpoint.weights }.of(model);
    }
    let weights = match model {
        Some(model) => Weights::load_else_for(path, model)?,
        None => Weights::load(path)?,
    };
    Loaded { path: path.to_path_buf(), weights }.of(model)
}

/// The newest whole checkpoint of a run; damaged ones are told to `warn` and passed over.
///
/// # Errors
/// [`Error::File`] if `folder` is no run, if there are checkpoints and all are damaged, or if the system cannot list them
/// or read one, which may be as good as ever when the cause is gone.
pub fn newest_checkpoint(folder: &Path, warn: &mut dyn FnMut(String)) -> Result<Option<(PathBuf, Checkpoint)>> {
    let settings = folder.join("run.toml");
    if !settings.try_exists().map_err(|e| Error::file(&settings, format!("cannot be looked at: {e}")))? {
        return Err(Error::file(folder, "is a folder but not a run (no run.toml)"));
    }
    let mut last = None;
    for (_, path) in run::checkpoints(folder)?.into_iter().rev() {
        match Checkpoint::load(&path) {
            Ok(checkpoint) => return Ok(Some((path, checkpoint))),
            Err(error) if error.is_of_the_system() => {
                let what = format!("{error}; try again, or move this file away to go on from the checkpoint before it");
                return Err(Error::file(folder, what));
            }
            Err(error) => {
                warn(format!("{error}; trying the checkpoint before it"));
                last = Some(error);
            }
        }
    }
    last.map_or(Ok(None), Err)
}

impl Loaded {
    /// Fails if these are weights of another network than `model`.
    fn of(self, model: Option<&Model>) -> Result<Self> {
        let (Some(own), Some(asked)) = (&self.weights.model, model) else { return Ok(self) };
        let Some(Difference { place, first, second }) = Difference::between(own, asked) else { return Ok(self) };
        let what = format!(
            "the network {:?} differs from {:?}, whose weights {} holds: {place}{first} there, {second} in --model; leave --model \
             out",
            asked.name,
            own.name,
            self.path.display(),
        );
        Err(Error::setting("--model", what))
    }

    /// The network with these weights.
    ///
    /// # Errors
    /// [`Error::File`] if the file does not say which network it is for.
    pub fn network<B: Backend<Scalar = f32>>(&self, device: &B) -> Result<Network<B>> {
        let model = self.model()?;
        Ok(Network::with_parameters(device, model, &self.path.display().to_string(), &self.weights.tensors)?)
    }

    /// Fails, before the weights are brought there, unless `device` has the memory to test so many images.
    ///
    /// # Errors
    /// [`Error::Setting`] with what is needed and free, and the largest batch that fits; [`Error::File`] as
    /// [`network`](Self::network).
    pub fn check_memory<B: Backend<Scalar = f32>>(
        &self,
        device: &B,
        images: usize,
        views: Views,
        batch: usize,
    ) -> Result<()> {
        let work = Work { model: self.model()?, training: None, evaluation: Some((images, views)) };
        memory::check(device, &work, batch)
    }

    fn model(&self) -> Result<&Model> {
        let missing = || Error::file(&self.path, "does not say which network it is for; name it with --model");
        self.weights.model.as_ref().ok_or_else(missing)
    }

    /// The means of the pack that the weights were trained on, where the file has them.
    pub fn means(&self) -> PackMeans {
        PackMeans { rgb: self.weights.mean_rgb, image: self.weights.mean_image.clone() }
    }
}

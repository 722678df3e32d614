//! A trained network, as `eval` and `predict` take it.

use data::{Pack, Views};
use layers::Network;
use tensor::{Algorithms, Backend};
use train::load::{self, Loaded};
use train::{PackMeans, input};

use super::device::{self, Opened};
use crate::args;
use crate::console::note;
use crate::failure::{Failure, Result};

/// Weights that `--weights` names, and where and how to use them.
pub struct Ready {
    loaded: Loaded,
    pub views: Views,
    pub threads: usize,
}

/// A network with what it expects of images.
pub struct Trained<B: Backend> {
    pub network: Network<B>,
    /// Names of the classes; empty where the weights come without.
    pub classes: Vec<String>,
    means: PackMeans,
    /// Whether the images of the training were turned as their EXIF orientation says.
    pub exif_orientation: bool,
}

/// Loads what `--weights` names, then opens the device.
pub fn load(args: &args::Trained) -> Result<(Ready, Opened)> {
    let model = args.model.as_deref().map(layers::Model::load).transpose()?;
    let loaded = load::weights(&args.weights, model.as_ref(), &mut |warning| note(&format!("note: {warning}")))?;
    let threads = args.place.threads.unwrap_or_else(device::all_threads);
    let views = if args.crops == "10" { Views::Ten } else { Views::Centre };
    let opened = device::open(&args.place.device, &args.place.precision, threads, Algorithms::default())?;
    Ok((Ready { loaded, views, threads }, opened))
}

impl Ready {
    /// Fails unless the device has the memory to test so many images.
    pub fn check_memory<B: Backend<Scalar = f32>>(&self, device: &B, images: usize, batch: usize) -> Result<()> {
        Ok(self.loaded.check_memory(device, images, self.views, batch)?)
    }

    /// The network on a device.
    pub fn on<B: Backend<Scalar = f32>>(self, device: &B) -> Result<Trained<B>> {
        let network = self.loaded.network(device)?;
        let means = self.loaded.means();
        let weights = self.loaded.weights;
        Ok(Trained { network, means, exif_orientation: weights.exif_orientation, classes: weights.classes })
    }
}

impl<B: Backend> Trained<B> {
    /// What the loader does to pixels of stored squares of `size`.
    pub fn input(&self, size: usize) -> Result<data::CropAndNormalize> {
        Ok(input::crop_and_normalize(&self.network.model().input, &self.means, size)?)
    }

    /// Says so if the pack's images were turned otherwise than those of the training.
    pub fn compare_orientation(&self, pack: &Pack) {
        let said = |turned: bool| if turned { "with" } else { "without" };
        if pack.exif_orientation() != self.exif_orientation {
            let now = said(pack.exif_orientation());
            let before = said(self.exif_orientation);
            let what = format!("packed {now} --exif-orientation, the pack of the training {before}");
            note(&format!("note: --data: {what}; images that a camera turned may look different to the network"));
        }
    }

    /// Fails unless the pack's images have the size of those of the training: the network would see them at another scale.
    pub fn check_size(&self, pack: &Pack) -> Result<()> {
        let found = pack.size();
        let trained = self.network.model().input.size;
        if found == trained {
            return Ok(());
        }
        let what =
            format!("its images have {found} pixels a side, the network was trained on {trained} (its input.size)");
        Err(Failure::Usage(format!("--data: {what}; pack again with --size {trained}")))
    }

    /// Fails unless the pack has the classes that the network was trained on.
    pub fn check_classes(&self, found: &[String]) -> Result<()> {
        if self.classes.is_empty() {
            let classes = self.network.model().classes;
            if found.len() != classes {
                let what = format!("--data: the pack has {} classes, the network {classes}", found.len());
                return Err(Failure::Usage(what));
            }
            return Ok(());
        }
        Ok(input::check_classes("--data", &self.classes, found)?)
    }
}

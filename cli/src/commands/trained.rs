//! A trained network, as `eval` and `predict` take it.

use layers::Network;
use tensor::Cpu;
use train::input::{self, PackMeans};
use train::load;

use super::device;
use crate::args::Trained;
use crate::console::note;
use crate::failure::{Failure, Result};
use data::Views;

/// A network with what it expects of pictures.
pub struct Ready {
    pub network: Network<Cpu<f32>>,
    /// Names of the classes; empty where the weights come without.
    pub classes: Vec<String>,
    pub means: PackMeans,
    pub views: Views,
    pub threads: usize,
}

/// Loads what `--weights` names.
pub fn load(args: &Trained) -> Result<Ready> {
    let model = args.model.as_deref().map(layers::Model::load).transpose()?;
    let loaded = load::weights(&args.weights, model.as_ref(), &mut |warning| note(&format!("note: {warning}")))?;
    let threads = args.place.threads.unwrap_or_else(device::all_threads);
    let cpu = device::open(&args.place.device, threads)?;
    Ok(Ready {
        network: loaded.network(&cpu)?,
        means: loaded.means(),
        classes: loaded.weights.classes,
        views: if args.crops == "10" { Views::Ten } else { Views::Centre },
        threads,
    })
}

impl Ready {
    /// What the loader does to pixels of stored squares of `size`.
    pub fn input(&self, size: usize) -> Result<data::Input> {
        Ok(input::pixels(&self.network.model().input, &self.means, size)?)
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

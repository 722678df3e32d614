//! A run that is about to start: its packs, network and settings, checked before anything is written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use data::Pack;
use files::regular_file;
use layers::Model;
use tensor::{Backend, Cpu};
use toml::Table;
use train::config::keys;
use train::memory::{self, Workload};
use train::run::Run;
use train::starting_weights::StartingWeights;
use train::trainer::Trainer;
use train::{Config, Packs, input};

use crate::console::{count, note};
use crate::failure::{Failure, Result};

/// The origin of the batch size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchChoice {
    /// The user or the program gave it.
    Given,
    /// The default, of the network's file or of the program.
    Default,
    /// The largest that fits the device and the pack.
    Largest,
}

impl BatchChoice {
    /// The choice of the command line.
    pub fn new(is_automatic: bool, is_given: bool) -> Self {
        match (is_automatic, is_given) {
            (true, _) => Self::Largest,
            (_, true) => Self::Given,
            _ => Self::Default,
        }
    }

    /// Makes a batch size that nobody asked for at most the number of images.
    fn fit(self, batch: &mut usize, images: usize) {
        if self == Self::Given || *batch <= images {
            return;
        }
        if self == Self::Default {
            let default = *batch;
            let images = count(images as u64, "image");
            note(&format!(
                "note: the batch is all {images} of the pack, since the default of {default} is more (--batch)"
            ));
        }
        *batch = images;
    }
}

/// A new run, checked as far as possible without its device.
pub struct PreparedRun {
    pub config: Config,
    pub model: Model,
    pub packs: Packs,
    pub folder: PathBuf,
    batch: BatchChoice,
}

impl PreparedRun {
    /// Prepares a run in `out`, or in the next free folder under `runs`, without writing anything.
    pub fn new(mut config: Config, mut model: Model, out: Option<&Path>, batch: BatchChoice) -> Result<Self> {
        let packs = open_packs(&config)?;
        batch.fit(&mut config.run.batch, packs.train.len());
        if let Some(text) = config.data.resolve(&packs.train)? {
            note(&format!("note: {text}"));
        }
        if let Some(text) = replaced_by_pack(&config.model.name, &model, &packs.train) {
            note(&format!("note: {text}"));
        }
        input::fit_to_pack(&mut model, &packs.train)?;
        config.model.apply_to(&mut model)?;
        if !config.model.freeze.is_empty() && config.model.weights.is_none() {
            note("note: frozen layers keep their random initial values, since there is no --weights");
        }
        let folder = match out {
            Some(folder) => folder.to_path_buf(),
            None => next_folder(&model.name)?,
        };
        Trainer::<Cpu<f32>>::check(&config, &model, &packs)?;
        let weights = StartingWeights::load(&config.model, &model)?;
        for text in weights.iter().flat_map(|weights| weights.notes(&model, packs.train.classes())) {
            note(&format!("note: {text}"));
        }
        if let Some(weights) = weights {
            if let Some(text) = weights.optimizer_note(&config, &model)? {
                note(&format!("note: {text}"));
            }
            config.model.reinit = weights.reinit().to_vec().into();
        }
        Ok(Self { config, model, packs, folder, batch })
    }

    /// With `--auto-batch`, takes the largest batch that fits the device.
    pub fn choose_batch<B: Backend<Scalar = f32>>(&mut self, device: &B) -> Result<()> {
        if self.batch != BatchChoice::Largest {
            return Ok(());
        }
        let images = self.packs.train.len();
        let work = Workload::of_run(&self.model, &self.config, &self.packs);
        let largest = memory::largest_batch(device, &work, images)?;
        if largest > 0 {
            self.config.run.batch = largest;
            let limit = if largest == images { "all images of the pack" } else { "the largest that fits the memory" };
            note(&format!("note: the batch size is {largest}, {limit} (--auto-batch)"));
        }
        Ok(())
    }

    /// Creates the folder of the run, unless the device has too little memory for it.
    pub fn create<B: Backend<Scalar = f32>>(mut self, device: &B) -> Result<Trainer<B>> {
        self.choose_batch(device)?;
        Trainer::check_memory(device, &self.config, &self.model, &self.packs)?;
        let run = Run::create(&self.folder, &self.config, &self.model)?;
        Ok(Trainer::new(run, device, &self.model, self.packs, None)?)
    }
}

/// A note on settings of the network file that the pack replaces.
fn replaced_by_pack(network: &str, model: &Model, pack: &Pack) -> Option<String> {
    let text = Model::preset_text(network).map(str::to_string).or_else(|_| regular_file::read_text(Path::new(network)));
    let file: Table = text.ok()?.parse().ok()?;
    let mut replaced = Vec::new();
    if model.input.size != pack.size() && keys::value(&file, "input.size").is_some() {
        replaced.push(format!("its images of {} pixels a side replace input.size = {}", pack.size(), model.input.size));
    }
    if model.classes != pack.classes().len() && file.contains_key("classes") {
        replaced.push(format!("its {} classes replace classes = {}", pack.classes().len(), model.classes));
    }
    // A crop of less than half its share of the side sees less than a quarter of its share of the area.
    if 2 * model.input.size < pack.size() {
        let what = "so the network sees little of each image: pack with";
        replaced.push(format!("its crop stays {} pixels, {what} --size {}", model.input.crop, model.input.size));
    }
    let what = format!("the network is fitted to the pack of --data: {}, as {network} says", replaced.join("; "));
    (!replaced.is_empty()).then_some(what)
}

pub fn open_packs(config: &Config) -> Result<Packs> {
    let train = Arc::new(Pack::open(&config.data.train)?);
    let val = config.data.val.as_deref().map(Pack::open).transpose()?.map(Arc::new);
    if val.as_ref().is_some_and(|val| val.fingerprint() == train.fingerprint()) {
        note("note: --val has the same images as --data: its errors say nothing of new images");
    }
    Ok(Packs::new(train).with_open_val(val))
}

/// The next free folder `runs/MODEL-N`.
fn next_folder(model: &str) -> Result<PathBuf> {
    let mut number = 1;
    loop {
        let folder = Path::new("runs").join(format!("{model}-{number}"));
        let taken = folder.symlink_metadata();
        match taken {
            Ok(_) => number += 1,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(folder),
            Err(e) => {
                return Err(Failure::Failed(format!(
                    "{}: cannot be accessed: {e}; name a folder by --out",
                    folder.display()
                )));
            }
        }
    }
}

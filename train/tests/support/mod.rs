//! A small set of images, a small network, and runs of it.
#![allow(dead_code)]

pub mod loops;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alexnet_train::run::Run;
use alexnet_train::trainer::{RunEvent, Trainer};
use alexnet_train::{Config, Packs, Result, Stop, input, load};
use data::Pack;
use layers::Model;
use tensor::{Backend, Cpu};

/// Dropout, LRN and overlapping pooling on 8 x 8 crops, with results that a resume must reproduce.
pub const MODEL: &str = r#"
name = "small"
about = "A small network of every kind of layer that training treats in its own way."
classes = 3
[input]
size = 10
crop = 8
mean = "pack-image"
scale = 0.02
[[layer]]
name = "conv1"
kind = "conv"
filters = 4
kernel = 3
padding = 1
init = { kind = "normal", std = 0.2 }
[[layer]]
name = "relu1"
kind = "relu"
[[layer]]
name = "norm1"
kind = "lrn"
size = 3
alpha = 0.01
beta = 0.75
k = 2.0
[[layer]]
name = "pool1"
kind = "max-pool"
kernel = 3
stride = 2
[[layer]]
name = "fc2"
kind = "linear"
units = 16
init = { kind = "normal", std = 0.2 }
[[layer]]
name = "relu2"
kind = "relu"
[[layer]]
name = "drop2"
kind = "dropout"
p = 0.5
scale = "at-test"
[[layer]]
name = "fc3"
kind = "linear"
units = "classes"
init = { kind = "normal", std = 0.2 }
"#;

/// Settings whose state a resume must restore: momentum, a plateau schedule, and checkpoints within an epoch.
pub const SETTINGS: &str = r#"
[data]
colour = "alexnet-code"
[optim]
lr = 0.05
schedule = "plateau"
patience = 1
threshold = 0.5
[run]
epochs = 3
batch = 7
threads = 1
keep_checkpoints = 100
checkpoint_steps = 2
"#;

/// A temporary folder with packs `train.pack` (24 images of three classes) and `val.pack` (9).
pub struct World {
    pub folder: tempfile::TempDir,
    pub packs: Packs,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let val = Arc::new(pack(folder.path(), "val", 3));
        let packs = Packs::new(Arc::new(pack(folder.path(), "train", 8))).with_open_val(Some(val));
        Self { folder, packs }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A run's configuration: [`SETTINGS`] and `more`.
    pub fn config(&self, more: &str) -> Config {
        let paths = format!(
            "[data]\ntrain = '{}'\nval = '{}'",
            self.path("train.pack").display(),
            self.path("val.pack").display()
        );
        let table = |text: &str| ("test".to_string(), text.parse().unwrap());
        Config::from_overrides(&[table(SETTINGS), table(&paths), table(more)]).unwrap()
    }

    pub fn model(&self) -> Model {
        let mut model = Model::parse(MODEL, "small").unwrap();
        input::fit_to_pack(&mut model, &self.packs.train).unwrap();
        model
    }

    /// Starts a run in the folder `name`.
    pub fn start(&self, name: &str, more: &str) -> Trainer<Cpu<f32>> {
        self.start_on(&Cpu::new(self.config(more).run.threads).unwrap(), name, more)
    }

    /// The same on another device.
    pub fn start_on<B: Backend<Scalar = f32>>(&self, device: &B, name: &str, more: &str) -> Trainer<B> {
        let run = Run::create(&self.path(name), &self.config(more), &self.model()).unwrap();
        Trainer::new(run, device, &self.model(), self.packs.clone(), None).unwrap()
    }

    /// Resumes the run in the folder `name`, on `threads` threads.
    pub fn resume(&self, name: &str, threads: usize) -> Trainer<Cpu<f32>> {
        self.resume_on(&Cpu::new(threads).unwrap(), name)
    }

    /// The same on another device.
    pub fn resume_on<B: Backend<Scalar = f32>>(&self, device: &B, name: &str) -> Trainer<B> {
        let run = Run::open(&self.path(name)).unwrap();
        let model = run.model().unwrap();
        let from = load::newest_checkpoint(&self.path(name), &mut |_| {}).unwrap().map(|(_, checkpoint)| checkpoint);
        Trainer::new(run, device, &model, self.packs.clone(), from).unwrap()
    }
}

/// Trains until `steps` steps are done in all, then stops as on a signal.
pub fn train_until<B: Backend<Scalar = f32>>(trainer: &mut Trainer<B>, steps: u64) -> Result<()> {
    let stop = Stop::default();
    let flag = stop.clone();
    trainer.train(&stop, &mut |event| {
        if matches!(event, RunEvent::Step(line) if line.step == steps) {
            flag.request_by_signal(2);
        }
    })
}

/// The bits of all parameters.
pub fn bits<B: Backend<Scalar = f32>>(trainer: &Trainer<B>) -> Vec<(String, Vec<u32>)> {
    let of = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    trainer.network().parameters().iter().map(|p| (p.spec.name.clone(), of(p.value.to_vec().unwrap()))).collect()
}

/// Packs images whose colour and brightness depend on their class.
fn pack(folder: &Path, name: &str, per_class: usize) -> Pack {
    let source = folder.join(name);
    for (class, colour) in [[200, 40, 60], [30, 180, 90], [60, 70, 220]].into_iter().enumerate() {
        let class_folder = source.join(format!("class{class}"));
        std::fs::create_dir_all(&class_folder).unwrap();
        for i in 0..per_class {
            let image = image::RgbImage::from_fn(12, 10, |x, y| {
                let wave = ((x as usize * (i + 2) + y as usize * (class + 1)) % 40) as u8;
                image::Rgb(colour.map(|c: u8| c.saturating_sub(wave)))
            });
            image.save(class_folder.join(format!("{i}.png"))).unwrap();
        }
    }
    let out = folder.join(format!("{name}.pack"));
    let options = data::PackOptions { size: 10, ..data::PackOptions::new(&source, &out) };
    data::pack(&options, &|_| {}).unwrap();
    Pack::open(&out).unwrap()
}

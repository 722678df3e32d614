//! The images of a run, their order and how they are varied.

use std::path::{Path, PathBuf};

use data::{Pack, PrincipalComponents};
use files::regular_file;
use serde::{Deserialize, Serialize};
use tensor::{Cpu, Device};

use crate::{Error, Result};

/// Where a training image is cut from its stored square.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crop {
    /// At a random place.
    Random,
    /// From the centre.
    Centre,
    /// A part of random area and shape, resized.
    Resized,
}

/// The colour noise of training images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// None.
    None,
    /// The paper's formula: eigenvectors times eigenvalues.
    Paper,
    /// The authors' code: standard deviations.
    Source,
}

/// The order of an epoch's images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shuffle {
    /// Full or in windows, as memory allows; a run's own file has what was chosen.
    Auto,
    /// That of the pack.
    None,
    /// A random order of all images.
    Full,
    /// Random runs of images, so many at a time as have `window_bytes`, shuffled.
    Window,
}

impl<'de> Deserialize<'de> for Shuffle {
    /// Also takes true for auto and false for none.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Flag(bool),
            Name(String),
        }
        match Form::deserialize(deserializer) {
            Ok(Form::Flag(true)) => Ok(Self::Auto),
            Ok(Form::Flag(false)) => Ok(Self::None),
            Ok(Form::Name(name)) if name == "auto" => Ok(Self::Auto),
            Ok(Form::Name(name)) if name == "none" => Ok(Self::None),
            Ok(Form::Name(name)) if name == "full" => Ok(Self::Full),
            Ok(Form::Name(name)) if name == "window" => Ok(Self::Window),
            _ => Err(serde::de::Error::custom("data.shuffle must be auto (true), none (false), full or window")),
        }
    }
}

/// The principal components of colour that colour noise follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Pca {
    /// A TOML file of `eigenvalues` and `eigenvectors`, or a pack whose own are taken. A run's file has the values.
    File(PathBuf),
    /// For pixels of 0 to 255.
    #[serde(with = "Values")]
    Values(PrincipalComponents),
}

/// How [`PrincipalComponents`] are written.
#[derive(Serialize, Deserialize)]
#[serde(remote = "PrincipalComponents", deny_unknown_fields)]
struct Values {
    eigenvalues: [f32; 3],
    eigenvectors: [[f32; 3]; 3],
}

/// The images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// The pack to train on.
    pub train: PathBuf,
    /// The pack to validate on after each epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val: Option<PathBuf>,
    /// Whether training images are varied at all; false means centre crop, no mirror, no colour, nothing else either.
    pub augment: bool,
    /// Where training crops are cut.
    pub crop: Crop,
    /// Resized crops: smallest and largest area, as shares of the image's.
    pub crop_scale: [f64; 2],
    /// Resized crops: smallest and largest ratio of width to height.
    pub crop_ratio: [f64; 2],
    /// Whether half of the training images are mirrored.
    pub mirror: bool,
    /// So many images in turn share crop and mirror; 1: each has its own.
    pub shared: usize,
    /// Which colour noise is added.
    pub colour: Colour,
    /// Standard deviation of the colour noise's factors.
    pub colour_deviation: f64,
    /// Jitter of brightness, as torchvision's ColorJitter; 0: none.
    pub brightness: f64,
    /// Jitter of contrast.
    pub contrast: f64,
    /// Jitter of saturation.
    pub saturation: f64,
    /// Jitter of hue, at most 0.5.
    pub hue: f64,
    /// How many of the images have a rectangle erased, in [0, 1].
    pub erase: f64,
    /// Erasing: smallest and largest area, as shares of the crop's.
    pub erase_scale: [f64; 2],
    /// Erasing: smallest and largest ratio of width to height.
    pub erase_ratio: [f64; 2],
    /// Alpha of mixup; 0: none.
    pub mixup: f64,
    /// Alpha of CutMix; 0: none.
    pub cutmix: f64,
    /// The share of every target that is spread over all classes, in [0, 1).
    pub label_smoothing: f64,
    /// The order of each epoch.
    pub shuffle: Shuffle,
    /// Window: bytes of memory for it; 0: half of what is free when the run begins.
    pub window_bytes: u64,
    /// The most bytes of batches made ahead; at least one batch is.
    pub prefetch_bytes: usize,
    /// Components of the colour noise in place of the training pack's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pca: Option<Pca>,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            train: PathBuf::new(),
            val: None,
            augment: true,
            crop: Crop::Random,
            crop_scale: [0.08, 1.0],
            crop_ratio: [3.0 / 4.0, 4.0 / 3.0],
            mirror: true,
            shared: 1,
            colour: Colour::None,
            colour_deviation: 0.1,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue: 0.0,
            erase: 0.0,
            erase_scale: [0.02, 0.33],
            erase_ratio: [0.3, 3.3],
            mixup: 0.0,
            cutmix: 0.0,
            label_smoothing: 0.0,
            shuffle: Shuffle::Auto,
            window_bytes: 0,
            prefetch_bytes: data::LoaderOptions::default().prefetch_bytes,
            pca: None,
        }
    }
}

impl DataConfig {
    /// What the loader is told. What was left to be chosen when the run began, and was not, is full.
    pub fn order(&self) -> data::Shuffle {
        match self.shuffle {
            Shuffle::None => data::Shuffle::None,
            Shuffle::Auto | Shuffle::Full => data::Shuffle::Full,
            Shuffle::Window => data::Shuffle::Window { bytes: self.window_bytes },
        }
    }

    /// Puts the values in the place of a file of components of colour.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the file and what is wrong with it.
    pub fn read_pca(&mut self) -> Result<()> {
        if let Some(Pca::File(path)) = &self.pca {
            self.pca = Some(Pca::Values(components(path)?));
        }
        Ok(())
    }

    /// Settles what depends on files and on this machine, so that the run is the same wherever it goes on. Returns what
    /// a user should know of it.
    ///
    /// # Errors
    /// [`Error::Setting`] for components of colour that cannot be read, and for a size of windows where there are none.
    pub fn settle(&mut self, pack: &Pack) -> Result<Option<String>> {
        self.read_pca()?;
        let free = || Cpu::<f32>::new(1).ok().and_then(|cpu| cpu.memory()).map_or(u64::MAX, |memory| memory.free);
        let chosen = self.shuffle;
        if chosen == Shuffle::Auto || (chosen == Shuffle::Window && self.window_bytes == 0) {
            let free = free();
            self.shuffle = match data::Shuffle::for_memory(pack.stored_bytes(), free) {
                data::Shuffle::Window { .. } => Shuffle::Window,
                _ if chosen == Shuffle::Window => Shuffle::Window,
                _ => Shuffle::Full,
            };
            if self.shuffle == Shuffle::Window && self.window_bytes == 0 {
                // A run's file holds signed numbers.
                self.window_bytes = (free / 2).min(i64::MAX as u64);
            }
            if self.shuffle == Shuffle::Full && self.window_bytes > 0 {
                let what = format!(
                    "{} has no effect: data.shuffle = \"auto\" shuffles all of a pack that fits into memory; \
                     add --set data.shuffle=window, or leave it out",
                    self.window_bytes
                );
                return Err(Error::setting("data.window_bytes", what));
            }
        }
        let mib = |bytes: u64| bytes >> 20;
        Ok((self.shuffle == Shuffle::Window).then(|| {
            format!(
                "images are shuffled in windows of {} MiB: the pack has {} MiB; --set data.shuffle=full shuffles all",
                mib(self.window_bytes),
                mib(pack.stored_bytes())
            )
        }))
    }
}

/// The components in a TOML file or of a pack.
fn components(path: &Path) -> Result<PrincipalComponents> {
    let wrong = |what: String| Error::setting("data.pca", format!("{}: {what}", path.display()));
    if path.is_dir() {
        return Ok(Pack::open(path)?.statistics().components());
    }
    let text = regular_file::read_text(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    let help = "expected `eigenvalues = [a, b, c]` and `eigenvectors = [[r, g, b], [r, g, b], [r, g, b]]`";
    let components = Values::deserialize(toml::Deserializer::parse(&text).map_err(|e| wrong(format!("{e}; {help}")))?)
        .map_err(|e| wrong(format!("{}; {help}", e.message())))?;
    components.check().map_err(|e| wrong(e.to_string()))?;
    Ok(components)
}

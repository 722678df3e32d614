//! The order of an epoch's images.

use data::Pack;
use serde::{Deserialize, Serialize};
use tensor::{Cpu, Device};

use super::DataConfig;
use super::data::Sampling;
use crate::{Error, Remedy, Result};

/// How the images of an epoch are shuffled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shuffle {
    /// Full, or in windows if the pack exceeds the memory; `run.toml` records which.
    Auto,
    /// Not at all: the pack's order.
    None,
    /// A random order of all images.
    Full,
    /// Random runs of images, shuffled in windows of `window_bytes`.
    Window,
}

impl<'de> Deserialize<'de> for Shuffle {
    /// Also takes true for auto and false for none, the only values of earlier versions.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Flag(bool),
            Name(String),
        }
        let name = match Form::deserialize(deserializer) {
            Ok(Form::Flag(true)) => "auto".to_string(),
            Ok(Form::Flag(false)) => "none".to_string(),
            Ok(Form::Name(name)) => name,
            Err(_) => String::new(),
        };
        match name.as_str() {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            "full" => Ok(Self::Full),
            "window" => Ok(Self::Window),
            _ => Err(serde::de::Error::custom("data.shuffle must be auto (true), none (false), full or window")),
        }
    }
}

impl DataConfig {
    /// The order as the loader takes it. `Auto` becomes `Full` unless it was [resolved](Self::resolve).
    pub fn order(&self) -> data::Shuffle {
        if self.sampling == Sampling::Balanced {
            return data::Shuffle::Balanced;
        }
        match self.shuffle {
            Shuffle::None => data::Shuffle::None,
            Shuffle::Auto | Shuffle::Full => data::Shuffle::Full,
            Shuffle::Window => data::Shuffle::Window { bytes: self.window_bytes },
        }
    }

    /// Replaces settings that depend on files and on the memory of this machine by definite values, so that the run is
    /// the same wherever it is resumed. Returns a note for the user if images are shuffled in windows.
    ///
    /// # Errors
    /// [`Error::Setting`] for principal components that cannot be read, and for a window size without windows.
    pub fn resolve(&mut self, pack: &Pack) -> Result<Option<String>> {
        self.read_pca()?;
        if self.sampling == Sampling::Balanced {
            self.shuffle = Shuffle::Full;
            return Ok(None);
        }
        let given = self.shuffle;
        if given == Shuffle::Auto || (given == Shuffle::Window && self.window_bytes == 0) {
            let cpu = Cpu::<f32>::new(1).ok();
            let free = cpu.and_then(|cpu| cpu.memory()).map_or(u64::MAX, |memory| memory.free);
            self.resolve_shuffle(pack.stored_bytes(), free)?;
        }
        if self.shuffle != Shuffle::Window {
            return Ok(None);
        }
        Ok(Some(format!(
            "images are shuffled in windows of {} MiB: the pack has {} MiB; data.shuffle = \"full\" shuffles all",
            self.window_bytes >> 20,
            pack.stored_bytes() >> 20
        )))
    }

    fn resolve_shuffle(&mut self, pack_bytes: u64, free: u64) -> Result<()> {
        let exceeds_memory = matches!(data::Shuffle::for_memory(pack_bytes, free), data::Shuffle::Window { .. });
        if self.shuffle == Shuffle::Window || exceeds_memory {
            self.shuffle = Shuffle::Window;
            if self.window_bytes == 0 {
                // TOML's integers are signed.
                self.window_bytes = (free / 2).min(i64::MAX as u64);
            }
            return Ok(());
        }
        self.shuffle = Shuffle::Full;
        if self.window_bytes > 0 {
            let what = format!(
                "{} has no effect: data.shuffle = \"auto\" shuffles all of a pack that fits into memory",
                self.window_bytes
            );
            let advice = Remedy::Advice("set data.shuffle=window, or leave it out".into());
            return Err(Error::setting("data.window_bytes", what).with_remedy(advice));
        }
        Ok(())
    }
}

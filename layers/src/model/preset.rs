//! The networks that are built in, and those in files.

use std::io::Read;
use std::path::Path;

use super::Model;
use super::reader::nearest;
use crate::{Error, Result};

/// No network's text comes near this many bytes.
const LARGEST_FILE: u64 = 4 << 20;

/// Declares the presets: each is the file of its name in `models/`.
macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        const NAMES: &[&str] = &[$($name),*];
        const TEXTS: &[&str] = &[$(include_str!(concat!("../../models/", $name, ".toml"))),*];
    };
}

presets![
    "paper",
    "source",
    "one-weird-trick",
    "caffe",
    "keras",
    "cifar-relu",
    "cifar-tanh",
    "cifar-18pct",
    "cifar-11pct",
    "linear",
];

impl Model {
    /// The presets' names.
    pub fn presets() -> &'static [&'static str] {
        NAMES
    }

    /// The text of a preset, with its comments: a start for a file of one's own.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] if there is none of this name.
    pub fn preset_text(name: &str) -> Result<&'static str> {
        match NAMES.iter().position(|known| *known == name) {
            Some(i) => Ok(TEXTS[i]),
            None => Err(unknown(name)),
        }
    }

    /// A network that is built in.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] if there is none of this name.
    pub fn preset(name: &str) -> Result<Self> {
        Self::parse(Self::preset_text(name)?, name)
    }

    /// The preset of this name, or the network in the file at this path.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] if it is neither, [`Error::File`] for a file that cannot be read, and those of
    /// [`parse`](Self::parse).
    pub fn load(name_or_path: &str) -> Result<Self> {
        if NAMES.contains(&name_or_path) {
            return Self::preset(name_or_path);
        }
        let path = Path::new(name_or_path);
        if !path.exists() && path.extension().is_none() && path.components().count() <= 1 {
            return Err(unknown(name_or_path));
        }
        Self::parse(&read(path)?, name_or_path)
    }
}

fn unknown(name: &str) -> Error {
    let known = NAMES.iter().map(|name| (*name).to_owned()).collect();
    Error::UnknownModel { name: name.into(), near: nearest(name, NAMES), known }
}

fn read(path: &Path) -> Result<String> {
    let failed = |source| Error::File { path: path.into(), what: "reading the network's text failed", source };
    let refused = |what: &str| Error::Model { origin: path.display().to_string(), layer: None, what: what.into() };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(refused("a network's text is at most 4 MiB long; this is another kind of file"));
    }
    String::from_utf8(bytes).map_err(|_| refused("not text; a network is a TOML file"))
}

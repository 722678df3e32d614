//! Built-in networks and networks in files.

use std::io::ErrorKind;
use std::path::Path;

use files::regular_file;

use super::Model;
use super::spelling::nearest;
use crate::{Error, Result};

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
    "run-145",
    "one-weird-trick",
    "caffe",
    "caffenet",
    "keras",
    "tiny",
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

    /// The text of a preset, with its comments: a start for a file of your own.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] if there is none of this name.
    pub fn preset_text(name: &str) -> Result<&'static str> {
        match NAMES.iter().position(|known| *known == name) {
            Some(i) => Ok(TEXTS[i]),
            None => Err(unknown(name)),
        }
    }

    /// The preset of this name.
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
        let may_be_a_slip = path.extension().is_none() && path.components().count() <= 1;
        match regular_file::read_text(path) {
            Ok(text) => Self::parse(&text, name_or_path),
            Err(error) if may_be_a_slip && error.kind() == ErrorKind::NotFound => Err(unknown(name_or_path)),
            Err(error) => Err(unreadable(path, error)),
        }
    }
}

fn unknown(name: &str) -> Error {
    let known = NAMES.iter().map(|name| (*name).to_owned()).collect();
    Error::UnknownModel { name: name.into(), near: nearest(name, NAMES), known }
}

fn unreadable(path: &Path, source: std::io::Error) -> Error {
    match source.kind() {
        // Another kind of file: it was read, and holds no text or too much.
        ErrorKind::InvalidData => {
            let what = format!("{source}; a network is a TOML file");
            Error::Model { origin: path.display().to_string(), layer: None, what }
        }
        _ => Error::File { path: path.into(), what: "reading the network's text failed", source },
    }
}

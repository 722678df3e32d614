//! The presets that a file fits.

use std::path::Path;

use layers::Model;

use super::{Assignment, Way, assign};
use crate::{Error, ForeignFile, Result};

/// The most tensors in a message.
const SHOWN: usize = 6;

/// A preset whose parameters are the tensors of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The preset.
    pub preset: &'static str,
    /// The file's number of classes.
    pub classes: usize,
    /// Whether the names are the preset's; else only order and shapes are.
    pub by_names: bool,
}

/// The presets whose parameters are all the tensors of a file: those by names, else those by order and shape.
///
/// # Errors
/// None for presets, which are networks.
pub fn presets_that_fit(file: &ForeignFile) -> Result<Vec<Fit>> {
    Ok(fits(file)?.into_iter().map(|(fit, _)| fit).collect())
}

fn fits(file: &ForeignFile) -> Result<Vec<(Fit, Assignment)>> {
    let mut fits = Vec::new();
    for preset in Model::presets() {
        let Ok(found) = assign(file, &Model::preset(preset)?)? else { continue };
        if found.places.len() == file.tensors.len() {
            let by_names = matches!(found.way, Way::Names(_));
            fits.push((Fit { preset, classes: found.model.classes, by_names }, found));
        }
    }
    if fits.iter().any(|(fit, _)| fit.by_names) {
        fits.retain(|(fit, _)| fit.by_names);
    }
    Ok(fits)
}

/// The only preset that a file fits.
pub(super) fn only_fit(path: &Path, file: &ForeignFile, notes: &mut Vec<String>) -> Result<Assignment> {
    let mut fits = fits(file)?;
    let names: Vec<&str> = fits.iter().map(|(fit, _)| fit.preset).collect();
    let what = match names.as_slice() {
        [name] => {
            notes.push(format!("the network is taken to be {name}, whose parameters it has"));
            return fits.pop().map(|(_, found)| found).ok_or_else(|| unknown(path, String::new()));
        }
        [] => {
            let shown = file.tensors.iter().take(SHOWN);
            let shown: Vec<String> = shown.map(|t| format!("{} {:?}", brief(&t.name), t.values.shape())).collect();
            let count = file.tensors.len();
            let more = if count > SHOWN { format!(" and {} more", count - SHOWN) } else { String::new() };
            format!(
                "does not say what network it is for, and no preset has its {count} tensors: {}{more}",
                shown.join(", ")
            )
        }
        several => format!("does not say what network it is for; its tensors are those of {}", several.join(", ")),
    };
    Err(unknown(path, what))
}

fn brief(name: &str) -> String {
    files::printable::brief(name, 80)
}

fn unknown(path: &Path, what: String) -> Error {
    Error::UnknownNetwork { path: path.into(), what }
}

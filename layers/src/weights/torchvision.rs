//! torchvision's AlexNet, recognised by the names of its tensors.

use std::collections::BTreeSet;
use std::path::Path;

use super::refused;
use super::safetensors_file::Entry;
use crate::Result;
use crate::model::{Model, ParameterSpec};

/// torchvision's AlexNet with the file's number of classes, if the file has its names.
///
/// # Errors
/// [`Error::Weights`](crate::Error::Weights) for other names.
pub(super) fn detect(path: &Path, entries: &[Entry]) -> Result<Model> {
    let mut model = Model::preset("one-weird-trick")?;
    let specs = model.parameters()?;
    let expected: BTreeSet<&str> = specs.iter().map(|spec| spec.export.as_str()).collect();
    let found: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    if expected != found {
        return Err(refused(path, unknown_names(&specs, entries)));
    }
    let last = specs.last().and_then(|bias| entries.iter().find(|entry| entry.name == bias.export));
    if let Some([classes]) = last.map(|entry| entry.shape.as_slice()) {
        model.set_classes(*classes)?;
    }
    Ok(model)
}

fn unknown_names(specs: &[ParameterSpec], entries: &[Entry]) -> String {
    const SHOWN: usize = 6;
    let mut found = Vec::new();
    for entry in entries.iter().take(SHOWN) {
        found.push(format!("{} {:?}", entry.name, entry.shape));
    }
    if entries.len() > SHOWN {
        found.push(format!("and {} more", entries.len() - SHOWN));
    }
    let first = &specs[0].export;
    let last = &specs[specs.len() - 1].export;
    format!(
        "does not say what network it is for, and its tensors are not those of torchvision's AlexNet ({} from {first} to \
         {last}); it holds {}: {}; name the network that it is for",
        specs.len(),
        entries.len(),
        if found.is_empty() { "none".into() } else { found.join(", ") },
    )
}

//! Tensors of other programs and the network that they belong to.

use std::collections::BTreeSet;
use std::path::Path;

use super::safetensors_file::Entry;
use super::{layout, refused};
use crate::model::{Model, ParameterSpec};
use crate::{Error, Result};

/// PyTorch's batch norm counts its batches; nothing here needs that.
pub(super) fn is_ignored(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}

/// The network whose names a file without a description has: torchvision's AlexNet, with the file's number of classes.
pub(super) fn recognise(path: &Path, entries: &[Entry]) -> Result<Model> {
    let mut model = Model::preset("one-weird-trick")?;
    let specs = model.parameters()?;
    let wanted: BTreeSet<&str> = specs.iter().map(|spec| spec.export.as_str()).collect();
    let came: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    if wanted != came {
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
    let mut came = Vec::new();
    for entry in entries.iter().take(SHOWN) {
        came.push(format!("{} {:?}", entry.name, entry.shape));
    }
    if entries.len() > SHOWN {
        came.push(format!("and {} more", entries.len() - SHOWN));
    }
    let first = &specs[0].export;
    let last = &specs[specs.len() - 1].export;
    format!(
        "does not say what network it is for, and its tensors are not those of torchvision's AlexNet ({} from {first} to \
         {last}); it holds {}: {}; if you know the network, name it (--model)",
        specs.len(),
        entries.len(),
        if came.is_empty() { "none".into() } else { came.join(", ") },
    )
}

/// For each parameter of the network, the entry that holds it: by the network's export names or by ours, whichever more
/// of the entries have.
pub(super) fn assign<'a>(path: &Path, specs: &[ParameterSpec], entries: &'a [Entry]) -> Result<Vec<&'a Entry>> {
    let export = |spec: &ParameterSpec| spec.export.clone();
    let own = |spec: &ParameterSpec| spec.name.clone();
    let hits = |name: &dyn Fn(&ParameterSpec) -> String| {
        let names: BTreeSet<String> = specs.iter().map(name).collect();
        entries.iter().filter(|entry| names.contains(&entry.name)).count()
    };
    let name: &dyn Fn(&ParameterSpec) -> String = if hits(&own) > hits(&export) { &own } else { &export };
    let names: Vec<String> = specs.iter().map(name).collect();
    let wanted: Vec<(&str, Vec<usize>)> =
        names.iter().zip(specs).map(|(name, spec)| (name.as_str(), layout::pytorch_shape(spec))).collect();
    let came = entries.iter().map(|entry| (entry.name.as_str(), entry.shape.as_slice()));
    crate::model::compare(&path.display().to_string(), &wanted, came)?;
    let find = |name: &String| entries.iter().find(|entry| entry.name == *name);
    let found: Option<Vec<&Entry>> = names.iter().map(find).collect();
    found.ok_or_else(|| Error::Weights { path: path.into(), what: "a tensor that was there is missing".into() })
}

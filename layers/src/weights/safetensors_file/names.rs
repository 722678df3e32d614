//! The names of a file's tensors: which of them is which parameter.

use std::collections::BTreeSet;
use std::path::Path;

use super::Entry;
use crate::model::ParameterSpec;
use crate::weights::AxisOrder;
use crate::{Error, Result};

/// PyTorch's batch norm counts its batches; no network here needs the count.
pub(super) fn is_ignored(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}

/// The tensor of each parameter, by the names that the network exports or by those of this crate: by those that more of
/// the tensors have.
///
/// # Errors
/// [`Error::Parameters`] that lists the differences.
pub(super) fn match_entries<'a>(path: &Path, specs: &[ParameterSpec], entries: &'a [Entry]) -> Result<Vec<&'a Entry>> {
    let export = |spec: &ParameterSpec| spec.export.clone();
    let own = |spec: &ParameterSpec| spec.name.clone();
    let hits = |name: &dyn Fn(&ParameterSpec) -> String| {
        let names: BTreeSet<String> = specs.iter().map(name).collect();
        entries.iter().filter(|entry| names.contains(&entry.name)).count()
    };
    let name: &dyn Fn(&ParameterSpec) -> String = if hits(&own) > hits(&export) { &own } else { &export };
    let names: Vec<String> = specs.iter().map(name).collect();
    let shapes: Vec<Vec<usize>> = specs.iter().map(|spec| AxisOrder::PyTorch.shape(spec)).collect();
    let expected: Vec<(&str, &[usize])> =
        names.iter().zip(&shapes).map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    let found = entries.iter().map(|entry| (entry.name.as_str(), entry.shape.as_slice()));
    crate::model::compare(&path.display().to_string(), &expected, found)?;
    let find = |name: &String| entries.iter().find(|entry| entry.name == *name);
    let matched: Option<Vec<&Entry>> = names.iter().map(find).collect();
    matched.ok_or_else(|| Error::Weights { path: path.into(), what: "a tensor that was there is missing".into() })
}

//! Tensors by their names.

use std::collections::{BTreeSet, HashMap};

use layers::ParameterSpec;

use super::Misfit;
use crate::ForeignFile;

/// The most prefixes that are tried.
const MAX_PREFIXES: usize = 32;

/// The tensors that were found by one kind of names.
pub struct Found {
    /// The text before the names in the file.
    pub prefix: String,
    /// The names that were looked for, without the prefix.
    names: Vec<String>,
    /// The place of each.
    places: Vec<Option<usize>>,
}

/// Looks for the parameters' exported names and for their own, with each prefix that the first or the last of them has in
/// the file, and takes those that are found most often.
pub fn find(file: &ForeignFile, specs: &[ParameterSpec]) -> Found {
    let mut known = HashMap::new();
    for (place, tensor) in file.tensors.iter().enumerate() {
        known.entry(tensor.name.as_str()).or_insert(place);
    }
    let exported: Vec<String> = specs.iter().map(|spec| spec.export.clone()).collect();
    let own: Vec<String> = specs.iter().map(|spec| spec.name.clone()).collect();
    let mut best = Found { prefix: String::new(), places: vec![None; specs.len()], names: exported.clone() };
    for names in [exported, own] {
        for prefix in prefixes(file, &names) {
            let place = |name: &String| known.get(format!("{prefix}{name}").as_str()).copied();
            let places: Vec<Option<usize>> = names.iter().map(place).collect();
            let found = Found { prefix, places, names: names.clone() };
            if found.hits() > best.hits() {
                best = found;
            }
        }
    }
    best
}

/// The texts before the first and the last of some names in a file, which end in a separator.
fn prefixes(file: &ForeignFile, names: &[String]) -> BTreeSet<String> {
    let mut prefixes = BTreeSet::from([String::new()]);
    for name in names.first().into_iter().chain(names.last()) {
        for tensor in &file.tensors {
            let prefix = tensor.name.strip_suffix(name.as_str()).filter(|prefix| prefix.ends_with(['.', '/']));
            if prefixes.len() < MAX_PREFIXES {
                prefixes.extend(prefix.map(str::to_string));
            }
        }
    }
    prefixes
}

impl Found {
    fn hits(&self) -> usize {
        self.places.iter().flatten().count()
    }

    /// The places of all parameters, if all were found.
    pub fn complete(&self) -> Option<Vec<usize>> {
        self.places.iter().copied().collect()
    }

    /// The missing parameters, the tensors in their place, and the tensors of another shape.
    pub fn misfit(&self, file: &ForeignFile, specs: &[ParameterSpec]) -> Misfit {
        let pairs = self.names.iter().zip(&self.places);
        let missing = pairs.filter(|(_, place)| place.is_none()).map(|(name, _)| name.clone()).collect();
        let used: BTreeSet<usize> = self.places.iter().flatten().copied().collect();
        let unused = file.tensors.iter().enumerate().filter(|(place, _)| !used.contains(place));
        let extra = unused.map(|(_, t)| format!("{} {:?}", t.name, t.values.shape())).collect();
        let found = specs.iter().zip(&self.places).filter_map(|(spec, place)| Some((spec.clone(), (*place)?)));
        let (specs, places): (Vec<ParameterSpec>, Vec<usize>) = found.unzip();
        Misfit { missing, extra, mismatched: super::mismatched(file, &specs, &places) }
    }
}

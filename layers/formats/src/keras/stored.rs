//! The variables of a file by layer, in the order of the file.

use std::collections::BTreeMap;

use crate::hdf5_tree::{Parsed, Tree, fault};

/// Where a file keeps its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Keras 3: `layers/conv2d/vars/0`, by class and number.
    Numbered,
    /// Keras' older HDF5: groups by name, with lists of names. The group is `model_weights`, or the file itself.
    Named(&'static str),
}

/// The variables of a layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StoredLayer {
    /// Its name in Keras, as far as the file has it.
    pub name: String,
    /// Its group: `layers/conv2d_1`; or the name in the names of its variables, which is its own in an inner model.
    pub key: String,
    /// Paths of its datasets, in Keras' order.
    pub variables: Vec<String>,
}

impl Layout {
    /// The layout of a file of Keras; None if it has neither.
    pub fn of(tree: &Tree) -> Parsed<Option<Self>> {
        if tree.has("model_weights") {
            return Ok(Some(Self::Named("model_weights")));
        }
        let is_numbered = tree.objects().any(|(path, object)| path.ends_with("/vars/0") && object.dataset.is_some());
        if is_numbered || tree.has("_layer_checkpoint_dependencies") || (tree.has("layers") && tree.has("vars")) {
            return Ok(Some(Self::Numbered));
        }
        Ok(list(tree, "", "layer_names")?.map(|_| Self::Named("")))
    }

    /// The layers that have variables.
    pub fn layers(self, tree: &Tree) -> Parsed<Vec<StoredLayer>> {
        match self {
            Self::Numbered => numbered(tree),
            Self::Named(root) => named(tree, root),
        }
    }
}

/// A list of texts, which Keras cuts into `name0`, `name1`, .. if it is long.
pub(super) fn list(tree: &Tree, path: &str, attribute: &str) -> Parsed<Option<Vec<String>>> {
    if let Some(whole) = tree.texts(path, attribute)? {
        return Ok(Some(whole));
    }
    let mut parts: Option<Vec<String>> = None;
    for number in 0.. {
        let Some(part) = tree.texts(path, &format!("{attribute}{number}"))? else { break };
        parts.get_or_insert_default().extend(part);
    }
    Ok(parts)
}

fn numbered(tree: &Tree) -> Parsed<Vec<StoredLayer>> {
    let mut layers = Vec::new();
    for (path, _) in tree.objects() {
        let Some(key) = path.strip_suffix("/vars").filter(|key| is_layer(key)) else { continue };
        let variables = numbered_variables(tree, path);
        if variables.is_empty() {
            continue;
        }
        let group = key.rsplit('/').next().unwrap_or(key);
        let name = tree.text(path, "name")?.filter(|name| !name.is_empty()).unwrap_or_else(|| group.to_string());
        // Older files of Keras 3 have another word in the place of `layers`.
        let key = key.replace("_layer_checkpoint_dependencies", "layers");
        layers.push(StoredLayer { name, key, variables });
    }
    layers.sort_by_cached_key(|layer| order(tree, layer));
    Ok(layers)
}

/// Whether a group is that of a layer, not of a part of one or of the optimizer.
fn is_layer(key: &str) -> bool {
    let parent = key.rsplit('/').nth(1);
    matches!(parent, Some("layers" | "_layer_checkpoint_dependencies"))
}

/// The datasets `0`, `1`, .. of a group, by number.
pub(super) fn numbered_variables(tree: &Tree, group: &str) -> Vec<String> {
    let numbers = tree.children(group).filter_map(|name| Some((name.parse::<u32>().ok()?, name)));
    let numbers: BTreeMap<u32, &str> = numbers.collect();
    let paths = numbers.into_values().map(|name| format!("{group}/{name}"));
    paths.filter(|path| tree.dataset(path).is_some()).collect()
}

/// The order without a configuration: convolutions, then others, then dense layers, each by the number in its key. Each
/// kind is then in the order of the computation.
fn order(tree: &Tree, layer: &StoredLayer) -> (u8, String, u64) {
    let rank = layer.variables.first().and_then(|path| tree.dataset(path)).map_or(0, |dataset| dataset.shape.len());
    let place = match (rank, layer.variables.len()) {
        (4, _) => 0,
        (2, 1 | 2) => 2,
        _ => 1,
    };
    let (kind, number) = match layer.key.rsplit_once('_').and_then(|(kind, n)| Some((kind, n.parse::<u64>().ok()?))) {
        Some((kind, number)) => (kind.to_string(), number),
        None => (layer.key.clone(), 0),
    };
    (place, kind, number)
}

fn named(tree: &Tree, root: &str) -> Parsed<Vec<StoredLayer>> {
    let at = |name: &str| if root.is_empty() { name.to_string() } else { format!("{root}/{name}") };
    let Some(names) = list(tree, root, "layer_names")? else {
        return fault("its list of layers (the attribute layer_names) is missing; the file is damaged");
    };
    let mut layers: Vec<StoredLayer> = Vec::new();
    for group in names {
        let weights = list(tree, &at(&group), "weight_names")?.unwrap_or_default();
        let is_unit = is_unit(&weights);
        for weight in weights {
            let path = at(&format!("{group}/{weight}"));
            if tree.dataset(&path).is_none() {
                return fault(format!("{path} is in its list of weights but not in the file; it is damaged"));
            }
            // In a model within a model, the group is that of the inner model.
            let own = weight.rsplit('/').nth(1).unwrap_or(&group);
            let name = if is_unit { group.as_str() } else { own };
            match layers.last_mut().filter(|last| last.name == name) {
                Some(last) => last.variables.push(path),
                None => layers.push(StoredLayer { key: own.into(), name: name.into(), variables: vec![path] }),
            }
        }
    }
    Ok(layers)
}

/// Whether the weights in a group are those of one layer: at most one kernel or scale.
fn is_unit(weights: &[String]) -> bool {
    let last = |weight: &String| weight.rsplit('/').next().unwrap_or_default().trim_end_matches(":0").to_string();
    weights.iter().filter(|weight| matches!(last(weight).as_str(), "kernel" | "gamma")).count() <= 1
}

//! The state of Keras' optimizers.

use layers::Model;
use ndarray::ArrayD;

use super::stored::{Layout, list, numbered_variables};
use crate::hdf5_tree::{Parsed, Tree};
use crate::{ForeignTensor, OptimizerState};

/// A parameter that the optimizer trains: its tensor's name and its shape in the file.
pub(super) type Trained = (String, Vec<usize>);

/// A variable of the optimizer: its name, if the file has one, and its dataset.
struct Variable {
    name: String,
    path: String,
}

/// The optimizer of a file's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Unknown,
    /// One of this workspace: its `optim.kind`.
    Known(String),
    /// Another one, of which there is a note already.
    Other,
}

/// The optimizer's state; none if the file has none, or none of ours. Notes say what is left out. It trains one of the
/// lists of parameters in `candidates`.
pub(super) fn read(
    tree: &mut Tree,
    layout: Layout,
    kind: Kind,
    candidates: &[Vec<Trained>],
    notes: &mut Vec<String>,
) -> Parsed<Option<OptimizerState>> {
    let kind = match kind {
        Kind::Other => return Ok(None),
        Kind::Known(kind) => Some(kind),
        Kind::Unknown => None,
    };
    let Some((kind, variables)) = variables(tree, layout, kind)? else { return Ok(None) };
    let rank = |variable: &Variable| tree.dataset(&variable.path).map_or(0, |dataset| dataset.shape.len());
    let (scalars, slots): (Vec<_>, Vec<_>) = variables.into_iter().partition(|variable| rank(variable) == 0);
    let Some(first) = scalars.first().filter(|_| !slots.is_empty()) else { return Ok(None) };
    let step = tree.number(&first.path)?;
    if step < 1.0 {
        return Ok(None);
    }
    let names: &[&str] = match kind.as_str() {
        "adam" => &["adam.m", "adam.v"],
        "adamw" => &["adamw.m", "adamw.v"],
        "sgd" => &["momentum"],
        other => {
            notes.push(left_out(&unread(other)));
            return Ok(None);
        }
    };
    let fits = |trained: &&Vec<Trained>| misfit(tree, layout, &slots, names.len(), trained).is_none();
    let Some(trained) = candidates.iter().find(fits) else {
        let misfits = candidates.iter().filter_map(|trained| misfit(tree, layout, &slots, names.len(), trained));
        notes.extend(misfits.last().map(|why| left_out(&why)));
        return Ok(None);
    };
    let sorted = sorted(layout, &slots, names.len());
    let mut state = OptimizerState { kind, step: step as u64, slots: Vec::new() };
    for (name, paths) in names.iter().zip(&sorted) {
        let mut tensors = Vec::with_capacity(trained.len());
        for (path, (tensor, _)) in paths.iter().zip(trained) {
            let values: ArrayD<f32> = tree.floats(path)?;
            tensors.push(ForeignTensor { name: tensor.clone(), values });
        }
        state.slots.push((name.to_string(), tensors));
    }
    Ok(Some(state))
}

/// Names the state of Adam as AdamW's if that trains the network: with weight decay, Keras calls both Adam.
pub(super) fn name_after(state: &mut OptimizerState, model: &Model) {
    let kind = model.train.get("optim").and_then(|optim| optim.get("kind")?.as_str());
    if state.kind != "adam" || kind != Some("adamw") {
        return;
    }
    state.kind = "adamw".into();
    for (slot, _) in &mut state.slots {
        *slot = slot.replace("adam.", "adamw.");
    }
}

fn left_out(why: &str) -> String {
    format!("the optimizer's state is left out: {why}")
}

/// Why the state of an optimizer of Keras is not read, and what to do.
pub(super) fn unread(class: &str) -> String {
    let why = match class.to_ascii_lowercase().as_str() {
        "rmsprop" => "Keras' RMSprop adds epsilon inside the root, and the one here outside",
        _ => "adam, adamw and sgd are read",
    };
    format!("{class:?} has no counterpart here ({why}); training starts anew with the optimizer of optim.kind")
}

/// Why slots are not those of some parameters; nothing if they are.
fn misfit(tree: &Tree, layout: Layout, slots: &[Variable], kinds: usize, trained: &[Trained]) -> Option<String> {
    let sorted = sorted(layout, slots, kinds);
    if slots.len() != kinds * trained.len() || sorted.iter().any(|paths| paths.len() != trained.len()) {
        return Some(format!(
            "its {} tensors are not those of {} parameters; if layers were frozen, name a network in which they are",
            slots.len(),
            trained.len()
        ));
    }
    let shape = |path: &String| -> Vec<usize> {
        let lengths = tree.dataset(path).map(|dataset| dataset.shape.iter().map(|&length| length as usize));
        lengths.into_iter().flatten().collect()
    };
    let mut pairs = sorted.iter().flat_map(|paths| paths.iter().zip(trained));
    let (path, (tensor, expected)) = pairs.find(|(path, (_, expected))| shape(path) != *expected)?;
    Some(format!("{path} is {:?}, {tensor} {expected:?}", shape(path)))
}

/// The optimizer's kind and variables.
fn variables(tree: &Tree, layout: Layout, kind: Option<String>) -> Parsed<Option<(String, Vec<Variable>)>> {
    match layout {
        Layout::Numbered => {
            let group = "optimizer/vars";
            let named = tree.text(group, "name")?.map(|name| kind_of_name(&name));
            let paths = numbered_variables(tree, group);
            let variables = paths.into_iter().map(|path| Variable { name: String::new(), path });
            Ok(kind.or(named).map(|kind| (kind, variables.collect())))
        }
        Layout::Named(_) => {
            let Some(names) = list(tree, "optimizer_weights", "weight_names")? else { return Ok(None) };
            let variable = |name: String| Variable { path: format!("optimizer_weights/{name}"), name };
            let variables = names.into_iter().map(variable).filter(|variable| tree.has(&variable.path));
            Ok(kind.map(|kind| (kind, variables.collect())))
        }
    }
}

/// The kind of an optimizer by the name that Keras gives it: `adam`, `adam_w`, and `adam_1` for a second one.
fn kind_of_name(name: &str) -> String {
    let plain =
        name.rsplit_once('_').filter(|(_, number)| number.parse::<u32>().is_ok()).map_or(name, |(kind, _)| kind);
    plain.replace('_', "").to_ascii_lowercase()
}

/// Paths of the slots of each kind in the order of the parameters.
fn sorted(layout: Layout, slots: &[Variable], kinds: usize) -> Vec<Vec<String>> {
    let path = |variable: &Variable| variable.path.clone();
    match (layout, kinds) {
        // Momentum and velocity of a variable follow each other.
        (Layout::Numbered, _) => {
            (0..kinds).map(|kind| slots.iter().skip(kind).step_by(kinds).map(path).collect()).collect()
        }
        (Layout::Named(_), 2) => {
            [is_momentum, is_velocity].map(|is| slots.iter().filter(|slot| is(&slot.name)).map(path).collect()).into()
        }
        (Layout::Named(_), _) => vec![slots.iter().filter(|slot| is_momentum(&slot.name)).map(path).collect()],
    }
}

/// Keras 3: `adam/conv2d_kernel_momentum`; Keras 2: `Adam/conv2d/kernel/m:0` or `Adam/m/conv2d/kernel:0`.
fn is_momentum(name: &str) -> bool {
    let name = name.trim_end_matches(":0");
    name.ends_with("momentum") || name.ends_with("/m") || name.contains("/m/")
}

fn is_velocity(name: &str) -> bool {
    let name = name.trim_end_matches(":0");
    name.ends_with("_velocity") || name.ends_with("/v") || name.contains("/v/")
}

#[cfg(test)]
mod tests {
    use super::kind_of_name;

    #[test]
    fn names_of_keras_are_kinds() {
        for (name, kind) in [("adam", "adam"), ("adam_w", "adamw"), ("adam_w_2", "adamw"), ("SGD", "sgd")] {
            assert_eq!(kind_of_name(name), kind);
        }
    }
}

//! The state of Keras' optimizers.

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

/// The optimizer's state; none if the file has none, or none of ours. Notes say what is left out.
pub(super) fn read(
    tree: &mut Tree,
    layout: Layout,
    kind: Option<&str>,
    trained: &[Trained],
    notes: &mut Vec<String>,
) -> Parsed<Option<OptimizerState>> {
    let Some((kind, variables)) = variables(tree, layout, kind)? else { return Ok(None) };
    let rank = |variable: &Variable| tree.dataset(&variable.path).map_or(0, |dataset| dataset.shape.len());
    let (scalars, slots): (Vec<_>, Vec<_>) = variables.into_iter().partition(|variable| rank(variable) == 0);
    let Some(first) = scalars.first().filter(|_| !slots.is_empty()) else { return Ok(None) };
    let step = tree.number(&first.path)?;
    if step < 1.0 {
        return Ok(None);
    }
    let left_out = |why: &str| format!("the optimizer's state is left out: {why}");
    let names: &[&str] = match kind.as_str() {
        "adam" => &["adam.m", "adam.v"],
        "sgd" => &["momentum"],
        other => {
            notes.push(left_out(&format!("{other:?} is not read; adam and sgd are")));
            return Ok(None);
        }
    };
    let Some(sorted) = sorted(layout, &slots, names.len(), trained.len()) else {
        notes.push(left_out(&format!("its {} tensors are not those of {} parameters", slots.len(), trained.len())));
        return Ok(None);
    };
    let mut state = OptimizerState { kind, step: step as u64, slots: Vec::new() };
    for (name, paths) in names.iter().zip(&sorted) {
        let mut tensors = Vec::with_capacity(trained.len());
        for (path, (tensor, shape)) in paths.iter().zip(trained) {
            let values: ArrayD<f32> = tree.floats(path)?;
            if values.shape() != shape {
                notes.push(left_out(&format!("{path} is {:?}, {tensor} {shape:?}", values.shape())));
                return Ok(None);
            }
            tensors.push(ForeignTensor { name: tensor.clone(), values });
        }
        state.slots.push((name.to_string(), tensors));
    }
    Ok(Some(state))
}

/// The optimizer's kind and variables.
fn variables(tree: &Tree, layout: Layout, kind: Option<&str>) -> Parsed<Option<(String, Vec<Variable>)>> {
    let kind = kind.map(str::to_string);
    match layout {
        Layout::Numbered => {
            let group = "optimizer/vars";
            let named = tree.text(group, "name")?.map(|name| name.to_ascii_lowercase());
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

/// Paths of the slots, each in the order of the parameters; none if they are not as many as they must be.
fn sorted(layout: Layout, slots: &[Variable], kinds: usize, parameters: usize) -> Option<Vec<Vec<String>>> {
    let path = |variable: &Variable| variable.path.clone();
    let sorted: Vec<Vec<String>> = match (layout, kinds) {
        // Momentum and velocity of a variable follow each other.
        (Layout::Numbered, _) => {
            (0..kinds).map(|kind| slots.iter().skip(kind).step_by(kinds).map(path).collect()).collect()
        }
        (Layout::Named(_), 2) => {
            [is_momentum, is_velocity].map(|is| slots.iter().filter(|slot| is(&slot.name)).map(path).collect()).into()
        }
        (Layout::Named(_), _) => vec![slots.iter().filter(|slot| is_momentum(&slot.name)).map(path).collect()],
    };
    let fits = slots.len() == kinds * parameters && sorted.iter().all(|paths| paths.len() == parameters);
    fits.then_some(sorted)
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

//! The parameters in a checkpoint: a dictionary of tensors by their names, or one in another dictionary.

use std::collections::BTreeSet;
use std::rc::Rc;

use layers::weights::MAX_TENSORS;

use super::pickle::{Dtype, Id, Node, Pickle, TensorRef};
use super::tensors::Named;
use crate::error::Fault;

/// Keys under which programs put their parameters, the first first: Lightning, timm, torchvision, and customs.
const WRAPPERS: [&str; 10] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "weights",
    "params",
    "generator",
];

/// Ends of the names of tensors that count: no network here needs them.
const COUNTERS: [&str; 2] = ["num_batches_tracked", "n_averaged"];

/// The most dictionaries around the parameters.
const MAX_DEPTH: usize = 5;

/// The most names in a message.
const SHOWN: usize = 8;

/// The parameters of a file.
pub struct StateDict {
    /// Tensors of floating-point numbers by name, in the file's order.
    pub tensors: Vec<Named>,
    /// Notes for the user.
    pub notes: Vec<String>,
}

/// Finds the parameters.
pub fn find(pickle: &Pickle) -> Result<StateDict, Fault> {
    let mut at = pickle.root;
    let mut notes = Vec::new();
    for _ in 0..MAX_DEPTH {
        check_kind(pickle.node(at))?;
        match inner(pickle, at)? {
            Some((name, id)) => {
                notes.extend(others(pickle, at, id));
                notes.insert(0, format!("the parameters are those in its {:?}", brief(name)));
                at = id;
            }
            None => return collect(pickle, at, notes),
        }
    }
    Err(format!("has more than {MAX_DEPTH} dictionaries around its parameters; save the innermost alone").into())
}

/// Fails with the remedy if a file's value is no dictionary.
fn check_kind(node: &Node) -> Result<(), Fault> {
    match node {
        Node::Dict(_) => Ok(()),
        Node::Opaque(name) => Err(whole_object(name).into()),
        Node::Tensor(_) => {
            Err("holds one tensor and no names; save a state dict: torch.save(model.state_dict(), FILE)".into())
        }
        _ => Err("holds no dictionary of tensors; save one in Python: torch.save(model.state_dict(), FILE)".into()),
    }
}

/// A name that may be long.
fn brief(name: &str) -> String {
    files::printable::brief(name, 80)
}

/// The first names of a list.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.take(SHOWN).map(brief).collect();
    names.join(", ")
}

/// The refusal of a pickled object.
fn whole_object(class: &str) -> String {
    let class = brief(class);
    format!(
        "holds a whole pickled object of {class}, whose code would have to run, and so is not read; in Python: \
         torch.save(torch.load(FILE, weights_only=False).state_dict(), \"state.pt\"), then give state.pt"
    )
}

/// The dictionary of tensors in this one, with its name; none if this one is it.
fn inner(pickle: &Pickle, dict: Id) -> Result<Option<(&str, Id)>, Fault> {
    let dictionaries = dictionaries(pickle, dict);
    for wrapper in WRAPPERS {
        if let Some(&found) = dictionaries.iter().find(|(name, _)| *name == wrapper) {
            return Ok(Some(found));
        }
    }
    if has_tensors(pickle, dict) {
        return Ok(None);
    }
    match dictionaries.as_slice() {
        [one] => Ok(Some(*one)),
        [] => Err(nothing_in(pickle, dict).into()),
        several => {
            let names = listed(several.iter().map(|(name, _)| *name));
            Err(format!("holds several dictionaries of tensors: {names}; save one of them alone").into())
        }
    }
}

/// The entries of a dictionary that are dictionaries with tensors in them or one further in.
fn dictionaries(pickle: &Pickle, dict: Id) -> Vec<(&str, Id)> {
    let Node::Dict(entries) = pickle.node(dict) else { return Vec::new() };
    let holds = |id: Id| has_tensors(pickle, id) || wraps_tensors(pickle, id);
    entries.iter().filter_map(|&(key, value)| Some((pickle.text(key)?, value))).filter(|(_, id)| holds(*id)).collect()
}

fn has_tensors(pickle: &Pickle, dict: Id) -> bool {
    let Node::Dict(entries) = pickle.node(dict) else { return false };
    entries.iter().any(|&(key, value)| pickle.text(key).is_some() && matches!(pickle.node(value), Node::Tensor(_)))
}

fn wraps_tensors(pickle: &Pickle, dict: Id) -> bool {
    WRAPPERS.iter().filter_map(|name| pickle.entry(dict, name)).any(|id| has_tensors(pickle, id))
}

/// A note on dictionaries of tensors that are not the one that was chosen.
fn others(pickle: &Pickle, dict: Id, chosen: Id) -> Option<String> {
    let others = dictionaries(pickle, dict).into_iter().filter(|(_, id)| *id != chosen).map(|(name, _)| name);
    let names = listed(others);
    (!names.is_empty()).then(|| format!("its {names} is not read"))
}

/// The refusal of a dictionary without tensors, with the classes of its objects.
fn nothing_in(pickle: &Pickle, dict: Id) -> String {
    let Node::Dict(entries) = pickle.node(dict) else { return "holds no tensors".into() };
    for wrapper in WRAPPERS {
        if let Some(Node::Opaque(class)) = pickle.entry(dict, wrapper).map(|id| pickle.node(id)) {
            return format!("in its {wrapper:?} {}", whole_object(class));
        }
    }
    let is_numpys = |id: Id| matches!(pickle.node(id), Node::Opaque(class) if class.starts_with("numpy."));
    if entries.iter().any(|&(_, value)| is_numpys(value)) {
        let what = "holds arrays of numpy, which are not read; save tensors in Python: torch.from_numpy(array)";
        return what.into();
    }
    let names = listed(entries.iter().filter_map(|&(key, _)| pickle.text(key)));
    format!("holds no tensors by name, only {names}; save a state dict with torch.save")
}

/// The tensors of a dictionary.
fn collect(pickle: &Pickle, dict: Id, mut notes: Vec<String>) -> Result<StateDict, Fault> {
    let Node::Dict(entries) = pickle.node(dict) else { return Err("holds no dictionary of tensors".into()) };
    let mut tensors: Vec<Named> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut others = Vec::new();
    for &(key, value) in entries {
        let Some(name) = pickle.text(key) else { continue };
        match pickle.node(value) {
            Node::Tensor(tensor) => {
                if !seen.insert(name) {
                    return Err(format!("has two tensors of the name {name}; it is damaged").into());
                }
                if seen.len() > MAX_TENSORS {
                    return Err(format!("has more than {MAX_TENSORS} tensors; networks have some hundreds").into());
                }
                if is_parameter(name, tensor, &mut notes)? {
                    tensors.push((name.to_string(), Rc::clone(tensor)));
                }
            }
            Node::Opaque(class) if class.contains("_rebuild") => {
                let what =
                    format!("{name} is built by {class}, which is not read; save it there as a dense f32 tensor");
                return Err(what.into());
            }
            _ => others.push(name),
        }
    }
    if !others.is_empty() {
        let names = listed(others.iter().copied());
        notes.push(format!("{} entries are no tensors and not read: {names}", others.len()));
    }
    notes.extend(converted(&tensors));
    Ok(StateDict { tensors, notes })
}

/// Whether a tensor may be a parameter. Whole numbers are none.
fn is_parameter(name: &str, tensor: &TensorRef, notes: &mut Vec<String>) -> Result<bool, Fault> {
    match tensor.dtype {
        Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64 => Ok(true),
        _ if COUNTERS.iter().any(|counter| name.ends_with(counter)) => Ok(false),
        Dtype::Whole(kind, _) => {
            notes.push(format!("{} is of {kind}, which are no weights, and not read", brief(name)));
            Ok(false)
        }
        other => {
            let what = format!("{name} is of {} numbers, which are not read; save it there as float32", other.name());
            Err(what.into())
        }
    }
}

/// A note on types of numbers that are not f32.
fn converted(tensors: &[Named]) -> Option<String> {
    let types: BTreeSet<Dtype> = tensors.iter().map(|(_, tensor)| tensor.dtype).filter(|d| *d != Dtype::F32).collect();
    let names: Vec<&str> = types.iter().map(|dtype| dtype.name()).collect();
    (!names.is_empty()).then(|| format!("its numbers are {} and become f32", names.join(" and ")))
}

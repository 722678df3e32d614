//! Classes of images whose labels are numbers.
//!
//! A number is the place of its class among names that the source brings or that are given for it; among given classes
//! (`--classes-of`) its class is found by name: the source's own, or the number itself where those are named by numbers. A
//! class that is not among them is an error: what stands in its place is another class.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::Reading;
use super::words::is_wnid;
use crate::error::{Error, Result};

/// Beyond this a label is taken for a mistake.
const MAX_CLASSES: u64 = 1 << 20;
/// Names that a message shows.
const SHOWN: usize = 12;

/// Names of classes, and which of them each label means.
pub(super) struct Numbered {
    pub classes: Vec<String>,
    places: BTreeMap<u64, u32>,
}

impl Numbered {
    /// Labels that are places themselves.
    fn in_place(classes: Vec<String>, used: &BTreeSet<u64>) -> Self {
        Self { classes, places: used.iter().map(|&label| (label, label as u32)).collect() }
    }

    /// The place of the class of a label, which must be one of those that are used.
    pub fn place(&self, label: u64) -> u32 {
        self.places[&label]
    }
}

/// The classes of a source that only numbers them, with the labels `used`. `own` are the names that it brings.
pub(super) fn numbered(
    path: &Path,
    used: &BTreeSet<u64>,
    own: Option<Vec<String>>,
    reading: &Reading,
) -> Result<Numbered> {
    let names = names(path, own, reading)?;
    let largest = used.last().copied().unwrap_or(0);
    if let Some(names) = &names {
        check_largest(path, largest, names.len())?;
    }
    match (reading.classes, names) {
        (Some(given), Some(names)) if are_names(&names) => by_name(path, used, &names, given),
        (Some(given), _) => by_number(path, used, given),
        (None, Some(names)) => Ok(Numbered::in_place(names, used)),
        (None, None) if largest >= MAX_CLASSES => {
            Err(Error::source(path, format!("the label {largest}; expected 0 to {}", MAX_CLASSES - 1)))
        }
        (None, None) if largest == 0 => Err(Error::source(path, "holds one class only, 0; expected at least two")),
        (None, None) => Ok(Numbered::in_place((0..=largest).map(|label| label.to_string()).collect(), used)),
    }
}

/// Whether names say more than the numbers 0, 1, 2 and so on.
fn are_names(names: &[String]) -> bool {
    names.iter().enumerate().any(|(place, name)| *name != place.to_string())
}

/// The names of all classes in the order of their numbers, if they are known.
fn names(path: &Path, own: Option<Vec<String>>, reading: &Reading) -> Result<Option<Vec<String>>> {
    let Some(lines) = reading.class_names else { return Ok(own) };
    match (own.filter(|own| are_names(own)), reading.words) {
        (None, _) => Ok(Some(lines.to_vec())),
        (Some(own), Some(words)) if own.iter().all(|name| is_wnid(name)) => Ok(Some(words.names(&own))),
        (Some(own), _) if own == lines => Ok(Some(own)),
        (Some(own), _) => {
            let expected = "a source that only numbers its classes, or a wnid and its words a line";
            let got = format!("{}, for {}, whose classes are named {}", shown(lines), path.display(), shown(&own));
            Err(Error::option("class_names", expected, got))
        }
    }
}

fn check_largest(path: &Path, largest: u64, classes: usize) -> Result<()> {
    if largest < classes as u64 {
        return Ok(());
    }
    let what = format!("the label {largest}, with names for {classes} classes (0 to {})", classes.saturating_sub(1));
    Err(Error::source(path, what))
}

/// By the source's own names, each looked up among the given classes.
fn by_name(path: &Path, used: &BTreeSet<u64>, names: &[String], given: &[String]) -> Result<Numbered> {
    let among: HashMap<&String, u32> = given.iter().zip(0..).collect();
    if !names.iter().any(|name| among.contains_key(name)) {
        let what = format!(
            "its classes are named {}, and the given classes {}: none is the same; give a pack of the same classes",
            shown(names),
            shown(given)
        );
        return Err(Error::source(path, what));
    }
    let missing: Vec<String> =
        used.iter().map(|&label| &names[label as usize]).filter(|name| !among.contains_key(name)).cloned().collect();
    if !missing.is_empty() {
        let what = format!(
            "its classes {} are not among the given classes {}; give a pack that has them, or leave their images out",
            shown(&missing),
            shown(given)
        );
        return Err(Error::source(path, what));
    }
    let places = used.iter().map(|&label| (label, among[&names[label as usize]])).collect();
    Ok(Numbered { classes: given.to_vec(), places })
}

/// By the numbers themselves among the given classes.
fn by_number(path: &Path, used: &BTreeSet<u64>, given: &[String]) -> Result<Numbered> {
    let values: Vec<i128> = used.iter().map(|&label| label.into()).collect();
    if let Some(places) = places_by_value(path, &values, given)? {
        return Ok(Numbered { classes: given.to_vec(), places: used.iter().copied().zip(places).collect() });
    }
    check_largest(path, used.last().copied().unwrap_or(0), given.len())?;
    Ok(Numbered::in_place(given.to_vec(), used))
}

/// The places of labels among given classes that are named by numbers, where `01` is 1; `None` if they are not, so that
/// labels are places.
///
/// # Errors
/// [`Error::Source`] for a label that is not among classes named by numbers, and for two of those that are one number.
pub(super) fn places_by_value(path: &Path, values: &[i128], given: &[String]) -> Result<Option<Vec<u32>>> {
    let numbers: Vec<(i128, u32)> =
        given.iter().zip(0..).filter_map(|(name, place)| Some((name.parse().ok()?, place))).collect();
    let by_value: HashMap<i128, u32> = numbers.iter().copied().collect();
    if by_value.len() < numbers.len() {
        let what = format!("of the given classes {} some are the same number; expected each once", shown(given));
        return Err(Error::source(path, what));
    }
    let found: Vec<Option<u32>> = values.iter().map(|value| by_value.get(value).copied()).collect();
    let missing = values.iter().zip(&found).find(|(_, place)| place.is_none());
    let Some((missing, _)) = missing else { return Ok(found.into_iter().collect()) };
    // Of names some of which are words, numbers that stand at their own places say the same as places do.
    let elsewhere = |(&value, place): (&i128, &Option<u32>)| place.is_some_and(|place| i128::from(place) != value);
    if numbers.len() < given.len() && !values.iter().zip(&found).any(elsewhere) {
        return Ok(None);
    }
    let which = if numbers.len() == given.len() { "which" } else { "some of which" };
    let what = format!(
        "the label {missing} is not among the given classes, {which} are named by numbers: {}; give a pack that has it, or \
         leave its images out",
        shown(given)
    );
    Err(Error::source(path, what))
}

/// The first of some names.
fn shown(names: &[String]) -> String {
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    let first: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    format!("{}{more}", first.join(", "))
}

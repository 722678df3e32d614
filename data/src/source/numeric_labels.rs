//! Classes of sources with numeric labels.
//!
//! A number is an index into the class names of the source or given ones. With given classes (`--classes-of`), the
//! class is found by name: that of the source, or the number itself if the classes are named by numbers. A missing
//! class is an error, because its index belongs to another class.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::SourceOptions;
use super::wordnet::is_wnid;
use crate::error::{Error, Result};

/// Labels from this on are taken for mistakes.
const MAX_CLASSES: u64 = 1 << 20;
/// Maximum number of names shown in a message.
const MAX_NAMES_SHOWN: usize = 12;

/// Class names, and the class of each numeric label.
pub(super) struct NumericClasses {
    pub classes: Vec<String>,
    indices: BTreeMap<u64, u32>,
}

impl NumericClasses {
    /// Labels that are indices themselves.
    fn identity(classes: Vec<String>, used: &BTreeSet<u64>) -> Self {
        Self { classes, indices: used.iter().map(|&label| (label, label as u32)).collect() }
    }

    /// The class index of a label, which must be one of those used.
    pub fn label_of(&self, label: u64) -> u32 {
        self.indices[&label]
    }
}

/// Determines the classes of a source with the numeric labels `used`. `own` are class names from the source.
pub(super) fn numeric_classes(
    path: &Path,
    used: &BTreeSet<u64>,
    own: Option<Vec<String>>,
    options: &SourceOptions,
) -> Result<NumericClasses> {
    let names = names(path, own, options)?;
    let largest = used.last().copied().unwrap_or(0);
    if let Some(names) = &names {
        check_largest(path, largest, names.len())?;
    }
    match (options.classes, names) {
        (Some(given), Some(names)) if are_meaningful(&names) => by_name(path, used, &names, given),
        (Some(given), _) => by_number(path, used, given),
        (None, Some(names)) => Ok(NumericClasses::identity(names, used)),
        (None, None) if largest >= MAX_CLASSES => {
            Err(Error::source(path, format!("the label {largest}; expected 0 to {}", MAX_CLASSES - 1)))
        }
        (None, None) if largest == 0 => Err(Error::source(path, "holds one class only, 0; expected at least two")),
        (None, None) => Ok(NumericClasses::identity((0..=largest).map(|label| label.to_string()).collect(), used)),
    }
}

/// Whether names are more than the numbers 0, 1, 2 and so on.
fn are_meaningful(names: &[String]) -> bool {
    names.iter().enumerate().any(|(index, name)| *name != index.to_string())
}

/// Names of all classes in label order, if known.
fn names(path: &Path, own: Option<Vec<String>>, options: &SourceOptions) -> Result<Option<Vec<String>>> {
    let Some(lines) = options.class_names else { return Ok(own) };
    match (own.filter(|own| are_meaningful(own)), options.wordnet) {
        (None, _) => Ok(Some(lines.to_vec())),
        (Some(own), Some(words)) if own.iter().all(|name| is_wnid(name)) => Ok(Some(words.names(&own))),
        (Some(own), _) if own == lines => Ok(Some(own)),
        (Some(own), _) => {
            let expected = "a source that only numbers its classes, or lines of a wnid and its words";
            let got =
                format!("{}, for {}, whose classes are named {}", join_names(lines), path.display(), join_names(&own));
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

/// Looks up the source's own names among the given classes.
fn by_name(path: &Path, used: &BTreeSet<u64>, names: &[String], given: &[String]) -> Result<NumericClasses> {
    let among: HashMap<&String, u32> = given.iter().zip(0..).collect();
    if !names.iter().any(|name| among.contains_key(name)) {
        let what = format!(
            "its classes are named {}, and the given classes {}: none is the same; give a pack of the same classes",
            join_names(names),
            join_names(given)
        );
        return Err(Error::source(path, what));
    }
    let missing: Vec<String> =
        used.iter().map(|&label| &names[label as usize]).filter(|name| !among.contains_key(name)).cloned().collect();
    if !missing.is_empty() {
        let what = format!(
            "its classes {} are not among the given classes {}; give a pack that has them, or leave their images out",
            join_names(&missing),
            join_names(given)
        );
        return Err(Error::source(path, what));
    }
    let indices = used.iter().map(|&label| (label, among[&names[label as usize]])).collect();
    Ok(NumericClasses { classes: given.to_vec(), indices })
}

/// Looks up the numbers themselves among the given classes.
fn by_number(path: &Path, used: &BTreeSet<u64>, given: &[String]) -> Result<NumericClasses> {
    let values: Vec<i128> = used.iter().map(|&label| label.into()).collect();
    if let Some(indices) = indices_by_value(path, &values, given)? {
        return Ok(NumericClasses { classes: given.to_vec(), indices: used.iter().copied().zip(indices).collect() });
    }
    check_largest(path, used.last().copied().unwrap_or(0), given.len())?;
    Ok(NumericClasses::identity(given.to_vec(), used))
}

/// Class indices of labels among given classes that are named by numbers, where `01` is 1; `None` if they are not, so
/// that labels are indices.
///
/// # Errors
/// [`Error::Source`] for a label missing among classes named by numbers, and for two classes named by the same number.
pub(super) fn indices_by_value(path: &Path, values: &[i128], given: &[String]) -> Result<Option<Vec<u32>>> {
    let numbers: Vec<(i128, u32)> =
        given.iter().zip(0..).filter_map(|(name, index)| Some((name.parse().ok()?, index))).collect();
    let by_value: HashMap<i128, u32> = numbers.iter().copied().collect();
    if by_value.len() < numbers.len() {
        let what = format!("of the given classes {} some are the same number; expected each once", join_names(given));
        return Err(Error::source(path, what));
    }
    let found: Vec<Option<u32>> = values.iter().map(|value| by_value.get(value).copied()).collect();
    let missing = values.iter().zip(&found).find(|(_, index)| index.is_none());
    let Some((missing, _)) = missing else { return Ok(found.into_iter().collect()) };
    // If some names are words and all found numbers are at their own index, both readings agree.
    let is_elsewhere = |value: i128, index: Option<u32>| index.is_some_and(|index| i128::from(index) != value);
    let any_elsewhere = values.iter().zip(&found).any(|(&value, &index)| is_elsewhere(value, index));
    if numbers.len() < given.len() && !any_elsewhere {
        return Ok(None);
    }
    let which = if numbers.len() == given.len() { "which" } else { "some of which" };
    let what = format!(
        "the label {missing} is not among the given classes, {which} are named by numbers: {}; give a pack that has it, or \
         leave its images out",
        join_names(given)
    );
    Err(Error::source(path, what))
}

/// The first few names, for messages.
fn join_names(names: &[String]) -> String {
    let more = if names.len() > MAX_NAMES_SHOWN { ", ..." } else { "" };
    let first: Vec<&str> = names.iter().take(MAX_NAMES_SHOWN).map(String::as_str).collect();
    format!("{}{more}", first.join(", "))
}

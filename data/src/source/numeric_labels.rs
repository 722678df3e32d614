//! Classes of sources with numeric labels.
//!
//! A number is an index into the class names of the source or given ones. With given classes (option `classes`), the
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
/// Advice where labels are class numbers from 1 on.
pub(super) const ONE_BASED: &str = "; the labels seem to begin at 1, and these begin at 0: subtract 1 from each label, or give the \
                                    names with their numbers (--class-names with lines of a number and a name)";

/// Class names, and the class of each numeric label.
pub(super) struct NumericClasses {
    pub classes: Vec<String>,
    indices: BTreeMap<u64, u32>,
}

impl NumericClasses {
    /// Labels that are indices themselves, counted from the label `first`.
    fn identity(classes: Vec<String>, used: &BTreeSet<u64>, first: u64) -> Self {
        Self { classes, indices: used.iter().map(|&label| (label, label.saturating_sub(first) as u32)).collect() }
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
    let has_own = own.as_deref().is_some_and(are_meaningful);
    let first = if has_own { 0 } else { options.first_label };
    let names = names(path, own, options)?;
    let largest = used.last().copied().unwrap_or(0);
    let have_numbers = !has_own && first == 0 && names.as_deref().is_some_and(|names| own_numbers(names).is_some());
    if let Some(names) = names.as_ref().filter(|_| !have_numbers) {
        check_range(path, used, names.len(), first)?;
    }
    match (options.classes, names) {
        (Some(given), Some(names)) if are_meaningful(&names) => by_name(path, used, &names, first, given),
        (Some(given), _) => by_number(path, used, given),
        (None, Some(names)) if have_numbers => by_number(path, used, &names),
        (None, Some(names)) => Ok(NumericClasses::identity(names, used, first)),
        (None, None) if largest >= MAX_CLASSES => {
            Err(Error::source(path, format!("the label {largest}; expected 0 to {}", MAX_CLASSES - 1)))
        }
        (None, None) if largest == 0 => Err(Error::source(path, "holds one class only, 0; expected at least two")),
        (None, None) => Ok(NumericClasses::identity((0..=largest).map(|label| label.to_string()).collect(), used, 0)),
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

/// Fails unless all labels are in `first..first + classes`.
fn check_range(path: &Path, used: &BTreeSet<u64>, classes: usize, first: u64) -> Result<()> {
    let smallest = used.first().copied().unwrap_or(first);
    let largest = used.last().copied().unwrap_or(first);
    let end = first + classes as u64;
    if smallest >= first && largest < end {
        return Ok(());
    }
    let outside = if smallest < first { smallest } else { largest };
    let hint = if smallest == 1 && largest == end { ONE_BASED } else { "" };
    let range = format!("{first} to {}", end.saturating_sub(1));
    Err(Error::source(path, format!("the label {outside}, with names for {classes} classes ({range}){hint}")))
}

/// Looks up the source's own names among the given classes.
fn by_name(
    path: &Path,
    used: &BTreeSet<u64>,
    names: &[String],
    first: u64,
    given: &[String],
) -> Result<NumericClasses> {
    let name = |label: u64| &names[(label - first) as usize];
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
        used.iter().map(|&label| name(label)).filter(|name| !among.contains_key(name)).cloned().collect();
    if !missing.is_empty() {
        let what = format!(
            "its classes {} are not among the given classes {}; give a pack that has them, or leave their images out",
            join_names(&missing),
            join_names(given)
        );
        return Err(Error::source(path, what));
    }
    let indices = used.iter().map(|&label| (label, among[name(label)])).collect();
    Ok(NumericClasses { classes: given.to_vec(), indices })
}

/// Looks up the numbers themselves among the given classes.
fn by_number(path: &Path, used: &BTreeSet<u64>, given: &[String]) -> Result<NumericClasses> {
    let values: Vec<i128> = used.iter().map(|&label| label.into()).collect();
    if let Some(indices) = indices_by_value(path, &values, given)? {
        return Ok(NumericClasses { classes: given.to_vec(), indices: used.iter().copied().zip(indices).collect() });
    }
    check_range(path, used, given.len(), 0)?;
    Ok(NumericClasses::identity(given.to_vec(), used, 0))
}

/// Class indices of labels among given classes that are named by numbers, where `01` is 1; `None` if they are not, so
/// that labels are indices.
///
/// # Errors
/// [`Error::Source`] for a label missing among classes named by numbers, and for two classes named by the same number.
pub(super) fn indices_by_value(path: &Path, values: &[i128], given: &[String]) -> Result<Option<Vec<u32>>> {
    let numbers: Vec<(i128, u32)> =
        given.iter().zip(0..).filter_map(|(name, index)| Some((name.parse().ok()?, index))).collect();
    if let Some(own) = own_numbers(given).filter(|_| numbers.is_empty()) {
        return indices_by_own_number(path, values, given, &own);
    }
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

/// Numbers at the beginning of all names, each unique: 1 and 2 of `001.Albatross` and `002.Auklet`.
fn own_numbers(names: &[String]) -> Option<Vec<i128>> {
    let number = |name: &String| {
        let digits = name.bytes().take_while(u8::is_ascii_digit).count();
        let is_before_name = name.len() > digits + 1 && name[digits..].starts_with(['.', '_', '-', ' ', ':', ')']);
        name[..digits].parse().ok().filter(|_| is_before_name)
    };
    let numbers: Vec<i128> = names.iter().map(number).collect::<Option<_>>()?;
    (numbers.iter().collect::<BTreeSet<_>>().len() == numbers.len()).then_some(numbers)
}

/// Class indices of labels among names that begin with the numbers `own`; `None` if the labels cannot be such numbers.
///
/// # Errors
/// [`Error::Source`] for a label missing among numbers that are all from 0 or 1 on, and if labels may be such numbers
/// or indices.
fn indices_by_own_number(path: &Path, values: &[i128], given: &[String], own: &[i128]) -> Result<Option<Vec<u32>>> {
    let indices: HashMap<i128, u32> = own.iter().copied().zip(0..).collect();
    let smallest = own.iter().min().copied().unwrap_or(0);
    let largest = own.iter().max().copied().unwrap_or(0);
    let is_series = smallest <= 1 && largest - smallest + 1 == own.len() as i128;
    let missing = values.iter().find(|value| !indices.contains_key(value));
    if let Some(missing) = missing {
        let what = format!(
            "the label {missing} is not among the given classes, whose names begin with their numbers: {}; give the labels in \
             these numbers",
            join_names(given)
        );
        return if is_series { Err(Error::source(path, what)) } else { Ok(None) };
    }
    let elsewhere = values.iter().find(|value| i128::from(indices[value]) != **value);
    let are_indices = values.iter().all(|value| (0..given.len() as i128).contains(value));
    match elsewhere {
        Some(value) if are_indices && !is_series => {
            let what = format!(
                "the label {value} may be the class {:?}, whose name begins with it, or {:?}, which stands at its place; write \
                 the names of the classes as labels",
                given[indices[value] as usize], given[*value as usize]
            );
            Err(Error::source(path, what))
        }
        _ => Ok(Some(values.iter().map(|value| indices[value]).collect())),
    }
}

/// The first few names, for messages.
fn join_names(names: &[String]) -> String {
    let more = if names.len() > MAX_NAMES_SHOWN { ", ..." } else { "" };
    let first: Vec<&str> = names.iter().take(MAX_NAMES_SHOWN).map(String::as_str).collect();
    format!("{}{more}", first.join(", "))
}

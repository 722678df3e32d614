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
/// What is to be done where labels are the numbers of their classes from 1 on.
pub(super) const ONE_BASED: &str = "; the labels seem to begin at 1, and these begin at 0: subtract 1 from each label, or give the \
                                    names with their numbers (--class-names with lines of a number and a name)";

/// Names of classes, and which of them each label means.
pub(super) struct Numbered {
    pub classes: Vec<String>,
    places: BTreeMap<u64, u32>,
}

impl Numbered {
    /// Labels that are places themselves, the first of which is the label `first`.
    fn in_place(classes: Vec<String>, used: &BTreeSet<u64>, first: u64) -> Self {
        Self { classes, places: used.iter().map(|&label| (label, label.saturating_sub(first) as u32)).collect() }
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
    let has_own = own.as_deref().is_some_and(are_names);
    let first = if has_own { 0 } else { reading.first_label };
    let names = names(path, own, reading)?;
    let largest = used.last().copied().unwrap_or(0);
    let have_numbers = !has_own && first == 0 && names.as_deref().is_some_and(|names| own_numbers(names).is_some());
    if let Some(names) = names.as_ref().filter(|_| !have_numbers) {
        check_range(path, used, names.len(), first)?;
    }
    match (reading.classes, names) {
        (Some(given), Some(names)) if are_names(&names) => by_name(path, used, &names, first, given),
        (Some(given), _) => by_number(path, used, given),
        (None, Some(names)) if have_numbers => by_number(path, used, &names),
        (None, Some(names)) => Ok(Numbered::in_place(names, used, first)),
        (None, None) if largest >= MAX_CLASSES => {
            Err(Error::source(path, format!("the label {largest}; expected 0 to {}", MAX_CLASSES - 1)))
        }
        (None, None) if largest == 0 => Err(Error::source(path, "holds one class only, 0; expected at least two")),
        (None, None) => Ok(Numbered::in_place((0..=largest).map(|label| label.to_string()).collect(), used, 0)),
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

/// Refuses labels that are not the numbers of so many classes from `first` on.
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

/// By the source's own names, each looked up among the given classes.
fn by_name(path: &Path, used: &BTreeSet<u64>, names: &[String], first: u64, given: &[String]) -> Result<Numbered> {
    let name = |label: u64| &names[(label - first) as usize];
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
        used.iter().map(|&label| name(label)).filter(|name| !among.contains_key(name)).cloned().collect();
    if !missing.is_empty() {
        let what = format!(
            "its classes {} are not among the given classes {}; give a pack that has them, or leave their images out",
            shown(&missing),
            shown(given)
        );
        return Err(Error::source(path, what));
    }
    let places = used.iter().map(|&label| (label, among[name(label)])).collect();
    Ok(Numbered { classes: given.to_vec(), places })
}

/// By the numbers themselves among the given classes.
fn by_number(path: &Path, used: &BTreeSet<u64>, given: &[String]) -> Result<Numbered> {
    let values: Vec<i128> = used.iter().map(|&label| label.into()).collect();
    if let Some(places) = places_by_value(path, &values, given)? {
        return Ok(Numbered { classes: given.to_vec(), places: used.iter().copied().zip(places).collect() });
    }
    check_range(path, used, given.len(), 0)?;
    Ok(Numbered::in_place(given.to_vec(), used, 0))
}

/// The places of labels among given classes that are named by numbers, where `01` is 1; `None` if they are not, so that
/// labels are places.
///
/// # Errors
/// [`Error::Source`] for a label that is not among classes named by numbers, and for two of those that are one number.
pub(super) fn places_by_value(path: &Path, values: &[i128], given: &[String]) -> Result<Option<Vec<u32>>> {
    let numbers: Vec<(i128, u32)> =
        given.iter().zip(0..).filter_map(|(name, place)| Some((name.parse().ok()?, place))).collect();
    if let Some(own) = own_numbers(given).filter(|_| numbers.is_empty()) {
        return places_by_own_number(path, values, given, &own);
    }
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

/// The numbers that all names begin with, each once: 1 and 2 of `001.Albatross` and `002.Auklet`.
fn own_numbers(names: &[String]) -> Option<Vec<i128>> {
    let number = |name: &String| {
        let digits = name.bytes().take_while(u8::is_ascii_digit).count();
        let is_before_name = name.len() > digits + 1 && name[digits..].starts_with(['.', '_', '-', ' ', ':', ')']);
        name[..digits].parse().ok().filter(|_| is_before_name)
    };
    let numbers: Vec<i128> = names.iter().map(number).collect::<Option<_>>()?;
    (numbers.iter().collect::<BTreeSet<_>>().len() == numbers.len()).then_some(numbers)
}

/// The places of labels among names that begin with numbers; `None` where the labels can be no such numbers.
///
/// # Errors
/// [`Error::Source`] for a label that is none of numbers that are all from 0 or 1 on, and where labels may be such numbers or
/// places.
fn places_by_own_number(path: &Path, values: &[i128], given: &[String], own: &[i128]) -> Result<Option<Vec<u32>>> {
    let places: HashMap<i128, u32> = own.iter().copied().zip(0..).collect();
    let smallest = own.iter().min().copied().unwrap_or(0);
    let largest = own.iter().max().copied().unwrap_or(0);
    let is_series = smallest <= 1 && largest - smallest + 1 == own.len() as i128;
    let missing = values.iter().find(|value| !places.contains_key(value));
    if let Some(missing) = missing {
        let what = format!(
            "the label {missing} is not among the given classes, whose names begin with their numbers: {}; give the labels in \
             these numbers",
            shown(given)
        );
        return if is_series { Err(Error::source(path, what)) } else { Ok(None) };
    }
    let elsewhere = values.iter().find(|value| i128::from(places[value]) != **value);
    let are_places = values.iter().all(|value| (0..given.len() as i128).contains(value));
    match elsewhere {
        Some(value) if are_places && !is_series => {
            let what = format!(
                "the label {value} may be the class {:?}, whose name begins with it, or {:?}, which stands at its place; write \
                 the names of the classes as labels",
                given[places[value] as usize], given[*value as usize]
            );
            Err(Error::source(path, what))
        }
        _ => Ok(Some(values.iter().map(|value| places[value]).collect())),
    }
}

/// The first of some names.
fn shown(names: &[String]) -> String {
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    let first: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    format!("{}{more}", first.join(", "))
}

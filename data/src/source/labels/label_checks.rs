//! Labels that say more than one class, or none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::error::{Error, Result};

/// Refuses labels that are evidently lists of classes, and numbers below 0. `asked` says that the user named their
/// column.
pub(super) fn check<'a>(path: &Path, labels: impl Iterator<Item = &'a str>, asked: bool) -> Result<()> {
    let distinct: BTreeSet<&str> = labels.collect();
    check_negative(path, &distinct, asked)?;
    match several(&distinct, asked) {
        Some(label) => {
            let what = format!(
                "the label {label:?} is a list of several classes; expected one: an image has one class. Leave such images out, \
                 or choose one of their classes; where it is the name of one class, write it without {}",
                separators(label)
            );
            Err(Error::source(path, what))
        }
        None => Ok(()),
    }
}

/// The characters that make a label look like a list.
fn separators(label: &str) -> &'static str {
    match label {
        _ if label.starts_with('[') => "brackets",
        _ if label.contains('|') => "|",
        _ if label.contains(';') => "semicolons",
        _ if label.contains(',') => "commas",
        _ => "spaces, or name its column (--label-column)",
    }
}

/// Numbers below 0 stand for no class: unlabelled, absent or doubtful.
fn check_negative(path: &Path, distinct: &BTreeSet<&str>, asked: bool) -> Result<()> {
    let numbers: Option<Vec<f64>> = distinct.iter().map(|label| label.parse().ok()).collect();
    let smallest = numbers.unwrap_or_default().into_iter().fold(0.0, f64::min);
    let is_yes_or_no = distinct.iter().all(|label| matches!(*label, "-1" | "1"));
    if smallest >= 0.0 || asked && is_yes_or_no {
        return Ok(());
    }
    let how = if is_yes_or_no {
        "where -1 and 1 are the two classes, name their column (--label-column); else remove these rows"
    } else {
        "remove these rows, or write the names of the classes"
    };
    let what =
        format!("the label {smallest}: a number below 0 stands for an image without the class or a label; {how}");
    Err(Error::source(path, what))
}

/// A label that is a list for certain.
fn several<'a>(distinct: &BTreeSet<&'a str>, asked: bool) -> Option<&'a str> {
    let is_bracketed = |label: &&&str| label.starts_with('[') && label.ends_with(']');
    let bracketed = distinct.iter().find(|label| is_bracketed(label) || label.contains('|'));
    let numbers = || {
        let split = |label: &'a str| label.split([' ', ',']).filter(|part| !part.is_empty()).collect::<Vec<&str>>();
        let all = distinct.iter().flat_map(|label| split(label)).all(|part| part.parse::<u64>().is_ok());
        distinct.iter().find(|label| all && split(label).len() > 1)
    };
    if let Some(label) = bracketed.or_else(numbers) {
        return Some(label);
    }
    let by = |separator: char| Combinations::of(distinct, separator);
    if let Some(label) = by(';').recurring(1).or_else(|| by(',').recurring(2)) {
        return Some(label);
    }
    let spaced = by(' ');
    spaced.recurring(2).filter(|_| spaced.has_single()).or_else(|| spaced.with_underscores()).filter(|_| !asked)
}

/// Labels of several parts.
struct Combinations<'a> {
    labels: Vec<(&'a str, Vec<&'a str>)>,
    /// By part, in how many labels it is.
    uses: BTreeMap<&'a str, usize>,
    singles: BTreeSet<&'a str>,
}

impl<'a> Combinations<'a> {
    fn of(distinct: &BTreeSet<&'a str>, separator: char) -> Self {
        let split = |label: &'a str| {
            let parts: BTreeSet<&str> = label.split(separator).map(str::trim).filter(|part| !part.is_empty()).collect();
            parts.into_iter().collect::<Vec<&str>>()
        };
        let all: Vec<(&str, Vec<&str>)> = distinct.iter().map(|label| (*label, split(label))).collect();
        let mut uses = BTreeMap::new();
        all.iter().flat_map(|(_, parts)| parts).for_each(|part| *uses.entry(*part).or_insert(0) += 1);
        let singles = all.iter().filter(|(_, parts)| parts.len() == 1).map(|(_, parts)| parts[0]).collect();
        Self { labels: all.into_iter().filter(|(_, parts)| parts.len() > 1).collect(), uses, singles }
    }

    /// The first combination, where at least `least` parts, and half of all that combinations have, are in several
    /// labels.
    fn recurring(&self, least: usize) -> Option<&'a str> {
        let parts: BTreeSet<&str> = self.labels.iter().flat_map(|(_, parts)| parts).copied().collect();
        let recurring = parts.iter().filter(|part| self.uses[*part] > 1).count();
        self.labels.first().map(|(label, _)| *label).filter(|_| recurring >= least && recurring * 2 >= parts.len())
    }

    /// Whether a part of a combination is a label of its own.
    fn has_single(&self) -> bool {
        self.labels.iter().flat_map(|(_, parts)| parts).any(|part| self.singles.contains(part))
    }

    /// A combination of a label of its own and another part, where `_` stands for spaces within names.
    fn with_underscores(&self) -> Option<&'a str> {
        let is_list = |parts: &Vec<&str>| {
            parts.iter().any(|part| self.singles.contains(part)) && parts.iter().any(|part| part.contains('_'))
        };
        self.labels.iter().find(|(_, parts)| is_list(parts)).map(|(label, _)| *label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(labels: &[&str], asked: bool) -> Result<(), String> {
        check(Path::new("l.csv"), labels.iter().copied(), asked).map_err(|e| e.to_string())
    }

    #[test]
    fn names_of_several_words_are_one_class() {
        for labels in [
            &["golden retriever", "labrador retriever", "tabby cat", "siamese cat", "retriever"][..],
            &[
                "tench, Tinca tinca",
                "missile",
                "projectile, missile",
                "maillot",
                "maillot, tank suit",
                "crane",
                "a, b, c, d",
            ],
            &["red circle", "blue circle", "red square", "blue square"],
            &["x;y", "cat"],
            &["pug, black", "collie"],
            &["American_pit_bull", "golden retriever"],
            &["0", "1", "-"],
            &["(a)", "1,5 cm"],
        ] {
            assert_eq!(of(labels, false), Ok(()), "{labels:?}");
        }
        assert_eq!(of(&["a", "b", "a b"], true), Ok(()));
        assert_eq!(of(&["-1", "1"], true), Ok(()));
    }

    #[test]
    fn lists_of_classes_and_numbers_below_0_are_refused() {
        for (labels, which) in [
            (&["A", "A|B"][..], "A|B"),
            (&["cat|x", "dog|y"], "cat|x"),
            (&["A", "B", "A;B"], "A;B"),
            (&["['A']", "['B']"], "['A']"),
            (&["[0]", "[1]"], "[0]"),
            (&["16 0", "25", "7 1"], "16 0"),
            (&["1,2", "3"], "1,2"),
            (&["a", "b", "a b"], "a b"),
            (&["cat,x0", "dog,x1", "emu,x0", "emu,x1"], "cat,x0"),
            (&["healthy", "scab", "scab frog_eye_leaf_spot"], "scab frog_eye_leaf_spot"),
        ] {
            let error = of(labels, false).unwrap_err();
            let said = format!("l.csv: the label {which:?} is a list of several classes; expected one");
            assert!(error.starts_with(&said), "{labels:?}: {error}");
        }
        let error = of(&["A|B", "C"], true).unwrap_err();
        assert!(error.contains("the label \"A|B\" is a list of several classes"), "{error}");
        let error = of(&["-1", "0", "1"], true).unwrap_err();
        assert!(error.contains("the label -1: a number below 0 stands for an image without the class"), "{error}");
        let error = of(&["-1", "1"], false).unwrap_err();
        assert!(error.contains("where -1 and 1 are the two classes, name their column"), "{error}");
    }
}

//! The classes of the labels in a file.

use std::path::Path;

use super::LabelFile;
use crate::error::{Error, Result};
use crate::source::Reading;
use crate::source::catalogue::Numbers;
use crate::source::numbered::{ONE_BASED, places_by_value};
use crate::source::words::is_wnid;

impl LabelFile {
    /// The classes, and the number of each label.
    pub(super) fn number(
        &self,
        root: &Path,
        labels: &[Option<String>],
        classes: Option<Vec<String>>,
        reading: &Reading,
    ) -> Result<Numbers> {
        let mut distinct: Vec<&str> = labels.iter().flatten().map(String::as_str).collect();
        let images = distinct.len();
        distinct.sort_unstable();
        distinct.dedup();
        let values: Option<Vec<i128>> = distinct.iter().map(|label| label.parse().ok()).collect();
        // Words for wnids are no table of classes.
        let names = reading.class_names.filter(|_| reading.words.is_none());
        let table = reading.classes.or(names);
        let in_table = |table: &[String]| distinct.iter().all(|label| table.iter().any(|class| class == label));
        let numbered = reading.class_names.or(table);
        match (table, values, classes) {
            (_, Some(values), None) if numbered.is_some_and(|names| !in_table(names)) => {
                let names = numbered.unwrap_or_default();
                let places = self.places(&values, names, reading.first_label)?;
                self.among(reading.classes, names, distinct.into_iter().zip(places))
            }
            (Some(_), _, _) if reading.classes.is_some() => {
                Numbers::new(root, distinct.into_iter().map(str::to_string).collect(), reading)
            }
            (Some(table), _, _) => Ok(Numbers::of(table.to_vec())),
            (None, _, Some(classes)) => {
                let sorted = Reading { classes: None, ..*reading };
                Numbers::new(root, classes, &sorted)
            }
            (None, values, None) => {
                if images > 1 && distinct.len() == images {
                    return Err(self.own_classes(&distinct));
                }
                if values.is_some() {
                    distinct.sort_by_key(|label| label.parse::<i128>().unwrap_or(i128::MAX));
                }
                Numbers::new(root, distinct.into_iter().map(str::to_string).collect(), reading)
            }
        }
    }

    fn own_classes(&self, distinct: &[&str]) -> Error {
        let some: Vec<&str> = distinct.iter().copied().take(3).collect();
        let what = format!(
            "its labels make each of the {} images a class of its own ({}, ...); expected classes of several images; where it \
             has columns, say which has the labels (--label-column)",
            distinct.len(),
            some.join(", ")
        );
        Error::source(&self.path, what)
    }

    /// The classes `names`, known by labels with their places in them; or, of `given` classes, those of these names.
    fn among<'a>(
        &self,
        given: Option<&[String]>,
        names: &[String],
        labels: impl Iterator<Item = (&'a str, u32)>,
    ) -> Result<Numbers> {
        let Some(given) = given.filter(|given| *given != names) else { return Ok(Numbers::by(names.to_vec(), labels)) };
        let all = Numbers::of(given.to_vec());
        let label = |(label, place): (&'a str, u32)| Ok((label, all.label(&self.path, &names[place as usize])?));
        let labels: Vec<(&str, u32)> = labels.map(label).collect::<Result<_>>()?;
        Ok(Numbers::by(given.to_vec(), labels.into_iter()))
    }

    /// The places of labels that are numbers among `names`, of which the first has the label `first`.
    fn places(&self, values: &[i128], names: &[String], first: u64) -> Result<Vec<u32>> {
        if first == 0
            && let Some(places) = places_by_value(&self.path, values, names)?
        {
            return Ok(places);
        }
        let first = i128::from(first);
        let end = first + names.len() as i128;
        let smallest = values.iter().min().copied().unwrap_or(first);
        let largest = values.iter().max().copied().unwrap_or(first);
        if smallest >= first && largest < end {
            return Ok(values.iter().map(|&value| (value - first) as u32).collect());
        }
        let hint = match smallest {
            1.. if names.iter().all(|name| is_wnid(name)) => {
                "; if these are ILSVRC's own numbers, give the folder or .tar.gz of its development kit"
            }
            1 if largest == end => ONE_BASED,
            _ => "",
        };
        let outside = if smallest < first { smallest } else { largest };
        let range = format!("{first} to {}", end - 1);
        Err(Error::source(&self.path, format!("the label {outside} with {} classes, {range}{hint}", names.len())))
    }

    /// What the user should know of labels that are places, where none is the first.
    pub(super) fn begins_at_one(
        &self,
        labels: &[Option<String>],
        known: &Numbers,
        reading: &Reading,
    ) -> Option<String> {
        let is_given = reading.classes.is_some() || reading.class_names.is_some();
        let values: Option<Vec<u32>> = labels.iter().flatten().map(|label| label.parse().ok()).collect();
        let values = values.filter(|_| is_given && reading.first_label == 0)?;
        let in_place = labels.iter().flatten().zip(&values).all(|(label, value)| known.get(label) == Some(*value));
        let smallest = values.iter().min().copied()?;
        let is_named = known.classes.get(1).is_some_and(|second| second.parse::<u64>().is_err());
        (in_place && is_named && smallest == 1).then(|| {
            format!(
                "no label is 0, and the label 1 is taken for {:?}, the second class; where the labels begin at 1, subtract 1 \
                 from each, or give the names with their numbers (--class-names)",
                known.classes[1]
            )
        })
    }
}

//! Classes of the labels in a file.

use std::path::Path;

use super::LabelFile;
use crate::error::{Error, Result};
use crate::source::SourceOptions;
use crate::source::class_index::ClassIndex;
use crate::source::numeric_labels::{ONE_BASED, indices_by_value};
use crate::source::wordnet::is_wnid;

impl LabelFile {
    /// Determines the classes, and the class index of each label.
    pub(super) fn class_index(
        &self,
        root: &Path,
        labels: &[Option<String>],
        classes: Option<Vec<String>>,
        options: &SourceOptions,
    ) -> Result<ClassIndex> {
        let mut distinct: Vec<&str> = labels.iter().flatten().map(String::as_str).collect();
        let images = distinct.len();
        distinct.sort_unstable();
        distinct.dedup();
        let values: Option<Vec<i128>> = distinct.iter().map(|label| label.parse().ok()).collect();
        // Words for wnids are not a list of classes.
        let names = options.class_names.filter(|_| options.wordnet.is_none());
        let table = options.classes.or(names);
        let in_table = |table: &[String]| distinct.iter().all(|label| table.iter().any(|class| class == label));
        let numbered = options.class_names.or(table);
        match (table, values, classes) {
            (_, Some(values), None) if numbered.is_some_and(|names| !in_table(names)) => {
                let names = numbered.unwrap_or_default();
                let indices = self.indices(&values, names, options.first_label)?;
                self.among(options.classes, names, distinct.into_iter().zip(indices))
            }
            (Some(_), _, _) if options.classes.is_some() => {
                ClassIndex::new(root, distinct.into_iter().map(str::to_string).collect(), options)
            }
            (Some(table), _, _) => Ok(ClassIndex::from_classes(table.to_vec())),
            (None, _, Some(classes)) => {
                let sorted = SourceOptions { classes: None, ..*options };
                ClassIndex::new(root, classes, &sorted)
            }
            (None, values, None) => {
                if images > 1 && distinct.len() == images {
                    return Err(self.too_many_classes(&distinct));
                }
                if values.is_some() {
                    distinct.sort_by_key(|label| label.parse::<i128>().unwrap_or(i128::MAX));
                }
                ClassIndex::new(root, distinct.into_iter().map(str::to_string).collect(), options)
            }
        }
    }

    fn too_many_classes(&self, distinct: &[&str]) -> Error {
        let some: Vec<&str> = distinct.iter().copied().take(3).collect();
        let what = format!(
            "its labels make each of the {} images its own class ({}, ...); expected classes of several images; where it \
             has columns, say which has the labels (--label-column)",
            distinct.len(),
            some.join(", ")
        );
        Error::source(&self.path, what)
    }

    /// The classes `names`, with labels that have these indices in them; or, of `given` classes, those of these names.
    fn among<'a>(
        &self,
        given: Option<&[String]>,
        names: &[String],
        labels: impl Iterator<Item = (&'a str, u32)>,
    ) -> Result<ClassIndex> {
        let Some(given) = given.filter(|given| *given != names) else {
            return Ok(ClassIndex::with_labels(names.to_vec(), labels));
        };
        let all = ClassIndex::from_classes(given.to_vec());
        let label = |(label, index): (&'a str, u32)| Ok((label, all.label(&self.path, &names[index as usize])?));
        let labels: Vec<(&str, u32)> = labels.map(label).collect::<Result<_>>()?;
        Ok(ClassIndex::with_labels(given.to_vec(), labels.into_iter()))
    }

    /// Class indices of numeric labels among `names`, of which the first has the label `first`.
    fn indices(&self, values: &[i128], names: &[String], first: u64) -> Result<Vec<u32>> {
        if first == 0
            && let Some(indices) = indices_by_value(&self.path, values, names)?
        {
            return Ok(indices);
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

    /// Note on labels that are class indices, none of which is 0.
    pub(super) fn one_based_note(
        &self,
        labels: &[Option<String>],
        known: &ClassIndex,
        options: &SourceOptions,
    ) -> Option<String> {
        let is_given = options.classes.is_some() || options.class_names.is_some();
        let values: Option<Vec<u32>> = labels.iter().flatten().map(|label| label.parse().ok()).collect();
        let values = values.filter(|_| is_given && options.first_label == 0)?;
        let is_index = labels.iter().flatten().zip(&values).all(|(label, value)| known.get(label) == Some(*value));
        let smallest = values.iter().min().copied()?;
        let is_named = known.classes.get(1).is_some_and(|second| second.parse::<u64>().is_err());
        (is_index && is_named && smallest == 1).then(|| {
            format!(
                "no label is 0, and the label 1 is taken for {:?}, the second class; where the labels begin at 1, subtract 1 \
                 from each, or give the names with their numbers (--class-names)",
                known.classes[1]
            )
        })
    }
}

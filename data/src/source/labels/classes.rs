//! Classes of the labels in a file.

use std::path::Path;

use super::LabelFile;
use crate::error::{Error, Result};
use crate::source::SourceOptions;
use crate::source::class_index::ClassIndex;
use crate::source::numeric_labels::indices_by_value;

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
        match (table, values, classes) {
            (Some(table), Some(values), None) if !in_table(table) => {
                let indices = match indices_by_value(&self.path, &values, table)? {
                    Some(indices) => indices,
                    None => self.indices(&values, table.len())?,
                };
                Ok(ClassIndex::with_labels(table.to_vec(), distinct.into_iter().zip(indices)))
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

    /// Labels that are class indices themselves.
    fn indices(&self, values: &[i128], classes: usize) -> Result<Vec<u32>> {
        let smallest = values.iter().min().copied().unwrap_or(0);
        let largest = values.iter().max().copied().unwrap_or(0);
        let outside = if smallest < 0 { smallest } else { largest };
        if smallest >= 0 && largest < classes as i128 {
            return Ok(values.iter().map(|&value| value as u32).collect());
        }
        let hint = if smallest >= 1 {
            "; if these are ILSVRC's own numbers, give the folder or .tar.gz of its development kit"
        } else {
            ""
        };
        Err(Error::source(
            &self.path,
            format!("the label {outside} with {classes} classes, 0 to {}{hint}", classes - 1),
        ))
    }
}

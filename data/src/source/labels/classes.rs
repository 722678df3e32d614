//! The classes of the labels in a file.

use std::path::Path;

use super::LabelFile;
use crate::error::{Error, Result};
use crate::source::Reading;
use crate::source::catalogue::Numbers;
use crate::source::numbered::places_by_value;

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
        match (table, values, classes) {
            (Some(table), Some(values), None) if !in_table(table) => {
                let places = match places_by_value(&self.path, &values, table)? {
                    Some(places) => places,
                    None => self.places(&values, table.len())?,
                };
                Ok(Numbers::by(table.to_vec(), distinct.into_iter().zip(places)))
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

    /// Labels that are the places of their classes.
    fn places(&self, values: &[i128], classes: usize) -> Result<Vec<u32>> {
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

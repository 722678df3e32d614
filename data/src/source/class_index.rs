//! Numbering of classes.

use std::collections::HashMap;
use std::path::Path;

use super::SourceOptions;
use super::wordnet::WordNetNames;
use crate::error::{Error, Result};

/// Labels of classes by name.
pub(super) struct ClassIndex {
    pub classes: Vec<String>,
    by_name: HashMap<String, u32>,
}

impl ClassIndex {
    /// Labels are positions in `table`.
    pub fn from_classes(table: Vec<String>) -> Self {
        let by_name = (0..).zip(&table).map(|(label, name)| (name.clone(), label)).collect();
        Self { classes: table, by_name }
    }

    /// The classes `table`, with explicit labels by name.
    pub fn with_labels<'a>(table: Vec<String>, by_name: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let by_name = by_name.map(|(name, label)| (name.to_string(), label)).collect();
        Self { classes: table, by_name }
    }

    /// Numbers the classes `found` in the source `root` (sorted and unique) in their order, or in that of given
    /// classes.
    pub fn new(root: &Path, found: Vec<String>, options: &SourceOptions) -> Result<Self> {
        match (options.classes, found.as_slice()) {
            (Some(table), _) => {
                let mut index = Self::from_classes(table.to_vec());
                index.add_wnids(&found, options.wordnet);
                Ok(index)
            }
            (None, [only]) => {
                Err(Error::source(root, format!("holds one class only, {only:?}; expected at least two")))
            }
            (None, _) if options.class_names.is_some() && !found.iter().any(|name| options.has_words(name)) => {
                let expected = "a source that only numbers its classes, or lines of a wnid and its words";
                let got = format!("names for {}, whose classes have names", root.display());
                Err(Error::option("class_names", expected, got))
            }
            (None, _) => {
                let named = options.wordnet.map(|wordnet| wordnet.names(&found)).unwrap_or_else(|| found.clone());
                Ok(Self::with_labels(named, found.iter().map(String::as_str).zip(0..)))
            }
        }
    }

    /// Makes given classes that are named by words known by their wnids too.
    fn add_wnids(&mut self, found: &[String], wordnet: Option<&WordNetNames>) {
        let Some(wordnet) = wordnet else { return };
        for (wnid, name) in found.iter().zip(wordnet.names(found)) {
            // Words may be ambiguous among the given classes and not among those found, or the other way round.
            let by_words = || self.get(&wordnet.qualified(wnid)).or_else(|| self.get(wordnet.words_of(wnid)));
            if let (None, Some(label)) = (self.get(wnid), self.get(&name).or_else(by_words)) {
                self.by_name.insert(wnid.clone(), label);
            }
        }
    }

    /// Label of a class; an error if the given classes lack it.
    pub fn label(&self, root: &Path, class: &str) -> Result<u32> {
        self.get(class).ok_or_else(|| {
            let what = format!("the class {class:?} is not among the given classes; remove or rename it");
            Error::source(root, what)
        })
    }

    pub fn get(&self, class: &str) -> Option<u32> {
        self.by_name.get(class).copied()
    }
}

//! The labelled names of a source's images.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::words::Words;
use crate::error::{Error, Result};

/// Names and labels of images in a fixed order: about 28 bytes an image, and its name.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    classes: Vec<String>,
    names: Names,
    labels: Vec<u32>,
    /// Bytes of each file.
    lengths: Vec<u64>,
    fingerprint: String,
}

impl Catalogue {
    /// Names of the classes; a label is an index into them.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Images, bad ones included.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The name of image `index` within the source, parts separated by `/`.
    pub fn name(&self, index: usize) -> &[u8] {
        self.names.get(index)
    }

    /// The label of image `index`.
    pub fn label(&self, index: usize) -> u32 {
        self.labels[index]
    }

    /// Identifies classes, names, labels and lengths: 32 hexadecimal digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The images `indices` of it, with the same classes; `rule` says in words how they were chosen.
    pub fn part(&self, indices: &[usize], rule: &str) -> Self {
        let mut names = Names::default();
        indices.iter().for_each(|&index| names.push(self.name(index)));
        let labels: Vec<u32> = indices.iter().map(|&index| self.labels[index]).collect();
        let lengths: Vec<u64> = indices.iter().map(|&index| self.lengths[index]).collect();
        let mut digest = Sha256::new();
        feed(&mut digest, self.fingerprint.as_bytes());
        feed(&mut digest, rule.as_bytes());
        Self { classes: self.classes.clone(), names, labels, lengths, fingerprint: end(digest) }
    }

    /// The fingerprint of some of the images alone.
    pub fn fingerprint_of(&self, images: Range<usize>) -> String {
        let mut digest = begin(&self.classes);
        for index in images {
            feed_record(&mut digest, self.name(index), self.lengths[index], self.labels[index]);
        }
        end(digest)
    }
}

/// A catalogue in the making.
pub(super) struct Lister {
    classes: Vec<String>,
    names: Names,
    labels: Vec<u32>,
    lengths: Vec<u64>,
    digest: Sha256,
}

impl Lister {
    pub fn new(classes: Vec<String>) -> Self {
        let digest = begin(&classes);
        Self { classes, names: Names::default(), labels: Vec::new(), lengths: Vec::new(), digest }
    }

    /// Adds an image; `length` is of its file, or anything else that tells it from another of the same name.
    pub fn push(&mut self, name: &[u8], length: u64, label: u32) {
        feed_record(&mut self.digest, name, length, label);
        self.names.push(name);
        self.labels.push(label);
        self.lengths.push(length);
    }

    pub fn finish(self) -> Catalogue {
        let Self { classes, names, labels, lengths, digest } = self;
        Catalogue { classes, names, labels, lengths, fingerprint: end(digest) }
    }
}

/// A fingerprint begins with the classes.
fn begin(classes: &[String]) -> Sha256 {
    let mut digest = Sha256::new();
    for class in classes {
        feed(&mut digest, class.as_bytes());
    }
    digest
}

fn feed_record(digest: &mut Sha256, name: &[u8], length: u64, label: u32) {
    feed(digest, name);
    digest.update(length.to_le_bytes());
    digest.update(label.to_le_bytes());
}

fn end(digest: Sha256) -> String {
    hex(&digest.finalize()[..16])
}

/// Length first, so that no two lists of parts give the same bytes.
fn feed(digest: &mut Sha256, part: &[u8]) {
    digest.update((part.len() as u64).to_le_bytes());
    digest.update(part);
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The numbers of classes that are known by name.
pub(super) struct Numbers {
    pub classes: Vec<String>,
    by_name: HashMap<String, u32>,
}

impl Numbers {
    /// The classes `table`, in its order.
    pub fn of(table: Vec<String>) -> Self {
        let by_name = (0..).zip(&table).map(|(label, name)| (name.clone(), label)).collect();
        Self { classes: table, by_name }
    }

    /// The classes `table`, known by the labels `by_name`, each an index into them.
    pub fn by<'a>(table: Vec<String>, by_name: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let by_name = by_name.map(|(name, label)| (name.to_string(), label)).collect();
        Self { classes: table, by_name }
    }

    /// Of the classes that were `found` (sorted, each once) in the source `root`: their order, or that of a given table.
    pub fn new(root: &Path, found: Vec<String>, reading: &super::Reading) -> Result<Self> {
        match (reading.classes, found.as_slice()) {
            (Some(table), _) => {
                let mut numbers = Self::of(table.to_vec());
                numbers.add_words(&found, reading.words);
                Ok(numbers)
            }
            (None, [only]) => {
                Err(Error::source(root, format!("holds one class only, {only:?}; expected at least two")))
            }
            (None, _) if reading.class_names.is_some() && !found.iter().any(|name| reading.has_words(name)) => {
                let expected = "a source that only numbers its classes, or a wnid and its words a line";
                let got = format!("names for {}, whose classes have names", root.display());
                Err(Error::option("class_names", expected, got))
            }
            (None, _) => {
                let named = reading.words.map(|words| words.names(&found)).unwrap_or_else(|| found.clone());
                Ok(Self::by(named, found.iter().map(String::as_str).zip(0..)))
            }
        }
    }

    /// Lets classes of a table, which has words for wnids, be known by their wnids too.
    fn add_words(&mut self, found: &[String], words: Option<&Words>) {
        let Some(words) = words else { return };
        for (wnid, name) in found.iter().zip(words.names(found)) {
            if let (None, Some(label)) = (self.get(wnid), self.get(&name).or_else(|| self.get(words.of(wnid)))) {
                self.by_name.insert(wnid.clone(), label);
            }
        }
    }

    /// The label of a class; an error if the given table lacks it.
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

/// Names back to back in one allocation: a source may have tens of millions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Names {
    pub fn push(&mut self, name: &[u8]) {
        self.bytes.extend_from_slice(name);
        self.ends.push(self.bytes.len());
    }

    pub fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }

    /// All names back to back.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where each name begins in [`Names::bytes`], and where the last ends.
    pub fn offsets(&self) -> Vec<u64> {
        std::iter::once(0).chain(self.ends.iter().map(|&end| end as u64)).collect()
    }
}

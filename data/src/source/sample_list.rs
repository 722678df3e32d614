//! Lists of labelled images.

use std::ops::Range;

use hmac_sha256::Hash;

/// Names and labels of a source's images in a fixed order, about 28 bytes per image plus its name.
#[derive(Clone, Debug)]
pub(crate) struct SampleList {
    classes: Vec<String>,
    names: NameList,
    labels: Vec<u32>,
    /// Size of each file in bytes.
    lengths: Vec<u64>,
    fingerprint: String,
}

impl SampleList {
    /// Class names; labels are indices into them.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Number of images, including ones to be rejected.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Name of image `index` within the source, parts separated by `/`.
    pub fn name(&self, index: usize) -> &[u8] {
        self.names.get(index)
    }

    /// Label of image `index`.
    pub fn label(&self, index: usize) -> u32 {
        self.labels[index]
    }

    /// Fingerprint of classes, names, labels and lengths: 32 hexadecimal digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Selects images, keeping the classes; `rule` describes the choice for the fingerprint.
    pub fn select(&self, indices: &[usize], rule: &str) -> Self {
        let mut names = NameList::default();
        indices.iter().for_each(|&index| names.push(self.name(index)));
        let labels: Vec<u32> = indices.iter().map(|&index| self.labels[index]).collect();
        let lengths: Vec<u64> = indices.iter().map(|&index| self.lengths[index]).collect();
        let mut digest = Hash::new();
        update(&mut digest, self.fingerprint.as_bytes());
        update(&mut digest, rule.as_bytes());
        Self { classes: self.classes.clone(), names, labels, lengths, fingerprint: finish_fingerprint(digest) }
    }

    /// Fingerprint of a range of images.
    pub fn fingerprint_of(&self, images: Range<usize>) -> String {
        fingerprint_of(&self.classes, &self.names, &self.lengths, &self.labels, images)
    }
}

/// Builder of a [`SampleList`].
pub(crate) struct SampleListBuilder {
    classes: Vec<String>,
    names: NameList,
    labels: Vec<u32>,
    lengths: Vec<u64>,
    digest: Hash,
}

impl SampleListBuilder {
    pub fn new(classes: Vec<String>) -> Self {
        let digest = start_fingerprint(&classes);
        Self { classes, names: NameList::default(), labels: Vec::new(), lengths: Vec::new(), digest }
    }

    /// Adds an image; `length` is its file size, or another value that distinguishes it from others of the same name.
    pub fn push(&mut self, name: &[u8], length: u64, label: u32) {
        update_record(&mut self.digest, name, length, label);
        self.names.push(name);
        self.labels.push(label);
        self.lengths.push(length);
    }

    /// Number of images so far.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Class names; labels are indices into them.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Fingerprint of a range of images, that of [`SampleList::fingerprint_of`].
    pub fn fingerprint_of(&self, images: Range<usize>) -> String {
        fingerprint_of(&self.classes, &self.names, &self.lengths, &self.labels, images)
    }

    pub fn finish(self) -> SampleList {
        let Self { classes, names, labels, lengths, digest } = self;
        SampleList { classes, names, labels, lengths, fingerprint: finish_fingerprint(digest) }
    }
}

/// Fingerprint of a range of images.
fn fingerprint_of(
    classes: &[String],
    names: &NameList,
    lengths: &[u64],
    labels: &[u32],
    images: Range<usize>,
) -> String {
    let mut digest = start_fingerprint(classes);
    for index in images {
        update_record(&mut digest, names.get(index), lengths[index], labels[index]);
    }
    finish_fingerprint(digest)
}

/// Starts a fingerprint with the classes.
fn start_fingerprint(classes: &[String]) -> Hash {
    let mut digest = Hash::new();
    for class in classes {
        update(&mut digest, class.as_bytes());
    }
    digest
}

fn update_record(digest: &mut Hash, name: &[u8], length: u64, label: u32) {
    update(digest, name);
    digest.update(length.to_le_bytes());
    digest.update(label.to_le_bytes());
}

fn finish_fingerprint(digest: Hash) -> String {
    hex(&digest.finalize()[..16])
}

/// Length-prefixed, so that different lists never hash the same bytes.
fn update(digest: &mut Hash, part: &[u8]) {
    digest.update((part.len() as u64).to_le_bytes());
    digest.update(part);
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Names concatenated in one allocation: a source may have tens of millions.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameList {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl NameList {
    pub fn push(&mut self, name: &[u8]) {
        self.bytes.extend_from_slice(name);
        self.ends.push(self.bytes.len());
    }

    pub fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }

    /// All names, concatenated.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Start of each name in [`NameList::bytes`], and the end of the last.
    pub fn offsets(&self) -> Vec<u64> {
        std::iter::once(0).chain(self.ends.iter().map(|&finish_fingerprint| finish_fingerprint as u64)).collect()
    }
}

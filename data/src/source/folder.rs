//! A folder of class folders.
//!
//! - Each folder in the root is a class; classes are numbered in the order of their names' bytes, as torchvision and
//!   Keras do. Files beside the class folders are ignored.
//! - Files at any depth below a class folder are its pictures, in the order of their paths' bytes. Links are followed;
//!   a link that leads back to a folder it lies in is an error.
//! - Names that begin with a dot are skipped. Anything else is taken for a picture: what is none is refused by name
//!   when it is read.
//! - A class without files, a single class, and a class name that is not UTF-8 are errors. A file name may be any bytes.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Names, Source};
use crate::error::{BadPicture, Error, Result};
use crate::picture::read_bytes;

/// See the module.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    classes: Vec<String>,
    names: Names,
    labels: Vec<u32>,
    fingerprint: String,
}

/// A file of a class: its name within the root and its length.
type Found = (Vec<u8>, u64);

impl Folder {
    /// Lists all files. With `table`, labels are indices into it, and a class folder that it lacks is an error.
    pub fn scan(root: &Path, table: Option<&[String]>) -> Result<Self> {
        let folders = class_folders(root)?;
        let classes = match table {
            Some(table) => table.to_vec(),
            None if folders.len() == 1 => return Err(one_class(root, &folders[0])),
            None => folders.clone(),
        };
        let mut folder = Self {
            root: root.to_path_buf(),
            classes,
            names: Names::default(),
            labels: Vec::new(),
            fingerprint: String::new(),
        };
        let mut digest = Sha256::new();
        for class in &folder.classes {
            feed(&mut digest, class.as_bytes());
        }
        for class in &folders {
            let label = folder.classes.iter().position(|c| c == class).ok_or_else(|| unknown_class(root, class))?;
            let label = u32::try_from(label).map_err(|_| Error::source(root, "more than 2^32 classes"))?;
            let files = class_files(root, class)?;
            for (name, length) in files {
                feed(&mut digest, &name);
                digest.update(length.to_le_bytes());
                digest.update(label.to_le_bytes());
                folder.names.push(&name);
                folder.labels.push(label);
            }
        }
        folder.fingerprint = hex(&digest.finalize()[..16]);
        Ok(folder)
    }
}

impl Source for Folder {
    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn name(&self, index: usize) -> &[u8] {
        self.names.get(index)
    }

    fn label(&self, index: usize) -> u32 {
        self.labels[index]
    }

    fn read(&self, index: usize) -> Result<Vec<u8>, BadPicture> {
        read_bytes(&self.root.join(from_bytes(self.name(index))))
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// The names of the class folders, sorted.
fn class_folders(root: &Path) -> Result<Vec<String>> {
    let mut classes = Vec::new();
    let mut files = 0;
    for (name, metadata) in list(root)? {
        if !metadata.is_some_and(|m| m.is_dir()) {
            files += 1;
            continue;
        }
        let text = name.to_str().ok_or_else(|| {
            let what = format!("the class folder {name:?} has a name that is not UTF-8; rename it");
            Error::source(root, what)
        })?;
        classes.push(text.to_string());
    }
    if classes.is_empty() {
        let what = match files {
            0 => "is empty; expected one folder of pictures for each class",
            _ => "holds files but no folders; expected one folder of pictures for each class",
        };
        return Err(Error::source(root, what));
    }
    classes.sort_unstable();
    Ok(classes)
}

/// All files of a class, sorted by name.
fn class_files(root: &Path, class: &str) -> Result<Vec<Found>> {
    let folder = root.join(class);
    let mut found = Vec::new();
    walk(&folder, class.as_bytes(), &mut Vec::new(), &mut found)?;
    if found.is_empty() {
        let what = "a class folder without pictures; add some, or remove the folder";
        return Err(Error::source(&folder, what));
    }
    found.sort_unstable();
    Ok(found)
}

fn walk(folder: &Path, name: &[u8], above: &mut Vec<PathBuf>, found: &mut Vec<Found>) -> Result<()> {
    let real = fs::canonicalize(folder).map_err(Error::io(folder, "cannot be listed"))?;
    if above.contains(&real) {
        return Err(Error::source(folder, format!("a link in a loop: it leads back to {}; remove it", real.display())));
    }
    above.push(real);
    for (part, metadata) in list(folder)? {
        let mut name = name.to_vec();
        name.push(b'/');
        name.extend_from_slice(part.as_encoded_bytes());
        match metadata {
            Some(m) if m.is_dir() => walk(&folder.join(&part), &name, above, found)?,
            // A link to nowhere is listed too: reading it says so.
            m => found.push((name, m.map_or(0, |m| m.len()))),
        }
    }
    above.pop();
    Ok(())
}

/// What a folder holds, hidden names left out. No metadata: a link to nowhere.
fn list(folder: &Path) -> Result<Vec<(std::ffi::OsString, Option<fs::Metadata>)>> {
    let fail = || Error::io(folder, "cannot be listed");
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail())? {
        let entry = entry.map_err(fail())?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push((entry.file_name(), fs::metadata(entry.path()).ok()));
        }
    }
    Ok(entries)
}

fn one_class(root: &Path, only: &str) -> Error {
    let inner = root.join(only);
    let hint = match class_folders(&inner) {
        Ok(_) => format!("; did you mean {}?", inner.display()),
        Err(_) => String::new(),
    };
    Error::source(root, format!("holds one class only, {only:?}; expected at least two class folders{hint}"))
}

fn unknown_class(root: &Path, class: &str) -> Error {
    Error::source(
        &root.join(class),
        format!("the class {class:?} is not among the given classes; remove or rename the folder"),
    )
}

/// Length first, so that no two lists of parts give the same bytes.
fn feed(digest: &mut Sha256, part: &[u8]) {
    digest.update((part.len() as u64).to_le_bytes());
    digest.update(part);
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(unix)]
fn from_bytes(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(OsStr::from_bytes(name))
}

#[cfg(not(unix))]
fn from_bytes(name: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::new(String::from_utf8_lossy(name).as_ref()))
}

//! Labels that lie beside the pictures:
//! - a development kit of ILSVRC, as its `.tar.gz` or unpacked, or its ground truth with `meta.mat` or a list of synsets
//!   beside it (see [`devkit`]);
//! - a CSV of files and labels (see [`table`]);
//! - a list, a line a picture in the order of their names: wnids, other names, or numbers; or `FILE LABEL` a line.
//!
//! Classes that are known by name are sorted by the bytes of their names; where all are numbers, by value. Numbers are
//! indices into the given classes (`--classes-of`) where those have other names.

mod devkit;
mod matlab;
mod table;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Reading;
use super::catalogue::Numbers;
use crate::error::{Error, Result};

/// A file of labels is held in memory.
const MAX_BYTES: u64 = 1 << 30;

/// What a file of labels says.
pub(super) struct LabelFile {
    path: PathBuf,
    /// All classes, where it says them.
    classes: Option<Vec<String>>,
    labels: Labels,
}

enum Labels {
    /// One for each picture, in the order of their names.
    InOrder(Vec<String>),
    /// By name of the picture.
    ByName(HashMap<Vec<u8>, String>),
}

/// What it makes of some pictures.
pub(super) struct Labelled {
    pub classes: Vec<String>,
    /// By picture; without one it is left out.
    pub labels: Vec<Option<u32>>,
    pub notes: Vec<String>,
}

impl LabelFile {
    /// Reads whichever of the forms above it is.
    pub fn read(path: &Path) -> Result<Self> {
        if let Some((classes, labels)) = devkit::read(path)? {
            return Ok(Self { path: path.to_path_buf(), classes: Some(classes), labels: Labels::InOrder(labels) });
        }
        let text = text(path)?;
        let is_csv = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
        let labels = if is_csv { Labels::ByName(table::read(path, &text)?) } else { plain(path, &text)? };
        Ok(Self { path: path.to_path_buf(), classes: None, labels })
    }

    /// Labels pictures, whose `names` within the source `root` are sorted.
    pub fn apply(self, root: &Path, names: &[&[u8]], reading: &Reading) -> Result<Labelled> {
        let mut notes = Vec::new();
        let found: Vec<Option<&str>> = match &self.labels {
            Labels::InOrder(labels) if labels.len() == names.len() => labels.iter().map(|l| Some(l.as_str())).collect(),
            Labels::InOrder(labels) => {
                let what = format!("{} labels for the {} pictures of {}", labels.len(), names.len(), root.display());
                return Err(Error::source(&self.path, what));
            }
            Labels::ByName(labels) => self.look_up(root, labels, names, &mut notes)?,
        };
        let numbers = self.number(root, &found, reading)?;
        let number = |label: &&str| numbers.label(&self.path, label);
        let labels = found.iter().map(|label| label.as_ref().map(number).transpose()).collect::<Result<_>>()?;
        Ok(Labelled { classes: numbers.classes, labels, notes })
    }

    /// The label of each picture by its path, or the last part of it, with or without its ending.
    fn look_up<'a>(
        &self,
        root: &Path,
        labels: &'a HashMap<Vec<u8>, String>,
        names: &[&[u8]],
        notes: &mut Vec<String>,
    ) -> Result<Vec<Option<&'a str>>> {
        let found: Vec<Option<&str>> = names.iter().map(|name| label_of(labels, name)).collect();
        let labelled = found.iter().flatten().count();
        if labelled == 0 {
            let example = names.first().map(|name| String::from_utf8_lossy(name)).unwrap_or_default();
            let what = format!("names none of the {} pictures of {}, such as {example}", names.len(), root.display());
            return Err(Error::source(&self.path, what));
        }
        if labelled < names.len() {
            let first = names.iter().zip(&found).find(|(_, label)| label.is_none()).map(|(name, _)| *name);
            let first = String::from_utf8_lossy(first.unwrap_or_default());
            notes.push(format!(
                "{} pictures without a label are left out, the first is {first}",
                names.len() - labelled
            ));
        }
        if labelled < labels.len() {
            notes.push(format!("{} labels are of files that are not there", labels.len() - labelled));
        }
        Ok(found)
    }

    /// The classes, and the number of each label.
    fn number(&self, root: &Path, found: &[Option<&str>], reading: &Reading) -> Result<Numbers> {
        let mut distinct: Vec<&str> = found.iter().flatten().copied().collect();
        distinct.sort_unstable();
        distinct.dedup();
        let values: Option<Vec<u32>> = distinct.iter().map(|label| label.parse().ok()).collect();
        let table = reading.classes.or(reading.class_names);
        match (table, values, &self.classes) {
            (Some(table), Some(values), _)
                if !distinct.iter().all(|label| table.iter().any(|class| class == label)) =>
            {
                self.check_indices(&values, table.len())?;
                Ok(Numbers::by(table.to_vec(), distinct.into_iter().zip(values)))
            }
            (Some(table), _, _) => Ok(Numbers::of(table.to_vec())),
            (None, _, Some(classes)) => Ok(Numbers::of(classes.clone())),
            (None, values, None) => {
                if values.is_some() {
                    distinct.sort_by_key(|label| label.parse::<u32>().unwrap_or(u32::MAX));
                }
                Numbers::new(root, distinct.into_iter().map(str::to_string).collect(), None)
            }
        }
    }

    fn check_indices(&self, values: &[u32], classes: usize) -> Result<()> {
        let (smallest, largest) = (values.iter().min().copied(), values.iter().max().copied().unwrap_or(0));
        if (largest as usize) < classes {
            return Ok(());
        }
        let hint = match smallest {
            Some(1..) => "; if these are ILSVRC's own numbers, give the folder or .tar.gz of its development kit",
            _ => "",
        };
        Err(Error::source(
            &self.path,
            format!("the label {largest} with {classes} classes, 0 to {}{hint}", classes - 1),
        ))
    }
}

fn label_of<'a>(labels: &'a HashMap<Vec<u8>, String>, name: &[u8]) -> Option<&'a str> {
    let base = name.rsplit(|&b| b == b'/').next().unwrap_or(name);
    let stem = |name: &[u8]| name.iter().rposition(|&b| b == b'.').map_or(name.len(), |at| at);
    let forms = [name, base, &name[..stem(name)], &base[..stem(base)]];
    forms.iter().find_map(|form| labels.get(*form)).map(String::as_str)
}

/// A list: labels in order, or `FILE LABEL` a line.
fn plain(path: &Path, text: &str) -> Result<Labels> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return Err(Error::source(path, "holds no labels"));
    }
    let looks_like_file =
        |line: &&str| line.rsplit_once(char::is_whitespace).is_some_and(|(file, _)| file.contains('.'));
    if !lines.iter().all(looks_like_file) {
        return Ok(Labels::InOrder(lines.into_iter().map(str::to_string).collect()));
    }
    let pairs = lines.iter().filter_map(|line| line.rsplit_once(char::is_whitespace));
    Ok(Labels::ByName(pairs.map(|(file, label)| (key(file.trim()), label.to_string())).collect()))
}

/// A file's name as pictures' names are: no `./` before it, parts separated by `/`.
fn key(file: &str) -> Vec<u8> {
    file.strip_prefix("./").unwrap_or(file).replace('\\', "/").into_bytes()
}

fn text(path: &Path) -> Result<String> {
    let length = fs::metadata(path).map_err(Error::io(path, "cannot be read"))?.len();
    if length > MAX_BYTES {
        return Err(Error::source(path, format!("{length} bytes, at most {MAX_BYTES} are read as labels")));
    }
    let bytes = fs::read(path).map_err(Error::io(path, "cannot be read"))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Error::source(path, "is no text in UTF-8; expected labels: a list, a CSV, or a development kit of ILSVRC")
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text))
}

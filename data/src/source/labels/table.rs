//! A CSV of files and labels.
//!
//! With a header, the file's column is the one named `file`, `filename`, `image`, `path`, `id` or alike, the label's the one
//! named `label`, `class`, `wnid` or alike. Without one, or with other names, they are the first two. Of Kaggle's
//! `PredictionString` the first word is the label.

use std::collections::HashMap;
use std::path::Path;

use super::key;
use crate::error::{Error, Result};

const FILES: [&str; 13] = [
    "file",
    "filename",
    "file_name",
    "filepath",
    "image",
    "imageid",
    "image_id",
    "image_name",
    "image_path",
    "img",
    "path",
    "name",
    "id",
];
const LABELS: [&str; 13] = [
    "label",
    "labels",
    "class",
    "class_name",
    "classname",
    "class_id",
    "category",
    "target",
    "wnid",
    "synset",
    "breed",
    "species",
    "predictionstring",
];

/// The label by file.
pub(super) fn read(path: &Path, text: &str) -> Result<HashMap<Vec<u8>, String>> {
    let wrong = |what: String| Error::source(path, what);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for record in reader.records() {
        rows.push(record.map_err(|e| wrong(e.to_string()))?);
    }
    let first = rows.first().ok_or_else(|| wrong("holds no labels".into()))?;
    let names: Vec<String> = first.iter().map(str::to_lowercase).collect();
    let column = |known: &[&str]| names.iter().position(|name| known.contains(&name.as_str()));
    let (file, label) = (column(&FILES), column(&LABELS));
    let headed = label.is_some() || file.is_some_and(|_| !first.iter().any(|field| field.contains('.')));
    let first_word = label.is_some_and(|at| names[at] == "predictionstring");
    let (file, label) = match (file, label) {
        (Some(file), Some(label)) => (file, label),
        (Some(file), None) => (file, usize::from(file == 0)),
        (None, Some(label)) => (usize::from(label == 0), label),
        (None, None) => (0, 1),
    };
    let mut labels = HashMap::with_capacity(rows.len());
    for (number, row) in rows.iter().enumerate().skip(usize::from(headed)) {
        let (Some(name), Some(text)) = (row.get(file), row.get(label)) else {
            let what = format!("line {}: {} columns; expected a file and a label", number + 1, row.len());
            return Err(wrong(what));
        };
        let text = if first_word { text.split_whitespace().next().unwrap_or("") } else { text };
        if name.is_empty() || text.is_empty() {
            return Err(wrong(format!("line {}: an empty file or label", number + 1)));
        }
        if let Some(other) = labels.insert(key(name), text.to_string()).filter(|other| other != text) {
            return Err(wrong(format!("line {}: {name:?} is {text:?}, before it was {other:?}", number + 1)));
        }
    }
    match labels.is_empty() {
        true => Err(wrong("holds no labels".into())),
        false => Ok(labels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<(String, String)>> {
        let mut found: Vec<_> = read(Path::new("l.csv"), text)?
            .into_iter()
            .map(|(name, label)| (String::from_utf8(name).unwrap(), label))
            .collect();
        found.sort();
        Ok(found)
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(a, b)| ((*a).to_string(), (*b).to_string())).collect()
    }

    #[test]
    fn columns_are_found() {
        let expected = pairs(&[("a.jpg", "cat"), ("b.jpg", "dog")]);
        assert_eq!(of("a.jpg,cat\nb.jpg,dog\n").unwrap(), expected);
        assert_eq!(of("filename,label\na.jpg,cat\nb.jpg,dog\n").unwrap(), expected);
        assert_eq!(of("breed,x,id\ncat,1,a.jpg\ndog,2,./b.jpg").unwrap(), expected);
        assert_eq!(of("image,what\r\na.jpg,cat\r\nb.jpg,dog").unwrap(), expected);
        let kaggle = "ImageId,PredictionString\nILSVRC2012_val_1,n03995372 85 1 499 272 \n";
        assert_eq!(of(kaggle).unwrap(), pairs(&[("ILSVRC2012_val_1", "n03995372")]));
        assert_eq!(of("\"a, b.jpg\",\"the \"\"cat\"\"\"").unwrap(), pairs(&[("a, b.jpg", "the \"cat\"")]));
    }

    #[test]
    fn what_is_wrong_is_named_by_line() {
        let error = |text: &str| of(text).unwrap_err().to_string();
        assert_eq!(error(""), "l.csv: holds no labels");
        assert_eq!(error("file,label\n"), "l.csv: holds no labels");
        assert_eq!(error("a.jpg\nb.jpg\n"), "l.csv: line 1: 1 columns; expected a file and a label");
        assert_eq!(error("file,label\na.jpg,\n"), "l.csv: line 2: an empty file or label");
        assert_eq!(error("a.jpg,cat\na.jpg,dog\n"), "l.csv: line 2: \"a.jpg\" is \"dog\", before it was \"cat\"");
    }
}

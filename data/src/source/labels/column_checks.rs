//! Columns of a table that are not labels, or that exclude rows: splits, sizes, and the confidence of a label.

use std::collections::BTreeSet;

use super::row::Row;

use super::LabelFile;
use super::columns::{ColumnFinder, Columns, LabelColumns};
use super::image_lookup::ImageMatch;
use super::table::Table;
use crate::error::{Error, Result};

/// Names of columns of splits, in lower case without marks.
const SPLITS: [&str; 17] = [
    "split",
    "splits",
    "set",
    "subset",
    "partition",
    "dataset",
    "datasplit",
    "usage",
    "phase",
    "istrain",
    "istraining",
    "istest",
    "istesting",
    "isval",
    "isvalid",
    "isvalidation",
    "traintest",
];
/// Names of other columns that hold no classes: folds, sizes, boxes, texts, and several values in a field.
const NO_LABELS: [&str; 32] = [
    "train",
    "test",
    "val",
    "fold",
    "folds",
    "kfold",
    "width",
    "height",
    "size",
    "filesize",
    "bytes",
    "channels",
    "depth",
    "xmin",
    "ymin",
    "xmax",
    "ymax",
    "url",
    "md5",
    "sha1",
    "sha256",
    "hash",
    "checksum",
    "date",
    "caption",
    "description",
    "comment",
    "tags",
    "attributes",
    "attributeids",
    "keywords",
    "genres",
];

/// Whether a name of a column, in lower case without marks, says that it holds no classes.
pub(super) fn is_no_label(name: &str) -> bool {
    SPLITS.contains(&name) || NO_LABELS.contains(&name)
}

/// Whether a table without a header gives the split of each image: by its file's name, and numbers of up to three
/// splits.
pub(super) fn is_list_of_splits(file: &str, table: &Table, label: usize) -> bool {
    let file = file.to_lowercase();
    let named = ["partition", "train_test_split", "train_val_split"].iter().any(|name| file.contains(name));
    named && table.rows.iter().all(|row| matches!(row.get(label), Some("0" | "1" | "2")))
}

impl ColumnFinder<'_> {
    /// An error for the only column that could hold labels, which does not by its name.
    pub(super) fn no_label_error(&self, at: usize) -> Error {
        let name = self.table.rows.first().and_then(|row| row.get(at)).unwrap_or_default();
        self.error(&format!(
            "column {} ({name}) holds no classes by its name; where it does, name it (--label-column)",
            at + 1
        ))
    }
}

impl LabelFile {
    /// Refuses tables whose other columns put rows in several splits, or name a class that an image does not have.
    pub(super) fn check_columns(&self, finder: &ColumnFinder, columns: &Columns, rows: &[Row]) -> Result<()> {
        if !columns.has_header {
            return Ok(());
        }
        for (at, name) in finder.names.iter().enumerate().filter(|(at, _)| *at != columns.image) {
            let is_label = matches!(columns.labels, LabelColumns::Column { at: label, .. } if label == at);
            match name.as_str() {
                "confidence" if !is_label => self.check_confidence(finder, columns, rows, at)?,
                split if SPLITS.contains(&split) && !is_label => self.check_split(finder, columns, rows, at)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn check_split(&self, finder: &ColumnFinder, columns: &Columns, rows: &[Row], at: usize) -> Result<()> {
        let splits: BTreeSet<&str> = of_images(finder, columns, rows).filter_map(|row| row.get(at)).collect();
        if splits.len() < 2 {
            return Ok(());
        }
        let shown: Vec<&str> = splits.iter().take(4).copied().collect();
        let name = finder.table.rows[0].get(at).unwrap_or_default();
        let what = format!(
            "column {} ({name}) says that the images are of {} splits ({}), which would be packed together; write the rows of \
             each into a file of its own and pack them one by one, or remove the column to pack all",
            at + 1,
            splits.len(),
            shown.join(", ")
        );
        Err(Error::source(&self.path, what))
    }

    fn check_confidence(&self, finder: &ColumnFinder, columns: &Columns, rows: &[Row], at: usize) -> Result<()> {
        let is_zero = |row: &&Row| row.get(at).is_some_and(|field| field.parse() == Ok(0.0));
        let mut absent = of_images(finder, columns, rows).filter(is_zero);
        let Some(first) = absent.next() else { return Ok(()) };
        let what = format!(
            "line {}: its confidence is 0, which says that the image is not of this class, and so of {} more rows; remove \
             these rows",
            first.line,
            absent.count()
        );
        Err(Error::source(&self.path, what))
    }
}

/// The rows of images that the source has.
fn of_images<'r>(finder: &'r ColumnFinder, columns: &'r Columns, rows: &'r [Row]) -> impl Iterator<Item = &'r Row> {
    let is_there =
        |row: &&Row| row.get(columns.image).is_some_and(|path| !matches!(finder.images.find(path), ImageMatch::None));
    rows.iter().filter(is_there)
}

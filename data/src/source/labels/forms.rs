//! Table formats recognized without a header, and one-hot columns.

use std::collections::HashMap;
use std::path::Path;

use super::row::Row;

use super::columns::LabelColumns;
use super::table::Table;
use crate::error::{Error, Result};
use crate::source::wordnet::is_wnid;

/// Finds the labels of a table without a header, whose images are in the column `image`; `None` if the format is
/// unknown.
pub(super) fn detect(path: &Path, table: &Table, image: usize) -> Result<Option<LabelColumns>> {
    let column = |at: usize| LabelColumns::Column { at, first_word: false, requested: false };
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("lst")) && table.columns >= 3 {
        return lst(path, table, image).map(|at| Some(column(at)));
    }
    if image == 0 && table.columns == 2 && is_row_number(table, 1) && in_wnid_folders(table) {
        return Ok(Some(LabelColumns::WnidFolder));
    }
    // Tiny ImageNet's validation images: a file, its wnid, and a box.
    let wnids: Vec<usize> = (0..table.columns).filter(|&at| at != image && all_fields(table, at, is_wnid)).collect();
    if let [only] = wnids.as_slice() {
        return Ok(Some(column(*only)));
    }
    Ok((image == 0 && are_pets(table)).then_some(LabelColumns::Pets { at: 1 }))
}

/// Whether a column counts from 0 or 1 in every row: a row number, not a class.
pub(super) fn is_row_number(table: &Table, at: usize) -> bool {
    are_row_numbers(&table.rows, at)
}

/// Like [`is_row_number`], for some rows.
pub(super) fn are_row_numbers(rows: &[Row], at: usize) -> bool {
    let number = |row: &Row| row.get(at).and_then(|field| field.parse::<u64>().ok());
    let first = rows.first().and_then(number).filter(|&first| first <= 1);
    rows.len() >= 3
        && first.is_some_and(|first| (first..).zip(rows).all(|(expected, row)| number(row) == Some(expected)))
}

fn all_fields(table: &Table, at: usize, is: impl Fn(&str) -> bool) -> bool {
    table.rows.iter().all(|row| row.get(at).is_some_and(&is))
}

/// Whether all images are like `n01440764/n01440764_10026`: ILSVRC's `train_cls.txt`.
fn in_wnid_folders(table: &Table) -> bool {
    all_fields(table, 0, |file| wnid_folder(file).is_some())
}

/// The wnid of an image in a folder of that name and named after it.
pub(super) fn wnid_folder(file: &str) -> Option<&str> {
    let (folders, name) = file.rsplit_once('/')?;
    let folder = folders.rsplit('/').next().unwrap_or(folders);
    (is_wnid(folder) && name.starts_with(folder)).then_some(folder)
}

/// The label column of MXNet's `.lst`: a number, one or several labels, and a path.
fn lst(path: &Path, table: &Table, image: usize) -> Result<usize> {
    let expected = "expected lines of a number, a label and a path, separated by tabs, as written by MXNet's im2rec";
    if image != table.columns - 1 || !all_fields(table, 0, |field| field.parse::<u64>().is_ok()) {
        return Err(Error::source(path, format!("{expected}; {}", table.describe())));
    }
    match table.columns {
        3 => Ok(1),
        columns => {
            let what = format!("{} labels an image; {expected}", columns - 2);
            Err(Error::source(path, what))
        }
    }
}

/// Whether rows are like Oxford's lists of pets: `Abyssinian_100 1 1 1` is a name and the numbers of its class, its
/// species (1: cat, 2: dog), and its breed within the species.
fn are_pets(table: &Table) -> bool {
    let number = |row: &Row, at: usize| row.get(at).and_then(|field| field.parse::<u32>().ok());
    let mut classes: HashMap<&str, u32> = HashMap::new();
    let mut breeds: HashMap<u32, &str> = HashMap::new();
    table.columns == 4
        && table.rows.iter().all(|row| {
            let Some(breed) = row.get(0).and_then(pet_breed) else { return false };
            let (Some(class), Some(1 | 2), Some(_)) = (number(row, 1), number(row, 2), number(row, 3)) else {
                return false;
            };
            *classes.entry(breed).or_insert(class) == class && *breeds.entry(class).or_insert(breed) == breed
        })
}

/// The breed in an image name: the part before its number.
pub(super) fn pet_breed(name: &str) -> Option<&str> {
    let stem = name.strip_suffix(".jpg").unwrap_or(name);
    let (breed, number) = stem.rsplit_once('_')?;
    (!breed.is_empty() && number.parse::<u32>().is_ok()).then_some(breed)
}

/// Parses 0 or 1, as an integer or a decimal fraction.
fn parse_bit(field: &str) -> Option<bool> {
    match field.parse::<f64>() {
        Ok(0.0) => Some(false),
        Ok(1.0) => Some(true),
        _ => None,
    }
}

/// Whether these columns hold only 0 and 1.
pub(super) fn is_one_hot(table: &Table, classes: &[usize]) -> bool {
    let is_bits = |row: &Row| classes.iter().all(|&at| row.get(at).and_then(parse_bit).is_some());
    table.rows.len() > 1 && table.rows.iter().skip(1).all(is_bits)
}

/// The class of a row: the only column with a 1.
pub(super) fn one_hot<'a>(path: &Path, header: &'a Row, row: &Row, classes: &[usize]) -> Result<&'a str> {
    let ones: Vec<&str> = classes
        .iter()
        .filter(|&&at| row.get(at).and_then(parse_bit) == Some(true))
        .map(|&at| header.get(at).unwrap_or_default())
        .collect();
    match ones.as_slice() {
        [only] => Ok(only),
        _ => {
            let which = if ones.is_empty() { String::new() } else { format!(" ({})", ones.join(", ")) };
            let what = format!(
                "line {}: {} of the {} columns of classes are 1{which}; expected exactly one, as an image has one class; \
                 leave such rows out, or say which column is the label (--label-column)",
                row.line,
                ones.len(),
                classes.len()
            );
            Err(Error::source(path, what))
        }
    }
}

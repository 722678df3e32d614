//! Labels that lie beside the images:
//! - a development kit of ILSVRC, as its `.tar.gz` or unpacked, or its ground truth with `meta.mat` or a list of synsets
//!   beside it (see [`devkit`]);
//! - a table of images and labels, separated by tabs, semicolons, commas or white space (see [`columns`] for how its
//!   columns are known, [`forms`] for forms that are known without a header);
//! - a list of labels, a line an image in the order of their names, where numbers in those leave no doubt of it: wnids, other
//!   names, or numbers.
//!
//! What is not known for certain is an error that shows the columns, never a guess. So are labels that would make every
//! image a class of its own, running numbers, fractions, numbers below 0, lists of classes (see [`label_checks`]), and images
//! of several splits (see [`column_checks`]).
//!
//! Classes that are known by name are sorted by the bytes of their names; where all are numbers, by value. Among given
//! classes (`--classes-of`) numbers are names where those are numbers too, else places.

mod classes;
mod column_checks;
mod columns;
mod devkit;
mod forms;
mod images;
mod label_checks;
mod lists;
mod matlab;
mod mismatch;
mod numbers;
mod quotes;
mod table;
mod text;

use std::path::{Path, PathBuf};

use super::Reading;
use crate::error::{Error, Result};
use columns::{Columns, Finder, Labels};
use images::{Images, Meant};
use table::{Table, line_of, numbered_lines};
pub(super) use text::read_text;

/// A file of labels.
pub(super) struct LabelFile {
    path: PathBuf,
    content: Content,
    asked_for: bool,
}

enum Content {
    /// All classes, and the wnid of each image in the order of their names.
    Kit(Vec<String>, Vec<String>),
    Text(String),
}

/// What was said of a file of labels.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given<'a> {
    pub image_column: Option<&'a str>,
    pub label_column: Option<&'a str>,
    /// Whether the file was named, and not found beside the images.
    pub asked_for: bool,
}

/// What a file of labels makes of some images.
pub(super) struct Labelled {
    pub classes: Vec<String>,
    /// By image; without one it is left out.
    pub labels: Vec<Option<u32>>,
    pub notes: Vec<String>,
}

/// The label of each image, and the classes where the file says them.
struct Found {
    labels: Vec<Option<String>>,
    classes: Option<Vec<String>>,
    notes: Vec<String>,
}

impl LabelFile {
    /// A file that was named by the user.
    pub fn given(path: &Path) -> Result<Self> {
        let content = match devkit::read(path)? {
            Some((classes, labels)) => Content::Kit(classes, labels),
            None => Content::Text(read_text(path)?),
        };
        Ok(Self { path: path.to_path_buf(), content, asked_for: true })
    }

    /// A file that was found beside the images.
    pub fn found(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_path_buf(), content: Content::Text(read_text(path)?), asked_for: false })
    }

    /// Labels images, whose `names` within the source `root` are sorted.
    pub fn apply(&self, root: &Path, names: &[&[u8]], reading: &Reading) -> Result<Labelled> {
        let found = match &self.content {
            Content::Kit(classes, labels) => {
                let labels = self.in_order(root, names, labels.iter().cloned())?;
                Found { labels, classes: Some(classes.clone()), notes: Vec::new() }
            }
            Content::Text(text) => self.of_text(root, names, text, reading)?,
        };
        let labels = numbers::whole(&self.path, found.labels)?;
        let known = self.number(root, &labels, found.classes, reading)?;
        let notes = found.notes.into_iter().chain(self.begins_at_one(&labels, &known, reading)).collect();
        let number = |label: &String| known.label(&self.path, label);
        let labels = labels.iter().map(|label| label.as_ref().map(number).transpose()).collect::<Result<_>>()?;
        Ok(Labelled { classes: known.classes, labels, notes })
    }

    fn of_text(&self, root: &Path, names: &[&[u8]], text: &str, reading: &Reading) -> Result<Found> {
        if numbered_lines(text).next().is_none() {
            return Err(Error::source(&self.path, "holds no labels"));
        }
        if is_json(text) {
            let what = "is JSON; expected a table of images and labels (CSV), or a list of labels: write an image and its label a \
                        line";
            return Err(Error::source(&self.path, what));
        }
        let images = Images::new(root, names);
        let given =
            Given { image_column: reading.image_column, label_column: reading.label_column, asked_for: self.asked_for };
        if let Some(table) = Table::separated(&self.path, text)? {
            return self.of_table(&Finder::new(&self.path, &table, &images, root, given));
        }
        let lines: Vec<(u64, &str)> = numbered_lines(text).collect();
        let words = |line: &'_ str| line.split_whitespace().count();
        if lines.iter().all(|(_, line)| words(line) == 1) {
            if let Some(column) = reading.image_column.or(reading.label_column.filter(|column| *column != "1")) {
                let what = format!("has one column only, where the column {column:?} was asked for");
                return Err(Error::source(&self.path, what));
            }
            return self.of_list(root, &images, &lines);
        }
        self.of_words(root, &images, text, given, &lines)
    }

    /// A list of one word a line.
    fn of_list(&self, root: &Path, images: &Images, lines: &[(u64, &str)]) -> Result<Found> {
        if let Some((line, name)) = lists::image_in(images, lines) {
            let folders =
                if name.contains('/') { "; where the folders are the classes, pack without --labels" } else { "" };
            let what = format!(
                "line {line}: {name} is an image of {} without a label; expected an image and its label a line, or a label a \
                 line in the order of the images' names{folders}",
                root.display()
            );
            return Err(Error::source(&self.path, what));
        }
        let number = |(_, line): &(u64, &str)| line.parse::<u64>().ok();
        let first = number(&lines[0]).filter(|&first| first <= 1 && lines.len() >= 3);
        if first.is_some_and(|first| (first..).zip(lines).all(|(expected, line)| number(line) == Some(expected))) {
            let what =
                "only numbers its lines, it holds no labels; expected a label a line in the order of the images' names";
            return Err(Error::source(&self.path, what));
        }
        self.of_labels(root, images, lines)
    }

    /// Lines of several words: all of them columns, or an image that has spaces in its name and a label, or a label and an
    /// image; or names of classes that are words alone.
    fn of_words(&self, root: &Path, images: &Images, text: &str, given: Given, lines: &[(u64, &str)]) -> Result<Found> {
        let last = |line| halves(str::rsplit_once(line, char::is_whitespace), line);
        let first = |line| halves(str::split_once(line, char::is_whitespace), line);
        let all = Table::of_words(text, |line| line.split_whitespace().collect());
        let tables = [all, Table::of_words(text, last), Table::of_words(text, first)];
        let mut tables: Vec<Table> = tables.into_iter().flatten().collect();
        // The form that names most images: of `1 Boeing` and `2 McDonnell Douglas` the first word is the image.
        let finders = tables.iter().map(|table| Finder::new(&self.path, table, images, root, given));
        let known = finders.filter(Finder::knows_images);
        if let Some(finder) = known.rev().max_by_key(Finder::most_matches) {
            return self.of_table(&finder);
        }
        let is_words = |line: &str| line.chars().all(|c| c.is_alphabetic() || c.is_whitespace() || "-'()".contains(c));
        if lines.iter().all(|(_, line)| is_words(line)) {
            return self.of_labels(root, images, lines);
        }
        match tables.pop() {
            Some(table) => Err(Finder::new(&self.path, &table, images, root, given).names_none()),
            None => {
                let what = "expected lines of one form: an image and its label, or a label each in the order of the images' names";
                Err(Error::source(&self.path, format!("{what}; {} is {:?}", "its first line", lines[0].1)))
            }
        }
    }

    /// The labels of a table whose columns are known.
    fn of_table(&self, finder: &Finder) -> Result<Found> {
        let columns = finder.find()?;
        let table = finder.table;
        let rows = &table.rows[usize::from(columns.headed)..];
        if rows.is_empty() {
            return Err(Error::source(&self.path, "holds no labels"));
        }
        self.check_no_index(finder, &columns, rows)?;
        self.check_columns(finder, &columns, rows)?;
        let mut notes = vec![described(&self.path, table, &columns)];
        let labels = self.look_up(finder, &columns, rows, &mut notes)?;
        if let Labels::Column { asked, first_word: false, .. } = columns.labels {
            label_checks::check(&self.path, labels.iter().flatten().map(String::as_str), asked)?;
        }
        let classes = match &columns.labels {
            Labels::OneHot(classes) => Some(one_hot_classes(&table.rows[0], classes)),
            Labels::Pets { at } => Some(pet_classes(rows, *at)),
            _ => None,
        };
        Ok(Found { labels, classes, notes })
    }

    /// Refuses numbers of rows in place of labels, unless they were asked for.
    fn check_no_index(&self, finder: &Finder, columns: &Columns, rows: &[csv::StringRecord]) -> Result<()> {
        let Labels::Column { at, asked: false, .. } = columns.labels else { return Ok(()) };
        if !forms::is_running_in(rows, at) {
            return Ok(());
        }
        let ilsvrc = if rows[0].get(columns.image).is_some_and(|name| name.contains("ILSVRC20")) {
            "; ILSVRC's ImageSets hold no classes of its validation and test images: give the development kit \
             (ILSVRC2012_devkit_t12.tar.gz) or Kaggle's LOC_val_solution.csv"
        } else {
            ""
        };
        Err(finder.wrong(&format!("column {} only numbers the rows, it holds no labels{ilsvrc}", at + 1)))
    }

    /// The label of each image.
    fn look_up(
        &self,
        finder: &Finder,
        columns: &Columns,
        rows: &[csv::StringRecord],
        notes: &mut Vec<String>,
    ) -> Result<Vec<Option<String>>> {
        let images = finder.images;
        // By image: its row, and how well its path agrees with where the image lies.
        let mut found: Vec<Option<(usize, Option<usize>)>> = vec![None; images.names().len()];
        let mut absent = 0;
        let mut again = 0;
        for (at, row) in rows.iter().enumerate() {
            let path = row.get(columns.image).unwrap_or_default();
            let label = self.label_of(finder, columns, row)?;
            match images.find(path) {
                Meant::Nothing => absent += 1,
                Meant::Several(a, b) => return Err(self.ambiguous(images, row, path, [a, b])),
                Meant::One { image, agreeing, .. } => match found[image] {
                    // Of paths of other folders that counts which agrees more; one without folders disagrees with none.
                    Some((other, known)) if known == agreeing || known.is_none() || agreeing.is_none() => {
                        let before = self.label_of(finder, columns, &rows[other])?;
                        if before != label {
                            let what = format!(
                                "line {}: {path:?} is {label:?}, before it was {before:?}: an image with two labels; \
                                 remove one of the rows",
                                line_of(row)
                            );
                            return Err(Error::source(&self.path, what));
                        }
                        again += usize::from(rows[other].get(columns.image) != Some(path));
                        found[image] = Some((other, known.max(agreeing)));
                    }
                    Some((_, better)) if better > agreeing => {}
                    _ => found[image] = Some((at, agreeing)),
                },
            }
        }
        let labelled = found.iter().flatten().count();
        if labelled == 0 {
            return Err(finder.names_none());
        }
        if labelled < found.len() {
            let first = images.names().iter().zip(&found).find(|(_, row)| row.is_none()).map(|(name, _)| *name);
            let first = String::from_utf8_lossy(first.unwrap_or_default());
            notes.push(format!("{} images without a label are left out, the first is {first}", found.len() - labelled));
        }
        if absent > 0 {
            notes.push(format!("{absent} labels are of files that are not there"));
        }
        if again > 0 {
            notes.push(format!("{again} rows are of images that other rows have by another path, with the same label"));
        }
        found.iter().map(|row| row.map(|(at, _)| self.label_of(finder, columns, &rows[at])).transpose()).collect()
    }

    fn ambiguous(&self, images: &Images, row: &csv::StringRecord, path: &str, which: [usize; 2]) -> Error {
        let [a, b] = which.map(|at| String::from_utf8_lossy(images.names()[at]));
        let what =
            format!("line {}: {path:?} may be {a} or {b}; expected the path that tells them apart", line_of(row));
        Error::source(&self.path, what)
    }

    fn label_of(&self, finder: &Finder, columns: &Columns, row: &csv::StringRecord) -> Result<String> {
        let name = row.get(columns.image).unwrap_or_default();
        let label = match &columns.labels {
            Labels::OneHot(classes) => forms::one_hot(&self.path, &finder.table.rows[0], row, classes)?,
            Labels::Pets { .. } => forms::pet_breed(name).unwrap_or_default(),
            Labels::WnidFolder => forms::wnid_folder(name).unwrap_or_default(),
            Labels::Column { at, first_word: true, .. } => {
                row.get(*at).and_then(|text| text.split_whitespace().next()).unwrap_or_default()
            }
            Labels::Column { at, .. } => row.get(*at).unwrap_or_default(),
        };
        if name.is_empty() || label.is_empty() || label.eq_ignore_ascii_case("nan") {
            return Err(Error::source(&self.path, format!("line {}: an empty file or label", line_of(row))));
        }
        if [name, label].iter().any(|field| field.contains(['\n', '\r'])) {
            let what = "the image's name or the label holds the end of a line; close the quote (\") that begins there";
            return Err(Error::source(&self.path, format!("line {}: {what}", line_of(row))));
        }
        Ok(label.to_string())
    }
}

/// Whether a text is JSON, whole or a value a line.
fn is_json(text: &str) -> bool {
    let text = text.trim();
    let is_value = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
    let first = text.lines().next().unwrap_or_default().trim();
    text.starts_with(['[', '{']) && (matches!(first, "[" | "{") || is_value(first) || is_value(text))
}

/// The two halves of a line, or all of it.
fn halves<'a>(halves: Option<(&'a str, &'a str)>, line: &'a str) -> Vec<&'a str> {
    halves.map_or(vec![line], |(a, b)| vec![a.trim(), b.trim()])
}

/// Where the labels of a file are, for the user to check.
fn described(path: &Path, table: &Table, columns: &Columns) -> String {
    let named = |at: usize| match table.rows.first().and_then(|row| row.get(at)) {
        Some(name) if columns.headed => format!("column {} ({name})", at + 1),
        _ => format!("column {}", at + 1),
    };
    let labels = match &columns.labels {
        Labels::Column { at, .. } => named(*at),
        Labels::OneHot(classes) => format!("the {} columns of classes", classes.len()),
        Labels::Pets { .. } => "the names of Oxford's pets".into(),
        Labels::WnidFolder => "the folders of the images".into(),
    };
    format!("{}: images from {}, labels from {labels}", super::file_name(path), named(columns.image))
}

/// All classes of one-hot columns, sorted.
fn one_hot_classes(header: &csv::StringRecord, classes: &[usize]) -> Vec<String> {
    let mut names: Vec<String> = classes.iter().map(|&at| header.get(at).unwrap_or_default().to_string()).collect();
    names.sort_unstable();
    names
}

/// Oxford's breeds in the order of their numbers.
fn pet_classes(rows: &[csv::StringRecord], at: usize) -> Vec<String> {
    let class = |row: &csv::StringRecord| {
        let number = row.get(at)?.parse::<u32>().ok()?;
        Some((number, forms::pet_breed(row.get(0)?)?.to_string()))
    };
    let classes: std::collections::BTreeMap<u32, String> = rows.iter().filter_map(class).collect();
    classes.into_values().collect()
}

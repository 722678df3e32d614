//! Labels files:
//! - a development kit of ILSVRC, as `.tar.gz` or unpacked, or its ground truth with `meta.mat` or a list of synsets
//!   beside it (see [`devkit`]);
//! - a table of images and labels, separated by tabs, semicolons, commas or white space (see [`columns`] for column
//!   detection, [`forms`] for formats without a header);
//! - a list of labels, one per line in the order of the image names, if numbers in those leave no doubt about the
//!   order: wnids, other names, or numbers.
//!
//! Anything ambiguous is an error that shows the columns, never a guess. So are labels that would make every image its
//! own class, row numbers, fractions, negative numbers, lists of classes (see [`label_checks`]), and images of several
//! splits (see [`column_checks`]).
//!
//! Named classes are sorted by name in byte order, or by value if all are numbers. With given classes (option `classes`),
//! numbers are names if those are numbers too, otherwise indices.

mod classes;
mod column_checks;
mod column_names;
mod columns;
mod devkit;
mod forms;
mod image_lookup;
mod label_checks;
mod label_list;
mod matlab;
mod mismatch;
mod quotes;
mod row;
mod table;
mod text;
mod zero_fractions;

use std::path::{Path, PathBuf};

use super::SourceOptions;
use crate::error::{Error, Result};
use columns::{ColumnFinder, Columns, LabelColumns};
use image_lookup::{ImageLookup, ImageMatch};
use row::Row;
use table::{Table, numbered_lines};
pub(super) use text::read_text;

/// A labels file.
pub(super) struct LabelFile {
    path: PathBuf,
    content: LabelContent,
    is_given: bool,
}

enum LabelContent {
    /// All classes, and the wnid of each image in name order.
    Kit(Vec<String>, Vec<String>),
    Text(String),
}

/// User input about a labels file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ColumnHints<'a> {
    pub image_column: Option<&'a str>,
    pub label_column: Option<&'a str>,
    /// Whether the file was given by the user, not found beside the images.
    pub is_given: bool,
}

/// Labels of a list of images.
pub(super) struct ResolvedLabels {
    pub classes: Vec<String>,
    /// Label of each image; images without one are skipped.
    pub labels: Vec<Option<u32>>,
    pub notes: Vec<String>,
}

/// Label text of each image, and the classes if the file lists them.
struct RawLabels {
    labels: Vec<Option<String>>,
    classes: Option<Vec<String>>,
    notes: Vec<String>,
}

impl LabelFile {
    /// Opens a file given by the user.
    pub fn from_user(path: &Path) -> Result<Self> {
        let content = match devkit::read(path)? {
            Some((classes, labels)) => LabelContent::Kit(classes, labels),
            None => LabelContent::Text(read_text(path)?),
        };
        Ok(Self { path: path.to_path_buf(), content, is_given: true })
    }

    /// Opens a file found beside the images.
    pub fn from_folder(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_path_buf(), content: LabelContent::Text(read_text(path)?), is_given: false })
    }

    /// Labels images with sorted `names` within the source `root`.
    pub fn apply(&self, root: &Path, names: &[&[u8]], options: &SourceOptions) -> Result<ResolvedLabels> {
        let raw = match &self.content {
            LabelContent::Kit(classes, labels) => {
                let labels = self.in_order(root, names, labels.iter().cloned())?;
                RawLabels { labels, classes: Some(classes.clone()), notes: Vec::new() }
            }
            LabelContent::Text(text) => self.labels_of_text(root, names, text, options)?,
        };
        let labels = zero_fractions::strip_zero_fractions(&self.path, raw.labels)?;
        let class_index = self.class_index(root, &labels, raw.classes, options)?;
        let notes = raw.notes.into_iter().chain(self.one_based_note(&labels, &class_index, options)).collect();
        let index_of = |label: &String| class_index.label(&self.path, label);
        let labels = labels.iter().map(|label| label.as_ref().map(index_of).transpose()).collect::<Result<_>>()?;
        Ok(ResolvedLabels { classes: class_index.classes, labels, notes })
    }

    fn labels_of_text(&self, root: &Path, names: &[&[u8]], text: &str, options: &SourceOptions) -> Result<RawLabels> {
        if numbered_lines(text).next().is_none() {
            return Err(Error::source(&self.path, "holds no labels"));
        }
        if is_json(text) {
            let what = "is JSON; expected a table of images and labels (CSV), or a list of labels: write an image and its label a \
                        line";
            return Err(Error::source(&self.path, what));
        }
        let images = ImageLookup::new(root, names);
        let hints = ColumnHints {
            image_column: options.image_column,
            label_column: options.label_column,
            is_given: self.is_given,
        };
        if let Some(table) = Table::separated(&self.path, text)? {
            return self.labels_of_table(&ColumnFinder::new(&self.path, &table, &images, root, hints));
        }
        let lines: Vec<(u64, &str)> = numbered_lines(text).collect();
        let word_count = |line: &'_ str| line.split_whitespace().count();
        if lines.iter().all(|(_, line)| word_count(line) == 1) {
            if let Some(column) = options.image_column.or(options.label_column.filter(|column| *column != "1")) {
                let what = format!("has one column only, where the column {column:?} was asked for");
                return Err(Error::source(&self.path, what));
            }
            return self.labels_of_lines(root, &images, &lines);
        }
        self.labels_of_words(root, &images, text, hints, &lines)
    }

    /// Reads a list of one word per line.
    fn labels_of_lines(&self, root: &Path, images: &ImageLookup, lines: &[(u64, &str)]) -> Result<RawLabels> {
        if let Some((line, name)) = label_list::image_in(images, lines) {
            let folders = if name.contains('/') {
                "; where the folders are the classes, pack without the option labels"
            } else {
                ""
            };
            let what = format!(
                "line {line}: {name} is an image of {} without a label; expected lines of an image and its label, or one \
                 label per line in the order of the image names{folders}",
                root.display()
            );
            return Err(Error::source(&self.path, what));
        }
        let class_index = |(_, line): &(u64, &str)| line.parse::<u64>().ok();
        let first = class_index(&lines[0]).filter(|&first| first <= 1 && lines.len() >= 3);
        if first.is_some_and(|first| (first..).zip(lines).all(|(expected, line)| class_index(line) == Some(expected))) {
            let what = "only numbers its lines and holds no labels; expected one label per line in the order of the image names";
            return Err(Error::source(&self.path, what));
        }
        self.labels_of_list(root, images, lines)
    }

    /// Reads lines of several words: columns; or an image name with spaces and a label; or a label and an image name;
    /// or class names that are words alone.
    fn labels_of_words(
        &self,
        root: &Path,
        images: &ImageLookup,
        text: &str,
        hints: ColumnHints,
        lines: &[(u64, &str)],
    ) -> Result<RawLabels> {
        let last = |line| split_or_whole(str::rsplit_once(line, char::is_whitespace), line);
        let first = |line| split_or_whole(str::split_once(line, char::is_whitespace), line);
        let all = Table::from_words(text, |line| line.split_whitespace().collect());
        let tables = [all, Table::from_words(text, last), Table::from_words(text, first)];
        let mut tables: Vec<Table> = tables.into_iter().flatten().collect();
        // The form that names most images: of `1 Boeing` and `2 McDonnell Douglas` the first word is the image.
        let finders = tables.iter().map(|table| ColumnFinder::new(&self.path, table, images, root, hints));
        let known = finders.filter(ColumnFinder::knows_images);
        if let Some(finder) = known.rev().max_by_key(ColumnFinder::most_matches) {
            return self.labels_of_table(&finder);
        }
        let is_words = |line: &str| line.chars().all(|c| c.is_alphabetic() || c.is_whitespace() || "-'()".contains(c));
        if lines.iter().all(|(_, line)| is_words(line)) {
            return self.labels_of_list(root, images, lines);
        }
        match tables.pop() {
            Some(table) => Err(ColumnFinder::new(&self.path, &table, images, root, hints).no_images_error()),
            None => {
                let what = "expected lines of one form: an image and its label, or a label each in the order of the images' names";
                Err(Error::source(&self.path, format!("{what}; {} is {:?}", "its first line", lines[0].1)))
            }
        }
    }

    /// Reads the labels of a table.
    fn labels_of_table(&self, finder: &ColumnFinder) -> Result<RawLabels> {
        let columns = finder.find()?;
        let table = finder.table;
        let rows = &table.rows[usize::from(columns.has_header)..];
        if rows.is_empty() {
            return Err(Error::source(&self.path, "holds no labels"));
        }
        self.check_no_index(finder, &columns, rows)?;
        self.check_columns(finder, &columns, rows)?;
        let mut notes = vec![columns_note(&self.path, table, &columns)];
        let labels = self.labels_by_image(finder, &columns, rows, &mut notes)?;
        if let LabelColumns::Column { requested, first_word: false, .. } = columns.labels {
            label_checks::check(&self.path, labels.iter().flatten().map(String::as_str), requested)?;
        }
        let classes = match &columns.labels {
            LabelColumns::OneHot(classes) => Some(one_hot_classes(&table.rows[0], classes)),
            LabelColumns::Pets { at } => Some(pet_classes(rows, *at)),
            _ => None,
        };
        Ok(RawLabels { labels, classes, notes })
    }

    /// Refuses row numbers in place of labels, unless they were requested.
    fn check_no_index(&self, finder: &ColumnFinder, columns: &Columns, rows: &[Row]) -> Result<()> {
        let LabelColumns::Column { at, requested: false, .. } = columns.labels else { return Ok(()) };
        if !forms::are_row_numbers(rows, at) {
            return Ok(());
        }
        let ilsvrc = if rows[0].get(columns.image).is_some_and(|name| name.contains("ILSVRC20")) {
            "; ILSVRC's ImageSets hold no classes of its validation and test images: give the development kit \
             (ILSVRC2012_devkit_t12.tar.gz) or Kaggle's LOC_val_solution.csv"
        } else {
            ""
        };
        Err(finder.error(&format!("column {} only numbers the rows, it holds no labels{ilsvrc}", at + 1)))
    }

    /// The label of each image.
    fn labels_by_image(
        &self,
        finder: &ColumnFinder,
        columns: &Columns,
        rows: &[Row],
        notes: &mut Vec<String>,
    ) -> Result<Vec<Option<String>>> {
        let images = finder.images;
        // Row of each image, and how well its path agrees with the location of the image.
        let mut found: Vec<Option<(usize, Option<usize>)>> = vec![None; images.names().len()];
        let mut missing = 0;
        let mut again = 0;
        for (at, row) in rows.iter().enumerate() {
            let path = row.get(columns.image).unwrap_or_default();
            let label = self.label_of(finder, columns, row)?;
            match images.find(path) {
                ImageMatch::None => missing += 1,
                ImageMatch::Ambiguous(a, b) => return Err(self.ambiguous(images, row, path, [a, b])),
                ImageMatch::One { image, agreeing, .. } => match found[image] {
                    // Among paths of other folders, the one that agrees more counts; one without folders disagrees with
                    // none.
                    Some((other, known)) if known == agreeing || known.is_none() || agreeing.is_none() => {
                        let before = self.label_of(finder, columns, &rows[other])?;
                        if before != label {
                            let what = format!(
                                "line {}: {path:?} is {label:?}, before it was {before:?}: an image with two labels; \
                                 remove one of the rows",
                                row.line
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
            return Err(finder.no_images_error());
        }
        if labelled < found.len() {
            let first = images.names().iter().zip(&found).find(|(_, row)| row.is_none()).map(|(name, _)| *name);
            let first = String::from_utf8_lossy(first.unwrap_or_default());
            notes.push(format!("{} images without a label are skipped, the first is {first}", found.len() - labelled));
        }
        if missing > 0 {
            notes.push(format!("{missing} labels are of missing files"));
        }
        if again > 0 {
            notes.push(format!("{again} rows are of images that other rows have by another path, with the same label"));
        }
        found.iter().map(|row| row.map(|(at, _)| self.label_of(finder, columns, &rows[at])).transpose()).collect()
    }

    fn ambiguous(&self, images: &ImageLookup, row: &Row, path: &str, which: [usize; 2]) -> Error {
        let [a, b] = which.map(|at| String::from_utf8_lossy(images.names()[at]));
        let what = format!("line {}: {path:?} may be {a} or {b}; expected the path that tells them apart", row.line);
        Error::source(&self.path, what)
    }

    fn label_of(&self, finder: &ColumnFinder, columns: &Columns, row: &Row) -> Result<String> {
        let name = row.get(columns.image).unwrap_or_default();
        let label = match &columns.labels {
            LabelColumns::OneHot(classes) => forms::one_hot(&self.path, &finder.table.rows[0], row, classes)?,
            LabelColumns::Pets { .. } => forms::pet_breed(name).unwrap_or_default(),
            LabelColumns::WnidFolder => forms::wnid_folder(name).unwrap_or_default(),
            LabelColumns::Column { at, first_word: true, .. } => {
                row.get(*at).and_then(|text| text.split_whitespace().next()).unwrap_or_default()
            }
            LabelColumns::Column { at, .. } => row.get(*at).unwrap_or_default(),
        };
        if name.is_empty() || label.is_empty() || label.eq_ignore_ascii_case("nan") {
            return Err(Error::source(&self.path, format!("line {}: an empty file or label", row.line)));
        }
        if [name, label].iter().any(|field| field.contains(['\n', '\r'])) {
            let what = "the image's name or the label holds the end of a line; close the quote (\") that begins there";
            return Err(Error::source(&self.path, format!("line {}: {what}", row.line)));
        }
        Ok(label.to_string())
    }
}

/// Whether a text is JSON, as a whole or with one value per line.
fn is_json(text: &str) -> bool {
    let text = text.trim();
    let is_value = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
    let first = text.lines().next().unwrap_or_default().trim();
    text.starts_with(['[', '{']) && (matches!(first, "[" | "{") || is_value(first) || is_value(text))
}

/// The two halves of a line, or the whole line.
fn split_or_whole<'a>(split_or_whole: Option<(&'a str, &'a str)>, line: &'a str) -> Vec<&'a str> {
    split_or_whole.map_or(vec![line], |(a, b)| vec![a.trim(), b.trim()])
}

/// Note on the position of the labels, for the user to check.
fn columns_note(path: &Path, table: &Table, columns: &Columns) -> String {
    let named = |at: usize| match table.rows.first().and_then(|row| row.get(at)) {
        Some(name) if columns.has_header => format!("column {} ({name})", at + 1),
        _ => format!("column {}", at + 1),
    };
    let labels = match &columns.labels {
        LabelColumns::Column { at, .. } => named(*at),
        LabelColumns::OneHot(classes) => format!("the {} columns of classes", classes.len()),
        LabelColumns::Pets { .. } => "the names of Oxford's pets".into(),
        LabelColumns::WnidFolder => "the folders of the images".into(),
    };
    format!("{}: images from {}, labels from {labels}", super::file_name(path), named(columns.image))
}

/// All classes of one-hot columns, sorted.
fn one_hot_classes(header: &Row, classes: &[usize]) -> Vec<String> {
    let mut names: Vec<String> = classes.iter().map(|&at| header.get(at).unwrap_or_default().to_string()).collect();
    names.sort_unstable();
    names
}

/// Oxford's breeds in the order of their numbers.
fn pet_classes(rows: &[Row], at: usize) -> Vec<String> {
    let class = |row: &Row| {
        let class_index = row.get(at)?.parse::<u32>().ok()?;
        Some((class_index, forms::pet_breed(row.get(0)?)?.to_string()))
    };
    let classes: std::collections::BTreeMap<u32, String> = rows.iter().filter_map(class).collect();
    classes.into_values().collect()
}

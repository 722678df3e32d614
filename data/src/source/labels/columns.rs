//! Detection of the columns of images and labels in a table. Anything ambiguous is an error.
//!
//! A column is identified by `--image-column` and `--label-column`; by its name in a header; or, for images, by fields
//! that name images of the source. Names are compared ignoring case, spaces and punctuation: `ImageId` is `image_id`.

use std::collections::HashMap;
use std::path::Path;

use super::row::Row;

use super::column_checks::{is_list_of_splits, is_no_label};
use super::column_names::{IMAGE_COLUMNS, PREDICTION, is_image_name, is_label_name, normalize};
use super::image_lookup::{ImageLookup, ImageMatch};
use super::table::Table;
use super::{ColumnHints, forms};
use crate::error::{Error, Result};

/// Roles of the columns of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub image: usize,
    pub labels: LabelColumns,
    /// Whether the first row is a header.
    pub has_header: bool,
}

/// Position of the labels.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LabelColumns {
    /// In a column, of which only the first word counts with `first_word`.
    Column { at: usize, first_word: bool, requested: bool },
    /// In one column per class, one of which is 1.
    OneHot(Vec<usize>),
    /// In the image names of Oxford's pets, whose column of class numbers is `at`.
    Pets { at: usize },
    /// In the image's folder: ILSVRC's `train_cls.txt`.
    WnidFolder,
}

/// Finds the columns of a table.
pub(super) struct ColumnFinder<'a> {
    pub path: &'a Path,
    pub table: &'a Table,
    pub images: &'a ImageLookup<'a>,
    pub root: &'a Path,
    pub hints: ColumnHints<'a>,
    /// Normalized fields of the first row.
    pub names: Vec<String>,
}

impl<'a> ColumnFinder<'a> {
    pub fn new(
        path: &'a Path,
        table: &'a Table,
        images: &'a ImageLookup<'a>,
        root: &'a Path,
        hints: ColumnHints<'a>,
    ) -> Self {
        let names = table.rows.first().map(|row| row.iter().map(normalize).collect()).unwrap_or_default();
        Self { path, table, images, root, hints, names }
    }

    /// Whether a column has a known name or holds images of the source.
    pub fn knows_images(&self) -> bool {
        self.requested_image().is_ok_and(|requested| requested.is_some())
            || self.has_known_names()
            || (0..self.table.columns).any(|at| self.matches(at).any())
    }

    pub fn find(&self) -> Result<Columns> {
        let requested_image = self.requested_image()?;
        let requested_label = self.requested("label_column", self.hints.label_column)?;
        let by_name = |requested: Option<RequestedColumn>| requested.is_some_and(|requested| requested.by_name);
        let mut has_header = by_name(requested_image) || by_name(requested_label) || self.has_known_names();
        let image = match requested_image {
            Some(requested) => requested.at,
            None if has_header => self.named_image(requested_label)?,
            None => self.matching_image(requested_label)?,
        };
        has_header |= self.looks_like_header(image);
        let labels = match requested_label {
            Some(RequestedColumn { at, .. }) if at == image => {
                return Err(self.error("the same column is asked for as images and as labels"));
            }
            Some(RequestedColumn { at, .. }) => {
                LabelColumns::Column { at, first_word: self.is_prediction(at, has_header), requested: true }
            }
            None if has_header => self.named_label(image)?,
            None => self.label_by_form(image)?,
        };
        Ok(Columns { image, labels, has_header })
    }

    /// An error that shows the columns and explains how to specify them.
    pub fn error(&self, what: &str) -> Error {
        let how = "say which is which: --image-column and --label-column, each with a name or a number from 1 on";
        Error::source(self.path, format!("{what}; {}; {how}", self.table.describe()))
    }

    /// The column requested for the labels.
    pub fn requested_label_at(&self) -> Option<usize> {
        self.requested("label_column", self.hints.label_column).ok().flatten().map(|requested| requested.at)
    }

    /// The column requested for the images, or the one of images by its name.
    pub fn image_column_by_name(&self) -> Option<usize> {
        let named = |tier: &[&str]| self.names.iter().position(|name| tier.contains(&name.as_str()));
        let by_name = || IMAGE_COLUMNS.into_iter().filter(|_| self.has_known_names()).find_map(named);
        self.requested_image().ok().flatten().map(|requested| requested.at).or_else(by_name)
    }

    fn requested_image(&self) -> Result<Option<RequestedColumn>> {
        self.requested("image_column", self.hints.image_column)
    }

    fn requested(&self, option: &'static str, column: Option<&str>) -> Result<Option<RequestedColumn>> {
        let Some(column) = column else { return Ok(None) };
        let number = column.trim().parse::<usize>();
        // A number in the first row is only a name if the others there are certainly names.
        let is_header = if number.is_ok() { self.has_known_names() } else { !self.first_holds_image() };
        if let Some(at) = self.named(column).filter(|_| is_header) {
            return Ok(Some(RequestedColumn { at, by_name: true }));
        }
        match number {
            Ok(number) if (1..=self.table.columns).contains(&number) => {
                Ok(Some(RequestedColumn { at: number - 1, by_name: false }))
            }
            _ => {
                let expected = format!("a column of {}: {}", self.path.display(), self.table.describe());
                Err(Error::option(option, expected, format!("{column:?}")))
            }
        }
    }

    /// The column of this name in the first row.
    fn named(&self, column: &str) -> Option<usize> {
        let first = self.table.rows.first();
        let exact = first.and_then(|row| row.iter().position(|name| name == column.trim()));
        exact.or_else(|| self.names.iter().position(|name| !name.is_empty() && *name == normalize(column)))
    }

    /// Whether the first row is a header: it has a known name, and no field is an image of the source.
    fn has_known_names(&self) -> bool {
        let is_known = |name: &String| is_label_name(name) || is_image_name(name);
        self.names.iter().any(is_known) && !self.first_holds_image()
    }

    /// Whether the first row names an image of the source, so it is not a header. Without its extension an image may
    /// have the name of a column (`id` of `id.jpg`, `1` of classes): then it is an image unless something contradicts
    /// that.
    fn first_holds_image(&self) -> bool {
        let is_image = |(at, field): (usize, &str)| match self.images.find(field) {
            ImageMatch::None => false,
            ImageMatch::One { with_extension: true, .. } => true,
            _ => {
                let name = &self.names[at];
                !is_label_name(name) && !is_image_name(name) && self.names_images_below(at) && !self.heads_images()
            }
        };
        self.table.rows.first().is_some_and(|row| row.iter().enumerate().any(is_image))
    }

    /// Whether a name of image columns stands above images.
    fn heads_images(&self) -> bool {
        let heads = |at: usize| is_image_name(&self.names[at]) && self.names_images_below(at);
        (0..self.names.len()).any(heads)
    }

    /// Whether a row after the first has an image in a column.
    fn names_images_below(&self, at: usize) -> bool {
        self.table.rows.iter().skip(1).any(|row| self.means_image(row, at))
    }

    /// Whether a first row of unknown names is a header: its field neither is an image nor looks like one.
    fn looks_like_header(&self, image: usize) -> bool {
        let first = self.table.rows.first().and_then(|row| row.get(image)).unwrap_or_default();
        self.images.find(first) == ImageMatch::None
            && !first.contains(['.', '/', '\\'])
            && !first.is_empty()
            && self.names_images_below(image)
            && !first.contains(|c: char| c.is_ascii_digit())
    }

    fn means_image(&self, row: &Row, at: usize) -> bool {
        row.get(at).is_some_and(|field| self.images.find(field) != ImageMatch::None)
    }

    /// The image column by the names of a header.
    fn named_image(&self, label: Option<RequestedColumn>) -> Result<usize> {
        for tier in IMAGE_COLUMNS {
            let named =
                |at: &usize| tier.contains(&self.names[*at].as_str()) && label.is_none_or(|label| label.at != *at);
            let found: Vec<usize> = (0..self.names.len()).filter(named).collect();
            match found.as_slice() {
                [] => {}
                [only] => return Ok(*only),
                several => return self.disambiguate(several),
            }
        }
        self.matching_image(label)
    }

    /// Among columns with similar names, the only one that names images; or any if all name the same.
    fn disambiguate(&self, several: &[usize]) -> Result<usize> {
        let matching: Vec<usize> = several.iter().copied().filter(|&at| self.matches(at).any()).collect();
        let same = |a: usize, b: usize| {
            let meant = |row: &Row, at: usize| match self.images.find(row.get(at).unwrap_or_default()) {
                ImageMatch::One { image, .. } => Some(image),
                _ => None,
            };
            self.table.rows.iter().skip(1).all(|row| meant(row, a) == meant(row, b))
        };
        match matching.as_slice() {
            [] => Err(self.no_images_error()),
            [first, others @ ..] if others.iter().all(|&other| same(*first, other)) => Ok(*first),
            _ => Err(self.error("which column holds the images is ambiguous")),
        }
    }

    /// The only column whose fields name images of the source.
    fn matching_image(&self, label: Option<RequestedColumn>) -> Result<usize> {
        let columns: Vec<usize> =
            (0..self.table.columns).filter(|&at| label.is_none_or(|label| label.at != at)).collect();
        let matches: Vec<(usize, Matches)> = columns.into_iter().map(|at| (at, self.matches(at))).collect();
        let with_extension: Vec<usize> =
            matches.iter().filter(|(_, m)| m.with_extension > 0).map(|(at, _)| *at).collect();
        let any: Vec<usize> = matches.iter().filter(|(_, m)| m.any()).map(|(at, _)| *at).collect();
        match (with_extension.as_slice(), any.as_slice()) {
            ([only], _) | ([], [only]) => Ok(*only),
            (_, []) => Err(self.no_images_error()),
            _ => Err(self.error("which column holds the images is ambiguous")),
        }
    }

    fn matches(&self, at: usize) -> Matches {
        let mut matches = Matches::default();
        for row in &self.table.rows {
            match self.images.find(row.get(at).unwrap_or_default()) {
                ImageMatch::None => {}
                ImageMatch::One { with_extension: true, .. } => matches.with_extension += 1,
                _ => matches.other += 1,
            }
        }
        matches
    }

    /// The label column by the names of a header, or the one-hot columns.
    fn named_label(&self, image: usize) -> Result<LabelColumns> {
        let is_label = |at: &usize| *at != image && is_label_name(&self.names[*at]);
        let found: Vec<usize> = (0..self.names.len()).filter(is_label).collect();
        let column =
            |at: usize| LabelColumns::Column { at, first_word: self.is_prediction(at, true), requested: false };
        match found.as_slice() {
            [only] => return Ok(column(*only)),
            [first, others @ ..] => return self.same_classes(*first, others).map(column),
            [] => {}
        }
        let others: Vec<usize> = (0..self.names.len()).filter(|&at| at != image && self.is_used(at)).collect();
        match others.as_slice() {
            // A given labels file with two columns has its labels in the other one.
            [only] if self.hints.is_given && is_no_label(&self.names[*only]) => Err(self.no_label_error(*only)),
            [only] if self.hints.is_given => Ok(column(*only)),
            [] => Err(self.error("holds images, but no labels")),
            classes if classes.len() > 1 && forms::is_one_hot(self.table, classes) => {
                Ok(LabelColumns::OneHot(classes.to_vec()))
            }
            _ => Err(self.error("which column holds the labels is ambiguous")),
        }
    }

    /// Whether a column may be a class: not an unnamed index, as written by pandas, nor ISIC's weights.
    fn is_used(&self, at: usize) -> bool {
        !matches!(self.names[at].as_str(), "" | "unnamed0" | "scoreweight" | "validationweight")
    }

    /// Among several label columns that partition the images alike, the one of names.
    fn same_classes(&self, first: usize, others: &[usize]) -> Result<usize> {
        let rows = &self.table.rows[1..];
        let values = |at: usize| rows.iter().map(move |row| row.get(at).unwrap_or_default());
        let alike = |at: &usize| {
            let mut there: HashMap<&str, &str> = HashMap::new();
            let mut back: HashMap<&str, &str> = HashMap::new();
            values(first)
                .zip(values(*at))
                .all(|(a, b)| *there.entry(a).or_insert(b) == b && *back.entry(b).or_insert(a) == a)
        };
        let is_number = |at: &&usize| values(**at).all(|value| value.parse::<f64>().is_ok());
        let all: Vec<usize> = std::iter::once(first).chain(others.iter().copied()).collect();
        let (_numbers, names): (Vec<usize>, Vec<usize>) = all.iter().partition(|at| is_number(at));
        match names.as_slice() {
            [only] if others.iter().all(alike) => Ok(*only),
            _ => Err(self.error("which of several columns holds the labels is ambiguous")),
        }
    }

    fn is_prediction(&self, at: usize, has_header: bool) -> bool {
        has_header && self.names.get(at).is_some_and(|name| name == PREDICTION)
    }

    /// Labels of a table without a header.
    fn label_by_form(&self, image: usize) -> Result<LabelColumns> {
        if let Some(labels) = forms::detect(self.path, self.table, image)? {
            return Ok(labels);
        }
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        match self.table.columns {
            2 if is_list_of_splits(&file, self.table, 1 - image) => {
                Err(self
                    .error("is a list of the splits of the images by its name and its numbers, and holds no classes"))
            }
            2 if self.hints.is_given => Ok(LabelColumns::Column { at: 1 - image, first_word: false, requested: false }),
            _ => Err(self.error("which column holds the labels is ambiguous")),
        }
    }
}

/// A column requested by the user.
#[derive(Clone, Copy, Debug)]
struct RequestedColumn {
    at: usize,
    by_name: bool,
}

/// Number of fields of a column that name images.
#[derive(Clone, Copy, Debug, Default)]
struct Matches {
    with_extension: usize,
    other: usize,
}

impl Matches {
    fn any(self) -> bool {
        self.with_extension + self.other > 0
    }
}

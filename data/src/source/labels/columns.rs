//! Which column of a table holds images, and which their labels. What is not known for certain is an error.
//!
//! A column is known by `--image-column` and `--label-column`; by its name in a header; or, of images, because its fields
//! name images that are in the source. Names are compared without case, spaces and marks: `ImageId` is `image_id`.

use std::collections::HashMap;
use std::path::Path;

use csv::StringRecord;

use super::column_checks::{is_list_of_splits, is_no_label};
use super::images::{Images, Meant};
use super::table::Table;
use super::{Given, forms};
use crate::error::{Error, Result};

/// Names of columns of images, the surest first: `id,filename,label` has the images in `filename`.
const IMAGES: [&[&str]; 3] = [
    &[
        "file",
        "filename",
        "filepath",
        "path",
        "filepaths",
        "imagepath",
        "imgpath",
        "imagefile",
        "imagefilename",
        "relativepath",
        "relpath",
        "fname",
    ],
    &[
        "image",
        "img",
        "imageid",
        "imgid",
        "imagename",
        "imgname",
        "imageindex",
        "idcode",
        "isicid",
        "photo",
        "photoid",
        "picture",
        "pictureid",
    ],
    &["id", "name"],
];
/// Names of columns of labels.
const LABELS: [&str; 24] = [
    "label",
    "labels",
    "labelid",
    "labelname",
    "class",
    "classes",
    "classid",
    "classname",
    "classlabel",
    "category",
    "categoryid",
    "categoryname",
    "target",
    "wnid",
    "synset",
    "breed",
    "species",
    "variety",
    "dx",
    "diagnosis",
    "groundtruth",
    PREDICTION,
    "labelidx",
    "classidx",
];
/// Kaggle's, of which the first word is the label.
pub(super) const PREDICTION: &str = "predictionstring";

/// What the columns of a table are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub image: usize,
    pub labels: Labels,
    /// Whether the first row names the columns.
    pub headed: bool,
}

/// Where labels are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Labels {
    /// In a column; `words` says that only the first word counts.
    Column { at: usize, first_word: bool, asked: bool },
    /// In the columns of classes, of which one has a 1.
    OneHot(Vec<usize>),
    /// In the names of the images: Oxford's pets, whose column of class numbers is `at`.
    Pets { at: usize },
    /// In the folder of the image: ILSVRC's `train_cls.txt`.
    WnidFolder,
}

/// Whether a text is a name of columns of labels.
pub(super) fn is_label_name(text: &str) -> bool {
    LABELS.contains(&plain(text).as_str())
}

fn is_image_name(plain: &str) -> bool {
    IMAGES.iter().any(|tier| tier.contains(&plain))
}

/// A name of a column without case, spaces and marks.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Finds the columns of a table.
pub(super) struct Finder<'a> {
    pub path: &'a Path,
    pub table: &'a Table,
    pub images: &'a Images<'a>,
    pub root: &'a Path,
    pub given: Given<'a>,
    /// Names of the first row, in lower case without marks.
    pub names: Vec<String>,
}

impl<'a> Finder<'a> {
    pub fn new(path: &'a Path, table: &'a Table, images: &'a Images<'a>, root: &'a Path, given: Given<'a>) -> Self {
        let names = table.rows.first().map(|row| row.iter().map(plain).collect()).unwrap_or_default();
        Self { path, table, images, root, given, names }
    }

    /// Whether a column of the table is known by name, or holds images of the source.
    pub fn knows_images(&self) -> bool {
        self.asked_image().is_ok_and(|asked| asked.is_some())
            || self.has_known_names()
            || (0..self.table.columns).any(|at| self.matches(at).any())
    }

    pub fn find(&self) -> Result<Columns> {
        let asked_image = self.asked_image()?;
        let asked_label = self.asked("label_column", self.given.label_column)?;
        let by_name = |asked: Option<Asked>| asked.is_some_and(|asked| asked.by_name);
        let mut headed = by_name(asked_image) || by_name(asked_label) || self.has_known_names();
        let image = match asked_image {
            Some(asked) => asked.at,
            None if headed => self.named_image(asked_label)?,
            None => self.matching_image(asked_label)?,
        };
        headed |= self.looks_like_header(image);
        let labels = match asked_label {
            Some(Asked { at, .. }) if at == image => {
                return Err(self.wrong("the same column is asked for as images and as labels"));
            }
            Some(Asked { at, .. }) => Labels::Column { at, first_word: self.is_prediction(at, headed), asked: true },
            None if headed => self.named_label(image)?,
            None => self.label_by_form(image)?,
        };
        Ok(Columns { image, labels, headed })
    }

    /// An error that shows the columns and says how to say which is which.
    pub fn wrong(&self, what: &str) -> Error {
        let how = "say which is which: --image-column and --label-column, each with a name or a number from 1 on";
        Error::source(self.path, format!("{what}; {}; {how}", self.table.shown()))
    }

    /// The column that was asked for as that of the labels.
    pub fn asked_label_at(&self) -> Option<usize> {
        self.asked("label_column", self.given.label_column).ok().flatten().map(|asked| asked.at)
    }

    /// The column that was asked for as that of the images, or is it by its name.
    pub fn image_column_by_name(&self) -> Option<usize> {
        let named = |tier: &[&str]| self.names.iter().position(|name| tier.contains(&name.as_str()));
        let by_name = || IMAGES.into_iter().filter(|_| self.has_known_names()).find_map(named);
        self.asked_image().ok().flatten().map(|asked| asked.at).or_else(by_name)
    }

    fn asked_image(&self) -> Result<Option<Asked>> {
        self.asked("image_column", self.given.image_column)
    }

    fn asked(&self, option: &'static str, column: Option<&str>) -> Result<Option<Asked>> {
        let Some(column) = column else { return Ok(None) };
        let number = column.trim().parse::<usize>();
        // A number in the first row is a name only where the others there are names for certain.
        let is_header = if number.is_ok() { self.has_known_names() } else { !self.first_holds_image() };
        if let Some(at) = self.named(column).filter(|_| is_header) {
            return Ok(Some(Asked { at, by_name: true }));
        }
        match number {
            Ok(number) if (1..=self.table.columns).contains(&number) => {
                Ok(Some(Asked { at: number - 1, by_name: false }))
            }
            _ => {
                let expected = format!("a column of {}: {}", self.path.display(), self.table.shown());
                Err(Error::option(option, expected, format!("{column:?}")))
            }
        }
    }

    /// The column of this name in the first row.
    fn named(&self, column: &str) -> Option<usize> {
        let first = self.table.rows.first();
        let exact = first.and_then(|row| row.iter().position(|name| name == column.trim()));
        exact.or_else(|| self.names.iter().position(|name| !name.is_empty() && *name == plain(column)))
    }

    /// Whether the first row names columns: a field of it is a known name, and none is an image of the source.
    fn has_known_names(&self) -> bool {
        let is_known = |name: &String| is_label_name(name) || is_image_name(name);
        self.names.iter().any(is_known) && !self.first_holds_image()
    }

    /// Whether a field of the first row is an image of the source, so that it names no columns. Without its ending an image
    /// may have the name of a column (`id` of `id.jpg`, `1` of classes): then it is one where nothing says otherwise.
    fn first_holds_image(&self) -> bool {
        let is_image = |(at, field): (usize, &str)| match self.images.find(field) {
            Meant::Nothing => false,
            Meant::One { with_ending: true, .. } => true,
            _ => {
                let name = &self.names[at];
                !is_label_name(name) && !is_image_name(name) && self.names_images_below(at) && !self.heads_images()
            }
        };
        self.table.rows.first().is_some_and(|row| row.iter().enumerate().any(is_image))
    }

    /// Whether a name of columns of images stands above images.
    fn heads_images(&self) -> bool {
        let heads = |at: usize| is_image_name(&self.names[at]) && self.names_images_below(at);
        (0..self.names.len()).any(heads)
    }

    /// Whether a row after the first has an image in a column.
    fn names_images_below(&self, at: usize) -> bool {
        self.table.rows.iter().skip(1).any(|row| self.means_image(row, at))
    }

    /// Whether the first row, of unknown names, names the columns: its field is no image, nor looks like one.
    fn looks_like_header(&self, image: usize) -> bool {
        let first = self.table.rows.first().and_then(|row| row.get(image)).unwrap_or_default();
        self.images.find(first) == Meant::Nothing
            && !first.contains(['.', '/', '\\'])
            && !first.is_empty()
            && self.names_images_below(image)
            && !first.contains(|c: char| c.is_ascii_digit())
    }

    fn means_image(&self, row: &StringRecord, at: usize) -> bool {
        row.get(at).is_some_and(|field| self.images.find(field) != Meant::Nothing)
    }

    /// The column of images by the names of a header.
    fn named_image(&self, label: Option<Asked>) -> Result<usize> {
        for tier in IMAGES {
            let named =
                |at: &usize| tier.contains(&self.names[*at].as_str()) && label.is_none_or(|label| label.at != *at);
            let found: Vec<usize> = (0..self.names.len()).filter(named).collect();
            match found.as_slice() {
                [] => {}
                [only] => return Ok(*only),
                several => return self.one_of(several),
            }
        }
        self.matching_image(label)
    }

    /// Of columns with names alike, the only one that names images; or any if all name the same.
    fn one_of(&self, several: &[usize]) -> Result<usize> {
        let matching: Vec<usize> = several.iter().copied().filter(|&at| self.matches(at).any()).collect();
        let same = |a: usize, b: usize| {
            let meant = |row: &StringRecord, at: usize| match self.images.find(row.get(at).unwrap_or_default()) {
                Meant::One { image, .. } => Some(image),
                _ => None,
            };
            self.table.rows.iter().skip(1).all(|row| meant(row, a) == meant(row, b))
        };
        match matching.as_slice() {
            [] => Err(self.names_none()),
            [first, others @ ..] if others.iter().all(|&other| same(*first, other)) => Ok(*first),
            _ => Err(self.wrong("which column holds the images is not known for certain")),
        }
    }

    /// The only column whose fields name images of the source.
    fn matching_image(&self, label: Option<Asked>) -> Result<usize> {
        let columns: Vec<usize> =
            (0..self.table.columns).filter(|&at| label.is_none_or(|label| label.at != at)).collect();
        let matches: Vec<(usize, Matches)> = columns.into_iter().map(|at| (at, self.matches(at))).collect();
        let with_ending: Vec<usize> = matches.iter().filter(|(_, m)| m.with_ending > 0).map(|(at, _)| *at).collect();
        let any: Vec<usize> = matches.iter().filter(|(_, m)| m.any()).map(|(at, _)| *at).collect();
        match (with_ending.as_slice(), any.as_slice()) {
            ([only], _) | ([], [only]) => Ok(*only),
            (_, []) => Err(self.names_none()),
            _ => Err(self.wrong("which column holds the images is not known for certain")),
        }
    }

    fn matches(&self, at: usize) -> Matches {
        let mut matches = Matches::default();
        for row in &self.table.rows {
            match self.images.find(row.get(at).unwrap_or_default()) {
                Meant::Nothing => {}
                Meant::One { with_ending: true, .. } => matches.with_ending += 1,
                _ => matches.other += 1,
            }
        }
        matches
    }

    /// The column of labels by the names of a header, or the columns of classes.
    fn named_label(&self, image: usize) -> Result<Labels> {
        let is_label = |at: &usize| *at != image && is_label_name(&self.names[*at]);
        let found: Vec<usize> = (0..self.names.len()).filter(is_label).collect();
        let column = |at: usize| Labels::Column { at, first_word: self.is_prediction(at, true), asked: false };
        match found.as_slice() {
            [only] => return Ok(column(*only)),
            [first, others @ ..] => return self.same_classes(*first, others).map(column),
            [] => {}
        }
        let others: Vec<usize> = (0..self.names.len()).filter(|&at| at != image && self.is_used(at)).collect();
        match others.as_slice() {
            // Who gives a file of labels with two columns says that the other one is theirs.
            [only] if self.given.asked_for && is_no_label(&self.names[*only]) => Err(self.no_label(*only)),
            [only] if self.given.asked_for => Ok(column(*only)),
            [] => Err(self.wrong("holds images, but no labels")),
            classes if classes.len() > 1 && forms::is_one_hot(self.table, classes) => {
                Ok(Labels::OneHot(classes.to_vec()))
            }
            _ => Err(self.wrong("which column holds the labels is not known for certain")),
        }
    }

    /// Whether a column may be one of classes: not an unnamed index, as pandas writes it, nor ISIC's weights.
    fn is_used(&self, at: usize) -> bool {
        !matches!(self.names[at].as_str(), "" | "unnamed0" | "scoreweight" | "validationweight")
    }

    /// Of several columns of labels that part the images alike, the one of names.
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
            _ => Err(self.wrong("which of several columns holds the labels is not known for certain")),
        }
    }

    fn is_prediction(&self, at: usize, headed: bool) -> bool {
        headed && self.names.get(at).is_some_and(|name| name == PREDICTION)
    }

    /// Labels of a table without a header.
    fn label_by_form(&self, image: usize) -> Result<Labels> {
        if let Some(labels) = forms::of(self.path, self.table, image)? {
            return Ok(labels);
        }
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        match self.table.columns {
            2 if is_list_of_splits(&file, self.table, 1 - image) => {
                Err(self
                    .wrong("is a list of the splits of the images by its name and its numbers, and holds no classes"))
            }
            2 if self.given.asked_for => Ok(Labels::Column { at: 1 - image, first_word: false, asked: false }),
            _ => Err(self.wrong("which column holds the labels is not known for certain")),
        }
    }
}

/// A column that was asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    at: usize,
    by_name: bool,
}

/// How many fields of a column name images.
#[derive(Clone, Copy, Debug, Default)]
struct Matches {
    with_ending: usize,
    other: usize,
}

impl Matches {
    fn any(self) -> bool {
        self.with_ending + self.other > 0
    }
}

//! Why a table names none of the images of a source, and what to do.

use super::row::Row;

use super::columns::ColumnFinder;
use super::image_lookup::ImageMatch;
use crate::error::Error;

/// Number of rows that are sampled to find the column of the images.
const SAMPLE: usize = 1000;

impl ColumnFinder<'_> {
    /// An error for a table that names none of the images: of another split, by other names, or in another column.
    pub fn no_images_error(&self) -> Error {
        let names = self.images.names();
        let example = names.first().map(|name| String::from_utf8_lossy(name)).unwrap_or_default();
        let root = self.root.display();
        let none = format!("names none of the {} images of {root}, such as {example}", names.len());
        let mut fields = self.table.rows.iter().flat_map(Row::iter);
        if let Some(field) = fields.find(|field| self.images.is_of_other_split(field)) {
            let what = format!(
                "{none}; {field:?} is of another part of the data set than {root}, give the labels of this one"
            );
            return Error::source(self.path, what);
        }
        if let Some(at) = self.requested_label_at().filter(|&at| self.matching_rows(at, 1).next().is_some()) {
            let what =
                format!("column {} is asked for as that of the labels, and holds the names of the images", at + 1);
            return self.error(&what);
        }
        match self.named_images() {
            Some((at, field)) => Error::source(self.path, format!("{none}; {}", self.other_names(at, field))),
            None => self.error(&none),
        }
    }

    /// The column whose name is one of image columns, and its first field.
    fn named_images(&self) -> Option<(usize, &str)> {
        let at = self.image_column_by_name()?;
        self.table.rows.get(1)?.get(at).map(|field| (at, field))
    }

    /// The error for listed names that differ from those of the files.
    fn other_names(&self, at: usize, field: &str) -> String {
        let name = self.table.rows[0].get(at).unwrap_or_default();
        let shown = |image: &[u8]| String::from_utf8_lossy(image).into_owned();
        let how = match (self.alike(field), field.contains('%')) {
            (Some(image), _) => format!("{field:?} may be {}; write the names as the files have them", shown(image)),
            (None, true) => format!("{field:?} is written as in a URL; write the names as the files have them"),
            (None, false) => format!("its first is {field:?}; write the names as the files have them"),
        };
        format!("column {} ({name}) has the images by its name, but other names: {how}", at + 1)
    }

    /// An image with the same number, or with the same name and another extension.
    fn alike(&self, field: &str) -> Option<&[u8]> {
        let last = field.rsplit(['/', '\\']).next().unwrap_or(field);
        let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
        let number = |text: &str| text.parse::<u64>().ok();
        let is_alike = |image: &&&[u8]| {
            let name = String::from_utf8_lossy(image);
            let base = name.rsplit('/').next().unwrap_or(&name);
            let other = base.rsplit_once('.').map_or(base, |(stem, _)| stem);
            other.eq_ignore_ascii_case(stem) || number(stem).is_some() && number(stem) == number(other)
        };
        self.images.names().iter().find(is_alike).copied()
    }

    /// Number of rows with an image of the source, in the column that has the most of them in a sample.
    pub fn most_matches(&self) -> usize {
        let step = self.table.rows.len() / SAMPLE + 1;
        let column = (0..self.table.columns).max_by_key(|&at| self.matching_rows(at, step).count());
        column.map_or(0, |at| self.matching_rows(at, 1).count())
    }

    /// Every `step`-th row, if its field is an image of the source.
    fn matching_rows(&self, at: usize, step: usize) -> impl Iterator<Item = &Row> {
        let is_image = move |field: &str| self.images.find(field) != ImageMatch::None;
        self.table.rows.iter().step_by(step).filter(move |row| row.get(at).is_some_and(is_image))
    }
}

//! Tables.

use crate::{Error, Result};

/// A table. The first cell of each row is its header.
#[derive(Clone, Debug)]
pub struct Table {
    pub(crate) caption: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a caption, the headers of its columns, and rows.
    ///
    /// # Errors
    /// [`Error::Cells`] for a row with another number of cells than `head`.
    pub fn new(caption: impl Into<String>, head: &[impl AsRef<str>], rows: Vec<Vec<String>>) -> Result<Self> {
        let caption = caption.into();
        let head: Vec<String> = head.iter().map(|name| name.as_ref().to_string()).collect();
        let expected = head.len();
        if let Some(at) = rows.iter().position(|row| row.len() != expected) {
            return Err(Error::Cells { caption, row: at + 1, found: rows[at].len(), expected });
        }
        Ok(Self { caption, head, rows })
    }
}

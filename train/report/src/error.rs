//! Errors.

/// An error of a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A row of a table has another number of cells than the header.
    #[error("table {caption:?}: row {row} has {found} cells, expected {expected} as in the header")]
    Cells {
        /// Caption of the table.
        caption: String,
        /// Number of the row, from 1.
        row: usize,
        /// Number of its cells.
        found: usize,
        /// Number of the cells of the header.
        expected: usize,
    },
    /// Bytes that are neither a PNG nor a JPEG image.
    #[error("image {alt:?}: neither PNG nor JPEG by its first bytes")]
    Image {
        /// Text in place of the image.
        alt: String,
    },
    /// A heat map whose values are not one for each pair of names.
    #[error("heat map {title:?}: expected {expected} x {expected} values, as many as names")]
    Values {
        /// Title of the heat map.
        title: String,
        /// Number of names.
        expected: usize,
    },
    /// The page could not be written.
    #[error("the page cannot be written: {0}")]
    Page(#[from] askama::Error),
}

/// The result of a function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

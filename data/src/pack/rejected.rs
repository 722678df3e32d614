//! `bad.csv`: the list of rejected images.

use std::fs;
use std::path::{Path, PathBuf};

use files::printable;

use crate::error::{Error, Result};

pub(super) const FILE_NAME: &str = "bad.csv";

/// An image that was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Name within the source; bytes that are not UTF-8 are replaced by U+FFFD.
    pub name: String,
    /// Reason for the rejection.
    pub reason: String,
}

/// Writes the list to the pack's folder, or removes an old list if there is nothing to list.
pub(super) fn write(folder: &Path, rejected: &[Rejected]) -> Result<PathBuf> {
    let path = folder.join(FILE_NAME);
    if rejected.is_empty() {
        return match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&path, "cannot be removed")(e)),
            _ => Ok(path),
        };
    }
    files::replace_bytes(&path, csv_table(rejected).as_bytes())?;
    Ok(path)
}

/// The rejected images by RFC 4180, with a header.
fn csv_table(rejected: &[Rejected]) -> String {
    let mut table = String::from("file,reason\r\n");
    for Rejected { name, reason } in rejected {
        table += &format!("{},{}\r\n", quoted(csv_field(name)), quoted(csv_field(reason)));
    }
    table
}

/// A field in quotes, if it needs them.
fn quoted(field: String) -> String {
    if field.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}

/// Escapes a field for spreadsheets and terminals: control characters except line ends and tabs are escaped (`\u{1b}`),
/// and an apostrophe is put before text that would start a formula or starts with an apostrophe.
fn csv_field(text: &str) -> String {
    let escaped = printable::lines(text);
    if escaped.starts_with(['=', '+', '-', '@', '\t', '\n', '\'']) {
        format!("'{escaped}")
    } else {
        escaped.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_if_necessary() {
        let rejected = [("cat/1.jpg", "empty file"), ("a,b\"c\"\n.jpg", "damaged: 1, 2"), ("+1/a,b.jpg", "x")];
        let rejected = rejected.map(|(name, reason)| Rejected { name: name.into(), reason: reason.into() });
        let table = csv_table(&rejected);
        let expected = "file,reason\r\ncat/1.jpg,empty file\r\n\"a,b\"\"c\"\"\n.jpg\",\"damaged: 1, 2\"\r\n\
                        \"'+1/a,b.jpg\",x\r\n";
        assert_eq!(table, expected);
    }

    #[test]
    fn fields_are_neither_formulas_nor_control_sequences() {
        assert_eq!(csv_field("=cmd|calc/1.jpg"), "'=cmd|calc/1.jpg");
        assert_eq!(csv_field("+1/a,b.jpg"), "'+1/a,b.jpg");
        assert_eq!(csv_field("-1/1.jpg"), "'-1/1.jpg");
        assert_eq!(csv_field("@x/1.jpg"), "'@x/1.jpg");
        assert_eq!(csv_field("\t=x/1.jpg"), "'\t=x/1.jpg");
        assert_eq!(csv_field("'x/1.jpg"), "''x/1.jpg");
        assert_eq!(csv_field("a/=1\x1b[2J\r.jpg"), "a/=1\\u{1b}[2J\\r.jpg");
    }
}

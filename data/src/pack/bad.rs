//! `bad.csv`: the images that were left out, and why.

use std::fs;
use std::path::{Path, PathBuf};

use tensor::printable;

use crate::error::{Error, Result};

pub(super) const NAME: &str = "bad.csv";

/// An image that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its name within the source; bytes that are not UTF-8 are shown as U+FFFD.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Writes the list into the pack's folder, or removes an old one if there is nothing to list.
pub(super) fn write(folder: &Path, refused: &[Refused]) -> Result<PathBuf> {
    let path = folder.join(NAME);
    if refused.is_empty() {
        return match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&path, "cannot be removed")(e)),
            _ => Ok(path),
        };
    }
    let mut text = String::from("file,reason\r\n");
    for Refused { name, reason } in refused {
        text.push_str(&format!("{},{}\r\n", field(name), field(reason)));
    }
    tensor::file::replace_bytes(&path, text.as_bytes())?;
    Ok(path)
}

/// A field that spreadsheets take for text and terminals for no order: control characters but line ends and tabs are written
/// out (`\u{1b}`), and an apostrophe is put before what would begin a formula, or begins with an apostrophe itself.
fn field(text: &str) -> String {
    let shown = printable::lines(text);
    if shown.starts_with(['=', '+', '-', '@', '\t', '\n', '\'']) { quote(&format!("'{shown}")) } else { quote(&shown) }
}

/// RFC 4180: in quotes where needed, quotes doubled.
fn quote(field: &str) -> String {
    if field.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        assert_eq!(quote("cat/1.jpg"), "cat/1.jpg");
        assert_eq!(quote("a,b\"c\"\n.jpg"), "\"a,b\"\"c\"\"\n.jpg\"");
    }

    #[test]
    fn no_field_is_a_formula_or_an_order() {
        assert_eq!(field("=cmd|calc/1.jpg"), "'=cmd|calc/1.jpg");
        assert_eq!(field("+1/a,b.jpg"), "\"'+1/a,b.jpg\"");
        assert_eq!(field("-1/1.jpg"), "'-1/1.jpg");
        assert_eq!(field("@x/1.jpg"), "'@x/1.jpg");
        assert_eq!(field("\t=x/1.jpg"), "'\t=x/1.jpg");
        assert_eq!(field("'x/1.jpg"), "''x/1.jpg");
        assert_eq!(field("a/=1\x1b[2J\r.jpg"), "a/=1\\u{1b}[2J\\r.jpg");
    }
}

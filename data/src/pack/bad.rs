//! `bad.csv`: the pictures that were left out, and why.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

pub(super) const NAME: &str = "bad.csv";

/// A picture that was left out.
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
        text.push_str(&format!("{},{}\r\n", quote(name), quote(reason)));
    }
    tensor::file::replace_bytes(&path, text.as_bytes())?;
    Ok(path)
}

/// RFC 4180: in quotes where needed, quotes doubled.
fn quote(field: &str) -> String {
    match field.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_string(),
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
}

//! Tables separated by tabs, semicolons, commas or white space.

use std::path::Path;

use super::quotes;
use super::row::{self, Row};
use crate::error::{Error, Result};

/// Number of rows used to detect the separator.
const SAMPLE_ROWS: usize = 200;
/// Maximum number of columns, and of letters per field, shown in a message.
const SHOWN_COLUMNS: usize = 12;
const SHOWN_LETTERS: usize = 40;

/// Rows of fields with the same number of columns.
#[derive(Debug)]
pub(super) struct Table {
    pub rows: Vec<Row>,
    pub columns: usize,
}

impl Table {
    /// Parses text separated by tabs, semicolons or commas; `None` if it has no such separator. Leading lines that
    /// begin with `#` are comments.
    pub fn separated(path: &Path, text: &str) -> Result<Option<Self>> {
        let (comments, text) = without_comments(text);
        let consistent = |separator: &u8| {
            let mut records = row::rows(text, *separator).take(SAMPLE_ROWS);
            let columns = records.next().map_or(0, |first| used_columns(&first));
            columns >= 2 && records.all(|record| used_columns(&record) == columns)
        };
        let present = |separator: &u8| row::rows(text, *separator).next().is_some_and(|first| first.len() >= 2);
        let separators = [b'\t', b';', b','];
        let found = separators.iter().find(|s| consistent(s)).or_else(|| separators.iter().find(|s| present(s)));
        // A quote in the first line may hide all separators.
        if let Some(line) = quotes::unclosed(text, found.copied().unwrap_or(b',')) {
            let what = format!(
                "line {}: a quote (\") that is not closed where its field ends; close it, or remove it",
                line + comments
            );
            return Err(Error::source(path, what));
        }
        found.map(|&separator| Self::read(path, text, separator, comments)).transpose()
    }

    fn read(path: &Path, text: &str, separator: u8, comments: u64) -> Result<Self> {
        let wrong = |what: String| Error::source(path, what);
        let mut rows: Vec<Row> = Vec::new();
        for mut record in row::rows(text, separator) {
            if record.iter().any(|field| !field.is_empty()) {
                record.line += comments;
                rows.push(record);
            }
        }
        let columns = rows.iter().map(used_columns).max().unwrap_or(0);
        let expected = rows.first().map_or(0, Row::len);
        if let Some(row) = rows.iter().find(|row| used_columns(row) > expected) {
            let what = format!("line {}: {} columns; expected {expected}, as in line 1", row.line, used_columns(row));
            return Err(wrong(what));
        }
        Ok(Self { rows, columns })
    }

    /// Parses lines split by `split`; `None` unless all have the same number of words, at least two.
    pub fn from_words<'a>(text: &'a str, split: impl Fn(&'a str) -> Vec<&'a str>) -> Option<Self> {
        let mut rows = Vec::new();
        for (number, line) in numbered_lines(text) {
            rows.push(Row::new(split(line), number));
        }
        let columns = rows.first().map_or(0, Row::len);
        (columns >= 2 && rows.iter().all(|row| row.len() == columns)).then_some(Self { rows, columns })
    }

    /// The first two rows for a message, with column numbers.
    pub fn describe(&self) -> String {
        let Some(first) = self.rows.first() else { return "no columns".into() };
        let more = if first.len() > SHOWN_COLUMNS { ", ..." } else { "" };
        let numbered: Vec<String> = first
            .iter()
            .enumerate()
            .take(SHOWN_COLUMNS)
            .map(|(at, field)| format!("{} {:?}", at + 1, truncated(field)))
            .collect();
        let header = format!("columns of line {}: {}{more}", first.line, numbered.join(", "));
        let Some(second) = self.rows.get(1) else { return header };
        let fields: Vec<String> =
            second.iter().take(SHOWN_COLUMNS).map(|field| format!("{:?}", truncated(field))).collect();
        format!("{header}; line {}: {}{more}", second.line, fields.join(", "))
    }
}

/// Non-empty lines with 1-based numbers, without leading comments.
pub(super) fn numbered_lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    let lines = (1u64..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty());
    lines.skip_while(|(_, line)| line.starts_with('#'))
}

/// Number of leading lines that are comments or empty, and the text after them.
fn without_comments(text: &str) -> (u64, &str) {
    let mut rest = text;
    let mut lines = 0;
    // Excel's `sep=;` is not part of the table.
    while rest.starts_with(['#', '\n', '\r']) || rest.starts_with("sep=") {
        rest = rest.split_once('\n').map_or("", |(_, after)| after);
        lines += 1;
    }
    (lines, rest)
}

/// Number of fields up to the last non-empty one.
fn used_columns(row: &Row) -> usize {
    (0..row.len()).rev().find(|&at| !row[at].is_empty()).map_or(0, |last| last + 1)
}

fn truncated(field: &str) -> String {
    match field.char_indices().nth(SHOWN_LETTERS) {
        Some((at, _)) => format!("{}...", &field[..at]),
        None => field.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<Vec<String>> {
        let table = Table::separated(Path::new("l.csv"), text).unwrap().unwrap();
        table.rows.iter().map(|row| row.iter().map(str::to_string).collect()).collect()
    }

    #[test]
    fn separators_are_detected() {
        let expected = [["a.jpg", "0,5", "x"], ["b.jpg", "1,5", "y"]];
        assert_eq!(rows("a.jpg;0,5;x\nb.jpg;1,5;y\n"), expected);
        assert_eq!(rows("a.jpg\t0,5\tx\r\nb.jpg\t1,5\ty\r\n"), expected);
        assert_eq!(rows("a.jpg,\"0,5\",x\n\nb.jpg,\"1,5\",y\n"), expected);
        assert_eq!(rows("# about\n\na.jpg ,\"the \"\"cat\"\"\"\n"), [["a.jpg", "the \"cat\""]]);
        assert_eq!(rows("sep=;\na.jpg;x\nb.jpg;y\n"), [["a.jpg", "x"], ["b.jpg", "y"]]);
        // A separator within labels does not occur in every row.
        assert_eq!(rows("f,l\na.jpg,x;y\n"), [["f", "l"], ["a.jpg", "x;y"]]);
        assert_eq!(rows("a.jpg\ttench, Tinca\nb.jpg\tcat, cat\n")[0], ["a.jpg", "tench, Tinca"]);
        assert!(Table::separated(Path::new("l"), "cat\ndog\n").unwrap().is_none());
        let error = Table::separated(Path::new("l.csv"), "f,l\na,b,c\n").unwrap_err().to_string();
        assert_eq!(error, "l.csv: line 2: 3 columns; expected 2, as in line 1");
        // Trailing empty fields are not columns.
        assert_eq!(rows("f,l\na,b,,\n")[1][..2], ["a", "b"]);
    }

    #[test]
    fn a_message_shows_numbered_columns() {
        let table = Table::separated(Path::new("l.csv"), "id,age\n7,young\n").unwrap().unwrap();
        assert_eq!(table.describe(), "columns of line 1: 1 \"id\", 2 \"age\"; line 2: \"7\", \"young\"");
    }
}

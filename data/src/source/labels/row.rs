//! Rows of tables, by RFC 4180.

use std::ops::Index;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// The fields of a row in one allocation: a table may have millions of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    text: String,
    /// End of each field in `text`.
    ends: Vec<usize>,
    /// Line at which the row begins, from 1 on.
    pub line: u64,
}

impl Row {
    /// Makes a row of fields.
    pub fn new<'a>(fields: impl IntoIterator<Item = &'a str>, line: u64) -> Self {
        let mut row = Self { line, ..Self::default() };
        for field in fields {
            row.text.push_str(field);
            row.ends.push(row.text.len());
        }
        row
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.text[start..end])
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|at| &self[at])
    }
}

impl Index<usize> for Row {
    type Output = str;

    fn index(&self, at: usize) -> &str {
        self.get(at).unwrap_or_default()
    }
}

/// The rows of a text whose fields are separated by `separator`, and may be quoted, without the white space around them.
/// Empty lines are no rows.
pub(super) fn rows(text: &str, separator: u8) -> impl Iterator<Item = Row> {
    let mut reader = ReaderBuilder::new().delimiter(separator).build();
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || read_row(&mut reader, &mut rest))
}

/// Reads the next row of `rest`; `None` at the end.
fn read_row(reader: &mut Reader, rest: &mut &[u8]) -> Option<Row> {
    let line = reader.line();
    let mut bytes = vec![0; 128];
    let mut ends = vec![0; 16];
    let mut written = 0;
    let mut fields = 0;
    loop {
        let (result, read, more_bytes, more_fields) =
            reader.read_record(rest, &mut bytes[written..], &mut ends[fields..]);
        *rest = &rest[read..];
        written += more_bytes;
        fields += more_fields;
        match result {
            // The next call gets no input, which is its end.
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::OutputFull => bytes.resize(2 * bytes.len(), 0),
            ReadRecordResult::OutputEndsFull => ends.resize(2 * ends.len(), 0),
            ReadRecordResult::Record => break,
            ReadRecordResult::End => return None,
        }
    }
    let text = String::from_utf8_lossy(&bytes[..written]);
    let starts = std::iter::once(0).chain(ends.iter().copied());
    // Ends are those of whole characters, as separators and quotes are.
    Some(Row::new(
        starts.zip(&ends[..fields]).map(|(start, &end)| text.get(start..end).unwrap_or_default().trim()),
        line,
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(field: &str) -> String {
        format!("\"{}\"", field.replace('"', "\"\""))
    }

    proptest! {
        /// Fields that are written in quotes come back, with the lines at which their rows begin.
        #[test]
        fn quoted_fields_come_back(
            table in prop::collection::vec(prop::collection::vec("[a-zé,;\"\n ]{0,200}", 1..30), 1..8), separator in 0..3usize,
        ) {
            let separator = [',', ';', '\t'][separator];
            let line = |row: &Vec<String>| row.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(&separator.to_string());
            let text = table.iter().map(line).collect::<Vec<_>>().join("\n");
            let found: Vec<Row> = rows(&text, separator as u8).collect();
            prop_assert_eq!(found.len(), table.len());
            let mut start = 1;
            for (row, fields) in found.iter().zip(&table) {
                prop_assert!(row.iter().eq(fields.iter().map(|field| field.trim())));
                prop_assert_eq!((row.len(), row.line), (fields.len(), start));
                start += 1 + line(fields).matches('\n').count() as u64;
            }
        }
    }

    #[test]
    fn plain_fields_are_separated_and_trimmed() {
        let found: Vec<Row> = rows("\u{feff}a , b\r\n\r\n\n\"c, d\",,\n", b',').collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(found[1].iter().collect::<Vec<_>>(), ["c, d", "", ""]);
        assert_eq!((found[1].get(2), found[1].get(3), &found[1][0]), (Some(""), None, "c, d"));
    }
}

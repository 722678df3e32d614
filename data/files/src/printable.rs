//! Text from outside (names of files, classes, tensors), made safe to print on a terminal.
//!
//! A terminal obeys control characters: they move the cursor, change the title, hide the text that follows. Print whole
//! messages through [`lines`], and a name within a message through [`name`].

use std::borrow::Cow;

/// A text with control characters written out (`\u{1b}`), line ends and tabs kept.
///
/// ```
/// assert_eq!(alexnet_files::printable::lines("two\nlines\x1b[2J"), "two\nlines\\u{1b}[2J");
/// ```
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| c != '\n' && c != '\t' && is_control(c))
}

/// A name with all control characters written out, line ends and tabs too (`\n`).
///
/// ```
/// assert_eq!(alexnet_files::printable::name("a\nb"), "a\\nb");
/// ```
pub fn name(text: &str) -> Cow<'_, str> {
    escape(text, is_control)
}

/// The first `most` characters of a name or a message as [`name`] writes it, and `...` if there are more.
///
/// ```
/// assert_eq!(alexnet_files::printable::brief("a long name", 6), "a long...");
/// ```
pub fn brief(text: &str, most: usize) -> String {
    let escaped = name(text);
    match escaped.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &escaped[..end]),
        None => escaped.into_owned(),
    }
}

/// A message of the HDF5 library on one line, shortened to the system's reason if it has one.
///
/// ```
/// let message = "write failed: errno = 28, error message = 'No space left on device', buf = 0x55";
/// assert_eq!(alexnet_files::printable::hdf5_reason(message), "No space left on device");
/// ```
pub fn hdf5_reason(message: &str) -> String {
    let reason = message.split_once("error message = '").and_then(|(_, rest)| rest.split_once('\''));
    match reason {
        Some((reason, _)) => reason.into(),
        None => message.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// Whether a terminal obeys the character: a control character, or one that changes the direction of text.
fn is_control(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_written_out_and_the_rest_is_kept() {
        assert_eq!(lines("cat\x1b]0;pwn\x07\n\tdog"), "cat\\u{1b}]0;pwn\\u{7}\n\tdog");
        assert_eq!(name("cat\r\n\tdog\x7f\u{9b}2J"), "cat\\r\\n\\tdog\\u{7f}\\u{9b}2J");
        assert_eq!(name("gpj.\u{202e}exe"), "gpj.\\u{202e}exe");
        for kept in ["", "grün 猫 🐈 C:\\path 'x' \"y\"", "e\u{301}"] {
            assert!(matches!(lines(kept), Cow::Borrowed(same) if same == kept));
            assert!(matches!(name(kept), Cow::Borrowed(same) if same == kept));
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(brief("grün", 4), "grün");
        assert_eq!(brief("grüne", 4), "grün...");
        assert_eq!(brief("\0\0", 5), "\\u{0}...");
    }
}

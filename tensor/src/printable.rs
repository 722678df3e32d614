//! Text from outside (names of files, classes, tensors) on a terminal.
//!
//! A terminal takes control characters as orders: to move, to change its title, to hide what follows. Everything that a
//! program of this workspace prints for people goes through [`lines`]; a name within a line goes through [`name`].

use std::borrow::Cow;

/// A text with control characters written out (`\u{1b}`), line ends and tabs kept.
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| c != '\n' && c != '\t' && is_order(c))
}

/// A name with all control characters written out, line ends and tabs too (`\n`).
pub fn name(text: &str) -> Cow<'_, str> {
    escape(text, is_order)
}

/// The first `most` characters of a name or a message as [`name`] writes it, and `...` if there are more.
pub fn brief(text: &str, most: usize) -> String {
    let escaped = name(text);
    match escaped.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &escaped[..end]),
        None => escaped.into_owned(),
    }
}

/// Control characters, and those that turn the direction of what follows.
fn is_order(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

fn escape(text: &str, wanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&wanted) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match wanted(c) {
            true => escaped.extend(c.escape_default()),
            false => escaped.push(c),
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

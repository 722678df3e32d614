//! Unclosed quotes in a table, which swallow the rows after them.

/// State of a table reader.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    Plain,
    Quoted,
    /// After a quote that may end a field.
    Closed,
}

/// Line of the first quote that does not end with its field: at the end of the text, or within a field of a later line.
pub(super) fn unclosed(text: &str, separator: u8) -> Option<u64> {
    let mut state = State::Begin;
    let mut line = 1;
    let mut opened = 1;
    for byte in text.bytes() {
        let ends_field = byte == separator || byte == b'\n' || byte == b'\r';
        state = match (state, byte) {
            (State::Quoted, b'"') => State::Closed,
            (State::Quoted, _) | (State::Closed, b'"') => State::Quoted,
            _ if ends_field => State::Begin,
            (State::Begin, b'"') => {
                opened = line;
                State::Quoted
            }
            (State::Closed, b' ' | b'\t') => State::Closed,
            (State::Closed, _) if line > opened => return Some(opened),
            _ => State::Plain,
        };
        line += u64::from(byte == b'\n');
    }
    (state == State::Quoted).then_some(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_that_swallow_rows_are_found() {
        for whole in ["a,\"b\"\n", "\"a\"\"b\",\"c\nd\" ,e\n", "a\",b\"\n", "a,\"the\" cat\n", "a, \"b\n", ""] {
            assert_eq!(unclosed(whole, b','), None, "{whole}");
        }
        assert_eq!(unclosed("a,b\nc,\"d\ne,f\n", b','), Some(2));
        assert_eq!(unclosed("a,\"b\nc,d\ne,\"f\n", b','), Some(1));
        assert_eq!(unclosed("a\t\"b\n", b','), None);
        assert_eq!(unclosed("a\t\"b\n", b'\t'), Some(1));
    }
}

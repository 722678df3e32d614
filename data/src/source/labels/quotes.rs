//! Quotes in a table: one that is not closed swallows the rows after it.

/// Where a reader of a table is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Begin,
    Plain,
    Quoted,
    /// After a quote that may end a field.
    Closed,
}

/// The line of the first quote that does not end with its field: at the end of the text, or amid a field of a later line.
pub(super) fn unclosed(text: &str, separator: u8) -> Option<u64> {
    let mut at = At::Begin;
    let mut line = 1;
    let mut opened = 1;
    for byte in text.bytes() {
        let ends_field = byte == separator || byte == b'\n' || byte == b'\r';
        at = match (at, byte) {
            (At::Quoted, b'"') => At::Closed,
            (At::Quoted, _) | (At::Closed, b'"') => At::Quoted,
            _ if ends_field => At::Begin,
            (At::Begin, b'"') => {
                opened = line;
                At::Quoted
            }
            (At::Closed, b' ' | b'\t') => At::Closed,
            (At::Closed, _) if line > opened => return Some(opened),
            _ => At::Plain,
        };
        line += u64::from(byte == b'\n');
    }
    (at == At::Quoted).then_some(opened)
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

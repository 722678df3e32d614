//! Names that look alike and are written in different forms of Unicode: `é` as one letter, or as `e` and an accent.

use std::collections::HashMap;

/// A note on two classes whose names differ only in Unicode normalisation, as file names of two systems do.
pub(super) fn note(classes: &[String]) -> Option<String> {
    let mut by_form: HashMap<String, &String> = HashMap::new();
    for name in classes.iter().filter(|name| !name.is_ascii()) {
        match by_form.insert(skeleton(name), name) {
            Some(other) if has_accents(other) != has_accents(name) => {
                return Some(format!(
                    "the classes {other:?} and {name:?} may be one: their letters have accents in two forms of Unicode; rename \
                     one of them where they are the same"
                ));
            }
            _ => {}
        }
    }
    None
}

/// A name with one mark in place of each letter that is not of ASCII or has an accent after it.
fn skeleton(name: &str) -> String {
    let mut skeleton = String::new();
    for c in name.chars() {
        if is_accent(c) {
            skeleton.pop();
        }
        skeleton.push(if c.is_ascii() { c } else { '\u{fffd}' });
    }
    skeleton
}

fn has_accents(name: &str) -> bool {
    name.chars().any(is_accent)
}

/// Whether a character joins the one before it.
fn is_accent(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_forms_of_one_name_are_noted() {
        let of = |names: &[&str]| note(&names.iter().map(|name| (*name).to_string()).collect::<Vec<_>>());
        assert!(of(&["cat", "caf\u{e9}", "cafe\u{301}"]).is_some_and(|note| note.contains("may be one")));
        assert!(of(&["caf\u{e9}", "dog", "cafe\u{301}s"]).is_none());
        assert!(of(&["caf\u{e9}", "caf\u{e8}", "\u{732b}", "\u{72ac}"]).is_none());
    }
}

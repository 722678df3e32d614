//! Files of class names: one name per line in the order of the labels, or any form that gives the label of each name as
//! a number. Any other form is an error, never a guess.
//!
//! - Lines of a name; comments (`#`) at the top are left out.
//! - Lines of a number and a name, or a name and a number, separated by white space, a comma, a semicolon, a tab or a
//!   colon: `0: cat`, `/a/abbey 1` (Places365), `ClassId,Name` with a header. The numbers are all from 0 or 1 on.
//! - Lines of a wnid and its words (`synset_words.txt`, Tiny ImageNet's `words.txt`).
//! - JSON: a list of names, or an object of numbers and names, in either order.

use std::collections::BTreeSet;
use std::path::Path;

use files::regular_file;
use serde_json::Value;

use super::wordnet::WordNetNames;
use crate::error::{Error, Result};

/// Advice for files of an unknown form.
const ADVICE: &str =
    "expected one name per line in the order of the labels, or a JSON list of the names: [\"cat\", \"dog\"]";
/// First lines that name a column or a list, in lower case without marks.
const HEADERS: [&str; 14] = [
    "name",
    "names",
    "class",
    "classes",
    "classname",
    "classnames",
    "label",
    "labels",
    "labelname",
    "labelnames",
    "category",
    "categories",
    "categoryname",
    "nc",
];
/// Separators of a number and a name, the least ambiguous first.
const SEPARATORS: [char; 5] = ['\t', ';', ',', ':', ' '];

/// Names of classes.
#[derive(Debug)]
pub(super) struct ClassNames {
    /// In the order of their labels.
    pub names: Vec<String>,
    /// The label of the first name: 0, or 1 where the numbers beside the names begin at 1.
    pub first: u64,
    /// The words of wnids, where the lines have them.
    pub wordnet: Option<WordNetNames>,
}

/// The lines of a file of class names that are not empty, for
/// [`PackOptions::class_names`](crate::PackOptions::class_names).
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("names.txt");
/// std::fs::write(&path, "cat\ndog\n")?;
/// assert_eq!(alexnet_data::read_class_names(&path)?, ["cat", "dog"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`] if it cannot be read; [`Error::Source`] if it is of no form that is known for certain.
pub fn read_class_names(path: &Path) -> Result<Vec<String>> {
    let text = regular_file::read_text(path).map_err(Error::io(path, "cannot be read as names of classes"))?;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(str::to_string).collect();
    ClassNames::parse(&lines).map_err(|what| Error::source(path, what))?;
    Ok(lines)
}

impl ClassNames {
    /// Parses the lines of a file of class names.
    ///
    /// # Errors
    /// Why they are no names of classes for certain, and what to do.
    pub fn parse(lines: &[String]) -> Result<Self, String> {
        let mut lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
        lines.retain(|line| !line.is_empty());
        let Some(first) = lines.first() else { return Err(format!("holds no names of classes; {ADVICE}")) };
        if first.starts_with(['[', '{']) {
            return of_json(&lines.join("\n"));
        }
        let comments = lines.iter().take_while(|line| line.starts_with('#')).count();
        Self::of_lines(&lines[comments..])
    }

    fn of_lines(lines: &[&str]) -> Result<Self, String> {
        if let Some(words) = WordNetNames::from_lines(lines.iter().copied()) {
            let wnids: Vec<String> =
                lines.iter().filter_map(|line| line.split_whitespace().next().map(str::to_string)).collect();
            return Ok(Self { names: words.names(&wnids), first: 0, wordnet: Some(words) });
        }
        if let Some(numbered) = of_columns(lines)? {
            return Ok(numbered);
        }
        check_plain(lines)?;
        Ok(Self { names: lines.iter().map(|line| (*line).to_string()).collect(), first: 0, wordnet: None })
    }

    /// Names with their numbers, which must be all from 0 or 1 on.
    fn numbered(mut pairs: Vec<(u64, String)>) -> Result<Self, String> {
        pairs.sort_by_key(|(number, _)| *number);
        let first = pairs.first().map_or(0, |(number, _)| *number);
        let missing = (first..).zip(&pairs).find(|(expected, (number, _))| expected != number);
        if let Some((expected, (number, name))) = missing {
            let what = if *number < expected { "is there twice" } else { "comes after a gap" };
            return Err(format!(
                "the number {number} of {name:?} {what}; expected each number from 0 or 1 on once; {ADVICE}"
            ));
        }
        match first {
            0 | 1 => Ok(Self { names: pairs.into_iter().map(|(_, name)| name).collect(), first, wordnet: None }),
            _ => Err(format!("its numbers begin at {first}; expected 0 or 1; {ADVICE}")),
        }
    }
}

/// Names with numbers in columns; `None` where the lines are no such table.
fn of_columns(lines: &[&str]) -> Result<Option<ClassNames>, String> {
    for separator in SEPARATORS {
        let has_header = separator != ' ' && lines.first().is_some_and(|first| first.contains(separator));
        for rows in [lines, &lines[usize::from(has_header)..]] {
            for number_first in [true, false] {
                let pairs: Option<Vec<(u64, String)>> =
                    rows.iter().map(|line| pair(line, separator, number_first)).collect();
                let Some(pairs) = pairs.filter(|pairs| !pairs.is_empty()) else { continue };
                let names: BTreeSet<&String> = pairs.iter().map(|(_, name)| name).collect();
                // The numbers of `grade 0` and `grade 1` are of the names.
                if names.len() == pairs.len() {
                    return ClassNames::numbered(pairs).map(Some);
                }
            }
        }
    }
    Ok(None)
}

/// A number and a name; `None` if the line is not of both.
fn pair(line: &str, separator: char, number_first: bool) -> Option<(u64, String)> {
    let split = |separator: &dyn Fn(char) -> bool| {
        if number_first {
            line.split_once(separator)
        } else {
            line.rsplit_once(separator).map(|(name, number)| (number, name))
        }
    };
    let is_separator = |c: char| if separator == ' ' { c.is_whitespace() } else { c == separator };
    let (number, name) = split(&is_separator)?;
    let name = unquoted(name);
    let number = unquoted(number).parse().ok()?;
    (!name.is_empty()).then(|| (number, name.to_string()))
}

fn unquoted(field: &str) -> &str {
    let field = field.trim();
    field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(field).trim()
}

/// Refuses lines that are not names alone.
fn check_plain(lines: &[&str]) -> Result<(), String> {
    let first = lines.first().copied().unwrap_or_default();
    let plain: String = first.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let refuse = |line: &str, what: &str| Err(format!("the line {line:?} {what}; {ADVICE}"));
    if let Some(line) = lines.iter().find(|line| line.starts_with('#')) {
        return refuse(line, "may be a comment or a name");
    }
    if let Some(line) = lines.iter().find(|line| line.starts_with("- ") || line.ends_with([':', '{', '}', '[', ']'])) {
        return refuse(line, "is of YAML or another format and no name");
    }
    if HEADERS.contains(&plain.as_str()) && lines.len() > 1 || first.to_lowercase().starts_with("names:") {
        return refuse(first, "names a column or a list, no class: remove it");
    }
    if let Some(line) =
        lines.iter().skip(1).find(|line| pair(line, ',', true).is_some() || pair(line, ':', true).is_some())
    {
        return refuse(line, "has a number before its name, and other lines have none");
    }
    let fields = |line: &&str, separator: char| line.split(separator).count();
    let is_table = |separator: &char| {
        let columns = fields(&first, *separator);
        columns > 1
            && lines.len() > 1
            && lines.iter().all(|line| fields(line, *separator) == columns && !line.contains(", "))
    };
    match ['\t', ';', ','].iter().find(|separator| is_table(separator)) {
        Some(_) => refuse(first, "has several columns, of which none numbers the classes"),
        None => Ok(()),
    }
}

fn of_json(text: &str) -> Result<ClassNames, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| format!("begins as JSON and is none: {e}; {ADVICE}"))?;
    let odd = |what: &Value| Err(format!("holds {} in its JSON; {ADVICE}", short(what)));
    match value {
        Value::Array(items) => {
            let name = |item: &Value| item.as_str().map(str::trim).filter(|name| !name.is_empty()).map(str::to_string);
            match items.iter().find(|item| name(item).is_none()) {
                Some(item) => odd(item),
                None if items.is_empty() => Err(format!("holds no names of classes; {ADVICE}")),
                None => Ok(ClassNames { names: items.iter().filter_map(name).collect(), first: 0, wordnet: None }),
            }
        }
        Value::Object(fields) => {
            let pair = |(key, value): (&String, &Value)| match value {
                Value::String(name) => Some((key.trim().parse().ok()?, name.trim().to_string())),
                number => Some((number.as_u64()?, key.trim().to_string())),
            };
            match fields.iter().find(|field| pair(*field).is_none_or(|(_, name)| name.is_empty())) {
                Some((key, value)) => Err(format!("holds {key:?}: {} in its JSON; {ADVICE}", short(value))),
                None if fields.is_empty() => Err(format!("holds no names of classes; {ADVICE}")),
                None => ClassNames::numbered(fields.iter().filter_map(pair).collect()),
            }
        }
        other => odd(&other),
    }
}

/// A value as a message shows it.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<(Vec<String>, u64), String> {
        let lines: Vec<String> = text.lines().map(str::to_string).collect();
        ClassNames::parse(&lines).map(|found| (found.names, found.first))
    }

    #[test]
    fn numbers_beside_names_decide_their_order() {
        let names = ["cat", "dog", "emu"].map(String::from).to_vec();
        for text in [
            "cat\ndog\nemu\n",
            "# classes\n\ncat\ndog\nemu\n",
            "emu 2\ncat 0\ndog 1\n",
            "2 emu\n0 cat\n1 dog\n",
            "0: cat\n2: emu\n1: dog\n",
            "emu,2\ncat,0\ndog,1\n",
            "name,id\nemu,2\ncat,0\ndog,1\n",
            "ClassId;Name\n2;emu\n0;\"cat\"\n1;dog\n",
            "emu\t2\ncat\t0\ndog\t1\n",
            "[\n \"cat\",\n \"dog\",\n \"emu\"\n]\n",
            "[\"cat\", \"dog\", \"emu\"]",
            "{\"2\": \"emu\", \"0\": \"cat\", \"1\": \"dog\"}",
            "{\"emu\": 2, \"cat\": 0, \"dog\": 1}",
        ] {
            assert_eq!(of(text), Ok((names.clone(), 0)), "{text}");
        }
        for text in [
            "emu 3\ncat 1\ndog 2\n",
            "{\"3\": \"emu\", \"1\": \"cat\", \"2\": \"dog\"}",
            "id,name\n1,cat\n3,emu\n2,dog",
        ] {
            assert_eq!(of(text), Ok((names.clone(), 1)), "{text}");
        }
        assert_eq!(of("/a/airfield 0\n/a/living room 1\n").unwrap().0, ["/a/airfield", "/a/living room"]);
    }

    #[test]
    fn names_that_look_like_other_forms_are_names() {
        for names in [
            &["7up", "3d"][..],
            &["grade 0", "grade 1", "grade 2"],
            &["tench, Tinca tinca", "goldfish, Carassius auratus"],
            &["tench", "goldfish, Carassius auratus", "crane"],
            &["class"],
            &["C#", "c++", "name tag"],
        ] {
            assert_eq!(of(&names.join("\n")).unwrap().0, names, "{names:?}");
        }
        let words =
            ClassNames::parse(&["n01440764 tench, Tinca".to_string(), "n01443537\tgoldfish".to_string()]).unwrap();
        assert_eq!((words.names.join("|").as_str(), words.wordnet.is_some()), ("tench, Tinca|goldfish", true));
    }

    #[test]
    fn what_is_not_names_for_certain_is_refused() {
        for (text, said) in [
            ("name\ncat\ndog\n", "the line \"name\" names a column or a list"),
            ("Class Names\ncat\n", "the line \"Class Names\" names a column or a list"),
            ("names:\n- cat\n- dog\n", "the line \"names:\" is of YAML"),
            ("nc: 2\nnames: ['cat', 'dog']\n", "is of YAML"),
            ("- cat\n- dog\n", "the line \"- cat\" is of YAML"),
            ("item {\nid: 1\n}\n", "the line \"item {\" is of YAML or another format"),
            ("cat\n# dog\nemu\n", "the line \"# dog\" may be a comment"),
            ("Boeing 707\nAirbus 320\n", "the number 707 of \"Boeing\" comes after a gap"),
            ("cat 5\ndog 6\n", "its numbers begin at 5"),
            ("cat 0\ndog 2\n", "the number 2 of \"dog\" comes after a gap"),
            ("cat 0\ndog 0\n", "the number 0 of \"dog\" is there twice"),
            ("cat,feline\ndog,canine\n", "has several columns"),
            ("cat\n1,dog\n2,emu\nfox\n", "the line \"1,dog\" has a number before its name"),
            ("[\"cat\", 3]", "holds 3 in its JSON"),
            ("[\"cat\",", "begins as JSON and is none"),
            ("{\"0\": [\"n01440764\", \"tench\"]}", "holds \"0\": [\"n01440764\",\"tench\"] in its JSON"),
            ("{\"names\": [\"cat\"]}", "holds \"names\""),
            ("[]", "holds no names"),
            ("", "holds no names"),
        ] {
            let error = of(text).unwrap_err();
            assert!(error.contains(said) && error.contains("a JSON list of the names"), "{text:?}: {error}");
        }
    }
}

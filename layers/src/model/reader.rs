//! Reads a TOML table strictly: every key known, every value of its type and range, every error with its place.

use toml::{Table, Value};

use crate::{Error, Result};

/// The most of anything that is counted: pixels, channels, units, steps. Products of a few stay far from overflow.
pub(super) const MOST: usize = 1 << 20;

/// One table of a model file, all of whose keys are known.
pub(super) struct Reader<'a> {
    table: &'a Table,
    origin: &'a str,
    layer: Option<&'a str>,
    /// What the table is called in messages: `[input]`, `init`; empty for the file or a layer.
    within: &'static str,
}

impl<'a> Reader<'a> {
    /// # Errors
    /// [`Error::Model`] for a key that is not in `keys`, with the nearest that is.
    pub fn new(
        table: &'a Table,
        origin: &'a str,
        layer: Option<&'a str>,
        within: &'static str,
        keys: &[&str],
    ) -> Result<Self> {
        let reader = Self { table, origin, layer, within };
        for key in table.keys() {
            if !keys.contains(&key.as_str()) {
                let near = suggestion(key, keys);
                return Err(reader.error(format!("unknown key {key:?}{near}; the keys are {}", keys.join(", "))));
            }
        }
        Ok(reader)
    }

    /// A table inside this one, whose keys are `keys`.
    pub fn inner(&self, table: &'a Table, within: &'static str, keys: &[&str]) -> Result<Self> {
        Self::new(table, self.origin, self.layer, within, keys)
    }

    /// An error at this table.
    pub fn error(&self, what: impl Into<String>) -> Error {
        let what = what.into();
        let what = if self.within.is_empty() { what } else { format!("{}: {what}", self.within) };
        Error::Model { origin: self.origin.into(), layer: self.layer.map(str::to_owned), what }
    }

    /// The value of `key`, if any.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.table.get(key)
    }

    /// The error that `key` should be `expected` and is not.
    pub fn expected(&self, key: &str, expected: &str) -> Error {
        match self.get(key) {
            None => self.error(format!("{key:?} is missing; it must be {expected}")),
            Some(value) => self.error(format!("{key:?} must be {expected}, got {}", abbreviated(value))),
        }
    }

    /// A text.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| self.expected(key, "a text in quotes")),
        }
    }

    /// A whole number from `least` to [`MOST`].
    pub fn count(&self, key: &str, least: usize) -> Result<Option<usize>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => as_count(value, least)
                .map(Some)
                .ok_or_else(|| self.expected(key, &format!("a whole number from {least} to {MOST}"))),
        }
    }

    /// A whole number for both directions, or two: vertical, horizontal.
    pub fn pair(&self, key: &str) -> Result<Option<[usize; 2]>> {
        let both = |value: &Value| match value {
            Value::Array(values) => match values.as_slice() {
                [v, h] => Some([as_count(v, 1)?, as_count(h, 1)?]),
                _ => None,
            },
            value => as_count(value, 1).map(|n| [n; 2]),
        };
        match self.get(key) {
            None => Ok(None),
            Some(value) => both(value).map(Some).ok_or_else(|| {
                self.expected(key, &format!("a whole number from 1 to {MOST}, or two of them [vertical, horizontal]"))
            }),
        }
    }

    /// A number that `fits`; `range` says in words which do.
    pub fn number(&self, key: &str, range: &str, fits: impl Fn(f64) -> bool) -> Result<Option<f64>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => as_number(value)
                .filter(|&n| fits(n))
                .map(Some)
                .ok_or_else(|| self.expected(key, &format!("a number {range}"))),
        }
    }

    /// A number of at least 0.
    pub fn factor(&self, key: &str) -> Result<Option<f64>> {
        self.number(key, "of at least 0", |n| n >= 0.0)
    }

    /// Three numbers that `fit`: red, green, blue.
    pub fn colour(&self, key: &str, expected: &str, fits: impl Fn(f64) -> bool) -> Result<Option<[f64; 3]>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let numbers = value.as_array().map(|values| values.iter().filter_map(as_number).filter(|&n| fits(n)));
        let numbers: Option<[f64; 3]> = numbers.and_then(|n| n.collect::<Vec<f64>>().try_into().ok());
        let whole = value.as_array().is_some_and(|values| values.len() == 3);
        numbers.filter(|_| whole).map(Some).ok_or_else(|| self.expected(key, expected))
    }

    /// One of some words.
    pub fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let found = value.as_str().and_then(|word| choices.iter().find(|(name, _)| *name == word));
        found.map(|(_, choice)| Some(*choice)).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let near = value.as_str().map(|word| suggestion(word, &names)).unwrap_or_default();
            let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
            self.error(format!("{key:?} must be {}, got {}{near}", quoted.join(" or "), abbreviated(value)))
        })
    }
}

/// A whole number in range, or none.
pub(super) fn as_count(value: &Value, least: usize) -> Option<usize> {
    value.as_integer().and_then(|n| usize::try_from(n).ok()).filter(|n| (least..=MOST).contains(n))
}

/// A finite number, or none.
pub(super) fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(n) => Some(*n as f64),
        Value::Float(n) => Some(*n).filter(|n| n.is_finite()),
        _ => None,
    }
}

/// `; did you mean "..."?` for the nearest of `known`, if one is near.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    match nearest(word, known).first() {
        Some(near) => format!("; did you mean {near:?}?"),
        None => String::new(),
    }
}

/// Those of `known` that `word` may be a slip for, the nearest first.
pub(super) fn nearest(word: &str, known: &[&str]) -> Vec<String> {
    const NEAR: f64 = 0.5;
    // The measure's time grows with the product of the lengths: a file may hold a key of any length.
    let word: String = word.chars().take(64).collect::<String>().to_lowercase();
    // A beginning counts as near: "max" for "max-pool".
    let score = |name: &str| {
        let begun = word.len() > 1 && name.starts_with(&word);
        if begun { 1.0 } else { strsim::normalized_damerau_levenshtein(&word, name) }
    };
    let mut scored: Vec<(f64, &str)> =
        known.iter().map(|name| (score(name), *name)).filter(|(score, _)| *score >= NEAR).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().map(|(_, name)| name.to_owned()).collect()
}

/// A value as text, cut to what fits in a message.
fn abbreviated(value: &Value) -> String {
    const LENGTH: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= LENGTH {
        return text;
    }
    text.chars().take(LENGTH).chain("...".chars()).collect()
}

//! Settings in TOML tables, by name.

use toml::{Table, Value};

use super::change;
use super::setting::{Setting, settings};
use crate::{Error, Remedy, Result};

/// Turns `section.name=value` into a table; the value is TOML, or else taken as text.
///
/// # Errors
/// [`Error::Setting`] for a missing `=`, an unknown name, with the nearest names, or several lines of settings.
pub fn parse_setting(setting: &str) -> Result<Table> {
    let (key, text) =
        setting.split_once('=').ok_or_else(|| Error::setting(setting, "expected KEY=VALUE, e.g. optim.lr=0.01"))?;
    let key = key.trim();
    if key.is_empty() {
        return Err(Error::setting(setting, "the setting has no name; expected KEY=VALUE"));
    }
    let setting = find(key)?;
    let text = text.trim();
    let mut parsed = format!("v = {text}").parse::<Table>().unwrap_or_default();
    if parsed.len() > 1 {
        return Err(Error::setting(key, "its value has further settings on more lines; give each by itself"));
    }
    Ok(table_of(setting.key, parsed.remove("v").unwrap_or_else(|| Value::String(text.to_string()))))
}

/// A table that holds one setting.
pub fn table_of(key: &str, value: Value) -> Table {
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    let mut inner = Table::new();
    inner.insert(name.to_string(), value);
    let mut outer = Table::new();
    outer.insert(section.to_string(), Value::Table(inner));
    outer
}

/// The table with former names replaced by the current ones.
///
/// # Errors
/// [`Error::Setting`] for a name that is no setting, and for a setting under two names.
pub fn with_current_names(table: &Table) -> Result<Table> {
    let mut renamed = Table::new();
    for (section, value) in table {
        if section == "change" {
            renamed.insert(section.clone(), change::with_current_names(value)?);
            continue;
        }
        let Value::Table(section_table) = value else {
            return Err(Setting::find(section).map_or_else(|| unknown(section), |setting| quoted(setting.key, value)));
        };
        let mut current = Table::new();
        for (name, value) in section_table {
            let setting = find(&format!("{section}.{name}"))?;
            if current.insert(setting.name().to_string(), value.clone()).is_some() {
                return Err(Error::setting(setting.key, "is given under two names; give the current one only"));
            }
        }
        renamed.insert(section.clone(), Value::Table(current));
    }
    Ok(renamed)
}

/// The value of a setting in a table, under its current or a former name.
pub fn value<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let aliases = Setting::find(key).map_or(&[][..], |setting| setting.aliases);
    std::iter::once(key).chain(aliases.iter().copied()).find_map(|name| {
        let (section, name) = name.split_once('.')?;
        table.get(section)?.get(name)
    })
}

/// Each setting that differs between two runs, with its value in both.
pub fn differences(a: &Table, b: &Table) -> Vec<(&'static Setting, String, String)> {
    let show = |value: Option<&Value>| value.map_or("unset".to_string(), Value::to_string);
    settings()
        .map(|setting| (setting, value(a, setting.key), value(b, setting.key)))
        .filter(|(_, first, second)| first != second)
        .map(|(setting, first, second)| (setting, show(first), show(second)))
        .collect()
}

fn find(key: &str) -> Result<&'static Setting> {
    Setting::find(key).ok_or_else(|| unknown(key))
}

/// The error of a setting whose name is in quotes, which TOML takes for one key.
fn quoted(key: &str, value: &Value) -> Error {
    Error::setting(format!("{key:?}"), format!("is in quotes; leave the quotes out: {key} = {value}"))
}

fn unknown(key: &str) -> Error {
    let names = settings().flat_map(|setting| std::iter::once(setting.key).chain(setting.aliases.iter().copied()));
    let mut near: Vec<&str> = Vec::new();
    for name in nearest(key, names) {
        let current = Setting::find(name).map_or(name, |setting| setting.key);
        if !near.contains(&current) {
            near.push(current);
        }
    }
    match near.as_slice() {
        [] => Error::setting(key, "unknown setting").with_remedy(Remedy::ListSettings),
        near => Error::setting(key, format!("unknown setting; near ones: {}", near.join(", "))),
    }
}

/// Up to three of `candidates` that `name` may be a misspelling of, the nearest first.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let last_part = |key: &str| key.rsplit('.').next().unwrap_or(key).to_string();
    let score = |candidate: &str| {
        let of_whole = strsim::jaro_winkler(name, candidate);
        of_whole.max(strsim::normalized_damerau_levenshtein(&last_part(name), &last_part(candidate)))
    };
    let mut scored: Vec<(f64, &str)> = candidates.map(|c| (score(c), c)).filter(|(s, _)| *s > 0.7).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(3).map(|(_, c)| c).collect()
}

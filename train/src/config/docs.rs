//! The list of settings as text: for `alexnet train --help` and for the page `cli/docs/settings.md`.

use toml::Table;

use super::setting::SECTIONS;
use super::{Config, OnResume, Setting, keys};

const HELP_WIDTH: usize = 100;
const PAGE_WIDTH: usize = 120;

/// The settings as plain text, one after the other.
pub fn help() -> String {
    let defaults = Config::default().to_table();
    let longest = super::settings().map(|setting| setting.key.len()).max().unwrap_or(0);
    let indent = " ".repeat(longest + 4);
    let mut text = String::new();
    for section in SECTIONS {
        for setting in section.settings {
            let doc = setting.doc.trim().replace('`', "");
            let default = format!("[default: {}]", setting.default(&defaults));
            let words = doc.split_whitespace().chain([default.as_str()]);
            let first = format!("  {:<longest$}  ", setting.key);
            text.push_str(&wrapped(&first, &indent, HELP_WIDTH, words));
        }
    }
    text
}

/// The settings as Markdown, section by section.
pub fn markdown() -> String {
    let defaults = Config::default().to_table();
    let mut text = String::new();
    for section in SECTIONS {
        text.push_str(&format!("\n### {}: `[{}]`\n\n", section.doc.trim(), section.name));
        for setting in section.settings {
            let entry = setting.markdown(&defaults);
            text.push_str(&wrapped("- ", "  ", PAGE_WIDTH, entry.split_whitespace()));
        }
    }
    text
}

impl Setting {
    fn default(&self, defaults: &Table) -> String {
        let value = || keys::value(defaults, self.key).map(toml::Value::to_string);
        self.default_text.map(str::to_string).or_else(value).unwrap_or_else(|| "none".to_string())
    }

    fn markdown(&self, defaults: &Table) -> String {
        let default = match self.default_text {
            Some(words) => words.to_string(),
            None => format!("`{}`", self.default(defaults)),
        };
        let range = self.range.map(|range| format!(", {range}")).unwrap_or_default();
        let mut text = format!("`{}` (default {default}{range}): {}", self.key, self.doc.trim());
        if !self.needs.is_empty() {
            let needed: Vec<&str> = self.needs.iter().map(|condition| condition.needed).collect();
            text.push_str(&format!(" Needs {}.", needed.join(" and ")));
        }
        text.push_str(match self.on_resume {
            OnResume::Refused => "",
            OnResume::Noted => " May change on resume, with a note.",
            OnResume::Silent => " May change on resume.",
        });
        if self.timed {
            text.push_str(" May change in `[[change]]`.");
        }
        if !self.aliases.is_empty() {
            text.push_str(&format!(" Formerly `{}`.", self.aliases.join("`, `")));
        }
        text
    }
}

/// Words in lines of at most `width`, if no word is longer: the first begins with `first`, the others with `indent`.
fn wrapped<'a>(first: &str, indent: &str, width: usize, words: impl Iterator<Item = &'a str>) -> String {
    let mut lines = String::new();
    let mut line = first.to_string();
    let mut separator = "";
    for word in words {
        if line.len() + separator.len() + word.len() > width {
            lines.push_str(&line);
            lines.push('\n');
            line = indent.to_string();
            separator = "";
        }
        line.push_str(separator);
        line.push_str(word);
        separator = " ";
    }
    lines.push_str(&line);
    lines.push('\n');
    lines
}

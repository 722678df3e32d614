//! Words for WordNet's ids: a text of a wnid and its words a line, as Tiny ImageNet's `words.txt`
//! (`n01443537<TAB>goldfish, Carassius auratus`) and Kaggle's `LOC_synset_mapping.txt` have it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::labels::read_text;
use super::{is_file, is_folder};
use crate::error::{Error, Result};

/// The words of wnids.
#[derive(Debug)]
pub(crate) struct Words(HashMap<String, String>);

/// Whether it is the id of a synset in WordNet: `n` and eight digits.
pub(super) fn is_wnid(text: &str) -> bool {
    text.len() == 9 && text.starts_with('n') && text[1..].bytes().all(|b| b.is_ascii_digit())
}

impl Words {
    /// Of lines that are all a wnid and its words; `None` if one is not.
    pub fn of_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Self> {
        let entry = |line: &str| {
            let (wnid, words) = line.trim().split_once(char::is_whitespace)?;
            (is_wnid(wnid) && !words.trim().is_empty()).then(|| (wnid.to_string(), words.trim().to_string()))
        };
        let lines = lines.filter(|line| !line.trim().is_empty());
        lines.map(entry).collect::<Option<HashMap<_, _>>>().filter(|words| !words.is_empty()).map(Self)
    }

    /// Those of Tiny ImageNet, where `root` is its folder or one of its parts: `words.txt` with `wnids.txt` beside it.
    pub fn beside(root: &Path) -> Result<Option<Self>> {
        let parent = std::path::absolute(root).ok().and_then(|path| path.parent().map(Path::to_path_buf));
        for folder in std::iter::once(root.to_path_buf()).chain(parent) {
            let path = folder.join("words.txt");
            if is_folder(root)? && is_file(&path)? && is_file(&folder.join("wnids.txt"))? {
                let text = read_text(&path)?;
                let expected = || Error::source(&path, "expected a wnid and its words a line, as Tiny ImageNet has it");
                return Self::of_lines(text.lines()).map(Some).ok_or_else(expected);
            }
        }
        Ok(None)
    }

    /// Whether there are words for a wnid.
    pub fn has(&self, wnid: &str) -> bool {
        self.0.contains_key(wnid)
    }

    /// The words of a wnid, or itself.
    pub fn of<'a>(&'a self, wnid: &'a str) -> &'a str {
        self.0.get(wnid).map_or(wnid, String::as_str)
    }

    /// A name for each class: its words, with the wnid after them where another class has the same.
    pub fn names(&self, wnids: &[String]) -> Vec<String> {
        let mut seen = HashSet::new();
        let twice: HashSet<&str> =
            wnids.iter().map(|wnid| self.of(wnid)).filter(|words| !seen.insert(*words)).collect();
        let name = |wnid: &String| match self.of(wnid) {
            words if twice.contains(words) && words != wnid => format!("{words} ({wnid})"),
            words => words.to_string(),
        };
        wnids.iter().map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_names_and_those_of_two_are_told_apart() {
        let lines = "n02012849\tcrane\nn03126707\tcrane\n\nn01443537\tgoldfish, Carassius auratus\n";
        let words = Words::of_lines(lines.lines()).unwrap();
        let wnids = ["n01443537", "n02012849", "n03126707", "n99999999"].map(String::from);
        let expected = ["goldfish, Carassius auratus", "crane (n02012849)", "crane (n03126707)", "n99999999"];
        assert_eq!(words.names(&wnids), expected);
        assert!(Words::of_lines("n01443537 goldfish\ncrane\n".lines()).is_none());
        assert!(Words::of_lines("".lines()).is_none());
    }
}

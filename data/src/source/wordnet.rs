//! Names for WordNet ids: a text with a wnid and its words per line, like Tiny ImageNet's `words.txt`
//! (`n01443537<TAB>goldfish, Carassius auratus`) and Kaggle's `LOC_synset_mapping.txt`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::labels::read_text;
use super::{is_file, is_folder};
use crate::error::{Error, Result};

/// Words by wnid.
#[derive(Debug)]
pub(crate) struct WordNetNames(HashMap<String, String>);

/// Words of wnids in Tiny ImageNet, far more than its classes.
const WORDS: &str = "words.txt";
/// Wnids of its classes.
const WNIDS: &str = "wnids.txt";

/// The folder of Tiny ImageNet if `root` is it or one of its splits: it holds [`WORDS`] and [`WNIDS`].
fn tiny_imagenet(root: &Path) -> Result<Option<PathBuf>> {
    let parent = std::path::absolute(root).ok().and_then(|path| path.parent().map(Path::to_path_buf));
    for folder in std::iter::once(root.to_path_buf()).chain(parent) {
        if is_folder(root)? && is_file(&folder.join(WORDS))? && is_file(&folder.join(WNIDS))? {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}

/// Notes on differences between the class folders of Tiny ImageNet and its list of classes: copies with other classes
/// are in use.
pub(super) fn listed_notes(root: &Path, folders: &[String]) -> Result<Vec<String>> {
    let Some(tiny) = tiny_imagenet(root)? else { return Ok(Vec::new()) };
    let text = read_text(&tiny.join(WNIDS))?;
    let listed: BTreeSet<&str> = text.split_whitespace().collect();
    let folders: BTreeSet<&str> = folders.iter().map(String::as_str).collect();
    let unlisted = folders.difference(&listed).next().map(|first| {
        let count = folders.difference(&listed).count();
        format!("{count} class folders are not in {WNIDS} and are packed as classes too, the first is {first}")
    });
    let missing = listed.difference(&folders).next().map(|first| {
        let count = listed.difference(&folders).count();
        format!("{count} classes of {WNIDS} have no folder and are left out, the first is {first}")
    });
    Ok(unlisted.into_iter().chain(missing).collect())
}

/// Whether a text is a wnid: `n` and eight digits.
pub(super) fn is_wnid(text: &str) -> bool {
    text.len() == 9 && text.starts_with('n') && text[1..].bytes().all(|b| b.is_ascii_digit())
}

impl WordNetNames {
    /// Parses lines of a wnid and its words; `None` if a line is neither empty nor such.
    pub fn from_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Self> {
        let entry = |line: &str| {
            let (wnid, words) = line.trim().split_once(char::is_whitespace)?;
            (is_wnid(wnid) && !words.trim().is_empty()).then(|| (wnid.to_string(), words.trim().to_string()))
        };
        let lines = lines.filter(|line| !line.trim().is_empty());
        lines.map(entry).collect::<Option<HashMap<_, _>>>().filter(|words| !words.is_empty()).map(Self)
    }

    /// Finds the names of Tiny ImageNet if `root` is its folder or one of its splits.
    pub fn find_for(root: &Path) -> Result<Option<Self>> {
        let Some(folder) = tiny_imagenet(root)? else { return Ok(None) };
        let path = folder.join(WORDS);
        let text = read_text(&path)?;
        let expected = || Error::source(&path, "expected lines of a wnid and its words, as in Tiny ImageNet");
        Self::from_lines(text.lines()).map(Some).ok_or_else(expected)
    }

    /// Whether there are words for a wnid.
    pub fn contains(&self, wnid: &str) -> bool {
        self.0.contains_key(wnid)
    }

    /// The words of a wnid, or the wnid itself.
    pub fn words_of<'a>(&'a self, wnid: &'a str) -> &'a str {
        self.0.get(wnid).map_or(wnid, String::as_str)
    }

    /// The words of a wnid followed by it, for words that several classes have.
    pub fn qualified(&self, wnid: &str) -> String {
        format!("{} ({wnid})", self.words_of(wnid))
    }

    /// A name for each class: its words, followed by the wnid if another class has the same words.
    pub fn names(&self, wnids: &[String]) -> Vec<String> {
        let mut seen = HashSet::new();
        let ambiguous: HashSet<&str> =
            wnids.iter().map(|wnid| self.words_of(wnid)).filter(|words| !seen.insert(*words)).collect();
        let name = |wnid: &String| match self.words_of(wnid) {
            words if ambiguous.contains(words) && words != wnid => self.qualified(wnid),
            words => words.to_string(),
        };
        wnids.iter().map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_words_are_followed_by_the_wnid() {
        let lines = "n02012849\tcrane\nn03126707\tcrane\n\nn01443537\tgoldfish, Carassius auratus\n";
        let words = WordNetNames::from_lines(lines.lines()).unwrap();
        let wnids = ["n01443537", "n02012849", "n03126707", "n99999999"].map(String::from);
        let expected = ["goldfish, Carassius auratus", "crane (n02012849)", "crane (n03126707)", "n99999999"];
        assert_eq!(words.names(&wnids), expected);
        assert!(WordNetNames::from_lines("n01443537 goldfish\ncrane\n".lines()).is_none());
        assert!(WordNetNames::from_lines("".lines()).is_none());
    }
}

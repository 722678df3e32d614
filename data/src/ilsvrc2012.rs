//! Names of the ILSVRC 2012 classes, whose identifiers in packs are WordNet ids (wnids).

use std::sync::LazyLock;

/// One class per line: the wnid, a space and the words, after leading comment lines.
const TEXT: &str = include_str!("ilsvrc2012.txt");

static CLASSES: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    TEXT.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' ')).collect()
});

/// All 1000 classes as (wnid, words), such as `n01440764` and `tench, Tinca tinca`, sorted by wnid. Torchvision, Keras
/// and the paper's network number the classes in this order, from 0.
///
/// ```
/// assert_eq!(alexnet_data::ilsvrc2012::classes()[0].0, "n01440764");
/// ```
pub fn classes() -> &'static [(&'static str, &'static str)] {
    &CLASSES
}

/// The words of a wnid, or `None` if it is not one of the 1000.
///
/// ```
/// assert_eq!(alexnet_data::ilsvrc2012::words("n01440764"), Some("tench, Tinca tinca"));
/// ```
pub fn words(wnid: &str) -> Option<&'static str> {
    CLASSES.binary_search_by_key(&wnid, |(wnid, _)| wnid).ok().map(|at| CLASSES[at].1)
}

/// A readable class name: the first word for one of the 1000 wnids, otherwise `class` itself.
///
/// ```
/// use alexnet_data::ilsvrc2012::short_name;
///
/// assert_eq!((short_name("n01443537"), short_name("ant")), ("goldfish", "ant"));
/// ```
pub fn short_name(class: &str) -> &str {
    words(class).map_or(class, |words| words.split(',').next().unwrap_or(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_a_thousand_in_order() {
        assert_eq!(classes().len(), 1000);
        assert!(classes().windows(2).all(|pair| pair[0].0 < pair[1].0));
        let is_wnid = |wnid: &str| wnid.len() == 9 && wnid.starts_with('n') && wnid[1..].parse::<u32>().is_ok();
        assert!(classes().iter().all(|(wnid, words)| is_wnid(wnid) && !words.is_empty()));
        assert_eq!(classes()[999], ("n15075141", "toilet tissue, toilet paper, bathroom tissue"));
        assert_eq!((words("n00000000"), short_name("n01443537"), short_name("ant")), (None, "goldfish", "ant"));
    }
}

//! Names of folders and columns that name a split: `train2017`, `val_images`, `testset`, `fold2`, `test_A`.

/// Words of each split: training, validation, test, and a split that may be either of the last two.
const SPLITS: [&[&str]; 4] = [
    &["train", "training", "trn"],
    &["val", "valid", "validation"],
    &["test", "testing", "tst"],
    &["dev", "eval", "evaluation", "holdout", "pred"],
];
/// The last of [`SPLITS`], which differs from the training set alone.
const VAL_OR_TEST: usize = 3;
/// Words before the number of a piece of a data set.
const PIECES: [&str; 6] = ["fold", "part", "batch", "split", "subset", "chunk"];
/// Words for the contents of a folder, which do not name a split.
const CONTENT: [&str; 12] =
    ["images", "image", "imgs", "img", "data", "dataset", "set", "input", "inputs", "photos", "jpg", "png"];
/// Names of versions of the same images.
const VERSIONS: [&str; 6] = ["original", "augmented", "labeled", "unlabeled", "labelled", "unlabelled"];

/// The split that a name stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SplitName {
    split: Option<usize>,
    /// A word of [`PIECES`] and its number.
    piece: Option<(String, u64)>,
    /// Years, digits and single letters, which tell splits of one kind apart.
    marks: Vec<String>,
    /// Whether the name has no other words.
    is_plain: bool,
}

impl SplitName {
    pub fn parse(name: &str) -> Self {
        let words = words(name);
        let mut found = Self { is_plain: true, ..Self::default() };
        for (at, word) in words.iter().enumerate() {
            let number = words.get(at + 1).and_then(|next| next.parse().ok());
            if let Some(split) = split_of(word) {
                found.split.get_or_insert(split);
            } else if let Some(number) = number.filter(|_| PIECES.contains(&word.as_str())) {
                found.piece.get_or_insert((word.clone(), number));
            } else if is_mark(word) {
                found.marks.push(word.trim_start_matches('0').to_string());
            } else if !CONTENT.contains(&word.as_str()) && word.parse::<u64>().is_err() {
                found.is_plain = false;
            }
        }
        found
    }

    /// Whether it says anything.
    pub fn is_split(&self) -> bool {
        self.split.is_some() || self.piece.is_some()
    }

    /// Whether it says that and nothing else.
    pub fn is_only_split(&self) -> bool {
        self.is_split() && self.is_plain
    }

    /// Whether two names are of different splits for certain.
    pub fn differs(&self, other: &Self) -> bool {
        let splits = match (self.split, other.split) {
            (Some(VAL_OR_TEST), Some(split)) | (Some(split), Some(VAL_OR_TEST)) => split == 0,
            (Some(a), Some(b)) => a != b,
            _ => false,
        };
        let pieces = match (&self.piece, &other.piece) {
            (Some(a), Some(b)) => a.0 == b.0 && a.1 != b.1,
            _ => false,
        };
        let same_split = self.split.is_some() && self.split == other.split;
        let marks = !self.marks.is_empty() && !other.marks.is_empty() && self.marks != other.marks;
        splits || pieces || same_split && marks
    }
}

/// Whether a folder is named after a split, a numbered piece or a version of a data set.
pub(super) fn names_split(name: &str) -> bool {
    SplitName::parse(name).is_split() || VERSIONS.contains(&name.to_lowercase().as_str())
}

/// Whether a folder is named after a numbered piece of a data set, and after no split.
pub(super) fn names_piece(name: &str) -> bool {
    let part = SplitName::parse(name);
    part.piece.is_some() && part.split.is_none()
}

/// The words of a name in lower case; a number is a word.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = None;
    for c in name.chars().flat_map(char::to_lowercase) {
        let kind = c.is_alphanumeric().then(|| c.is_numeric());
        match (kind, words.last_mut().filter(|_| before == kind)) {
            (Some(_), Some(word)) => word.push(c),
            (Some(_), None) => words.push(c.into()),
            (None, _) => {}
        }
        before = kind;
    }
    words
}

/// The split that a word names, also as `trainset` and `imagestest`.
fn split_of(word: &str) -> Option<usize> {
    let named = |word: &str| SPLITS.iter().position(|names| names.contains(&word));
    let without = |content: &str| word.strip_suffix(content).or_else(|| word.strip_prefix(content));
    named(word).or_else(|| CONTENT.iter().filter_map(|content| without(content)).find_map(named))
}

/// A year, a digit or a letter. Other numbers are sizes: `train_224` may be made of `train_256`.
fn is_mark(word: &str) -> bool {
    let number = word.parse::<u32>().ok();
    number.is_some_and(|number| number < 10 || (1900..2100).contains(&number)) || word.chars().count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts_are_known_in_many_forms() {
        let parts = ["train", "TrainSet", "train2017", "images_train", "val_images", "testdata", "fold_2", "part1"];
        for name in parts.into_iter().chain(["Batch 3", "trn", "seg_pred"]) {
            assert!(names_split(name), "{name}");
        }
        for name in ["cat", "fold", "2", "trains", "latest", "contest", "values", "partridge", "part of a whole"] {
            assert!(!names_split(name), "{name}");
        }
        assert!(names_piece("HAM10000_images_part_1") && !names_piece("train_part_1"));
        assert!(["original", "Augmented", "unlabeled"].into_iter().all(names_split));
        assert!(SplitName::parse("val_images").is_only_split() && !SplitName::parse("test tube").is_only_split());
    }

    #[test]
    fn parts_that_differ_are_told_from_names_of_the_same() {
        let differ = |a: &str, b: &str| SplitName::parse(a).differs(&SplitName::parse(b));
        for (a, b) in [
            ("images_test", "images_train"),
            ("val2017", "train2017"),
            ("train2014", "train2017"),
            ("test_A", "test_B"),
            ("fold1", "fold02"),
            ("val_images", "train"),
            ("dev", "train"),
        ] {
            assert!(differ(a, b) && differ(b, a), "{a} {b}");
        }
        for (a, b) in [
            ("train", "train2017"),
            ("train_images", "Training"),
            ("valid", "val"),
            ("dev", "test"),
            ("eval", "val"),
            ("fold1", "fold01"),
            ("fold1", "batch2"),
            ("train", "cat"),
            ("train_224", "train_256"),
        ] {
            assert!(!differ(a, b) && !differ(b, a), "{a} {b}");
        }
    }
}

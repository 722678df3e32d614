//! Lookup of the image of a source that a path in a labels file refers to.
//!
//! The path may have more leading folders than the source (`Train/20/1.png` where the source is `Train/20`) or fewer,
//! be absolute, have backslashes or other case, and lack the extension. Of image and path, the one with fewer folders
//! must be a suffix of the other, and a path of another split (`train/1.png` where the source is `test`) matches no
//! image.

use std::cmp::Ordering;
use std::path::Path;

use crate::source::split_names::SplitName;

/// Index of the images of a source by file name.
pub(super) struct ImageLookup<'a> {
    /// Sorted names.
    names: &'a [&'a [u8]],
    /// Image indices, ordered by file name without extension, ignoring case.
    order: Vec<u32>,
    /// Path of the source, parts separated by `/`.
    root: Vec<u8>,
    /// Split that the source is, by its folder or the one above.
    split: Option<SplitName>,
}

/// The image a path refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageMatch {
    None,
    /// An image; whether the path has its extension; and, if the path has more folders than the image's name, how many
    /// of those agree with the location of the source.
    One {
        image: usize,
        with_extension: bool,
        agreeing: Option<usize>,
    },
    /// One of several images, of which these are two.
    Ambiguous(usize, usize),
}

impl<'a> ImageLookup<'a> {
    /// Creates the index of the source `root` with sorted `names`.
    pub fn new(root: &Path, names: &'a [&'a [u8]]) -> Self {
        let mut order: Vec<u32> = (0..names.len() as u32).collect();
        order.sort_by(|&a, &b| {
            compare_ignoring_case(stem(base(names[a as usize])), stem(base(names[b as usize]))).then(a.cmp(&b))
        });
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
        let root = root.to_string_lossy().replace('\\', "/").into_bytes();
        let split = first_split(parts(&root).take(2));
        Self { names, order, root, split }
    }

    pub fn names(&self) -> &[&[u8]] {
        self.names
    }

    /// The image a path refers to.
    pub fn find(&self, path: &str) -> ImageMatch {
        if let Ok(image) = self.names.binary_search(&path.as_bytes()) {
            return self.match_one(image, true, path.as_bytes());
        }
        let path = normalize(path);
        if path.is_empty() {
            return ImageMatch::None;
        }
        for with_extension in [true, false] {
            let key = if with_extension { stem(base(&path)) } else { base(&path) };
            let candidates = self.candidates(key);
            for same in [equal as fn(&[u8], &[u8]) -> bool, equal_ignoring_case] {
                match self.closest(candidates, &path, with_extension, same) {
                    ImageMatch::None => {}
                    found => return found,
                }
            }
        }
        ImageMatch::None
    }

    /// Images whose file name without extension is `key`, ignoring case.
    fn candidates(&self, key: &[u8]) -> &[u32] {
        let of = |&image: &u32| compare_ignoring_case(stem(base(self.names[image as usize])), key);
        let begin = self.order.partition_point(|image| of(image) == Ordering::Less);
        let end = begin + self.order[begin..].partition_point(|image| of(image) == Ordering::Equal);
        &self.order[begin..end]
    }

    /// The one of `candidates` that shares the most folders with `path`.
    fn closest(
        &self,
        candidates: &[u32],
        path: &[u8],
        with_extension: bool,
        same: fn(&[u8], &[u8]) -> bool,
    ) -> ImageMatch {
        let mut best = ImageMatch::None;
        let mut most = 0;
        for &image in candidates {
            let name = self.names[image as usize];
            let Some(shared) = shared_suffix(name, path, with_extension, same) else { continue };
            if self.has_other_split(parts(path).skip(parts(name).count())) {
                continue;
            }
            match best {
                ImageMatch::One { image: other, .. } if shared == most => {
                    best = ImageMatch::Ambiguous(other, image as usize)
                }
                _ if shared > most => {
                    most = shared;
                    best = self.match_one(image as usize, with_extension, path);
                }
                _ => {}
            }
        }
        best
    }

    fn match_one(&self, image: usize, with_extension: bool, path: &[u8]) -> ImageMatch {
        let above: Vec<&[u8]> = parts(path).skip(parts(self.names[image]).count()).collect();
        let agree = || parts(&self.root).zip(&above).take_while(|(a, b)| equal_ignoring_case(a, b)).count();
        ImageMatch::One { image, with_extension, agreeing: (!above.is_empty()).then(agree) }
    }

    /// Whether a path is in a folder of another split than the source.
    pub fn is_of_other_split(&self, path: &str) -> bool {
        self.has_other_split(parts(&normalize(path)).skip(1))
    }

    fn has_other_split<'p>(&self, folders: impl Iterator<Item = &'p [u8]>) -> bool {
        self.split.as_ref().is_some_and(|own| first_split(folders).is_some_and(|split| split.differs(own)))
    }
}

/// The first split among these folders. Above the first folder, which may have any name, only names that say nothing
/// else count.
fn first_split<'p>(folders: impl Iterator<Item = &'p [u8]>) -> Option<SplitName> {
    let mut splits = folders.map(|folder| SplitName::parse(&String::from_utf8_lossy(folder))).enumerate();
    splits.find(|(at, split)| split.is_only_split() || *at == 0 && split.is_split()).map(|(_, split)| split)
}

/// Number of trailing parts shared by name and path, if one is a suffix of the other.
fn shared_suffix(name: &[u8], path: &[u8], with_extension: bool, same: fn(&[u8], &[u8]) -> bool) -> Option<usize> {
    let last = if with_extension { base(name) } else { stem(base(name)) };
    if !same(last, base(path)) {
        return None;
    }
    let mut shared = 1;
    let mut names = parts(name).skip(1);
    let mut paths = parts(path).skip(1);
    while let (Some(a), Some(b)) = (names.next(), paths.next()) {
        if !same(a, b) {
            return None;
        }
        shared += 1;
    }
    Some(shared)
}

/// Parts of a path, last first.
fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.rsplit(|&b| b == b'/').filter(|split| !split.is_empty())
}

fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

/// A file name without its extension.
fn stem(base: &[u8]) -> &[u8] {
    match base.iter().rposition(|&b| b == b'.') {
        Some(at @ 1..) => &base[..at],
        _ => base,
    }
}

fn equal(a: &[u8], b: &[u8]) -> bool {
    a == b
}

fn equal_ignoring_case(a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn compare_ignoring_case(a: &[u8], b: &[u8]) -> Ordering {
    a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase))
}

/// Normalizes a path: parts separated by `/`, without a drive or leading `./`, `../` or `/`.
fn normalize(path: &str) -> Vec<u8> {
    let path = path.trim().replace('\\', "/");
    let mut rest = path.as_str();
    if let [drive, b':', b'/', ..] = rest.as_bytes()
        && drive.is_ascii_alphabetic()
    {
        rest = &rest[2..];
    }
    while let Some(inner) =
        rest.strip_prefix("./").or_else(|| rest.strip_prefix("../")).or_else(|| rest.strip_prefix('/'))
    {
        rest = inner;
    }
    rest.as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str], path: &str) -> String {
        let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        let shown = |at: usize| String::from_utf8_lossy(names[at]).into_owned();
        match ImageLookup::new(Path::new("/data/Test"), &names).find(path) {
            ImageMatch::None => "nothing".into(),
            ImageMatch::One { image, .. } => shown(image),
            ImageMatch::Ambiguous(a, b) => format!("{} or {}", shown(a), shown(b)),
        }
    }

    #[test]
    fn paths_of_many_forms_mean_one_image() {
        let names = ["IMG_0.JPG", "a/1.jpg", "b/1.jpg", "b/2.jpg", "c/b/2.jpg", "d.x.png"];
        for path in
            ["IMG_0.JPG", "img_0.jpg", "/data/Test/IMG_0.JPG", "C:\\x\\IMG_0.jpg", "./IMG_0", "..\\Test\\img_0.JPG"]
        {
            assert_eq!(found(&names, path), "IMG_0.JPG", "{path}");
        }
        for path in ["a/1.jpg", "Test/a/1.jpg", "A\\1", "x/a/1.JPG"] {
            assert_eq!(found(&names, path), "a/1.jpg", "{path}");
        }
        assert_eq!(found(&names, "1.jpg"), "a/1.jpg or b/1.jpg");
        assert_eq!(found(&names, "b/2.jpg"), "b/2.jpg");
        assert_eq!(found(&names, "z/b/2.jpg"), "b/2.jpg");
        assert_eq!(found(&names, "c/b/2.jpg"), "c/b/2.jpg");
        assert_eq!(found(&names, "2.jpg"), "b/2.jpg or c/b/2.jpg");
        assert_eq!(found(&names, "d.x"), "d.x.png");
        for path in ["c/1.jpg", "a/1.png", "", "/", "IMG_1.JPG", "a", "d"] {
            assert_eq!(found(&names, path), "nothing", "{path}");
        }
    }

    #[test]
    fn the_path_that_agrees_more_with_the_folder_is_known() {
        let names: Vec<&[u8]> = vec![b"1.jpg"];
        let images = ImageLookup::new(Path::new("/data/b"), &names);
        let agreeing = |path: &str| match images.find(path) {
            ImageMatch::One { agreeing, .. } => agreeing,
            other => panic!("{other:?}"),
        };
        let found = ["1.jpg", "a/1.jpg", "b/1.jpg", "/data/b/1.jpg", "train/1.jpg"].map(agreeing);
        assert_eq!(found, [None, Some(0), Some(1), Some(2), Some(0)]);
    }

    #[test]
    fn a_path_of_another_part_is_no_image_of_this_one() {
        let names: Vec<&[u8]> = vec![b"1.jpg", b"train/2.jpg"];
        for root in ["/data/Test", "/data/test/images"] {
            let images = ImageLookup::new(Path::new(root), &names);
            for path in ["1.jpg", "test/1.jpg", "/x/testing/images/1.jpg", "train/2.jpg", "/train/test/1.jpg"] {
                assert_ne!(images.find(path), ImageMatch::None, "{root}: {path}");
            }
            for path in ["Train/1.jpg", "val/1", "/test/train/images/1.jpg", "valid\\1.jpg"] {
                assert_eq!(images.find(path), ImageMatch::None, "{root}: {path}");
                assert!(images.is_of_other_split(path), "{root}: {path}");
            }
        }
    }
}

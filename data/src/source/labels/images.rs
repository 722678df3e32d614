//! Which image of a source a path in a file of labels means.
//!
//! The path may have more folders before it than the source has (`Train/20/1.png` where the source is `Train/20`), or fewer,
//! be absolute, be written with backslashes or in other case, and lack the ending. Of image and path, the one with fewer
//! folders must be the end of the other, and a path of another part of the data set (`train/1.png` where the source is
//! `test`) means none of its images.

use std::cmp::Ordering;
use std::path::Path;

use crate::source::part_names::PartName;

/// The images of a source, findable by the last part of their names.
pub(super) struct Images<'a> {
    /// Sorted.
    names: &'a [&'a [u8]],
    /// Numbers of the images, ordered by the last part of their names without ending, whatever its case.
    order: Vec<u32>,
    /// The path of the source, parts separated by `/`.
    root: Vec<u8>,
    /// The part of a data set that the source is, by its folder or the one above.
    part: Option<PartName>,
}

/// What a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    Nothing,
    /// An image, whether the path has its ending, and, where it has more folders than the image's name, how many of those
    /// agree with where the source lies.
    One {
        image: usize,
        with_ending: bool,
        agreeing: Option<usize>,
    },
    /// Any of several, of which these are two.
    Several(usize, usize),
}

impl<'a> Images<'a> {
    /// Of the source `root`, with `names` in order.
    pub fn new(root: &Path, names: &'a [&'a [u8]]) -> Self {
        let mut order: Vec<u32> = (0..names.len() as u32).collect();
        order.sort_by(|&a, &b| compare(stem(base(names[a as usize])), stem(base(names[b as usize]))).then(a.cmp(&b)));
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
        let root = root.to_string_lossy().replace('\\', "/").into_bytes();
        let part = part_of(parts(&root).take(2));
        Self { names, order, root, part }
    }

    pub fn names(&self) -> &[&[u8]] {
        self.names
    }

    /// What a path means.
    pub fn find(&self, path: &str) -> Meant {
        if let Ok(image) = self.names.binary_search(&path.as_bytes()) {
            return self.one(image, true, path.as_bytes());
        }
        let path = normal(path);
        if path.is_empty() {
            return Meant::Nothing;
        }
        for with_ending in [true, false] {
            let key = if with_ending { stem(base(&path)) } else { base(&path) };
            let alike = self.alike(key);
            for same in [equal as fn(&[u8], &[u8]) -> bool, equal_but_case] {
                match self.closest(alike, &path, with_ending, same) {
                    Meant::Nothing => {}
                    meant => return meant,
                }
            }
        }
        Meant::Nothing
    }

    /// The images whose last part without ending is `key`, whatever its case.
    fn alike(&self, key: &[u8]) -> &[u32] {
        let of = |&image: &u32| compare(stem(base(self.names[image as usize])), key);
        let begin = self.order.partition_point(|image| of(image) == Ordering::Less);
        let end = begin + self.order[begin..].partition_point(|image| of(image) == Ordering::Equal);
        &self.order[begin..end]
    }

    /// The one of `alike` that shares most folders with `path`.
    fn closest(&self, alike: &[u32], path: &[u8], with_ending: bool, same: fn(&[u8], &[u8]) -> bool) -> Meant {
        let mut best = Meant::Nothing;
        let mut most = 0;
        for &image in alike {
            let name = self.names[image as usize];
            let Some(shared) = shared_parts(name, path, with_ending, same) else { continue };
            if self.is_other_part(parts(path).skip(parts(name).count())) {
                continue;
            }
            match best {
                Meant::One { image: other, .. } if shared == most => best = Meant::Several(other, image as usize),
                _ if shared > most => {
                    most = shared;
                    best = self.one(image as usize, with_ending, path);
                }
                _ => {}
            }
        }
        best
    }

    fn one(&self, image: usize, with_ending: bool, path: &[u8]) -> Meant {
        let above: Vec<&[u8]> = parts(path).skip(parts(self.names[image]).count()).collect();
        let agree = || parts(&self.root).zip(&above).take_while(|(a, b)| equal_but_case(a, b)).count();
        Meant::One { image, with_ending, agreeing: (!above.is_empty()).then(agree) }
    }

    /// Whether a path lies in a folder of another part of the data set than the source.
    pub fn is_of_other_part(&self, path: &str) -> bool {
        self.is_other_part(parts(&normal(path)).skip(1))
    }

    fn is_other_part<'p>(&self, folders: impl Iterator<Item = &'p [u8]>) -> bool {
        self.part.as_ref().is_some_and(|own| part_of(folders).is_some_and(|part| part.differs(own)))
    }
}

/// The part of a data set that the first of these folders that is one is. Of those above the first, which may be named after
/// anything, only names that say nothing else count.
fn part_of<'p>(folders: impl Iterator<Item = &'p [u8]>) -> Option<PartName> {
    let mut parts = folders.map(|folder| PartName::of(&String::from_utf8_lossy(folder))).enumerate();
    parts.find(|(at, part)| part.is_only_part() || *at == 0 && part.is_part()).map(|(_, part)| part)
}

/// Parts that name and path have both from the end on, where one of the two is the end of the other.
fn shared_parts(name: &[u8], path: &[u8], with_ending: bool, same: fn(&[u8], &[u8]) -> bool) -> Option<usize> {
    let last = if with_ending { base(name) } else { stem(base(name)) };
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

/// Parts of a path, the last first.
fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.rsplit(|&b| b == b'/').filter(|part| !part.is_empty())
}

fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

/// A file's name without its ending.
fn stem(base: &[u8]) -> &[u8] {
    match base.iter().rposition(|&b| b == b'.') {
        Some(at @ 1..) => &base[..at],
        _ => base,
    }
}

fn equal(a: &[u8], b: &[u8]) -> bool {
    a == b
}

fn equal_but_case(a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn compare(a: &[u8], b: &[u8]) -> Ordering {
    a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase))
}

/// A path with `/` between its parts, without a drive, `./` or `/` before them.
fn normal(path: &str) -> Vec<u8> {
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
        match Images::new(Path::new("/data/Test"), &names).find(path) {
            Meant::Nothing => "nothing".into(),
            Meant::One { image, .. } => shown(image),
            Meant::Several(a, b) => format!("{} or {}", shown(a), shown(b)),
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
        let images = Images::new(Path::new("/data/b"), &names);
        let agreeing = |path: &str| match images.find(path) {
            Meant::One { agreeing, .. } => agreeing,
            other => panic!("{other:?}"),
        };
        let found = ["1.jpg", "a/1.jpg", "b/1.jpg", "/data/b/1.jpg", "train/1.jpg"].map(agreeing);
        assert_eq!(found, [None, Some(0), Some(1), Some(2), Some(0)]);
    }

    #[test]
    fn a_path_of_another_part_is_no_image_of_this_one() {
        let names: Vec<&[u8]> = vec![b"1.jpg", b"train/2.jpg"];
        for root in ["/data/Test", "/data/test/images"] {
            let images = Images::new(Path::new(root), &names);
            for path in ["1.jpg", "test/1.jpg", "/x/testing/images/1.jpg", "train/2.jpg", "/train/test/1.jpg"] {
                assert_ne!(images.find(path), Meant::Nothing, "{root}: {path}");
            }
            for path in ["Train/1.jpg", "val/1", "/test/train/images/1.jpg", "valid\\1.jpg"] {
                assert_eq!(images.find(path), Meant::Nothing, "{root}: {path}");
                assert!(images.is_of_other_part(path), "{root}: {path}");
            }
        }
    }
}

//! Contents of class folders besides images of the class: splits or versions of a data set, masks, and subfolders.
//!
//! Folders that all hold the same folders are no classes but splits or versions of one data set: `color/apple` and
//! `grayscale/apple`. Classes may be divided into splits (`bottle/train`), and have masks beside their images.

use std::collections::BTreeSet;

use super::split_names::names_split;

/// Names of folders of masks and annotations, in lower case without marks.
const MASK_FOLDERS: [&str; 10] = [
    "mask",
    "masks",
    "groundtruth",
    "gt",
    "annotation",
    "annotations",
    "label",
    "labels",
    "segmentation",
    "segmentations",
];
/// Ends of the names of masks that lie beside their images: `1_mask.png` of `1.png`.
const MASK_ENDINGS: [&str; 8] = ["mask", "masks", "segmentation", "seg", "gt", "label", "annotation", "groundtruth"];
/// Names that a message shows.
const SHOWN: usize = 4;

/// The folders below each class folder, and the masks among the images.
#[derive(Default)]
pub(super) struct Layout {
    classes: Vec<ClassFolder>,
    images: usize,
    masks: usize,
    first_mask: Option<String>,
}

struct ClassFolder {
    name: String,
    /// Folders of images below it; an empty name for the class folder itself.
    folders: BTreeSet<Vec<u8>>,
}

impl Layout {
    /// Adds a class and the names of its images within the source, which are sorted and begin with `prefix`, the class
    /// folder and a `/`.
    pub fn add(&mut self, class: &str, prefix: usize, images: &[&[u8]]) {
        let mut folders = BTreeSet::new();
        for image in images {
            let below = &image[prefix..];
            let folder = below.iter().rposition(|&b| b == b'/').map_or(&below[..0], |end| &below[..end]);
            if !folders.contains(folder) {
                folders.insert(folder.to_vec());
            }
            if is_in_mask_folder(folder) || is_mask_of(image, images) {
                self.masks += 1;
                self.first_mask.get_or_insert_with(|| String::from_utf8_lossy(image).into_owned());
            }
        }
        self.images += images.len();
        self.classes.push(ClassFolder { name: class.to_string(), folders });
    }

    /// A note on masks, if there are any among other images.
    pub fn masks(&self) -> Option<String> {
        let first = self.first_mask.as_deref().filter(|_| self.masks < self.images)?;
        Some(format!(
            "{} of its {} files are masks or annotations by their names, the first is {first}",
            self.masks, self.images
        ))
    }

    /// Why the folders are no classes, where they are splits or versions of one data set, or classes of several splits.
    pub fn parts(&self) -> Option<String> {
        let tops: BTreeSet<String> = self.classes.iter().flat_map(ClassFolder::tops).collect();
        if tops.len() >= 2 && tops.iter().all(|name| names_split(name)) {
            return Some(format!(
                "each of its folders {} is divided into {}: splits or versions of a data set, which would be packed together; \
                 make a folder of class folders of each of them",
                self.names(),
                shown(tops.iter())
            ));
        }
        let first = &self.classes.first()?.folders;
        let is_same = first.len() >= 2 && !first.contains(&b""[..]);
        let alike = self.classes.len() >= 2 && self.classes.iter().all(|class| class.folders == *first);
        (is_same && alike).then(|| {
            let folders: Vec<String> = first.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            format!(
                "its folders {} hold the same folders ({}): those are the classes, and the outer ones splits or versions of one \
                 data set; give one of them",
                self.names(),
                shown(folders.iter())
            )
        })
    }

    /// Notes on folders within class folders.
    pub fn merged(&self) -> Option<String> {
        let several = || self.classes.iter().filter(|class| class.folders.len() >= 2);
        let inner = |class: &'_ ClassFolder| class.folders.iter().filter(|name| !name.is_empty()).count();
        let count: usize = several().map(inner).sum();
        let class = several().next()?;
        let first = class.folders.iter().find(|name| !name.is_empty())?;
        Some(format!(
            "{count} folders within the class folders are merged into their classes, the first is {}/{}; where they are the \
             classes, give the folder that holds them",
            class.name,
            String::from_utf8_lossy(first)
        ))
    }

    fn names(&self) -> String {
        shown(self.classes.iter().map(|class| &class.name))
    }
}

impl ClassFolder {
    /// The first parts of the paths of its folders.
    fn tops(&self) -> impl Iterator<Item = String> {
        let top = |folder: &Vec<u8>| {
            let end = folder.iter().position(|&b| b == b'/').unwrap_or(folder.len());
            String::from_utf8_lossy(&folder[..end]).into_owned()
        };
        self.folders.iter().map(top)
    }
}

/// The first of some names.
fn shown<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    let first: Vec<&str> = names.take(SHOWN).map(String::as_str).collect();
    format!("{}{more}", first.join(", "))
}

fn is_in_mask_folder(folder: &[u8]) -> bool {
    let is_mask = |part: &[u8]| {
        let letters =
            part.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect::<Vec<u8>>();
        MASK_FOLDERS.iter().any(|name| name.as_bytes() == letters)
    };
    folder.split(|&b| b == b'/').any(is_mask)
}

/// Whether a file is the mask of another of its folder by their names. `images` are sorted.
fn is_mask_of(image: &[u8], images: &[&[u8]]) -> bool {
    let Some(of) = image_of_mask(image) else { return false };
    let prefix = [of, b"."].concat();
    let at = images.partition_point(|name| *name < prefix.as_slice());
    images.get(at).is_some_and(|name| name.starts_with(&prefix))
}

/// The path, without ending, of the image that a file is the mask of by its own name: `a/1` of `a/1_mask.png` or
/// `a/1_mask_2.png`.
fn image_of_mask(path: &[u8]) -> Option<&[u8]> {
    let stem = &path[..path.iter().rposition(|&b| b == b'.')?];
    let digits = stem.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let numbered = stem[..stem.len() - digits].strip_suffix(b"_").filter(|_| digits > 0);
    let ending = |stem: &'_ [u8]| {
        let ends = |ending: &&&str| stem.to_ascii_lowercase().ends_with(ending.as_bytes());
        let at = stem.len() - MASK_ENDINGS.iter().find(ends)?.len();
        let of = at.checked_sub(1).filter(|&mark| b"_- .".contains(&stem[mark]))?;
        Some(of)
    };
    ending(stem).or_else(|| numbered.and_then(ending)).map(|end| &path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_known_by_the_names_of_their_images() {
        let of = |path: &'static str| image_of_mask(path.as_bytes()).map(|of| std::str::from_utf8(of).unwrap());
        assert_eq!(of("a/b (1)_mask.png"), Some("a/b (1)"));
        assert_eq!(of("a/b (1)_mask_1.png"), Some("a/b (1)"));
        assert_eq!(of("ISIC_0_Segmentation.png"), Some("ISIC_0"));
        for path in ["a/mask.png", "a/unmask.png", "a/1.png", "a/_mask", "mask_1.png"] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn folders_within_class_folders_are_counted() {
        let mut layout = Layout::default();
        layout.add("a", 2, &[b"a/1.jpg", b"a/x/1.jpg", b"a/y/2.jpg"]);
        layout.add("b", 2, &[b"b/images/1.jpg"]);
        let said = "2 folders within the class folders are merged into their classes, the first is a/x; ";
        assert!(layout.merged().unwrap().starts_with(said), "{:?}", layout.merged());
        assert_eq!((layout.parts(), layout.masks()), (None, None));
        let mut layout = Layout::default();
        layout.add("a", 2, &[b"a/images/1.jpg"]);
        assert_eq!(layout.merged(), None);
    }
}

//! Class tars: `ILSVRC2012_img_train.tar`, a tar of one tar for each class, read where they lie; or a folder of them, as
//! ImageNet's releases of 2009 and 2011 are.
//!
//! A class is a tar's name without `.tar`, a wnid. Classes are numbered in the order of those names' bytes, and the images
//! of a class follow in the order of theirs, whatever their order in the archive. Headers alone are read first, in
//! order; then each image where it lies.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::archive::{self, Container, Ended, Member, Places, is_tar, members, replaced_note, visit};
use super::catalogue::{Lister, Numbers};
use super::{Reading, Source, file_name, files_of, is_about_images, is_folder};
use crate::error::{Error, Result};

/// One class: its name, the file that holds its tar, and where in it.
struct ClassTar {
    class: String,
    file: PathBuf,
    range: Range<u64>,
}

pub(super) fn open(path: &Path, reading: &Reading) -> Result<Source> {
    let mut notes = Notes::default();
    let mut tars = if is_folder(path)? { in_folder(path)? } else { in_tar(path, &mut notes)? };
    if tars.is_empty() {
        return Err(Error::source(path, "holds no class tars; expected one <wnid>.tar for each class"));
    }
    tars.sort_by(|a, b| a.class.cmp(&b.class));
    if let Some(twice) = tars.windows(2).find(|pair| pair[0].class == pair[1].class) {
        return Err(Error::source(path, format!("holds the class {:?} twice", twice[0].class)));
    }
    let classes = tars.iter().map(|tar| tar.class.clone()).collect();
    let numbers = Numbers::new(path, classes, reading)?;
    let mut lister = Lister::new(numbers.classes.clone());
    let mut places = Places::default();
    let mut container: Option<Container> = None;
    for tar in &tars {
        let label = numbers.label(path, &tar.class)?;
        if container.as_ref().is_none_or(|open| open.path != tar.file) {
            container = Some(Container::open(&tar.file)?);
            places.begin(&tar.file);
        }
        let Some(file) = &container else { continue };
        for member in images(file, tar, &mut notes)? {
            let name = [tar.class.as_bytes(), b"/", member.name.as_slice()].concat();
            lister.push(&name, member.length, label);
            places.push(&member);
        }
    }
    Ok(Source::new(lister.finish(), places.ready()?).with_notes(notes.texts()))
}

/// What the user should know of the tars.
#[derive(Default)]
struct Notes {
    of_outer: Vec<String>,
    replaced: usize,
    /// Class tars without an end mark, or that are several: how many, and what is to be said of the first.
    odd_tars: usize,
    of_first: Vec<String>,
}

impl Notes {
    fn class_tar(&mut self, class: &str, ended: Ended) {
        let said = ended.notes(&format!("{class}.tar"));
        if !said.is_empty() {
            self.odd_tars += 1;
            if self.odd_tars == 1 {
                self.of_first = said;
            }
        }
    }

    fn texts(self) -> Vec<String> {
        let more = (self.odd_tars > 1).then(|| format!("and so for {} more class tars", self.odd_tars - 1));
        let replaced = replaced_note(self.replaced);
        self.of_outer.into_iter().chain(replaced).chain(self.of_first).chain(more).collect()
    }
}

/// The images of a class, sorted by name.
fn images(file: &Container, tar: &ClassTar, notes: &mut Notes) -> Result<Vec<Member>> {
    let what = format!("class tar {:?}: ", tar.class);
    let start = file.start(tar.range.start)?;
    if !is_tar(&start[..start.len().min((tar.range.end - tar.range.start) as usize)]) {
        let text = format!("{what}no tar begins at offset {}; copy it again", tar.range.start);
        return Err(Error::source(&file.path, text));
    }
    let (mut members, ended) = members(file, tar.range.clone(), &what)?;
    notes.class_tar(&tar.class, ended);
    members.retain(|member| !is_about_images(&member.name));
    if members.is_empty() {
        return Err(Error::source(&file.path, format!("{what}without images; remove it, or copy it again")));
    }
    notes.replaced += archive::sort(&mut members);
    Ok(members)
}

fn in_folder(folder: &Path) -> Result<Vec<ClassTar>> {
    let class_tar = |file: PathBuf| {
        let length = Container::open(&file)?.length;
        let name = file_name(&file);
        let class = name.strip_suffix(".tar").unwrap_or(&name).to_string();
        Ok(ClassTar { class, file, range: 0..length })
    };
    files_of(folder, |name| name.ends_with(".tar"))?.into_iter().map(class_tar).collect()
}

fn in_tar(path: &Path, notes: &mut Notes) -> Result<Vec<ClassTar>> {
    let file = Container::open(path)?;
    let mut tars = Vec::new();
    let ended = visit(&file, 0..file.length, "", |member| {
        let class = member.base().strip_suffix(b".tar").and_then(|class| std::str::from_utf8(class).ok());
        let (Some(class), Some(offset)) = (class, member.offset()) else {
            let what = format!("member {:?} is no class tar; expected <wnid>.tar", member.shown());
            return Err(Error::source(path, what));
        };
        let range = offset..offset + member.length;
        tars.push(ClassTar { class: class.to_string(), file: path.to_path_buf(), range });
        Ok(true)
    })?;
    notes.of_outer = ended.notes(&file_name(path));
    Ok(tars)
}

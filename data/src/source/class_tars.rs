//! Class tars: `ILSVRC2012_img_train.tar`, a tar of one tar per class, read in place; or a folder of such tars, as in
//! ImageNet's releases of 2009 and 2011.
//!
//! A class is named by its tar's name without `.tar`, a wnid. Classes and the images of a class are sorted by name in
//! byte order, whatever their order in the archive. All headers are read first, in order; images are later read at
//! their offsets.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::archive::{self, ArchiveEnd, Container, Member, MemberReader, is_tar, members, replaced_note, visit};
use super::class_index::ClassIndex;
use super::sample_list::SampleListBuilder;
use super::{Source, SourceOptions, file_name, files_of, is_folder, is_metadata};
use crate::error::{Error, Result};

/// A class, the file that holds its tar, and the tar's byte range.
struct ClassTar {
    class: String,
    file: PathBuf,
    range: Range<u64>,
}

pub(super) fn open(path: &Path, options: &SourceOptions) -> Result<Source> {
    let mut notes = TarNotes::default();
    let mut tars = if is_folder(path)? { in_folder(path)? } else { in_tar(path, &mut notes)? };
    if tars.is_empty() {
        return Err(Error::source(path, "holds no class tars; expected one <wnid>.tar for each class"));
    }
    tars.sort_by(|a, b| a.class.cmp(&b.class));
    if let Some(twice) = tars.windows(2).find(|pair| pair[0].class == pair[1].class) {
        return Err(Error::source(path, format!("holds the class {:?} twice", twice[0].class)));
    }
    let classes = tars.iter().map(|tar| tar.class.clone()).collect();
    let class_index = ClassIndex::new(path, classes, options)?;
    let mut builder = SampleListBuilder::new(class_index.classes.clone());
    let mut reader = MemberReader::default();
    let mut container: Option<Container> = None;
    for tar in &tars {
        let label = class_index.label(path, &tar.class)?;
        if container.as_ref().is_none_or(|open| open.path != tar.file) {
            container = Some(Container::open(&tar.file)?);
            reader.begin_file(&tar.file);
        }
        let Some(file) = &container else { continue };
        for member in images(file, tar, &mut notes)? {
            let name = [tar.class.as_bytes(), b"/", member.name.as_slice()].concat();
            builder.push(&name, member.length, label);
            reader.push(&member);
        }
    }
    Ok(Source::new(builder.finish(), reader.open()?).with_notes(notes.texts()))
}

/// Notes on the tars for the user.
#[derive(Default)]
struct TarNotes {
    outer: Vec<String>,
    replaced: usize,
    /// Number of class tars that lack an end mark or are concatenated, and the notes on the first.
    odd_tars: usize,
    first_odd: Vec<String>,
}

impl TarNotes {
    fn class_tar(&mut self, class: &str, ended: ArchiveEnd) {
        let found = ended.notes(&format!("{class}.tar"));
        if !found.is_empty() {
            self.odd_tars += 1;
            if self.odd_tars == 1 {
                self.first_odd = found;
            }
        }
    }

    fn texts(self) -> Vec<String> {
        let more = (self.odd_tars > 1).then(|| format!("and so for {} more class tars", self.odd_tars - 1));
        let replaced = replaced_note(self.replaced);
        self.outer.into_iter().chain(replaced).chain(self.first_odd).chain(more).collect()
    }
}

/// Images of a class, sorted by name.
fn images(file: &Container, tar: &ClassTar, notes: &mut TarNotes) -> Result<Vec<Member>> {
    let what = format!("class tar {:?}: ", tar.class);
    let start = file.start(tar.range.start)?;
    if !is_tar(&start[..start.len().min((tar.range.end - tar.range.start) as usize)]) {
        let text = format!("{what}no tar begins at offset {}; copy it again", tar.range.start);
        return Err(Error::source(&file.path, text));
    }
    let (mut members, ended) = members(file, tar.range.clone(), &what)?;
    notes.class_tar(&tar.class, ended);
    members.retain(|member| !is_metadata(&member.name));
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

fn in_tar(path: &Path, notes: &mut TarNotes) -> Result<Vec<ClassTar>> {
    let file = Container::open(path)?;
    let mut tars = Vec::new();
    let ended = visit(&file, 0..file.length, "", |member| {
        let class = member.file_name().strip_suffix(b".tar").and_then(|class| std::str::from_utf8(class).ok());
        let (Some(class), Some(offset)) = (class, member.offset()) else {
            let what = format!("member {:?} is no class tar; expected <wnid>.tar", member.display_name());
            return Err(Error::source(path, what));
        };
        let range = offset..offset + member.length;
        tars.push(ClassTar { class: class.to_string(), file: path.to_path_buf(), range });
        Ok(true)
    })?;
    notes.outer = ended.notes(&file_name(path));
    Ok(tars)
}

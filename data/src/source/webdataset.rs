//! WebDataset: tars of samples, each of which is some members with one name and several endings; a picture (`.jpg`,
//! `.jpeg`, `.png`, `.webp`) and its class (`.cls`: a number, or a name). Other members are ignored.
//!
//! Tars are taken in the order of their names, samples as they stand. Numbers are labels as they are; names are sorted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::archive::{Container, Member, Places, visit};
use super::catalogue::{Lister, Numbers, numbered};
use super::{Reading, Source, file_name, files_of};
use crate::error::{Error, Result};

const PICTURES: [&str; 4] = ["jpg", "jpeg", "png", "webp"];
/// A class has a short name.
const MAX_CLASS_BYTES: u64 = 1024;

/// The name of a sample and the ending of a member: the ending begins at the first dot of the last part of the path.
pub(super) fn key(name: &[u8]) -> (&[u8], String) {
    let base = name.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    let dot = name[base..].iter().position(|&b| b == b'.').map_or(name.len(), |at| base + at);
    let ending = name.get(dot + 1..).unwrap_or_default();
    (&name[..dot], String::from_utf8_lossy(ending).to_lowercase())
}

/// A sample in the making.
#[derive(Default)]
struct Sample {
    key: Vec<u8>,
    picture: Option<Member>,
    class: Option<String>,
}

/// A picture with its class, and the number of its tar.
struct Found {
    tar: usize,
    picture: Member,
    class: String,
}

pub(super) fn open(path: &Path, reading: &Reading) -> Result<Source> {
    let tars = tars(path)?;
    let mut found = Vec::new();
    for (number, tar) in tars.iter().enumerate() {
        samples(number, tar, &mut found)?;
    }
    if found.is_empty() {
        return Err(Error::source(path, "holds no samples of a picture and a .cls"));
    }
    let (classes, labels) = classes(path, &found, reading)?;
    let mut lister = Lister::new(classes);
    let mut places = Places::default();
    let mut current = usize::MAX;
    for (Found { tar, picture, .. }, label) in found.iter().zip(labels) {
        if *tar != current {
            places.begin(&tars[*tar]);
            current = *tar;
        }
        let name = [file_name(&tars[*tar]).as_bytes(), b"/", &picture.name].concat();
        lister.push(&name, picture.length, label);
        places.push(picture);
    }
    Ok(Source::new(lister.finish(), places.ready()?))
}

/// The tars, which must be of one series: a folder may hold `train-0000.tar` and `val-0000.tar` side by side.
fn tars(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let tars = files_of(path, |name| name.ends_with(".tar"))?;
    let series = |tar: &PathBuf| file_name(tar).chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let several: BTreeSet<String> = tars.iter().map(series).collect();
    if several.len() > 1 {
        let names: Vec<&str> = several.iter().map(String::as_str).take(5).collect();
        let what = format!("holds several series of tars ({}); expected one to a folder", names.join(", "));
        return Err(Error::source(path, what));
    }
    Ok(tars)
}

fn samples(number: usize, tar: &Path, found: &mut Vec<Found>) -> Result<()> {
    let file = Container::open(tar)?;
    let mut sample = Sample::default();
    visit(&file, 0..file.length, "", |member| {
        let (name, ending) = key(&member.name);
        if name != sample.key {
            finish(tar, number, std::mem::take(&mut sample), found)?;
            sample.key = name.to_vec();
        }
        if ending == "cls" {
            sample.class = Some(class(&file, &member)?);
        } else if PICTURES.contains(&ending.as_str()) {
            sample.picture = Some(member);
        }
        Ok(true)
    })?;
    finish(tar, number, sample, found)
}

/// The content of a `.cls`.
fn class(file: &Container, member: &Member) -> Result<String> {
    let wrong = |what: &str| {
        let offset = member.offset.unwrap_or(0);
        Error::source(&file.path, format!("member {:?} at offset {offset}: {what}", member.shown()))
    };
    let offset = member.offset.ok_or_else(|| wrong("is a link"))?;
    if member.length > MAX_CLASS_BYTES {
        return Err(wrong("is too long for a class"));
    }
    let mut bytes = vec![0; member.length as usize];
    file.read_at(offset, &mut bytes).map_err(Error::io(&file.path, "cannot be read"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("is no text"))?.trim();
    match text.is_empty() || text.contains('\n') {
        true => Err(wrong("expected one class, a number or a name")),
        false => Ok(text.to_string()),
    }
}

fn finish(tar: &Path, number: usize, sample: Sample, found: &mut Vec<Found>) -> Result<()> {
    let lacks = |what: &str| {
        let name = String::from_utf8_lossy(&sample.key).into_owned();
        Err(Error::source(tar, format!("sample {name:?} has no {what}")))
    };
    match (sample.picture, sample.class) {
        (Some(picture), Some(class)) => found.push(Found { tar: number, picture, class }),
        (Some(_), None) => return lacks(".cls beside its picture"),
        (None, Some(_)) => return lacks("picture (.jpg, .jpeg, .png or .webp) beside its .cls"),
        (None, None) => {}
    }
    Ok(())
}

/// Names of the classes and the label of each picture.
fn classes(path: &Path, found: &[Found], reading: &Reading) -> Result<(Vec<String>, Vec<u32>)> {
    let numbers: Option<Vec<u64>> = found.iter().map(|f| f.class.parse().ok()).collect();
    if let Some(numbers) = numbers {
        let largest = numbers.iter().copied().max().unwrap_or(0);
        let classes = numbered(path, largest, None, reading)?;
        return Ok((classes, numbers.into_iter().map(|label| label as u32).collect()));
    }
    let names: BTreeSet<&str> = found.iter().map(|f| f.class.as_str()).collect();
    let names = names.into_iter().map(str::to_string).collect();
    let numbers = Numbers::new(path, names, reading.classes)?;
    let labels = found.iter().map(|f| numbers.label(path, &f.class)).collect::<Result<_>>()?;
    Ok((numbers.classes, labels))
}

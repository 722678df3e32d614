//! WebDataset: tars of samples, where a sample is several members with one name and different extensions: an image
//! (`.jpg`, `.png`, `.webp` and others) and its class in `.cls`, a number or a name; or, if no sample has one, in a key
//! of its `.json`. Other members are ignored.
//!
//! Tars are sorted by name, samples keep their order. Numbers are labels themselves (see
//! [`numeric_labels`](super::numeric_labels)); names are sorted. A sample without image or class, or with an unreadable
//! class, is a rejected image.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::archive::{Container, Member, MemberReader, members};
use super::class_index::ClassIndex;
use super::numeric_labels::numeric_classes;
use super::sample_list::SampleListBuilder;
use super::{Source, SourceOptions, file_name, files_of, is_folder, series};
use crate::error::{Error, Result};

const IMAGES: [&str; 13] =
    ["jpg", "jpeg", "jpe", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm", "pgm", "pbm", "pnm"];
/// Maximum size of a `.cls` file.
const MAX_CLASS_BYTES: u64 = 1024;
const MAX_JSON_BYTES: u64 = 16 << 20;
/// Known keys of a class in a `.json`.
const KEYS: [&str; 3] = ["label", "cls", "class"];

/// The sample name and the extension of a member: the extension begins at the first dot of the file name.
pub(super) fn split_name(name: &[u8]) -> (&[u8], String) {
    let base = name.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    let dot = name[base..].iter().position(|&b| b == b'.').map_or(name.len(), |at| base + at);
    let ending = name.get(dot + 1..).unwrap_or_default();
    (&name[..dot], String::from_utf8_lossy(ending).to_lowercase())
}

/// Whether a member is an image by its extension.
pub(super) fn is_image(ending: &str) -> bool {
    IMAGES.contains(&ending)
}

/// A sample being collected.
#[derive(Default)]
struct Sample {
    split_name: Vec<u8>,
    image: Option<Member>,
    cls: Option<Member>,
    json: Option<Member>,
    /// Extensions of other members.
    others: Vec<String>,
}

/// Class of a sample.
#[derive(Debug)]
enum Class {
    Cls(String),
    Json(String),
    Bad(String),
}

/// A sample with an image or a class, and the index of its tar.
struct LabelledSample {
    tar: usize,
    name: Vec<u8>,
    image: Result<Member, String>,
    class: Class,
}

pub(super) fn open(path: &Path, options: &SourceOptions) -> Result<Source> {
    let tars = tars(path)?;
    let mut found = Vec::new();
    let names: Vec<String> = tars.iter().map(|tar| file_name(tar)).collect();
    let mut notes: Vec<String> = series::note(&names).into_iter().collect();
    for (number, tar) in tars.iter().enumerate() {
        notes.extend(read_samples(number, tar, options, &mut found)?);
    }
    prefer_cls(&mut found);
    let has_usable = found.iter().any(|f| f.image.is_ok() && !matches!(f.class, Class::Bad(_)));
    if !has_usable {
        return Err(Error::source(path, nothing_usable(&found)));
    }
    let (classes, labels) = classes(path, &found, options)?;
    let mut builder = SampleListBuilder::new(classes);
    let mut reader = MemberReader::default();
    let mut current = usize::MAX;
    for (LabelledSample { tar, name, image, class }, label) in found.iter().zip(labels) {
        if *tar != current {
            reader.begin_file(&tars[*tar]);
            current = *tar;
        }
        let name = [file_name(&tars[*tar]).as_bytes(), b"/", name].concat();
        builder.push(&name, image.as_ref().map_or(0, |image| image.length), label);
        match (image, class) {
            (Err(why), _) | (_, Class::Bad(why)) => reader.push_rejected(why.clone()),
            (Ok(image), _) => reader.push(image),
        }
    }
    Ok(Source::new(builder.finish(), reader.open()?).with_notes(notes))
}

/// The tars, which must be one series: a folder may hold both `train-0000.tar` and `val-0000.tar`.
fn tars(path: &Path) -> Result<Vec<PathBuf>> {
    if !is_folder(path)? {
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

/// Adds the samples of a tar. Returns notes for the user.
fn read_samples(
    number: usize,
    tar: &Path,
    options: &SourceOptions,
    found: &mut Vec<LabelledSample>,
) -> Result<Vec<String>> {
    let file = Container::open(tar)?;
    let (members, ended) = members(&file, 0..file.length, "")?;
    let mut sample = Sample::default();
    for member in members {
        let (name, ending) = split_name(&member.name);
        if name != sample.split_name {
            found.extend(finish_sample(&file, number, std::mem::take(&mut sample), options)?);
            sample.split_name = name.to_vec();
        }
        match ending.as_str() {
            "cls" => sample.cls = Some(member),
            "json" => sample.json = Some(member),
            image if is_image(image) => sample.image = Some(member),
            _ => sample.others.push(ending),
        }
    }
    found.extend(finish_sample(&file, number, sample, options)?);
    Ok(ended.notes(&file_name(tar)))
}

/// Completes a sample; `None` if it has neither image nor class.
fn finish_sample(
    file: &Container,
    tar: usize,
    sample: Sample,
    options: &SourceOptions,
) -> Result<Option<LabelledSample>> {
    let no_cls = || Class::Bad("no .cls beside the image".into());
    let class = match (&sample.cls, &sample.json, options.label_column) {
        (Some(cls), _, None) => text(file, cls, MAX_CLASS_BYTES)?
            .and_then(|text| parse_cls(&text))
            .map_or_else(|why| Class::Bad(format!("its .cls {why}")), Class::Cls),
        (_, Some(json), column) => {
            text(file, json, MAX_JSON_BYTES)?.and_then(|text| parse_json(&text, column)).map_or_else(
                |why| {
                    Class::Bad(if column.is_some() {
                        format!("its .json {why}")
                    } else {
                        format!("no .cls, and its .json {why}")
                    })
                },
                Class::Json,
            )
        }
        (_, None, Some(_)) => Class::Bad("no .json beside the image".into()),
        (None, None, None) => no_cls(),
    };
    let (name, image) = match sample.image {
        Some(image) => (image.name.clone(), Ok(image)),
        None => {
            let others =
                if sample.others.is_empty() { String::new() } else { format!(", but .{}", sample.others.join(", .")) };
            (sample.split_name, Err(format!("no image (.{}) in the sample{others}", IMAGES.join(", ."))))
        }
    };
    let is_empty = image.is_err() && matches!(class, Class::Bad(_)) && sample.cls.is_none();
    Ok((!is_empty).then_some(LabelledSample { tar, name, image, class }))
}

/// Text of a small member, or the reason why there is none.
fn text(file: &Container, member: &Member, limit: u64) -> Result<Result<String, String>> {
    let Some(offset) = member.offset() else { return Ok(Err("is a link or a sparse file".into())) };
    if member.length > limit {
        return Ok(Err(format!("has {} bytes, at most {limit} are read", member.length)));
    }
    let bytes = file.bytes_at(offset, member.length as usize)?;
    let text = String::from_utf8(bytes).map_err(|_| "is no text in UTF-8".to_string());
    Ok(text.map(|text| text.trim_start_matches('\u{feff}').trim().to_string()))
}

/// Parses the content of a `.cls`.
fn parse_cls(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('\n') {
        return Err("is not one class, a number or a name".into());
    }
    Ok(text.to_string())
}

/// The class in a `.json`, by the requested key or the known ones.
fn parse_json(text: &str, column: Option<&str>) -> Result<String, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| format!("is no JSON: {e}"))?;
    let Value::Object(object) = &value else { return Err("is no JSON object".into()) };
    let keys: Vec<&str> = match column {
        Some(column) => vec![column],
        None => KEYS.into_iter().filter(|split_name| object.contains_key(*split_name)).collect(),
    };
    let wanted = match keys.as_slice() {
        [only] => *only,
        [] => {
            let has: Vec<&str> = object.keys().take(12).map(String::as_str).collect();
            return Err(format!(
                "has none of the keys {}, but {}; say which is the label (--label-column KEY)",
                KEYS.join(", "),
                has.join(", ")
            ));
        }
        several => {
            return Err(format!("has the keys {}; say which is the label (--label-column KEY)", several.join(" and ")));
        }
    };
    match object.get(wanted) {
        Some(Value::String(name)) => parse_cls(name.trim()).map_err(|why| format!("has a {wanted:?} that {why}")),
        Some(Value::Number(number)) if number.is_u64() => Ok(number.to_string()),
        Some(Value::Number(number)) if number.as_f64().is_some_and(|n| n >= 0.0 && n.fract() == 0.0 && n < 1e15) => {
            Ok(format!("{:.0}", number.as_f64().unwrap_or_default()))
        }
        Some(other) => Err(format!("has {other} as {wanted:?}; expected a whole number or a name")),
        None => Err(format!("has no key {wanted:?}")),
    }
}

/// If any sample has a `.cls`, classes of all samples come from `.cls`.
fn prefer_cls(found: &mut [LabelledSample]) {
    if found.iter().any(|f| matches!(f.class, Class::Cls(_))) {
        for f in found.iter_mut().filter(|f| matches!(f.class, Class::Json(_))) {
            f.class = Class::Bad("no .cls beside the image, though other samples have one".into());
        }
    }
}

/// Explains why there is no usable sample, by the first one.
fn nothing_usable(found: &[LabelledSample]) -> String {
    let why = found.first().map(|f| match (&f.image, &f.class) {
        (Err(why), _) | (_, Class::Bad(why)) => format!("; {}: {why}", String::from_utf8_lossy(&f.name)),
        _ => String::new(),
    });
    format!("holds no samples of an image and a .cls, or a .json with a label{}", why.unwrap_or_default())
}

/// Class names and the label of each sample; that of a sample without class is irrelevant.
fn classes(path: &Path, found: &[LabelledSample], options: &SourceOptions) -> Result<(Vec<String>, Vec<u32>)> {
    let class = |f: &'_ LabelledSample| match &f.class {
        Class::Cls(class) | Class::Json(class) => Some(class.clone()),
        Class::Bad(_) => None,
    };
    let all: Vec<Option<String>> = found.iter().map(class).collect();
    let number = |class: &Option<String>| class.as_ref().map(|class| class.parse::<u64>()).transpose();
    if let Ok(numbers) = all.iter().map(number).collect::<Result<Vec<Option<u64>>, _>>() {
        let numeric_classes = numeric_classes(path, &numbers.iter().flatten().copied().collect(), None, options)?;
        let labels = numbers.iter().map(|label| label.map_or(0, |label| numeric_classes.label_of(label))).collect();
        return Ok((numeric_classes.classes, labels));
    }
    let names: BTreeSet<&String> = all.iter().flatten().collect();
    let labelled = all.iter().flatten().count();
    let is_json = found.iter().any(|f| matches!(f.class, Class::Json(_)));
    if is_json && labelled > 1 && names.len() == labelled && options.classes.is_none() {
        let what = format!(
            "the labels in its .json make each of the {labelled} images its own class; say which key is the label \
             (--label-column KEY)"
        );
        return Err(Error::source(path, what));
    }
    let class_index = ClassIndex::new(path, names.into_iter().cloned().collect(), options)?;
    let label = |class: &Option<String>| class.as_ref().map_or(Ok(0), |class| class_index.label(path, class));
    let labels = all.iter().map(label).collect::<Result<_>>()?;
    Ok((class_index.classes, labels))
}

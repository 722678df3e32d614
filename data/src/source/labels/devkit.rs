//! Development kits of ILSVRC 2010 to 2012: the ground truth of the validation images, one per line, as ILSVRC's own
//! numbers from 1 on, and the wnids of those numbers.
//!
//! The wnids are in `meta.mat` or in a text: `map_clsloc.txt` (lines like `n02119789 1 kit_fox`) or `synsets.txt` (one
//! wnid per line in the order of the numbers). A list sorted by wnid has another order and is refused.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;

use super::super::archive::{gunzip_file, open_file, visit};
use super::super::{file_name, files_of, is_folder};
use super::matlab::{self, MatValue};
use crate::error::{Error, Result};

/// Maximum size of a file of a kit, and of its decompressed archive.
const MAX_BYTES: u64 = 64 << 20;
const TEXTS: [&str; 2] = ["map_clsloc.txt", "synsets.txt"];

/// Relevant files of a kit by name.
type Kit = BTreeMap<String, Vec<u8>>;

/// The classes, sorted by wnid, and the wnid of each image; `None` if `path` is not a development kit.
pub(super) fn read(path: &Path) -> Result<Option<(Vec<String>, Vec<String>)>> {
    let is_ground_truth = path.file_name().is_some_and(|name| is_ground_truth(&name.to_string_lossy()));
    let kit = if is_folder(path)? {
        read_folder(path)?
    } else if is_ground_truth {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut kit = read_folder(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        kit.retain(|other, _| !self::is_ground_truth(other));
        kit.insert(name, read_bounded(path)?);
        kit
    } else if starts_with_gzip(path)? {
        read_archive(path)?
    } else {
        return Ok(None);
    };
    let ground_truth = kit.iter().find(|(name, _)| self::is_ground_truth(name));
    let Some((name, ground_truth)) = ground_truth else {
        return Err(Error::source(path, "holds no ILSVRC..._validation_ground_truth.txt"));
    };
    let wnids = wnids_by_number(path, &kit)?;
    let mut labels = Vec::new();
    for (line, text) in String::from_utf8_lossy(ground_truth).lines().enumerate() {
        let number = text.trim().parse::<u32>().ok();
        let wnid = number.and_then(|number| wnids.get(&number)).ok_or_else(|| {
            let what = format!("{name}: line {}: {:?} is not among the {} classes", line + 1, text.trim(), wnids.len());
            Error::source(path, what)
        })?;
        labels.push(wnid.clone());
    }
    let mut classes: Vec<String> = wnids.into_values().collect();
    classes.sort_unstable();
    classes.dedup();
    Ok(Some((classes, labels)))
}

/// Whether a file is the ground truth of the validation images; that of the test images is never published.
fn is_ground_truth(name: &str) -> bool {
    name.ends_with("_ground_truth.txt")
}

fn is_wanted(name: &str) -> bool {
    name == "meta.mat" || TEXTS.contains(&name) || name.ends_with("validation_ground_truth.txt")
}

/// An unpacked kit: its `data` folder, or the folder above it.
fn read_folder(path: &Path) -> Result<Kit> {
    let mut kit = Kit::new();
    for read_folder in [path.to_path_buf(), path.join("data")] {
        if is_folder(&read_folder)? {
            for file in files_of(&read_folder, is_wanted)? {
                kit.insert(file_name(&file), read_bounded(&file)?);
            }
        }
    }
    Ok(kit)
}

fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let (file, _) = open_file(path)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io(path, "cannot be read"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::source(path, format!("is larger than {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

fn starts_with_gzip(path: &Path) -> Result<bool> {
    let mut start = Vec::new();
    let (file, _) = open_file(path)?;
    file.take(2).read_to_end(&mut start).map_err(Error::io(path, "cannot be read"))?;
    Ok(start == [0x1f, 0x8b])
}

/// A kit as distributed.
fn read_archive(path: &Path) -> Result<Kit> {
    let file = gunzip_file(path, MAX_BYTES)?;
    let mut kit = Kit::new();
    visit(&file, 0..file.length, "", |member| {
        let name = String::from_utf8_lossy(member.file_name()).into_owned();
        if let Some(offset) = member.offset().filter(|_| is_wanted(&name)) {
            // Within the decompressed archive.
            kit.insert(name, file.bytes_at(offset, member.length as usize)?);
        }
        Ok(true)
    })?;
    Ok(kit)
}

/// The wnid of each of ILSVRC's numbers.
fn wnids_by_number(path: &Path, kit: &Kit) -> Result<HashMap<u32, String>> {
    let found = if let Some(meta) = kit.get("meta.mat") {
        from_meta(meta).map_err(|what| Error::source(path, format!("meta.mat: {what}")))?
    } else if let Some((name, text)) = TEXTS.iter().find_map(|name| Some((name, kit.get(*name)?))) {
        from_text(&String::from_utf8_lossy(text)).map_err(|what| Error::source(path, format!("{name}: {what}")))?
    } else {
        let what =
            "expected meta.mat (or map_clsloc.txt, or synsets.txt in ILSVRC's order) of the development kit beside it";
        return Err(Error::source(path, what));
    };
    if found.is_empty() {
        return Err(Error::source(path, "its table of synsets is empty"));
    }
    Ok(found)
}

/// The leaves of `synsets`, which are the classes of the challenge: those without children.
fn from_meta(bytes: &[u8]) -> std::result::Result<HashMap<u32, String>, String> {
    let variables = matlab::read(bytes)?;
    let synsets = variables.into_iter().find(|(name, _)| name == "synsets").map(|(_, value)| value);
    let Some(MatValue::Struct { fields, values }) = synsets else {
        return Err("holds no struct \"synsets\"".into());
    };
    let column = |wanted: &dyn Fn(&str) -> bool| fields.iter().position(|field| wanted(field));
    let id = column(&|f| f.ends_with("_ID")).ok_or("\"synsets\" has no field ILSVRC..._ID")?;
    let wnid = column(&|f| f == "WNID").ok_or("\"synsets\" has no field WNID")?;
    let children = column(&|f| f == "num_children");
    let mut found = HashMap::new();
    for (number, row) in values.chunks_exact(fields.len()).enumerate() {
        let Some(MatValue::Number(id)) = row.get(id) else { return Err(format!("synset {number} has no number")) };
        let Some(MatValue::Text(wnid)) = row.get(wnid) else { return Err(format!("synset {number} has no WNID")) };
        let has_children =
            children.and_then(|at| row.get(at)).is_some_and(|c| !matches!(c, MatValue::Number(n) if *n == 0.0));
        if !has_children && *id >= 1.0 && *id <= f64::from(u32::MAX) {
            found.insert(*id as u32, wnid.trim().to_string());
        }
    }
    Ok(found)
}

fn from_text(text: &str) -> std::result::Result<HashMap<u32, String>, String> {
    let mut found = HashMap::new();
    let mut wnids = Vec::new();
    let mut numbered = true;
    for (line, text) in (1..).zip(text.lines().map(str::trim).filter(|text| !text.is_empty())) {
        let mut words = text.split_whitespace();
        let wnid = words.next().unwrap_or_default().to_string();
        let number = words.next().and_then(|word| word.parse().ok());
        numbered &= number.is_some();
        wnids.push(wnid.clone());
        found.insert(number.unwrap_or(line), wnid);
    }
    if !numbered && wnids.len() > 2 && wnids.is_sorted() {
        let what =
            "is sorted by wnid, which is not the order of ILSVRC's numbers; give the kit's meta.mat or map_clsloc.txt";
        return Err(what.into());
    }
    Ok(found)
}

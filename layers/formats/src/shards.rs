//! Parameters in several files: an index, as `model.safetensors.index.json`, says which file has which tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use files::regular_file;
use layers::weights::{AxisOrder, MAX_TENSORS};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::{Error, ForeignFile, Format, Result, safetensors, torch};

/// The content of an index.
#[derive(Deserialize)]
struct Index {
    weight_map: Places,
}

/// The file of each tensor: names of tensors and of files.
struct Places(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(PlacesVisitor)
    }
}

struct PlacesVisitor;

impl<'de> Visitor<'de> for PlacesVisitor {
    type Value = Places;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of file names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Places, A::Error> {
        let mut places = Vec::new();
        while let Some(place) = map.next_entry()? {
            places.push(place);
        }
        Ok(Places(places))
    }
}

impl Places {
    /// The file of each tensor by its name.
    fn by_tensor(self) -> std::result::Result<BTreeMap<String, String>, String> {
        if self.0.len() > MAX_TENSORS {
            return Err(format!("names {} tensors; at most {MAX_TENSORS} are read", self.0.len()));
        }
        let mut files = BTreeMap::new();
        for (tensor, file) in self.0 {
            if files.contains_key(&tensor) {
                let tensor = files::printable::brief(&tensor, 80);
                return Err(format!("names the tensor {tensor:?} twice; it is damaged"));
            }
            files.insert(tensor, file);
        }
        Ok(files)
    }
}

/// Whether a file is an index.
pub(crate) fn is_index(path: &Path) -> bool {
    regular_file::read_text(path).is_ok_and(|text| serde_json::from_str::<Index>(&text).is_ok())
}

/// Reads the files that an index names. They lie in its folder, under plain names; links are followed, as those of a
/// cache of downloads lead elsewhere.
pub(crate) fn read(path: &Path) -> Result<ForeignFile> {
    let text = regular_file::read_text(path).map_err(Error::file(path))?;
    let index: Index = serde_json::from_str(&text).map_err(|e| Error::refused(path, format!("is no index: {e}")))?;
    let files = index.weight_map.by_tensor().map_err(|what| Error::refused(path, what))?;
    let names: BTreeSet<&str> = files.values().map(String::as_str).collect();
    let mut whole = ForeignFile::new(Format::Shards, AxisOrder::PyTorch);
    for name in names {
        let shard = shard(path, name)?;
        check_there(path, &shard)?;
        let file = match Format::of(&shard)? {
            Format::Safetensors => safetensors::read(&shard)?,
            Format::Torch => torch::read(&shard)?,
            other => return Err(Error::refused(&shard, format!("is {other}; a shard is safetensors or PyTorch's"))),
        };
        let is_listed = |tensor: &str| files.get(tensor).is_some_and(|of| of == name);
        whole.tensors.extend(file.tensors.into_iter().filter(|tensor| is_listed(&tensor.name)));
        let notes = file.notes.into_iter().filter(|note| !whole.notes.contains(note)).collect::<Vec<_>>();
        whole.notes.extend(notes);
    }
    let found: BTreeSet<&str> = whole.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let is_missing = |name: &str| !found.contains(name) && !name.ends_with("num_batches_tracked");
    match files.iter().find(|(name, _)| is_missing(name)) {
        Some((name, shard)) => {
            Err(Error::refused(path, format!("{name} is not in {shard}, as it says; get both again")))
        }
        None => Ok(whole),
    }
}

/// Fails, naming the index, if a file that it names is not there.
fn check_there(path: &Path, shard: &Path) -> Result<()> {
    match shard.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let name = shard.display().to_string();
            let name = files::printable::name(&name);
            let what = format!("names {name}, which is not there; put the file beside the index, or get both again");
            Err(Error::refused(path, what))
        }
        // Other errors are those of reading it.
        _ => Ok(()),
    }
}

/// The path of a file in the index's folder.
fn shard(path: &Path, name: &str) -> Result<PathBuf> {
    let mut parts = Path::new(name).components();
    let is_plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) && !name.contains('\\');
    if !is_plain {
        let what =
            format!("names the file {:?}, which is not in its folder; it is damaged", files::printable::name(name));
        return Err(Error::refused(path, what));
    }
    Ok(path.with_file_name(name))
}

//! Parameters in several files: an index, as `model.safetensors.index.json`, says which file has which tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use files::regular_file;
use layers::weights::AxisOrder;
use serde::Deserialize;

use crate::{Error, ForeignFile, Format, Result, safetensors, torch};

/// The content of an index.
#[derive(Deserialize)]
struct Index {
    /// The file of each tensor, by the tensor's name.
    weight_map: BTreeMap<String, String>,
}

/// Whether a file is an index.
pub(crate) fn is_index(path: &Path) -> bool {
    regular_file::read_text(path).is_ok_and(|text| serde_json::from_str::<Index>(&text).is_ok())
}

/// Reads the files that an index names. They lie in its folder.
pub(crate) fn read(path: &Path) -> Result<ForeignFile> {
    let text = regular_file::read_text(path).map_err(Error::file(path))?;
    let index: Index = serde_json::from_str(&text).map_err(|e| Error::refused(path, format!("is no index: {e}")))?;
    let names: BTreeSet<&str> = index.weight_map.values().map(String::as_str).collect();
    let mut whole = ForeignFile::new(Format::Shards, AxisOrder::PyTorch);
    for name in names {
        let shard = shard(path, name)?;
        let file = match Format::of(&shard)? {
            Format::Safetensors => safetensors::read(&shard)?,
            Format::Torch => torch::read(&shard)?,
            other => return Err(Error::refused(&shard, format!("is {other}; a shard is safetensors or PyTorch's"))),
        };
        let is_listed = |tensor: &str| index.weight_map.get(tensor).is_some_and(|of| of == name);
        whole.tensors.extend(file.tensors.into_iter().filter(|tensor| is_listed(&tensor.name)));
        whole.notes.extend(file.notes);
    }
    let found: BTreeSet<&str> = whole.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let is_missing = |name: &str| !found.contains(name) && !name.ends_with("num_batches_tracked");
    match index.weight_map.iter().find(|(name, _)| is_missing(name)) {
        Some((name, shard)) => {
            Err(Error::refused(path, format!("{name} is not in {shard}, as it says; get both again")))
        }
        None => Ok(whole),
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

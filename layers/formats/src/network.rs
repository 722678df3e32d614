//! Networks by name or by file.

use std::io::Read;
use std::path::Path;

use files::regular_file;
use layers::Model;
use layers::weights::Weights;

use crate::{Error, Format, Result, keras, read};

/// The preset of this name, or the network in the file at this path: a TOML file, or a weights file of any format that
/// describes its network.
///
/// ```
/// assert_eq!(alexnet_formats::model_of("keras").unwrap().classes, 1000);
/// ```
///
/// # Errors
/// [`Error::Layers`] for a name that is neither a preset nor a file, and for a TOML file that is no network; those of
/// [`model`] for a weights file.
pub fn model_of(name_or_path: &str) -> Result<Model> {
    let path = Path::new(name_or_path);
    if !Model::presets().contains(&name_or_path) && is_binary(path) {
        return model(path);
    }
    Ok(Model::load(name_or_path)?)
}

/// The network that a weights file describes, whatever its format.
///
/// # Errors
/// [`Error::File`] if it cannot be read; [`Error::Refused`] if it is damaged, describes no network, or one with a layer
/// that this workspace does not have, which it names.
pub fn model(path: &Path) -> Result<Model> {
    let model = match Format::of(path)? {
        Format::KerasArchive | Format::KerasHdf5 => {
            let model = keras::model(path)?;
            check(path, &model)?;
            return Ok(model);
        }
        Format::Own => Weights::load(path)?.model,
        _ => match read(path)? {
            Some(file) => file.model,
            None => Weights::load(path)?.model,
        },
    };
    let what = "holds weights but describes no network; name a preset or the TOML file of a network";
    model.ok_or_else(|| Error::refused(path, what))
}

/// Fails for a network whose settings are outside the ranges of network files: what is written of it could not be read.
pub(crate) fn check(path: &Path, model: &Model) -> Result<()> {
    Model::parse(&model.to_toml(), &path.display().to_string())?;
    Ok(())
}

/// Whether a file is no text: the first bytes have control characters, or cannot begin a text in UTF-8. Zeros alone are
/// an empty disk's, and no weights file.
fn is_binary(path: &Path) -> bool {
    let mut start = Vec::with_capacity(64);
    let read = regular_file::open(path).and_then(|file| file.take(64).read_to_end(&mut start));
    let is_control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    let is_empty = start.iter().all(|byte| *byte == 0);
    read.is_ok()
        && !is_empty
        && (start.iter().any(is_control) || start.first().is_some_and(|byte| matches!(byte, 0x80..=0xbf)))
}

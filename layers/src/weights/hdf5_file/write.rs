//! Writing HDF5 files.

use std::path::Path;

use hdf5::plist::group_create::LinkPhaseChange;
use hdf5::{File, Group};
use ndarray::{ArrayViewD, arr1};

use super::text::{self, TextResult};
use super::{EXIF_ORIENTATION, Extra, FORMAT, MODEL_CRC, Parts, TensorSource, VERSION, failure, unlocked, verify};
use crate::weights::{Weights, crc_of};
use crate::{Error, Result};

/// Saves weights, and with `extra` a checkpoint. The file is read back and compared with the values in memory before it
/// gets its name.
///
/// # Errors
/// Those of [`Weights::save`].
pub fn save_with(path: &Path, weights: &Weights, extra: Option<&Extra>) -> Result<()> {
    save_parts(path, &Parts::of(weights, extra))
}

/// Like [`save_with`], from where the tensors are: memory for a copy of them is not needed.
///
/// # Errors
/// Those of [`Weights::save`], and of the tensors' device.
pub fn save_parts(path: &Path, parts: &Parts<'_>) -> Result<()> {
    parts.check(path)?;
    files::replace(path, |temporary| {
        hdf5::silence_errors(true);
        let what = "cannot be written; the old file is kept";
        let what = files::if_there(path, what, "cannot be written");
        write(temporary, parts).map_err(|failed| match failed {
            Failure::Words(words) => failure(path, what, "cannot be written: ", &words),
            Failure::Values(error) => error,
        })?;
        verify::verify(temporary, path, parts)
    })
}

impl From<hdf5::Error> for Failure {
    fn from(error: hdf5::Error) -> Self {
        Self::Words(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Words(text)
    }
}

/// The reason why a file could not be written.
enum Failure {
    /// A message of HDF5.
    Words(String),
    /// The values could not be read.
    Values(Error),
}

fn write(path: &Path, parts: &Parts<'_>) -> std::result::Result<(), Failure> {
    let weights = parts.description;
    let file = create(path)?;
    text::write_attribute(&file, "format", FORMAT)?;
    file.new_attr::<u32>().create("version")?.write_scalar(&VERSION)?;
    if let Some(model) = &weights.model {
        let text = model.to_toml();
        text::write_attribute(&file, "model", &text)?;
        file.new_attr::<u32>().create(MODEL_CRC)?.write_scalar(&text::crc_of(&[text]))?;
    }
    if weights.exif_orientation {
        file.new_attr::<u8>().create(EXIF_ORIENTATION)?.write_scalar(&1u8)?;
    }
    write_tensors(&new_group(&file, "parameters")?, &parts.parameters)?;
    if !weights.classes.is_empty() {
        text::write_list(&file, "classes", &weights.classes)?;
    }
    if let Some(image) = &weights.mean_image {
        write_tensor(&file, "mean_image", image.view().into_dyn())?;
    }
    if let Some(rgb) = &weights.mean_rgb {
        write_tensor(&file, "mean_rgb", arr1(rgb).view().into_dyn())?;
    }
    if let Some((state, tensors)) = &parts.training {
        let training = new_group(&file, "training")?;
        text::write_scalar(&training, "state", state)?;
        write_tensors(&new_group(&training, "optimizer")?, tensors)?;
    }
    // Writes the structure of the file. Closing would write it too, but could not report a failure.
    file.flush()?;
    Ok(file.close()?)
}

/// A new file under its temporary name.
fn create(path: &Path) -> hdf5::Result<File> {
    File::with_options()
        // Without the sieve buffer a dataset is written when it is made, and a failure is an error. With it, small ones
        // are written when they are dropped, where errors are lost.
        .with_fapl(|plist| unlocked(plist).libver_v110().sieve_buf_size(0))
        .with_fcpl(|plist| plist.obj_track_times(false))
        .create(path)
}

/// A group whose links stay in its header, however many there are. HDF5 would move more than a few to a heap, and its
/// library (1.10.8) crashes if the heap is damaged.
fn new_group(parent: &Group, name: &str) -> TextResult<Group> {
    let compact = LinkPhaseChange { max_compact: 65_535, min_dense: 0 };
    let builder = parent.create_group_builder().with_gcpl(|p| p.obj_track_times(false).link_phase_change(compact));
    builder.create(name).map_err(|e| format!("group {name}: {e}"))
}

fn write_tensors(group: &Group, tensors: &[TensorSource<'_>]) -> std::result::Result<(), Failure> {
    for source in tensors {
        let name = source.name();
        let parts: Vec<&str> = name.split('/').collect();
        if parts.iter().any(|part| part.is_empty() || *part == "." || *part == ".." || part.contains('\0')) {
            return Err(format!("tensor {name:?} has a name that HDF5 cannot hold").into());
        }
        let mut parent = group.clone();
        for part in &parts[..parts.len() - 1] {
            parent = if parent.link_exists(part) {
                parent.group(part).map_err(|e| format!("group {part}: {e}"))?
            } else {
                new_group(&parent, part)?
            };
        }
        let values = source.read().map_err(Failure::Values)?;
        write_tensor(&parent, parts[parts.len() - 1], values.view())?;
    }
    Ok(())
}

fn write_tensor(group: &Group, name: &str, values: ArrayViewD<'_, f32>) -> TextResult<()> {
    let contiguous = values.as_standard_layout();
    let crc = crc_of(contiguous.as_slice().ok_or_else(|| format!("{name}: not in row-major order"))?);
    let builder = group.new_dataset_builder().obj_track_times(false).no_chunk();
    let dataset = builder.with_data(contiguous.view()).create(name).map_err(|e| format!("dataset {name}: {e}"))?;
    text::write_crc(&dataset, crc).map_err(|e| format!("dataset {name}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_being_written_is_not_locked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.h5");
        let _file = create(&path).unwrap();
        // A child process that inherits a locked file keeps the lock after we closed it.
        std::fs::File::open(&path).unwrap().try_lock().unwrap();
    }
}

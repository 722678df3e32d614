//! Reads a new file back before it replaces an older one.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use files::printable::hdf5_reason;
use hdf5::File;
use ndarray::{ArrayViewD, arr1};

use super::read::{
    Reader, attribute, check_crc, check_format, check_length, exif_orientation, model_text, open, stored_crc,
};
use super::text::TextResult;
use super::{Parts, TensorSource, unlocked};
use crate::weights::{BLOCK, refused, unreadable};
use crate::{Error, Result};

/// Fails unless the file `temporary` holds exactly these parts. Messages name `path`. Memory does not grow with the
/// weights.
pub(super) fn verify(temporary: &Path, path: &Path, parts: &Parts<'_>) -> Result<()> {
    let renamed = |error| match error {
        Error::Weights { what, .. } => different(path, &what),
        Error::File { what, source, .. } => Error::File { path: path.into(), what, source },
        other => other,
    };
    let length = check_length(temporary).map_err(renamed)?;
    let file = File::with_options().with_fapl(unlocked).open(temporary);
    let file = file.map_err(|e| different(path, &hdf5_reason(&e.to_string())))?;
    check_format(temporary, &file).map_err(renamed)?;
    let bytes = fs::File::open(temporary).map_err(unreadable(path))?;
    let mut written = WrittenFile { file, bytes, reader: Reader::new(length), blocks: [const { Vec::new() }; 2] };
    written.verify(parts).map_err(|what| different(path, &hdf5_reason(&what)))
}

fn different(path: &Path, what: &str) -> Error {
    let kept = files::if_there(path, "; the old file is kept", "");
    refused(path, format!("cannot be written: read back, it is not what was written: {what}{kept}"))
}

/// A new file.
struct WrittenFile {
    file: File,
    /// The same file, read without the library.
    bytes: fs::File,
    reader: Reader,
    /// Buffers for an expected and a found block.
    blocks: [Vec<u8>; 2],
}

impl WrittenFile {
    fn verify(&mut self, parts: &Parts<'_>) -> TextResult<()> {
        let weights = parts.description;
        let model = match attribute(&self.file, "model") {
            Some(text) => Some(model_text(&self.file, text)?),
            None => None,
        };
        same("model", &model, &weights.model.as_ref().map(|model| model.to_toml()))?;
        same("exif_orientation", &exif_orientation(&self.file)?, &weights.exif_orientation)?;
        self.tensors("parameters", &parts.parameters)?;
        if !weights.classes.is_empty() {
            same("classes", &self.reader.classes(&self.file)?, &weights.classes)?;
        }
        if let Some(image) = &weights.mean_image {
            self.tensor("mean_image", image.view().into_dyn())?;
        }
        if let Some(rgb) = &weights.mean_rgb {
            self.tensor("mean_rgb", arr1(rgb).view().into_dyn())?;
        }
        let Some((state, tensors)) = &parts.training else { return Ok(()) };
        let training = self.file.group("training").map_err(|e| format!("group training: {e}"))?;
        same("state", self.reader.state(&training)?.as_str(), state)?;
        self.tensors("training/optimizer", tensors)
    }

    fn tensors(&mut self, group: &str, sources: &[TensorSource<'_>]) -> TextResult<()> {
        for source in sources {
            let name = source.name();
            let values = source.read().map_err(|e| format!("{name} cannot be compared: {e}"))?;
            self.tensor(&format!("{group}/{name}"), values.view())?;
        }
        Ok(())
    }

    /// Compares a dataset with its expected values byte by byte, and its checksum with theirs.
    fn tensor(&mut self, name: &str, values: ArrayViewD<'_, f32>) -> TextResult<()> {
        let dataset = open(&self.file, name)?;
        same(name, &dataset.shape(), &values.shape().to_vec())?;
        let start = self.reader.place_of_tensor(name, &dataset)?;
        let values = values.as_standard_layout();
        let values = values.as_slice().ok_or_else(|| format!("{name}: not in row-major order"))?;
        let cannot = |e: std::io::Error| format!("{name} cannot be read back: {e}");
        self.bytes.seek(SeekFrom::Start(start)).map_err(cannot)?;
        let mut crc = 0;
        let [expected, found] = &mut self.blocks;
        for block in values.chunks(BLOCK) {
            expected.clear();
            expected.extend(block.iter().flat_map(|value| value.to_le_bytes()));
            found.resize(expected.len(), 0);
            self.bytes.read_exact(found).map_err(cannot)?;
            if found != expected {
                return Err(format!("{name} holds other values"));
            }
            crc = crc32c::crc32c_append(crc, expected);
        }
        check_crc(name, crc, stored_crc(name, &dataset)?)
    }
}

fn same<T: PartialEq + ?Sized>(name: &str, found: &T, expected: &T) -> TextResult<()> {
    if found == expected { Ok(()) } else { Err(format!("{name} holds something else")) }
}

#[cfg(test)]
mod tests {
    use super::super::{Extra, save_with};
    use super::*;
    use crate::weights::Weights;
    use ndarray::{ArrayD, IxDyn};

    fn weights() -> Weights {
        let values = |n: usize| ArrayD::from_shape_fn(IxDyn(&[n, 3]), |i| (i[0] * 3 + i[1]) as f32 - 4.0);
        Weights {
            model: None,
            tensors: vec![("a.weight".into(), values(7)), ("b.weight".into(), values(40_000))],
            classes: vec!["cat".into(), "dog".into()],
            mean_image: None,
            mean_rgb: Some([1.0, 2.0, 3.0]),
            exif_orientation: false,
        }
    }

    /// Every part of the weights is compared.
    #[test]
    fn every_difference_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.h5");
        let extra =
            Extra { state: "step = 3".into(), tensors: vec![("m/a.weight".into(), ArrayD::zeros(IxDyn(&[2])))] };
        let meant = weights();
        save_with(&path, &meant, Some(&extra)).unwrap();
        verify(&path, &path, &Parts::of(&meant, Some(&extra))).unwrap();

        type Change = fn(&mut Weights);
        let changes: [(&str, Change); 7] = [
            ("a.weight", |w| w.tensors[0].1[[6, 2]] = 0.5),
            ("b.weight", |w| w.tensors[1].1[[39_999, 2]] = f32::NAN),
            ("a.weight", |w| w.tensors[0].1 = ArrayD::zeros(IxDyn(&[21]))),
            ("c.weight", |w| w.tensors.push(("c.weight".into(), ArrayD::zeros(IxDyn(&[1]))))),
            ("classes", |w| w.classes[1] = "Dog".into()),
            ("mean_rgb", |w| w.mean_rgb = Some([1.0, 2.0, -0.0])),
            ("exif_orientation", |w| w.exif_orientation = true),
        ];
        for (name, change) in changes {
            let mut other = weights();
            change(&mut other);
            let error = verify(&path, &path, &Parts::of(&other, Some(&extra))).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("read back"), "{name}: {error}");
        }
        let other = Extra { state: "step = 4".into(), ..extra.clone() };
        let error = verify(&path, &path, &Parts::of(&meant, Some(&other))).unwrap_err().to_string();
        assert!(error.contains("state"), "{error}");
    }

    /// A dataset of zeros, as a failed write leaves it.
    #[test]
    fn a_lost_dataset_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.h5");
        let meant = weights();
        save_with(&path, &meant, None).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let first: Vec<u8> = meant.tensors[0].1.iter().flat_map(|v| v.to_le_bytes()).collect();
        let at = bytes.windows(first.len()).position(|window| window == first).unwrap();
        bytes[at..at + first.len()].fill(0);
        fs::write(&path, bytes).unwrap();
        let error = verify(&path, Path::new("good.h5"), &Parts::of(&meant, None)).unwrap_err().to_string();
        assert!(error.starts_with("good.h5: cannot be written") && error.contains("a.weight"), "{error}");
    }
}

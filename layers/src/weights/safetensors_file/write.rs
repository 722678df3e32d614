//! Writing safetensors.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use ndarray::ArrayD;

use super::{
    CHECKED_KEYS, CLASSES_KEY, CRC_KEY, EXIF_ORIENTATION_KEY, FORMAT, FORMAT_KEY, MEAN_IMAGE, MEAN_RGB, MODEL_KEY,
};
use super::{VERSION, VERSION_KEY, means};
use crate::model::{Mean, Model, ParameterSpec};
use crate::weights::{AxisOrder, BLOCK, Weights, refused};
use crate::{Error, Result};

/// One tensor to be written.
struct PendingTensor<'a> {
    name: &'a str,
    shape: Vec<usize>,
    crc: u32,
    values: TensorValues<'a>,
}

/// The values of a tensor. A parameter is permuted only when it is written.
enum TensorValues<'a> {
    Permuted(&'a ParameterSpec, &'a ArrayD<f32>),
    AsIs(ArrayD<f32>),
}

/// Saves weights with their metadata. The file is read back and compared before it gets its name.
pub(in crate::weights) fn save(path: &Path, weights: &Weights) -> Result<()> {
    let Some(model) = &weights.model else {
        let what = "weights without a network cannot be saved as safetensors, whose layouts depend on it; save the \
                    module that they are of";
        return Err(refused(path, what));
    };
    weights.check(model, &path.display().to_string())?;
    let specs = model.parameters()?;
    let tensors = pending_tensors(weights, &specs);
    let texts = texts(path, model, weights)?;
    replace(path, &texts, tensors)
}

/// Saves a module's parameters, which have the names and the order of their specifications.
pub(in crate::weights) fn save_parameters(
    path: &Path,
    specs: &[ParameterSpec],
    tensors: &[(String, ArrayD<f32>)],
) -> Result<()> {
    let pending = specs.iter().zip(tensors).map(|(spec, (_, values))| PendingTensor {
        name: &spec.export,
        shape: AxisOrder::PyTorch.shape(spec),
        crc: 0,
        values: TensorValues::Permuted(spec, values),
    });
    replace(path, &format_texts(), pending.collect())
}

/// Saves tensors as they are.
pub(in crate::weights) fn save_tensors(path: &Path, tensors: &[(String, ArrayD<f32>)]) -> Result<()> {
    let pending = tensors.iter().map(|(name, values)| PendingTensor {
        name,
        shape: values.shape().to_vec(),
        crc: 0,
        values: TensorValues::AsIs(values.as_standard_layout().into_owned()),
    });
    replace(path, &format_texts(), pending.collect())
}

/// Writes a file, reads it back and compares it before it gets its name.
fn replace(path: &Path, texts: &[(&str, String)], mut tensors: Vec<PendingTensor<'_>>) -> Result<()> {
    if tensors.iter().any(|tensor| tensor.name == "__metadata__") {
        return Err(refused(path, "no tensor of a safetensors file may have the name __metadata__"));
    }
    files::replace(path, |temporary| {
        let failed = |what| move |source| Error::File { path: path.into(), what, source };
        let header = write(temporary, texts, &mut tensors).map_err(failed("writing the weights failed"))?;
        verify(temporary, &header, &tensors).map_err(failed("read back, it is not what was written"))
    })
}

fn pending_tensors<'a>(weights: &'a Weights, specs: &'a [ParameterSpec]) -> Vec<PendingTensor<'a>> {
    let mut tensors = Vec::new();
    for spec in specs {
        if let Some(values) = weights.tensor(&spec.name) {
            let shape = AxisOrder::PyTorch.shape(spec);
            tensors.push(PendingTensor {
                name: &spec.export,
                shape,
                crc: 0,
                values: TensorValues::Permuted(spec, values),
            });
        }
    }
    tensors
}

/// The metadata of every file.
fn format_texts() -> Vec<(&'static str, String)> {
    vec![("format", "pt".to_string()), (FORMAT_KEY, FORMAT.into()), (VERSION_KEY, VERSION.to_string())]
}

/// The metadata without the checksums.
fn texts(path: &Path, model: &Model, weights: &Weights) -> Result<Vec<(&'static str, String)>> {
    let mut texts = format_texts();
    texts.push((MODEL_KEY, model.to_toml()));
    if !weights.classes.is_empty() {
        let json = serde_json::to_string(&weights.classes).map_err(|e| refused(path, format!("classes: {e}")))?;
        texts.push((CLASSES_KEY, json));
    }
    if weights.exif_orientation {
        texts.push((EXIF_ORIENTATION_KEY, "true".into()));
    }
    // A mean image is as long as a header should be: it is written only for the networks that subtract it.
    if let Some(image) = weights.mean_image.as_ref().filter(|_| model.input.mean == Mean::PackImage) {
        texts.push((MEAN_IMAGE, means::image_to_text(image)));
    }
    if let Some(rgb) = weights.mean_rgb {
        texts.push((MEAN_RGB, means::colour_to_text(rgb).map_err(|what| refused(path, what))?));
    }
    Ok(texts)
}

/// Writes the file and returns its header.
fn write(path: &Path, texts: &[(&str, String)], tensors: &mut [PendingTensor<'_>]) -> io::Result<Vec<u8>> {
    let mut file = BufWriter::new(File::create(path)?);
    // The checksums are known only after the tensors, but their length is: 8 digits each.
    file.write_all(&header(texts, tensors)?)?;
    for tensor in tensors.iter_mut() {
        tensor.crc = write_values(&mut file, &tensor.values)?;
    }
    file.seek(SeekFrom::Start(0))?;
    let header = header(texts, tensors)?;
    file.write_all(&header)?;
    file.flush()?;
    Ok(header)
}

/// Fails unless a file holds this header, then tensors with these checksums, and nothing else.
fn verify(path: &Path, header: &[u8], tensors: &[PendingTensor<'_>]) -> io::Result<()> {
    let different = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{what} is different"));
    let mut file = File::open(path)?;
    let mut block = vec![0; header.len().max(4 * BLOCK)];
    file.read_exact(&mut block[..header.len()])?;
    if block[..header.len()] != *header {
        return Err(different("the header"));
    }
    for tensor in tensors {
        let mut left = 4 * tensor.shape.iter().product::<usize>();
        let mut crc = 0;
        while left > 0 {
            let part = &mut block[..left.min(4 * BLOCK)];
            file.read_exact(part)?;
            crc = crc32c::crc32c_append(crc, part);
            left -= part.len();
        }
        if crc != tensor.crc {
            return Err(different(tensor.name));
        }
    }
    match file.read(&mut block[..1])? {
        0 => Ok(()),
        _ => Err(different("its length")),
    }
}

/// Writes a tensor and returns its checksum.
fn write_values(file: &mut impl Write, source: &TensorValues<'_>) -> io::Result<u32> {
    let permuted;
    let values = match source {
        TensorValues::AsIs(values) => values,
        TensorValues::Permuted(spec, ours) => {
            permuted = AxisOrder::PyTorch.from_own(spec, ours.view()).map_err(io::Error::other)?;
            &permuted
        }
    };
    let values = values.as_slice().ok_or_else(|| io::Error::other("a tensor is not in row-major order"))?;
    let mut crc = 0;
    let mut bytes = Vec::with_capacity(4 * BLOCK);
    for block in values.chunks(BLOCK) {
        bytes.clear();
        bytes.extend(block.iter().flat_map(|v| v.to_le_bytes()));
        crc = crc32c::crc32c_append(crc, &bytes);
        file.write_all(&bytes)?;
    }
    Ok(crc)
}

/// The header's length and JSON, padded with spaces so that tensors begin at a multiple of 8.
fn header(texts: &[(&str, String)], tensors: &[PendingTensor<'_>]) -> io::Result<Vec<u8>> {
    let checked = texts.iter().filter(|(key, _)| CHECKED_KEYS.contains(key));
    let mut crcs: Vec<(&str, u32)> = checked.map(|(key, text)| (*key, crc32c::crc32c(text.as_bytes()))).collect();
    crcs.extend(tensors.iter().map(|tensor| (tensor.name, tensor.crc)));
    let text = |(name, crc): &(&str, u32)| Ok(format!("{}:\"{crc:08x}\"", serde_json::to_string(name)?));
    let crcs: Vec<String> = crcs.iter().map(text).collect::<io::Result<_>>()?;

    let mut metadata = Vec::new();
    for (key, text) in texts {
        metadata.push(format!("{key:?}:{}", serde_json::to_string(text)?));
    }
    metadata.push(format!("{CRC_KEY:?}:{}", serde_json::to_string(&format!("{{{}}}", crcs.join(",")))?));
    let mut json = format!("{{\"__metadata__\":{{{}}}", metadata.join(","));
    let mut from = 0;
    for PendingTensor { name, shape, .. } in tensors {
        let to = from + 4 * shape.iter().product::<usize>();
        json += &format!(
            ",{}:{{\"dtype\":\"F32\",\"shape\":{shape:?},\"data_offsets\":[{from},{to}]}}",
            serde_json::to_string(name)?
        );
        from = to;
    }
    json.push('}');
    let mut json = json.into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    Ok([&(json.len() as u64).to_le_bytes()[..], &json].concat())
}

#[cfg(test)]
mod tests {
    use ndarray::arr1;

    use super::*;

    #[test]
    fn a_changed_byte_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let texts = [("format", "pt".to_string())];
        let tensor = |name, values: &[f32]| PendingTensor {
            name,
            shape: vec![values.len()],
            crc: 0,
            values: TensorValues::AsIs(arr1(values).into_dyn()),
        };
        let mut tensors = [tensor("a", &[1.0, 2.0]), tensor("b", &[])];
        let header = write(&path, &texts, &mut tensors).unwrap();
        verify(&path, &header, &tensors).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let damaged = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            bytes
        };
        let cases = [
            (damaged(0), "the header is different"),
            (damaged(bytes.len() - 1), "a is different"),
            ([&bytes[..], &[0]].concat(), "its length is different"),
            (bytes[..bytes.len() - 1].to_vec(), "failed to fill whole buffer"),
        ];
        for (bytes, expected) in cases {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(verify(&path, &header, &tensors).unwrap_err().to_string(), expected);
        }
    }
}

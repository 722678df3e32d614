//! Writing safetensors.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use ndarray::{ArrayD, arr1};

use super::{CLASSES_KEY, CRC_KEY, EXIF_ORIENTATION_KEY, FORMAT, FORMAT_KEY, MEAN_IMAGE, MEAN_RGB, MODEL_KEY};
use super::{VERSION, VERSION_KEY};
use crate::model::{Model, ParameterSpec};
use crate::weights::{BLOCK, Weights, layout, refused};
use crate::{Error, Result};

/// One tensor to be written.
struct Plan<'a> {
    name: &'a str,
    shape: Vec<usize>,
    crc: u32,
    source: Source<'a>,
}

/// Where a tensor's values come from: a parameter is permuted only when its turn comes.
enum Source<'a> {
    Parameter(&'a ParameterSpec, &'a ArrayD<f32>),
    Values(ArrayD<f32>),
}

/// Saves weights with their metadata. What was written is read back and compared before the file gets its name.
pub(in crate::weights) fn save(path: &Path, weights: &Weights) -> Result<()> {
    let Some(model) = &weights.model else {
        let what =
            "weights without a network cannot be saved as safetensors, whose layouts depend on it; name the network";
        return Err(refused(path, what));
    };
    weights.check(model, &path.display().to_string())?;
    let specs = model.parameters()?;
    let mut plans = plan(weights, &specs);
    let texts = texts(path, model, weights)?;
    files::replace(path, |temporary| {
        let failed = |what| move |source| Error::File { path: path.into(), what, source };
        let header = write(temporary, &texts, &mut plans).map_err(failed("writing the weights failed"))?;
        verify(temporary, &header, &plans).map_err(failed("read back, it is not what was written"))
    })
}

fn plan<'a>(weights: &'a Weights, specs: &'a [ParameterSpec]) -> Vec<Plan<'a>> {
    let mut plans = Vec::new();
    for spec in specs {
        if let Some(values) = weights.tensor(&spec.name) {
            let shape = layout::pytorch_shape(spec);
            plans.push(Plan { name: &spec.export, shape, crc: 0, source: Source::Parameter(spec, values) });
        }
    }
    let image = weights.mean_image.as_ref().map(|image| image.view().permuted_axes([2, 0, 1]));
    let image = image.map(|image| image.as_standard_layout().into_owned().into_dyn());
    let rgb = weights.mean_rgb.map(|rgb| arr1(&rgb).into_dyn());
    for (name, values) in [(MEAN_IMAGE, image), (MEAN_RGB, rgb)] {
        if let Some(values) = values {
            plans.push(Plan { name, shape: values.shape().to_vec(), crc: 0, source: Source::Values(values) });
        }
    }
    plans
}

/// The metadata but for the checksums of tensors.
fn texts(path: &Path, model: &Model, weights: &Weights) -> Result<Vec<(&'static str, String)>> {
    let mut texts = vec![
        ("format", "pt".to_string()),
        (FORMAT_KEY, FORMAT.into()),
        (VERSION_KEY, VERSION.to_string()),
        (MODEL_KEY, model.to_toml()),
    ];
    if !weights.classes.is_empty() {
        let json = serde_json::to_string(&weights.classes).map_err(|e| refused(path, format!("classes: {e}")))?;
        texts.push((CLASSES_KEY, json));
    }
    if weights.exif_orientation {
        texts.push((EXIF_ORIENTATION_KEY, "true".into()));
    }
    Ok(texts)
}

/// Writes the file; gives its header.
fn write(path: &Path, texts: &[(&str, String)], plans: &mut [Plan<'_>]) -> io::Result<Vec<u8>> {
    let mut file = BufWriter::new(File::create(path)?);
    // Checksums are known only after the tensors, but not how long they are: 8 digits each.
    file.write_all(&header(texts, plans)?)?;
    for plan in plans.iter_mut() {
        plan.crc = write_values(&mut file, &plan.source)?;
    }
    file.seek(SeekFrom::Start(0))?;
    let header = header(texts, plans)?;
    file.write_all(&header)?;
    file.flush()?;
    Ok(header)
}

/// Fails unless a file holds this header, then tensors with these checksums, and nothing else.
fn verify(path: &Path, header: &[u8], plans: &[Plan<'_>]) -> io::Result<()> {
    let different = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{what} is different"));
    let mut file = File::open(path)?;
    let mut block = vec![0; header.len().max(4 * BLOCK)];
    file.read_exact(&mut block[..header.len()])?;
    if block[..header.len()] != *header {
        return Err(different("the header"));
    }
    for plan in plans {
        let mut left = 4 * plan.shape.iter().product::<usize>();
        let mut crc = 0;
        while left > 0 {
            let part = &mut block[..left.min(4 * BLOCK)];
            file.read_exact(part)?;
            crc = crc32c::crc32c_append(crc, part);
            left -= part.len();
        }
        if crc != plan.crc {
            return Err(different(plan.name));
        }
    }
    match file.read(&mut block[..1])? {
        0 => Ok(()),
        _ => Err(different("its length")),
    }
}

/// Writes a tensor; gives its checksum.
fn write_values(file: &mut impl Write, source: &Source<'_>) -> io::Result<u32> {
    let permuted;
    let values = match source {
        Source::Values(values) => values,
        Source::Parameter(spec, ours) => {
            permuted = layout::to_pytorch(spec, ours.view()).map_err(io::Error::other)?;
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
fn header(texts: &[(&str, String)], plans: &[Plan<'_>]) -> io::Result<Vec<u8>> {
    let checked = texts.iter().filter(|(key, _)| [MODEL_KEY, CLASSES_KEY, EXIF_ORIENTATION_KEY].contains(key));
    let mut crcs: Vec<(&str, u32)> = checked.map(|(key, text)| (*key, crc32c::crc32c(text.as_bytes()))).collect();
    crcs.extend(plans.iter().map(|plan| (plan.name, plan.crc)));
    let crcs: Vec<String> = crcs.iter().map(|(name, crc)| format!("{name:?}:\"{crc:08x}\"")).collect();

    let mut metadata = Vec::new();
    for (key, text) in texts {
        metadata.push(format!("{key:?}:{}", serde_json::to_string(text)?));
    }
    metadata.push(format!("{CRC_KEY:?}:{}", serde_json::to_string(&format!("{{{}}}", crcs.join(",")))?));
    let mut json = format!("{{\"__metadata__\":{{{}}}", metadata.join(","));
    let mut from = 0;
    for Plan { name, shape, .. } in plans {
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
    use super::*;

    #[test]
    fn what_differs_from_what_was_written_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let texts = [("format", "pt".to_string())];
        let tensor = |name, values: &[f32]| Plan {
            name,
            shape: vec![values.len()],
            crc: 0,
            source: Source::Values(arr1(values).into_dyn()),
        };
        let mut plans = [tensor("a", &[1.0, 2.0]), tensor("b", &[])];
        let header = write(&path, &texts, &mut plans).unwrap();
        verify(&path, &header, &plans).unwrap();
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
            assert_eq!(verify(&path, &header, &plans).unwrap_err().to_string(), expected);
        }
    }
}

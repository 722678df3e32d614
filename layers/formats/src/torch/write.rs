//! Writing a state dict.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use layers::weights::{AxisOrder, Weights};
use layers::{Model, ParameterSpec};
use ndarray::ArrayD;
use zip::result::{ZipError, ZipResult};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::{extras, pickle_writer};
use crate::zip_output::ZipOutput;
use crate::{Error, Result};

/// The folder of the records.
const FOLDER: &str = "archive";

/// The multiple at which numbers begin, as PyTorch maps them into memory.
const ALIGNMENT: u16 = 64;

/// The bytes up to which a record needs no larger lengths in its header.
const LARGE: u64 = u32::MAX as u64;

/// The file that is written.
type Output = ZipOutput<BufWriter<File>>;

/// A parameter, and its values in this workspace's axes.
type Parameter<'a> = (&'a ParameterSpec, &'a ArrayD<f32>);

/// Writes the parameters of weights as a state dict, under the names that their network exports. The same weights give the
/// same bytes. A crash leaves the old file or the new one.
///
/// # Errors
/// [`Error::Refused`] for weights without a network, whose axes are unknown, or whose tensors are not its parameters;
/// [`Error::Layers`] if the file cannot be written: an old one is kept.
pub fn write(path: &Path, weights: &Weights) -> Result<()> {
    let Some(model) = &weights.model else {
        return Err(Error::refused(
            path,
            "weights without a network cannot be saved for PyTorch; their axes are unknown",
        ));
    };
    let specs = model.parameters()?;
    let parameters = specs.iter().map(|spec| parameter(path, weights, spec)).collect::<Result<Vec<_>>>()?;
    let records = records(path, model, weights, &parameters)?;
    files::replace(path, |temporary| {
        let failed = |what| move |source| layers::Error::File { path: path.into(), what, source };
        let written = archive(temporary, &records, &parameters);
        written.map_err(system_error).map_err(failed("writing the weights failed"))?;
        Ok(verify(temporary).map_err(failed("read back, it is not what was written"))?)
    })
}

/// The error of the system in one of the zip writer.
fn system_error(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => io::Error::other(other),
    }
}

fn parameter<'a>(path: &Path, weights: &'a Weights, spec: &'a ParameterSpec) -> Result<Parameter<'a>> {
    let tensor = weights.tensor(&spec.name).filter(|tensor| tensor.shape() == spec.shape);
    let what = || format!("the weights have no parameter {} of shape {:?}", spec.name, spec.shape);
    Ok((spec, tensor.ok_or_else(|| Error::refused(path, what()))?))
}

/// The records before those of the numbers.
fn records(
    path: &Path,
    model: &Model,
    weights: &Weights,
    parameters: &[Parameter],
) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let shapes: Vec<(&str, Vec<usize>)> =
        parameters.iter().map(|(spec, _)| (spec.export.as_str(), AxisOrder::PyTorch.shape(spec))).collect();
    let mut records = vec![
        ("data.pkl", pickle_writer::state_dict(&shapes)),
        (".format_version", b"1".to_vec()),
        ("byteorder", b"little".to_vec()),
    ];
    records.extend(extras::records(path, model, weights)?);
    Ok(records)
}

fn archive(path: &Path, records: &[(&str, Vec<u8>)], parameters: &[Parameter]) -> ZipResult<()> {
    let mut zip = ZipWriter::new(Output::new(BufWriter::new(File::create(path)?)));
    for (name, bytes) in records {
        start(&mut zip, name, bytes.len() as u64)?;
        zip.write_all(bytes)?;
    }
    for (key, &(spec, values)) in parameters.iter().enumerate() {
        start(&mut zip, &format!("data/{key}"), 4 * values.len() as u64)?;
        let theirs = AxisOrder::PyTorch.from_own(spec, values.view()).map_err(io::Error::other)?;
        write_values(&mut zip, &theirs)?;
    }
    start(&mut zip, "version", 2)?;
    zip.write_all(b"3\n")?;
    zip.finish()?.flush()?;
    Ok(())
}

/// Begins a record of this many bytes.
fn start(zip: &mut ZipWriter<Output>, name: &str, bytes: u64) -> ZipResult<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
        .large_file(bytes > LARGE)
        .with_alignment(ALIGNMENT);
    zip.start_file(format!("{FOLDER}/{name}"), options)
}

fn write_values(zip: &mut impl Write, values: &ArrayD<f32>) -> io::Result<()> {
    const BLOCK: usize = 16 << 10;
    let values = values.as_slice().ok_or_else(|| io::Error::other("a tensor is not in row-major order"))?;
    let mut bytes = Vec::with_capacity(4 * BLOCK);
    for block in values.chunks(BLOCK) {
        bytes.clear();
        bytes.extend(block.iter().flat_map(|value| value.to_le_bytes()));
        zip.write_all(&bytes)?;
    }
    Ok(())
}

/// Fails unless all records can be read back with their checksums.
fn verify(path: &Path) -> io::Result<()> {
    let mut zip = ZipArchive::new(BufReader::new(File::open(path)?))?;
    for index in 0..zip.len() {
        io::copy(&mut zip.by_index(index)?, &mut io::sink())?;
    }
    Ok(())
}

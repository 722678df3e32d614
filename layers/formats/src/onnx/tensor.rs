//! Arrays of a file: initializers and constants.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use files::regular_file;
use half::{bf16, f16};
use layers::weights::{BeyondF32, narrow_all};
use ndarray::{ArrayD, IxDyn};

use super::proto::{TensorProto, data_type};

/// The most values that nodes may make from nothing: AlexNet has 61 million.
const MAX_MADE: usize = 1 << 26;

/// The most values of a network's parameters: 4 GiB.
const MAX_VALUES: usize = 1 << 30;

/// A constant of floating-point numbers, read when it is needed.
#[derive(Clone)]
pub(super) struct Floats<'a> {
    pub shape: Vec<usize>,
    pub source: Source<'a>,
}

/// Where the values of a constant are.
#[derive(Clone)]
pub(super) enum Source<'a> {
    /// In the file.
    Tensor(&'a TensorProto),
    /// One value, repeated.
    Fill(f32),
    /// Computed.
    Array(Rc<ArrayD<f32>>),
}

impl Floats<'_> {
    /// The number of values, at most 2^30.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Reads values, no more than the files' lengths justify.
pub(super) struct Store {
    /// The folder of the file, for data in other files.
    folder: PathBuf,
    /// The number of values that may still be read.
    left: Cell<usize>,
    /// The number of values that may still be copied from computed constants, which nodes turn.
    left_to_copy: Cell<usize>,
    /// The number of values that nodes may still make from nothing.
    left_to_make: Cell<usize>,
    /// The lengths of the other files.
    lengths: RefCell<BTreeMap<PathBuf, u64>>,
}

impl Store {
    /// For a file of this many bytes.
    pub fn new(path: &Path, len: usize) -> Self {
        Self {
            folder: path.parent().map(Path::to_path_buf).unwrap_or_default(),
            // The smallest values have 2 bytes; constants that several nodes use are read as often.
            left: Cell::new(len.min(MAX_VALUES)),
            left_to_copy: Cell::new(len.min(MAX_VALUES)),
            left_to_make: Cell::new(MAX_MADE),
            lengths: RefCell::default(),
        }
    }

    /// The values of a constant.
    ///
    /// # Errors
    /// A message for values that are missing or too many.
    pub fn array(&self, floats: &Floats) -> Result<ArrayD<f32>, String> {
        let shape = IxDyn(&floats.shape);
        let values = match &floats.source {
            Source::Array(array) => {
                spend(&self.left_to_copy, floats.len(), "hold")?;
                return Ok(array.as_ref().clone());
            }
            Source::Fill(value) => {
                spend(&self.left_to_make, floats.len(), "make from nothing")?;
                return Ok(ArrayD::from_elem(shape, *value));
            }
            Source::Tensor(tensor) => self.values(tensor, floats.len())?,
        };
        ArrayD::from_shape_vec(shape, values).map_err(|error| error.to_string())
    }

    /// The only value of a constant, if it has one.
    pub fn scalar(&self, floats: &Floats) -> Result<Option<f32>, String> {
        if floats.len() != 1 {
            return Ok(None);
        }
        Ok(self.array(floats)?.iter().copied().next())
    }

    fn values(&self, tensor: &TensorProto, count: usize) -> Result<Vec<f32>, String> {
        let external;
        let raw: Option<&[u8]> = if tensor.data_location == 1 {
            external = self.external(tensor, count)?;
            Some(&external)
        } else {
            spend(&self.left, count, "hold")?;
            tensor.raw_data.as_deref()
        };
        let values = match raw {
            Some(raw) => from_bytes(tensor.data_type, raw),
            None => from_lists(tensor),
        }
        .map_err(|error| format!("the tensor {:?} {error}", tensor.name))?;
        if values.len() != count {
            let what = format!("{:?} has {} values, its shape {:?} {count}", tensor.name, values.len(), tensor.dims);
            return Err(format!("the tensor {what}; the file is damaged"));
        }
        Ok(values)
    }

    /// The bytes of a tensor in another file.
    fn external(&self, tensor: &TensorProto, count: usize) -> Result<Vec<u8>, String> {
        let name = &tensor.name;
        let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
        let location = entry("location").ok_or_else(|| format!("the tensor {name:?} names no file for its data"))?;
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| format!("{key} {text:?} of {name:?} is no number")),
        };
        let offset = number("offset")?.unwrap_or(0);
        let bytes = count as u64 * size_of_type(tensor.data_type).unwrap_or(4) as u64;
        let length = number("length")?.unwrap_or(bytes);
        if length != bytes {
            return Err(format!("the tensor {name:?} takes {bytes} bytes, and {length} in its file; it is damaged"));
        }
        let path = self.inside(location)?;
        let failed = |error: std::io::Error| format!("{}: {error}; it holds the tensor {name:?}", path.display());
        let mut file = regular_file::open(&path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        if offset.checked_add(length).is_none_or(|end| end > len) {
            return Err(format!(
                "{}: has {len} bytes, and the tensor {name:?} begins at {offset} and takes {length}; it is truncated",
                path.display()
            ));
        }
        self.add_file(&path, len);
        spend(&self.left, count, "hold")?;
        let mut data = Vec::new();
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        file.take(length).read_to_end(&mut data).map_err(failed)?;
        Ok(data)
    }

    /// The path of a file that must lie in the folder of the graph or below it.
    fn inside(&self, location: &str) -> Result<PathBuf, String> {
        let relative = Path::new(location);
        let refused = || format!("its data is in {location:?}; only files in the same folder or below it are read");
        if location.is_empty() || !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(refused());
        }
        let folder = if self.folder.as_os_str().is_empty() { Path::new(".") } else { &self.folder };
        let path = folder.join(relative);
        // A link may lead outside.
        let real = |path: &Path| path.canonicalize().map_err(|error| format!("{}: {error}", path.display()));
        if real(&path)?.starts_with(real(folder)?) { Ok(path) } else { Err(refused()) }
    }

    /// Lets as many values be read as another file has bytes, once.
    fn add_file(&self, path: &Path, len: u64) {
        let before = self.lengths.borrow_mut().insert(path.to_path_buf(), len);
        if before.is_none() {
            let len = usize::try_from(len).unwrap_or(MAX_VALUES);
            for left in [&self.left, &self.left_to_copy] {
                left.set(left.get().saturating_add(len).min(MAX_VALUES));
            }
        }
    }
}

/// Takes `count` from what is left.
fn spend(left: &Cell<usize>, count: usize, verb: &str) -> Result<(), String> {
    let rest = left.get().checked_sub(count);
    left.set(rest.ok_or_else(|| format!("its constants would be more values than a file of its length can {verb}"))?);
    Ok(())
}

/// The shape of a tensor of at most 2^30 values.
///
/// # Errors
/// A message for negative or too many lengths.
pub(super) fn shape(dims: &[i64]) -> Result<Vec<usize>, String> {
    let shape: Result<Vec<usize>, _> = dims.iter().map(|&axis| usize::try_from(axis)).collect();
    let shape = shape.ok().filter(|shape| shape.len() <= 8);
    let count = |shape: &Vec<usize>| shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis));
    let fits = shape.filter(|shape| count(shape).is_some_and(|n| n <= MAX_VALUES));
    fits.ok_or_else(|| format!("has a tensor of shape {dims:?}, which is larger than any that is read"))
}

/// The bytes of one value of a floating-point type.
pub(super) fn size_of_type(kind: i32) -> Option<usize> {
    match kind {
        data_type::F32 => Some(4),
        data_type::F64 => Some(8),
        data_type::F16 | data_type::BF16 => Some(2),
        _ => None,
    }
}

fn from_bytes(kind: i32, raw: &[u8]) -> Result<Vec<f32>, BeyondF32> {
    let pairs = || raw.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes));
    Ok(match kind {
        data_type::F64 => narrow_all(raw.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)))?,
        data_type::F16 => pairs().map(|bits| f16::from_bits(bits).to_f32()).collect(),
        data_type::BF16 => pairs().map(|bits| bf16::from_bits(bits).to_f32()).collect(),
        _ => raw.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
    })
}

fn from_lists(tensor: &TensorProto) -> Result<Vec<f32>, BeyondF32> {
    let bits = || tensor.int32_data.iter().map(|&bits| bits as u16);
    Ok(match tensor.data_type {
        data_type::F64 => narrow_all(tensor.double_data.iter().copied())?,
        data_type::F16 => bits().map(|bits| f16::from_bits(bits).to_f32()).collect(),
        data_type::BF16 => bits().map(|bits| bf16::from_bits(bits).to_f32()).collect(),
        _ => tensor.float_data.clone(),
    })
}

/// The whole numbers of a small tensor.
///
/// # Errors
/// A message for more than 4096, or for another number than its shape has.
pub(super) fn integers(tensor: &TensorProto) -> Result<Vec<i64>, String> {
    const MAX: usize = 4096;
    let count: usize = shape(&tensor.dims)?.iter().product();
    let raw = tensor.raw_data.as_deref();
    let values: Vec<i64> = match (tensor.data_type, raw) {
        _ if count > MAX => {
            return Err(format!("has {count} whole numbers in {:?}; weights are no integers", tensor.name));
        }
        (data_type::I64, Some(raw)) => raw.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
        (data_type::I32, Some(raw)) => {
            raw.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes).into()).collect()
        }
        (data_type::I64, None) => tensor.int64_data.clone(),
        (data_type::I32, None) => tensor.int32_data.iter().map(|&value| value.into()).collect(),
        (kind, _) => {
            return Err(format!("has {:?} of the type {kind}; f16, bf16, f32, f64, i32 and i64 are read", tensor.name));
        }
    };
    if values.len() != count {
        return Err(format!("has {} values in {:?}, whose shape is {:?}", values.len(), tensor.name, tensor.dims));
    }
    Ok(values)
}

//! Tensors from their storages.

use std::collections::HashMap;
use std::rc::Rc;

use half::{bf16, f16};
use layers::weights::narrow_all;
use ndarray::{ArrayD, IxDyn};

use super::pickle::{Dtype, TensorRef};
use super::storages::Storages;
use crate::ForeignTensor;
use crate::error::Fault;

/// A tensor and its name.
pub type Named = (String, Rc<TensorRef>);

/// Reads tensors of floating-point numbers, which take at most `budget` bytes as f32. Each storage is read once, and
/// kept no longer than it is needed.
pub fn load(tensors: &[Named], storages: &mut impl Storages, budget: u64) -> Result<Vec<ForeignTensor>, Fault> {
    let mut uses: HashMap<Rc<str>, usize> = HashMap::new();
    let mut left = budget;
    for (name, tensor) in tensors {
        let bytes = values(tensor).and_then(|count| count.checked_mul(4)).and_then(|bytes| left.checked_sub(bytes));
        left = bytes.ok_or_else(|| {
            let shape = &tensor.shape;
            format!("{name}: shape {shape:?} is more than the file's length justifies; it is damaged or a bomb")
        })?;
        *uses.entry(tensor.storage.key.clone()).or_default() += 1;
    }
    let mut kept: HashMap<Rc<str>, Vec<u8>> = HashMap::new();
    let mut loaded = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let key = &tensor.storage.key;
        let bytes = match kept.remove(key) {
            Some(bytes) => bytes,
            None => storages.read(&tensor.storage)?,
        };
        let array = array(tensor, &bytes, storages.is_big_endian());
        let values = array.map_err(|what| Fault::Content(format!("{name}: {what}")))?;
        loaded.push(ForeignTensor { name: name.clone(), values });
        let uses = uses.get_mut(key).ok_or("a storage was not counted")?;
        *uses -= 1;
        if *uses > 0 {
            kept.insert(key.clone(), bytes);
        }
    }
    Ok(loaded)
}

/// The number of a tensor's values.
fn values(tensor: &TensorRef) -> Option<u64> {
    tensor.shape.iter().try_fold(1u64, |count, &axis| count.checked_mul(axis))
}

/// The values of a tensor, row-major.
fn array(tensor: &TensorRef, bytes: &[u8], is_big_endian: bool) -> Result<ArrayD<f32>, String> {
    let too_large = || format!("shape {:?} does not fit in memory", tensor.shape);
    let lengths: Option<Vec<usize>> = tensor.shape.iter().map(|&axis| usize::try_from(axis).ok()).collect();
    let lengths = lengths.ok_or_else(too_large)?;
    let window = window(tensor, bytes)?;
    let numbers = numbers(tensor.dtype, window, is_big_endian)?;
    let values = if is_contiguous(tensor) { numbers } else { gather(tensor, &numbers) };
    ArrayD::from_shape_vec(IxDyn(&lengths), values).map_err(|_| too_large())
}

/// The bytes of a storage from a tensor's first number to its last.
fn window<'a>(tensor: &TensorRef, bytes: &'a [u8]) -> Result<&'a [u8], String> {
    let outside = || {
        let TensorRef { offset, shape, strides, .. } = tensor;
        let have = bytes.len();
        format!("shape {shape:?} with strides {strides:?} from {offset} leaves its storage of {have} bytes")
    };
    let size = tensor.dtype.size();
    let reach = tensor.shape.iter().zip(&tensor.strides).try_fold(0u64, |reach, (&length, &stride)| {
        let last = length.saturating_sub(1).checked_mul(stride)?;
        reach.checked_add(last)
    });
    let count = if tensor.shape.contains(&0) { Some(0) } else { reach.and_then(|reach| reach.checked_add(1)) };
    let count = count.ok_or_else(outside)?;
    let start = tensor.offset.checked_mul(size).ok_or_else(outside)?;
    let end = count.checked_mul(size).and_then(|length| start.checked_add(length)).ok_or_else(outside)?;
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    range.and_then(|(start, end)| bytes.get(start..end)).ok_or_else(outside)
}

/// Whether a tensor's values lie one after the other in row-major order.
fn is_contiguous(tensor: &TensorRef) -> bool {
    if tensor.shape.contains(&0) {
        return true;
    }
    let mut expected = 1;
    for (&length, &stride) in tensor.shape.iter().zip(&tensor.strides).rev() {
        if length > 1 && stride != expected {
            return false;
        }
        expected *= length;
    }
    true
}

/// Values by their strides. All places have been found to be within `numbers`; between two of them the sum may overflow,
/// as the stride of an axis of length 1 can be anything.
fn gather(tensor: &TensorRef, numbers: &[f32]) -> Vec<f32> {
    let count = tensor.shape.iter().product::<u64>() as usize;
    let mut values = Vec::with_capacity(count);
    let mut index = vec![0u64; tensor.shape.len()];
    let mut place = 0u64;
    for _ in 0..count {
        values.push(numbers[place as usize]);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            place = place.wrapping_add(tensor.strides[axis]);
            if index[axis] < tensor.shape[axis] {
                break;
            }
            place = place.wrapping_sub(tensor.shape[axis].wrapping_mul(tensor.strides[axis]));
            index[axis] = 0;
        }
    }
    values
}

/// Numbers as f32, to the nearest.
fn numbers(dtype: Dtype, bytes: &[u8], is_big_endian: bool) -> Result<Vec<f32>, String> {
    Ok(match dtype {
        Dtype::F32 => each(bytes, is_big_endian, f32::from_le_bytes).collect(),
        Dtype::F64 => narrow_all(each(bytes, is_big_endian, f64::from_le_bytes)).map_err(|error| error.to_string())?,
        Dtype::F16 => each(bytes, is_big_endian, |b| f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => each(bytes, is_big_endian, |b| bf16::from_le_bytes(b).to_f32()).collect(),
        other => return Err(format!("expected floating-point numbers, got {}", other.name())),
    })
}

fn each<const N: usize, T>(
    bytes: &[u8],
    is_big_endian: bool,
    number: impl Fn([u8; N]) -> T,
) -> impl ExactSizeIterator<Item = T> {
    let (numbers, _) = bytes.as_chunks::<N>();
    let in_order = move |mut bytes: [u8; N]| {
        if is_big_endian {
            bytes.reverse();
        }
        number(bytes)
    };
    numbers.iter().map(move |&bytes| in_order(bytes))
}

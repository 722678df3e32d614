//! Memory that a stranger's own CubeCL code allocated, as a tensor.

use alexnet_tensor::gpu::{Buffer, Dtype, IntBuffer};
use alexnet_tensor::{IntTensor, Tensor};

use crate::devices::wgpu;

#[test]
fn own_memory_becomes_a_tensor() {
    let device = wgpu();
    let bytes: Vec<u8> = [1.5f32, -2.0, 0.25, 8.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let handle = device.client().create_from_slice(&bytes);
    // Fewer values than the memory holds: the first of them.
    let buffer = Buffer::from_handle(handle.clone(), 3, Dtype::F32).expect("memory for three values");
    let tensor = Tensor::from_buffer(device, &[3], buffer).expect("three values");
    assert_eq!(tensor.scale(2.0).expect("a launch").to_vec().expect("a download"), [3.0, -4.0, 0.5]);
    let too_many = Buffer::from_handle(handle, 5, Dtype::F32).expect_err("memory for four values");
    assert!(too_many.to_string().contains("5 values need 20 bytes"), "{too_many}");
}

#[test]
fn own_memory_becomes_integers() {
    let device = wgpu();
    let bytes: Vec<u8> = [7u32, 0, 42].iter().flat_map(|v| v.to_le_bytes()).collect();
    let handle = device.client().create_from_slice(&bytes);
    let buffer = IntBuffer::from_handle(handle.clone(), 3).expect("memory for three words");
    let ints = IntTensor::from_buffer(device, buffer);
    assert_eq!(ints.to_vec().expect("a download"), [7, 0, 42]);
    let too_many = IntBuffer::from_handle(handle, 1 << 20).expect_err("memory for three words");
    assert!(too_many.to_string().contains("1048576 values"), "{too_many}");
}

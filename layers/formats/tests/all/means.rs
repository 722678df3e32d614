//! Means of training images in files of Caffe and numpy.

use std::path::PathBuf;

use alexnet_formats::{MeanFile, mean};
use proptest::prelude::*;

use crate::onnx_file::write;
use crate::protobuf::Message;

fn written(folder: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("mean.file");
    write(&path, bytes);
    path
}

fn read(bytes: &[u8]) -> Result<MeanFile, alexnet_formats::Error> {
    let folder = tempfile::tempdir().unwrap();
    mean(&written(&folder, bytes))
}

fn npy(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes(), data].concat()
}

/// Blue, green and red planes of 2 x 3 pixels: blue 1 to 6, green 11 to 16, red 21 to 26.
fn planes() -> Vec<f32> {
    (0..18).map(|at| (at / 6 * 10 + at % 6 + 1) as f32).collect()
}

fn is_the_image(mean: MeanFile) {
    let MeanFile::Image(image) = mean else { panic!("no image") };
    assert_eq!(image.dim(), (2, 3, 3));
    assert_eq!([image[[0, 0, 0]], image[[0, 0, 1]], image[[0, 0, 2]]], [21.0, 11.0, 1.0]);
    assert_eq!([image[[1, 2, 0]], image[[1, 2, 1]], image[[1, 2, 2]]], [26.0, 16.0, 6.0]);
}

#[test]
fn blobs_of_caffe_are_blue_first() {
    let axes = |message: Message, axes: [i64; 4]| (1..).zip(axes).fold(message, |m, (field, axis)| m.int(field, axis));
    is_the_image(read(&axes(Message::default(), [1, 3, 2, 3]).floats(5, &planes()).0).unwrap());
    let shape = Message::default().packed_ints(1, &[3, 2, 3]);
    is_the_image(read(&Message::default().floats(5, &planes()).message(7, shape).0).unwrap());
    let colour = axes(Message::default(), [1, 3, 1, 1]).floats(5, &[104.0, 117.0, 123.0]);
    assert_eq!(read(&colour.0).unwrap(), MeanFile::Colour([123.0, 117.0, 104.0]));
    let doubles: Vec<u8> = [104.0f64, 117.0, 123.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let colour = axes(Message::default(), [1, 3, 1, 1]).bytes(8, &doubles);
    assert_eq!(read(&colour.0).unwrap(), MeanFile::Colour([123.0, 117.0, 104.0]));
}

#[test]
fn arrays_of_numpy_are_blue_first_if_the_colours_are_and_red_first_if_they_are_last() {
    let planes: Vec<u8> = planes().iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect();
    is_the_image(read(&npy("<f8", "(3, 2, 3)", &planes)).unwrap());
    let MeanFile::Image(image) = read(&npy("|u1", "(2, 1, 3)", &[1, 2, 3, 4, 5, 6])).unwrap() else { panic!() };
    assert_eq!([image[[1, 0, 0]], image[[1, 0, 1]], image[[1, 0, 2]]], [4.0, 5.0, 6.0]);
    assert_eq!(read(&npy("|u1", "(3,)", &[104, 117, 123])).unwrap(), MeanFile::Colour([123.0, 117.0, 104.0]));
}

#[test]
fn other_content_is_refused_with_the_file_and_the_reason() {
    let cases = [
        (npy("|u1", "(2, 2)", &[0; 4]), "has the shape [2, 2]; a mean is"),
        (npy("<f4", "(1, 1, 3)", &[f32::NAN; 3].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>()), "holds NaN"),
        (npy("<f4", "(3,)", &[0, 0, 0, 0x47].repeat(3)), "holds 32768"),
        (npy("<f4", "(3,)", &[0, 0, 0, 0x3f].repeat(3)), "values from 0 to 1"),
        (b"\x89PNG\r\n".to_vec(), ".binaryproto and .npy"),
        (Vec::new(), "a mean is"),
        (Message::default().int(1, 1).int(2, 3).int(3, 1 << 40).int(4, 1 << 40).0, ".binaryproto"),
        (Message::default().int(1, -1).int(2, 3).int(3, 1).int(4, 1).0, ".binaryproto"),
    ];
    for (bytes, expected) in cases {
        let message = read(&bytes).unwrap_err().to_string();
        assert!(message.contains("mean.file") && message.contains(expected), "{message}");
    }
    assert!(mean(std::path::Path::new("/dev/zero")).is_err());
}

#[test]
fn a_blob_cut_or_changed_anywhere_ends_in_an_error_or_a_mean() {
    let bytes = Message::default().int(1, 1).int(2, 3).int(3, 1).int(4, 2).floats(5, &[9.0; 6]).0;
    read(&bytes).unwrap();
    for end in 0..bytes.len() {
        assert!(read(&bytes[..end]).is_err(), "{end}");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let _ = read(&changed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = read(&bytes);
    }
}

//! Damaged files: an error or the same tensors, never a panic, and nothing large allocated.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use alexnet_layers::weights::{Weights, hdf5_file};
use proptest::prelude::*;

use crate::allocator::allocated_by;
use crate::{SMALL, assert_same, bits, model, refusal, temporary_file, weights};

const FILES: [&str; 2] = ["a.h5", "a.safetensors"];

/// A file of the kind that `path` says and the weights in it; written once.
fn saved(path: &Path) -> (Vec<u8>, Weights) {
    static SAVED: [OnceLock<(Vec<u8>, Weights)>; 2] = [const { OnceLock::new() }; 2];
    let kind = usize::from(path.ends_with(FILES[1]));
    let make = || {
        let original = weights(&model(SMALL), 1);
        original.save(path).unwrap();
        (fs::read(path).unwrap(), original)
    };
    SAVED[kind].get_or_init(make).clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_flipped_bit_is_found_or_harmless(kind in 0..2usize, position in 0.0..1.0, bit in 0..8u8) {
        let (_folder, path) = temporary_file(FILES[kind]);
        let (mut bytes, original) = saved(&path);
        let at = (position * bytes.len() as f64) as usize;
        bytes[at] ^= 1 << bit;
        fs::write(&path, &bytes).unwrap();
        if let Ok(loaded) = Weights::load(&path) {
            prop_assert_eq!(bits(&loaded), bits(&original), "byte {} bit {}", at, bit);
        }
    }

    #[test]
    fn a_cut_file_is_refused(kind in 0..2usize, keep in 0.0..1.0) {
        let (_folder, path) = temporary_file(FILES[kind]);
        let (bytes, _) = saved(&path);
        let keep = (keep * bytes.len() as f64) as usize;
        fs::write(&path, &bytes[..keep]).unwrap();
        let message = refusal(&path);
        prop_assert!(keep < 9 || message.contains("truncated: need "), "{}", message);
    }

    #[test]
    fn noise_is_refused(kind in 0..2usize, from in 0.0..1.0, noise in proptest::collection::vec(any::<u8>(), 1..64)) {
        let (_folder, path) = temporary_file(FILES[kind]);
        let (mut bytes, original) = saved(&path);
        let from = (from * (bytes.len() - noise.len()) as f64) as usize;
        bytes[from..from + noise.len()].copy_from_slice(&noise);
        fs::write(&path, &bytes).unwrap();
        if let Ok(loaded) = Weights::load(&path) {
            prop_assert_eq!(bits(&loaded), bits(&original));
        }
    }
}

#[test]
fn a_damaged_tensor_is_named() {
    for name in FILES {
        let (_folder, path) = temporary_file(name);
        let (mut bytes, original) = saved(&path);
        let value = original.tensor("fc8.bias").unwrap().as_slice().unwrap()[1].to_le_bytes();
        let at = bytes.windows(4).position(|window| window == value).unwrap();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let message = refusal(&path);
        assert!(message.contains("checksum of fc8.bias is"), "{message}");
    }
}

/// Every bit of the block with the attribute `format`: damage is reported as damage, not as a file of another program.
#[test]
fn a_damaged_header_is_said_to_be_damaged() {
    let (_folder, path) = temporary_file(FILES[0]);
    let (bytes, _) = saved(&path);
    let at = bytes.windows(6).position(|window| window == b"format").unwrap();
    for place in [at - 9, at, at + 3, at + 12] {
        let mut bytes = bytes.clone();
        bytes[place] ^= 4;
        fs::write(&path, &bytes).unwrap();
        let message = refusal(&path);
        assert!(message.contains("damaged") && !message.contains("not weights of ours"), "{place}: {message}");
    }
}

#[test]
fn trailing_bytes_are_refused() {
    for name in FILES {
        let (_folder, path) = temporary_file(name);
        let (mut bytes, _) = saved(&path);
        bytes.push(0);
        fs::write(&path, &bytes).unwrap();
        let message = refusal(&path);
        assert!(message.contains("1 bytes follow"), "{message}");
    }
}

#[test]
fn other_files_are_told_apart() {
    let (_folder, path) = temporary_file("a.h5");
    let cases: [(&[u8], &str); 8] = [
        (b"", "an empty file"),
        (b"\x89HDF", "too short"),
        (b"\x89HDF\r\n\x1a\n", "truncated: need 48 bytes, have 8"),
        (b"PK\x03\x04 and so on", "a zip file"),
        (b"\x80\x02ctorch and so on", "a Python pickle"),
        (b"<!DOCTYPE html>", "neither HDF5 nor safetensors"),
        (b"\x02\0\0\0\0\0\0\0{}", "does not say what network"),
        (b"\x02\0\0\0\0\0\0\0{]", "its header is not that of safetensors"),
    ];
    for (bytes, expected) in cases {
        fs::write(&path, bytes).unwrap();
        let message = refusal(&path);
        assert!(message.contains(expected), "{message}");
    }
    assert!(refusal(path.parent().unwrap()).contains("reading the weights failed"));
}

/// Headers that claim more than there is: refused before it is allocated.
#[test]
fn claimed_sizes_cost_nothing() {
    let (_folder, path) = temporary_file("a.safetensors");
    let huge = u64::MAX;
    let with_header = |json: &str, data: usize| {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let length = |n: u64| [&n.to_le_bytes()[..], b"{      "].concat();
    let tensor = |shape: &str, to: u64| {
        with_header(&format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[0,{to}]}}}}"), 16)
    };
    let cases = [
        (length(huge), "its header claims 18446744073709551615 bytes"),
        (length(1 << 30), "its header claims 1073741824 bytes"),
        (length(99_999_999), "truncated: need 100000007 bytes"),
        (tensor("[1073741824]", 1 << 32), "truncated: need 4294967296 bytes of tensors, have 16"),
        (tensor("[18446744073709551615]", huge), "does not fit in memory"),
        (tensor("[4294967296,4294967296,4294967296]", 16), "does not fit in memory"),
        (tensor("[2305843009213693951]", huge), "takes 9223372036854775804 bytes, its place is"),
        (tensor("[3]", 16), "takes 12 bytes, its place is 0 to 16"),
    ];
    for (bytes, expected) in cases {
        fs::write(&path, &bytes).unwrap();
        let (allocated, message) = allocated_by(|| refusal(&path));
        assert!(message.contains(expected), "{message}");
        assert!(allocated < 1 << 20, "{allocated} bytes allocated for: {message}");
    }
}

#[test]
fn a_checkpoints_own_part_is_checked_too() {
    let (_folder, path) = temporary_file("a.h5");
    let extra = hdf5_file::Extra {
        state: "step = 123456789".into(),
        tensors: vec![("momentum/w".into(), ndarray::arr1(&[123.456f32, 7.0]).into_dyn())],
    };
    let original = weights(&model(SMALL), 2);
    for (needle, name) in [(&b"123456789"[..], "state"), (&123.456f32.to_le_bytes()[..], "momentum/w")] {
        hdf5_file::save_with(&path, &original, Some(&extra)).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let message = refusal(&path);
        assert!(message.contains(&format!("checksum of {name} is")), "{message}");
    }
    hdf5_file::save_with(&path, &original, Some(&extra)).unwrap();
    assert_same(&Weights::load(&path).unwrap(), &original);
}

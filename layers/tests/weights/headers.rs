//! Headers and structures that are well-formed but wrong.

use std::fs;
use std::path::Path;

use alexnet_layers::weights::Weights;
use hdf5::types::FixedAscii;
use proptest::prelude::*;

use crate::{SMALL, model, refusal, temporary_file, weights};

/// Writes a safetensors file of a header and zeros.
fn write(path: &Path, json: &str, data: usize) {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    fs::write(path, bytes).unwrap();
}

fn tensor(name: &str, from: u64, to: u64) -> String {
    format!("\"{name}\":{{\"dtype\":\"U8\",\"shape\":[{}],\"data_offsets\":[{from},{to}]}}", to - from)
}

#[test]
fn safetensors_layouts() {
    let (_folder, path) = temporary_file("a.safetensors");
    let a = tensor("a", 0, 8);
    let b = tensor("b", 8, 16);
    let cases = [
        (format!("{{{a},{}}}", tensor("b", 4, 16)), "b at byte 4 overlaps the one before it, which ends at 8"),
        (format!("{{{a},{}}}", tensor("b", 9, 16)), "b at byte 9 leaves a gap before it, which ends at 8"),
        (format!("{{{a},{}}}", tensor("b", 8, 17)), "truncated: need 17 bytes of tensors, have 16"),
        (format!("{{{a},{}}}", tensor("b", 8, 15)), "1 bytes follow the last tensor"),
        (format!("{{{a},{a}}}"), "\"a\" comes twice"),
        (format!("{{{a},{b},{b}}}"), "\"b\" comes twice"),
        (format!("{{{a},{b},\"__metadata__\":{{\"k\":\"1\",\"k\":\"2\"}}}}"), "metadata \"k\" comes twice"),
        (format!("{{{a},{b},\"__metadata__\":{{\"k\":1}}}}"), "its header is not that of safetensors"),
        (format!("{{{a}"), "its header is not that of safetensors"),
        (format!("{{{},{b}}}", a.replace("U8", "Q7")), "a: unknown type \"Q7\""),
        (format!("{{{},{b}}}", a.replace("[0,8]", "[8,0]")), "its place is 8 to 0"),
        (format!("{{{},{b}}}", a.replace("shape", "shapes")), "its header is not that of safetensors"),
    ];
    for (json, expected) in cases {
        write(&path, &json, 16);
        let message = refusal(&path);
        assert!(message.contains(expected), "{json}: {message}");
    }
}

/// Changes the metadata of a file of ours.
fn edited(path: &Path, from: &str, to: &str) {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let json = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    assert!(json.contains(from), "{json}");
    let json = json.replacen(from, to, 1);
    let mut edited = (json.len() as u64).to_le_bytes().to_vec();
    edited.extend(json.as_bytes());
    edited.extend(&bytes[8 + length..]);
    fs::write(path, edited).unwrap();
}

#[test]
fn safetensors_metadata() {
    let (_folder, path) = temporary_file("a.safetensors");
    let cases = [
        (
            "\"alexnet.version\":\"2\"",
            "\"alexnet.version\":\"3\"",
            "written by version 3 of the format, this reads up to 2",
        ),
        ("\"alexnet.version\":\"2\"", "\"alexnet.version\":\"x\"", "expected a number"),
        ("\"alexnet.version\":\"2\"", "\"alexnet.version\":\"0\"", "its format version is 0"),
        ("alexnet.version", "alexnet.versiom", "\"alexnet.version\": missing"),
        ("\"alexnet.format\":\"weights\"", "\"alexnet.format\":\"other\"", "expected \"weights\", got \"other\""),
        ("alexnet.model\":\"name", "alexnet.model\":\"nome", "checksum of alexnet.model"),
        ("[\\\"class", "[\\\"klass", "checksum of alexnet.classes"),
        ("\\\"height\\\":7", "\\\"height\\\":6", "checksum of alexnet.mean_image"),
        ("alexnet.mean_rgb\":\"[", "alexnet.mean_rgb\":\"{", "checksum of alexnet.mean_rgb"),
        ("alexnet.crc32c", "alexnet.crc32d", "\"alexnet.crc32c\": missing"),
        ("\\\"fc8.bias\\\"", "\\\"fc9.bias\\\"", "does not name what the file holds"),
    ];
    for (from, to, expected) in cases {
        weights(&model(SMALL), 1).save(&path).unwrap();
        edited(&path, from, to);
        let message = refusal(&path);
        assert!(message.contains(expected), "{message}");
    }
}

/// The message for a file that another program has edited.
fn h5_edited(path: &Path, edit: impl FnOnce(&hdf5::File) -> hdf5::Result<()>) -> String {
    edit_h5(path, edit);
    refusal(path)
}

fn edit_h5(path: &Path, edit: impl FnOnce(&hdf5::File) -> hdf5::Result<()>) {
    weights(&model(SMALL), 2).save(path).unwrap();
    let file = hdf5::File::open_rw(path).unwrap();
    edit(&file).unwrap();
    file.close().unwrap();
}

#[track_caller]
fn has(message: String, expected: &str) {
    assert!(message.contains(expected), "{message}");
}

#[test]
fn hdf5_structure() {
    let (_folder, path) = temporary_file("a.h5");
    let version = |n: u32| move |file: &hdf5::File| file.attr("version")?.write_scalar(&n);
    has(h5_edited(&path, version(2)), "written by version 2 of the format, this reads up to 1; update alexnet");
    has(h5_edited(&path, version(0)), "its format version is 0");
    has(h5_edited(&path, |f| f.delete_attr("version")), "\"version\" is missing");
    has(h5_edited(&path, |f| f.delete_attr("format")), "not weights of ours");
    has(h5_edited(&path, |f| f.delete_attr("model_crc32c")), "model_crc32c is missing");
    has(h5_edited(&path, |f| f.unlink("parameters")), "group parameters");
    has(h5_edited(&path, |f| f.dataset("parameters/fc8.bias")?.delete_attr("crc32c")), "fc8.bias: its checksum");
    has(h5_edited(&path, |f| f.group("parameters")?.unlink("fc8.bias")), "1 missing: fc8.bias");
    let renamed = |f: &hdf5::File| f.group("parameters")?.relink("fc8.bias", "fc9.bias");
    has(h5_edited(&path, renamed), "1 missing: fc8.bias; 1 not in the network: fc9.bias");
    let linked = |f: &hdf5::File| f.group("parameters")?.link_soft("/parameters/fc8.bias", "again");
    has(h5_edited(&path, linked), "again is a link to elsewhere");
    let outside = |f: &hdf5::File| {
        f.unlink("parameters")?;
        f.link_external("other.h5", "/parameters", "parameters")
    };
    has(h5_edited(&path, outside), "parameters is a link to elsewhere");
    let twice = |f: &hdf5::File| f.link_hard("/parameters/fc8.bias", "/parameters/again");
    has(h5_edited(&path, twice), "fc8.bias and again overlap");
    let wide = |f: &hdf5::File| f.new_dataset_builder().with_data(&[1.0f64]).create("parameters/w").map(|_| ());
    has(h5_edited(&path, wide), "w: expected f32 values, got ");
}

#[test]
fn hdf5_shapes_without_storage_are_not_allocated() {
    let (_folder, path) = temporary_file("a.h5");
    for shape in [vec![1 << 40], vec![1 << 30, 1 << 29], vec![3]] {
        let unwritten =
            |f: &hdf5::File| f.new_dataset::<f32>().no_chunk().shape(shape.clone()).create("parameters/w").map(|_| ());
        edit_h5(&path, unwritten);
        let (allocated, message) = crate::allocator::allocated_by(|| refusal(&path));
        assert!(message.contains("does not fit in memory") || message.contains("0 bytes are stored"), "{message}");
        assert!(allocated < 1 << 20, "{allocated} bytes");
    }
    let chunked = |f: &hdf5::File| f.new_dataset::<f32>().chunk(4).shape(8).create("parameters/w").map(|_| ());
    has(h5_edited(&path, chunked), "w: expected one contiguous block");
}

/// Groups count too: each is opened.
#[test]
fn more_objects_than_a_network_has_in_hdf5() {
    const MOST: usize = 65_536;
    let (_folder, path) = temporary_file("a.h5");
    let before = weights(&model(SMALL), 2);
    // A group that is linked again and again, in one whose links are a tree.
    let fill = |count: usize| {
        move |file: &hdf5::File| {
            let more = file.create_group("parameters/more")?;
            more.create_group("empty")?;
            (1..count).try_for_each(|n| more.link_hard("/parameters/more/empty", &format!("{n}")))
        }
    };
    let most = MOST - 1 - before.tensors.len();
    edit_h5(&path, fill(most));
    assert_eq!(Weights::load(&path).unwrap().tensors, before.tensors);
    has(h5_edited(&path, fill(most + 1)), "more than 65536 tensors");
}

#[test]
fn another_programs_hdf5() {
    let (_folder, path) = temporary_file("a.h5");
    let file = hdf5::File::create(&path).unwrap();
    file.create_group("model_weights").unwrap();
    let version: FixedAscii<8> = FixedAscii::from_ascii("3.15").unwrap();
    file.new_attr::<FixedAscii<8>>().create("keras_version").unwrap().write_scalar(&version).unwrap();
    file.close().unwrap();
    has(
        refusal(&path),
        "not weights of ours (its attribute \"format\" is not \"alexnet weights\"); it looks like Keras'",
    );
}

proptest! {
    /// Any text in place of the header.
    #[test]
    fn any_header(json in ".{0,80}", data in 0..64usize) {
        let (_folder, path) = temporary_file("a.safetensors");
        write(&path, &format!("{{{json}"), data);
        refusal(&path);
    }
}

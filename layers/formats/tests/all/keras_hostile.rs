//! Damaged and hostile files of Keras: one clear error, or the same tensors; never a panic, and no memory beyond the file.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use alexnet_formats::{Format, keras};
use hdf5::types::FixedAscii;
use hdf5::{File, Group};
use ndarray::Array1;

use crate::allocator::allocated_by;
use crate::keras_files::golden;
use crate::keras_networks::{archive, zipped};

/// Reads a file, which must not take more memory than many times its length.
fn read(path: &Path) -> Result<(), String> {
    let length = fs::metadata(path).unwrap().len();
    let (bytes, result) = allocated_by(|| keras::read(path));
    assert!(bytes < 64 * length + (8 << 20), "{bytes} bytes for a file of {length}");
    result.map(drop).map_err(|error| error.to_string())
}

fn refusal(path: &Path) -> String {
    let error = read(path).unwrap_err();
    assert!(error.contains(path.file_name().unwrap().to_str().unwrap()), "{error}");
    assert!(error.lines().count() == 1 && error.len() < 600, "{error}");
    error
}

/// A small file of Keras' form: one layer.
fn small(path: &Path, more: impl FnOnce(&File)) {
    let file = File::create(path).unwrap();
    file.create_group("vars").unwrap();
    let group = file.create_group("layers/dense/vars").unwrap();
    group.new_dataset_builder().with_data(&ndarray::Array2::<f32>::ones((6, 2))).create("0").unwrap();
    group.new_dataset_builder().with_data(&Array1::<f32>::ones(2)).create("1").unwrap();
    more(&file);
    file.close().unwrap();
}

#[test]
fn every_cut_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.h5");
    small(&path, |_| {});
    let length = fs::metadata(&path).unwrap().len();
    let file = fs::File::options().write(true).open(&path).unwrap();
    for kept in (0..length).rev() {
        file.set_len(kept).unwrap();
        let _case = Case { path: &path, what: "its end", at: kept as usize };
        // Padding may follow the last value.
        match read(&path) {
            Err(error) => assert!(error.contains("cut.h5"), "{error}"),
            Ok(()) => assert!(kept + 64 > length, "cut at {kept} of {length}"),
        }
    }
}

/// A change of a byte of a file: printed if the test fails meanwhile.
struct Case<'a> {
    path: &'a Path,
    what: &'a str,
    at: usize,
}

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with {}, {} at byte {}", self.path.display(), self.what, self.at);
        }
    }
}

/// Reads a file with each byte changed in turn by `flip`, which has its place.
fn flipped(path: &Path, step: usize, flip: impl Fn(usize) -> u8, check: impl Fn(usize, Result<(), String>)) {
    let bytes = fs::read(path).unwrap();
    let mut file = fs::File::options().write(true).open(path).unwrap();
    let mut put = |at: usize, byte: u8| {
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[byte]).unwrap();
    };
    for at in (0..bytes.len()).step_by(step) {
        let changed = bytes[at] ^ flip(at);
        put(at, changed);
        let _case = Case { path, what: &format!("{changed:#04x} for {:#04x}", bytes[at]), at };
        check(at, read(path));
        put(at, bytes[at]);
    }
}

#[test]
fn every_flipped_byte_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flip.h5");
    small(&path, |file| {
        let text: hdf5::types::VarLenUnicode = "dense".parse().unwrap();
        let group = file.group("layers/dense/vars").unwrap();
        group.new_attr::<hdf5::types::VarLenUnicode>().create("name").unwrap().write_scalar(&text).unwrap();
    });
    flipped(&path, 1, |_| 0xff, |_, result| drop(result));
    flipped(&path, 1, |at| 1 << (at % 8), |_, result| drop(result));
    read(&path).unwrap();
}

#[test]
fn files_of_keras_survive_flips_and_cuts() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["chain.h5", "graph.keras"] {
        let path = folder.path().join(name);
        let bytes = fs::read(golden(name)).unwrap();
        fs::write(&path, &bytes).unwrap();
        flipped(
            &path,
            29,
            |at| 1 << (at % 8),
            |at, result| {
                // The archive's checksums find every change of its parts.
                let is_outside = is_header(&bytes, at) || at + 400 > bytes.len();
                assert!(name.ends_with("h5") || is_outside || result.is_err(), "{at}");
            },
        );
        read(&path).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        for kept in (0..bytes.len()).rev().step_by(29) {
            file.set_len(kept as u64).unwrap();
            let _case = Case { path: &path, what: "its end", at: kept };
            assert!(read(&path).is_err(), "{name} cut at {kept}");
        }
    }
}

/// Whether a byte is part of a local header of the archive, whose fields the directory at its end repeats.
fn is_header(bytes: &[u8], at: usize) -> bool {
    bytes[at.saturating_sub(80)..=at].windows(4).any(|window| window == b"PK\x03\x04")
        || bytes[at..(at + 4).min(bytes.len())].starts_with(b"PK")
}

/// Such a file once went to HDF5's own library, which crashed.
#[test]
fn a_file_without_marks_is_not_for_the_library() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.h5");
    let file = File::create(&path).unwrap();
    file.new_dataset_builder().with_data(&Array1::<f32>::ones(2)).create("data").unwrap();
    file.close().unwrap();
    assert_eq!(Format::of(&path).unwrap(), Format::KerasHdf5);
    assert!(refusal(&path).contains("neither weights of Keras nor of this program"));
}

#[test]
fn links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("links.h5");
    type Change = fn(&File);
    let cases: [(&str, Change); 5] = [
        ("link to elsewhere", |file| file.link_soft("/layers/dense", "layers/dense_1").unwrap()),
        ("link to elsewhere", |file| file.link_external("/etc/passwd", "/", "layers/dense_1").unwrap()),
        ("linked twice", |file| file.link_hard("/layers", "layers/dense/layers").unwrap()),
        ("linked twice", |file| file.link_hard("/layers/dense/vars/0", "layers/dense/vars/2").unwrap()),
        ("another file", |file| {
            let group = file.create_group("layers/dense_1/vars").unwrap();
            let builder = group.new_dataset_builder().external("/etc/passwd", 0, 8);
            builder.empty::<f32>().shape([2]).create("0").unwrap();
        }),
    ];
    for (words, more) in cases {
        small(&path, more);
        let error = refusal(&path);
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn values_that_are_not_in_the_file_take_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.h5");
    // Space that was never written.
    small(&path, |file| {
        let group = file.create_group("layers/dense_1/vars").unwrap();
        group.new_dataset_builder().empty::<f32>().shape([1 << 30, 16]).create("0").unwrap();
    });
    assert!(refusal(&path).contains("never written"));
    small(&path, |file| {
        let group = file.create_group("layers/dense_1/vars").unwrap();
        group.new_dataset_builder().chunk([1 << 20, 16]).empty::<f32>().shape([1 << 30, 16]).create("0").unwrap();
    });
    assert!(refusal(&path).contains("grows many times"));
    // A shape that grows after the file was written.
    small(&path, |_| {});
    let mut bytes = fs::read(&path).unwrap();
    let shape: Vec<u8> = [6u64, 2].iter().flat_map(|axis| axis.to_le_bytes()).collect();
    let at = bytes.windows(16).position(|window| window == shape).unwrap();
    bytes[at..at + 8].copy_from_slice(&(1u64 << 40).to_le_bytes());
    fs::write(&path, bytes).unwrap();
    assert!(refusal(&path).contains("not in the file"));
}

#[test]
fn compressed_values_are_read_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packed.h5");
    let values = ndarray::Array2::from_shape_fn((50, 30), |(i, j)| (i * 30 + j) as f32);
    small(&path, |file| {
        let group = file.create_group("layers/dense_1/vars").unwrap();
        let builder = group.new_dataset_builder().chunk([16, 7]).shuffle().deflate(4).fletcher32();
        builder.with_data(&values).create("0").unwrap();
    });
    let file = keras::read(&path).unwrap();
    let tensor = file.tensors.iter().find(|tensor| tensor.name == "dense_1.weight").unwrap();
    assert_eq!(tensor.values, values.clone().into_dyn());
    // A bit that changed in a chunk without deflation is seen by its checksum.
    small(&path, |file| {
        let group = file.create_group("layers/dense_1/vars").unwrap();
        group.new_dataset_builder().chunk([16, 7]).fletcher32().with_data(&values).create("0").unwrap();
    });
    keras::read(&path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let pattern: Vec<u8> = [1.0f32, 2.0, 3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let place = bytes.windows(12).position(|window| window == pattern).unwrap();
    bytes[place] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = keras::read(&path).unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
    // Zeros that inflate a thousand times are refused beyond what the file's length justifies.
    small(&path, |file| {
        let group = file.create_group("layers/dense_1/vars").unwrap();
        let zeros = ndarray::Array2::<f32>::zeros((515, 517));
        group.new_dataset_builder().chunk([515, 517]).deflate(9).with_data(&zeros).create("0").unwrap();
    });
    keras::read(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    small(&path, |file| {
        let group = file.create_group("layers/dense_1/vars").unwrap();
        let zeros = ndarray::Array2::<f32>::zeros((1030, 517));
        group.new_dataset_builder().chunk([515, 517]).deflate(9).with_data(&zeros).create("0").unwrap();
    });
    let error = refusal(&path);
    assert!(error.contains("grows many times"), "{error}");
    let shape: Vec<u8> = [515u64, 517].iter().flat_map(|axis| axis.to_le_bytes()).collect();
    let at = bytes.windows(16).position(|window| window == shape).unwrap();
    bytes[at..at + 8].copy_from_slice(&(1u64 << 30).to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let error = refusal(&path);
    assert!(error.contains("grows many times"), "{error}");
    // Less than the file's length justifies, but more than its chunks hold.
    small(&path, |file| {
        let group = file.create_group("layers/dense_1/vars").unwrap();
        let values = ndarray::Array2::<f32>::ones((50, 30));
        group.new_dataset_builder().chunk([50, 30]).with_data(&values).create("0").unwrap();
    });
    let mut bytes = fs::read(&path).unwrap();
    let shape: Vec<u8> = [50u64, 30].iter().flat_map(|axis| axis.to_le_bytes()).collect();
    let at = bytes.windows(16).position(|window| window == shape).unwrap();
    bytes[at..at + 8].copy_from_slice(&500u64.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let error = refusal(&path);
    assert!(error.contains("1 of its 10 chunks"), "{error}");
}

/// The checksum's sums are folded after 360 words: more of them, and an odd byte after deflation.
#[test]
fn checksums_of_long_chunks_are_hdf5s() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.h5");
    let value = |(i, j): (usize, usize)| (((i * 97 + j) as u32).wrapping_mul(2_654_435_761) >> 18) as f32;
    for rows in 60..68 {
        let values = ndarray::Array2::from_shape_fn((rows, 97), value);
        for deflated in [false, true] {
            small(&path, |file| {
                let group = file.create_group("layers/dense_1/vars").unwrap();
                let builder = group.new_dataset_builder().chunk([rows, 97]);
                let builder = if deflated { builder.deflate(1) } else { builder };
                builder.fletcher32().with_data(&values).create("0").unwrap();
            });
            let file = keras::read(&path).unwrap();
            let tensor = file.tensors.iter().find(|tensor| tensor.name == "dense_1.weight").unwrap();
            assert_eq!(tensor.values, values.clone().into_dyn());
        }
    }
}

#[test]
fn many_chunks_are_read_and_may_not_overlap() {
    const COUNT: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chunks.h5");
    let values = ndarray::Array2::from_shape_fn((COUNT, 1), |(i, _)| i as f32);
    small(&path, |file| {
        let group = file.create_group("layers/dense_1/vars").unwrap();
        group.new_dataset_builder().chunk([1, 1]).with_data(&values).create("0").unwrap();
    });
    let file = keras::read(&path).unwrap();
    let tensor = file.tensors.iter().find(|tensor| tensor.name == "dense_1.weight").unwrap();
    assert_eq!(tensor.values, values.clone().into_dyn());
    // In the tree of chunks, a key (length, place, 0) comes before each address.
    let mut bytes = fs::read(&path).unwrap();
    let address_of = |bytes: &[u8], row: u64| {
        let key: Vec<u8> = [4, row, 0, 0].iter().flat_map(|number: &u64| number.to_le_bytes()).collect();
        let of_row = bytes.windows(40).enumerate().filter(|(_, window)| window.starts_with(&key));
        // Keys of inner nodes, with the first row of a node, are followed by the address of that node.
        let is_chunk = |at: &usize| {
            let address = u64::from_le_bytes(bytes[at + 32..at + 40].try_into().unwrap()) as usize;
            bytes.get(address..address + 4) == Some(&(row as f32).to_le_bytes()[..])
        };
        of_row.map(|(at, _)| at).find(is_chunk).unwrap() + 32
    };
    let [from, to] = [address_of(&bytes, 7), address_of(&bytes, 19_999)];
    bytes.copy_within(from..from + 8, to);
    fs::write(&path, &bytes).unwrap();
    let error = refusal(&path);
    assert!(error.contains("overlap"), "{error}");
}

/// An attribute with a list of texts.
fn list<const N: usize>(group: &Group, name: &str, texts: &[String]) {
    let texts: Vec<_> = texts.iter().map(|text| FixedAscii::<N>::from_ascii(text).unwrap()).collect();
    let attribute = group.new_attr::<FixedAscii<N>>().shape([texts.len()]);
    attribute.create(name).unwrap().write(&texts).unwrap();
}

/// The parts into which Keras cuts a long list of layers.
#[test]
fn attributes_are_found_among_many() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attributes.h5");
    {
        let file = File::create(&path).unwrap();
        for number in (0..1500).rev() {
            list::<8>(&file, &format!("layer_names{number}"), &[format!("l{number}")]);
        }
        for number in [1499, 0] {
            let group = file.create_group(&format!("l{number}")).unwrap();
            group.new_dataset_builder().with_data(&Array1::<f32>::ones(2)).create("bias").unwrap();
            list::<8>(&group, "weight_names", &["bias".to_string()]);
        }
    }
    let names: Vec<String> = keras::read(&path).unwrap().tensors.into_iter().map(|tensor| tensor.name).collect();
    assert_eq!(names, ["l0.weight", "l1499.weight"]);
}

/// A list that names a layer again and again, whose own list is long.
#[test]
fn texts_of_attributes_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attributes.h5");
    {
        let file = File::create(&path).unwrap();
        let names = vec!["a".to_string(); 60_000];
        list::<1>(&file, "layer_names", &names);
        let group = file.create_group("a").unwrap();
        group.new_dataset_builder().with_data(&Array1::<f32>::ones(2)).create("a").unwrap();
        list::<1>(&group, "weight_names", &names);
    }
    let error = refusal(&path);
    assert!(error.contains("larger than the file"), "{error}");
}

#[test]
fn configurations_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |config: &str| refusal(&archive(folder.path(), config));
    assert!(refused(&"[".repeat(1 << 20)).contains("not JSON"));
    assert!(refused(&" ".repeat(5 << 20)).contains("more than 4194304 bytes"));
    let mut nested = r#"{"class_name":"Sequential","config":{"layers":[]}}"#.to_string();
    for _ in 0..20 {
        nested = format!(r#"{{"class_name":"Sequential","config":{{"layers":[{nested}]}}}}"#);
    }
    assert!(refused(&nested).contains("nested"));
    let layer = r#"{"class_name":"Flatten","config":{}},"#.repeat(20_000);
    let layers = layer.trim_end_matches(',');
    assert!(
        refused(&format!(r#"{{"class_name":"Sequential","config":{{"layers":[{layers}]}}}}"#)).contains("too many")
    );
}

#[test]
fn archives_are_read_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.keras");
    zipped(&path, &[("../../evil", b"x"), ("/etc/evil", b"x"), ("config.json", b"{}")]);
    assert!(refusal(&path).contains("metadata.json"));
    assert!(!folder.path().join("../../evil").exists());
    zipped(&path, &[("metadata.json", b"{}"), ("config.json", b"{}"), ("model.weights.h5", b"none")]);
    assert!(refusal(&path).contains("first block"));
    fs::write(&path, b"PK\x03\x04").unwrap();
    assert!(refusal(&path).contains("archive"));
    fs::write(&path, b"").unwrap();
    refusal(&path);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(keras::read(&path).is_err());
}

//! State dicts that are written.

use std::fs::{self, File};
use std::io::Read;

use alexnet_formats::layers::weights::{AxisOrder, Weights};
use alexnet_formats::{Format, load, save, torch};
use proptest::prelude::*;
use zip::ZipArchive;

use crate::support::{SMALL, bits, model, temporary_file, weights};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_is_written_is_read_again(seed: u32) {
        let (_folder, path) = temporary_file("a.pt");
        let original = weights(&model(SMALL), seed);
        save(&path, &original, None).unwrap();
        let loaded = load(&path, None).unwrap();
        prop_assert_eq!(bits(&loaded.weights), bits(&original));
        prop_assert_eq!(&loaded.weights, &original);
        prop_assert!(loaded.report.left_over.is_empty() && loaded.report.notes.is_empty());
        let bytes = fs::read(&path).unwrap();
        save(&path, &loaded.weights, None).unwrap();
        prop_assert!(fs::read(&path).unwrap() == bytes, "the same weights give the same bytes");
    }
}

#[test]
fn every_bit_pattern_survives() {
    let (_folder, path) = temporary_file("a.pth");
    let mut original = Weights { classes: vec![], mean_image: None, mean_rgb: None, ..weights(&model(SMALL), 1) };
    let odd = [f32::NAN, -f32::NAN, f32::INFINITY, -0.0, f32::from_bits(1), f32::from_bits(0x7f80_0001), f32::MIN];
    for (value, odd) in original.tensors[0].1.iter_mut().zip(odd) {
        *value = odd;
    }
    save(&path, &original, None).unwrap();
    let loaded = load(&path, None).unwrap().weights;
    assert_eq!(bits(&loaded), bits(&original));
    assert_eq!((loaded.classes, loaded.mean_image, loaded.mean_rgb), (vec![], None, None));
}

/// The names that the network exports, PyTorch's shapes and axes, numbers at multiples of 64.
#[test]
fn records_are_those_of_pytorch() {
    let (_folder, path) = temporary_file("a.pt");
    let original = weights(&model(SMALL), 2);
    save(&path, &original, None).unwrap();
    let file = torch::read(&path).unwrap();
    let specs = model(SMALL).parameters().unwrap();
    assert_eq!(file.tensors[0].name, "features.0.weight");
    for (spec, tensor) in specs.iter().zip(&file.tensors) {
        assert_eq!(tensor.name, spec.export);
        let ours = original.tensor(&spec.name).unwrap();
        assert_eq!(tensor.values, AxisOrder::PyTorch.from_own(spec, ours.view()).unwrap());
    }
    let mut zip = ZipArchive::new(File::open(&path).unwrap()).unwrap();
    let names: Vec<String> = zip.file_names().map(str::to_string).collect();
    assert_eq!(names[..3], ["archive/data.pkl", "archive/.format_version", "archive/byteorder"]);
    assert_eq!(names.last().unwrap(), "archive/version");
    for (key, spec) in specs.iter().enumerate() {
        let mut entry = zip.by_name(&format!("archive/data/{key}")).unwrap();
        assert_eq!(entry.data_start().unwrap() % 64, 0, "{}", spec.name);
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 4 * spec.len());
    }
}

/// PyTorch reads this very pickle (`../frameworks/torch.py` checks that); it changes only on purpose.
#[test]
fn the_pickle_of_a_state_dict() {
    let text = SMALL.replace("mean = \"pack-image\"", "mean = \"none\"");
    let (_folder, path) = temporary_file("a.pt");
    save(&path, &weights(&model(&text), 3), None).unwrap();
    let mut zip = ZipArchive::new(File::open(&path).unwrap()).unwrap();
    let mut pickle = Vec::new();
    zip.by_name("archive/data.pkl").unwrap().read_to_end(&mut pickle).unwrap();
    let expected = b"\x80\x02ccollections\nOrderedDict\n)R(X\x11\0\0\0features.0.weightctorch._utils\n_rebuild_tensor_v2\n\
        ((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuKltQK\0(K\x04K\x03K\x03K\x03t(K\x1bK\tK\x03K\x01t\x89\
        ccollections\nOrderedDict\n)RtR";
    assert!(pickle.starts_with(expected), "{}", pickle.escape_ascii());
    assert!(pickle.ends_with(b"tRu."));
}

#[test]
fn a_failed_write_keeps_the_old_file() {
    let (folder, path) = temporary_file("a.pt");
    fs::write(&path, "old").unwrap();
    let without = Weights { model: None, ..weights(&model(SMALL), 4) };
    assert!(save(&path, &without, None).unwrap_err().to_string().contains("without a network"));
    let mut short = weights(&model(SMALL), 5);
    short.tensors.pop();
    let message = save(&path, &short, None).unwrap_err().to_string();
    assert!(message.contains("no parameter fc8.bias of shape [3]"), "{message}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_format_is_that_of_the_name_or_the_one_asked_for() {
    let (folder, path) = temporary_file("a.pt");
    let original = weights(&model(SMALL), 6);
    let cases = [
        ("a.h5", None, Format::Own),
        ("a.hdf5", None, Format::Own),
        ("a.safetensors", None, Format::Safetensors),
        ("A.PTH", None, Format::Torch),
        ("weights.bin", Some("pytorch"), Format::Torch),
        ("a.h5", Some("safetensors"), Format::Safetensors),
        ("strange", Some("hdf5"), Format::Own),
    ];
    for (name, asked, expected) in cases {
        let path = folder.path().join(name);
        save(&path, &original, asked.map(|name| name.parse().unwrap())).unwrap();
        assert_eq!(Format::of(&path).unwrap(), expected, "{name}");
        assert_eq!(load(&path, None).unwrap().weights, original, "{name}");
        fs::remove_file(&path).unwrap();
    }
    let message = save(&path.with_extension("txt"), &original, None).unwrap_err().to_string();
    assert!(message.contains("written as .h5, .hdf5, .safetensors, .pt, .pth"), "{message}");
    let message = save(&path, &original, Some(Format::Caffe)).unwrap_err().to_string();
    assert!(message.contains("Caffe is read and not written"), "{message}");
    assert!("tar".parse::<Format>().unwrap_err().contains("no format \"tar\""));
}

/// Records of another version, or that do not fit each other.
#[test]
fn damaged_descriptions_are_refused() {
    let (_folder, path) = temporary_file("a.pt");
    save(&path, &weights(&model(SMALL), 7), None).unwrap();
    let mut zip = ZipArchive::new(File::open(&path).unwrap()).unwrap();
    let mut records = Vec::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        records.push((entry.name().to_string(), bytes));
    }
    let edited = |from: &str, to: &str| {
        let edited: Vec<(String, Vec<u8>)> = records
            .iter()
            .map(|(name, bytes)| {
                let text = String::from_utf8_lossy(bytes);
                let is_text = name.ends_with("alexnet.json");
                let bytes = if is_text { text.replacen(from, to, 1).into_bytes() } else { bytes.clone() };
                (name.clone(), bytes)
            })
            .collect();
        let parts: Vec<(&str, &[u8])> = edited.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        fs::write(&path, crate::support::zip(&parts, zip::CompressionMethod::Stored)).unwrap();
        load(&path, None).map_err(|e| e.to_string())
    };
    assert!(edited("no such text", "").is_ok());
    assert!(edited("\"version\":1", "\"version\":2").unwrap_err().contains("update alexnet"));
    assert!(edited("\"mean_image\":[7,7]", "\"mean_image\":[7,8]").unwrap_err().contains("a mean image of [7, 8]"));
    assert!(edited("{", "[").unwrap_err().contains("alexnet.json: "));
    assert!(edited("units = 5", "units = 6").unwrap_err().contains("fc6.weight is [5, 48] and not [6, 48]"));
}

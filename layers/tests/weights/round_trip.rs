//! Round trips: weights that are saved load as the same weights.

use std::fs;
use std::path::Path;

use alexnet_layers::weights::{Weights, hdf5_file};
use alexnet_layers::{Error, Model};
use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;
use safetensors::SafeTensors;

use crate::{SMALL, assert_same, model, temporary_file, weights};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn hdf5_to_safetensors_to_hdf5(seed: u32) {
        let (_folder, first) = temporary_file("a.h5");
        let between = first.with_file_name("b.safetensors");
        let second = first.with_file_name("c.hdf5");
        let original = weights(&model(SMALL), seed);
        original.save(&first).unwrap();
        let loaded = Weights::load(&first).unwrap();
        assert_same(&loaded, &original);
        loaded.save(&between).unwrap();
        let loaded = Weights::load(&between).unwrap();
        assert_same(&loaded, &original);
        loaded.save(&second).unwrap();
        prop_assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap(), "the files are the same too");
    }
}

#[test]
fn every_bit_pattern_survives() {
    let (_folder, h5) = temporary_file("a.h5");
    let safetensors = h5.with_file_name("a.safetensors");
    let mut original = weights(&model(SMALL), 1);
    let odd = [f32::NAN, -f32::NAN, f32::INFINITY, -0.0, f32::from_bits(1), f32::from_bits(0x7f80_0001), f32::MIN];
    for (value, odd) in original.tensors[0].1.iter_mut().zip(odd) {
        *value = odd;
    }
    for path in [h5, safetensors] {
        original.save(&path).unwrap();
        assert_same(&Weights::load(&path).unwrap(), &original);
    }
}

#[test]
fn the_orientation_of_the_training_stays_known() {
    let turned = Weights { exif_orientation: true, ..weights(&model(SMALL), 15) };
    let (_folder, h5) = temporary_file("a.h5");
    for path in [h5.with_file_name("a.safetensors"), h5] {
        turned.save(&path).unwrap();
        assert_same(&Weights::load(&path).unwrap(), &turned);
    }
}

#[test]
fn what_is_unknown_stays_unknown() {
    let bare = Weights { classes: vec![], mean_image: None, mean_rgb: None, ..weights(&model(SMALL), 2) };
    let (_folder, h5) = temporary_file("a.h5");
    for path in [h5.with_file_name("a.safetensors"), h5] {
        bare.save(&path).unwrap();
        assert_same(&Weights::load(&path).unwrap(), &bare);
    }
}

#[test]
fn without_a_network() {
    let (_folder, path) = temporary_file("a.h5");
    let full = weights(&model(SMALL), 3);
    let bare = Weights { model: None, ..full.clone() };
    bare.save(&path).unwrap();
    let mut by_name = bare.clone();
    by_name.tensors.sort_by(|a, b| a.0.cmp(&b.0));
    assert_same(&Weights::load(&path).unwrap(), &by_name);
    assert_same(&Weights::load_for(&path, &model(SMALL)).unwrap(), &full);
    let error = bare.save(&path.with_extension("safetensors")).unwrap_err();
    assert!(error.to_string().contains("without a network cannot be saved as safetensors"), "{error}");
}

#[test]
fn saving_over_a_loaded_file_leaves_what_was_loaded() {
    for name in ["a.h5", "a.safetensors"] {
        let (folder, path) = temporary_file(name);
        let old = weights(&model(SMALL), 4);
        let new = weights(&model(SMALL), 5);
        old.save(&path).unwrap();
        let loaded = Weights::load(&path).unwrap();
        new.save(&path).unwrap();
        assert_same(&loaded, &old);
        assert_same(&Weights::load(&path).unwrap(), &new);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }
}

#[test]
fn a_refused_save_keeps_the_old_file() {
    for name in ["a.h5", "a.safetensors"] {
        let (folder, path) = temporary_file(name);
        weights(&model(SMALL), 6).save(&path).unwrap();
        let before = fs::read(&path).unwrap();
        let mut wrong = weights(&model(SMALL), 7);
        wrong.tensors.pop();
        assert!(matches!(wrong.save(&path), Err(Error::Parameters { missing, .. }) if missing == ["fc8.bias"]));
        let mut wrong = weights(&model(SMALL), 7);
        wrong.classes[0] = "\0".into();
        let outcome = wrong.save(&path);
        if name == "a.safetensors" {
            outcome.unwrap();
        } else {
            // HDF5's strings end at a zero.
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains("a text with a zero byte cannot be stored"), "{error}");
            assert_eq!(fs::read(&path).unwrap(), before);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn the_extension_decides() {
    let (_folder, path) = temporary_file("weights.onnx");
    let weights = weights(&model(SMALL), 8);
    for name in ["weights.onnx", "weights", "weights.h5.bak"] {
        let error = weights.save(&path.with_file_name(name)).unwrap_err().to_string();
        assert!(error.contains(".h5") && error.contains(".safetensors"), "{error}");
    }
    let upper = path.with_file_name("WEIGHTS.H5");
    weights.save(&upper).unwrap();
    let disguised = path.with_file_name("weights.safetensors");
    fs::rename(&upper, &disguised).unwrap();
    assert_same(&Weights::load(&disguised).unwrap(), &weights);
}

#[test]
fn a_missing_folder_or_file_is_named() {
    let (folder, _) = temporary_file("");
    let path = folder.path().join("no/such/a.h5");
    let error = weights(&model(SMALL), 9).save(&path).unwrap_err().to_string();
    assert!(error.starts_with(&path.display().to_string()), "{error}");
    let error = Weights::load(&path).unwrap_err().to_string();
    assert!(error.starts_with(&path.display().to_string()) && error.contains("No such file"), "{error}");
}

#[test]
fn checkpoints_hold_more() {
    let (_folder, path) = temporary_file("a.h5");
    let original = weights(&model(SMALL), 10);
    let tensor = |shape: &[usize], value: f32| ArrayD::from_elem(IxDyn(shape), value);
    let extra = hdf5_file::Extra {
        state: "step = 3\nnote = \"ä\"\n".into(),
        tensors: vec![
            ("adam.m/conv1.weight".into(), tensor(&[4, 3, 3, 3], 1.5)),
            ("adam.t/conv1.weight".into(), tensor(&[1], 3.0)),
            ("momentum/fc8.bias".into(), tensor(&[3], -0.5)),
        ],
    };
    hdf5_file::save_with(&path, &original, Some(&extra)).unwrap();
    let (loaded, back) = hdf5_file::load_with(&path).unwrap();
    assert_same(&loaded, &original);
    assert_eq!(back.unwrap(), extra);
    assert_same(&Weights::load(&path).unwrap(), &original);

    let empty = hdf5_file::Extra::default();
    hdf5_file::save_with(&path, &original, Some(&empty)).unwrap();
    assert_eq!(hdf5_file::load_with(&path).unwrap().1, Some(empty));
    original.save(&path).unwrap();
    assert_eq!(hdf5_file::load_with(&path).unwrap().1, None);

    for name in ["", "/", "a//b", "../a", "a/."] {
        let extra = hdf5_file::Extra { state: String::new(), tensors: vec![(name.into(), tensor(&[1], 0.0))] };
        let error = hdf5_file::save_with(&path, &original, Some(&extra)).unwrap_err().to_string();
        assert!(error.contains(&format!("tensor {name:?} has a name that HDF5 cannot hold")), "{error}");
    }
}

#[test]
fn a_text_may_be_as_long_as_60_000_bytes() {
    let (_folder, path) = temporary_file("a.h5");
    let mut original = weights(&model(SMALL), 11);
    let long = |n: usize| Some(Model { about: "x".repeat(n), ..model(SMALL) });
    for n in [40_000, 58_000] {
        original.model = long(n);
        original.save(&path).unwrap();
        assert_same(&Weights::load(&path).unwrap(), &original);
    }
    original.model = long(70_000);
    let error = original.save(&path).unwrap_err().to_string();
    assert!(error.contains("at most 60000"), "{error}");
    original.save(&path.with_extension("safetensors")).unwrap();
}

/// HDF5's library (1.10.8) crashes where a fractal heap ("FRHP") is damaged: no file may have one, however much is in it.
#[test]
fn hdf5_without_heaps() {
    let (_folder, path) = temporary_file("a.h5");
    let original =
        Weights { model: Some(Model { about: "x".repeat(58_000), ..model(SMALL) }), ..weights(&model(SMALL), 14) };
    let one = |i| (format!("momentum/layer{i}.weight"), ArrayD::from_elem(IxDyn(&[2]), i as f32));
    let extra = hdf5_file::Extra { state: "s".repeat(60_000), tensors: (0..300).map(one).collect() };
    hdf5_file::save_with(&path, &original, Some(&extra)).unwrap();
    let bytes = fs::read(&path).unwrap();
    for heap in [b"FRHP", b"GCOL", b"HEAP"] {
        assert!(!bytes.windows(4).any(|window| window == heap), "{heap:?}");
    }
    assert_eq!(hdf5_file::load_with(&path).unwrap().1.unwrap().tensors.len(), 300);
}

/// Tensors lie in PyTorch's layouts, by explicit index arithmetic; safetensors' own library agrees on where.
#[test]
fn safetensors_are_pytorchs_layouts() {
    let (_folder, path) = temporary_file("a.safetensors");
    let model = model(SMALL);
    let original = weights(&model, 12);
    original.save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let theirs = |name: &str| -> (Vec<usize>, Vec<f32>) {
        let view = file.tensor(name).unwrap();
        let values = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        (view.shape().to_vec(), values)
    };
    let ours = |name: &str| original.tensor(name).unwrap();

    let (shape, values) = theirs("features.0.weight");
    assert_eq!(shape, [4, 3, 3, 3]);
    for ((o, y, x, c), &value) in
        ours("conv1.weight").view().into_dimensionality::<ndarray::Ix4>().unwrap().indexed_iter()
    {
        assert_eq!(values[((o * 3 + c) * 3 + y) * 3 + x], value);
    }
    let (shape, values) = theirs("conv2.weight");
    assert_eq!(shape, [4, 2, 1, 2], "two groups of two channels, kernels of 1 x 2");
    for ((o, y, x, c), &value) in
        ours("conv2.weight").view().into_dimensionality::<ndarray::Ix4>().unwrap().indexed_iter()
    {
        assert_eq!(values[(o * 2 + c) * 2 + y * 2 + x], value);
    }
    // conv1 6 -> 4, conv2 4 x 3, local3 3 x 2 of 2 channels.
    let (shape, values) = theirs("local3.weight");
    assert_eq!(shape, [6, 2, 4, 2, 2]);
    for ((p, o, y, x, c), &value) in
        ours("local3.weight").view().into_dimensionality::<ndarray::Ix5>().unwrap().indexed_iter()
    {
        assert_eq!(values[(((p * 2 + o) * 4 + c) * 2 + y) * 2 + x], value);
    }
    let (shape, values) = theirs("fc6.weight");
    assert_eq!(shape, [5, 12]);
    for (i, &value) in ours("fc6.weight").indexed_iter() {
        let o = i[0];
        let h = i[1] / 4;
        let w = i[1] / 2 % 2;
        let c = i[1] % 2;
        assert_eq!(values[o * 12 + (c * 3 + h) * 2 + w], value);
    }
    for name in ["fc8.weight", "fc8.bias", "conv2.bias", "local3.bias", "bn1.running_mean", "bn1.running_var"] {
        let (shape, values) = theirs(name);
        assert_eq!(shape, ours(name).shape());
        assert_eq!(values, ours(name).as_slice().unwrap());
    }
    assert_eq!(file.len(), original.tensors.len(), "PyTorch refuses tensors that are no parameters");
}

#[test]
fn safetensors_metadata_keeps_its_order() {
    let (_folder, path) = temporary_file("a.safetensors");
    let original = weights(&model(SMALL), 13);
    original.save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(length % 8, 0, "tensors are aligned");
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    let keys = [
        "format",
        "alexnet.format",
        "alexnet.version",
        "alexnet.model",
        "alexnet.classes",
        "alexnet.mean_image",
        "alexnet.mean_rgb",
        "alexnet.crc32c",
    ];
    let places: Vec<usize> = keys.iter().map(|key| header.find(&format!("\"{key}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let texts = metadata.metadata().as_ref().unwrap();
    assert_eq!(texts["format"], "pt");
    assert_eq!(Model::parse(&texts["alexnet.model"], "file").unwrap(), model(SMALL));
    original.save(&path).unwrap();
    assert!(fs::read(&path).unwrap() == bytes, "the same weights give the same bytes");
}

/// A mean image is in the file only if the network subtracts it.
#[test]
fn safetensors_of_a_network_without_a_mean_image_carry_none() {
    let (_folder, path) = temporary_file("a.safetensors");
    let original = weights(&model(&SMALL.replace("\"pack-image\"", "\"pack-rgb\"")), 14);
    original.save(&path).unwrap();
    assert_same(&Weights::load(&path).unwrap(), &Weights { mean_image: None, ..original });
    let keys = alexnet_layers::weights::load_metadata(&path).unwrap();
    assert!(keys.contains_key("alexnet.mean_rgb") && !keys.contains_key("alexnet.mean_image"), "{keys:?}");
}

/// Files in the first version of the formats, which are never written again. Their values count from 1.
#[test]
fn files_of_version_1_load() {
    for name in ["version_1.h5", "version_1.safetensors"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let loaded = Weights::load(&path).unwrap();
        assert_eq!(loaded.model, Some(model(SMALL)));
        let values = loaded.tensors.iter().flat_map(|(_, tensor)| tensor);
        assert!(values.zip(1u16..).all(|(value, n)| *value == f32::from(n)));
        assert_eq!(loaded.tensors.len(), 14);
        assert_eq!(
            (loaded.classes, loaded.mean_rgb),
            (["a", "b", "c"].map(String::from).into(), Some([1.0, 2.0, 3.0]))
        );
    }
}

//! Safetensors of torchvision and of other programs.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use alexnet_layers::weights::Weights;
use alexnet_layers::{Error, Model, Network};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tensor::{Cpu, Tensor};

use crate::{SMALL, assert_same, model, refusal, temporary_file, weights};

/// Writes tensors of zeros with safetensors' own library.
fn zeros(path: &Path, tensors: &[(&str, Vec<usize>)]) {
    let data: Vec<Vec<u8>> = tensors.iter().map(|(_, shape)| vec![0; 4 * shape.iter().product::<usize>()]).collect();
    let views = tensors.iter().zip(&data);
    let views = views.map(|((name, shape), data)| (*name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// torchvision's AlexNet as its `state_dict` has it, with this many classes.
fn torchvision(classes: usize) -> [(&'static str, Vec<usize>); 16] {
    [
        ("features.0.weight", vec![64, 3, 11, 11]),
        ("features.0.bias", vec![64]),
        ("features.3.weight", vec![192, 64, 5, 5]),
        ("features.3.bias", vec![192]),
        ("features.6.weight", vec![384, 192, 3, 3]),
        ("features.6.bias", vec![384]),
        ("features.8.weight", vec![256, 384, 3, 3]),
        ("features.8.bias", vec![256]),
        ("features.10.weight", vec![256, 256, 3, 3]),
        ("features.10.bias", vec![256]),
        ("classifier.1.weight", vec![4096, 9216]),
        ("classifier.1.bias", vec![4096]),
        ("classifier.4.weight", vec![4096, 4096]),
        ("classifier.4.bias", vec![4096]),
        ("classifier.6.weight", vec![classes, 4096]),
        ("classifier.6.bias", vec![classes]),
    ]
}

/// Writes torchvision's AlexNet of ten classes, with two bytes per value in a sparse file: zeros, but for 1.0 at
/// conv1.weight[5, 2, 7, 9] of OIHW and fc6.weight[100, channel 200, row 3, column 4].
fn sparse(path: &Path) {
    let mut header = String::from("{");
    let mut places = Vec::new();
    let mut at = 0;
    for (name, shape) in torchvision(10) {
        let end = at + 2 * shape.iter().product::<usize>();
        header += &format!("\"{name}\":{{\"dtype\":\"F16\",\"shape\":{shape:?},\"data_offsets\":[{at},{end}]}},");
        places.push(at);
        at = end;
    }
    header.pop();
    header.push('}');
    let start = 8 + header.len();
    let mut file = File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len((start + at) as u64).unwrap();
    for index in [places[0] / 2 + ((5 * 3 + 2) * 11 + 7) * 11 + 9, places[10] / 2 + 100 * 9216 + (200 * 6 + 3) * 6 + 4]
    {
        file.seek(SeekFrom::Start((start + 2 * index) as u64)).unwrap();
        file.write_all(&[0x00, 0x3c]).unwrap();
    }
}

/// The preset for another size, as docs/networks.md makes it.
fn of_size(size: usize, crop: usize) -> Model {
    let text = Model::preset_text("one-weird-trick").unwrap();
    let text = text.replace("size = 256", &format!("size = {size}")).replace("crop = 224", &format!("crop = {crop}"));
    let layer = "[[layer]]\nname = \"avgpool\"\nkind = \"adaptive-average-pool\"\noutput = 6\n\n";
    let before = "[[layer]]\nname = \"drop6\"";
    Model::parse(&text.replace(before, &format!("{layer}{before}")), "larger.toml").unwrap()
}

#[test]
fn torchvisions_weights_take_images_of_other_sizes() {
    let (_folder, path) = temporary_file("alexnet.safetensors");
    sparse(&path);
    let preset = Model::preset("one-weird-trick").unwrap();
    for (size, crop, map) in [(256, 224, 6), (72, 64, 1), (144, 128, 3), (512, 448, 13)] {
        let mut model = of_size(size, crop);
        model.set_classes(10).unwrap();
        let pool5 = model.find_layer("pool5").unwrap();
        let shapes = model.shapes().unwrap();
        assert_eq!(
            (&shapes[pool5].output[..], &shapes[pool5 + 1].output[..]),
            (&[map, map, 256][..], &[6, 6, 256][..])
        );
        // Only names and shapes decide whether a file fits, and they are those of the preset.
        let named = |model: &Model| -> Vec<(String, Vec<usize>)> {
            model.parameters().unwrap().into_iter().map(|spec| (spec.export, spec.shape)).collect()
        };
        let mut expected = preset.clone();
        expected.set_classes(10).unwrap();
        assert_eq!(named(&model), named(&expected));
    }
    let mut model = of_size(72, 64);
    model.set_classes(10).unwrap();
    let loaded = Weights::load_for(&path, &model).unwrap();
    assert_eq!(loaded.tensor("fc6.weight").unwrap()[[100, (3 * 6 + 4) * 256 + 200]], 1.0);
    let cpu = Cpu::<f32>::new(1).unwrap();
    let network = Network::with_parameters(&cpu, &model, "w", &loaded.tensors).unwrap();
    let logits = network.predict(Tensor::zeros(&cpu, &[1, 64, 64, 3]).unwrap()).unwrap();
    assert_eq!(logits.shape(), [1, 10]);
}

#[test]
fn torchvisions_alexnet_is_one_weird_trick() {
    let (_folder, path) = temporary_file("alexnet.safetensors");
    sparse(&path);
    let loaded = Weights::load(&path).unwrap();
    let model = loaded.model.as_ref().unwrap();
    assert_eq!((model.name.as_str(), model.classes), ("one-weird-trick", 10));
    let nonzero = |name: &str| {
        let tensor = loaded.tensor(name).unwrap();
        let found: Vec<_> = tensor.indexed_iter().filter(|(_, v)| **v != 0.0).collect();
        assert_eq!((found.len(), *found[0].1), (1, 1.0));
        (0..tensor.ndim()).map(|axis| found[0].0[axis]).collect::<Vec<_>>()
    };
    assert_eq!(nonzero("conv1.weight"), [5, 7, 9, 2]);
    assert_eq!(nonzero("fc6.weight"), [100, (3 * 6 + 4) * 256 + 200]);
    assert_eq!(loaded.tensors.iter().map(|(_, t)| t.len()).sum::<usize>(), 61_100_840 - 990 * 4097);
}

#[test]
fn torchvisions_names_with_other_shapes_are_listed() {
    let (_folder, path) = temporary_file("a.safetensors");
    let tensors = torchvision(1000).map(|(name, shape)| (name, vec![1; shape.len()]));
    zeros(&path, &tensors);
    let error = Weights::load(&path).unwrap_err();
    let Error::Parameters { missing, extra, mismatched, .. } = &error else { panic!("{error}") };
    assert!(missing.is_empty() && extra.is_empty());
    assert!(mismatched.contains(&("features.0.weight".into(), vec![64, 3, 11, 11], vec![1; 4])), "{error}");
}

#[test]
fn a_file_that_fits_no_network_lists_its_tensors() {
    let (_folder, path) = temporary_file("a.safetensors");
    zeros(&path, &[("conv1.weight", vec![1, 1, 1, 2]), ("fc8.bias", vec![3])]);
    let message = refusal(&path);
    assert!(message.contains("it holds 2: conv1.weight [1, 1, 1, 2], fc8.bias [3]"), "{message}");
    assert!(message.contains("16 from features.0.weight to classifier.6.bias"), "{message}");
    assert!(message.contains("name the network"), "{message}");
}

/// A file of another program's by our names or by the network's exported ones, in PyTorch's layouts.
#[test]
fn names_are_ours_or_the_networks_exported_ones() {
    let (_folder, path) = temporary_file("a.safetensors");
    let model = model(SMALL);
    let original = weights(&model, 1);
    original.save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let ours = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let bare =
        Weights { classes: vec![], mean_image: None, mean_rgb: None, exif_orientation: false, ..original.clone() };
    let counter = 7i64.to_le_bytes();
    for prefix in ["features.0", "conv1"] {
        let parameters = ours.iter().filter(|(name, _)| !name.starts_with("alexnet."));
        let renamed = parameters.map(|(name, view)| (name.replace("features.0", prefix), view));
        let counter = TensorView::new(Dtype::I64, vec![], &counter).unwrap();
        let all = renamed.chain([("bn1.num_batches_tracked".to_string(), counter)]);
        fs::write(&path, safetensors::serialize(all, None).unwrap()).unwrap();
        assert_same(&Weights::load_for(&path, &model).unwrap(), &bare);
    }
}

#[test]
fn another_networks_weights_are_listed() {
    let (_folder, h5) = temporary_file("a.h5");
    let other = model(&SMALL.replace("classes = 3", "classes = 4").replace("\"conv2\"", "\"conv9\""));
    for path in [h5.with_file_name("a.safetensors"), h5] {
        weights(&model(SMALL), 2).save(&path).unwrap();
        let error = Weights::load_for(&path, &other).unwrap_err();
        let Error::Parameters { missing, extra, mismatched, .. } = &error else { panic!("{error}") };
        assert_eq!(missing, &["conv9.weight", "conv9.bias"]);
        assert_eq!(extra, &["conv2.weight", "conv2.bias"]);
        let fc8 = |name: &str, want: &[usize], got: &[usize]| (name.to_string(), want.to_vec(), got.to_vec());
        assert_eq!(mismatched, &[fc8("fc8.weight", &[4, 5], &[3, 5]), fc8("fc8.bias", &[4], &[3])]);
    }
}

#[test]
fn weights_for_a_network_of_another_name_but_the_same_shapes() {
    let (_folder, path) = temporary_file("a.safetensors");
    let original = weights(&model(SMALL), 3);
    original.save(&path).unwrap();
    let renamed = Model { name: "renamed".into(), ..model(SMALL) };
    let loaded = Weights::load_for(&path, &renamed).unwrap();
    assert_same(&loaded, &Weights { model: Some(renamed), ..original });
}

#[test]
fn whole_numbers_are_no_weights() {
    let (_folder, path) = temporary_file("a.safetensors");
    let model = model(SMALL);
    let specs = model.parameters().unwrap();
    let data: Vec<Vec<u8>> = specs.iter().map(|spec| vec![0; 8 * spec.len()]).collect();
    let saved = {
        let original = weights(&model, 4);
        original.save(&path).unwrap();
        fs::read(&path).unwrap()
    };
    let shapes = safetensors::SafeTensors::deserialize(&saved).unwrap();
    let views = specs.iter().zip(&data).map(|(spec, data)| {
        let shape = shapes.tensor(&spec.export).unwrap().shape().to_vec();
        (spec.export.clone(), TensorView::new(Dtype::I64, shape, data).unwrap())
    });
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    let error = Weights::load_for(&path, &model).unwrap_err().to_string();
    assert!(error.contains("features.0.weight: expected F32, F64, F16 or BF16, got I64"), "{error}");
}

//! Parameters of modules in code, and maps of tensors.

use std::collections::BTreeMap;
use std::path::Path;

use alexnet_layers::model::{Conv, CustomLayer, CustomShape, register_layer};
use alexnet_layers::module::values;
use alexnet_layers::nn::{BatchNorm, Conv2d, Initializer, Linear};
use alexnet_layers::weights::{Weights, load_module, load_tensors, save_module, save_tensors};
use alexnet_layers::{Error, Init, Model, Network, Parameter, ParameterSpec, Parameters, Pass, Var, parameters};
use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tensor::{Backend, Cpu};

use crate::temporary_file;

struct Block<B: Backend> {
    conv: Conv2d<B>,
    norms: Vec<BatchNorm<B>>,
    fc: Linear<B>,
}

parameters! { Block { conv, norms, fc } }

fn block(seed: u64) -> Block<Cpu<f32>> {
    let mut init = Initializer::new(&Cpu::new(1).unwrap(), seed);
    let mut block = Block {
        conv: Conv2d::new(&mut init, 2, &Conv::new(3, 2)).unwrap(),
        norms: vec![BatchNorm::new(&mut init, 3).unwrap(), BatchNorm::new(&mut init, 3).unwrap()],
        fc: Linear::new(&mut init, &[2, 4, 3], 5).unwrap(),
    };
    // Values of its own for each vector too.
    let mut number = seed as f64;
    block.visit_mut("", &mut |_, parameter| {
        number += 1.0;
        parameter.value = parameter.value.mul_add_scalar(1.0, number / 8.0).unwrap();
    });
    block
}

/// Writes safetensors of another program.
fn write_foreign(path: &Path, tensors: &[(String, ArrayD<f32>)]) {
    let bytes = |values: &ArrayD<f32>| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let data: Vec<Vec<u8>> = tensors.iter().map(|(_, values)| bytes(values)).collect();
    let view = |((name, values), data): (&(String, ArrayD<f32>), _)| {
        (name.clone(), TensorView::new(Dtype::F32, values.shape().to_vec(), data).unwrap())
    };
    let views = tensors.iter().zip(data.iter().map(Vec::as_slice)).map(view);
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn modules_come_back_bit_for_bit(seed in 0u64..1000, safetensors: bool) {
        let (_folder, path) = temporary_file(if safetensors { "m.safetensors" } else { "m.h5" });
        let saved = block(seed);
        save_module(&path, &saved).unwrap();
        let mut loaded = block(seed + 1);
        prop_assert_ne!(values(&loaded).unwrap(), values(&saved).unwrap());
        load_module(&path, &mut loaded).unwrap();
        prop_assert_eq!(values(&loaded).unwrap(), values(&saved).unwrap());
    }

    #[test]
    fn maps_come_back_bit_for_bit(
        shapes in prop::collection::btree_map("[a-z][a-z\"ü.]{0,5}", prop::collection::vec(0usize..4, 0..4), 1..5),
        seed: u32,
        safetensors: bool,
    ) {
        let value = |name: &str, i: usize| f32::from_bits(seed.wrapping_mul(i as u32 + 1) ^ name.len() as u32);
        let map: BTreeMap<String, ArrayD<f32>> = shapes
            .into_iter()
            .map(|(name, shape)| {
                let shape: Vec<usize> = if safetensors { shape } else { shape.iter().map(|n| n + 1).collect() };
                let len = shape.iter().product::<usize>();
                let values = (0..len).map(|i| value(&name, i)).collect();
                let array = ArrayD::from_shape_vec(IxDyn(&shape), values).unwrap();
                (name, array)
            })
            .collect();
        let (_folder, path) = temporary_file(if safetensors { "m.safetensors" } else { "m.h5" });
        save_tensors(&path, &map).unwrap();
        let loaded = load_tensors(&path).unwrap();
        prop_assert_eq!(loaded.keys().collect::<Vec<_>>(), map.keys().collect::<Vec<_>>());
        for (name, array) in &map {
            prop_assert_eq!(loaded[name].shape(), array.shape(), "{}", name);
            let bits = |a: &ArrayD<f32>| a.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&loaded[name]), bits(array), "{}", name);
        }
    }
}

/// A module's safetensors are in PyTorch's layouts; `load_tensors` gives them as they are in the file.
#[test]
fn safetensors_of_a_module_are_in_pytorchs_layouts() {
    let (_folder, path) = temporary_file("m.safetensors");
    let saved = block(1);
    save_module(&path, &saved).unwrap();
    let file = load_tensors(&path).unwrap();
    assert_eq!(file["conv.weight"].shape(), [3, 2, 2, 2]);
    let ours = saved.conv.weight.value.to_array().unwrap();
    assert_eq!(file["conv.weight"], ours.permuted_axes(vec![0, 3, 1, 2]));
    // The inputs of a map: channel, row, column there; row, column, channel here.
    let ours = saved.fc.weight.value.to_array().unwrap();
    assert_eq!(file["fc.weight"][[4, 2 * 8 + 4 + 3]], ours[[4, (4 + 3) * 3 + 2]]);
    assert_eq!(file["norms.1.running_var"], saved.norms[1].running_var.value.to_array().unwrap());
    assert_eq!(file.len(), 12);
}

/// A file of another program, with the prefix of `DataParallel` and the counts of its batch norms.
#[test]
fn the_prefix_of_data_parallel_is_left_out() {
    let (_folder, path) = temporary_file("m.safetensors");
    let saved = block(1);
    save_module(&path, &saved).unwrap();
    let mut file: Vec<(String, ArrayD<f32>)> = Vec::new();
    for (name, values) in load_tensors(&path).unwrap() {
        file.push((format!("module.{name}"), values));
    }
    file.push(("module.norms.0.num_batches_tracked".into(), ArrayD::zeros(IxDyn(&[]))));
    write_foreign(&path, &file);
    let mut loaded = block(2);
    load_module(&path, &mut loaded).unwrap();
    assert_eq!(values(&loaded).unwrap(), values(&saved).unwrap());

    let model = Model::preset("linear").unwrap();
    let prefixed = [("module.fc.weight", vec![10, 3072]), ("module.fc.bias", vec![10])];
    write_foreign(&path, &prefixed.map(|(name, shape)| (name.to_owned(), ArrayD::zeros(shape))));
    assert_eq!(Weights::load_for(&path, &model).unwrap().tensors.len(), 2);
}

#[test]
fn another_modules_file_is_refused_and_changes_nothing() {
    for name in ["m.safetensors", "m.h5"] {
        let (_folder, path) = temporary_file(name);
        let saved = block(1);
        save_module(&path, &saved).unwrap();
        let mut other = block(2);
        other.norms.pop();
        let before = values(&other).unwrap();
        let error = load_module(&path, &mut other).unwrap_err();
        let Error::Parameters { missing, extra, mismatched, .. } = &error else { panic!("{error}") };
        assert!(missing.is_empty() && mismatched.is_empty() && extra.len() == 4, "{error}");
        assert!(error.to_string().contains("norms.1.running_mean"), "{error}");
        assert_eq!(values(&other).unwrap(), before);
    }
}

#[test]
fn a_module_and_a_network_load_each_others_files() {
    let cpu = Cpu::<f32>::new(1).unwrap();
    let model = Model::preset("linear").unwrap();
    let network = Network::new(&cpu, &model, 1).unwrap();
    for name in ["m.safetensors", "m.h5"] {
        let (_folder, path) = temporary_file(name);
        Weights { model: Some(model.clone()), ..Weights::of(&network).unwrap() }.save(&path).unwrap();
        let mut other = Network::new(&cpu, &model, 2).unwrap();
        load_module(&path, &mut other).unwrap();
        assert_eq!(values(&other).unwrap(), values(&network).unwrap());

        save_module(&path, &network).unwrap();
        assert_eq!(Weights::load_for(&path, &model).unwrap().tensors, values(&network).unwrap());
    }
    let (_folder, path) = temporary_file("m.safetensors");
    save_module(&path, &network).unwrap();
    let error = Weights::load(&path).unwrap_err().to_string();
    assert!(error.contains("names no network"), "{error}");
}

/// One flipped bit of a value is found.
#[test]
fn damage_is_found() {
    for name in ["m.safetensors", "m.h5"] {
        let (_folder, path) = temporary_file(name);
        save_module(&path, &block(1)).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let first = block(1).norms[0].bias.value.to_vec().unwrap();
        let first: Vec<u8> = first.iter().flat_map(|v| v.to_le_bytes()).collect();
        let at = bytes.windows(first.len()).position(|window| window == first).unwrap();
        bytes[at] ^= 4;
        std::fs::write(&path, bytes).unwrap();
        let error = load_module(&path, &mut block(1)).unwrap_err().to_string();
        assert!(error.contains("norms.0.bias") && error.contains("checksum"), "{error}");
    }
}

#[test]
fn names_that_a_format_cannot_hold_are_refused() {
    for (file, name) in [("m.h5", ".."), ("m.h5", ""), ("m.safetensors", "__metadata__")] {
        let (_folder, path) = temporary_file(file);
        let map = BTreeMap::from([(name.to_owned(), ArrayD::zeros(IxDyn(&[1])))]);
        assert!(matches!(save_tensors(&path, &map), Err(Error::Weights { .. })), "{name}");
    }
    let (_folder, path) = temporary_file("m.bin");
    assert!(save_tensors(&path, &BTreeMap::new()).is_err());
}

/// Holds a number.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Gain {
    at_first: f64,
}

impl CustomLayer for Gain {
    const KIND: &'static str = "gain";

    fn shape(&self, input: &[usize]) -> Result<CustomShape, String> {
        let gain = ParameterSpec::new("gain", &[1]).init(Init::Constant(self.at_first));
        Ok(CustomShape { parameters: vec![gain], ..CustomShape::new(input) })
    }

    fn forward<B: Backend>(&self, x: &Var<B>, _: &[Parameter<B>], _: &mut Pass<B>) -> alexnet_layers::Result<Var<B>> {
        Ok(x.clone())
    }
}

/// The file names the network, with its kind of layer of another crate.
#[test]
fn weights_of_a_network_with_an_own_kind_of_layer() {
    register_layer::<Gain>().unwrap();
    let text = r#"
        classes = 12
        input.crop = 2
        layer = [{ name = "gain", kind = "gain", at_first = 1.5 }, { name = "flat", kind = "flatten" }]
    "#;
    let model = Model::parse(text, "own").unwrap();
    let network = Network::new(&Cpu::<f32>::new(1).unwrap(), &model, 1).unwrap();
    let weights = Weights { model: Some(model), ..Weights::of(&network).unwrap() };
    assert_eq!(weights.tensor("gain.gain").unwrap()[[0]], 1.5);
    for name in ["w.h5", "w.safetensors"] {
        let (_folder, path) = temporary_file(name);
        weights.save(&path).unwrap();
        assert_eq!(Weights::load(&path).unwrap(), weights);
    }
}

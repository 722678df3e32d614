//! Tensors by their names, order and shapes.

use alexnet_formats::layers::Model;
use alexnet_formats::layers::weights::{AxisOrder, Weights};
use alexnet_formats::matching::{Fit, into_weights, presets_that_fit};
use alexnet_formats::{Error, ForeignFile, ForeignTensor, Format, Loaded, OptimizerState};
use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;
use std::path::Path;

use crate::support::{SMALL, bits, model, weights};

/// A file of a network's weights with these names, in a framework's axes.
fn foreign(weights: &Weights, axes: AxisOrder, name: impl Fn(usize, &str) -> String) -> ForeignFile {
    let specs = weights.model.as_ref().unwrap().parameters().unwrap();
    let tensor = |(at, spec): (usize, &alexnet_formats::layers::ParameterSpec)| {
        let values = axes.from_own(spec, weights.tensor(&spec.name).unwrap().view()).unwrap();
        ForeignTensor { name: name(at, &spec.export), values }
    };
    let tensors = specs.iter().enumerate().map(tensor).collect();
    ForeignFile { tensors, ..ForeignFile::new(Format::Torch, axes) }
}

fn matched(file: ForeignFile, model: Option<&Model>) -> Result<Loaded, Error> {
    into_weights(Path::new("a.pt"), file, model)
}

/// A file of zeros with these names and shapes.
fn zeros(tensors: &[(&str, &[usize])]) -> ForeignFile {
    let tensor = |(name, shape): &(&str, &[usize])| ForeignTensor {
        name: name.to_string(),
        values: ArrayD::zeros(IxDyn(shape)),
    };
    let tensors = tensors.iter().map(tensor).collect();
    ForeignFile { tensors, ..ForeignFile::new(Format::Torch, AxisOrder::PyTorch) }
}

#[test]
fn exported_names_own_names_and_prefixes() {
    let model = model(SMALL);
    let original = weights(&model, 1);
    let own = |name: &str| name.replace("features.0", "conv1");
    for axes in [AxisOrder::PyTorch, AxisOrder::Keras] {
        for prefix in ["", "module.", "model.", "_orig_mod.module.", "student/"] {
            let exported =
                matched(foreign(&original, axes, |_, name| format!("{prefix}{name}")), Some(&model)).unwrap();
            let named = matched(foreign(&original, axes, |_, name| format!("{prefix}{}", own(name))), Some(&model));
            for loaded in [exported, named.unwrap()] {
                assert_eq!(bits(&loaded.weights), bits(&original));
                let noted = loaded.report.notes.iter().any(|note| note.contains(&format!("{prefix:?}")));
                assert_eq!(noted, !prefix.is_empty(), "{:?}", loaded.report.notes);
            }
        }
    }
}

#[test]
fn the_report_says_what_became_of_each_tensor() {
    let model = model(SMALL);
    let mut file = foreign(&weights(&model, 2), AxisOrder::PyTorch, |_, name| name.to_string());
    file.tensors.push(ForeignTensor { name: "loss.scale".into(), values: ArrayD::zeros(IxDyn(&[2])) });
    let report = matched(file, Some(&model)).unwrap().report;
    let text = report.to_string();
    assert!(text.starts_with("PyTorch: 12 tensors matched, 3 permuted, 2 renamed, 1 left over\n"), "{text}");
    assert!(text.contains("features.0.weight [4, 3, 3, 3] -> conv1.weight [4, 3, 3, 3], permuted"), "{text}");
    assert!(text.contains("fc6.weight [5, 48]             -> fc6.weight [5, 48], permuted"), "{text}");
    assert!(text.contains("fc8.weight [3, 5]              -> fc8.weight [3, 5]\n"), "{text}");
    assert!(text.ends_with("loss.scale [2] is left over"), "{text}");
    // Keras turns linear layers too; a map of one pixel has one order of values.
    let permuted = |model: &Model, axes| {
        let file = foreign(&weights(model, 2), axes, |_, name| name.to_string());
        let matched = matched(file, Some(model)).unwrap().report.matched;
        let permuted = matched.into_iter().filter(|one| one.permuted);
        permuted.map(|one| one.parameter).collect::<Vec<_>>()
    };
    let weights_of_layers = ["conv1.weight", "conv2.weight", "fc6.weight", "fc8.weight"];
    let pixel = crate::support::model(&SMALL.replace("kernel = [1, 2]", "kernel = 4"));
    assert_eq!(permuted(&model, AxisOrder::PyTorch), weights_of_layers[..3]);
    assert_eq!(permuted(&model, AxisOrder::Keras), weights_of_layers);
    assert_eq!(permuted(&pixel, AxisOrder::PyTorch), weights_of_layers[..2]);
    assert_eq!(permuted(&pixel, AxisOrder::Keras), weights_of_layers);
}

#[test]
fn the_number_of_classes_is_the_files() {
    let seven = model(&SMALL.replace("classes = 3", "classes = 7"));
    for axes in [AxisOrder::PyTorch, AxisOrder::Keras] {
        let file = foreign(&weights(&seven, 3), axes, |_, name| name.to_string());
        let loaded = matched(file, Some(&model(SMALL))).unwrap();
        assert_eq!(loaded.weights.model.unwrap(), seven);
        let file = foreign(&weights(&seven, 3), axes, |at, _| format!("t{at}"));
        let loaded = matched(file, Some(&model(SMALL))).unwrap();
        assert_eq!(loaded.weights.model.unwrap(), seven);
    }
}

proptest! {
    /// Layers of different shapes are found in any order, under any names.
    #[test]
    fn layers_in_any_order(order in Just((0..5usize).collect::<Vec<_>>()).prop_shuffle(), seed: u32) {
        let model = model(SMALL);
        let original = weights(&model, seed);
        let mut file = foreign(&original, AxisOrder::PyTorch, |_, name| name.to_string());
        let mut layers: Vec<Vec<ForeignTensor>> = vec![];
        for mut tensor in file.tensors.drain(..) {
            let (layer, end) = tensor.name.rsplit_once('.').map(|(l, e)| (l.to_string(), e.to_string())).unwrap();
            let at = ["features.0", "bn1", "conv2", "fc6", "fc8"].iter().position(|known| *known == layer).unwrap();
            tensor.name = format!("block{at}.{end}");
            layers.resize(layers.len().max(at + 1), vec![]);
            layers[at].push(tensor);
        }
        file.tensors = order.iter().flat_map(|&at| layers[at].clone()).collect();
        let loaded = matched(file, Some(&model)).unwrap();
        prop_assert_eq!(bits(&loaded.weights), bits(&original));
        prop_assert!(loaded.report.notes.iter().any(|note| note.contains("matched by order and shape")));
    }
}

/// Two layers of the same shape in another order than the network's: nobody knows which is which.
#[test]
fn ambiguous_shapes_are_not_guessed() {
    let text = "name = \"two\"\nabout = \"Two alike.\"\nclasses = 2\n[input]\ncrop = 2\n[[layer]]\nname = \"a\"\nkind = \"conv\"\n\
                filters = 3\nkernel = 1\n[[layer]]\nname = \"b\"\nkind = \"conv\"\nfilters = 3\nkernel = 1\n[[layer]]\nname = \"c\"\n\
                kind = \"linear\"\nunits = \"classes\"\n";
    let model = model(text);
    let original = weights(&model, 4);
    let names = ["x.weight", "x.bias", "y.weight", "y.bias", "z.weight", "z.bias"];
    let file = foreign(&original, AxisOrder::PyTorch, |at, _| names[at].to_string());
    assert_eq!(bits(&matched(file.clone(), Some(&model)).unwrap().weights), bits(&original), "the network's order");
    let mut turned = file;
    turned.tensors.rotate_left(4);
    let message = matched(turned, Some(&model)).unwrap_err().to_string();
    assert!(message.contains("6 missing: a.weight") && message.contains("x.weight [3, 3, 1, 1]"), "{message}");
}

#[test]
fn what_does_not_fit_is_named_on_both_sides() {
    let small = model(SMALL);
    let file = foreign(&weights(&small, 5), AxisOrder::PyTorch, |_, name| name.to_string());
    let wider = model(&SMALL.replace("units = 5", "units = 6"));
    let message = matched(file.clone(), Some(&wider)).unwrap_err().to_string();
    assert!(message.contains("fc6.weight is [5, 48] and not [6, 48]"), "{message}");
    assert!(message.contains("fc8.weight is [3, 5] and not [3, 6]"), "{message}");
    let kernel = model(&SMALL.replace("kernel = 3", "kernel = [3, 2]"));
    let message = matched(file.clone(), Some(&kernel)).unwrap_err().to_string();
    assert!(message.contains("features.0.weight (conv1.weight) is [4, 3, 3, 3] and not [4, 3, 3, 2]"), "{message}");
    let renamed =
        model(&SMALL.replace("\"conv2\"", "\"conv9\"").replace("filters = 4\nkernel = [", "filters = 2\nkernel = ["));
    let message = matched(file, Some(&renamed)).unwrap_err().to_string();
    assert!(message.contains("2 missing: conv9.weight, conv9.bias"), "{message}");
    assert!(message.contains("2 not in the network: conv2.weight [4, 2, 1, 2], conv2.bias [4]"), "{message}");
}

#[test]
fn presets_by_their_names_and_shapes() {
    let fits = |file: &ForeignFile| presets_that_fit(file).unwrap();
    let of_preset = |name: &str, classes: usize, rename: fn(&str) -> String| {
        let mut model = Model::preset(name).unwrap();
        model.set_classes(classes).unwrap();
        let specs = model.parameters().unwrap();
        // Zeros that are never touched take no memory.
        let tensor = |spec: &alexnet_formats::layers::ParameterSpec| ForeignTensor {
            name: rename(&spec.export),
            values: ArrayD::zeros(IxDyn(&AxisOrder::PyTorch.shape(spec))),
        };
        let tensors = specs.iter().map(tensor).collect();
        ForeignFile { tensors, ..ForeignFile::new(Format::Torch, AxisOrder::PyTorch) }
    };
    let same = |name: &str| name.to_string();
    let torchvision = of_preset("one-weird-trick", 10, same);
    assert_eq!(fits(&torchvision), [Fit { preset: "one-weird-trick", classes: 10, by_names: true }]);
    let parallel = of_preset("one-weird-trick", 7, |name| format!("module.{name}"));
    assert_eq!(fits(&parallel), [Fit { preset: "one-weird-trick", classes: 7, by_names: true }]);
    let unnamed =
        of_preset("one-weird-trick", 1000, |name| name.replace("features", "layer").replace("classifier", "head"));
    assert_eq!(fits(&unnamed), [Fit { preset: "one-weird-trick", classes: 1000, by_names: false }]);
    let caffe: Vec<&str> = fits(&of_preset("caffe", 1000, same)).iter().map(|fit| fit.preset).collect();
    assert!(caffe.contains(&"caffe") && caffe.contains(&"paper"), "{caffe:?}");
    let error = matched(of_preset("caffe", 1000, same), None).unwrap_err();
    assert!(matches!(error, Error::UnknownNetwork { .. }), "{error:?}");
    assert!(error.to_string().contains("its tensors are those of paper, "), "{error}");
}

#[test]
fn without_a_network_the_only_preset_that_fits_is_taken() {
    let mut linear = Model::preset("linear").unwrap();
    linear.set_classes(5).unwrap();
    let original = weights(&linear, 6);
    let loaded = matched(foreign(&original, AxisOrder::PyTorch, |_, name| format!("net.{name}")), None).unwrap();
    assert_eq!(loaded.weights.model.as_ref(), Some(&linear));
    assert_eq!(bits(&loaded.weights), bits(&original));
    assert!(loaded.report.notes.iter().any(|note| note.contains("taken to be linear")), "{:?}", loaded.report.notes);
    let error = matched(zeros(&[("a", &[1, 2]), ("b", &[3])]), None).unwrap_err().to_string();
    assert!(error.contains("no preset has its 2 tensors: a [1, 2], b [3]; name the network"), "{error}");
    assert!(matched(zeros(&[]), None).is_err());
}

#[test]
fn the_network_asked_for_goes_before_the_described_one() {
    let described = model(&SMALL.replace("scale = 1.0", "scale = 2.0"));
    let file = ForeignFile {
        model: Some(described.clone()),
        ..foreign(&weights(&described, 7), AxisOrder::PyTorch, |_, name| name.to_string())
    };
    let loaded = matched(file.clone(), Some(&model(SMALL))).unwrap();
    assert_eq!((loaded.weights.model, loaded.described), (Some(model(SMALL)), Some(described.clone())));
    let loaded = matched(file, None).unwrap();
    assert_eq!((loaded.weights.model, loaded.described), (Some(described), None));
}

#[test]
fn slots_of_the_optimizer_follow_their_parameters() {
    let model = model(SMALL);
    let original = weights(&model, 8);
    let slots = weights(&model, 9);
    let name = |_: usize, name: &str| format!("net.{name}");
    for axes in [AxisOrder::PyTorch, AxisOrder::Keras] {
        let state = OptimizerState {
            kind: "adam".into(),
            step: 5,
            slots: vec![("adam.m".into(), foreign(&slots, axes, name).tensors)],
        };
        let file = ForeignFile { optimizer: Some(state.clone()), ..foreign(&original, axes, name) };
        let loaded = matched(file.clone(), Some(&model)).unwrap().optimizer.unwrap();
        let own: Vec<(String, ArrayD<f32>)> =
            loaded.slots[0].1.iter().map(|t| (t.name.clone(), t.values.clone())).collect();
        assert_eq!(own, slots.tensors);
        let mut other = state.clone();
        other.slots[0].1[0].name = "elsewhere".into();
        let error = matched(ForeignFile { optimizer: Some(other), ..file.clone() }, Some(&model)).unwrap_err();
        assert!(error.to_string().contains("a slot for elsewhere, which is no parameter"), "{error}");
        let mut other = state;
        other.slots[0].1[0].values = ArrayD::zeros(IxDyn(&[1]));
        let error = matched(ForeignFile { optimizer: Some(other), ..file }, Some(&model)).unwrap_err();
        assert!(error.to_string().contains("the optimizer's slot for net.features.0.weight is [1]"), "{error}");
    }
}

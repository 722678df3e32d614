//! Files of Keras without the last layers (`include_top=False`).

use alexnet_formats::layers::Model;
use alexnet_formats::{keras, load, load_without_top, read};

use crate::keras_files::golden;

/// The network of the files, with the last layers that they lack.
const WHOLE: &str = r#"
name = "whole"
about = "With its top."
classes = 3
[input]
size = 9
crop = 9
channels = "rgb"
mean = "none"
scale = 1.0
[[layer]]
name = "conv1"
kind = "conv"
filters = 4
kernel = 3
stride = 2
[[layer]]
name = "relu1"
kind = "relu"
[[layer]]
name = "bn1"
kind = "batch-norm"
[[layer]]
name = "conv2"
kind = "conv"
filters = 5
kernel = 2
[[layer]]
name = "fc3"
kind = "linear"
units = 6
[[layer]]
name = "fc4"
kind = "linear"
units = "classes"
"#;

#[test]
fn the_layers_that_there_are_are_those_of_the_network() {
    let model = Model::parse(WHOLE, "whole").unwrap();
    let mut all = Vec::new();
    for name in ["headless.keras", "headless.weights.h5"] {
        let found = load_without_top(&golden(name), &model).unwrap().unwrap();
        let names: Vec<&str> = found.weights.tensors.iter().map(|(name, _)| name.as_str()).collect();
        let layers = [("conv1", 2), ("bn1", 4), ("conv2", 2)];
        let of_layer = |name: &str| names.iter().filter(|tensor| tensor.starts_with(&format!("{name}."))).count();
        assert!(layers.iter().all(|(layer, count)| of_layer(layer) == *count) && names.len() == 8, "{name}: {names:?}");
        assert_eq!(found.weights.model.as_ref(), Some(&model));
        all.push(found.weights.tensors);
        let error = load(&golden(name), Some(&model)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("missing: conv1.weight"), "{error}");
    }
    assert_eq!(all[0], all[1]);
}

#[test]
fn a_network_without_a_last_layer_is_said_to_be_one() {
    let file = read(&golden("headless.keras")).unwrap().unwrap();
    assert!(file.model.is_none());
    assert!(file.notes.iter().any(|note| note.contains("include_top=False")), "{:?}", file.notes);
    let error = keras::model(&golden("headless.keras")).unwrap_err().to_string();
    assert!(error.contains("headless.keras") && error.contains("--model"), "{error}");
}

#[test]
fn other_layers_than_the_last_may_not_be_missing() {
    let none = |text: &str, name: &str| {
        let model = Model::parse(text, "other").unwrap();
        assert!(load_without_top(&golden(name), &model).unwrap().is_none(), "{name}");
    };
    none(&WHOLE.replace("filters = 5", "filters = 6"), "headless.keras");
    none(
        &WHOLE.replace(
            "[[layer]]\nname = \"fc3\"",
            "[[layer]]\nname = \"fc2\"\nkind = \"conv\"\nfilters = 5\nkernel = 1\n[[layer]]\nname = \"fc3\"",
        ),
        "headless.keras",
    );
    none(WHOLE, "chain.keras");
}

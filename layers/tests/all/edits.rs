//! Changes of networks.

use alexnet_layers::{Edits, LayerKind, Model};
use proptest::prelude::*;

fn edits(text: &str) -> Edits {
    toml::from_str(text).unwrap()
}

fn names(model: &Model) -> Vec<&str> {
    model.layers.iter().map(|layer| layer.name.as_str()).collect()
}

#[test]
fn without_edits_a_network_stays_as_it_is() {
    for name in Model::presets() {
        let model = Model::preset(name).unwrap();
        assert_eq!(model.edited(&Edits::default()).unwrap(), model, "{name}");
    }
    assert!(Edits::default().is_empty());
}

#[test]
fn layers_are_removed_added_and_changed() {
    let text = "
        remove = ['norm*', 'conv3', 'relu3']
        [[add]]
        after = 'pool5'
        layer = { name = 'conv6', kind = 'conv', filters = 256, kernel = 3, padding = 1 }
        [[add]]
        after = 'conv6'
        layer = { name = 'relu6b', kind = 'relu' }
        [change]
        conv1 = { filters = 48, init = { kind = 'normal', std = 0.5 } }
        'relu*' = { kind = 'tanh' }
        'drop?' = { p = 0.25 }
        [input]
        mean = 'pack-rgb'
    ";
    let model = Model::preset("paper").unwrap().edited(&edits(text)).unwrap();
    let all = names(&model);
    assert!(all.iter().all(|name| !name.starts_with("norm") && !["conv3", "relu3"].contains(name)), "{all:?}");
    let place = all.iter().position(|name| *name == "pool5").unwrap();
    assert_eq!(all[place..place + 4], ["pool5", "conv6", "relu6b", "fc6"]);
    let shapes = model.shapes().unwrap();
    assert_eq!(shapes[0].output, [55, 55, 48]);
    let written = model.to_toml();
    assert!(!written.contains("\"relu\"") && written.matches("\"tanh\"").count() == 7, "{written}");
    assert!(written.matches("p = 0.25").count() == 2 && written.contains("\"pack-rgb\""), "{written}");
    assert!(model.layers.iter().all(|layer| !matches!(layer.kind, LayerKind::Lrn(_))));
}

#[test]
fn faults_name_the_network_and_the_layer() {
    let model = Model::preset("paper").unwrap();
    for (text, expected) in [
        ("remove = ['norm3']", "paper: remove: \"norm3\" names no layer; did you mean \"norm1\"?"),
        ("[change]\nconv9 = { kernel = 3 }", "paper: change: \"conv9\" names no layer"),
        ("[change]\nconv1 = 3", "change: conv1: expected a table"),
        ("[change]\nconv1 = { kernels = 3 }", "conv1"),
        ("[change]\nconv1 = { kernel = 0 }", "conv1"),
        ("[[add]]\nafter = 'pool9'\nlayer = { name = 'a', kind = 'relu' }", "add: after: \"pool9\""),
        ("[[add]]\nafter = 'pool5'\nlayer = { name = 'conv1', kind = 'relu' }", "conv1"),
        ("remove = ['fc8']", "paper"),
        ("[input]\ncrops = 3", "crops"),
    ] {
        let error = model.edited(&edits(text)).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(toml::from_str::<Edits>("removed = []").unwrap_err().to_string().contains("removed"));
}

proptest! {
    /// Any set of layers without parameters can be removed, but for those that the shapes need.
    #[test]
    fn removed_layers_are_gone_and_the_others_stay(choice in proptest::collection::vec(any::<bool>(), 10)) {
        let removable = ["relu1", "norm1", "relu2", "norm2", "relu3", "relu4", "relu5", "relu6", "drop6", "drop7"];
        let remove: Vec<String> =
            removable.iter().zip(&choice).filter(|(_, chosen)| **chosen).map(|(name, _)| name.to_string()).collect();
        let model = Model::preset("paper").unwrap();
        let left: Vec<String> =
            names(&model).iter().filter(|name| !remove.contains(&name.to_string())).map(|n| n.to_string()).collect();
        let edited = model.edited(&Edits { remove, ..Edits::default() }).unwrap();
        prop_assert_eq!(names(&edited), left);
        prop_assert_eq!(edited.parameters().unwrap().len(), model.parameters().unwrap().len());
    }
}

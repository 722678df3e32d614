//! Starting from weights of another task: new last layers, frozen layers, learning rates of single layers.

use std::fs;
use std::path::PathBuf;

use alexnet_train::config::OptimKind;
use alexnet_train::memory;
use alexnet_train::run::Run;
use alexnet_train::starting_weights::StartingWeights;
use alexnet_train::step::{StepOptions, step};
use alexnet_train::trainer::Trainer;
use alexnet_train::{Config, load};
use layers::weights::Weights;
use layers::{Model, Network};
use optim::{Optimizer, Sgd};
use tensor::{Cpu, Tensor};

use crate::support::{MODEL, World, bits, train_until};

/// The small network with batch norms.
fn with_norms() -> Model {
    let norm = |name: &str| format!("[[layer]]\nname = \"{name}\"\nkind = \"batch-norm\"\n");
    let text = MODEL
        .replace("[[layer]]\nname = \"relu1\"", &format!("{}[[layer]]\nname = \"relu1\"", norm("bn1")))
        .replace("[[layer]]\nname = \"relu2\"", &format!("{}[[layer]]\nname = \"relu2\"", norm("bn2")));
    Model::parse(&text, "small").unwrap()
}

/// Saves weights of a network under `name`, with this many classes.
fn save(world: &World, name: &str, model: &Model, classes: usize) -> PathBuf {
    let mut model = model.clone();
    model.set_classes(classes).unwrap();
    let network = Network::new(&Cpu::<f32>::new(1).unwrap(), &model, 77).unwrap();
    let names = (0..classes).map(|class| format!("class{class}")).collect();
    let weights = Weights { model: Some(model), classes: names, ..Weights::of(&network).unwrap() };
    let path = world.path(name);
    weights.save(&path).unwrap();
    path
}

fn config(text: &str) -> Config {
    Config::parse("test", text).unwrap()
}

/// A run that is prepared as the command prepares it.
fn start(world: &World, name: &str, mut model: Model, more: &str) -> Trainer<Cpu<f32>> {
    let mut config = world.config(more);
    alexnet_train::input::fit_to_pack(&mut model, &world.packs.train).unwrap();
    config.model.apply_to(&mut model).unwrap();
    if let Some(weights) = StartingWeights::load(&config.model, &model).unwrap() {
        config.model.reinit = weights.reinit().to_vec().into();
    }
    let run = Run::create(&world.path(name), &config, &model).unwrap();
    Trainer::new(run, &Cpu::new(1).unwrap(), &model, world.packs.clone(), None).unwrap()
}

#[test]
fn a_last_layer_of_other_classes_begins_anew_and_says_so() {
    let world = World::new();
    let model = world.model();
    for file in ["w.h5", "w.safetensors"] {
        let path = save(&world, file, &model, 5);
        let more = format!("model.weights = '{}'", path.display());
        let weights = StartingWeights::load(&config(&more).model, &model).unwrap().unwrap();
        assert_eq!(weights.reinit(), ["fc3"]);
        let names = ["a", "b", "c"].map(String::from);
        let expected = format!(
            "fc3 is initialised anew: 3 classes here, 5 in {} (set model.reinit=fc3 to silence this note)",
            path.display()
        );
        assert_eq!(weights.notes(&model, &names), [expected]);

        let trainer = start(&world, &format!("run-{file}"), model.clone(), &more);
        let fresh = Network::new(&Cpu::<f32>::new(1).unwrap(), &model, 1).unwrap();
        let loaded = Weights::load(&path).unwrap();
        for (parameter, fresh) in trainer.network().parameters().iter().zip(fresh.parameters()) {
            let name = &parameter.spec.name;
            let expected = if name.starts_with("fc3.") {
                fresh.value.to_vec().unwrap()
            } else {
                loaded.tensor(name).unwrap().iter().copied().collect()
            };
            assert_eq!(parameter.value.to_vec().unwrap(), expected, "{name}");
        }
    }
}

#[test]
fn weights_of_the_same_classes_are_used_whole() {
    let world = World::new();
    let path = save(&world, "w.h5", &world.model(), 3);
    let same = config(&format!("model.weights = '{}'", path.display()));
    let weights = StartingWeights::load(&same.model, &world.model()).unwrap().unwrap();
    assert!(weights.reinit().is_empty());
    let names = ["class0", "class1", "class2"].map(String::from);
    assert_eq!(weights.notes(&world.model(), &names), [""; 0]);
    // A given list is silent about it.
    let path = save(&world, "other.h5", &world.model(), 9);
    for list in ["'fc3'", "['fc3']", "'fc2, fc3'"] {
        let given = config(&format!("model.weights = '{}'\nmodel.reinit = {list}", path.display()));
        let weights = StartingWeights::load(&given.model, &world.model()).unwrap().unwrap();
        assert_eq!(weights.reinit(), &given.model.reinit[..]);
        assert_eq!(weights.notes(&world.model(), &names), [""; 0]);
    }
}

/// Only the number of classes may differ.
#[test]
fn other_differences_of_shape_are_refused() {
    let world = World::new();
    for (from, to) in [("filters = 4", "filters = 5"), ("units = 16", "units = 12")] {
        let other = Model::parse(&MODEL.replace(from, to), "other").unwrap();
        let path = save(&world, &format!("{}.h5", &to[to.len() - 2..].trim()), &other, 5);
        let config = config(&format!("model.weights = '{}'", path.display()));
        let error = StartingWeights::load(&config.model, &world.model()).err().unwrap().to_string();
        assert!(error.contains("of another shape") && error.contains("fc2.weight is "), "{error}");
    }
}

#[test]
fn weights_of_which_nothing_is_used_are_refused() {
    let world = World::new();
    let model = Model::preset("linear").unwrap();
    let path = save(&world, "w.h5", &model, 4);
    let config = config(&format!("model.weights = '{}'", path.display()));
    let error = StartingWeights::load(&config.model, &model).err().unwrap().to_string();
    assert!(error.contains("model.weights: ") && error.contains("no other layer is used"), "{error}");
}

#[test]
fn a_new_layer_cannot_be_frozen() {
    let world = World::new();
    let path = save(&world, "w.h5", &world.model(), 5);
    let config = config(&format!("model.weights = '{}'\nmodel.freeze = 'fc3'", path.display()));
    let mut model = world.model();
    config.model.apply_to(&mut model).unwrap();
    let error = StartingWeights::load(&config.model, &model).err().unwrap().to_string();
    assert!(error.starts_with("model.freeze: fc3 is initialised anew and would keep its random values"), "{error}");
}

/// A run that was killed before its first checkpoint begins again with the same layers anew, even if they are not the file's
/// fault any more.
#[test]
fn a_run_keeps_its_decision() {
    let world = World::new();
    let path = save(&world, "w.h5", &world.model(), 5);
    let more = format!("model.weights = '{}'", path.display());
    let first = bits(&start(&world, "run", world.model(), &more));
    let run = Run::open(&world.path("run")).unwrap();
    assert_eq!(run.config().unwrap().model.reinit.to_vec(), ["fc3"]);
    drop(run);
    assert_eq!(bits(&world.resume("run", 1)), first);
}

/// Frozen layers with batch norms and a multiplier: stopped anywhere and resumed, bit for bit; nothing frozen moves.
#[test]
fn frozen_layers_stay_and_resume_exactly() {
    let world = World::new();
    let path = save(&world, "w.h5", &with_norms(), 5);
    for kind in ["sgd", "adam"] {
        let more = format!(
            "[model]\nweights = '{}'\nfreeze = 'conv1..bn1'\nlr_multipliers = 'fc2=0.5'\n[optim]\nkind = '{kind}'",
            path.display()
        );
        let mut whole = start(&world, &format!("whole-{kind}"), with_norms(), &more);
        let before = bits(&whole);
        train_until(&mut whole, u64::MAX).unwrap();
        for ((name, before), (_, after)) in before.iter().zip(bits(&whole)) {
            let is_frozen = name.starts_with("conv1.") || name.starts_with("bn1.");
            assert_eq!(*before == after, is_frozen, "{name}");
        }
        for stop_at in [1, 5] {
            let name = format!("stopped-{kind}-{stop_at}");
            train_until(&mut start(&world, &name, with_norms(), &more), stop_at).unwrap_err();
            // The weights are not read again.
            fs::rename(&path, world.path("away.h5")).unwrap();
            let mut resumed = world.resume(&name, 2);
            fs::rename(world.path("away.h5"), &path).unwrap();
            train_until(&mut resumed, u64::MAX).unwrap();
            assert_eq!(bits(&resumed), bits(&whole), "{kind}, stopped after {stop_at}");
        }
    }
}

#[test]
fn a_frozen_run_evaluates_as_its_network_without_the_settings() {
    let world = World::new();
    let mut trainer = start(&world, "run", world.model(), "model.freeze = 'conv1'\nmodel.lr_multipliers = 'fc2=2'");
    train_until(&mut trainer, u64::MAX).unwrap();
    load::weights(&world.path("run"), Some(&world.model()), &mut |_| {}).unwrap();
}

/// A program that forgets to change the network does not train what it meant to freeze.
#[test]
fn a_setting_that_was_not_applied_is_refused() {
    let world = World::new();
    let config = world.config("model.freeze = 'conv1..norm1'");
    let mut model = world.model();
    let error = Trainer::<Cpu<f32>>::check(&config, &model, &world.packs).unwrap_err().to_string();
    assert!(error.starts_with("model.freeze: conv1 is not frozen in the network"), "{error}");
    config.model.apply_to(&mut model).unwrap();
    Trainer::<Cpu<f32>>::check(&config, &model, &world.packs).unwrap();
}

/// The change of every parameter in one step of plain SGD from the same start.
fn changes(settings: &str) -> Vec<(String, Vec<f64>)> {
    let cpu = Cpu::<f32>::new(1).unwrap();
    let mut model = with_norms();
    config(settings).model.apply_to(&mut model).unwrap();
    let mut network = Network::new(&cpu, &model, 3).unwrap();
    let of = |network: &Network<Cpu<f32>>| -> Vec<Vec<f32>> {
        network.parameters().iter().map(|parameter| parameter.value.to_vec().unwrap()).collect()
    };
    let before = of(&network);
    let mut sgd = Optimizer::new(Sgd { momentum: 0.0, weight_decay: 0.1, nesterov: false }).unwrap();
    let pixels: Vec<f32> = (0..3 * 8 * 8 * 3).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let images = Tensor::from_slice(&cpu, &[3, 8, 8, 3], &pixels).unwrap();
    let options = StepOptions { seed: 1, step: 0, learning_rate: 1.0, require_finite_loss: true };
    step(&mut network, &mut sgd, images, &[0, 1, 2], options).unwrap();
    let after = of(&network);
    let name = |place: usize| network.parameters()[place].spec.name.clone();
    let difference = |a: &Vec<f32>, b: &Vec<f32>| a.iter().zip(b).map(|(a, b)| f64::from(a - b)).collect();
    before.iter().zip(&after).enumerate().map(|(place, (a, b))| (name(place), difference(a, b))).collect()
}

/// Compares the changes with those of the whole rate, times a factor for each layer.
fn assert_factors(settings: &str, factor: impl Fn(&str) -> f64) {
    for ((name, plain), (_, changed)) in changes("").iter().zip(changes(settings)) {
        let (layer, parameter) = name.split_once('.').unwrap();
        let factor = if parameter.starts_with("running") { 1.0 } else { factor(layer) };
        for (plain, changed) in plain.iter().zip(changed) {
            let expected = plain * factor;
            assert!((changed - expected).abs() <= 1e-6 * (1.0 + plain.abs()), "{name}: {changed}, {expected}");
        }
    }
}

#[test]
fn multipliers_are_those_of_the_last_entry_for_a_layer() {
    let entries = "model.lr_multipliers = ['*=0.5', 'conv1=0.25', 'bn?=2', 'fc3 = 1e0']";
    assert_factors(entries, |layer| match layer {
        "conv1" => 0.25,
        "bn1" | "bn2" => 2.0,
        "fc3" => 1.0,
        _ => 0.5,
    });
}

#[test]
fn layer_decay_falls_from_the_last_layer_to_the_first() {
    assert_factors("model.layer_decay = 0.5", |layer| match layer {
        "fc3" => 1.0,
        "fc2" | "bn2" => 0.5,
        "conv1" | "bn1" => 0.25,
        other => panic!("{other}"),
    });
}

#[test]
fn settings_of_layers_are_checked() {
    for (setting, expected) in [
        ("model.freeze = 'conv9'", "model.freeze: small: \"conv9\" selects no layer"),
        ("model.freeze = 'pool1'", "model.freeze: small: \"pool1\" selects only layers without parameters"),
        ("model.freeze = '*'", "model.freeze: no layer is left to train"),
        ("model.lr_multipliers = 'norm1=2'", "model.lr_multipliers: small: \"norm1\" selects only"),
        ("model.lr_multipliers = '*=0'", "model.lr_multipliers: no layer is left to train"),
    ] {
        let error = config(setting).model.apply_to(&mut with_norms()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    for entry in ["conv1", "conv1=", "=2", "conv1=-1", "conv1=inf", "conv1=two", "conv1=nan"] {
        let error = Config::parse("f", &format!("model.lr_multipliers = '{entry}'")).unwrap_err().to_string();
        assert!(error.contains("must be entries like conv*=0.1") && error.contains(entry), "{error}");
    }
    let error = Config::parse("f", "model.reinit = 3").unwrap_err().to_string();
    assert!(error.contains("expected a text, or a list of texts"), "{error}");
    for value in ["0.0", "1.5", "-1.0"] {
        assert!(Config::parse("f", &format!("model.layer_decay = {value}")).is_err(), "{value}");
    }
}

/// Training of the last layers only keeps no activations, gradients or optimizer's state of the others.
#[test]
fn frozen_layers_need_less_memory() {
    let cpu = Cpu::<f32>::new(1).unwrap();
    let mut settings = Config::default();
    settings.optim.kind = OptimKind::Adam;
    let bytes = |freeze: &str| {
        let mut model = Model::preset("cifar-18pct").unwrap();
        config(&format!("model.freeze = {freeze}")).model.apply_to(&mut model).unwrap();
        memory::of_training(&cpu, &model, &settings, 64).unwrap() as f64
    };
    let whole = bytes("[]");
    let head_only = bytes("'conv*'");
    // What a prediction takes, and little more.
    assert!(head_only < 0.7 * whole, "{head_only} of {whole} bytes");
}

#[test]
fn rates_that_cannot_be_are_refused() {
    let refused = |text: &str, words: [&str; 2]| {
        let error = config(text).model.apply_to(&mut Model::preset("caffe").unwrap()).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
    };
    let both = ["model.lr_multipliers", "has no effect"];
    refused("model.freeze = 'conv1'\nmodel.lr_multipliers = 'conv1=10'", both);
    refused("model.freeze = 'conv*'\nmodel.lr_multipliers = ['fc6=2', 'conv1..conv2=0.5']", both);
    refused("model.layer_decay = 1e-6", ["model.layer_decay", "conv1"]);
    refused("model.lr_multipliers = 'conv1=3e38'", ["conv1.bias", "beyond f32"]);
    let error = Config::parse("test", "model.lr_multipliers = 'conv*=1e39'").unwrap_err().to_string();
    assert!(error.contains("that f32 holds"), "{error}");
    for fine in [
        "model.freeze = 'conv1'\nmodel.lr_multipliers = 'conv*=10'",
        "model.freeze = 'conv1'\nmodel.lr_multipliers = 'conv1=0'",
        "model.layer_decay = 0.05",
    ] {
        config(fine).model.apply_to(&mut Model::preset("caffe").unwrap()).unwrap();
    }
}

//! The settings with which Keras goes on training, and notes on those that it has in another form.

use layers::toml::{Table, Value as Toml};
use layers::{LayerKind, Model, ParameterSpec};
use serde_json::{Value, json};

use super::hdf5_file::LayerVariables;
use crate::OptimizerState;

/// The most parameters that a note names.
const MAX_NAMES: usize = 4;

/// Notes on learning rates of single layers: Keras has one rate, and frozen layers.
pub(super) fn rate_notes(model: &Model, layers: &[LayerVariables]) -> Vec<String> {
    let mut notes = Vec::new();
    let with_rates = layers.iter().flat_map(LayerVariables::with_slots).filter(|spec| spec.rate != 1.0);
    if let Some(names) = listed(with_rates, |spec| spec.rate) {
        notes.push(format!(
            "Keras trains all layers at one learning rate, without the multipliers of this network: {names}"
        ));
    }
    let moving = model.layers.iter().filter(|layer| match &layer.kind {
        LayerKind::BatchNorm(norm) => !norm.frozen && norm.rate == 0.0,
        _ => false,
    });
    notes.extend(moving.map(|layer| {
        let name = &layer.name;
        format!("layer {name:?}: Keras freezes its running statistics too, which training here still moves")
    }));
    notes
}

/// Notes on the optimizer's settings that Keras has in another form.
pub(super) fn other_rules(model: &Model, state: &OptimizerState, layers: &[LayerVariables]) -> Vec<String> {
    let mut notes = Vec::new();
    if number(model, "weight_decay", 0.0) > 0.0 {
        let specs = layers.iter().flat_map(LayerVariables::with_slots);
        let multipliers = listed(specs.filter(|spec| spec.decay != 1.0), |spec| spec.decay);
        match multipliers {
            _ if state.kind != "adamw" => {
                notes.push("Keras goes on without weight decay, which is part of the gradient here".to_string());
            }
            Some(names) => notes.push(format!("Keras decays all weights alike, without the multipliers {names}")),
            None => {}
        }
    }
    let adds_after = setting(model, "epsilon_hat").and_then(Toml::as_bool) == Some(false);
    if adds_after && state.kind != "sgd" {
        notes.push("Keras' Adam adds epsilon before the bias correction, this run after it".to_string());
    }
    notes
}

/// The first parameters with their multipliers, and how many more there are; none if there is none.
fn listed<'a>(
    specs: impl Iterator<Item = &'a ParameterSpec>,
    multiplier: impl Fn(&ParameterSpec) -> f64,
) -> Option<String> {
    let all: Vec<String> = specs.map(|spec| format!("{} {}", spec.name, multiplier(spec))).collect();
    let first = all[..all.len().min(MAX_NAMES)].join(", ");
    match all.len() {
        0 => None,
        count if count > MAX_NAMES => Some(format!("{first} and {} more", count - MAX_NAMES)),
        _ => Some(first),
    }
}

/// The settings with which Keras goes on training.
pub(super) fn compile_config(model: &Model, state: &OptimizerState) -> Value {
    let has_softmax = model.layers.last().is_some_and(|layer| layer.kind == LayerKind::Softmax);
    let [class, settings] = match state.kind.as_str() {
        "sgd" => [json!("SGD"), sgd(model)],
        "adamw" => {
            let mut settings = adam(model);
            settings["weight_decay"] = json!(number(model, "weight_decay", 0.0));
            [json!("AdamW"), settings]
        }
        _ => [json!("Adam"), adam(model)],
    };
    json!({
        "optimizer": {
            "module": "keras.optimizers", "class_name": class, "config": settings, "registered_name": null,
        },
        "loss": {
            "module": "keras.losses",
            "class_name": "SparseCategoricalCrossentropy",
            "config": { "from_logits": !has_softmax },
            "registered_name": null,
        },
        "loss_weights": null,
        "metrics": ["accuracy"],
        "weighted_metrics": null,
        "run_eagerly": false,
        "steps_per_execution": 1,
    })
}

fn sgd(model: &Model) -> Value {
    let nesterov = setting(model, "nesterov").and_then(Toml::as_bool).unwrap_or(false);
    json!({
        "learning_rate": number(model, "lr", 0.01),
        "momentum": number(model, "momentum", 0.9),
        "nesterov": nesterov,
    })
}

fn adam(model: &Model) -> Value {
    json!({
        "learning_rate": number(model, "lr", 0.001),
        "beta_1": number(model, "beta1", 0.9),
        "beta_2": number(model, "beta2", 0.999),
        "epsilon": number(model, "epsilon", 1e-7),
        "amsgrad": false,
    })
}

/// A number of the optimizer's settings.
fn number(model: &Model, key: &str, default: f64) -> f64 {
    let number = |value: &Toml| value.as_float().or(value.as_integer().map(|n| n as f64));
    setting(model, key).and_then(number).unwrap_or(default)
}

/// One of the optimizer's settings, in `[train.optim]` of the network.
fn setting<'a>(model: &'a Model, key: &str) -> Option<&'a Toml> {
    let optim: &Table = model.train.get("optim")?.as_table()?;
    optim.get(key)
}

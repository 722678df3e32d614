//! Keras' initial weights as this workspace's.

use layers::Init;
use serde_json::Value;

use super::settings::{LayerConfig, number};

/// The distribution of a setting, else Keras' `default`. A note says where it is another here.
pub(super) fn read(layer: &LayerConfig, key: &str, default: Init, notes: &mut Vec<String>) -> Init {
    let Some(value) = layer.get(key) else { return default };
    let class = super::settings::name_of(value).unwrap_or_default();
    let config = &value["config"];
    match parse(class, config) {
        Some((init, true)) => init,
        Some((init, false)) => {
            notes.push(layer.message(format!("{class} cuts its normal distribution; here it is not cut")));
            init
        }
        None => {
            notes.push(layer.message(format!("{key} {class:?} is not known; new weights are Keras' default")));
            default
        }
    }
}

/// The distribution, and whether it is exactly Keras'.
fn parse(class: &str, config: &Value) -> Option<(Init, bool)> {
    let or = |key: &str, default: f64| config.get(key).map_or(Some(default), number);
    Some(match super::chain::snake_case(class).as_str() {
        "glorot_uniform" => (Init::GlorotUniform, true),
        "glorot_normal" => (Init::GlorotNormal, false),
        "he_uniform" => (Init::HeUniform, true),
        "he_normal" => (Init::HeNormal, false),
        "lecun_uniform" => return None,
        "zeros" => (Init::Constant(0.0), true),
        "ones" => (Init::Constant(1.0), true),
        "constant" => (Init::Constant(or("value", 0.0)?), true),
        "random_normal" => (Init::Normal { mean: or("mean", 0.0)?, std: deviation(config)? }, true),
        "truncated_normal" => (Init::Normal { mean: or("mean", 0.0)?, std: deviation(config)? }, false),
        "random_uniform" => {
            let [low, high] = [or("minval", -0.05)?, or("maxval", 0.05)?];
            (low <= high).then_some((Init::Uniform { low, high }, true))?
        }
        "variance_scaling" => return variance_scaling(config),
        _ => return None,
    })
}

fn deviation(config: &Value) -> Option<f64> {
    config.get("stddev").map_or(Some(0.05), number).filter(|std| *std >= 0.0)
}

fn variance_scaling(config: &Value) -> Option<(Init, bool)> {
    let scale = config.get("scale").map_or(Some(1.0), number)?;
    let word = |key: &str, default| config.get(key).map_or(Some(default), Value::as_str);
    let is = |wanted: f64| (scale - wanted).abs() < 1e-9;
    Some(match (word("mode", "fan_in")?, word("distribution", "truncated_normal")?) {
        ("fan_avg", "uniform") if is(1.0) => (Init::GlorotUniform, true),
        ("fan_avg", "normal" | "truncated_normal") if is(1.0) => (Init::GlorotNormal, false),
        ("fan_in", "uniform") if is(2.0) => (Init::HeUniform, true),
        ("fan_in", "normal" | "truncated_normal") if is(2.0) => (Init::HeNormal, false),
        ("fan_in", "uniform") if is(1.0 / 3.0) => (Init::TorchDefault, true),
        ("fan_avg", "untruncated_normal") if is(1.0) => (Init::GlorotNormal, true),
        ("fan_in", "untruncated_normal") if is(2.0) => (Init::HeNormal, true),
        _ => return None,
    })
}

//! The network and all settings of a run, from those that a user gives.

use std::path::Path;

use layers::Model;
use toml::{Table, Value};
use train::Config;
use train::config::{UserSettings, keys};

use crate::console::note;
use crate::failure::{Failure, Result};

/// The network of the weights to start from, which takes the place of the default: that which the run or the file
/// describes, else the one preset that the file fits. None without weights, and for a file that says nothing of it or
/// cannot be read, which the loading of the weights reports.
fn network_of_weights(overrides: &[(String, Table)]) -> Option<String> {
    let weights = overrides.iter().rev().find_map(|(_, table)| keys::value(table, "model.weights")?.as_str())?;
    let path = Path::new(weights);
    let of_run = path.join("model.toml");
    let name = if of_run.is_file() {
        of_run.to_str()?.to_string()
    } else if formats::model(path).is_ok() {
        weights.to_string()
    } else {
        let fits = formats::matching::presets_that_fit(&formats::read(path).ok()??).ok()?;
        let [fit] = fits.as_slice() else { return None };
        fit.preset.to_string()
    };
    note(&format!("note: the network is {name}, that of {weights}; --model names another"));
    Some(name)
}

/// The network of the user's settings, and all settings. Prints notes on settings of a `run.toml` without an effect.
pub fn configure(settings: &UserSettings) -> Result<(Model, Config)> {
    let overrides = settings.overrides();
    let name = overrides.iter().rev().find_map(|(_, table)| keys::value(table, "model.name")?.as_str());
    let name = match name {
        Some(name) => name.to_string(),
        None => network_of_weights(&overrides).unwrap_or_else(|| "paper".into()),
    };
    if name.is_empty() {
        return Err(Failure::Usage("model.name: expected a preset's name or a file, got an empty text".into()));
    }
    let model = formats::model_of(&name)?;
    settings.check_network(&name, &model.train)?;
    settings.check_flags()?;
    settings.check_length()?;
    let mut all = vec![
        (name.clone(), model.train.clone()),
        ("model".to_string(), keys::table_of("model.name", Value::String(name))),
    ];
    all.extend(overrides);
    let config = Config::from_overrides(&all)?;
    settings.check_effects(&model.train, &config)?.iter().for_each(|text| note(&format!("note: {text}")));
    Ok((model, config))
}

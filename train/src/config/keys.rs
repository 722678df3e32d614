//! Names of settings: what there is, and what was probably meant.

use toml::{Table, Value};

use crate::{Error, Result};

/// Every setting, as `section.name`, with what it is.
pub const KEYS: &[(&str, &str)] = &[
    ("model.name", "a preset's name or a TOML file"),
    ("model.dropout", "probability of every dropout layer, in [0, 1)"),
    ("model.weights", "a file of weights to begin with"),
    ("model.fresh", "layers initialised anew although the weights hold them"),
    ("data.train", "the pack to train on"),
    ("data.val", "the pack to validate on"),
    ("data.augment", "false: centre crop, and none of what follows up to data.cutmix"),
    ("data.crop", "random, centre or resized (a random part, resized)"),
    ("data.crop_scale", "resized: smallest and largest area, as shares of the image's"),
    ("data.crop_ratio", "resized: smallest and largest ratio of width to height"),
    ("data.mirror", "mirror half of the images"),
    ("data.shared", "so many images in turn share crop and mirror; the authors' code: 128"),
    ("data.colour", "none, paper or source"),
    ("data.colour_deviation", "standard deviation of the colour factors"),
    ("data.pca", "components of colour from a TOML file or a pack, not from data.train"),
    ("data.brightness", "jitter: factors of 1 - this to 1 + this; 0: none"),
    ("data.contrast", "jitter, as brightness"),
    ("data.saturation", "jitter, as brightness"),
    ("data.hue", "jitter: turned by up to this share of the circle, in [0, 0.5]"),
    ("data.erase", "share of the images of which a rectangle is erased, in [0, 1]"),
    ("data.erase_scale", "erase: smallest and largest area, as shares of the crop's"),
    ("data.erase_ratio", "erase: smallest and largest ratio of width to height"),
    ("data.mixup", "alpha of mixup, e.g. 0.2; 0: none"),
    ("data.cutmix", "alpha of CutMix, e.g. 1.0; 0: none; with mixup, each half of the time"),
    ("data.label_smoothing", "share of the targets spread over all classes, in [0, 1)"),
    ("data.shuffle", "none, full, window, or auto: full unless the pack exceeds memory"),
    ("data.window_bytes", "window: its bytes of memory; 0: half of what is free at the beginning"),
    ("data.prefetch_bytes", "the most bytes of batches made ahead; at least one batch is"),
    ("optim.kind", "sgd or adam"),
    ("optim.rate", "learning rate to begin with"),
    ("optim.momentum", "sgd: momentum, in [0, 1)"),
    ("optim.decay", "weight decay"),
    ("optim.nesterov", "sgd: Nesterov's form"),
    ("optim.beta1", "adam: decay of the first moment"),
    ("optim.beta2", "adam: decay of the second moment"),
    ("optim.epsilon", "adam: added to the root"),
    ("optim.epsilon_hat", "adam: epsilon before the bias correction, as Keras"),
    ("optim.schedule", "constant, steps, exponential or plateau"),
    ("optim.factor", "what the rate is multiplied by at a drop"),
    ("optim.drop_epochs", "steps: epochs after which the rate drops"),
    ("optim.period", "exponential: epochs for one factor"),
    ("optim.patience", "plateau: epochs without improvement before a drop"),
    ("optim.threshold", "plateau: improvement of the error that counts"),
    ("optim.times", "plateau: number of drops"),
    ("run.epochs", "passes over the training images"),
    ("run.steps", "steps, in place of epochs; not with run.epochs"),
    ("run.batch", "images a step"),
    ("run.seed", "decides weights, order, augmentation and dropout"),
    ("run.threads", "threads for kernels and for loading"),
    ("run.device", "auto, cpu, cuda[:N] or wgpu[:N]"),
    ("run.precision", "f32, tf32 or bf16"),
    (
        "run.checkpoint_steps",
        "also save every so many steps, beside ends of epochs: the last, the best, those not too close",
    ),
    ("run.keep", "of the checkpoints saved, so many newest are kept, beside the best; see below"),
    ("tensor.algorithms", "on the CPU, fast (Winograd's too) or exact"),
];

/// Turns `section.name=value` into a table; the value is TOML, or else taken as text.
///
/// # Errors
/// [`Error::Setting`] for a missing `=`, an unknown name, with the nearest names, or several lines of settings.
pub fn parse_setting(setting: &str) -> Result<Table> {
    let (key, text) =
        setting.split_once('=').ok_or_else(|| Error::setting(setting, "expected KEY=VALUE, e.g. optim.rate=0.01"))?;
    let key = key.trim();
    if key.is_empty() {
        return Err(Error::setting(format!("--set {setting}"), "the setting has no name; expected KEY=VALUE"));
    }
    known(key)?;
    let text = text.trim();
    let mut parsed = format!("v = {text}").parse::<Table>().unwrap_or_default();
    if parsed.len() > 1 {
        return Err(Error::setting(key, "its value has further settings on more lines; give each a --set of its own"));
    }
    Ok(single(key, parsed.remove("v").unwrap_or_else(|| Value::String(text.to_string()))))
}

/// A table that holds one setting.
pub fn single(key: &str, value: Value) -> Table {
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    let mut inner = Table::new();
    inner.insert(name.to_string(), value);
    let mut outer = Table::new();
    outer.insert(section.to_string(), Value::Table(inner));
    outer
}

/// Fails on a name that is no setting.
pub fn check(table: &Table) -> Result<()> {
    for (section, value) in table {
        let Value::Table(inner) = value else {
            return Err(unknown(section));
        };
        for name in inner.keys() {
            known(&format!("{section}.{name}"))?;
        }
    }
    Ok(())
}

/// What a table says of a setting.
pub fn value<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let (section, name) = key.split_once('.')?;
    table.get(section)?.get(name)
}

/// Each setting that differs between two runs: name, value here, value there.
pub fn differences(a: &Table, b: &Table) -> Vec<(&'static str, String, String)> {
    let show = |v: Option<&Value>| v.map_or("unset".to_string(), |v| v.to_string());
    KEYS.iter()
        .map(|(key, _)| (*key, value(a, key), value(b, key)))
        .filter(|(_, x, y)| x != y)
        .map(|(key, x, y)| (key, show(x), show(y)))
        .collect()
}

fn known(key: &str) -> Result<()> {
    if KEYS.iter().any(|(k, _)| *k == key) { Ok(()) } else { Err(unknown(key)) }
}

fn unknown(key: &str) -> Error {
    let near = nearest(key, KEYS.iter().map(|(k, _)| *k));
    let what = match near.as_slice() {
        [] => "unknown setting; `alexnet train --help` lists them".to_string(),
        near => format!("unknown setting; near ones: {}", near.join(", ")),
    };
    Error::setting(key, what)
}

/// Up to three of `candidates` that `name` may be a misspelling of, the nearest first.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_string();
    let score = |candidate: &str| {
        let whole = strsim::jaro_winkler(name, candidate);
        whole.max(strsim::normalized_damerau_levenshtein(&last(name), &last(candidate)))
    };
    let mut scored: Vec<(f64, &str)> = candidates.map(|c| (score(c), c)).filter(|(s, _)| *s > 0.7).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(3).map(|(_, c)| c).collect()
}

//! Errors of the library in the words of the command line: flags in place of settings.

use std::path::Path;

use train::{Error, Remedy};

/// The message of an error.
pub fn message(error: &Error) -> String {
    match error {
        Error::Setting { key, what, remedy: None } if key == "data.val" => format!("--val: {what}"),
        Error::Setting { key, what, remedy: None } if key == "pack" => format!("--data: {what}"),
        Error::Setting { key, .. } if flag(key).is_some() => {
            let text = error.message(&words);
            let rest = text.strip_prefix(key.as_str()).unwrap_or(&text);
            format!("{key} ({}){rest}", flag(key).unwrap_or_default())
        }
        Error::Resume { settings, .. } if settings.is_empty() && is_of_packs(error) => {
            format!("{}; --force accepts a pack of the same images", error.message(&words))
        }
        Error::Memory(memory) => format!("--batch: {memory}"),
        Error::OtherNetwork(network) => {
            let text = network.to_string().replace("in the one asked for", "in --model");
            format!("--model: {text}; {}", words(&Remedy::LeaveNetworkOut))
        }
        other => other.message(&words),
    }
}

/// Whether only the packs keep a run from being resumed.
fn is_of_packs(error: &Error) -> bool {
    let Error::Resume { differences, .. } = error else { return false };
    differences
        .iter()
        .all(|difference| difference.starts_with("data.train was the") || difference.starts_with("data.val was"))
}

/// The flag of a setting whose errors name both.
fn flag(key: &str) -> Option<&'static str> {
    match key {
        "run.epochs" => Some("--epochs"),
        "model.freeze" => Some("--freeze"),
        "model.lr_multipliers" => Some("--lr-multiplier"),
        "model.layer_decay" => Some("--layer-decay"),
        "data.mean" => Some("--mean"),
        _ => None,
    }
}

/// The command that begins a run with these weights and the settings of another run, except for some.
fn new_run(run: &Path, weights: &Path, settings: &[(String, String)]) -> String {
    let weights = shell_word(&weights.display().to_string());
    let config = shell_word(&run.join("run.toml").display().to_string());
    let mut command = format!("alexnet train --config {config} --weights {weights} --out NEW");
    for (key, value) in settings.iter().filter(|(key, value)| key != "model.weights" && value != "unset") {
        let is_quoted = value.len() > 2 && value.starts_with('"') && value.ends_with('"');
        let value = if is_quoted { &value[1..value.len() - 1] } else { value };
        command.push_str(&format!(" --set {}", shell_word(&format!("{key}={value}"))));
    }
    command
}

/// A text as one word of a shell's command line.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,%+@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_string();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Advice on an error, by the flags of the commands.
fn words(remedy: &Remedy) -> String {
    match remedy {
        Remedy::BatchSize { default } => {
            format!("give --batch (without it, it is the network's or {default})")
        }
        Remedy::LargerImages => "pack with a larger --size".into(),
        Remedy::ImagesOfSize(size) => format!("pack with --size {size}"),
        Remedy::GiveMean => format!("give --mean: {}", train::mean::FORMS),
        Remedy::NameNetwork => "name it with --model".into(),
        Remedy::LeaveNetworkOut => "leave --model out".into(),
        Remedy::OtherFolder => "choose another --out".into(),
        Remedy::EmptyFolder => "choose another --out, or an empty folder".into(),
        Remedy::ResumeOrOtherFolder => "continue it with --resume, or choose another --out".into(),
        Remedy::StartNew => "start one without --resume".into(),
        Remedy::WaitOrOtherFolder => "wait, or choose another --out".into(),
        Remedy::RestoreOrOtherFolder => "restore them, or begin again with another --out".into(),
        Remedy::SaveAndResume => "make it possible to save there, then continue with --resume".into(),
        Remedy::Advice(text) => match text.strip_prefix("set ") {
            Some(setting) => format!("add --set {setting}"),
            None => text.clone(),
        },
        Remedy::BeginFromWeights { run, settings } => {
            format!("leave them as they were, or begin a new run from its weights: {}", new_run(run, run, settings))
        }
        Remedy::BeginFromBest { run } => {
            let command = new_run(run, &train::run::best_weights(run), &[]);
            format!("begin a new run from its best weights: {command}")
        }
        Remedy::ListSettings => "`alexnet train --help` lists them".into(),
        other => other.to_string(),
    }
}

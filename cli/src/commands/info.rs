//! `alexnet info`.

use std::fs;
use std::path::Path;

use files::printable;
use formats::ForeignFile;
use formats::matching::{Fit, presets_that_fit};
use layers::Model;
use layers::model::Mean;
use serde_json::{Value, json};
use train::checkpoint::Checkpoint;
use train::runs::RunSummary;
use train::{load, run as run_folder};

use super::devices;
use crate::args::Info;
use crate::console::{count, note, percent, print, print_json, table};
use crate::failure::{Failure, Result};

pub fn run(args: &Info) -> Result<()> {
    let (text, json) = match args.path.as_deref() {
        None => machine(),
        Some(path) if !is_folder(path)? => weights(path)?,
        Some(path) if exists(&path.join("pack.h5"))? => pack(path)?,
        Some(path) if exists(&path.join("run.toml"))? => run_of(path)?,
        Some(path) => {
            let what = "is neither a pack (no pack.h5) nor a run (no run.toml)";
            return Err(Failure::Failed(format!("{}: {what}", path.display())));
        }
    };
    if args.json { print_json(&json) } else { print(&text) }
}

fn is_folder(path: &Path) -> Result<bool> {
    let metadata = fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    Ok(metadata.is_dir())
}

/// Whether a path exists; an error if the system does not say.
fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("{}: cannot be accessed: {error}", path.display()))
}

fn row(name: &str, value: impl ToString) -> Vec<String> {
    vec![name.to_string(), value.to_string()]
}

/// Names and values in two columns.
fn lines(rows: &[Vec<String>]) -> String {
    let width = rows.iter().map(|r| r[0].chars().count()).max().unwrap_or(0);
    let line = |r: &Vec<String>| format!("{:<width$}  {}", r[0], printable::name(&r[1]));
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The names and values that describe the build and the machine.
pub fn environment() -> Vec<(String, String)> {
    let mut rows = vec![("alexnet".to_string(), env!("CARGO_PKG_VERSION").to_string())];
    if let Some(model) = cpu_model() {
        rows.push(("CPU".into(), model));
    }
    let devices = devices::all().lines;
    rows.push(("devices".into(), devices.join("; ")));
    rows.push(("system".into(), format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH)));
    rows
}

/// The model of the CPU, where the system tells it.
fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

fn machine() -> (String, Value) {
    let devices = devices::all();
    let hdf5 = if cfg!(feature = "hdf5-static") { "built in" } else { "the system's" };
    let version = env!("CARGO_PKG_VERSION");
    let mut rows = vec![row("alexnet", version)];
    let titles = std::iter::once("devices").chain(std::iter::repeat(""));
    rows.extend(titles.zip(&devices.lines).map(|(title, line)| row(title, line)));
    rows.push(row("HDF5", hdf5));
    rows.push(row("networks", layers::Model::presets().join(", ")));
    let json = json!({
        "version": version,
        "devices": devices.values,
        "hdf5": hdf5,
        "networks": layers::Model::presets(),
    });
    (lines(&rows), json)
}

fn pack(path: &Path) -> Result<(String, Value)> {
    let pack = data::Pack::open(path)?;
    let statistics = pack.statistics();
    let counts = pack.class_counts();
    let fewest = counts.iter().min().copied().unwrap_or(0);
    let most = counts.iter().max().copied().unwrap_or(0);
    let rows = [
        row("pack", path.display()),
        row("images", format!("{} of {} x {} pixels", pack.len(), pack.size(), pack.size())),
        row("storage", format!("{}, {}", pack.storage(), count(pack.shards() as u64, "shard"))),
        row("fingerprint", pack.fingerprint()),
        row("turned by EXIF", if pack.exif_orientation() { "yes" } else { "no" }),
        row("bytes", format!("{:.1} MB", pack.bytes() as f64 / 1e6)),
        row("mean colour", format!("{:.2?}", statistics.mean_rgb)),
        row("colour deviations", format!("{:.2?}", statistics.eigenvalues.map(|v| f64::from(v).sqrt()))),
        row("colour directions", format!("{:.3?}", statistics.eigenvectors)),
        row("classes", format!("{}, of {fewest} to {most} images", pack.classes().len())),
    ];
    let title = |class: &str| match data::ilsvrc2012::words(class) {
        Some(_) => format!("  {class} {}", data::ilsvrc2012::short_name(class)),
        None => format!("  {class}"),
    };
    let classes: Vec<Vec<String>> =
        pack.classes().iter().zip(&counts).map(|(class, count)| row(&title(class), count)).collect();
    let json = json!({
        "kind": "pack",
        "images": pack.len(),
        "size": pack.size(),
        "storage": pack.storage().to_string(),
        "shards": pack.shards(),
        "bytes": pack.bytes(),
        "fingerprint": pack.fingerprint(),
        "exif_orientation": pack.exif_orientation(),
        "mean_rgb": statistics.mean_rgb,
        "covariance": statistics.covariance,
        "eigenvalues": statistics.eigenvalues,
        "eigenvectors": statistics.eigenvectors,
        "classes": pack.classes().iter().zip(&counts)
            .map(|(name, count)| json!({ "name": name, "words": data::ilsvrc2012::words(name), "images": count })).collect::<Vec<_>>(),
    });
    Ok((format!("{}\n{}", lines(&rows), table(&classes)), json))
}

fn run_of(path: &Path) -> Result<(String, Value)> {
    let model = run_folder::model(path)?;
    let checkpoints = run_folder::checkpoints(path)?;
    let best = run_folder::best(path)?;
    let newest = load::newest_checkpoint(path, &mut |warning| note(&format!("note: {warning}")))?;
    let is_damaged = best.is_none() && exists(&path.join("best.toml"))?;
    let best_text = match &best {
        Some(best) if best.monitor.is_error() => {
            format!("step {}, {} {}", best.step, best.monitor.name(), percent(best.value))
        }
        Some(best) => format!("step {}, {} {:.4}", best.step, best.monitor.name(), best.value),
        None if is_damaged => {
            "unknown: best.toml is damaged; checkpoints say it too, and train --resume writes it anew".into()
        }
        None => "not validated".into(),
    };
    let (state, message) = match RunSummary::read(path) {
        Ok(run) => (Some(run.state), run.message),
        Err(error) => {
            note(&format!("note: {error}"));
            (None, None)
        }
    };
    let state_text = match (state, &message) {
        (None, _) => "unknown".to_string(),
        (Some(state), None) => state.to_string(),
        (Some(state), Some(message)) => format!("{state}: {message}"),
    };
    let position = newest.as_ref().map(|(_, c)| c.state.position.clone()).unwrap_or_default();
    let rows = [
        row("run", path.display()),
        row("network", format!("{}, {} classes", model.name, model.classes)),
        row("state", state_text),
        row("done", format!("{}, {}", count(position.step, "step"), count(position.epoch, "epoch"))),
        row("best", best_text),
        row("checkpoints", checkpoints.len()),
        row("newest", newest.as_ref().map_or("none".to_string(), |(path, _)| path.display().to_string())),
    ];
    let json = json!({
        "kind": "run",
        "network": model.name,
        "classes": model.classes,
        "state": state,
        "message": message,
        "steps": position.step,
        "epochs": position.epoch,
        "best": best,
        "checkpoints": checkpoints.iter().map(|(_, path)| path.display().to_string()).collect::<Vec<_>>(),
    });
    Ok((lines(&rows), json))
}

fn weights(path: &Path) -> Result<(String, Value)> {
    match formats::read(path)? {
        Some(file) => foreign(path, &file),
        None => own_weights(path),
    }
}

/// The set whose class names this number of classes has that are not named; none for another number.
fn assumed(names: &[String], classes: Option<usize>) -> Option<&'static str> {
    let is_known = names.is_empty() && classes == Some(data::ilsvrc2012::classes().len());
    is_known.then_some("ILSVRC 2012")
}

/// The number of class names, or which ones are taken for them.
fn class_names(names: &[String], classes: Option<usize>) -> String {
    match assumed(names, classes) {
        Some(set) => format!("none; taken to be those of {set}, sorted by WordNet id"),
        None => names.len().to_string(),
    }
}

/// The mean of a network that subtracts one of its training set, and of an unknown network that has one.
fn mean_row(model: Option<&Model>, has_image: bool, colour: Option<[f32; 3]>) -> Option<Vec<String>> {
    let text = |colour: [f32; 3]| format!("{colour:.2?}");
    match model.map(|model| &model.input.mean) {
        Some(Mean::None | Mean::Rgb(_)) => None,
        Some(Mean::PackImage) => Some(row("mean image", if has_image { "yes" } else { "no" })),
        Some(Mean::PackRgb) => Some(row("mean colour", colour.map_or("no".to_string(), text))),
        None if has_image => Some(row("mean image", "yes")),
        None => colour.map(|colour| row("mean colour", text(colour))),
    }
}

/// A weights file of another framework.
fn foreign(path: &Path, file: &ForeignFile) -> Result<(String, Value)> {
    let values: usize = file.tensors.iter().map(|t| t.values.len()).sum();
    let fits = presets_that_fit(file)?;
    let fit = |fit: &Fit| {
        let by = if fit.by_names { "by names" } else { "by shapes" };
        format!("{} with {} classes, {by}", fit.preset, fit.classes)
    };
    let fitting: Vec<String> = fits.iter().map(fit).collect();
    let described = file.model.as_ref().map(|model| model.name.as_str());
    let preset = fits.first().and_then(|fit| Model::preset(fit.preset).ok());
    let model = file.model.clone().or(preset);
    let classes = file.model.as_ref().map(|model| model.classes).or(fits.first().map(|fit| fit.classes));
    let mut rows = vec![
        row("weights", path.display()),
        row("format", file.format),
        row("parameters", format!("{values} in {}", count(file.tensors.len() as u64, "tensor"))),
        row("network", described.unwrap_or("not described")),
        row("fits", if fitting.is_empty() { "none of the presets".into() } else { fitting.join("; ") }),
        row("class names", class_names(&file.classes, classes)),
    ];
    rows.extend(mean_row(model.as_ref(), file.mean_image.is_some(), file.mean_rgb));
    rows.extend(file.optimizer.as_ref().map(|o| row("optimizer", format!("{}, after {} steps", o.kind, o.step))));
    rows.extend(file.notes.iter().map(|note| row("note", note)));
    let tensors: Vec<Vec<String>> =
        file.tensors.iter().map(|t| row(&format!("  {}", t.name), format!("{:?}", t.values.shape()))).collect();
    let json = json!({
        "kind": "weights",
        "format": file.format.to_string(),
        "network": described,
        "fits": fits.iter().map(|f| json!({ "network": f.preset, "classes": f.classes, "by_names": f.by_names }))
            .collect::<Vec<_>>(),
        "parameters": values,
        "classes": file.classes,
        "assumed_classes": assumed(&file.classes, classes),
        "mean_image": file.mean_image.is_some(),
        "mean_rgb": file.mean_rgb,
        "notes": file.notes,
        "tensors": file.tensors.iter()
            .map(|t| json!({ "name": t.name, "shape": t.values.shape() })).collect::<Vec<_>>(),
    });
    Ok((format!("{}\n{}", lines(&rows), table(&tensors)), json))
}

fn own_weights(path: &Path) -> Result<(String, Value)> {
    let loaded = load::weights(path, None, &mut |_| {})?;
    let weights = &loaded.weights;
    let network = weights.model.as_ref().map_or("unknown", |m| m.name.as_str());
    let values: usize = weights.tensors.iter().map(|(_, t)| t.len()).sum();
    let step = Checkpoint::load(path).ok().map(|c| c.state.position.step);
    let classes = weights.model.as_ref().map(|model| model.classes);
    let mut rows = vec![
        row("weights", path.display()),
        row("format", loaded.report.format),
        row("network", network),
        row("parameters", values),
        row("class names", class_names(&weights.classes, classes)),
    ];
    rows.extend(mean_row(weights.model.as_ref(), weights.mean_image.is_some(), weights.mean_rgb));
    rows.push(row("turned by EXIF", if weights.exif_orientation { "yes" } else { "no" }));
    rows.extend(step.map(|step| row("checkpoint", format!("after {step} steps"))));
    rows.extend(loaded.report.notes.iter().map(|note| row("note", note)));
    let tensors: Vec<Vec<String>> =
        weights.tensors.iter().map(|(name, t)| row(&format!("  {name}"), format!("{:?}", t.shape()))).collect();
    let json = json!({
        "kind": "weights",
        "format": loaded.report.format.to_string(),
        "network": network,
        "parameters": values,
        "classes": weights.classes,
        "assumed_classes": assumed(&weights.classes, classes),
        "mean_image": weights.mean_image.is_some(),
        "mean_rgb": weights.mean_rgb,
        "exif_orientation": weights.exif_orientation,
        "step": step,
        "notes": loaded.report.notes,
        "tensors": weights.tensors.iter()
            .map(|(name, t)| json!({ "name": name, "shape": t.shape() })).collect::<Vec<_>>(),
    });
    Ok((format!("{}\n{}", lines(&rows), table(&tensors)), json))
}

//! `alexnet convert`.

use std::path::Path;

use formats::Format;
use formats::onnx::{self, GraphOutput};
use train::{load, mean};

use super::trained::{ASSUMED_CLASSES, choose_average};
use crate::args::Convert;
use crate::console::{note, print};
use crate::failure::{Failure, Result};
use crate::signals::exit_on_signals;

pub fn run(args: &Convert) -> Result<()> {
    exit_on_signals()?;
    check_output(&args.output)?;
    let format = match args.format.as_deref() {
        Some(name) => name.parse().map_err(Failure::Usage)?,
        None => Format::of_name(&args.output).map_err(|e| Failure::Usage(format!("{e}, or choose --format")))?,
    };
    if format == Format::Own {
        files::folder::check_utf8(&args.output).map_err(|e| unusable(&args.output, &e))?;
    }
    if args.softmax && format != Format::Onnx {
        let what = "--softmax: only an ONNX graph can end with it; leave it out, or write .onnx";
        return Err(Failure::Usage(what.into()));
    }
    let model = args.model.as_deref().map(formats::model_of).transpose()?;
    let has_place = matches!(format, Format::KerasArchive | Format::KerasHdf5);
    let load = if has_place { load::with_optimizer } else { load::weights_of };
    let choice = args.checkpoint.choice();
    let mut loaded = load(&args.input, model.as_ref(), choice, &mut |warning| note(&format!("note: {warning}")))?;
    choose_average(&mut loaded, args.checkpoint.raw);
    if loaded.is_average() && loaded.optimizer.take().is_some() {
        note("note: the state of the optimizer is left out: it belongs to the weights of the last step (--raw)");
    }
    if let Some(text) = &args.mean {
        loaded.set_means(mean::load(text)?).map_err(|error| mean::named(text, error))?;
    }
    if !loaded.report.is_own && loaded.assume_class_names() {
        note(ASSUMED_CLASSES);
    }
    if args.softmax {
        onnx::save(&args.output, &loaded.weights, GraphOutput::Probabilities)?;
    } else {
        let notes = formats::save_with(&args.output, &loaded.weights, loaded.optimizer.as_ref(), Some(format))?;
        notes.iter().for_each(|text| note(&format!("note: {}: {text}", args.output.display())));
    }
    if !loaded.report.is_own {
        print(&loaded.report.to_string())?;
    }
    let values: usize = loaded.weights.tensors.iter().map(|(_, t)| t.len()).sum();
    let name = loaded.weights.model.as_ref().map_or("unknown network", |m| m.name.as_str());
    let count = loaded.weights.tensors.len();
    note(&format!("{}: {name}, {count} tensors, {values} values", args.output.display()));
    Ok(())
}

/// A path that HDF5 cannot use, or an error of the system while it was looked at.
fn unusable(output: &Path, error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::InvalidInput => {
            Failure::Usage(format!("{}: {error}; choose another folder", output.display()))
        }
        _ => Failure::Failed(format!("{}: {error}", output.display())),
    }
}

/// Fails for a file in a pack or a run, whose files also end in .h5 and must not be overwritten.
fn check_output(output: &Path) -> Result<()> {
    // A link is followed: its target would be replaced.
    let target = output.canonicalize().unwrap_or_else(|_| output.to_path_buf());
    let Some(folder) = target.parent() else { return Ok(()) };
    let in_checkpoints = folder.ends_with("checkpoints") && folder.with_file_name("run.toml").exists();
    let of_run = in_checkpoints || folder.join("run.toml").exists();
    let owner = if of_run { "a run" } else { "a pack" };
    if !of_run && !folder.join("pack.h5").exists() {
        return Ok(());
    }
    Err(Failure::Usage(format!("{}: lies in the folder of {owner}; choose another folder", output.display())))
}

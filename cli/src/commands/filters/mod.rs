//! `alexnet filters`.

mod patches;

use std::path::PathBuf;

use files::printable;
use image::RgbImage;
use layers::Model;
use layers::model::LayerKind;
use train::load::{self, Loaded};
use train::plots::{ColourRange, KernelOrder, KernelSheet, check_png_name, save_png};

use self::patches::PatchesTask;
use super::trained::{self, choose_average};
use crate::args::{Filters, Scale, Sort};
use crate::console::{note, print};
use crate::failure::{Failure, Result};
use crate::signals::exit_on_signals;

pub fn run(args: &Filters) -> Result<()> {
    check_png_name(&args.out).map_err(|error| Failure::Usage(format!("--out: {error}")))?;
    let ending = if args.images.is_some() { "csv" } else { "npy" };
    let has_ending = |path: &PathBuf| path.extension().is_some_and(|own| own.eq_ignore_ascii_case(ending));
    if let Some(path) = args.data.as_ref().filter(|path| !has_ending(path)) {
        let what = format!("--data: {}: expected a name that ends in .{ending}", path.display());
        return Err(Failure::Usage(what));
    }
    if args.images.is_some() {
        return draw_patches(args);
    }
    draw_kernels(args)
}

/// Draws the patches of `--images` to which kernels respond most.
fn draw_patches(args: &Filters) -> Result<()> {
    exit_on_signals()?;
    let (models, opened) = trained::load_for_filters(args)?;
    let [kernels, images] = opened.run(PatchesTask { args, models })?;
    let text = format!("{}: patches for {kernels} kernels, of {images} images", args.out.display());
    print(&text)
}

fn draw_kernels(args: &Filters) -> Result<()> {
    let model = args.model.as_deref().map(formats::model_of).transpose()?;
    let mut loaded = load::weights_of(&args.weights, model.as_ref(), args.checkpoint.choice(), &mut |text| {
        note(&format!("note: {text}"));
    })?;
    choose_average(&mut loaded, args.checkpoint.raw);
    let model = loaded.model()?;
    let layer = layer(args, model)?;
    let missing = || Failure::Failed(format!("{}: it has no {layer}.weight", loaded.path.display()));
    let weights = loaded.weights.tensor(&format!("{layer}.weight")).ok_or_else(missing)?;
    let sheet = KernelSheet {
        layer: &layer,
        weights,
        groups: groups(model, &layer),
        order: match args.sort {
            Sort::Norm => KernelOrder::Norm,
            Sort::Layer => KernelOrder::Layer,
        },
        range: match args.scale {
            Scale::Each => ColourRange::Each,
            Scale::Shared => ColourRange::Shared,
        },
    };
    save_png(&sheet.draw()?, &args.out)?;
    let out = weights.shape()[0];
    if let Some(path) = &args.data {
        formats::save_npy(path, &sheet.sorted_weights())?;
    }
    print(&format!("{}: {out} kernels of {}", args.out.display(), printable::name(&layer)))
}

/// The kernels of the first convolution, by falling norm, as an image with the name of the layer; `None` for a network
/// without one.
pub fn first_kernels(loaded: &Loaded) -> Result<Option<(String, RgbImage)>> {
    let model = loaded.model()?;
    let Some(layer) = convolutions(model).next() else { return Ok(None) };
    let Some(weights) = loaded.weights.tensor(&format!("{layer}.weight")) else { return Ok(None) };
    let order = KernelOrder::Norm;
    let sheet = KernelSheet { layer, weights, groups: groups(model, layer), order, range: ColourRange::Each };
    Ok(Some((layer.to_string(), sheet.draw()?)))
}

/// The convolutions of a network.
fn convolutions(model: &Model) -> impl Iterator<Item = &str> {
    let is_convolution = |kind: &LayerKind| matches!(kind, LayerKind::Conv(_));
    model.layers.iter().filter(move |layer| is_convolution(&layer.kind)).map(|layer| layer.name.as_str())
}

/// The layer to draw.
fn layer(args: &Filters, model: &Model) -> Result<String> {
    let names: Vec<&str> = convolutions(model).collect();
    let Some(first) = names.first() else {
        return Err(Failure::Usage(format!(
            "{}: the network {} has no convolution",
            args.weights.display(),
            model.name
        )));
    };
    match &args.layer {
        None => Ok((*first).to_string()),
        Some(name) if names.contains(&name.as_str()) => Ok(name.clone()),
        Some(name) => {
            let known = names.join(", ");
            Err(Failure::Usage(format!("--layer: {name}: no convolution of {}; it has {known}", model.name)))
        }
    }
}

/// The groups of kernels that are drawn apart: those that the next convolution separates, as the paper's two GPUs did, else
/// those of the layer.
fn groups(model: &Model, layer: &str) -> usize {
    let of = |kind: &LayerKind| match kind {
        LayerKind::Conv(conv) => Some(conv.groups),
        _ => None,
    };
    let mut after = model.layers.iter().skip_while(|other| other.name != layer).filter_map(|other| of(&other.kind));
    let own = after.next().unwrap_or(1);
    own.max(after.next().unwrap_or(1))
}

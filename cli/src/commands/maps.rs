//! `alexnet maps`.

use std::collections::BTreeMap;

use data::DecodeOptions;
use image::RgbImage;
use layers::model::LayerKind;
use layers::weights::save_tensors;
use ndarray::{Array2, ArrayD, ArrayView3, Axis, Ix3};
use serde::Serialize;
use tensor::Backend;
use train::plots::{Panel, PanelPage, PanelRow, check_png_name, grey_map, save_png};

use super::device::DeviceTask;
use super::explain::{PreparedImage, check_data_name};
use super::predict::inputs::Inputs;
use super::trained::{self, LoadedModels, TrainedModel};
use crate::args::Maps;
use crate::console::{percent, print, print_json};
use crate::failure::{Failure, Result};
use crate::signals::exit_on_signals;

/// Width and height of a panel.
const SIDE: u32 = 112;
/// Panels beside each other.
const COLUMNS: usize = 8;

pub fn run(args: &Maps) -> Result<()> {
    exit_on_signals()?;
    check_png_name(&args.out).map_err(|error| Failure::Usage(format!("--out: {error}")))?;
    check_data_name(args.data.as_deref())?;
    let inputs = Inputs::open(std::slice::from_ref(&args.image))?;
    if inputs.count().is_none_or(|count| count != 1) {
        return Err(Failure::Usage(format!("{}: expected one image", args.image.display())));
    }
    let (models, opened) = trained::load_single(&args.network)?;
    let drawn = opened.run(MapsTask { args, models, inputs })?;
    if args.network.json {
        return print_json(&drawn);
    }
    print(&format!("{}: maps of {}", args.out.display(), crate::console::count(drawn.layers.len() as u64, "layer")))
}

struct MapsTask<'a> {
    args: &'a Maps,
    models: LoadedModels,
    inputs: Inputs,
}

/// The drawing, for `--json`.
#[derive(Serialize)]
struct MapsJson {
    network: String,
    plot: String,
    data: Option<String>,
    image: String,
    class: usize,
    name: String,
    probability: f32,
    layers: Vec<LayerJson>,
}

/// The maps of a layer.
#[derive(Serialize)]
struct LayerJson {
    layer: String,
    /// The layer whose output they are: the activation function.
    after: String,
    shape: Vec<usize>,
    /// Those that are drawn, by falling mean; empty for a layer without maps.
    maps: Vec<MapJson>,
}

#[derive(Serialize)]
struct MapJson {
    map: usize,
    mean: f32,
    maximum: f32,
}

impl DeviceTask for MapsTask<'_> {
    type Output = MapsJson;

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<MapsJson> {
        let Self { args, models, inputs } = self;
        let trained = models.into_device(&device)?;
        let trained = trained.first();
        let model = trained.network.model();
        let layers = layers(args, trained)?;
        let options = DecodeOptions { apply_orientation: trained.exif_orientation, ..DecodeOptions::default() };
        let none = || Failure::Failed(format!("{}: no image", args.image.display()));
        let image = inputs.images().iter().next().ok_or_else(none)?;
        let name = image.name.clone();
        let square = image.square(model.input.size, &options).map_err(Failure::Failed)?;
        let image = PreparedImage::new(trained, name, &square)?;
        let seen = Panel { caption: String::new(), image: image.crop.clone() };
        let best = image.most_probable;
        let label = format!("{}, {}", trained.short_name(best), percent(f64::from(image.probabilities[best])));
        let mut rows = vec![PanelRow { heading: format!("{}: {label}", image.name), panels: vec![seen] }];
        let mut tensors = BTreeMap::new();
        let mut described = Vec::new();
        for layer in &layers {
            let after = model.activated(layer)?;
            let values = trained.network.activations(image.input.clone(), after)?.to_array();
            let values = values.map_err(train::Error::from)?.index_axis_move(Axis(0), 0);
            let (row, maps) = row(layer, after, &values, args.maps);
            rows.push(row);
            let shape = values.shape().to_vec();
            described.push(LayerJson { layer: layer.clone(), after: after.to_string(), shape, maps });
            tensors.insert(layer.clone(), values);
        }
        let note = "each map from black at 0 to white at its largest value, which stands below it".into();
        let title = format!("What the layers of {} pass on", model.name);
        save_png(&PanelPage { title, note, side: SIDE, columns: COLUMNS, rows }.draw(), &args.out)?;
        if let Some(path) = &args.data {
            save_tensors(path, &tensors)?;
        }
        Ok(MapsJson {
            network: model.name.clone(),
            plot: args.out.display().to_string(),
            data: args.data.as_ref().map(|path| path.display().to_string()),
            image: image.name.clone(),
            class: best,
            name: trained.short_name(best),
            probability: image.probabilities[best],
            layers: described,
        })
    }
}

/// The layers to draw.
fn layers<B: Backend>(args: &Maps, trained: &TrainedModel<B>) -> Result<Vec<String>> {
    let model = trained.network.model();
    for name in &args.layers {
        model.find_layer(name).map_err(|error| Failure::Usage(format!("--layers: {error}")))?;
    }
    if !args.layers.is_empty() {
        return Ok(args.layers.clone());
    }
    let is_drawn = |kind: &LayerKind| {
        matches!(kind, LayerKind::Conv(_) | LayerKind::Local(_) | LayerKind::Linear(_) | LayerKind::Pool(_))
    };
    Ok(model.layers.iter().filter(|layer| is_drawn(&layer.kind)).map(|layer| layer.name.clone()).collect())
}

/// The maps of a layer with the largest means, or its values as a square.
fn row(layer: &str, after: &str, values: &ArrayD<f32>, limit: usize) -> (PanelRow, Vec<MapJson>) {
    let named = if after == layer { layer.to_string() } else { format!("{layer}, after {after}") };
    let Ok(maps) = values.view().into_dimensionality::<Ix3>() else {
        let square = square_of(values);
        let top = square.iter().copied().fold(0.0, f32::max);
        let panel = Panel { caption: short(top), image: grey_map(square.view(), top) };
        let heading = format!("{named}: {} values, row by row", values.len());
        return (PanelRow { heading, panels: vec![panel] }, Vec::new());
    };
    let (height, width, channels) = maps.dim();
    let order = by_mean(maps);
    let drawn = if limit == 0 { channels } else { limit.min(channels) };
    let panels = order[..drawn].iter().map(|&channel| panel(maps, channel)).collect();
    let described = order[..drawn].iter().map(|&channel| describe(maps, channel)).collect();
    let which = if drawn == channels { "all" } else { "those with the largest mean" };
    let heading = format!("{named}: {height} x {width} x {channels}, {which}, by falling mean");
    (PanelRow { heading, panels }, described)
}

fn panel(maps: ArrayView3<f32>, channel: usize) -> Panel {
    let map = maps.index_axis(Axis(2), channel);
    let top = map.iter().copied().fold(0.0, f32::max);
    let image: RgbImage = grey_map(map, top);
    Panel { caption: format!("{channel}: {}", short(top)), image }
}

fn describe(maps: ArrayView3<f32>, channel: usize) -> MapJson {
    let map = maps.index_axis(Axis(2), channel);
    let maximum = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    MapJson { map: channel, mean: map.mean().unwrap_or(0.0), maximum }
}

/// The numbers of the maps by falling mean.
fn by_mean(maps: ArrayView3<f32>) -> Vec<usize> {
    let means = maps.sum_axis(Axis(0)).sum_axis(Axis(0));
    let mut order: Vec<usize> = (0..means.len()).collect();
    order.sort_by(|&a, &b| means[b].total_cmp(&means[a]).then(a.cmp(&b)));
    order
}

/// Values row by row in a square, with zeros at the end.
fn square_of(values: &ArrayD<f32>) -> Array2<f32> {
    let side = (values.len() as f64).sqrt().ceil() as usize;
    let mut square = Array2::zeros((side, side));
    for (place, &value) in square.iter_mut().zip(values) {
        *place = value;
    }
    square
}

/// A value with three digits.
fn short(value: f32) -> String {
    if value == 0.0 || (0.01..1000.0).contains(&value) { format!("{value:.2}") } else { format!("{value:.1e}") }
}

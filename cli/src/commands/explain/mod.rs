//! `alexnet explain`.

mod prepared_image;

use std::collections::BTreeMap;

use analysis::{
    Occlusion, SmoothGrad, grad_cam, input_gradient, last_convolution, occlusion, saliency, smooth_grad, upsample,
};
use data::DecodeOptions;
use layers::weights::save_tensors;
use ndarray::{Array2, ArrayD, Axis, stack};
use serde::Serialize;
use serde_json::json;
use tensor::Backend;
use train::plots::{Panel, PanelPage, PanelRow, brightest, check_png_name, heat_key, heat_over, save_png, stacked};

pub use self::prepared_image::{PreparedImage, check_data_name};
use super::device::DeviceTask;
use super::predict::inputs::Inputs;
use super::trained::{self, LoadedModels, TrainedModel};
use crate::args::Explain;
use crate::console::{Bar, percent, print, print_error, print_json};
use crate::failure::{Failure, Result};
use crate::signals::exit_on_signals;

/// The most images of a page.
const MAX_IMAGES: usize = 64;
/// The least fall of the probability that is drawn as bright: smaller ones matter for nothing.
const LEAST_FALL: f32 = 0.01;
/// Width and height of a panel.
const SIDE: u32 = 224;

pub fn run(args: &Explain) -> Result<()> {
    exit_on_signals()?;
    check_png_name(&args.out).map_err(|error| Failure::Usage(format!("--out: {error}")))?;
    check_data_name(args.data.as_deref())?;
    let inputs = Inputs::open(&args.images)?;
    let (models, opened) = trained::load_single(&args.network)?;
    models.note_assumed_classes();
    let Explained { network, images, unreadable } = opened.run(ExplainTask { args, models, inputs })?;
    let drawn = images.len();
    if args.network.json {
        let data = args.data.as_ref().map(|path| path.display().to_string());
        let plot = args.out.display().to_string();
        print_json(&json!({ "network": network, "plot": plot, "data": data, "images": images }))?;
    } else {
        print(&format!("{}: {}", args.out.display(), crate::console::count(drawn as u64, "image")))?;
    }
    if unreadable > 0 {
        return Err(Failure::Failed(format!("{unreadable} of {} images could not be read", drawn + unreadable)));
    }
    Ok(())
}

struct ExplainTask<'a> {
    args: &'a Explain,
    models: LoadedModels,
    inputs: Inputs,
}

/// The drawing, for `--json`.
struct Explained {
    network: String,
    images: Vec<ImageJson>,
    /// Number of images that could not be read.
    unreadable: usize,
}

/// An image and the class that was explained.
#[derive(Serialize)]
struct ImageJson {
    image: String,
    class: usize,
    name: String,
    probability: f32,
    /// The largest fall of the probability when a part is hidden.
    largest_fall: f32,
    /// The layer of Grad-CAM.
    layer: Option<String>,
}

impl DeviceTask for ExplainTask<'_> {
    type Output = Explained;

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<Explained> {
        let Self { args, models, inputs } = self;
        let count = inputs.count();
        if count.is_some_and(|count| count > MAX_IMAGES as u64) {
            return Err(Failure::Usage(format!("expected at most {MAX_IMAGES} images, got {}", count.unwrap_or(0))));
        }
        let trained = models.into_device(&device)?;
        let trained = trained.first();
        let explanation = Explanation::new(args, trained)?;
        let options = DecodeOptions { apply_orientation: trained.exif_orientation, ..DecodeOptions::default() };
        let bar = Bar::new("explain", "images", count.unwrap_or(1));
        let mut rows = Vec::new();
        let mut images = Vec::new();
        let mut maps = MapTensors::default();
        let mut unreadable = 0;
        for image in inputs.images().iter().take(MAX_IMAGES) {
            let name = image.name.clone();
            match image.square(trained.network.model().input.size, &options) {
                Ok(square) => {
                    let image = PreparedImage::new(trained, name, &square)?;
                    let (row, described) = explanation.row(&image, &mut maps)?;
                    rows.push(row);
                    images.push(described);
                }
                Err(error) => {
                    print_error(&format!("error: {error}"));
                    unreadable += 1;
                }
            }
            bar.set_with_rate((rows.len() + unreadable) as u64, "images");
        }
        bar.finish();
        if rows.is_empty() {
            return Err(Failure::Failed("there are no images that could be read".into()));
        }
        let key = heat_key(["no evidence for the class", "the most of each map"]);
        save_png(&stacked(&[explanation.page(rows).draw(), key]), &args.out)?;
        if let Some(path) = &args.data {
            save_tensors(path, &maps.stacked())?;
        }
        Ok(Explained { network: trained.network.model().name.clone(), images, unreadable })
    }
}

/// The maps of the images, by the names of the methods.
#[derive(Default)]
struct MapTensors(BTreeMap<String, Vec<ArrayD<f32>>>);

impl MapTensors {
    fn push(&mut self, name: &str, values: ArrayD<f32>) {
        self.0.entry(name.into()).or_default().push(values);
    }

    /// Each method's maps as one tensor, with the images as its first axis.
    fn stacked(self) -> BTreeMap<String, ArrayD<f32>> {
        let stacked = |maps: Vec<ArrayD<f32>>| {
            let views: Vec<_> = maps.iter().map(|map| map.view()).collect();
            // Maps of one method have one shape.
            stack(Axis(0), &views).unwrap_or_default()
        };
        self.0.into_iter().map(|(name, maps)| (name, stacked(maps))).collect()
    }
}

/// The settings of a page.
struct Explanation<'a, B: Backend> {
    trained: &'a TrainedModel<B>,
    class: Option<usize>,
    /// The convolution of Grad-CAM; none in a network without convolutions.
    layer: Option<String>,
    occlusion: Occlusion,
    smooth: SmoothGrad,
}

impl<'a, B: Backend<Scalar = f32>> Explanation<'a, B> {
    fn new(args: &Explain, trained: &'a TrainedModel<B>) -> Result<Self> {
        let model = trained.network.model();
        let layer = match &args.layer {
            Some(name) => {
                model.find_layer(name).map_err(|error| Failure::Usage(format!("--layer: {error}")))?;
                Some(name.clone())
            }
            None => last_convolution(model).map(String::from),
        };
        let own = Occlusion::of_crop(model.input.crop);
        let size = args.square.unwrap_or(own.size);
        if size > model.input.crop {
            let what = format!("--square: {size} pixels are more than the crop's {}", model.input.crop);
            return Err(Failure::Usage(what));
        }
        let class = args.class.as_deref().map(|text| trained.class(text)).transpose()?;
        let smooth = SmoothGrad { samples: args.samples, ..SmoothGrad::default() };
        Ok(Self { trained, class, layer, occlusion: Occlusion { size, ..own }, smooth })
    }

    /// The image and its maps.
    fn row(&self, image: &PreparedImage<B>, maps: &mut MapTensors) -> Result<(PanelRow, ImageJson)> {
        let network = &self.trained.network;
        let class = self.class.unwrap_or(image.most_probable);
        let probability = image.probabilities[class];
        let name = self.trained.short_name(class);
        let panel = |caption: String, map: &Array2<f32>, least: f32| {
            let top = brightest(map.view()).max(least);
            Panel { caption, image: heat_over(&image.crop, map.view(), top) }
        };
        let mut panels = vec![Panel { caption: String::new(), image: image.crop.clone() }];
        let hidden = occlusion(network, &image.input, class, &self.occlusion)?;
        let fall = hidden.falls.iter().copied().fold(0.0, f32::max);
        let caption = format!("occlusion: -{:.1} points", fall * 100.0);
        panels.push(panel(caption, &hidden.pixels, LEAST_FALL));
        let gradient = input_gradient(network, &image.input, class)?;
        panels.push(panel("input gradient".into(), &saliency(&gradient), 0.0));
        let smooth = smooth_grad(network, &image.input, class, &self.smooth)?;
        panels.push(panel(format!("SmoothGrad, {} copies", self.smooth.samples), &saliency(&smooth), 0.0));
        if let Some(layer) = &self.layer {
            let cam = grad_cam(network, &image.input, class, layer)
                .map_err(|error| Failure::Usage(format!("--layer: {error}")))?;
            let map = upsample(&cam, image.crop.width() as usize);
            panels.push(panel(format!("Grad-CAM of {layer}"), &map, 0.0));
            maps.push("grad_cam", cam.into_dyn());
        }
        maps.push("class", ndarray::arr0(class as f32).into_dyn());
        maps.push("occlusion", hidden.pixels.into_dyn());
        maps.push("input_gradient", gradient.into_dyn());
        maps.push("smooth_grad", smooth.into_dyn());
        let heading = format!("{}: {name}, {}", image.name, percent(f64::from(probability)));
        let layer = self.layer.clone();
        let described = ImageJson { image: image.name.clone(), class, name, probability, largest_fall: fall, layer };
        Ok((PanelRow { heading, panels }, described))
    }

    fn page(&self, rows: Vec<PanelRow>) -> PanelPage {
        let columns = rows.iter().map(|row| row.panels.len()).max().unwrap_or(1);
        let note = format!(
            "bright: matters for the class; occlusion hides squares of {} pixels, each map has its own scale",
            self.occlusion.size
        );
        let class = self.class.map_or("the most probable class".to_string(), |class| {
            format!("the class {}", self.trained.short_name(class))
        });
        let title = format!("Network {}: evidence for {class}", self.trained.network.model().name);
        PanelPage { title, note, side: SIDE, columns, rows }
    }
}

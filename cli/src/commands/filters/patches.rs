//! The patches of images to which kernels respond most, and the patterns in them.

use std::sync::Arc;

use analysis::{ReceptiveField, Response, StrongestResponses, last_convolution, response_gradient};
use data::{Dataset, Views};
use image::{RgbImage, imageops};
use layers::model::ChannelOrder;
use ndarray::{Array4, s};
use tensor::Backend;
use train::Stop;
use train::evaluate::Options;
use train::features::{FeatureLayer, extract};
use train::plots::{Panel, PanelPage, PanelRow, gradient_image, save_png};

use super::super::data_set;
use super::super::device::DeviceTask;
use super::super::eval::write_csv;
use super::super::explain::PreparedImage;
use super::super::trained::{LoadedModels, TrainedModel, TrainedModels};
use crate::args::Filters;
use crate::console::Bar;
use crate::failure::{Failure, Result};

/// Width and height of a panel.
const SIDE: u32 = 96;
/// Images of a batch.
const BATCH: usize = 64;

/// The search for the strongest responses of a layer's kernels.
pub struct PatchesTask<'a> {
    pub args: &'a Filters,
    pub models: LoadedModels,
}

impl DeviceTask for PatchesTask<'_> {
    /// The numbers of kernels and of images.
    type Output = [usize; 2];

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<[usize; 2]> {
        let Self { args, models } = self;
        let Some(images) = &args.images else { return Ok([0; 2]) };
        let dataset = data_set::open_any(images, None, None, &models)?;
        models.check_memory(&device, dataset.len().max(1), BATCH)?;
        let threads = models.threads;
        let trained = models.into_device(&device)?;
        let search = Search::new(args, &trained, dataset)?;
        let strongest = search.strongest(&trained, threads)?;
        let kernels: Vec<usize> = strongest.by_largest();
        let responding = |kernel: &usize| strongest.of(*kernel).first().is_some_and(|first| first.value > 0.0);
        let kernels: Vec<usize> = kernels.into_iter().filter(responding).take(args.kernels).collect();
        let mut rows = Vec::new();
        for &kernel in &kernels {
            rows.push(search.row(trained.first(), kernel, strongest.of(kernel))?);
        }
        save_png(&search.page(rows, args.patches).draw(), &args.out)?;
        if let Some(path) = &args.data {
            write_csv(path, &search.table(&kernels, &strongest))?;
        }
        Ok([kernels.len(), search.dataset.len()])
    }
}

/// A layer and the images that are searched.
struct Search {
    layer: FeatureLayer,
    /// Height, width and number of the layer's maps.
    maps: [usize; 3],
    field: ReceptiveField,
    dataset: Arc<dyn Dataset>,
    patches: usize,
}

impl Search {
    fn new<B: Backend<Scalar = f32>>(
        args: &Filters,
        trained: &TrainedModels<B>,
        dataset: Arc<dyn Dataset>,
    ) -> Result<Self> {
        let model = trained.first().network.model();
        let usage = |error: &dyn std::fmt::Display| Failure::Usage(format!("--layer: {error}"));
        let name = args.layer.as_deref().or_else(|| last_convolution(model));
        let layer = FeatureLayer::of(model, name).map_err(|error| usage(&error))?;
        let number = model.find_layer(&layer.activated)?;
        let shape = model.shapes()?[number].output.clone();
        let maps = match shape[..] {
            [height, width, channels] => [height, width, channels],
            _ => [1, 1, layer.length],
        };
        let field = ReceptiveField::of(model, &layer.activated)?;
        Ok(Self { layer, maps, field, dataset, patches: args.patches })
    }

    /// The strongest responses of all kernels over all images.
    fn strongest<B: Backend<Scalar = f32>>(
        &self,
        trained: &TrainedModels<B>,
        threads: usize,
    ) -> Result<StrongestResponses> {
        let first = trained.first();
        let input = first.input(self.dataset.size())?;
        let options = Options { input, views: Views::Centre, batch: BATCH, threads };
        let bar = Bar::new("filters", "images", self.dataset.len() as u64);
        let [height, width, channels] = self.maps;
        let mut strongest = StrongestResponses::new(channels, self.patches);
        let mut done = 0;
        let stop = Stop::default();
        extract(&first.network, &self.layer, Arc::clone(&self.dataset), &options, &stop, |batch| {
            let shape = (batch.indices.len(), height, width, channels);
            let maps = Array4::from_shape_vec(shape, batch.values.iter().copied().collect()).unwrap_or_default();
            strongest.add(batch.indices, maps.view());
            done += batch.indices.len() as u64;
            bar.set_with_rate(done, "images");
            Ok(())
        })
        .map_err(|error| trained.named(error))?;
        bar.finish();
        Ok(strongest)
    }

    /// The patches of a kernel, and below them the gradients of its responses.
    fn row<B: Backend<Scalar = f32>>(
        &self,
        trained: &TrainedModel<B>,
        kernel: usize,
        responses: &[Response],
    ) -> Result<PanelRow> {
        let mut patches = Vec::new();
        let mut patterns = Vec::new();
        for response in responses {
            let image = PreparedImage::new(trained, String::new(), &self.pixels(response.image)?)?;
            let place = [response.row, response.column, kernel];
            let gradient = response_gradient(&trained.network, &image.input, &self.layer.activated, place)?;
            let window = self.field.window(response.row, response.column);
            let patch: RgbImage = imageops::crop_imm(
                &image.crop,
                window.left as u32,
                window.top as u32,
                window.width as u32,
                window.height as u32,
            )
            .to_image();
            let rows = window.top..window.top + window.height;
            let columns = window.left..window.left + window.width;
            let is_bgr = trained.network.model().input.channels == ChannelOrder::Bgr;
            patches.push(panel(patch));
            patterns.push(panel(gradient_image(gradient.slice(s![rows, columns, ..]), is_bgr)));
        }
        patches.extend(patterns);
        let ends = [responses.first(), responses.last()].map(|end| end.map_or(0.0, |response| response.value));
        let heading = format!("kernel {kernel}: responses {:.2} to {:.2}", ends[0], ends[1]);
        Ok(PanelRow { heading, panels: patches })
    }

    fn pixels(&self, image: u64) -> Result<Vec<u8>> {
        let size = self.dataset.size();
        let mut pixels = vec![0; size * size * 3];
        self.dataset.read_region(image as usize, 0..size, 0..size, &mut pixels)?;
        Ok(pixels)
    }

    fn page(&self, rows: Vec<PanelRow>, patches: usize) -> PanelPage {
        let [height, width] = self.field.size;
        let title = format!("{}: the images to which its kernels respond most", self.layer.name);
        let note = format!(
            "{} images; what a value sees, {height} x {width} pixels; below each, the response's gradient",
            self.dataset.len()
        );
        let columns = patches.min(self.dataset.len()).max(1);
        PanelPage { title, note, side: SIDE, columns, rows }
    }

    /// A row for each patch.
    fn table(&self, kernels: &[usize], strongest: &StrongestResponses) -> Vec<Vec<String>> {
        let head = ["kernel", "rank", "response", "image", "name", "row", "column", "top", "left", "height", "width"];
        let mut rows = vec![head.map(String::from).to_vec()];
        for &kernel in kernels {
            for (rank, response) in strongest.of(kernel).iter().enumerate() {
                let Response { value, image, row, column } = *response;
                let window = self.field.window(row, column);
                let mut cells = vec![kernel.to_string(), (rank + 1).to_string(), value.to_string(), image.to_string()];
                cells.push(self.dataset.name(image as usize));
                let numbers = [row, column, window.top, window.left, window.height, window.width];
                cells.extend(numbers.map(|number| number.to_string()));
                rows.push(cells);
            }
        }
        rows
    }
}

fn panel(image: RgbImage) -> Panel {
    Panel { caption: String::new(), image }
}

//! Sheets of the worst mistakes and of the least certain images.

use std::path::Path;

use data::{Dataset, ilsvrc2012};
use image::RgbImage;
use ndarray::ArrayView1;
use train::classification::{Largest, Outcome};
use train::plots::{PredictionRow, predictions, save_png};

use crate::failure::{Failure, Result};

/// Images on a sheet.
const IMAGES: usize = 24;
/// Classes below an image.
const TOP: usize = 5;

/// The images for the sheets.
pub struct Examples {
    mistakes: Largest<Example>,
    uncertain: Largest<Example>,
}

/// An image with its most probable classes.
struct Example {
    index: u64,
    label: u32,
    top: Vec<(usize, f32)>,
}

impl Examples {
    /// No images yet; without `is_wanted` none are kept.
    pub fn new(is_wanted: bool) -> Self {
        let limit = if is_wanted { IMAGES } else { 0 };
        Self { mistakes: Largest::new(limit), uncertain: Largest::new(limit) }
    }

    /// Takes an image into account.
    pub fn offer(&mut self, index: u64, label: u32, outcome: &Outcome, probabilities: ArrayView1<f32>) {
        let example = || Example { index, label, top: top(probabilities) };
        if outcome.rank > 0 {
            self.mistakes.offer(f64::from(outcome.loss), example);
        }
        self.uncertain.offer(-f64::from(outcome.confidence), example);
    }
}

fn top(probabilities: ArrayView1<f32>) -> Vec<(usize, f32)> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    order.into_iter().take(TOP).map(|class| (class, probabilities[class])).collect()
}

/// Writes `mistakes.png`, sorted by falling loss, and `uncertain.png`, by rising confidence.
pub fn write_sheets(out: &Path, examples: Examples, dataset: &dyn Dataset, names: &[String]) -> Result<()> {
    let Examples { mistakes, uncertain } = examples;
    let sheets = [
        ("mistakes", "Mistakes with the largest loss", mistakes),
        ("uncertain", "Images whose most probable class is the least probable", uncertain),
    ];
    for (name, title, examples) in sheets {
        let rows: Vec<PredictionRow> =
            examples.into_sorted().iter().map(|(_, example)| row(example, dataset, names)).collect::<Result<_>>()?;
        save_png(&predictions(&rows, title), &out.join(format!("{name}.png")))?;
    }
    Ok(())
}

fn row(example: &Example, dataset: &dyn Dataset, names: &[String]) -> Result<PredictionRow> {
    let name = |class: usize| match names.get(class) {
        Some(name) => ilsvrc2012::short_name(name).to_string(),
        None => class.to_string(),
    };
    let index = example.index as usize;
    let size = dataset.size();
    let mut pixels = vec![0; size * size * 3];
    dataset.read_region(index, 0..size, 0..size, &mut pixels)?;
    let wrong = || Failure::Failed(format!("image {index}: its size does not fit its pixels"));
    let image = RgbImage::from_raw(size as u32, size as u32, pixels).ok_or_else(wrong)?;
    let top = example.top.iter().map(|&(class, probability)| (name(class), probability)).collect();
    Ok(PredictionRow { image, truth: name(example.label as usize), top })
}

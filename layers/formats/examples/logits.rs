//! The logits of a network for images that are prepared already. The scripts in `tests/frameworks` compare them with
//! those of other frameworks.
//!
//! ```text
//! logits SOURCE IMAGES LOGITS [SAVED ...]
//! ```
//!
//! SOURCE is a weights file of any format, or `preset:NAME:CLASSES` for random weights. IMAGES holds f32 values
//! `[n, height, width, 3]` without a header, LOGITS gets those of `[n, classes]`. The weights are written to each of
//! SAVED, in the format of its ending.

use std::error::Error;
use std::path::Path;

use alexnet_formats::layers::tensor::{Cpu, Tensor};
use alexnet_formats::layers::weights::Weights;
use alexnet_formats::layers::{Model, Network};
use alexnet_formats::{load, save};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, images, logits, saved @ ..] = arguments.as_slice() else {
        return Err("usage: logits SOURCE IMAGES LOGITS [SAVED ...]".into());
    };
    let cpu = Cpu::<f32>::new(2)?;
    let weights = match source.strip_prefix("preset:").and_then(|preset| preset.split_once(':')) {
        Some((name, classes)) => random(&cpu, name, classes.parse()?)?,
        None => {
            let loaded = load(Path::new(source), None)?;
            for note in &loaded.report.notes {
                eprintln!("{note}");
            }
            loaded.weights
        }
    };
    let model = weights.model.clone().ok_or("the file does not say its network")?;
    let network = Network::with_parameters(&cpu, &model, source, &weights.tensors)?;
    let crop = model.input.crop;
    let bytes = std::fs::read(images)?;
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    let count = values.len() / (crop * crop * 3);
    let images = Tensor::from_slice(&cpu, &[count, crop, crop, 3], &values)?;
    let bytes: Vec<u8> = network.predict(images)?.to_vec()?.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(logits, bytes)?;
    for path in saved {
        save(Path::new(path), &weights, None)?;
    }
    Ok(())
}

/// A preset with random weights.
fn random(cpu: &Cpu<f32>, name: &str, classes: usize) -> Result<Weights, Box<dyn Error>> {
    let mut model = Model::preset(name)?;
    model.set_classes(classes)?;
    let network = Network::new(cpu, &model, 1)?;
    Ok(Weights { model: Some(model), ..Weights::of(&network)? })
}

//! Prints the network of a weights file of any format and writes its logits: `logits WEIGHTS IN.f32 OUT.f32`.
//!
//! The input is raw f32 values, little-endian: images `[n, height, width, 3]`, prepared as the network's `[input]` says.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use alexnet_formats::layers::Network;
use alexnet_formats::layers::tensor::{Cpu, Tensor};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [file, input, output] = arguments.as_slice() else { return Err("usage: logits WEIGHTS IN.f32 OUT.f32".into()) };
    let loaded = alexnet_formats::load(Path::new(file), None)?;
    for note in &loaded.report.notes {
        eprintln!("note: {note}");
    }
    let model = loaded.weights.model.as_ref().ok_or("the file does not say what network it is for")?;
    println!("{}", model.to_toml());
    let values: Vec<f32> =
        fs::read(input)?.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let crop = model.input.crop;
    let images = values.len() / (crop * crop * 3);
    let cpu = Cpu::<f32>::new(2)?;
    let network = Network::with_parameters(&cpu, model, file, &loaded.weights.tensors)?;
    let logits = network.predict(Tensor::from_slice(&cpu, &[images, crop, crop, 3], &values)?)?.to_vec()?;
    fs::write(output, logits.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
    Ok(())
}

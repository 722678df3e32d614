//! Converts weights between formats, and says what became of each tensor.
//!
//! `cargo run -p alexnet-formats --example convert -- alexnet.pth alexnet.safetensors`; a third argument names the
//! network of weights that fit several presets: a preset, or a file that describes it.

use std::error::Error;
use std::path::Path;

use alexnet_formats::{load, model_of, save_with};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (input, output, model) = match arguments.as_slice() {
        [input, output] => (input, output, None),
        [input, output, model] => (input, output, Some(model_of(model)?)),
        _ => return Err("expected IN OUT [NETWORK]".into()),
    };
    let loaded = load(Path::new(input), model.as_ref())?;
    println!("{}", loaded.report);
    let notes = save_with(Path::new(output), &loaded.weights, loaded.optimizer.as_ref(), None)?;
    for note in loaded.report.notes.iter().chain(&notes) {
        println!("note: {note}");
    }
    Ok(())
}

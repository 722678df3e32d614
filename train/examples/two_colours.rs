//! A run from nothing: draws images of two kinds, packs them, trains a small network on them and tests it.
//!
//! `cargo run --release -p alexnet-train --example two_colours`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use alexnet_train::data::{self, Pack, PackOptions, Views};
use alexnet_train::evaluate::{Options, evaluate};
use alexnet_train::layers::Model;
use alexnet_train::run::Run;
use alexnet_train::tensor::Cpu;
use alexnet_train::trainer::{RunEvent, Trainer};
use alexnet_train::{Config, Packs, Stop, input};

const MODEL: &str = r#"
name = "two-colours"
about = "One convolution and one fully connected layer."
classes = 2
[input]
size = 16
crop = 12
mean = "pack-rgb"
scale = 0.01
[[layer]]
name = "conv1"
kind = "conv"
filters = 8
kernel = 3
init = { kind = "he-normal" }
[[layer]]
name = "relu1"
kind = "relu"
[[layer]]
name = "pool1"
kind = "max-pool"
kernel = 2
stride = 2
[[layer]]
name = "fc2"
kind = "linear"
units = "classes"
init = { kind = "he-normal" }
[train.run]
epochs = 8
batch = 8
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let pack = Arc::new(draw_and_pack(folder.path())?);

    let mut model = Model::parse(MODEL, "two-colours")?;
    input::fit_to_pack(&mut model, &pack)?;
    let config = Config::from_overrides(&[("two-colours".into(), model.train.clone())])?;
    let run = Run::create(&folder.path().join("run"), &config, &model)?;
    let packs = Packs::new(Arc::clone(&pack)).with_open_val(Some(Arc::clone(&pack)));
    let mut trainer = Trainer::new(run, &Cpu::<f32>::new(2)?, &model, packs, None)?;
    trainer.train(&Stop::default(), &mut |event| {
        if let RunEvent::Validated(line) = event {
            println!("epoch {}: loss {:.3}, top-1 error {:.2}", line.epoch, line.loss, line.top1_error);
        }
    })?;

    let pixels = input::crop_and_normalize(&model.input, trainer.means(), pack.size())?;
    let options = Options { input: pixels, views: Views::Ten, batch: 16, threads: 2 };
    let result = evaluate(trainer.network(), &pack, &options, &Stop::default(), |_| ())?;
    println!("ten crops: {result:?}");
    assert!(result.top1_error < 0.1, "the network did not learn");
    Ok(())
}

/// Reddish and bluish images, told apart by nothing else.
fn draw_and_pack(folder: &Path) -> Result<Pack, Box<dyn Error>> {
    for (class, strong) in [("red", 0), ("blue", 2)] {
        let class_folder = folder.join("images").join(class);
        std::fs::create_dir_all(&class_folder)?;
        for i in 0..24u32 {
            let image = image::RgbImage::from_fn(20, 16, |x, y| {
                let grey = 40 + (x * (i + 3) + y * 7) % 120;
                let mut pixel = [grey as u8; 3];
                pixel[strong] += 60;
                image::Rgb(pixel)
            });
            image.save(class_folder.join(format!("{i}.png")))?;
        }
    }
    let options = PackOptions { size: 16, ..PackOptions::new(folder.join("images"), folder.join("pack")) };
    data::pack(&options, |_| {})?;
    Ok(Pack::open(folder.join("pack"))?)
}

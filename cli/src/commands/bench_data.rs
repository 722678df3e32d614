//! `alexnet bench data`.

use std::sync::Arc;

use data::Pack;
use serde::Serialize;
use toml::Value;
use train::bench::{self, Pipeline, StageKind};
use train::config::{UserSettings, keys};

use super::configure::configure;
use super::device;
use crate::args::{BenchData, Output};
use crate::console::{note, percent, print, print_json, table};
use crate::failure::{Failure, Result};

const DEFAULT_BATCH: usize = 128;

/// Result of the benchmark, as `--json` prints it.
#[derive(Serialize)]
struct Measured {
    work: &'static str,
    pack: String,
    images: usize,
    #[serde(flatten)]
    result: Pipeline,
}

pub fn run(args: &BenchData) -> Result<()> {
    let pack = Arc::new(Pack::open(&args.pack)?);
    let number = |n: usize| Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let batch = args.batch.unwrap_or(DEFAULT_BATCH.min(pack.len()));
    let threads = args.threads.unwrap_or_else(device::all_threads);
    let mut command_line = vec![
        ("--batch".to_string(), keys::table_of("run.batch", number(batch))),
        ("--threads".to_string(), keys::table_of("run.threads", number(threads))),
    ];
    for setting in &args.set {
        let table = keys::parse_setting(setting)?;
        check_setting(setting.split('=').next().unwrap_or_default().trim())?;
        command_line.push(("--set".to_string(), table));
    }
    let (_, mut config) = configure(&UserSettings { file: None, command_line })?;
    if let Some(text) = config.data.resolve(&pack)? {
        note(&format!("note: {text}"));
    }
    let output = match args.output {
        Output::Floats => bench::Output::Floats,
        Output::Images => bench::Output::Images,
    };
    let crop = args.crop.unwrap_or(224.min(pack.size()));
    let result = bench::data(&pack, &config, crop, output, args.seconds)?;
    let pack = Measured { work: "data", pack: args.pack.display().to_string(), images: pack.len(), result };
    if args.json { print_json(&pack) } else { print(&text(&pack)) }
}

/// Fails for a setting that the loader does not use.
fn check_setting(key: &str) -> Result<()> {
    let is_of_loader = key.starts_with("data.") && !["data.train", "data.val", "data.label_smoothing"].contains(&key);
    if is_of_loader || key == "run.seed" {
        return Ok(());
    }
    let instead = match key {
        "run.batch" => "give --batch",
        "run.threads" => "give --threads",
        "data.train" => "PACK is what is loaded",
        _ => "settings of [data] and run.seed have one",
    };
    Err(Failure::Usage(format!("--set {key}: has no effect on what bench data measures; {instead}")))
}

fn name(stage: StageKind) -> &'static str {
    match stage {
        StageKind::Storage => "storage",
        StageKind::Decode => "decode",
        StageKind::Augment => "augment",
        StageKind::Consumer => "consumer",
    }
}

fn text(measured: &Measured) -> String {
    let Measured { pack, images, result, .. } = measured;
    let mut rows = vec![["stage", "images/s so far", "adds, us/image"].map(String::from).to_vec()];
    for stage in &result.stages {
        let rate = format!("{:.0}", stage.images_per_s);
        rows.push(vec![name(stage.stage).to_string(), rate, format!("{:.1}", stage.us_per_image)]);
    }
    let output = match result.output {
        bench::Output::Floats => "floats",
        bench::Output::Images => "stored images",
    };
    format!(
        "{pack}: {images} images, {}, shuffle {}; batches of {} {output} of {}, {} threads\n{}\n\
         all of it {:.0} images/s; the limit is {}\n\
         {:.0} KB an image, {:.1} GB/s: {} of the {:.1} GB/s of copying",
        result.storage,
        result.shuffle,
        result.batch,
        result.crop,
        result.threads,
        table(&rows),
        result.images_per_s,
        name(result.limit),
        result.bytes_per_image / 1e3,
        result.bytes_per_s / 1e9,
        percent(result.share_of_copy),
        result.copy_bytes_per_s / 1e9,
    )
}

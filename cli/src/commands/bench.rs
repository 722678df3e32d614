//! `alexnet bench`.

use std::path::Path;
use std::sync::Arc;

use data::Pack;
use layers::Model;
use serde::Serialize;
use tensor::{Algorithms, Backend};
use train::Config;
use train::bench::{self, Bound, Layers, Limit, PackTraining, Speed, StepKind};
use train::config::UserSettings;

use super::device::{self, DeviceTask};
use crate::args::{Bench, BenchCommon, BenchLayers, BenchSpeed};
use crate::console::{percent, print, print_json, table};
use crate::failure::Result;

pub fn run(args: &Bench) -> Result<()> {
    let common = match args {
        Bench::Train(args) => &args.speed.common,
        Bench::Predict(args) => &args.common,
        Bench::Layers(args) => &args.common,
        Bench::Data(args) => return super::bench_data::run(args),
    };
    let threads = common.compute.threads.unwrap_or_else(device::all_threads);
    let open = if matches!(args, Bench::Predict(_)) { device::open_for_prediction } else { device::open };
    open(&common.compute.device, &common.compute.precision, threads, Algorithms::default())?
        .run(BenchTask { args, threads })
}

struct BenchTask<'a> {
    args: &'a Bench,
    threads: usize,
}

impl DeviceTask for BenchTask<'_> {
    type Output = ();

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<()> {
        let Self { args, threads } = self;
        match args {
            Bench::Train(args) => match &args.data {
                Some(pack) => train_from_pack(&device, &args.speed, pack, threads),
                None => speed("train", &device, &args.speed, threads, bench::train),
            },
            Bench::Predict(args) => speed("predict", &device, args, threads, bench::predict),
            Bench::Layers(args) => layers(&device, args, threads),
            // It needs no device.
            Bench::Data(args) => super::bench_data::run(args),
        }
    }
}

/// Result of a benchmark, as `--json` prints it.
#[derive(Serialize)]
struct Measured<'a, T> {
    work: &'static str,
    model: &'a str,
    device: String,
    #[serde(flatten)]
    result: T,
}

/// The network, and its settings with this batch size. Settings that have no effect in training are no matter here.
fn configure(common: &BenchCommon, batch: usize, threads: usize) -> Result<(Model, Config)> {
    let model = formats::model_of(&common.model)?;
    let mut config = UserSettings::check_values(&common.model, &model.train)?;
    config.model.name.clone_from(&common.model);
    config.run.batch = batch;
    config.run.threads = threads;
    Ok((model, config))
}

/// Measures each batch size and prints the results.
fn each_batch<B: Backend, T: Serialize>(
    work: &'static str,
    device: &B,
    args: &BenchSpeed,
    threads: usize,
    measure: impl Fn(&Model, &Config) -> Result<T>,
    header: &[&str],
    row: impl Fn(&T) -> Vec<String>,
) -> Result<()> {
    let mut rows = Vec::new();
    for &batch in &args.batch {
        let (model, config) = configure(&args.common, batch, threads)?;
        let result = measure(&model, &config)?;
        rows.push(Measured { work, model: &args.common.model, device: device.describe(), result });
    }
    if args.common.json {
        return print_json(&rows);
    }
    let mut lines = vec![header.iter().map(|h| (*h).to_string()).collect()];
    lines.extend(rows.iter().map(|measured| row(&measured.result)));
    print(&format!("{work}, {}, {}\n{}", args.common.model, device.describe(), table(&lines)))
}

fn speed<B: Backend<Scalar = f32>>(
    work: &'static str,
    device: &B,
    args: &BenchSpeed,
    threads: usize,
    measure: fn(&B, &Model, &Config, f64) -> train::Result<Speed>,
) -> Result<()> {
    let measure = |model: &Model, config: &Config| Ok(measure(device, model, config, args.common.seconds)?);
    let mib = |mib: Option<u64>| mib.map_or("?".to_string(), |mib| mib.to_string());
    let row = |s: &Speed| {
        let numbers = [s.batch.to_string(), format!("{:.1}", s.images_per_s), milliseconds(s.step_s)];
        numbers.into_iter().chain([s.steps.to_string(), mib(s.peak_mib), mib(s.device_mib)]).collect()
    };
    let header = ["batch", "images/s", "step, ms", "steps", "process, MiB", "device, MiB"];
    each_batch(work, device, args, threads, measure, &header, row)
}

fn train_from_pack<B: Backend<Scalar = f32>>(device: &B, args: &BenchSpeed, pack: &Path, threads: usize) -> Result<()> {
    let pack = Arc::new(Pack::open(pack)?);
    let measure =
        |model: &Model, config: &Config| Ok(bench::train_from_pack(device, model, config, &pack, args.common.seconds)?);
    let row = |f: &PackTraining| {
        let rates = [f.images_per_s, f.synthetic_images_per_s, f.loader_images_per_s].map(|r| format!("{r:.1}"));
        let limit = match f.limit {
            Limit::Loader => "loader",
            Limit::Device => "device",
        };
        [f.batch.to_string()].into_iter().chain(rates).chain([limit.to_string(), percent(f.share)]).collect()
    };
    let header = ["batch", "images/s", "without loading", "loader alone", "limit", "reached of it"];
    each_batch("train from a pack", device, args, threads, measure, &header, row)
}

fn layers<B: Backend<Scalar = f32>>(device: &B, args: &BenchLayers, threads: usize) -> Result<()> {
    let (model, config) = configure(&args.common, args.batch, threads)?;
    let kind = if args.predict { StepKind::Predict } else { StepKind::Train };
    let result = bench::layers(device, &model, &config, kind, args.common.seconds)?;
    let measured = Measured { work: "layers", model: &args.common.model, device: device.describe(), result };
    if args.common.json {
        return print_json(&measured);
    }
    let head = format!("{}, batch {}, {}", measured.model, args.batch, measured.device);
    print(&format!("{head}\n{}\n{}", layer_table(&measured.result), sums(&measured.result)))
}

fn layer_table(layers: &Layers) -> String {
    let width = layers.rows.iter().map(|row| row.layer.chars().count()).max().unwrap_or(0);
    let header = ["kernel", "calls", "ms", "GFLOP", "done", "MB", "GFLOP/s", "GB/s", "bound", "of it"];
    let mut lines = vec![header.map(String::from).to_vec()];
    let or_blank = |there: bool, text: String| if there { text } else { String::new() };
    for row in &layers.rows {
        let product = row.flops > 0.0;
        lines.push(vec![
            format!("{:<width$}  {}", row.layer, row.kernel),
            row.calls.to_string(),
            milliseconds(row.seconds),
            or_blank(product, format!("{:.2}", row.flops / 1e9)),
            or_blank(product, format!("{:.2}", row.done / 1e9)),
            format!("{:.2}", row.bytes as f64 / 1e6),
            or_blank(product, format!("{:.0}", row.flops / row.seconds / 1e9)),
            format!("{:.1}", row.bytes as f64 / row.seconds / 1e9),
            match row.bound {
                Bound::Matrix => "matrix",
                Bound::Copy => "copy",
                Bound::Launch => "launch",
            }
            .to_string(),
            or_blank(row.bound != Bound::Launch, format!("{:.0} %", row.share * 100.0)),
        ]);
    }
    table(&lines)
}

fn sums(layers: &Layers) -> String {
    let ceilings = &layers.ceilings;
    format!(
        "whole step {} ms ({:.1} images/s); rows {} ms in {} calls; gap {}\n\
         bounds: matrix {:.0} GFLOP/s ({rows} x {rows}), copy {:.1} GB/s ({:.0} MB), launch {:.1} us",
        milliseconds(layers.step_s),
        layers.batch as f64 / layers.step_s,
        milliseconds(layers.listed_s),
        layers.calls,
        percent(layers.gap),
        ceilings.matrix_flops_per_s / 1e9,
        ceilings.copy_bytes_per_s / 1e9,
        ceilings.copy_len as f64 * 8.0 / 1e6,
        ceilings.launch_s * 1e6,
        rows = ceilings.matrix_rows,
    )
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3}", seconds * 1e3)
}

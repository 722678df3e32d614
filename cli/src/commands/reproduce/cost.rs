//! The cost of an experiment, from the speed of each of its networks.

use data::Pack;
use layers::Model;
use serde::Serialize;
use serde_json::json;
use tensor::{Algorithms, Backend};
use train::experiment::{BudgetName, DataCounts, Experiment};
use train::plan::duration;
use train::{Config, bench};

use super::super::device::{self, DeviceTask};
use super::images::DataArguments;
use crate::args;
use crate::console::{note, print, print_json, table};
use crate::failure::Result;

/// Seconds of steps that are measured of each network.
const MEASURED_S: f64 = 1.0;

/// The cost of the runs of a cell.
#[derive(Serialize)]
struct CellCost {
    cell: String,
    runs: usize,
    steps: u64,
    images_per_s: f64,
    seconds: f64,
}

/// Prints the number of runs and steps and the time, and writes nothing.
pub fn print_cost(experiment: &Experiment, args: &args::Reproduce) -> Result<()> {
    let budget = args.budget.into();
    let given = DataArguments { flag: "--data", path: args.data.as_deref(), val: args.val.as_deref() };
    let packs = if args.data.is_some() { given.packs(&experiment.data)? } else { None };
    let whole = match packs {
        Some(packs) => {
            let train = Pack::open(&packs.train)?;
            let val_images = Pack::open(&packs.val)?.len();
            DataCounts { images: train.len(), val_images, classes: train.classes().len() }
        }
        None => as_distributed(experiment),
    };
    let pretraining = experiment.pretraining.as_ref().and_then(|data| data.kind.counts()).unwrap_or(whole);
    let classes = experiment.budget(budget).classes;
    let [counts, pretraining] = [whole, pretraining].map(|counts| counts.of_classes(classes));
    let compute = &args.compute;
    let threads = compute.threads.unwrap_or_else(device::all_threads);
    let opened = device::open(&compute.device, &compute.precision, threads, Algorithms::default())?;
    let costs = opened.run(CostTask { experiment, budget, counts, pretraining })?;
    let seconds: f64 = costs.iter().map(|cost| cost.seconds).sum();
    if args.json {
        return print_json(&json!({
            "experiment": experiment.name,
            "budget": budget,
            "images": counts.images,
            "val_images": counts.val_images,
            "classes": counts.classes,
            "cells": costs,
            "seconds": seconds,
        }));
    }
    let header = ["cell", "runs", "steps", "images/s", "time"].map(str::to_string);
    let mut rows = vec![header.to_vec()];
    rows.extend(costs.iter().map(|cost| {
        let speed = format!("{:.1}", cost.images_per_s);
        vec![cost.cell.clone(), cost.runs.to_string(), cost.steps.to_string(), speed, duration(cost.seconds)]
    }));
    let [runs, steps] =
        [costs.iter().map(|cost| cost.runs as u64).sum::<u64>(), costs.iter().map(|cost| cost.steps).sum()];
    rows.push(vec!["all".into(), runs.to_string(), steps.to_string(), String::new(), duration(seconds)]);
    print(&table(&rows))?;
    let DataCounts { images, val_images, classes } = counts;
    note(&format!(
        "{images} training images, {val_images} validation images, {classes} classes; one run after another, without \
         loading and tests of ten crops"
    ));
    Ok(())
}

/// The numbers of images of the data set, where no packs are given.
fn as_distributed(experiment: &Experiment) -> DataCounts {
    let kind = experiment.data.kind;
    note(&format!("note: the numbers of images are those of {} as distributed; --data PACKS counts them", kind.name()));
    kind.counts().unwrap_or(DataCounts { images: 10_000, val_images: 1_000, classes: 10 })
}

struct CostTask<'a> {
    experiment: &'a Experiment,
    budget: BudgetName,
    counts: DataCounts,
    pretraining: DataCounts,
}

/// The speed of a network with a batch size.
struct Measured {
    model: Model,
    batch: usize,
    train: f64,
    predict: f64,
}

impl DeviceTask for CostTask<'_> {
    type Output = Vec<CellCost>;

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<Vec<CellCost>> {
        let mut measured: Vec<Measured> = Vec::new();
        let mut costs: Vec<CellCost> = Vec::new();
        for run in self.experiment.runs(self.budget)? {
            let counts = if run.pretraining { self.pretraining } else { self.counts };
            let DataCounts { images, val_images, classes } = counts;
            let mut model = run.source.model()?;
            model.set_classes(classes)?;
            let config = run.config(&model)?;
            let speed = speed(&device, &model, &config, &mut measured)?;
            let batch = config.run.batch * config.run.accumulate;
            let steps_per_epoch = images.div_ceil(batch) as u64;
            let steps = config.run.steps.unwrap_or(config.run.epochs * steps_per_epoch);
            let epochs = steps as f64 / steps_per_epoch as f64;
            let seconds = epochs * (images as f64 / speed.0 + val_images as f64 / speed.1);
            match costs.iter_mut().find(|cost| cost.cell == run.cell) {
                Some(cost) => {
                    cost.runs += 1;
                    cost.steps += steps;
                    cost.seconds += seconds;
                }
                None => costs.push(CellCost { cell: run.cell, runs: 1, steps, images_per_s: speed.0, seconds }),
            }
        }
        Ok(costs)
    }
}

/// Images per second of training and of validation, measured once for each network.
fn speed<B: Backend<Scalar = f32>>(
    device: &B,
    model: &Model,
    config: &Config,
    measured: &mut Vec<Measured>,
) -> Result<(f64, f64)> {
    let is_same = |known: &&Measured| {
        known.batch == config.run.batch && known.model.layers == model.layers && known.model.input == model.input
    };
    if let Some(known) = measured.iter().find(is_same) {
        return Ok((known.train, known.predict));
    }
    let train = bench::train(device, model, config, MEASURED_S)?.images_per_s;
    let predict = bench::predict(device, model, config, MEASURED_S / 2.0)?.images_per_s;
    measured.push(Measured { model: model.clone(), batch: config.run.batch, train, predict });
    Ok((train, predict))
}

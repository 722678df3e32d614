//! `alexnet eval`.

mod report;
mod sheets;

use std::sync::Arc;

use data::Dataset;
use tensor::Backend;
use train::classification::Classification;
use train::evaluate::{Options, count, predict_all};
use train::{PredictionsFile, Stop};

use self::report::{EvaluationReport, write_tables};
use self::sheets::{SheetImages, write_sheets};
use super::data_set;
use super::device::DeviceTask;
use super::trained::{self, LoadedModels};
use crate::args::Eval;
use crate::console::{Bar, print, print_json};
use crate::failure::{Failure, Result};
use crate::signals::exit_on_signals;

pub use report::lines;

pub fn run(args: &Eval) -> Result<()> {
    exit_on_signals()?;
    if let Some(path) = &args.predictions {
        PredictionsFile::check_name(path).map_err(|error| Failure::Usage(format!("--predictions: {error}")))?;
    }
    let (models, opened) = trained::load(&args.network)?;
    let result = opened.run(EvalTask { args, models })?;
    if args.network.json {
        return print_json(&result);
    }
    print(&report::text(&result, args.per_class))
}

struct EvalTask<'a> {
    args: &'a Eval,
    models: LoadedModels,
}

impl DeviceTask for EvalTask<'_> {
    type Output = EvaluationReport;

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<EvaluationReport> {
        let Self { args, models } = self;
        let views = models.views;
        let threads = models.threads;
        let dataset = data_set::open(&args.data, args.from, args.labels.as_deref(), &models)?;
        models.check_memory(&device, dataset.len(), args.batch)?;
        let trained = models.into_device(&device)?;
        trained.first().check_classes(dataset.classes())?;
        let members = trained.members(dataset.size())?;
        let options = Options { input: members[0].input.clone(), views, batch: args.batch, threads };
        let names = &trained.first().printed_classes;
        let mut test = Classification::new(trained.first().network.model().classes);
        let mut examples = SheetImages::new(args.out.is_some());
        let images = dataset.len();
        let mut file = match &args.predictions {
            Some(path) => Some(PredictionsFile::create(path, images, names, test.classes())?),
            None => None,
        };
        let bar = Bar::new("eval", "images", images as u64);
        let stop = Stop::default();
        let tested = predict_all(&members, Arc::clone(&dataset), &options, &stop, |batch| {
            let images = batch.indices.iter().zip(batch.labels);
            for ((&index, &label), row) in images.zip(batch.probabilities.rows()) {
                let outcome = count(&mut test, label, row)?;
                examples.offer(index, label, &outcome, row, names);
            }
            if let Some(file) = &mut file {
                file.append(&*dataset, &batch)?;
            }
            bar.set_with_rate(test.images() as u64, "images");
            Ok(())
        });
        tested.map_err(|error| trained.named(error))?;
        bar.finish();
        if let Some(file) = file {
            file.finish()?;
        }
        let report = EvaluationReport::new(members.len(), views, names, &test, args.seed);
        if let Some(folder) = &args.out {
            write_tables(folder, &report, &test)?;
            write_sheets(folder, examples, &*dataset, names)?;
        }
        Ok(report)
    }
}

//! `alexnet eval`.

mod report;
mod sheets;
mod tested;

use std::sync::Arc;

use tensor::Backend;
use train::PredictionsFile;

use self::sheets::write_sheets;
use super::data_set;
use super::device::DeviceTask;
use super::trained::{self, LoadedModels};
use crate::args::Eval;
use crate::console::{print, print_json};
use crate::failure::{Failure, Result};
use crate::signals::exit_on_signals;

pub use report::{EvaluationReport, MAX_DRAWN_CLASSES, class_table, lines, summary_rows, write_csv, write_tables};
pub use sheets::SheetImages;
pub use tested::{TestInput, Tested, test};

pub fn run(args: &Eval) -> Result<()> {
    exit_on_signals()?;
    if let Some(path) = args.out.as_deref().filter(|path| path.exists() && !path.is_dir()) {
        return Err(Failure::Usage(format!("--out: {}: is a file, expected a folder", path.display())));
    }
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
        let temperature = models.temperature;
        let threads = models.threads;
        let dataset = data_set::open(&args.data, args.from, args.labels.as_deref(), &models)?;
        models.check_memory(&device, dataset.len(), args.batch)?;
        let trained = models.into_device(&device)?;
        trained.first().check_classes(dataset.classes())?;
        let members = trained.members(dataset.size())?;
        let views = trained.distinct(views, dataset.size());
        let names = &trained.first().printed_classes;
        let classes = trained.first().network.model().classes;
        let mut file = match &args.predictions {
            Some(path) => Some(PredictionsFile::create(path, dataset.len(), names, classes)?),
            None => None,
        };
        let input = TestInput {
            members: &members,
            names,
            dataset: Arc::clone(&dataset),
            views,
            temperature,
            batch: args.batch,
            threads,
        };
        let tested = test("eval", &input, args.out.is_some(), args.seed, |batch| match &mut file {
            Some(file) => file.append(&*dataset, batch),
            None => Ok(()),
        });
        let tested = tested.map_err(|error| trained.named(error))?;
        if let Some(file) = file {
            file.finish()?;
        }
        let Tested { mut report, classification, examples } = tested;
        report.precision.clone_from(&args.network.compute.precision);
        if let Some(folder) = &args.out {
            write_tables(folder, &report, &classification)?;
            write_sheets(folder, examples, &*dataset, names)?;
        }
        Ok(report)
    }
}

//! `alexnet eval`.

use std::sync::Arc;

use data::Pack;
use tensor::Backend;
use train::Stop;
use train::evaluate::{Evaluation, Options, evaluate};

use super::device::DeviceTask;
use super::trained::{self, LoadedModel};
use crate::args::Eval;
use crate::console::{Bar, percent, print, print_json};
use crate::failure::Result;
use crate::signals::exit_on_signals;

pub fn run(args: &Eval) -> Result<()> {
    exit_on_signals()?;
    let pack = Arc::new(Pack::open(&args.data)?);
    let (model, opened) = trained::load(&args.network)?;
    let result = opened.run(EvalTask { args, pack, model })?;
    if args.network.json { print_json(&result) } else { print(&lines(&result)) }
}

struct EvalTask<'a> {
    args: &'a Eval,
    pack: Arc<Pack>,
    model: LoadedModel,
}

impl DeviceTask for EvalTask<'_> {
    type Output = Evaluation;

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<Evaluation> {
        let Self { args, pack, model } = self;
        let views = model.views;
        let threads = model.threads;
        model.check_memory(&device, pack.len(), args.batch)?;
        let trained = model.into_device(&device)?;
        trained.check_classes(pack.classes())?;
        trained.check_size(&pack)?;
        trained.compare_orientation(&pack);
        let options = Options { input: trained.input(pack.size())?, views, batch: args.batch, threads };
        let bar = Bar::new("eval", "images", pack.len() as u64);
        let stop = Stop::default();
        let result =
            evaluate(&trained.network, &pack, &options, &stop, |done| bar.set_with_rate(done as u64, "images"));
        bar.finish();
        result.map_err(|error| trained::named(&trained.path, error))
    }
}

pub fn lines(result: &Evaluation) -> String {
    format!(
        "images       {}\ncrops        {}\nloss         {:.4}\ntop-1 error  {}\ntop-5 error  {}",
        result.images,
        result.crops,
        result.loss,
        percent(result.top1_error),
        percent(result.top5_error)
    )
}

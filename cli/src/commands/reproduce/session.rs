//! The runs of an experiment in their folder.

use std::path::{Path, PathBuf};

use data::Pack;
use toml::Value;
use train::Stop;
use train::config::{keys, merge};
use train::experiment::{
    BudgetName, Experiment, Inputs, PlannedRun, Provenance, RunResult, SearchResult, Source, Tests,
};
use train::log::{self, ValidationLine};
use train::runs::{RunSummary, State, has_diverged};
use train::sweep::Trial;

use super::super::device;
use super::super::trial_runs::TrialRuns;
use super::claim::{claim_folder, claim_images};
use super::images::{DataArguments, Packs};
use super::resume_command;
use super::tests_of_networks::{NetworkTest, run_tests};
use crate::args;
use crate::console::{count, note};
use crate::failure::{Failure, Result};

/// An experiment that runs.
pub struct Session<'a> {
    pub experiment: &'a Experiment,
    pub budget: BudgetName,
    pub folder: PathBuf,
    pub as_json: bool,
    args: &'a args::Reproduce,
    stop: &'a Stop,
    runs: Vec<PlannedRun>,
    packs: Packs,
    pretraining: Option<Packs>,
    tests: Tests,
}

impl<'a> Session<'a> {
    /// Makes the folder and the packs, or finds them.
    pub fn begin(experiment: &'a Experiment, args: &'a args::Reproduce, stop: &'a Stop) -> Result<Self> {
        let budget = args.budget.into();
        let runs = experiment.runs(budget)?;
        let folder = args.out.clone().unwrap_or_else(|| Path::new("reproduce").join(&experiment.name));
        let given = DataArguments { flag: "--data", path: args.data.as_deref(), val: args.val.as_deref() };
        let first = DataArguments { flag: "--pretraining-data", path: args.pretraining_data.as_deref(), val: None };
        let pretraining = experiment.pretraining.as_ref().filter(|_| runs.iter().any(|run| run.pretraining));
        // Before anything is written.
        given.packs(&experiment.data)?;
        pretraining.map(|wanted| first.packs(wanted)).transpose()?;
        claim_folder(&folder, experiment, budget, &runs)?;
        let classes = experiment.budget(budget).classes;
        let packs = given.prepare(&experiment.data, classes, &folder.join("packs"), stop)?;
        let prepare = |wanted| first.prepare(wanted, classes, &folder.join("pretraining-packs"), stop);
        let pretraining = pretraining.map(prepare).transpose()?;
        let mut fingerprints = vec![("data", fingerprints(&packs)?)];
        if let Some(packs) = &pretraining {
            fingerprints.push(("pretraining", self::fingerprints(packs)?));
        }
        claim_images(&folder, &fingerprints)?;
        let as_json = args.json;
        Ok(Self { experiment, budget, folder, as_json, args, stop, runs, packs, pretraining, tests: Tests::new() })
    }

    /// Runs what is not finished: searches, then the cells, then those that start from weights of others, then tests.
    pub fn run_all(&mut self) -> Result<()> {
        let is_in = |run: &PlannedRun, stage: Stage| Stage::of(run) == stage;
        for stage in [Stage::Search, Stage::FromScratch, Stage::FineTuning] {
            let mut trials = Vec::new();
            for run in self.runs.iter().filter(|run| is_in(run, stage)) {
                trials.extend(self.trial(run)?);
            }
            if !self.stop.is_requested() {
                self.trial_runs().run_all(&trials, self.stop);
            }
        }
        self.tests = run_tests(&self.network_tests(), &self.folder, &self.packs.val, &self.args.compute, self.stop)?;
        Ok(())
    }

    fn trial_runs(&self) -> TrialRuns<'_> {
        TrialRuns { folder: &self.folder, jobs: self.args.jobs, total: None, announces_starts: true }
    }

    /// A run with all its settings; none if it has diverged in a search, or what it needs is not there.
    fn trial(&self, run: &PlannedRun) -> Result<Option<Trial>> {
        if self.is_over(run) {
            return Ok(None);
        }
        let packs = if run.pretraining { self.pretraining.as_ref().unwrap_or(&self.packs) } else { &self.packs };
        let mut settings = run.settings.clone();
        let mut set = |key: &str, value: Value| merge(&mut settings, &keys::table_of(key, value));
        set("model.name", Value::String(self.network(run)?));
        set("data.train", Value::String(path_text(&packs.train)?));
        set("data.val", Value::String(path_text(&packs.val)?));
        self.compute_settings().into_iter().for_each(|(key, value)| set(key, value));
        if let Some(other) = &run.weights_of {
            let weights = self.folder.join(other);
            if self.state(other) != Some(State::Finished) {
                return Ok(None);
            }
            set("model.weights", Value::String(path_text(&weights)?));
        }
        if let Some(search) = self.search_of(run) {
            let Some(chosen) = search.chosen else {
                if !self.stop.is_requested() {
                    let setting = &search.setting;
                    note(&format!("{}: does not begin: no run of the search of {setting} ended well", run.name));
                }
                return Ok(None);
            };
            set(&search.setting, chosen);
        }
        Ok(Some(Trial { name: run.name.clone(), values: Vec::new(), settings }))
    }

    /// The search that chooses a setting of the run.
    fn search_of(&self, run: &PlannedRun) -> Option<SearchResult> {
        let cell = self.experiment.find_cell(&run.cell).filter(|_| run.tries.is_none())?;
        let is_of = |other: &&PlannedRun| other.cell == run.cell && other.tries.is_some();
        let trials: Vec<&PlannedRun> = self.runs.iter().filter(is_of).collect();
        let is_over = trials.iter().all(|trial| self.is_over(trial));
        let results: Vec<RunResult> = trials.iter().map(|trial| self.result(trial)).collect();
        SearchResult::of(cell, self.experiment.budget(self.budget).search_epochs.unwrap_or(0), &results, is_over)
    }

    /// The name of a run's network for `model.name`, whose file is written if it is a changed one.
    fn network(&self, run: &PlannedRun) -> Result<String> {
        match &run.source {
            Source::Named(name) => Ok(name.clone()),
            Source::Edited(network) => {
                let folder = self.folder.join("networks");
                let failed = |e: std::io::Error| Failure::Failed(format!("{}: {e}", folder.display()));
                files::folder::create_all(&folder).map_err(failed)?;
                let path = folder.join(format!("{}.toml", run.cell));
                files::replace_bytes(&path, network.as_bytes())?;
                path_text(&path)
            }
        }
    }

    fn compute_settings(&self) -> Vec<(&'static str, Value)> {
        let args::TrainingComputeArgs { threads, device, precision } = &self.args.compute;
        let mut settings =
            vec![("run.device", Value::String(device.clone())), ("run.precision", Value::String(precision.clone()))];
        settings.extend(threads.map(|threads| ("run.threads", Value::Integer(threads as i64))));
        settings
    }

    fn state(&self, name: &str) -> Option<State> {
        RunSummary::read(&self.folder.join(name)).ok().map(|run| run.state)
    }

    /// Whether a run is finished, or one of a search has diverged, which is an answer too.
    fn is_over(&self, run: &PlannedRun) -> bool {
        let is_answer = run.tries.is_some() && has_diverged(&self.folder.join(&run.name));
        is_answer || self.state(&run.name) == Some(State::Finished)
    }

    /// The number of runs that are not finished.
    pub fn left(&self) -> u64 {
        self.runs.iter().filter(|run| !self.is_over(run)).count() as u64
    }

    /// The tests that measures need: of single networks with several crops, of averages with any.
    fn network_tests(&self) -> Vec<NetworkTest> {
        let crops = self.experiment.tested_crops();
        let mut tests = Vec::new();
        let is_done = |run: &&PlannedRun| run.tries.is_none() && self.is_over(run);
        let done: Vec<&PlannedRun> = self.runs.iter().filter(is_done).collect();
        for run in done.iter().filter(|run| !run.pretraining) {
            let weights = vec![self.folder.join(&run.name)];
            let test = |crops: &usize| NetworkTest { name: run.name.clone(), weights: weights.clone(), crops: *crops };
            tests.extend(crops.iter().map(test));
        }
        for cell in self.experiment.cells(self.budget).into_iter().filter(|cell| !cell.average_of.is_empty()) {
            let is_of = |run: &&&PlannedRun| cell.average_of.contains(&run.cell);
            let names: Vec<&String> = done.iter().filter(is_of).map(|run| &run.name).collect();
            let all = self.runs.iter().filter(|run| run.tries.is_none() && cell.average_of.contains(&run.cell)).count();
            if names.len() < all {
                continue;
            }
            let weights: Vec<PathBuf> = names.iter().map(|name| self.folder.join(name)).collect();
            let test = |crops: usize| NetworkTest { name: cell.name.clone(), weights: weights.clone(), crops };
            tests.extend(std::iter::once(1).chain(crops.iter().copied()).map(test));
        }
        tests
    }

    fn result(&self, run: &PlannedRun) -> RunResult {
        let folder = self.folder.join(&run.name);
        let summary = RunSummary::read(&folder).ok();
        let epochs: Vec<ValidationLine> = log::read(&folder.join("validation.jsonl")).unwrap_or_default();
        RunResult {
            name: run.name.clone(),
            cell: run.cell.clone(),
            seed: run.seed,
            tries: run.tries.clone(),
            is_finished: summary.as_ref().is_some_and(|run| run.state == State::Finished),
            seconds: summary.as_ref().and_then(|run| run.seconds),
            began: summary.as_ref().and_then(|run| run.began.clone()),
            ended: summary.as_ref().and_then(|run| run.ended.clone()),
            images_per_s: summary.as_ref().and_then(|run| run.images_per_s),
            epochs,
        }
    }

    /// The inputs of the results.
    pub fn inputs(&self) -> Result<Inputs> {
        let train = Pack::open(&self.packs.train)?;
        let val = Pack::open(&self.packs.val)?;
        let threads = self.args.compute.threads.unwrap_or_else(device::all_threads);
        let device = first_device(&self.folder, &self.runs).unwrap_or_else(|| self.args.compute.device.clone());
        let provenance = Provenance {
            command: resume_command(),
            version: env!("CARGO_PKG_VERSION").into(),
            device: format!("{device}, {}, {}", count(threads as u64, "thread"), self.args.compute.precision),
            images: train.len(),
            val_images: val.len(),
            classes: train.classes().to_vec(),
            fingerprints: [train.fingerprint().to_string(), val.fingerprint().to_string()],
        };
        let runs = self.runs.iter().map(|run| self.result(run)).collect();
        Ok(Inputs { runs, tests: self.tests.clone(), provenance })
    }
}

/// The order of the runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Search,
    FromScratch,
    /// From the weights of other runs.
    FineTuning,
}

impl Stage {
    fn of(run: &PlannedRun) -> Self {
        match (&run.tries, &run.weights_of) {
            (Some(_), _) => Self::Search,
            (None, None) => Self::FromScratch,
            (None, Some(_)) => Self::FineTuning,
        }
    }
}

/// The device of the runs, as `run.toml` records it.
fn first_device(folder: &Path, runs: &[PlannedRun]) -> Option<String> {
    let summary = runs.iter().find_map(|run| RunSummary::read(&folder.join(&run.name)).ok())?;
    keys::value(&summary.settings, "run.device")?.as_str().map(str::to_string)
}

fn fingerprints(packs: &Packs) -> Result<[String; 2]> {
    let of = |path: &Path| Pack::open(path).map(|pack| pack.fingerprint().to_string());
    Ok([of(&packs.train)?, of(&packs.val)?])
}

/// A path as a setting holds it.
fn path_text(path: &Path) -> Result<String> {
    let text = path.to_str().map(str::to_string);
    text.ok_or_else(|| Failure::Usage(format!("{}: its name is not UTF-8; rename it", path.display())))
}

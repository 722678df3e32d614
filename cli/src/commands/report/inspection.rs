//! The weights of a run: kernels, and a test on a data set.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data::{Dataset, Pack, Views};
use image::RgbImage;
use tensor::Backend;
use train::config::keys;
use train::load::{self, Loaded};
use train::plots::NotedPrediction;
use train::runs::RunSummary;

use crate::args::Report;
use crate::commands::device::DeviceTask;
use crate::commands::eval::{TestInput, Tested, test};
use crate::commands::filters::first_kernels;
use crate::commands::trained::{LoadedModels, choose_average};
use crate::console::note;
use crate::failure::{Failure, Result};

/// Images in a batch of a test.
const BATCH: usize = 128;
/// Seed of the bootstrap, as `eval` has by default.
const SEED: u64 = 2012;
/// Hits, and mistakes, of a report.
const EXAMPLES: usize = 12;

/// The data set of a run.
#[derive(Clone, Debug)]
pub struct RunData {
    pub path: Option<PathBuf>,
    /// Whether `--data` names it: then it must be there.
    pub is_given: bool,
}

impl RunData {
    /// The validation pack that a run names.
    pub fn of_settings(run: &RunSummary) -> Self {
        let path = keys::value(&run.settings, "data.val").and_then(|value| value.as_str()).map(PathBuf::from);
        Self { path, is_given: false }
    }
}

/// The kernels and the test of a run's weights.
pub struct Inspection {
    /// The file of the weights; `None` if there is none yet.
    pub weights: Option<PathBuf>,
    /// The kernels of the first convolution, with the name of its layer.
    pub kernels: Option<(String, RgbImage)>,
    /// The test, or why there is none.
    pub tested: std::result::Result<RunTest, String>,
}

/// The test of a run.
pub struct RunTest {
    pub data: PathBuf,
    pub report: crate::commands::eval::EvaluationReport,
    pub classification: train::classification::Classification,
    /// The most certain hits, each of another class.
    pub hits: Vec<NotedPrediction>,
    /// The mistakes with the largest loss.
    pub mistakes: Vec<NotedPrediction>,
}

/// The inspection of runs on a device.
pub struct InspectionTask<'a> {
    pub args: &'a Report,
    pub runs: &'a [RunSummary],
    /// That of each run.
    pub data: Vec<RunData>,
    pub threads: usize,
}

impl DeviceTask for InspectionTask<'_> {
    type Output = Vec<Inspection>;

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<Vec<Inspection>> {
        self.runs.iter().zip(&self.data).map(|(run, data)| self.inspect(&device, run, data)).collect()
    }
}

impl InspectionTask<'_> {
    fn inspect<B: Backend<Scalar = f32>>(&self, device: &B, run: &RunSummary, data: &RunData) -> Result<Inspection> {
        let choice = self.args.checkpoint.choice();
        let loaded = load::weights_of(&run.folder, None, choice, &mut |text| note(&format!("note: {text}")));
        let mut loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                let what = format!("There are no weights to look at: {error}.");
                note(&format!("note: {error}; kernels and evaluation are left out"));
                return Ok(Inspection { weights: None, kernels: None, tested: Err(what) });
            }
        };
        choose_average(&mut loaded, self.args.checkpoint.raw);
        let weights = Some(loaded.path.clone());
        let kernels = first_kernels(&loaded)?;
        let tested = match self.test(device, loaded, data) {
            Err(failure) if data.is_given => return Err(failure),
            Err(failure) => {
                let name = run.folder.display();
                note(&format!("note: {name}: not evaluated, {}", failure.message()));
                Err(format!("The run was not evaluated on its validation pack, {}.", failure.message()))
            }
            Ok(tested) => tested,
        };
        Ok(Inspection { weights, kernels, tested })
    }

    /// Tests weights on a data set; the inner error says why there is none.
    fn test<B: Backend<Scalar = f32>>(
        &self,
        device: &B,
        loaded: Loaded,
        data: &RunData,
    ) -> Result<std::result::Result<RunTest, String>> {
        let Some(path) = &data.path else {
            return Ok(Err("The run has no validation pack: --data names one to evaluate it on.".into()));
        };
        if !data.is_given && !Pack::is_at(path) {
            let what = format!("The validation pack {} is not there: --data names another.", path.display());
            return Ok(Err(what));
        }
        self.test_on(device, loaded, path).map(Ok)
    }

    fn test_on<B: Backend<Scalar = f32>>(&self, device: &B, loaded: Loaded, path: &Path) -> Result<RunTest> {
        let pack = Pack::open(path)?;
        let models = LoadedModels::one(loaded, self.threads);
        models.check_pack(&pack)?;
        let batch = BATCH.min(pack.len().max(1));
        models.check_memory(device, pack.len(), batch)?;
        let trained = models.into_device(device)?;
        trained.first().check_classes(pack.classes())?;
        let members = trained.members(pack.size())?;
        let names = &trained.first().printed_classes;
        let dataset: Arc<dyn Dataset> = Arc::new(pack);
        let input = TestInput {
            members: &members,
            names,
            dataset: Arc::clone(&dataset),
            views: Views::Centre,
            temperature: 1.0,
            batch,
            threads: self.threads,
        };
        let tested = test("eval", &input, true, SEED, |_| Ok(())).map_err(|error| trained.named(error))?;
        let Tested { mut report, classification, examples } = tested;
        report.precision.clone_from(&self.args.compute.precision);
        let [hits, mistakes] = examples.hits_and_mistakes(EXAMPLES, &*dataset, names)?;
        Ok(RunTest { data: path.to_path_buf(), report, classification, hits, mistakes })
    }
}

impl RunTest {
    /// Names of the classes to print.
    pub fn names(&self) -> Vec<&str> {
        first_names((0..self.classification.classes()).map(|class| self.report.short_name(class)).collect())
    }
}

/// Names that are lists of synonyms, without those after the first; the whole names unless the first ones are distinct.
fn first_names(names: Vec<&str>) -> Vec<&str> {
    let first: Vec<&str> = names.iter().map(|name| name.split(',').next().unwrap_or(name).trim()).collect();
    let distinct: BTreeSet<&str> = first.iter().copied().collect();
    if distinct.len() == first.len() { first } else { names }
}

/// The failure of an image that cannot be encoded.
pub fn not_encoded(error: image::ImageError) -> Failure {
    Failure::Failed(format!("an image of the report cannot be encoded: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_first_ones_if_these_are_distinct() {
        assert_eq!(first_names(vec!["ox", "hog, pig"]), ["ox", "hog"]);
        assert_eq!(first_names(vec!["crane, bird", "crane, machine"]), ["crane, bird", "crane, machine"]);
    }
}

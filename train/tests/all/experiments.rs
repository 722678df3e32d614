//! Experiments: the files that are built in, faults of files, and results from made logs.

use alexnet_train::Config;
use alexnet_train::experiment::{
    BudgetName, DataKind, Experiment, Inputs, Measure, PlannedRun, Results, RunResult, SearchResult, Sign, embedded,
    plot,
};
use alexnet_train::log::ValidationLine;
use proptest::prelude::*;
use toml::Value;

const BUDGETS: [BudgetName; 2] = [BudgetName::Small, BudgetName::Full];

const SMALL: &str = "
title = 'Two rates'
about = 'A network with two learning rates.'
source = 'nowhere'
network = 'cifar-relu'
[data]
kind = 'any'
size = 32
[evaluation]
measures = ['top1', 'training-top1']
[comparison]
base = 'slow'
measure = 'top1'
[budget.small]
epochs = 2
seeds = [1, 2]
search_epochs = 1
[budget.full]
epochs = 5
seeds = [1, 2, 3]
search_epochs = 2
[[cell]]
name = 'slow'
about = 'a low rate'
settings = { optim.lr = 0.001 }
published = [{ measure = 'top1', value = 20.0, unit = '%', source = 'a book' }]
[[cell]]
name = 'fast'
about = 'a rate that is searched'
expected = 'lower'
search = { setting = 'optim.lr', values = [0.01, 0.1] }
published_difference = { value = -2.5, source = 'a letter' }
[[cell]]
name = 'both'
about = 'their average'
average_of = ['slow', 'fast']
";

fn small() -> Experiment {
    Experiment::parse("rates.toml", SMALL).unwrap()
}

fn config(run: &PlannedRun) -> Config {
    run.config(&run.source.model().unwrap()).unwrap()
}

#[test]
fn every_embedded_experiment_has_runs_whose_networks_and_settings_fit() {
    for (name, _) in embedded() {
        let experiment = Experiment::named(name).unwrap();
        assert_eq!(experiment.name, *name);
        for budget in BUDGETS {
            let runs = experiment.runs(budget).unwrap();
            let mut names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            assert!(names.len() == runs.len() && !runs.is_empty(), "{name}");
            for run in &runs {
                let mut model = run.source.model().unwrap();
                let classes = experiment.data.kind.counts().unwrap().classes;
                model.set_classes(classes).unwrap();
                assert_eq!(model.shapes().unwrap().last().unwrap().output, [classes], "{}", run.name);
                let drops = config(run).optim.drop_epochs;
                let epochs = config(run).run.epochs as f64;
                assert!(
                    run.tries.is_some() || drops.iter().all(|drop| *drop < epochs),
                    "{name} {budget}: {}",
                    run.name
                );
            }
        }
    }
}

fn parameters(experiment: &str, cell: &str) -> u64 {
    let runs = Experiment::named(experiment).unwrap().runs(BudgetName::Full).unwrap();
    let run = runs.iter().find(|run| run.cell == cell).unwrap();
    run.source.model().unwrap().shapes().unwrap().iter().map(|shape| shape.parameter_count()).sum()
}

#[test]
fn changed_networks_have_the_parameters_that_the_change_says() {
    let paper = 60_965_224;
    assert_eq!(parameters("no-lrn", "no-lrn"), paper);
    assert_eq!(parameters("no-cross-talk", "no-cross-talk"), paper - 3 * 3 * 128 * 384);
    assert_eq!(parameters("remove-conv4", "remove-conv4"), paper - 663_936);
    // conv4 then has 256 inputs in place of 384, in two groups.
    assert_eq!(parameters("remove-conv3", "remove-conv3"), paper - 885_120 - 3 * 3 * 64 * 384);
    // fc6 then has 384 maps in place of 256.
    assert_eq!(parameters("remove-conv5", "remove-conv5"), paper - 442_624 + 6 * 6 * 128 * 4096);
    assert_eq!(parameters("conv6-pretrained", "tune"), paper + 3 * 3 * 256 * 256 + 256);
    // 48 x 364, 128 x 1201, 192 x 1153, 192 x 1729 and 256 x 1729 in the convolutions, the rest as before.
    let convolutions = 48 * 364 + 128 * 1201 + 192 * 1153 + 192 * 1729 + 256 * 1729;
    assert_eq!(parameters("half", "half"), convolutions + 37_752_832 + 16_781_312 + 4_097_000);
}

#[test]
fn runs_have_the_settings_of_experiment_budget_and_cell() {
    let runs = small().runs(BudgetName::Small).unwrap();
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["fast-search-1", "fast-search-2", "slow-1", "fast-1", "slow-2", "fast-2"]);
    let of = |name: &str| config(runs.iter().find(|run| run.name == name).unwrap());
    assert_eq!((of("fast-search-2").optim.lr, of("fast-search-2").run.epochs), (0.1, 1));
    assert_eq!((of("slow-2").optim.lr, of("slow-2").run.epochs, of("slow-2").run.seed), (0.001, 2, 2));
    assert_eq!(small().runs(BudgetName::Full).unwrap().len(), 8);
}

#[test]
fn faults_name_the_file_and_the_key() {
    for (from, to, expected) in [
        ("title = 'Two rates'", "titel = 'Two rates'", "rates.toml: unknown field `titel`"),
        ("kind = 'any'", "kind = 'mnist'", "data.kind: unknown variant `mnist`"),
        ("settings = { optim.lr = 0.001 }", "settings = { optim.rat = 1 }", "cell.slow: settings: optim.rat: unknown"),
        ("settings = { optim.lr = 0.001 }", "settings = { optim.lr = -1.0 }", "optim.lr: must be"),
        ("settings = { optim.lr = 0.001 }", "settings = { optim.rise = 0.5 }", "optim.rise: 0.5 has no effect while"),
        ("settings = { optim.lr = 0.001 }", "settings = { data.train = 'a' }", "data.train: is not for settings"),
        ("settings = { optim.lr = 0.001 }", "edits = { remove = ['norm1'] }", "cell.slow: edits: cifar-relu: remove"),
        ("settings = { optim.lr = 0.001 }", "edits = { removes = ['norm1'] }", "unknown field `removes`"),
        ("settings = { optim.lr = 0.001 }", "network = 'papr'", "cell.slow: network"),
        ("average_of = ['slow', 'fast']", "average_of = ['slow', 'quick']", "there is no cell \"quick\""),
        ("average_of = ['slow', 'fast']", "average_of = ['slow']\nnetwork = 'paper'", "an average has no runs"),
        ("settings = { optim.lr = 0.001 }", "pretraining = true", "write a table [pretraining]"),
        ("average_of = ['slow', 'fast']", "weights_of = 'both'", "cell.both: weights_of"),
        ("average_of = ['slow', 'fast']", "pretraining = true", "write a table [pretraining]"),
        ("name = 'both'", "name = 'fast'", "cell.fast: there are two cells"),
        ("name = 'both'", "name = 'Both/..'", "cell: name: expected"),
        ("base = 'slow'", "base = 'low'", "comparison: base or compared_with: there is no cell \"low\""),
        ("measure = 'top1'\n[budget", "measure = 'top5'\n[budget", "comparison: measure: is not among"),
        ("measures = ['top1', ", "measures = ['epochs-to-training-error', ", "evaluation: threshold: is missing"),
        ("unit = '%'", "unit = 'epochs'", "cell.slow: published: unit"),
        ("seeds = [1, 2]", "seeds = []", "budget.small: seeds: expected at least one"),
        ("seeds = [1, 2]", "seeds = [1, 1]", "are to be different"),
        ("seeds = [1, 2]", "seeds = [1]\ncells = ['fast']", "fast needs the cell slow"),
        ("seeds = [1, 2]", "seeds = [1]\ncells = ['slow', 'quick']", "there is no cell \"quick\""),
        ("search_epochs = 1", "classes = 2", "needs search_epochs"),
        ("setting = 'optim.lr'", "setting = 'optim.rate2'", "\"optim.rate2\" is no setting"),
        ("values = [0.01, 0.1]", "values = [0.01]", "expected two values"),
        ("values = [0.01, 0.1]", "values = [0.01, 'high']", "optim.lr"),
    ] {
        assert!(SMALL.contains(from), "{from}");
        let error = Experiment::parse("rates.toml", &SMALL.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(expected) && error.starts_with("rates.toml: "), "{to}: {error}");
    }
    let first = SMALL
        .replace("[data]", "[pretraining]\nkind = 'any'\nsize = 32\n[data]")
        .replace("settings = { optim.lr = 0.001 }", "pretraining = true");
    let error = Experiment::parse("rates.toml", &first).unwrap_err().to_string();
    assert!(error.contains("cell.both: average_of: slow trains on other images"), "{error}");
    let error = Experiment::named("figl").unwrap_err().to_string();
    assert!(error.contains("did you mean fig1?") && error.contains("cifar-lrn"), "{error}");
    assert!(Experiment::named("none.toml").unwrap_err().to_string().contains("none.toml"));
}

fn line(epoch: u64, error: f64) -> ValidationLine {
    serde_json::from_value(serde_json::json!({
        "step": epoch, "epoch": epoch, "train_loss": 1.0, "train_top1_error": error, "loss": 1.0, "top1_error": error,
        "top5_error": error / 2.0, "seconds": 2.0 * epoch as f64,
    }))
    .unwrap()
}

/// The results of runs whose last errors `error` gives.
fn runs(error: impl Fn(&PlannedRun) -> Option<f64>) -> Vec<RunResult> {
    let result = |run: PlannedRun| {
        let last = error(&run);
        RunResult {
            epochs: last.map_or(Vec::new(), |last| vec![line(1, 0.9), line(2, last)]),
            is_finished: last.is_some(),
            name: run.name,
            cell: run.cell,
            seed: run.seed,
            tries: run.tries,
            ..RunResult::default()
        }
    };
    small().runs(BudgetName::Small).unwrap().into_iter().map(result).collect()
}

fn errors(run: &PlannedRun) -> Option<f64> {
    match (run.cell.as_str(), run.seed, &run.tries) {
        (_, _, Some(Value::Float(rate))) => (*rate < 0.05).then_some(0.5),
        ("slow", seed, _) => Some(0.2 + 0.02 * seed as f64),
        (_, seed, _) => Some(0.1 + 0.02 * seed as f64),
    }
}

#[test]
fn results_stand_beside_the_published_figures() {
    let mut inputs = Inputs { runs: runs(errors), ..Inputs::default() };
    inputs.tests.insert(("both".into(), 1), [0.08, 0.02]);
    let results = Results::of(&small(), BudgetName::Small, inputs);
    let near = |value: Option<f64>, expected: f64| assert!((value.unwrap() - expected).abs() < 1e-9, "{value:?}");
    let slow = results.row("slow").unwrap().figure(Measure::Top1).unwrap();
    near(slow.mean, 23.0);
    near(slow.standard_error, 1.0);
    near(slow.from_published, 3.0);
    let fast = results.row("fast").unwrap().difference.as_ref().unwrap();
    near(fast.value, -10.0);
    near(fast.standard_error, 2.0_f64.sqrt());
    assert_eq!(
        (fast.is_same_sign, fast.expected, fast.published.as_ref().unwrap().value),
        (Some(true), Some(Sign::Lower), -2.5)
    );
    assert!(results.row("slow").unwrap().difference.is_none());
    let both = results.row("both").unwrap();
    assert_eq!((both.runs, both.figure(Measure::TrainingTop1).unwrap().mean), (4, None));
    near(both.figure(Measure::Top1).unwrap().mean, 8.0);
    let search = &results.searches[0];
    assert_eq!((search.chosen.clone(), search.trials[1].training_error), (Some(Value::Float(0.01)), None));

    let table = results.table();
    assert_eq!(table[0][..4], ["cell", "runs", "top-1 error (%)", "published"]);
    assert!(table.iter().all(|row| row.len() == table[0].len()));
    assert_eq!(table[2].last().unwrap(), "yes");
    let csv = String::from_utf8(results.csv().unwrap()).unwrap();
    assert_eq!(csv.lines().count(), 1 + 3 * 2, "{csv}");
    let text = results.markdown("results.png");
    for part in ["| `slow` | 2 | 23.0 ± 1.00 | 20 | +3.00 |", "Search of `optim.lr` for `fast`", "a letter", "a book"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(plot(&small(), &results).width(), 960);
}

/// Of ratios, one is the border between the signs.
#[test]
fn ratios_are_those_of_the_means() {
    let text = SMALL.replace("measure = 'top1'\n[budget", "measure = 'top1'\nas = 'ratio'\n[budget");
    assert_ne!(text, SMALL);
    let experiment = Experiment::parse("rates.toml", &text).unwrap();
    let results = Results::of(&experiment, BudgetName::Small, Inputs { runs: runs(errors), ..Inputs::default() });
    let fast = results.row("fast").unwrap().difference.as_ref().unwrap();
    assert!((fast.value.unwrap() - 13.0 / 23.0).abs() < 1e-9, "{fast:?}");
    let error = 13.0 / 23.0 * (1.0_f64 / 13.0).hypot(1.0 / 23.0);
    assert!((fast.standard_error.unwrap() - error).abs() < 1e-9, "{fast:?}");
    assert_eq!(fast.is_same_sign, Some(true), "lower is below one");
}

/// A cell of which a run never reaches the threshold has a lower bound, and its ratio too.
#[test]
fn thresholds_that_are_not_reached_have_lower_bounds() {
    let text = SMALL
        .replace("measures = ['top1', 'training-top1']", "measures = ['epochs-to-training-error']\nthreshold = 0.25")
        .replace("measure = 'top1'\n[budget", "measure = 'epochs-to-training-error'\nas = 'ratio'\n[budget")
        .replace("published = [{ measure = 'top1', value = 20.0, unit = '%', source = 'a book' }]\n", "")
        .replace("expected = 'lower'", "expected = 'higher'")
        .replace("value = -2.5", "value = 6.0");
    let experiment = Experiment::parse("rates.toml", &text).unwrap();
    // Linear between the middles of the epochs: from 0.9 to 0.05 at 1.5, and to 0.4 or 0.2 there.
    let error_of = |run: &PlannedRun| {
        Some(match (run.cell.as_str(), run.seed) {
            ("slow", _) => 0.05,
            (_, 1) => 0.4,
            _ => 0.2,
        })
    };
    let inputs = Inputs { runs: runs(error_of), ..Inputs::default() };
    let results = Results::of(&experiment, BudgetName::Small, inputs);
    let slow = 0.5 + 0.65 / 0.85;
    let fast = (1.5 + 0.5 + 0.65 / 0.7) / 2.0;
    let row = results.row("fast").unwrap();
    let figure = row.figure(Measure::EpochsToTrainingError).unwrap();
    assert_eq!((figure.mean, figure.values.len()), (None, 1));
    assert!((figure.lower_bound.unwrap() - fast).abs() < 1e-9, "{figure:?}");
    let difference = row.difference.as_ref().unwrap();
    assert_eq!((difference.value, difference.is_same_sign), (None, Some(true)));
    assert!((difference.lower_bound.unwrap() - fast / slow).abs() < 1e-9, "{difference:?}");
    let table = results.table();
    assert_eq!(table[2][2..], [format!("> {fast:.2}"), format!("> {:.2}", fast / slow), "6.00".into(), "yes".into()]);
    assert!(results.markdown("x.png").contains("\">\": a run ended before it reached the threshold"));
    assert_eq!(results.row("slow").unwrap().figures[0].lower_bound, None);
    // A bound below the base says nothing of the sign.
    let late = |run: &PlannedRun| {
        Some(match (run.cell.as_str(), run.seed) {
            ("slow", _) => 0.249,
            (_, 1) => 0.4,
            _ => 0.0,
        })
    };
    let inputs = Inputs { runs: runs(late), ..Inputs::default() };
    let below = Results::of(&experiment, BudgetName::Small, inputs).row("fast").unwrap().difference.clone().unwrap();
    assert!(below.lower_bound.unwrap() < 1.0 && below.is_same_sign.is_none(), "{below:?}");
    let csv = String::from_utf8(results.csv().unwrap()).unwrap();
    assert!(csv.lines().next().unwrap().contains("mean,lower_bound,standard_error"), "{csv}");
}

#[test]
fn a_search_chooses_the_lowest_training_error() {
    let experiment = small();
    let all = runs(|run| match &run.tries {
        Some(Value::Float(rate)) => Some(0.5 - rate),
        _ => errors(run),
    });
    let search = SearchResult::of(experiment.find_cell("fast").unwrap(), 1, &all, true).unwrap();
    assert_eq!(search.chosen, Some(Value::Float(0.1)));
    assert_eq!(search.trials.iter().map(|trial| trial.training_error).collect::<Vec<_>>(), [Some(0.49), Some(0.4)]);
}

#[test]
fn some_classes_have_their_share_of_the_images() {
    let whole = DataKind::TinyImagenet.counts().unwrap();
    let some = whole.of_classes(Some(20));
    assert_eq!((some.images, some.val_images, some.classes), (10_000, 1_000, 20));
    assert_eq!([whole.of_classes(None), whole.of_classes(Some(200))], [whole; 2]);
}

#[test]
fn results_of_no_runs_are_empty() {
    let results = Results::of(&small(), BudgetName::Small, Inputs { runs: runs(|_| None), ..Inputs::default() });
    assert!(results.rows.iter().all(|row| row.figures.iter().all(|figure| figure.mean.is_none())));
    assert_eq!(results.searches[0].chosen, None);
    assert_eq!(results.table()[1][2], "-");
    assert!(!results.markdown("results.png").is_empty());
    assert_eq!(plot(&small(), &results).width(), 960);
}

#[test]
fn a_search_that_is_not_over_chooses_nothing() {
    let experiment = small();
    let cell = experiment.find_cell("fast").unwrap();
    let all = runs(errors);
    assert_eq!(SearchResult::of(cell, 1, &all, false).unwrap().chosen, None);
    assert!(SearchResult::of(cell, 1, &all, true).unwrap().chosen.is_some());
    assert!(SearchResult::of(experiment.find_cell("slow").unwrap(), 1, &all, true).is_none());
}

proptest! {
    /// A file with a byte changed is read or refused, without a panic.
    #[test]
    fn damaged_files_are_refused_or_read(place in 0..SMALL.len(), byte in 32u8..127) {
        let mut text = SMALL.as_bytes().to_vec();
        text[place] = byte;
        if let Err(error) = Experiment::parse("rates.toml", &String::from_utf8(text).unwrap()) {
            prop_assert!(error.to_string().contains("rates.toml"), "{}", error);
        }
    }

    /// Any errors give a table and a plot.
    #[test]
    fn results_of_any_errors_can_be_written(values in proptest::collection::vec(0.0..1.0f64, 6)) {
        let of = |run: &PlannedRun| Some(values[run.name.len() % values.len()]);
        let results = Results::of(&small(), BudgetName::Small, Inputs { runs: runs(of), ..Inputs::default() });
        let rows = results.table();
        prop_assert!(rows.iter().all(|row| row.len() == rows[0].len()));
        prop_assert!(results.csv().is_ok());
    }
}

//! Checkpoints of loops of one's own: round trips, several modules, damage, and what does not fit.

use std::collections::BTreeMap;
use std::fs;

use alexnet_train::layers::{Parameter, Parameters};
use alexnet_train::optim::{Optimizer, Schedule, ScheduleRule};
use alexnet_train::tensor::Tensor;
use alexnet_train::{CheckpointFolder, Error, LoopCheckpoint, load};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::support::World;
use crate::support::loops::{OnCpu, Rows, Small, learner, loss, rule};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Own {
    best: f64,
    names: Vec<String>,
    counts: BTreeMap<String, i64>,
}

fn own() -> impl Strategy<Value = Own> {
    let counts = proptest::collection::btree_map("[a-z]{1,6}", any::<i64>(), 0..4);
    let names = proptest::collection::vec(".{0,12}", 0..4);
    (any::<f64>().prop_filter("NaN equals nothing", |v| !v.is_nan()), names, counts)
        .prop_map(|(best, names, counts)| Own { best, names, counts })
}

/// A module whose values are any floats but NaN, by their bits.
fn module(bits: &[u32]) -> Small<OnCpu> {
    let mut module = Small::new(1);
    let mut bits = bits.iter().cycle();
    for (_, parameter) in module.named_parameters_mut() {
        let shape = parameter.value.shape().to_vec();
        let values: Vec<f32> = (0..parameter.value.len()).map(|_| f32::from_bits(*bits.next().unwrap())).collect();
        parameter.value = Tensor::from_slice(parameter.value.device(), &shape, &values).unwrap();
    }
    module
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Everything that a checkpoint holds comes back with its bits, in a new process' objects too.
    #[test]
    fn everything_comes_back(
        bits in proptest::collection::vec(any::<u32>(), 1..40),
        own in own(),
        steps in 0u64..5,
        adam in any::<bool>(),
        factor in 0.0f64..2.0,
    ) {
        let mut trained = learner(adam, 3).steps(steps);
        trained.fit(&Rows { batches: 2 }, loss, &mut []).unwrap();
        trained.record("error", own.best);
        let generator = module(&bits);
        let saved = LoopCheckpoint::new()
            .with_module("generator", &generator).unwrap()
            .with_module("discriminator", &trained.module).unwrap()
            .with_optimizer("discriminator", &trained.optimizer).unwrap()
            .with_schedule(&trained.schedule, factor)
            .with_progress(trained.progress())
            .with_state(&own).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("both.h5");
        saved.save(&path).unwrap();
        let loaded = LoopCheckpoint::load(&path).unwrap();
        prop_assert_eq!(&loaded.state::<Own>().unwrap(), &own);
        prop_assert_eq!(loaded.progress(), trained.progress());
        let mut others = [Small::new(6), Small::new(7)];
        loaded.restore_module("generator", &mut others[0]).unwrap();
        loaded.restore_module("discriminator", &mut others[1]).unwrap();
        prop_assert_eq!(others[0].bits(), generator.bits());
        prop_assert_eq!(others[1].bits(), trained.module.bits());
        let mut optimizer = Optimizer::new(rule(adam)).unwrap();
        let device = others[0].first.value.device().clone();
        loaded.restore_optimizer("discriminator", &device, &mut optimizer).unwrap();
        let tensors = |optimizer: &Optimizer<OnCpu>| {
            let state = optimizer.state().unwrap();
            let bits = |t: &Tensor<OnCpu>| t.to_vec().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>();
            (state.steps, state.tensors.iter().map(|(name, t)| (name.clone(), bits(t))).collect::<Vec<_>>())
        };
        prop_assert_eq!(tensors(&optimizer), tensors(&trained.optimizer));
        let mut schedule = Schedule::new(ScheduleRule::Exponential { gamma: 0.7 }).unwrap();
        prop_assert_eq!(loaded.restore_schedule(&mut schedule).unwrap(), factor);
    }

    /// A flipped byte is found, or is in a place that means nothing: nothing else comes back.
    #[test]
    fn damage_is_found(at in 0.0f64..1.0, flip in 1u8..=255) {
        let mut trained = learner(false, 1);
        trained.fit(&Rows { batches: 2 }, loss, &mut []).unwrap();
        let saved = trained.checkpoint().unwrap().with_state(&"own").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loop.h5");
        saved.save(&path).unwrap();
        let whole = LoopCheckpoint::load(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let place = (at * bytes.len() as f64) as usize;
        bytes[place] ^= flip;
        fs::write(&path, bytes).unwrap();
        if let Ok(loaded) = LoopCheckpoint::load(&path) {
            prop_assert_eq!(loaded, whole);
        }
    }
}

#[test]
fn what_does_not_fit_changes_nothing_and_is_listed() {
    let saved = LoopCheckpoint::new().with_module("", &Small::new(1)).unwrap();
    let mut other = Small::new(2);
    let cpu = other.first.value.device().clone();
    other.bias.value = Tensor::zeros(&cpu, &[3]).unwrap();
    let before = other.bits();
    let error = saved.restore_module("", &mut other).unwrap_err().to_string();
    assert!(error.contains("1 of another shape: bias is [2] and not [3]"), "{error}");
    assert_eq!(other.bits(), before);
    let error = saved.restore_module("net", &mut Small::new(2)).unwrap_err().to_string();
    assert!(error.contains("4 missing: net.first, net.second"), "{error}");
    let mut part: Vec<Parameter<OnCpu>> = Vec::new();
    let error = saved.restore_module("", &mut part).unwrap_err().to_string();
    assert!(error.contains("4 not in the network: bias, first"), "{error}");
    let error = saved.restore_optimizer("", &cpu, &mut Optimizer::new(rule(true)).unwrap()).unwrap_err().to_string();
    assert!(error.contains("the checkpoint has none"), "{error}");
    assert!(saved.state::<u32>().unwrap_err().to_string().contains("the checkpoint has none"));
    let text = saved.clone().with_state(&"text").unwrap().state::<u32>().unwrap_err().to_string();
    assert!(text.contains("it is of another type"), "{text}");
    assert!(saved.with_state(&u64::MAX).is_err());
}

#[test]
fn the_newest_undamaged_checkpoint_of_a_folder_is_found_and_old_ones_are_removed() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = CheckpointFolder::open(temporary.path().join("new/loop"), 3).unwrap();
    assert!(folder.newest(&mut |_| {}).unwrap().is_none());
    for step in [1u64, 4, 9, 16] {
        folder.save(step, &LoopCheckpoint::new().with_state(&step).unwrap()).unwrap();
    }
    assert_eq!(folder.steps().unwrap(), [4, 9, 16]);
    // A loop that resumed from an earlier step does not remove later checkpoints.
    folder.save(5, &LoopCheckpoint::new().with_state(&5u64).unwrap()).unwrap();
    assert_eq!(folder.steps().unwrap(), [4, 5, 9, 16]);
    let path = folder.checkpoint_path(16);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    fs::write(folder.path().join(".alexnet-tmp-7"), "half").unwrap();
    let folder = CheckpointFolder::open(folder.path(), 3).unwrap();
    assert!(!folder.path().join(".alexnet-tmp-7").exists());
    let mut warnings = Vec::new();
    let newest = folder.newest(&mut |warning| warnings.push(warning)).unwrap().unwrap();
    assert_eq!(newest.state::<u64>().unwrap(), 9);
    assert!(warnings.len() == 1 && warnings[0].contains("step-000000016.h5"), "{warnings:?}");
    for step in [4, 5, 9] {
        fs::write(folder.checkpoint_path(step), "").unwrap();
    }
    assert!(folder.newest(&mut |_| {}).is_err());
}

/// The checkpoint of a run and that of a loop are told apart.
#[test]
fn checkpoints_of_runs_are_other_files() {
    let world = World::new();
    crate::support::train_until(&mut world.start("run", ""), 2).unwrap_err();
    let (path, _) = load::newest_checkpoint(&world.path("run"), &mut |_| {}).unwrap().unwrap();
    let error = LoopCheckpoint::load(&path).unwrap_err();
    assert!(matches!(error, Error::File { .. }) && error.to_string().contains("checkpoint of a run"), "{error}");
    LoopCheckpoint::new().with_module("", &Small::new(1)).unwrap().save(&path).unwrap();
    assert!(alexnet_train::checkpoint::Checkpoint::load(&path).is_err());
}

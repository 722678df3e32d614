//! The moving average of the weights.

use alexnet_train::checkpoint::Checkpoint;
use alexnet_train::evaluate::{Options, evaluate};
use alexnet_train::log::{ValidationLine, read};
use alexnet_train::{Stop, WeightAverage, input, load, run};
use data::Views;
use layers::Network;
use layers::weights::Weights;
use proptest::prelude::*;
use tensor::{Cpu, Tensor};

use crate::support::{World, train_until};

const AVERAGED: &str = "[optim]\nschedule = 'constant'\nema_decay = 0.9\n[run]\nmonitor = 'validation-loss'";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The average of a sequence is its formula in f64, with and without a rising decay.
    #[test]
    fn the_average_is_its_formula(
        values in proptest::collection::vec(-2.0f32..2.0, 1..12), decay in 0.0f64..0.9999, warmup: bool,
    ) {
        let cpu = Cpu::<f32>::new(1).unwrap();
        let model = layers::Model::preset("linear").unwrap();
        let mut network = Network::new(&cpu, &model, 1).unwrap();
        let mut average = WeightAverage::new(&network, decay).warmup(warmup);
        let mut expected = f64::from(average.values()[0].1.to_vec().unwrap()[0]);
        for (n, &value) in values.iter().enumerate() {
            let shape = network.parameters()[0].spec.shape.clone();
            network.parameters_mut()[0].value = Tensor::full(&cpu, &shape, f64::from(value)).unwrap();
            average.update(&network).unwrap();
            let risen = 1.0 - (1.0 + n as f64).powf(-2.0 / 3.0);
            let decay = if warmup { decay.min(risen) } else { decay };
            expected = decay * expected + (1.0 - decay) * f64::from(value);
        }
        let found = f64::from(average.values()[0].1.to_vec().unwrap()[0]);
        prop_assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        // A parameter that does not change is its own average.
        let last = average.values().last().unwrap();
        prop_assert_eq!(last.1.to_vec().unwrap(), network.parameters().last().unwrap().value.to_vec().unwrap());
        prop_assert_eq!(average.updates(), values.len() as u64);
    }
}

/// The average is what validates, what is best and what a run's weights are; the last weights are there too.
#[test]
fn the_average_is_validated_and_loaded() {
    let world = World::new();
    let mut trainer = world.start("run", AVERAGED);
    train_until(&mut trainer, u64::MAX).unwrap();
    let lines: Vec<ValidationLine> = read(&world.path("run/validation.jsonl")).unwrap();
    let mut loaded = load::weights(&world.path("run"), None, &mut |_| {}).unwrap();
    assert!(loaded.is_average());
    let test = |loaded: &load::Loaded| {
        let network = loaded.network(&Cpu::<f32>::new(1).unwrap()).unwrap();
        let val = world.packs.val.as_ref().unwrap();
        let input = input::crop_and_normalize(&network.model().input, &loaded.means(), val.size()).unwrap();
        let options = Options { input, views: Views::Centre, batch: 9, threads: 1 };
        evaluate(&network, val, &options, &Stop::default(), |_| {}).unwrap().loss
    };
    let last = lines.last().unwrap();
    assert!((test(&loaded) - last.loss).abs() < 1e-5);
    loaded.use_last_weights();
    assert!(!loaded.is_average());
    let of_last = last.last_weights.as_ref().unwrap().loss;
    assert!((test(&loaded) - of_last).abs() < 1e-5 && (of_last - last.loss).abs() > 1e-4);
    let best = run::best(&world.path("run")).unwrap().unwrap();
    assert!(lines.iter().any(|line| line.loss == best.value));
    // The file of the best weights alone has the average of the best checkpoint.
    let alone = Weights::load(&run::best_weights(&world.path("run"))).unwrap();
    let of_best = Checkpoint::load(&world.path(&format!("run/checkpoints/step-{:09}.h5", best.step))).unwrap();
    assert_eq!(alone.tensors.len(), of_best.average.len());
    for (name, values) in &of_best.average {
        assert_eq!(alone.tensor(name), Some(values), "{name}");
    }
    assert_ne!(alone.tensors, of_best.weights.tensors);
    // A checkpoint as a file, too.
    let (_, path) = run::checkpoints(&world.path("run")).unwrap().pop().unwrap();
    assert!(load::weights(&path, None, &mut |_| {}).unwrap().is_average());
    assert_eq!(Checkpoint::load(&path).unwrap().state.average_updates, 12);
}

/// A run that begins to average when it is resumed begins with the weights of the checkpoint.
#[test]
fn averaging_can_begin_and_end_on_resume() {
    let world = World::new();
    let plain = "[optim]\nschedule = 'constant'";
    let mut trainer = world.start("run", plain);
    train_until(&mut trainer, 5).unwrap_err();
    drop(trainer);
    run::Run::open(&world.path("run"))
        .unwrap()
        .set_config(&world.config(&format!("{plain}\nema_decay = 0.5")))
        .unwrap();
    let mut trainer = world.resume("run", 1);
    let at_start = trainer.learner().average.as_ref().unwrap().values()[0].1.to_vec().unwrap();
    assert_eq!(at_start, trainer.network().parameters()[0].value.to_vec().unwrap());
    train_until(&mut trainer, 7).unwrap_err();
    drop(trainer);
    let saved = load::newest_checkpoint(&world.path("run"), &mut |_| {}).unwrap().unwrap().1;
    assert_eq!((saved.state.average_updates, saved.average.len()), (2, saved.weights.tensors.len()));
    run::Run::open(&world.path("run")).unwrap().set_config(&world.config(plain)).unwrap();
    let mut trainer = world.resume("run", 1);
    assert!(trainer.learner().average.is_none());
    train_until(&mut trainer, u64::MAX).unwrap();
    drop(trainer);
    assert!(!load::weights(&world.path("run"), None, &mut |_| {}).unwrap().is_average());
}

//! Settings that change in the course of a run.

use std::path::Path;

use alexnet_train::config::List;
use alexnet_train::log::{StepLine, read};
use alexnet_train::run::{Run, checkpoints};
use alexnet_train::trainer::RunEvent;
use alexnet_train::{Config, Stop, load};
use layers::Model;

use crate::support::{World, bits, train_until};

const BASE: &str = "[optim]\nschedule = 'constant'\n";

/// A change at an epoch is what a resume with other settings at that step is, for whole epochs and parts of them.
#[test]
fn a_change_equals_a_resume_with_other_settings() {
    let world = World::new();
    for (i, (section, setting)) in [
        ("optim", "lr = 0.01"),
        ("optim", "momentum = 0.5"),
        ("optim", "clip_norm = 0.01"),
        ("data", "augment = false"),
        ("data", "colour = 'none'"),
        ("data", "class_weights = [3, 1, 1]"),
        ("data", "mixup = 0.5"),
    ]
    .into_iter()
    .enumerate()
    {
        for (epoch, step) in [("1", 4), ("1.4", 6)] {
            let timed = format!("{BASE}[[change]]\nat_epoch = {epoch}\n{section}.{setting}");
            let name = format!("timed-{i}-{epoch}");
            let mut trainer = world.start(&name, &timed);
            train_until(&mut trainer, u64::MAX).unwrap();
            let found = bits(&trainer);

            let name = format!("resumed-{i}-{epoch}");
            let mut trainer = world.start(&name, BASE);
            train_until(&mut trainer, step).unwrap_err();
            let before = bits(&trainer);
            drop(trainer);
            let header = if section == "optim" { String::new() } else { format!("[{section}]\n") };
            let after = world.config(&format!("{BASE}{header}{setting}"));
            Run::open(&world.path(&name)).unwrap().set_config(&after).unwrap();
            let mut trainer = world.resume(&name, 1);
            train_until(&mut trainer, u64::MAX).unwrap();
            assert_eq!(bits(&trainer), found, "{setting} at {epoch}");
            assert_ne!(before, found);
        }
    }
}

/// Layers change their rates and freeze at their epochs; killed in any stage and resumed, the run is the same; the network
/// in its folder and its checkpoints stays as it began.
#[test]
fn layers_change_rates_and_freeze_in_the_course_of_a_run() {
    let timed = format!(
        "{BASE}[[change]]\nat_epoch = 1\nmodel.lr_multipliers = ['conv1=0.0', 'fc2=0.5']\noptim.lr = 0.02\n\
         [[change]]\nat_epoch = 2\nmodel.lr_multipliers = ['fc3=2']\nmodel.freeze = ['fc*']"
    );
    // fc3 is named in both: frozen counts.
    let world = World::new();
    let mut whole = world.start("whole", &timed);
    let mut values = Vec::new();
    for step in [4, 5, 8, 9, u64::MAX] {
        let _ = train_until(&mut whole, step);
        if whole.steps_done() < 12 {
            drop(whole);
            whole = world.resume("whole", 1);
        }
        values.push(bits(&whole));
    }
    let of = |at: usize, name: &str| values[at].iter().find(|(known, _)| known == name).unwrap().1.clone();
    // Steps 5 to 8: conv1 stands still, fc2 and fc3 move. From step 9 on, the reverse.
    assert_eq!(of(0, "conv1.weight"), of(2, "conv1.weight"));
    assert_ne!(of(0, "fc2.weight"), of(1, "fc2.weight"));
    assert_ne!(of(0, "fc3.bias"), of(2, "fc3.bias"));
    assert_eq!(of(2, "fc2.weight"), of(4, "fc2.weight"));
    assert_eq!(of(2, "fc3.weight"), of(4, "fc3.weight"));
    assert_ne!(of(3, "conv1.weight"), of(4, "conv1.weight"));
    drop(whole);
    let log: Vec<StepLine> = read(&world.path("whole/log.jsonl")).unwrap();
    let rates: Vec<f64> = log.iter().map(|line| line.rate).collect();
    assert_eq!(rates, [[0.05; 4].as_slice(), &[0.02; 8]].concat());
    let mut unbroken = world.start("unbroken", &timed);
    train_until(&mut unbroken, u64::MAX).unwrap();
    assert_eq!(bits(&unbroken), values[4]);
    let (_, last) = checkpoints(&world.path("unbroken")).unwrap().pop().unwrap();
    let saved = load::weights(&last, None, &mut |_| {}).unwrap().weights.model.unwrap();
    assert_eq!(saved.to_toml(), world.model().to_toml());
}

#[test]
fn changes_that_cannot_be_made_are_refused_by_name() {
    for (change, expected) in [
        ("at_epoch = 1\nrun.batch = 3", "[[change]] at epoch 1: run.batch cannot change in the course of a run"),
        ("at_epoch = 1\noptim.kind = 'adam'", "[[change]] at epoch 1: optim.kind cannot change"),
        ("at_epoch = 1\noptim.lrr = 1.0", "[[change]] at epoch 1: optim.lrr: unknown setting; near ones: optim.lr"),
        ("at_epoch = 1\noptim.lr = -1.0", "[[change]] at epoch 1: optim.lr: must be a finite number of at least 0"),
        ("at_epoch = 1\noptim.lr = 'fast'", "optim.lr"),
        ("at_epoch = 1", "[[change]] at epoch 1: changes nothing"),
        ("at_epoch = -1\noptim.lr = 0.1", "at_epoch must be in [0, 1e9]"),
        ("optim.lr = 0.1", "at_epoch = EPOCH"),
        (
            "at_epoch = 2\noptim.lr = 0.1\n[[change]]\nat_epoch = 2\noptim.lr = 0.2",
            "later than that of the change before",
        ),
    ] {
        let error = Config::parse("mine.toml", &format!("[[change]]\n{change}")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    // Layers are known only with the network.
    let world = World::new();
    let config = world.config("[[change]]\nat_epoch = 1\nmodel.freeze = ['conv9']");
    let error = alexnet_train::trainer::Trainer::<tensor::Cpu<f32>>::check(&config, &world.model(), &world.packs);
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("[[change]] at epoch 1: model.freeze: ") && error.contains("conv9"), "{error}");
    // On resume, a change is noted like any other setting.
    let before = Config::default();
    let after = Config::parse("t", "[[change]]\nat_epoch = 3\noptim.lr = 0.1").unwrap();
    let noted = after.check_resumable(&before, Path::new("run")).unwrap();
    assert!(noted[0].starts_with("change was unset, now [{") && noted[0].contains("at_epoch = 3"), "{noted:?}");
    // run.toml keeps it.
    assert_eq!(Config::parse("t", &after.to_toml()).unwrap(), after);
}

/// Only the trainer knows how many epochs the steps of a run are.
#[test]
fn a_change_after_the_last_step_is_noted() {
    let world = World::new();
    let notes = |name: &str, steps: u64, at: f64| {
        let text = format!("run.steps = {steps}\nrun.accumulate = 2\n[[change]]\nat_epoch = {at}\noptim.lr = 0.01");
        let mut trainer = world.start(name, &text);
        let mut notes = Vec::new();
        let watch =
            &mut |event: RunEvent<'_>| notes.extend(matches!(&event, RunEvent::Note(_)).then(|| format!("{event:?}")));
        trainer.train(&Stop::default(), watch).unwrap();
        notes.into_iter().filter(|note| note.contains("never begins")).collect::<Vec<String>>()
    };
    // An epoch has four batches, and two steps.
    assert_eq!(notes("reached", 3, 1.0), Vec::<String>::new());
    assert_eq!(notes("reached in the last", 4, 1.5), Vec::<String>::new());
    let found = notes("never", 3, 1.5);
    let expected = "[[change]] at epoch 1.5 never begins, since the run ends after run.steps = 3, 1.5 epochs";
    assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
}

/// The preset of run 145: its rates at each epoch that its authors name.
#[test]
fn the_preset_of_run_145_has_its_schedule() {
    let model = Model::preset("run-145").unwrap();
    let source = Model::preset("source").unwrap();
    assert_eq!(model.parameters().unwrap(), source.parameters().unwrap());
    let config = Config::from_overrides(&[("run-145".into(), model.train.clone())]).unwrap();
    assert_eq!(config.run.epochs, 91);
    let rate_of_conv1 = |epoch: f64| {
        let mut at = model.clone();
        let mut changes = config.changes_of_model(epoch).unwrap();
        if !changes.freeze.is_empty() {
            changes.lr_multipliers = List::default();
        }
        let changed = Config { model: changes, ..Config::default() };
        changed.model.apply_to(&mut at).unwrap();
        let spec = at.parameters().unwrap().into_iter().find(|spec| spec.name == "conv1.weight").unwrap();
        let all = config.at_epoch(epoch).unwrap();
        spec.rate * all.optim.schedule().unwrap().rate(all.optim.lr, epoch)
    };
    for (epoch, rate) in
        [(0.0, 1e-2), (24.9, 1e-2), (25.0, 1e-3), (51.0, 1e-4), (66.9, 1e-4), (67.0, 1e-5), (72.0, 0.0)]
    {
        assert!((rate_of_conv1(epoch) - rate).abs() < 1e-9, "{epoch}: {}", rate_of_conv1(epoch));
    }
    let colour = |epoch: f64| config.at_epoch(epoch).unwrap().data.colour;
    assert_ne!(colour(66.9), alexnet_train::config::Colour::None);
    assert_eq!(colour(67.0), alexnet_train::config::Colour::None);
}

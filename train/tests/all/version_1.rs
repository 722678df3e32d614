//! Runs in the first version of the formats: their checkpoints load, and training continues as it would have then. The
//! files are never written again.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use alexnet_train::log::{StepLine, read_steps};
use alexnet_train::run::Run;
use alexnet_train::trainer::Trainer;
use alexnet_train::{Packs, Stop, load};
use data::{Pack, PackOptions};
use tensor::Cpu;

/// The images that the runs were made with.
fn pack(folder: &Path) -> Pack {
    let source = folder.join("source");
    for (class, [red, green, blue]) in [("blue", [20u32, 40, 200]), ("red", [210, 30, 40])] {
        fs::create_dir_all(source.join(class)).unwrap();
        for i in 0..4u32 {
            let image = image::RgbImage::from_fn(8, 8, |x, y| {
                image::Rgb([red as u8, ((green + x * y * (i + 1)) % 256) as u8, ((blue + 16 * x) % 256) as u8])
            });
            image.save(source.join(class).join(format!("{i}.png"))).unwrap();
        }
    }
    let out = folder.join("pack");
    data::pack(&PackOptions { size: 8, ..PackOptions::new(&source, &out) }, |_| ()).unwrap();
    Pack::open(&out).unwrap()
}

/// A copy of a run that was stopped after 3 of 6 steps.
fn copy_of(name: &str, to: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    fs::create_dir_all(to.join("checkpoints")).unwrap();
    for file in ["run.toml", "model.toml", "log.jsonl", "checkpoints/step-000000003.h5"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

#[test]
fn runs_of_version_1_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let packs = Packs::new(Arc::new(pack(folder.path())));
    // Metrics of the first version's own run without a stop: losses of steps 4 to 6, and of the weights the first and
    // the sum of all without their signs.
    let expected = [
        ("version_1_sgd", [0.479_566_93, 0.373_280_05, 0.280_580_31], -0.018_414_6, 5.880_883),
        ("version_1_adam", [0.622_179_99, 0.594_614_39, 0.565_925_84], 0.004_765_56, 3.304_741),
    ];
    for (name, losses, first, sum) in expected {
        let path = folder.path().join(name);
        copy_of(name, &path);
        let (_, checkpoint) = load::newest_checkpoint(&path, &mut |note| panic!("{note}")).unwrap().unwrap();
        let position = &checkpoint.state.position;
        assert_eq!((position.step, position.epoch, position.batch, checkpoint.state.optimizer_steps), (3, 1, 1, 3));
        assert_eq!(checkpoint.weights.classes, ["blue", "red"]);
        assert_eq!(checkpoint.weights.mean_rgb, Some([115.0, 65.625, 112.0]));
        let run = Run::open(&path).unwrap();
        let model = run.model().unwrap();
        checkpoint.check_run(&path, &run.config().unwrap(), &model, &packs).unwrap();
        let device = Cpu::<f32>::new(1).unwrap();
        let mut trainer = Trainer::new(run, &device, &model, packs.clone(), Some(checkpoint)).unwrap();
        trainer.train(&Stop::default(), &mut |_| ()).unwrap();

        let lines: Vec<StepLine> = read_steps(&path.join("log.jsonl")).unwrap();
        // Epochs of 2 steps, which version 1 counted from 0.
        assert_eq!(lines.iter().map(|line| line.epoch).collect::<Vec<_>>(), [1, 1, 2, 2, 3, 3]);
        assert_eq!(lines.iter().map(|line| line.step).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        for (line, expected) in lines[3..].iter().zip(losses) {
            assert!((line.loss - expected).abs() < 1e-5, "{name}: {line:?}");
        }
        let weights = trainer.network().parameters()[0].value.to_vec().unwrap();
        let near = |found: f32, expected: f32| (found - expected).abs() < 1e-5 * expected.abs().max(1.0);
        assert!(near(weights[0], first), "{name}: {}", weights[0]);
        let found: f32 = weights.iter().map(|weight| weight.abs()).sum();
        assert!(near(found, sum), "{name}: {found}");
    }
}

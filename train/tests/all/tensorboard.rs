//! Event files, as TensorBoard reads them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{World, train_until};

/// Trains, with a stop and a resume in the middle of an epoch.
fn events(world: &World) -> PathBuf {
    train_until(&mut world.start("run", ""), 6).unwrap_err();
    train_until(&mut world.resume("run", 1), u64::MAX).unwrap();
    world.path("run/tensorboard")
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn each_session_has_a_file_and_none_where_it_is_switched_off() {
    let world = World::new();
    assert_eq!(files(&events(&world)), 2);
    train_until(&mut world.start("off", "[run]\ntensorboard = false"), u64::MAX).unwrap();
    assert!(!world.path("off/tensorboard").exists());
}

/// A killed run goes on from its last checkpoint, and the points before it are in the file.
#[test]
fn points_are_written_before_a_checkpoint() {
    let world = World::new();
    let mut trainer = world.start("run", "[run]\ncheckpoint_steps = 1");
    train_until(&mut trainer, 6).unwrap_err();
    // As if the process were killed.
    std::mem::forget(trainer);
    let file = std::fs::read_dir(world.path("run/tensorboard")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(file).unwrap();
    let points = bytes.windows(9).filter(|bytes| bytes == b"step/loss").count();
    assert_eq!(points, 6);
}

/// With `TENSORBOARD_PYTHON`, a Python that has TensorBoard, its own reader gives what the logs of the run say.
#[test]
fn tensorboard_reads_what_the_logs_say() {
    let Some(python) = std::env::var_os("TENSORBOARD_PYTHON") else {
        println!("skipped: TENSORBOARD_PYTHON is not set");
        return;
    };
    let world = World::new();
    let events = events(&world);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_events.py");
    let output = Command::new(python).arg(script).arg(events.parent().unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

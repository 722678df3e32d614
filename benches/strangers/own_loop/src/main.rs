//! A training loop that is killed and resumed has the bits of one that was not. The program starts itself twice, kills the
//! first process after its first checkpoint, resumes it, and compares the weights.

mod training;

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use alexnet_train::{CheckpointFolder, Error, LoopCheckpoint, Result};

fn start(folder: &Path) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?).arg(folder).spawn()
}

/// Looks without opening the folder, which belongs to the running process.
fn has_checkpoint(folder: &Path) -> bool {
    let Ok(files) = folder.read_dir() else { return false };
    files.flatten().any(|file| file.path().extension().is_some_and(|extension| extension == "h5"))
}

/// The last checkpoint of a folder.
fn newest(folder: &Path) -> Result<LoopCheckpoint> {
    let newest = CheckpointFolder::open(folder, 2)?.newest(&mut |warning| eprintln!("{warning}"))?;
    newest.ok_or_else(|| Error::file(folder, "holds no checkpoint"))
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    if let Some(folder) = std::env::args_os().nth(1) {
        return Ok(training::run(Path::new(&folder))?);
    }
    let place = std::env::temp_dir().join(format!("own-loop-{}", std::process::id()));
    let [killed, whole] = ["killed", "whole"].map(|name| place.join(name));
    assert!(start(&whole)?.wait()?.success());

    let mut process = start(&killed)?;
    while !has_checkpoint(&killed) {
        std::thread::sleep(Duration::from_millis(2));
    }
    process.kill()?;
    assert!(!process.wait()?.success(), "it was to be killed");
    let step: u64 = newest(&killed)?.state()?;
    println!("killed after the checkpoint of step {step}");
    assert!(step < training::STEPS);

    assert!(start(&killed)?.wait()?.success());
    assert_eq!(newest(&killed)?.parameters(), newest(&whole)?.parameters());
    println!("the resumed run has the weights of the whole one, bit for bit");
    Ok(std::fs::remove_dir_all(place)?)
}

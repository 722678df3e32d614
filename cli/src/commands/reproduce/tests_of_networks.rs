//! Tests of trained networks by `alexnet eval`, each kept in a file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use files::regular_file;
use serde_json::Value;
use train::Stop;
use train::experiment::Tests;

use super::super::trial_runs::run_child;
use crate::args;
use crate::console::{count, note};
use crate::failure::{Failure, Result};

/// A test of one network, or of several that are averaged.
pub struct NetworkTest {
    /// The name of the run or of the average.
    pub name: String,
    /// The runs, whose last checkpoints are tested.
    pub weights: Vec<PathBuf>,
    pub crops: usize,
}

/// Runs the tests that are not done, and reads all results. A test that fails is told, and has no result.
pub fn run_tests(
    tests: &[NetworkTest],
    folder: &Path,
    val: &Path,
    compute: &args::TrainingComputeArgs,
    stop: &Stop,
) -> Result<Tests> {
    let mut results = Tests::new();
    let folder = folder.join("tests");
    for test in tests {
        let path = folder.join(format!("{}-{}-crops.json", test.name, test.crops));
        if read(&path).is_none() && !stop.is_requested() {
            files::folder::create_all(&folder).map_err(|e| Failure::Failed(format!("{}: {e}", folder.display())))?;
            note(&format!("{}: tested with {}", test.name, count(test.crops as u64, "crop")));
            run_test(test, &path, val, compute, stop)?;
        }
        if let Some(errors) = read(&path) {
            results.insert((test.name.clone(), test.crops), errors);
        }
    }
    Ok(results)
}

fn run_test(
    test: &NetworkTest,
    path: &Path,
    val: &Path,
    compute: &args::TrainingComputeArgs,
    stop: &Stop,
) -> Result<()> {
    let failed = |path: &Path, e: std::io::Error| Failure::Failed(format!("{}: {e}", path.display()));
    let log = path.with_extension("log");
    let partial = path.with_extension("partial");
    let program = std::env::current_exe().map_err(|e| Failure::Failed(format!("this program cannot be found: {e}")))?;
    let mut command = Command::new(program);
    command.args(["eval", "--json", "--newest", "--crops", &test.crops.to_string(), "--data"]).arg(val);
    for run in &test.weights {
        command.arg("--weights").arg(run);
    }
    command.args(["--device", &compute.device, "--precision", &compute.precision]);
    if let Some(threads) = compute.threads {
        command.arg("--threads").arg(threads.to_string());
    }
    command.stdin(Stdio::null());
    command.stdout(File::create(&partial).map_err(|e| failed(&partial, e))?);
    command.stderr(File::create(&log).map_err(|e| failed(&log, e))?);
    let status = run_child(&mut command, stop).map_err(|e| failed(path, e))?;
    if status.success() {
        let bytes = fs::read(&partial).map_err(|e| failed(&partial, e))?;
        files::replace_bytes(path, &bytes)?;
    } else if !stop.is_requested() {
        note(&format!("{}: the test failed; see {}", test.name, log.display()));
    }
    // If it stays, the next attempt writes over it.
    let _ = fs::remove_file(&partial);
    Ok(())
}

/// The errors of a finished test.
fn read(path: &Path) -> Option<[f64; 2]> {
    let report: Value = serde_json::from_str(&regular_file::read_text(path).ok()?).ok()?;
    Some([report["top1_error"].as_f64()?, report["top5_error"].as_f64()?])
}

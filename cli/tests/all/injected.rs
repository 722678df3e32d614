//! Faults injected by strace: each system call of a command fails once or kills the process, and files are saved on
//! full disks of every size. Afterwards there is an error and each file is unchanged, or success and each file is new
//! and correct; and the same command can complete the work.
//!
//! By default a sample of the calls is tried. `ALEXNET_FAULTS=all` tries all of them, as `.ci/faults` does, and takes
//! hours.
#![cfg(target_os = "linux")]

use crate::faults_support::{Fault, Job, can_mount, can_trace, sweep_calls, sweep_disk_sizes};

/// Every part of a checkpoint is saved once: at the end of the third epoch.
const CHECKPOINT: Job = Job {
    name: "checkpoint",
    prepare: &["cp -r trained run"],
    command: &["train", "--out", "run", "--resume", "--epochs", "3", "--threads", "1"],
    again: None,
    files: &["run/run.toml", "run/model.toml", "run/checkpoints/step-000000009.h5"],
    noted: &["run/best.toml", "run/best.h5", "run/checkpoints/step-000000003.h5", "run/checkpoints/step-000000006.h5"],
    removes_temporaries: true,
};

/// A run from its first file on, with the best checkpoint.
const RUN: Job = Job {
    name: "run",
    prepare: &[],
    command: &[
        "train",
        "--data",
        "train.pack",
        "--val",
        "val.pack",
        "--model",
        "tiny.toml",
        "--out",
        "run",
        "--epochs",
        "1",
        "--threads",
        "1",
    ],
    again: Some(&["train", "--out", "run", "--resume", "--epochs", "1"]),
    files: &["run/run.toml", "run/model.toml", "run/checkpoints/step-000000003.h5"],
    noted: &["run/best.toml", "run/best.h5"],
    removes_temporaries: true,
};

const HDF5: Job = Job {
    name: "hdf5",
    prepare: &["cp old.h5 out.h5"],
    command: &["convert", "trained", "out.h5"],
    again: None,
    files: &["out.h5"],
    noted: &[],
    removes_temporaries: false,
};

const SAFETENSORS: Job = Job {
    name: "safetensors",
    prepare: &["cp old.safetensors out.safetensors"],
    command: &["convert", "trained", "out.safetensors"],
    again: None,
    files: &["out.safetensors"],
    noted: &[],
    removes_temporaries: false,
};

const PYTORCH: Job = Job {
    name: "pytorch",
    prepare: &["cp old.pt out.pt"],
    command: &["convert", "trained", "out.pt"],
    again: None,
    files: &["out.pt"],
    noted: &[],
    removes_temporaries: false,
};

const RAW: Job = Job {
    name: "raw",
    prepare: &[],
    command: &["pack", "train", "out", "--size", "10", "--jobs", "1"],
    again: None,
    files: &["out/pack.h5", "out/shard-00000.h5"],
    noted: &[],
    removes_temporaries: true,
};

const RAW_SHARDS: Job = Job {
    name: "raw-shards",
    prepare: &[],
    command: &["pack", "train", "out", "--size", "10", "--jobs", "1", "--shard-bytes", "1800"],
    again: None,
    files: &["out/pack.h5", "out/shard-00000.h5", "out/shard-00001.h5"],
    noted: &[],
    removes_temporaries: true,
};

const JPEG: Job = Job {
    name: "jpeg",
    prepare: &[],
    command: &["pack", "train", "out", "--size", "10", "--jobs", "1", "--storage", "jpeg"],
    again: None,
    files: &["out/pack.h5", "out/shard-00000.h5"],
    noted: &[],
    removes_temporaries: true,
};

const JPEG_SHARDS: Job = Job {
    name: "jpeg-shards",
    prepare: &[],
    command: &["pack", "train", "out", "--size", "10", "--jobs", "1", "--storage", "jpeg", "--shard-bytes", "228"],
    again: None,
    files: &["out/pack.h5", "out/shard-00000.h5", "out/shard-00001.h5"],
    noted: &[],
    removes_temporaries: true,
};

const FAULTS: [Fault; 4] = [Fault::Error("EIO"), Fault::Error("ENOSPC"), Fault::Error("EPERM"), Fault::Kill];

/// A test that tries faults at the calls of a job, and one that tries it on full disks.
macro_rules! jobs {
    ($($job:ident, $calls:ident, $disk:ident;)*) => {$(
        #[test]
        fn $calls() {
            if can_trace() {
                sweep_calls(&$job, &FAULTS);
            }
        }

        #[test]
        fn $disk() {
            if can_mount() {
                sweep_disk_sizes(&$job);
            }
        }
    )*};
}

jobs! {
    CHECKPOINT, calls_of_a_checkpoint, a_checkpoint_on_a_full_disk;
    RUN, calls_of_a_run, a_run_on_a_full_disk;
    HDF5, calls_of_hdf5_weights, hdf5_weights_on_a_full_disk;
    SAFETENSORS, calls_of_safetensors, safetensors_on_a_full_disk;
    PYTORCH, calls_of_pytorchs_weights, pytorchs_weights_on_a_full_disk;
    RAW, calls_of_a_raw_pack, a_raw_pack_on_a_full_disk;
    RAW_SHARDS, calls_of_raw_shards, raw_shards_on_a_full_disk;
    JPEG, calls_of_a_jpeg_pack, a_jpeg_pack_on_a_full_disk;
    JPEG_SHARDS, calls_of_jpeg_shards, jpeg_shards_on_a_full_disk;
}

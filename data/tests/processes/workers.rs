//! Tests that need another process: this test binary, started again with a task.
#![cfg(target_os = "linux")]

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use alexnet_data::{CropAndNormalize, Loader, LoaderOptions, Pack, PackOptions, Shuffle, install_sigbus_handler, pack};

use crate::common::running::Running;
use crate::common::{Setting, contents};

const TASK: &str = "ALEXNET_DATA_TEST_TASK";
const POINT: &str = "ALEXNET_DATA_TEST_POINT";
const FOLDER: &str = "ALEXNET_DATA_TEST_FOLDER";

/// Runs a task in another process, given a folder.
fn child(task: &str, folder: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "workers::the_task", "--nocapture"]).env(TASK, task).env(FOLDER, folder);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn options(folder: &Path) -> PackOptions {
    let source = folder.join("source");
    let out = folder.join("out");
    PackOptions { size: 32, jobs: 2, shard_bytes: 5 * 32 * 32 * 3, ..PackOptions::new(source, out) }
}

/// Does nothing unless started by one of the tests below.
#[test]
fn the_task() {
    let Ok(task) = env::var(TASK) else { return };
    let folder = PathBuf::from(env::var_os(FOLDER).unwrap());
    match task.as_str() {
        "cut" => {
            install_sigbus_handler();
            let pack = Pack::open(folder.join("out")).unwrap();
            let pixels = pack.stored(8).unwrap();
            let shard = File::options().write(true).open(folder.join("out/shard-00001.h5")).unwrap();
            shard.set_len(100).unwrap();
            // No check can come first: the slice is held already.
            println!("{}", pixels.iter().map(|&v| u64::from(v)).sum::<u64>());
        }
        // Kills itself as soon as `at` images are done.
        "die" => {
            let at: usize = env::var(POINT).unwrap().parse().unwrap();
            let _ = pack(&options(&folder), |progress| {
                if progress.done == at {
                    // SAFETY: kill and getpid take no pointers.
                    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
                }
            });
        }
        "load" => {
            install_sigbus_handler();
            let pack = Arc::new(Pack::open(folder.join("out")).unwrap());
            let input = CropAndNormalize::crop_only(32);
            let options = LoaderOptions { batch: 4, threads: 2, shuffle: Shuffle::Full, ..LoaderOptions::default() };
            let loader = Loader::new(pack, input, options).unwrap();
            println!("loading");
            for batch in (0..u64::MAX).flat_map(|epoch| loader.batches(epoch, 0)) {
                if let Err(error) = batch.and_then(|batch| loader.crops(&batch)) {
                    eprintln!("failed: {error}");
                    std::process::exit(3);
                }
            }
        }
        // Stops in that instant, until it is killed.
        "stall" => {
            let at: usize = env::var(POINT).unwrap().parse().unwrap();
            let _ = pack(&options(&folder), |progress| {
                if progress.done == at {
                    loop {
                        std::thread::park();
                    }
                }
            });
        }
        "slowly" => {
            let _ = pack(&options(&folder), |_| std::thread::sleep(Duration::from_millis(5)));
        }
        "pack" => {
            if let Err(error) = pack(&options(&folder), |_| ()) {
                eprintln!("failed: {error}");
                std::process::exit(3);
            }
        }
        other => panic!("no task {other}"),
    }
}

/// Waits until a file exists, for a minute at most: the file of a process that may have to wait for a processor.
fn wait_for(path: &Path) {
    for _ in 0..60_000 {
        if path.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{} never came", path.display());
}

#[test]
fn a_file_cut_in_the_instant_it_is_read_is_a_message() {
    let setting = Setting::new();
    setting.pack("out");
    let output = child("cut", &setting.path("")).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("out/shard-00001.h5: cut short while it was being read; copy it again"), "{text}");
}

/// Truncating or modifying a shard at any time during loading gives an error or a message, and ends.
#[test]
fn a_pack_truncated_or_written_to_while_it_is_loaded_is_an_error() {
    for (number, cut) in [(0, true), (1, true), (2, true), (3, true), (4, false), (5, false)] {
        let setting = Setting::new();
        setting.pack("out");
        let mut loader = Running::start(child("load", &setting.path("")).stdout(Stdio::piped()));
        let mut line = String::new();
        let mut output = BufReader::new(loader.stdout.take().unwrap());
        while !line.contains("loading") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "it ended before it loaded");
        }
        std::thread::sleep(Duration::from_millis(10 + 3 * number));
        let path = setting.path("out/shard-00002.h5");
        let mut shard = File::options().write(true).open(path).unwrap();
        if cut {
            shard.set_len(4096).unwrap();
        } else {
            shard.seek(SeekFrom::Start(9000)).unwrap();
            shard.write_all(&[7]).unwrap();
        }
        let (status, text) = loader.end();
        assert!(matches!(status.code(), Some(1 | 3)), "{status:?}: {text}");
        let expected = if cut { ["truncated: need", "cut short while"] } else { ["was changed while", "checksum of"] };
        assert!(expected.iter().any(|what| text.contains(what)), "{text}");
        assert!(text.contains("shard-00002.h5"), "{text}");
    }
}

#[test]
fn a_killed_packer_resumes_to_the_same_bytes() {
    let setting = Setting::new();
    setting.pack("unbroken");
    for shard in 0..3 {
        let in_next_shard = 5 * (shard + 1) + 1;
        let packer = Running::start(child("stall", &setting.path("")).env(POINT, in_next_shard.to_string()));
        wait_for(&setting.path(&format!("out/shard-0000{shard}.h5")));
        drop(packer);
    }
    assert_eq!(setting.pack("out").resumed_shards, 3);
    assert!(contents(&setting.path("out")) == contents(&setting.path("unbroken")));
}

#[test]
fn a_packer_killed_at_any_image_resumes_to_the_same_bytes() {
    let setting = Setting::new();
    setting.pack("unbroken");
    let unbroken = contents(&setting.path("unbroken"));
    // In the middle of each shard, at both ends of some, and, once all is packed, not at all.
    for at in [1, 5, 6, 10, 13, 19, 22, 23, 24] {
        let died = child("die", &setting.path("")).env(POINT, at.to_string()).output().unwrap();
        assert_eq!(died.status.success(), at > 23, "{at}");
        let finished = contents(&setting.path("out"));
        assert!(finished.iter().all(|file| unbroken.contains(file)), "killed at {at}: something is half written");
        assert!(
            at == 23 || finished.len() == if at > 23 { unbroken.len() } else { (at - 1) / 5 },
            "{at}: {}",
            finished.len()
        );
    }
    assert!(contents(&setting.path("out")) == unbroken);
}

/// A file size limit replaces a full disk where none can be mounted; it causes its own error.
#[test]
fn a_file_that_cannot_grow_is_an_error_and_keeps_what_is_finished() {
    let setting = Setting::new();
    let test = env::current_exe().unwrap();
    // In blocks of 512 bytes; the program survives the signal as the command does.
    let script = "trap '' XFSZ; ulimit -f $BLOCKS; exec \"$TEST\" --exact workers::the_task --nocapture";
    let mut refused = 0;
    for blocks in [8, 20, 40, 60, 80, 110] {
        let run = Command::new("sh")
            .args(["-c", script])
            .env("BLOCKS", blocks.to_string())
            .env("TEST", &test)
            .env(TASK, "pack")
            .env(FOLDER, setting.path(""))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&run.stderr);
        match run.status.code() {
            Some(0) => {}
            Some(3) => {
                refused += 1;
                assert!(
                    text.contains("finished shards are kept: free space, then run the same command again"),
                    "{text}"
                );
                assert!(text.contains("File too large"), "{blocks} blocks: {text}");
            }
            code => panic!("{blocks} blocks: {code:?}: {text}"),
        }
        let left = fs::read_dir(setting.path("out")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        assert!(left.filter(|name| name.contains("alexnet-tmp")).count() == 0, "{blocks} blocks");
    }
    assert!(refused > 0, "nothing was refused");
    setting.pack("unbroken");
    setting.pack("out");
    assert!(contents(&setting.path("out")) == contents(&setting.path("unbroken")));
}

#[test]
fn two_packers_do_not_share_a_folder() {
    let setting = Setting::new();
    let mut first = Running::start(&mut child("slowly", &setting.path("")));
    wait_for(&setting.path("out/shard-00000.h5"));
    let second = child("pack", &setting.path("")).output().unwrap();
    let text = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(3), "{text}");
    assert!(text.contains("another process is packing into this folder"), "{text}");
    first.end();
    assert_eq!(Pack::open(setting.path("out")).unwrap().len(), 23);
}

/// Runs on a file system of 60 KB in a separate namespace; skipped if the system does not allow that.
#[test]
fn a_full_disk_is_an_error_and_keeps_what_is_finished() {
    let setting = Setting::new();
    let out = setting.path("out");
    fs::create_dir(&out).unwrap();
    let test = env::current_exe().unwrap();
    let allowed = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this system does not let a file system be mounted in a namespace");
        return;
    }
    let script = "mount -t tmpfs -o size=${SIZE}k none \"$OUT\" || exit 77
        \"$TEST\" --exact workers::the_task --nocapture; code=$?; ls -A \"$OUT\" >&2; exit $code";
    for size in [20, 60, 100, 140, 180] {
        let run = Command::new("unshare")
            .args(["-rm", "sh", "-c", script])
            .env("OUT", &out)
            .env("TEST", &test)
            .env("SIZE", size.to_string())
            .env(TASK, "pack")
            .env(FOLDER, setting.path(""))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(3), "{size} KB: {text}");
        assert!(text.contains("No space left on device"), "{size} KB: {text}");
        assert!(!text.contains("alexnet-tmp"), "{size} KB: {text}");
        assert!(text.contains("shard-00000.h5") || size < 100, "{size} KB: {text}");
    }
}

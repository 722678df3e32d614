//! The folder of the demo: a new one, or that of an interrupted demo with the same settings.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use files::regular_file;
use serde::{Deserialize, Serialize};

use crate::args::Demo;
use crate::failure::{Failure, Result};

/// File of the demo's settings, which also identifies the folder.
const SETTINGS: &str = "demo.toml";

/// Settings on which everything in the folder depends.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    seed: u64,
    precision: String,
}

/// The folder, locked against a second demo while this value lives.
pub struct DemoFolder {
    path: PathBuf,
    _lock: File,
}

impl DemoFolder {
    /// Fails if a demo can neither start nor resume in the folder, before anything is written.
    pub fn check(args: &Demo) -> Result<()> {
        match entries(&args.out)? {
            0 => Ok(()),
            _ => check_settings(args),
        }
    }

    /// Creates the folder, or opens that of an interrupted demo with the same settings.
    pub fn open(args: &Demo) -> Result<Self> {
        let path = &args.out;
        let file = path.join(SETTINGS);
        files::folder::create_all(path).map_err(|e| failed(path, &e))?;
        if entries(path)? == 0 {
            let text = toml::to_string(&settings(args)).map_err(|e| Failure::Failed(e.to_string()))?;
            files::replace_bytes(&file, text.as_bytes())?;
        }
        check_settings(args)?;
        let lock = File::options().append(true).open(&file).map_err(|e| failed(&file, &e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let what = "another demo is running in this folder; wait, or choose another --out";
                return Err(Failure::Failed(format!("{}: {what}", path.display())));
            }
            Err(TryLockError::Error(e)) => return Err(failed(&file, &e)),
        }
        files::sweep(path).map_err(|e| failed(path, &e))?;
        Ok(Self { path: path.clone(), _lock: lock })
    }

    /// Whether the folder has an entry of this name.
    pub fn has(&self, name: &str) -> Result<bool> {
        let path = self.path.join(name);
        path.try_exists().map_err(|e| failed(&path, &e))
    }

    /// Creates a folder of this name and its contents by `fill`: complete, or, after an interruption, not at all.
    pub fn make(&self, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let path = self.path.join(name);
        if self.has(name)? {
            return Ok(path);
        }
        let part = self.path.join(format!("{name}.part"));
        match fs::remove_dir_all(&part) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(&part, &e)),
            _ => {}
        }
        fill(&part)?;
        fs::rename(&part, &path).map_err(|e| failed(&path, &e))?;
        files::sync_folder(&self.path).map_err(|e| failed(&self.path, &e))?;
        Ok(path)
    }
}

fn settings(args: &Demo) -> Settings {
    Settings { seed: args.seed, precision: args.compute.precision.clone() }
}

/// Number of entries in a folder, without the temporary files of interrupted writes.
fn entries(folder: &Path) -> Result<usize> {
    let mut count = 0;
    let listed = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(0),
        listed => listed.map_err(|e| failed(folder, &e))?,
    };
    for entry in listed {
        let name = entry.map_err(|e| failed(folder, &e))?.file_name();
        count += usize::from(!files::is_temporary(&name.to_string_lossy()));
    }
    Ok(count)
}

fn check_settings(args: &Demo) -> Result<()> {
    let out = args.out.display();
    let path = args.out.join(SETTINGS);
    let text = match regular_file::read_text(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Err(Failure::Failed(format!("{out}: is not empty; remove it, or choose another --out")));
        }
        text => text.map_err(|e| failed(&path, &e))?,
    };
    let found: Settings = toml::from_str(&text).map_err(|e| {
        Failure::Failed(format!("{}: not a demo's settings: {}; choose another --out", path.display(), e.message()))
    })?;
    let expected = settings(args);
    if found == expected {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "{out}: holds a demo with --seed {} --precision {}, expected --seed {} --precision {}; give the same, or choose \
         another --out",
        found.seed, found.precision, expected.seed, expected.precision
    )))
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", path.display()))
}

//! Which tile is fastest on this very device, measured where a product is first computed and kept on disk.
//!
//! Tiles do not change a bit of the result, so that what is measured, on a busy device even, changes nothing but speed.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cubecl::cache::{Cache, CacheOption};
use cubecl::prelude::*;

use super::tile::{Extent, Tile};
use super::view::Operand;
use super::{Factor, Job, Rounding, WIDEST};
use crate::gpu::{Dtype, Gpu, fault};
use crate::{Device, Result};

/// How many of the tiles that should be fastest are measured.
const CANDIDATES: usize = 4;
/// How long each is repeated, which is long beside what starting and waiting take.
const ENOUGH: Duration = Duration::from_millis(5);
const REPEATS: u32 = 50;

/// What is measured and where it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// Programs of one user may share it. Where it cannot be written, nothing is kept.
    pub folder: PathBuf,
    /// What tells devices apart whose fastest tiles differ: the model and the driver.
    pub device: String,
    /// Multiplications of the smallest products that are measured. Others take as long as it takes to start them.
    pub least: f64,
}

impl Tuning {
    /// In the user's folder for such files, `~/.cache/alexnet` on Linux.
    pub fn of_user(device: impl Into<String>) -> Self {
        Self { folder: crate::gpu::runtime::cache_folder(), device: device.into(), least: 5e7 }
    }
}

/// What the fastest tile depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    extent: Extent,
    factors: [(Operand, Dtype); 2],
    result: Dtype,
    /// Values of a vector of the result.
    width: usize,
    bias: bool,
    rounding: Rounding,
}

/// The line of the file.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Extent { m, n, k, batches } = self.extent;
        write!(f, "{batches} x {m} x {n} x {k} of ")?;
        for (Operand { kind, along, width }, dtype) in self.factors {
            write!(f, "{kind:?} {along:?} {dtype:?} by {width}, ")?;
        }
        let bias = if self.bias { "bias" } else { "no bias" };
        write!(f, "{:?} by {}, {bias}, {:?}", self.result, self.width, self.rounding)
    }
}

pub(crate) struct Tuner {
    tuning: Tuning,
    known: Mutex<Known>,
}

struct Known {
    tiles: HashMap<Shape, Tile>,
    /// None where even its folder's path is no good.
    disk: Option<Cache<String, String>>,
}

impl Tuner {
    pub(crate) fn new(tuning: Tuning) -> Self {
        let disk = fault::quietly(|| open(&tuning.folder, &tuning.device));
        Self { tuning, known: Mutex::new(Known { tiles: HashMap::new(), disk }) }
    }

    /// The tile for a job, of which `measure` tells the time; the first of `tiles` unless another is faster.
    fn tile(
        &self,
        shape: Shape,
        tiles: &[Tile],
        measure: impl Fn(Tile) -> Option<Duration>,
        before: impl FnOnce() -> Result<()>,
    ) -> Result<Tile> {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(&tile) = known.tiles.get(&shape) {
            return Ok(tile);
        }
        let key = shape.to_string();
        let kept = known.disk.as_ref().and_then(|disk| disk.get(&key));
        let tile = match kept.and_then(|name| tiles.iter().find(|tile| tile.to_string() == *name)) {
            Some(&tile) => tile,
            None => {
                before()?;
                let timed = tiles.iter().take(CANDIDATES).filter_map(|&tile| Some((measure(tile)?, tile)));
                let fastest = timed.min_by_key(|&(time, _)| time).map_or(tiles[0], |(_, tile)| tile);
                if let Some(disk) = &mut known.disk {
                    // Another process may have been first, or the disk be full: then it is measured again some day.
                    let _ = fault::quietly(|| disk.insert(key, fastest.to_string()).is_ok());
                }
                fastest
            }
        };
        known.tiles.insert(shape, tile);
        Ok(tile)
    }
}

/// A line a product, appended under a lock; lines that cannot be read are passed over.
fn open(folder: &Path, device: &str) -> Cache<String, String> {
    let options = CacheOption::default().root(folder).name("tiles").version(env!("CARGO_PKG_VERSION"));
    Cache::new(device.replace(['/', '\\'], "-"), options)
}

impl<R: Runtime> Gpu<R> {
    /// From now on measures tiles of large products where they are first computed, a few tenths of a second each, and
    /// keeps what was found. Devices of [`runtime`](crate::gpu::runtime) do so unless they are in software. Does nothing
    /// the second time.
    pub fn tune(&self, tuning: Tuning) {
        self.shared.tuner.get_or_init(|| Tuner::new(tuning));
    }

    fn shape(&self, job: &Job, rounding: Rounding) -> Shape {
        let Job { extent, a, b, output, .. } = job;
        let factor = |f: &Factor, rows| (self.operand(f, rows, extent.k, WIDEST), f.buffer.dtype());
        Shape {
            extent: *extent,
            factors: [factor(a, extent.m), factor(b, extent.n)],
            result: output.dtype,
            width: self.output_width(job),
            bias: job.bias.is_some(),
            rounding,
        }
    }

    /// Of `tiles`, the first of which should be fastest, the one that is.
    pub(super) fn fastest(&self, job: &Job, rounding: Rounding, tiles: &[Tile]) -> Result<Tile> {
        let Extent { m, n, k, batches } = job.extent;
        let work = [m, n, k, batches].iter().map(|&len| len as f64).product::<f64>();
        match self.shared.tuner.get() {
            Some(tuner) if work >= tuner.tuning.least && tiles.len() > 1 => tuner.tile(
                self.shape(job, rounding),
                tiles,
                |tile| self.measure(job, tile, rounding),
                // What failed before must not be taken for a tile's failure.
                || self.synchronize(),
            ),
            _ => Ok(tiles[0]),
        }
    }

    /// Seconds of one product; none if it failed.
    fn measure(&self, job: &Job, tile: Tile, rounding: Rounding) -> Option<Duration> {
        let run = |times: u32| {
            let start = Instant::now();
            for _ in 0..times {
                drop(self.product_by(job, tile, rounding));
            }
            self.synchronize().ok()?;
            Some(start.elapsed() / times)
        };
        // The first compiles the kernel.
        run(1)?;
        let once = run(1)?;
        let times = (ENOUGH.as_secs_f64() / once.as_secs_f64().max(1e-7)).ceil();
        run((times as u32).clamp(1, REPEATS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Precision;
    use crate::gpu::matrix::tile::UNITS;
    use crate::gpu::matrix::view::{Along, Kind};

    fn shape(m: usize) -> Shape {
        let factor = (Operand { kind: Kind::Matrix, along: Along::Depth, width: 4 }, Dtype::F32);
        let extent = Extent { m, n: 8, k: 8, batches: 1 };
        let rounding = Rounding::of(Precision::F32);
        Shape { extent, factors: [factor; 2], result: Dtype::F32, width: 4, bias: true, rounding }
    }

    fn tuner(folder: &Path) -> Tuner {
        Tuner::new(Tuning { folder: folder.into(), device: "a/model".into(), least: 0.0 })
    }

    /// The second candidate is fastest, the first fails.
    fn time(tile: Tile) -> Option<Duration> {
        let number = UNITS.iter().position(|&t| t == tile)?;
        (number > 0).then(|| Duration::from_micros(number as u64))
    }

    fn never(_: Tile) -> Option<Duration> {
        panic!("measured again")
    }

    #[test]
    fn what_was_measured_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let first = tuner(folder.path());
        assert_eq!(first.tile(shape(8), &UNITS, time, || Ok(())).unwrap(), UNITS[1]);
        assert_eq!(first.tile(shape(8), &UNITS, never, || panic!()).unwrap(), UNITS[1]);
        let second = tuner(folder.path());
        assert_eq!(second.tile(shape(8), &UNITS, never, || panic!()).unwrap(), UNITS[1]);
        assert_eq!(second.tile(shape(9), &UNITS[2..], time, || Ok(())).unwrap(), UNITS[2]);
    }

    #[test]
    fn where_nothing_can_be_measured_or_kept_the_first_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "not a folder").unwrap();
        let tuner = tuner(&file);
        assert_eq!(tuner.tile(shape(8), &UNITS, |_| None, || Ok(())).unwrap(), UNITS[0]);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a folder");
    }

    #[test]
    fn a_damaged_file_is_measured_again() {
        let folder = tempfile::tempdir().unwrap();
        tuner(folder.path()).tile(shape(8), &UNITS, time, || Ok(())).unwrap();
        let mut files = Vec::new();
        let mut folders = vec![folder.path().to_path_buf()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() { &mut folders } else { &mut files }.push(entry);
            }
        }
        let lines = files.iter().filter(|f| f.extension().is_some_and(|e| e == "log")).collect::<Vec<_>>();
        assert_eq!(lines.len(), 1, "{files:?}");
        let text = std::fs::read_to_string(lines[0]).unwrap();
        for damaged in [text.replace("128x64x8", "1x1x1"), text.replace('{', "["), text[..text.len() / 2].to_string()] {
            std::fs::write(lines[0], damaged).unwrap();
            assert_eq!(tuner(folder.path()).tile(shape(8), &UNITS, time, || Ok(())).unwrap(), UNITS[1]);
        }
    }

    #[test]
    fn an_error_of_before_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = crate::Error::Device { device: "a".into(), what: "lost".into() };
        let told = tuner(folder.path()).tile(shape(8), &UNITS, never, || Err(error));
        assert!(told.unwrap_err().to_string().contains("lost"));
    }
}

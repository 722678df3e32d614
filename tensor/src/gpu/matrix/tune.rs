//! Auto-tuning: measures which tile is fastest when a product is first computed, and caches the answer on disk.
//!
//! Tiles do not change a bit of the result, so a wrong measurement, e.g. on a busy device, costs only speed.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cubecl::cache::{Cache, CacheOption};
use cubecl::prelude::*;

use super::tile::{Problem, Tile};
use super::view::OperandSpec;
use super::{Gemm, MAX_WIDTH, Operand, OperandPrecision};
use crate::gpu::{Dtype, Gpu, fault};
use crate::{Device, Result};

/// The number of tiles that are measured, of those with the least estimated time.
const CANDIDATES: usize = 4;
/// The time that each tile is repeated for: long compared with launching and waiting.
const MEASURING_TIME: Duration = Duration::from_millis(5);
const MAX_REPEATS: u32 = 50;

/// Settings of the auto-tuner.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// The folder of the cache, which programs of one user may share. Without permission to write, nothing is cached.
    pub folder: PathBuf,
    /// Identifies devices that share their fastest tiles: the model and the driver.
    pub device: String,
    /// The fewest multiplications of a product that is measured. The time of smaller ones is that of their launch.
    pub min_multiplications: f64,
}

impl Tuning {
    /// Caches in the user's cache folder: `~/.cache/alexnet` on Linux.
    pub fn of_user(device: impl Into<String>) -> Self {
        let folder = crate::gpu::runtime::cache_folder();
        Self { folder, device: device.into(), min_multiplications: 5e7 }
    }
}

/// Everything that the fastest tile depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct TuneKey {
    problem: Problem,
    operands: [(OperandSpec, Dtype); 2],
    result: Dtype,
    /// The number of values in a vector of the result.
    width: usize,
    bias: bool,
    precision: OperandPrecision,
}

/// The key in the cache file.
impl fmt::Display for TuneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { m, n, k, batches } = self.problem;
        write!(f, "{batches} x {m} x {n} x {k} of ")?;
        for (OperandSpec { kind, contiguous, width }, dtype) in self.operands {
            write!(f, "{kind:?} {contiguous:?} {dtype:?} by {width}, ")?;
        }
        let bias = if self.bias { "bias" } else { "no bias" };
        write!(f, "{:?} by {}, {bias}, {:?}", self.result, self.width, self.precision)
    }
}

pub(crate) struct Tuner {
    tuning: Tuning,
    cache: Mutex<TileCache>,
}

struct TileCache {
    tiles: HashMap<TuneKey, Tile>,
    /// `None` where the folder cannot be used.
    disk: Option<Cache<String, String>>,
}

impl Tuner {
    pub(crate) fn new(tuning: Tuning) -> Self {
        let disk = fault::catch_panic(|| open(&tuning.folder, &tuning.device));
        Self { tuning, cache: Mutex::new(TileCache { tiles: HashMap::new(), disk }) }
    }

    /// The fastest of `tiles` by `measure`, from the cache where it is there. `prepare` runs before a measurement. Where
    /// nothing can be measured, the first tile.
    fn tile(
        &self,
        key: TuneKey,
        tiles: &[Tile],
        measure: impl Fn(Tile) -> Option<Duration>,
        prepare: impl FnOnce() -> Result<()>,
    ) -> Result<Tile> {
        let mut cache = self.cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(&tile) = cache.tiles.get(&key) {
            return Ok(tile);
        }
        let line = key.to_string();
        let name = cache.disk.as_ref().and_then(|disk| disk.get(&line));
        let cached = name.and_then(|name| tiles.iter().find(|tile| tile.to_string() == *name)).copied();
        let tile = match cached {
            Some(tile) => tile,
            None => {
                prepare()?;
                let fastest = fastest_of(tiles, measure);
                if let Some(disk) = &mut cache.disk {
                    // Fails where another process was first or the disk is full: a later run measures again.
                    let _ = fault::catch_panic(|| disk.insert(line, fastest.to_string()).is_ok());
                }
                fastest
            }
        };
        cache.tiles.insert(key, tile);
        Ok(tile)
    }
}

/// The fastest of the first few tiles; the first where nothing can be measured.
fn fastest_of(tiles: &[Tile], measure: impl Fn(Tile) -> Option<Duration>) -> Tile {
    let timed = tiles.iter().take(CANDIDATES).filter_map(|&tile| Some((measure(tile)?, tile)));
    timed.min_by_key(|&(time, _)| time).map_or(tiles[0], |(_, tile)| tile)
}

/// Opens the cache file: one line for each product, appended under a lock. Lines that cannot be read are skipped.
fn open(folder: &Path, device: &str) -> Cache<String, String> {
    let options = CacheOption::default().root(folder).name("tiles").version(env!("CARGO_PKG_VERSION"));
    Cache::new(device.replace(['/', '\\'], "-"), options)
}

impl<R: Runtime> Gpu<R> {
    /// Turns auto-tuning on: large products measure their tiles when they are first computed, a few tenths of a second
    /// each, and the fastest is cached. [`runtime`](crate::gpu::runtime) turns it on for all but software devices. A second
    /// call has no effect.
    pub fn tune(&self, tuning: Tuning) {
        self.shared.tuner.get_or_init(|| Tuner::new(tuning));
    }

    fn tune_key(&self, gemm: &Gemm, precision: OperandPrecision) -> TuneKey {
        let Gemm { problem, a, b, output, .. } = gemm;
        let operand = |o: &Operand, rows| (self.operand_spec(o, rows, problem.k, MAX_WIDTH), o.buffer.dtype());
        TuneKey {
            problem: *problem,
            operands: [operand(a, problem.m), operand(b, problem.n)],
            result: output.dtype,
            width: self.output_width(gemm),
            bias: gemm.bias.is_some(),
            precision,
        }
    }

    /// The fastest of `tiles`, which are in order of estimated time.
    pub(super) fn fastest(&self, gemm: &Gemm, precision: OperandPrecision, tiles: &[Tile]) -> Result<Tile> {
        let Problem { m, n, k, batches } = gemm.problem;
        let multiplications = [m, n, k, batches].iter().map(|&len| len as f64).product::<f64>();
        match self.shared.tuner.get() {
            Some(tuner) if multiplications >= tuner.tuning.min_multiplications && tiles.len() > 1 => tuner.tile(
                self.tune_key(gemm, precision),
                tiles,
                |tile| self.measure(gemm, tile, precision),
                // An earlier failure must not be mistaken for a tile's.
                || self.synchronize(),
            ),
            _ => Ok(tiles[0]),
        }
    }

    /// The time of one product; `None` if it failed.
    fn measure(&self, gemm: &Gemm, tile: Tile, precision: OperandPrecision) -> Option<Duration> {
        let mean_time = |times: u32| {
            let start = Instant::now();
            for _ in 0..times {
                drop(self.product_by(gemm, tile, precision));
            }
            self.synchronize().ok()?;
            Some(start.elapsed() / times)
        };
        // The first run compiles the kernel.
        mean_time(1)?;
        let once = mean_time(1)?;
        let times = (MEASURING_TIME.as_secs_f64() / once.as_secs_f64().max(1e-7)).ceil();
        mean_time((times as u32).clamp(1, MAX_REPEATS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Precision;
    use crate::gpu::matrix::tile::REGISTER_TILES;
    use crate::gpu::matrix::view::{Axis, ViewKind};

    fn key(m: usize) -> TuneKey {
        let operand = (OperandSpec { kind: ViewKind::Matrix, contiguous: Axis::Depth, width: 4 }, Dtype::F32);
        let problem = Problem { m, n: 8, k: 8, batches: 1 };
        let precision = OperandPrecision::of(Precision::F32);
        TuneKey { problem, operands: [operand; 2], result: Dtype::F32, width: 4, bias: true, precision }
    }

    fn tuner(folder: &Path) -> Tuner {
        Tuner::new(Tuning { folder: folder.into(), device: "a/model".into(), min_multiplications: 0.0 })
    }

    /// The second candidate is fastest, the first fails.
    fn time(tile: Tile) -> Option<Duration> {
        let index = REGISTER_TILES.iter().position(|&t| t == tile)?;
        (index > 0).then(|| Duration::from_micros(index as u64))
    }

    fn never(_: Tile) -> Option<Duration> {
        panic!("measured again")
    }

    #[test]
    fn measurements_are_cached() {
        let folder = tempfile::tempdir().unwrap();
        let first = tuner(folder.path());
        assert_eq!(first.tile(key(8), &REGISTER_TILES, time, || Ok(())).unwrap(), REGISTER_TILES[1]);
        assert_eq!(first.tile(key(8), &REGISTER_TILES, never, || panic!()).unwrap(), REGISTER_TILES[1]);
        let second = tuner(folder.path());
        assert_eq!(second.tile(key(8), &REGISTER_TILES, never, || panic!()).unwrap(), REGISTER_TILES[1]);
        assert_eq!(second.tile(key(9), &REGISTER_TILES[2..], time, || Ok(())).unwrap(), REGISTER_TILES[2]);
    }

    #[test]
    fn the_first_tile_is_used_where_nothing_can_be_measured_or_cached() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "not a folder").unwrap();
        let tuner = tuner(&file);
        assert_eq!(tuner.tile(key(8), &REGISTER_TILES, |_| None, || Ok(())).unwrap(), REGISTER_TILES[0]);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a folder");
    }

    #[test]
    fn damaged_lines_are_measured_again() {
        let folder = tempfile::tempdir().unwrap();
        tuner(folder.path()).tile(key(8), &REGISTER_TILES, time, || Ok(())).unwrap();
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
            assert_eq!(tuner(folder.path()).tile(key(8), &REGISTER_TILES, time, || Ok(())).unwrap(), REGISTER_TILES[1]);
        }
    }

    #[test]
    fn an_earlier_error_is_returned() {
        let folder = tempfile::tempdir().unwrap();
        let error = crate::Error::Device { device: "a".into(), what: "lost".into() };
        let result = tuner(folder.path()).tile(key(8), &REGISTER_TILES, never, || Err(error));
        assert!(result.unwrap_err().to_string().contains("lost"));
    }
}

//! A backend that times each kernel of another: what a network really runs, call by call.
//!
//! Every call goes to the backend underneath. After [`Timed::begin`] each call is timed as it is made, with the caches as the
//! calls before have left them. On a device that queues its work that would time launches: there, after
//! [`Timed::begin_repeated`], a call is made once to warm up and then again and again; its result is that of the last time.
//! A kernel that writes in place thus does so several times: the times are a step's, its numbers are not.

mod kernels;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::plan::Plan;
use crate::{Backend, Device, Memory, Result};

/// One call of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What the work was for, as [`Device::mark`] was last told: a layer's name, or nothing.
    pub place: Arc<str>,
    /// The kernel.
    pub kernel: &'static str,
    /// Seconds: those of the call, or the mean of a row of them where they are repeated.
    pub seconds: f64,
    /// Multiplications and additions of products and convolutions, as they are defined; 0 for what memory bounds.
    pub flops: f64,
    /// Those that the backend's algorithm really does.
    pub done: f64,
    /// Bytes that must be moved at least: each operand read once, each result written once.
    pub bytes: u64,
}

/// The most times that one call is repeated.
const MAX_REPEATS: u32 = 200;

/// A backend whose kernels are timed one by one.
pub struct Timed<B: Backend> {
    inner: B,
    log: Arc<Mutex<Log>>,
}

struct Log {
    place: Arc<str>,
    mode: Mode,
    calls: Vec<Call>,
}

#[derive(Clone, Copy)]
enum Mode {
    Off,
    Once,
    Repeated(Duration),
}

impl<B: Backend> Timed<B> {
    /// Calls `inner`, and times nothing yet.
    pub fn new(inner: B) -> Self {
        Self { inner, log: Arc::new(Mutex::new(Log { place: "".into(), mode: Mode::Off, calls: Vec::new() })) }
    }

    /// From now on each call is timed.
    pub fn begin(&self) {
        self.log().mode = Mode::Once;
    }

    /// From now on each call is timed by repeating it for about `budget`.
    pub fn begin_repeated(&self, budget: Duration) {
        self.log().mode = Mode::Repeated(budget);
    }

    /// Ends that, and gives the calls in their order.
    pub fn end(&self) -> Vec<Call> {
        let mut log = self.log();
        log.mode = Mode::Off;
        std::mem::take(&mut log.calls)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a kernel that reads `read` bytes and writes what `written` finds in its result.
    fn call<T>(
        &self,
        kernel: &'static str,
        flops: f64,
        read: u64,
        written: impl FnOnce(&B, &T) -> u64,
        run: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        self.call_doing(kernel, [flops, flops], read, written, run)
    }

    /// The same where the algorithm may do less than the sums as they are defined: `[flops, done]`.
    fn call_doing<T>(
        &self,
        kernel: &'static str,
        [flops, done]: [f64; 2],
        read: u64,
        written: impl FnOnce(&B, &T) -> u64,
        mut run: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let mode = self.log().mode;
        let (seconds, result) = match mode {
            Mode::Off => return run(),
            Mode::Once => {
                let at = Instant::now();
                let result = run()?;
                self.inner.synchronize()?;
                (at.elapsed().as_secs_f64(), result)
            }
            Mode::Repeated(budget) => {
                run()?;
                self.mean(budget, &mut run)?
            }
        };
        let bytes = read + written(&self.inner, &result);
        let mut log = self.log();
        let place = Arc::clone(&log.place);
        log.calls.push(Call { place, kernel, seconds, flops, done, bytes });
        Ok(result)
    }

    /// Waits only at the ends, so that the device always has work.
    fn mean<T>(&self, budget: Duration, run: &mut impl FnMut() -> Result<T>) -> Result<(f64, T)> {
        let mut stretch = |calls: u32| {
            self.inner.synchronize()?;
            let at = Instant::now();
            let mut result = run()?;
            for _ in 1..calls {
                result = run()?;
            }
            self.inner.synchronize()?;
            Ok((at.elapsed().as_secs_f64() / f64::from(calls), result))
        };
        let (once, result) = stretch(1)?;
        match (budget.as_secs_f64() / once.max(1e-9)) as u32 {
            0 | 1 => Ok((once, result)),
            calls => {
                drop(result);
                stretch(calls.min(MAX_REPEATS))
            }
        }
    }
}

impl<B: Backend> Clone for Timed<B> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), log: Arc::clone(&self.log) }
    }
}

impl<B: Backend> fmt::Debug for Timed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timed({:?})", self.inner)
    }
}

impl<B: Backend> Device for Timed<B> {
    type Elem = B::Elem;
    type Floats = B::Floats;
    type Ints = B::Ints;

    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn upload(&self, values: &[B::Elem]) -> Result<B::Floats> {
        self.call("upload", 0.0, 0, B::bytes, || self.inner.upload(values))
    }

    fn download(&self, buffer: &B::Floats) -> Result<Vec<B::Elem>> {
        self.call("download", 0.0, self.inner.bytes(buffer), |_, _| 0, || self.inner.download(buffer))
    }

    fn filled(&self, len: usize, value: B::Elem) -> Result<B::Floats> {
        self.call("fill", 0.0, 0, B::bytes, || self.inner.filled(len, value))
    }

    fn upload_ints(&self, values: &[u32]) -> Result<B::Ints> {
        self.call("upload", 0.0, 0, B::int_bytes, || self.inner.upload_ints(values))
    }

    fn download_ints(&self, buffer: &B::Ints) -> Result<Vec<u32>> {
        self.call("download", 0.0, self.inner.int_bytes(buffer), |_, _| 0, || self.inner.download_ints(buffer))
    }

    fn download_all(&self, floats: &[&B::Floats], ints: &[&B::Ints]) -> Result<(Vec<Vec<B::Elem>>, Vec<Vec<u32>>)> {
        let read = floats.iter().map(|x| self.inner.bytes(x)).chain(ints.iter().map(|x| self.inner.int_bytes(x))).sum();
        self.call("download", 0.0, read, |_, _| 0, || self.inner.download_all(floats, ints))
    }

    fn to_activations(&self, buffer: &B::Floats) -> Result<B::Floats> {
        self.call("cast", 0.0, self.inner.bytes(buffer), B::bytes, || self.inner.to_activations(buffer))
    }

    fn upload_bytes(&self, bytes: &[u8]) -> Result<B::Ints> {
        self.call("upload", 0.0, 0, B::int_bytes, || self.inner.upload_bytes(bytes))
    }

    fn bytes(&self, buffer: &B::Floats) -> u64 {
        self.inner.bytes(buffer)
    }

    fn int_bytes(&self, buffer: &B::Ints) -> u64 {
        self.inner.int_bytes(buffer)
    }

    fn mark(&self, place: &str) {
        self.inner.mark(place);
        let mut log = self.log();
        if *log.place != *place {
            log.place = place.into();
        }
    }

    fn is_asynchronous(&self) -> bool {
        self.inner.is_asynchronous()
    }

    fn memory(&self) -> Option<Memory> {
        self.inner.memory()
    }

    fn plan(&self) -> Plan {
        self.inner.plan()
    }

    fn synchronize(&self) -> Result<()> {
        self.inner.synchronize()
    }
}

impl<B: Backend> Backend for Timed<B> {}

//! A profiler: a backend that times each kernel of another.
//!
//! Every call goes to the backend underneath. After [`Profiled::begin`] each call is timed as it is made, with the caches as
//! the calls before have left them. On a device that queues its work that would time launches: there, after
//! [`Profiled::begin_repeated`], a call is made once to warm up and then repeated; its result is that of the last time. A
//! kernel that writes in place thus does so several times: the times are those of a step, the numbers are not.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::dry_run::MemoryModel;
use crate::{Backend, Device, Kernel, Memory, Operands, Operation, Outputs, Result, Workspace};

/// One call of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The layer's name as given to [`Device::set_scope`], or nothing.
    pub scope: Arc<str>,
    /// The kernel.
    pub kernel: &'static str,
    /// Seconds of the call, or their mean where it is repeated.
    pub seconds: f64,
    /// Multiplications and additions of products and convolutions, as they are defined; 0 where memory is the limit.
    pub flops: f64,
    /// Multiplications and additions that the backend's algorithm executes.
    pub executed_flops: f64,
    /// The fewest bytes that must be moved: each operand read once, each result written once.
    pub bytes: u64,
}

/// The most times that one call is repeated.
const MAX_REPEATS: u32 = 200;

/// A backend whose kernels are timed one by one.
pub struct Profiled<B: Backend> {
    inner: B,
    log: Arc<Mutex<Log>>,
}

struct Log {
    scope: Arc<str>,
    mode: Mode,
    calls: Vec<Call>,
}

#[derive(Clone, Copy)]
enum Mode {
    Off,
    Once,
    Repeated(Duration),
}

impl<B: Backend> Profiled<B> {
    /// Calls `inner`, and times nothing yet.
    pub fn new(inner: B) -> Self {
        Self { inner, log: Arc::new(Mutex::new(Log { scope: "".into(), mode: Mode::Off, calls: Vec::new() })) }
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

    /// A transfer: a call that reads `read` bytes and writes as many as `written` says of its result.
    fn transfer<T>(
        &self,
        kernel: &'static str,
        read: u64,
        written: impl FnOnce(&B, &T) -> u64,
        run: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        self.call(kernel, [0.0; 2], |device, result| read + written(device, result), run)
    }

    /// A call of a kernel with its floating-point operations, as defined and as executed, and its bytes given its result.
    fn call<T>(
        &self,
        kernel: &'static str,
        [flops, executed_flops]: [f64; 2],
        bytes: impl FnOnce(&B, &T) -> u64,
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
        let bytes = bytes(&self.inner, &result);
        let mut log = self.log();
        let scope = Arc::clone(&log.scope);
        log.calls.push(Call { scope, kernel, seconds, flops, executed_flops, bytes });
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

impl<B: Backend> Clone for Profiled<B> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), log: Arc::clone(&self.log) }
    }
}

impl<B: Backend> fmt::Debug for Profiled<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Profiled({:?})", self.inner)
    }
}

impl<B: Backend> Device for Profiled<B> {
    type Scalar = B::Scalar;
    type FloatBuffer = B::FloatBuffer;
    type IntBuffer = B::IntBuffer;

    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn upload(&self, values: &[B::Scalar]) -> Result<B::FloatBuffer> {
        self.transfer("upload", 0, B::bytes, || self.inner.upload(values))
    }

    fn download(&self, buffer: &B::FloatBuffer) -> Result<Vec<B::Scalar>> {
        self.transfer("download", self.inner.bytes(buffer), |_, _| 0, || self.inner.download(buffer))
    }

    fn full(&self, len: usize, value: B::Scalar) -> Result<B::FloatBuffer> {
        self.transfer("fill", 0, B::bytes, || self.inner.full(len, value))
    }

    fn upload_ints(&self, values: &[u32]) -> Result<B::IntBuffer> {
        self.transfer("upload", 0, B::int_bytes, || self.inner.upload_ints(values))
    }

    fn download_ints(&self, buffer: &B::IntBuffer) -> Result<Vec<u32>> {
        self.transfer("download", self.inner.int_bytes(buffer), |_, _| 0, || self.inner.download_ints(buffer))
    }

    fn download_all(
        &self,
        floats: &[&B::FloatBuffer],
        ints: &[&B::IntBuffer],
    ) -> Result<(Vec<Vec<B::Scalar>>, Vec<Vec<u32>>)> {
        let read = floats.iter().map(|x| self.inner.bytes(x)).chain(ints.iter().map(|x| self.inner.int_bytes(x))).sum();
        self.transfer("download", read, |_, _| 0, || self.inner.download_all(floats, ints))
    }

    fn to_activation_dtype(&self, buffer: &B::FloatBuffer) -> Result<B::FloatBuffer> {
        self.transfer("cast", self.inner.bytes(buffer), B::bytes, || self.inner.to_activation_dtype(buffer))
    }

    fn upload_bytes(&self, bytes: &[u8]) -> Result<B::IntBuffer> {
        self.transfer("upload", 0, B::int_bytes, || self.inner.upload_bytes(bytes))
    }

    fn upload_images(&self, bytes: &[u8]) -> Result<B::IntBuffer> {
        self.transfer("upload images", 0, B::int_bytes, || self.inner.upload_images(bytes))
    }

    fn bytes(&self, buffer: &B::FloatBuffer) -> u64 {
        self.inner.bytes(buffer)
    }

    fn int_bytes(&self, buffer: &B::IntBuffer) -> u64 {
        self.inner.int_bytes(buffer)
    }

    fn set_scope(&self, layer: &str) {
        self.inner.set_scope(layer);
        let mut log = self.log();
        if *log.scope != *layer {
            log.scope = layer.into();
        }
    }

    fn is_asynchronous(&self) -> bool {
        self.inner.is_asynchronous()
    }

    fn memory(&self) -> Option<Memory> {
        self.inner.memory()
    }

    fn synchronize(&self) -> Result<()> {
        self.inner.synchronize()
    }
}

impl<B: Backend + Kernel<O>, O: Operation> Kernel<O> for Profiled<B> {
    fn run(
        &self,
        op: &O,
        mut operands: O::In<'_, B::FloatBuffer, B::IntBuffer>,
    ) -> Result<O::Out<B::FloatBuffer, B::IntBuffer>> {
        let device = &self.inner;
        let operand_bytes = size(device, operands.floats(), operands.ints());
        let read = op.bytes_read().unwrap_or(operand_bytes);
        let changed: u64 = operands.in_place().into_iter().map(|buffer| device.bytes(buffer)).sum();
        let bytes = |device: &B, outputs: &O::Out<B::FloatBuffer, B::IntBuffer>| {
            read + changed + size(device, outputs.floats(), outputs.ints())
        };
        let flops = [op.flops(), device.executed_flops(op)];
        self.call(op.name(), flops, bytes, || device.run(op, O::reborrow(&mut operands)))
    }

    fn executed_flops(&self, op: &O) -> f64 {
        self.inner.executed_flops(op)
    }

    fn workspace(&self, op: &O) -> Workspace {
        self.inner.workspace(op)
    }

    fn is_fused(&self, op: &O) -> bool {
        self.inner.is_fused(op)
    }

    fn runs_in_place(&self, op: &O) -> bool {
        self.inner.runs_in_place(op)
    }
}

fn size<'b, B: Device>(
    device: &B,
    floats: impl IntoIterator<Item = &'b B::FloatBuffer>,
    ints: impl IntoIterator<Item = &'b B::IntBuffer>,
) -> u64 {
    let floats: u64 = floats.into_iter().map(|buffer| device.bytes(buffer)).sum();
    let ints: u64 = ints.into_iter().map(|buffer| device.int_bytes(buffer)).sum();
    floats + ints
}

impl<B: Backend> Backend for Profiled<B> {
    fn memory_model(&self) -> MemoryModel {
        self.inner.memory_model()
    }
}

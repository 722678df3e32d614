//! A profiler: a backend that times each kernel of another backend.
//!
//! After [`Profiled::begin`], each call is timed once, with the caches in the state that earlier calls left. On a device
//! that queues its work, this would include the wait for the device. For such devices, [`Profiled::begin_repeated`] runs
//! each call once to warm up and then repeats it. A kernel that writes in place does so every time: the times are those of
//! a training step, the values are not.
//!
//! ```
//! use alexnet_tensor::{Cpu, Profiled, Result, Tensor};
//!
//! # fn main() -> Result<()> {
//! let device = Profiled::new(Cpu::<f32>::new(1)?);
//! let x = Tensor::full(&device, &[8, 64], 0.5)?;
//! let w = Tensor::full(&device, &[32, 64], 0.1)?;
//! device.begin();
//! x.linear(&w, None, true)?;
//! let calls = device.end();
//! assert_eq!(calls.len(), 1);
//! assert_eq!(calls[0].flops, 2.0 * 8.0 * 64.0 * 32.0);
//! # Ok(())
//! # }
//! ```

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::device::sealed::Sealed;
use crate::dry_run::MemoryModel;
use crate::{Backend, Device, HostImages, Kernel, Memory, Operands, Operation, Outputs, Result, Workspace};

/// A timed call of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The layer's name, from [`Device::set_scope`], or nothing.
    pub scope: Arc<str>,
    /// The kernel's name.
    pub kernel: &'static str,
    /// The time of the call in seconds; the mean where it was repeated.
    pub seconds: f64,
    /// Multiplications and additions of matrix products and convolutions, by definition; 0 for memory-bound kernels.
    pub flops: f64,
    /// Multiplications and additions that the backend's algorithm executes.
    pub executed_flops: f64,
    /// The least memory traffic in bytes: each operand read once, each result written once.
    pub bytes: u64,
}

/// The most repeats of one call.
const MAX_REPEATS: u32 = 200;

/// A backend that times the kernels of another one.
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
    /// A profiler of `inner`, not started.
    pub fn new(inner: B) -> Self {
        Self { inner, log: Arc::new(Mutex::new(Log { scope: "".into(), mode: Mode::Off, calls: Vec::new() })) }
    }

    /// Starts to time each call.
    pub fn begin(&self) {
        self.log().mode = Mode::Once;
    }

    /// Starts to time each call by repeating it for about `budget`.
    pub fn begin_repeated(&self, budget: Duration) {
        self.log().mode = Mode::Repeated(budget);
    }

    /// Stops, and returns the timed calls in order.
    pub fn end(&self) -> Vec<Call> {
        let mut log = self.log();
        log.mode = Mode::Off;
        std::mem::take(&mut log.calls)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a transfer, which reads `read` bytes and writes `written` bytes, computed from its result.
    fn transfer<T>(
        &self,
        kernel: &'static str,
        read: u64,
        written: impl FnOnce(&B, &T) -> u64,
        run: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        self.call(kernel, [0.0; 2], |device, result| read + written(device, result), run)
    }

    /// Runs and times a call. Its FLOPs are given by definition and as executed, its bytes computed from its result.
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
                let start = Instant::now();
                let result = run()?;
                self.inner.synchronize()?;
                (start.elapsed().as_secs_f64(), result)
            }
            Mode::Repeated(budget) => {
                run()?;
                self.repeat(budget, &mut run)?
            }
        };
        let bytes = bytes(&self.inner, &result);
        let mut log = self.log();
        let scope = Arc::clone(&log.scope);
        log.calls.push(Call { scope, kernel, seconds, flops, executed_flops, bytes });
        Ok(result)
    }

    /// The mean time of repeated calls in seconds, and the last result. Waits for the device only before the first call and
    /// after the last, so that the device always has work.
    fn repeat<T>(&self, budget: Duration, run: &mut impl FnMut() -> Result<T>) -> Result<(f64, T)> {
        let mut mean_of = |calls: u32| {
            self.inner.synchronize()?;
            let start = Instant::now();
            let mut result = run()?;
            for _ in 1..calls {
                result = run()?;
            }
            self.inner.synchronize()?;
            Ok((start.elapsed().as_secs_f64() / f64::from(calls), result))
        };
        let (seconds, result) = mean_of(1)?;
        let calls = (budget.as_secs_f64() / seconds.max(1e-9)) as u32;
        if calls <= 1 {
            return Ok((seconds, result));
        }
        drop(result);
        mean_of(calls.min(MAX_REPEATS))
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

impl<B: Backend> Sealed for Profiled<B> {}

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

    fn read<'a>(&self, buffer: &'a B::FloatBuffer) -> Result<Cow<'a, [B::Scalar]>> {
        self.transfer("download", self.inner.bytes(buffer), |_, _| 0, || self.inner.read(buffer))
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
        let read = total_bytes(&self.inner, floats.iter().copied(), ints.iter().copied());
        self.transfer("download", read, |_, _| 0, || self.inner.download_all(floats, ints))
    }

    fn to_weight_dtype(&self, buffer: &B::FloatBuffer, rows: usize) -> Result<B::FloatBuffer> {
        self.transfer("cast", self.inner.bytes(buffer), B::bytes, || self.inner.to_weight_dtype(buffer, rows))
    }

    fn to_activation_dtype(&self, buffer: &B::FloatBuffer) -> Result<B::FloatBuffer> {
        self.transfer("cast", self.inner.bytes(buffer), B::bytes, || self.inner.to_activation_dtype(buffer))
    }

    fn reads_host_memory(&self) -> bool {
        self.inner.reads_host_memory()
    }

    fn upload_images(&self, images: &dyn HostImages) -> Result<B::IntBuffer> {
        self.transfer("upload images", 0, B::int_bytes, || self.inner.upload_images(images))
    }

    fn buffer_len(&self, buffer: &B::FloatBuffer) -> usize {
        self.inner.buffer_len(buffer)
    }

    fn int_buffer_len(&self, buffer: &B::IntBuffer) -> usize {
        self.inner.int_buffer_len(buffer)
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
        let operand_bytes = total_bytes(device, operands.floats(), operands.ints());
        let read = op.bytes_read().unwrap_or(operand_bytes);
        let changed: u64 = operands.in_place().into_iter().map(|buffer| device.bytes(buffer)).sum();
        let bytes = |device: &B, outputs: &O::Out<B::FloatBuffer, B::IntBuffer>| {
            read + changed + total_bytes(device, outputs.floats(), outputs.ints())
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

    fn widens_bf16(&self, op: &O) -> bool {
        self.inner.widens_bf16(op)
    }

    fn runs_in_place(&self, op: &O) -> bool {
        self.inner.runs_in_place(op)
    }
}

/// The bytes of some buffers.
fn total_bytes<'b, B: Device>(
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

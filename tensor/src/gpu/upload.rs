//! Copies to the device in a queue of their own, beside the work of the thread that computes.
//!
//! CubeCL gives every thread a queue (a CUDA stream) and makes one wait for another where it uses the other's memory.
//! Two things it does not do in 0.10. `ComputeClient::create` copies what it is given into pageable memory, even from
//! pinned memory, so that the driver would copy it a third time and block meanwhile: here bytes are written to pinned
//! memory and handed to the server. And memory is given out again in the queue that it was taken from without asking
//! whether another queue still reads it: [`Gpu::hold_until`] makes the queue of uploads wait for the reader.

use cubecl::bytes::Bytes;
use cubecl::prelude::*;
use cubecl::server::{ComputeServer, CopyDescriptor, Handle};
use cubecl::stream_id::StreamId;

use super::fault::{self, Fault};
use super::precision::dispatch;
use super::{Buffer, Gpu, IntBuffer};
use crate::Result;

/// The queue of uploads. Threads are numbered from 0.
const UPLOADS: StreamId = StreamId { value: u64::MAX };

impl<R: Runtime> Gpu<R> {
    /// A buffer in the queue of uploads, whose copy may still be under way: what reads it must be followed by
    /// [`hold_until`](Self::hold_until).
    pub(crate) fn upload_beside(&self, bytes: &[u8]) -> Result<IntBuffer> {
        if let Some(Fault::Panic(message)) = UPLOADS.executes(fault::take) {
            return Err(self.panicked(&message));
        }
        let words = bytes.len().div_ceil(4).max(1);
        self.size(words, 4)?;
        let mut staged = self.staging(4 * words);
        staged[..bytes.len()].copy_from_slice(bytes);
        staged[bytes.len()..].fill(0);

        let alignment = self.client().properties().memory.alignment.max(1);
        let (used, size) = (4 * words as u64, (4 * words as u64).next_multiple_of(alignment));
        let handle = Handle::new(UPLOADS, size).offset_end(size - used);
        let memory = handle.memory.clone();
        let copy = CopyDescriptor::new(handle.clone().binding(), [4 * words].into(), [1].into(), 1);
        // In one task: a reader of another upload that came between would make its queue believe that it had waited
        // for this copy too.
        let written = self.server().submit_blocking(move |server| {
            server.initialize_memory(memory, size, UPLOADS);
            server.write(vec![(copy, staged)], UPLOADS);
        });
        match (written, fault::take()) {
            (Ok(()), None) => Ok(IntBuffer::new(handle, bytes.len().div_ceil(4))),
            (_, Some(Fault::Panic(message))) => Err(self.panicked(&message)),
            (_, Some(Fault::Refused(error))) => Err(error),
            (Err(_), None) => Err(self.failed("its thread does not answer")),
        }
    }

    /// Memory that the device reads by itself, where there is such.
    fn staging(&self, len: usize) -> Bytes {
        let pinned = self.server().submit_blocking(move |server| server.staging(&[len], UPLOADS));
        let pinned = pinned.ok().and_then(std::result::Result::ok).and_then(|mut staged| staged.pop());
        pinned.filter(|staged| staged.len() == len).unwrap_or_else(|| Bytes::from_bytes_vec(vec![0; len]))
    }

    /// Makes later uploads wait until `written`, just made from the uploaded `read` in the calling thread's queue, is
    /// done, so that they do not overwrite what it is made from.
    pub(crate) fn hold_until(&self, written: &Buffer, read: &IntBuffer) {
        if read.handle().stream != UPLOADS || written.len() == 0 || read.len() == 0 {
            return;
        }
        UPLOADS.executes(|| {
            let (count, dim) = (CubeCount::new_single(), CubeDim::new_single());
            let taken = self.empty_ints(1);
            dispatch!(written.dtype(), F => {
                take_kernel::launch::<F, R>(self.client(), count, dim, written.arg(), read.arg(), taken.arg());
            });
        });
    }
}

/// Uses both buffers; the launch is what counts.
#[cube(launch)]
fn take_kernel<F: Float>(written: &Array<F>, read: &Array<u32>, taken: &mut Array<u32>) {
    if ABSOLUTE_POS == 0 {
        taken[0] = select(written[0] == F::new(0.0), read[0], 0u32);
    }
}

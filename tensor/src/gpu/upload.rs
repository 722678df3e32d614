//! Asynchronous uploads: copies to the device on a stream of their own, while other streams compute.
//!
//! CubeCL gives every thread a stream and makes it wait for another where it uses the other's memory. CubeCL 0.10 lacks
//! two things:
//! - `ComputeClient::create` copies its input to pageable memory, from which the driver copies it once more and blocks
//!   meanwhile. Here images are copied from where they are, such as a mapped file, to pinned memory, which the server
//!   uploads directly.
//! - Freed memory is reused on its stream even if another stream still reads it. [`Gpu::make_uploads_wait`] makes the
//!   upload stream wait for the reader.

use cubecl::bytes::Bytes;
use cubecl::prelude::*;
use cubecl::server::{ComputeServer, CopyDescriptor, Handle};
use cubecl::stream_id::StreamId;

use super::fault::{self, Fault};
use super::precision::dispatch;
use super::{Buffer, Gpu, IntBuffer};
use crate::{HostImages, Result};

/// The stream of uploads. The streams of threads are numbered from 0.
const UPLOADS: StreamId = StreamId { value: u64::MAX };

impl<R: Runtime> Gpu<R> {
    /// Starts an upload of images, one after another, and returns its buffer, which belongs to the upload stream. After
    /// the kernel that reads it, call [`make_uploads_wait`](Self::make_uploads_wait).
    pub(crate) fn upload_in_background(&self, images: &dyn HostImages) -> Result<IntBuffer> {
        if let Some(Fault::Panic(message)) = UPLOADS.executes(fault::take) {
            return Err(self.panic_error(&message));
        }
        let bytes: usize = (0..images.count()).map(|index| images.image(index).len()).sum();
        let words = bytes.div_ceil(4).max(1);
        self.size(words, 4)?;
        let mut staged = self.staging(4 * words);
        let mut end = 0;
        for image in (0..images.count()).map(|index| images.image(index)) {
            staged[end..end + image.len()].copy_from_slice(image);
            end += image.len();
        }
        staged[end..].fill(0);

        let alignment = self.client().properties().memory.alignment.max(1);
        let used = 4 * words as u64;
        let size = used.next_multiple_of(alignment);
        let handle = Handle::new(UPLOADS, size).offset_end(size - used);
        let memory = handle.memory.clone();
        let copy = CopyDescriptor::new(handle.clone().binding(), [4 * words].into(), [1].into(), 1);
        // In one task: otherwise a reader of another upload could come between, and its stream would count as having
        // waited for this copy too.
        let written = self.server().submit_blocking(move |server| {
            server.initialize_memory(memory, size, UPLOADS);
            server.write(vec![(copy, staged)], UPLOADS);
        });
        match (written, fault::take()) {
            (Ok(()), None) => Ok(IntBuffer::new(handle, bytes.div_ceil(4))),
            (_, Some(Fault::Panic(message))) => Err(self.panic_error(&message)),
            (_, Some(Fault::Deferred(error))) => Err(error),
            (Err(_), None) => Err(self.device_error("its thread does not answer")),
        }
    }

    /// Pinned memory, which the device reads directly; pageable memory where there is none.
    fn staging(&self, len: usize) -> Bytes {
        let pinned = self.server().submit_blocking(move |server| server.staging(&[len], UPLOADS));
        let pinned = pinned.ok().and_then(std::result::Result::ok).and_then(|mut staged| staged.pop());
        pinned.filter(|staged| staged.len() == len).unwrap_or_else(|| Bytes::from_bytes_vec(vec![0; len]))
    }

    /// Makes later uploads wait for the kernel of the calling thread that computes `written` from the upload `read`, so
    /// that they do not overwrite `read` before the kernel is done.
    pub(crate) fn make_uploads_wait(&self, written: &Buffer, read: &IntBuffer) {
        if read.handle().stream != UPLOADS || written.is_empty() || read.is_empty() {
            return;
        }
        UPLOADS.executes(|| {
            let count = CubeCount::new_single();
            let dim = CubeDim::new_single();
            let result = self.empty_ints(1);
            dispatch!(written.dtype(), F => {
                touch_kernel::launch::<F, R>(self.client(), count, dim, written.arg(), read.arg(), result.arg());
            });
        });
    }
}

/// Reads both buffers, so that its stream waits for theirs. The result is not used.
#[cube(launch)]
fn touch_kernel<F: Float>(written: &Array<F>, read: &Array<u32>, result: &mut Array<u32>) {
    if ABSOLUTE_POS == 0 {
        result[0] = select(written[0] == F::new(0.0), read[0], 0u32);
    }
}

//! Dropout: the mask is computed from the stream, four values from each call of the generator.

use cubecl::prelude::*;

use super::philox::{StreamArg, stream_arg};
use super::precision::dispatch;
use super::{Buffer, Gpu};
use crate::ops::dropout::DropoutForward;
use crate::{Kernel, Result};

/// The number of words from one call of the generator.
const WORDS: usize = 4;

/// A unit uses whole calls of the generator: several for one vector, or one for several shorter vectors.
#[cube(launch)]
fn dropout_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    y: &mut Array<Vector<F, N>>,
    p: f32,
    factor: f32,
    stream: StreamArg,
    #[comptime] calls: usize,
    #[comptime] vectors: usize,
) {
    let mut random = Sequence::<u32>::new();
    #[unroll]
    for call in 0..calls {
        let words = stream.block((ABSOLUTE_POS * calls + call) as u32);
        #[unroll]
        for k in 0..WORDS {
            random.push(words[k]);
        }
    }
    let width = N::value();
    #[unroll]
    for part in 0..vectors {
        let i = ABSOLUTE_POS * vectors + part;
        if i < y.len() {
            let mut values = Vector::<f32, N>::cast_from(x[i]);
            #[unroll]
            for lane in 0..width {
                // As in `to_uniform`. Exact, so that the mask is that of the host.
                let word = random[comptime!(part * width + lane)];
                let uniform = f32::cast_from(word >> 8) * (1.0 / 16_777_216.0);
                values[lane] = select(uniform >= p, values[lane] * factor, 0.0f32);
            }
            y[i] = Vector::cast_from(values);
        }
    }
}

impl<R: Runtime> Kernel<DropoutForward> for Gpu<R> {
    fn run(&self, op: &DropoutForward, [x]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
        let &DropoutForward { len, p, factor, stream } = op;
        self.addressable("dropout", len)?;
        let y = self.empty(x.dtype(), len);
        if len > 0 {
            let width = self.vector_width(x.dtype(), &[len]);
            let calls = (width / WORDS).max(1);
            let vectors = (WORDS / width).max(1);
            let (count, dim) = self.unit_grid(len.div_ceil(width * vectors));
            let client = self.client();
            let stream = stream_arg(stream);
            dispatch!(x.dtype(), F => {
                dropout_kernel::launch::<F, R>(
                    client, count, dim, width, x.arg(), y.arg(), p, factor as f32, stream, calls, vectors,
                );
            });
        }
        Ok([y])
    }
}

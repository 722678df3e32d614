//! Local response normalisation.
//!
//! The squares of a row stand between margins of zeros. The sums of all windows are then one sum of shifted slices,
//! which is vectorised. Windows within a map are summed along rows first, and then over rows.

use std::ops::Range;

use bytemuck::{cast_slice, cast_slice_mut};
use rayon::prelude::*;

use super::Buffer;
use super::compiled::CpuKernel;
use super::lrn_rows::RowLrn;
use super::reduce::rows_per_job;
use super::simd::Stored;
use crate::ops::lrn::{Lrn, LrnBackward, LrnForward, Region};
use crate::{Cpu, Dtype, Element, Result, Workspace};

/// The buffers beside the outputs: the sums along rows, for windows within a map.
fn workspace(spec: &Lrn, shape: [usize; 4]) -> Workspace {
    match spec.region {
        Region::AcrossChannels => Workspace::default(),
        Region::WithinChannel => Workspace::of(vec![shape.iter().product()]),
    }
}

impl<E: Element> CpuKernel<LrnForward> for Cpu<E> {
    fn run(&self, op: &LrnForward, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 2]> {
        let &LrnForward { ref spec, shape } = op;
        if let (Some(x), Some(rows)) = (x.bf16(), self.bf16_rows(spec, shape)) {
            let mut y = self.alloc_bf16(x.len())?;
            let mut base = self.alloc_bf16(x.len())?;
            if let (Some(y), Some(base)) = (y.bf16_mut()?, base.bf16_mut()?) {
                self.normalise_rows(rows, shape[3], x, y, base);
            }
            return Ok([y, base]);
        }
        if let Some(rows) = self.single().and_then(|_| RowLrn::new(spec, shape[3])) {
            let x = x.as_slice();
            let mut y = self.alloc(x.len())?;
            let mut base = self.alloc(x.len())?;
            let outs: &mut [f32] = cast_slice_mut(y.make_mut()?);
            let bases: &mut [f32] = cast_slice_mut(base.make_mut()?);
            self.normalise_rows(rows, shape[3], cast_slice(x), outs, bases);
            return Ok([y, base]);
        }
        if spec.beta == 0.75 {
            return self.lrn_forward(spec, shape, x.as_slice(), inverse_three_quarters);
        }
        let minus_beta = E::of(-spec.beta);
        self.lrn_forward(spec, shape, x.as_slice(), |base: E| base.powf(minus_beta))
    }

    fn workspace(&self, op: &LrnForward) -> Workspace {
        workspace(&op.spec, op.shape)
    }

    fn takes_bf16(&self, op: &LrnForward) -> bool {
        self.bf16_rows(&op.spec, op.shape).is_some()
    }
}

impl<E: Element> CpuKernel<LrnBackward> for Cpu<E> {
    fn run(&self, op: &LrnBackward, operands: [&Buffer<E>; 3]) -> Result<[Buffer<E>; 1]> {
        let &LrnBackward { ref spec, shape } = op;
        let halves = operands.map(|operand| operand.bf16());
        if let (Some(rows), [Some(x), Some(base), Some(dy)]) = (self.bf16_rows(spec, shape), halves) {
            let mut dx = self.alloc_bf16(x.len())?;
            if let Some(out) = dx.bf16_mut()? {
                self.rows_dx(rows, shape[3], [x, base, dy], out);
            }
            return Ok([dx]);
        }
        let operands = operands.map(|operand| operand.as_slice());
        if let Some(rows) = self.single().and_then(|_| RowLrn::new(spec, shape[3])) {
            let mut dx = self.alloc(operands[0].len())?;
            let out: &mut [f32] = cast_slice_mut(dx.make_mut()?);
            self.rows_dx(rows, shape[3], operands.map(|operand| cast_slice(operand)), out);
            return Ok([dx]);
        }
        if spec.beta == 0.75 {
            return self.lrn_backward(spec, shape, operands, inverse_three_quarters);
        }
        let minus_beta = E::of(-spec.beta);
        self.lrn_backward(spec, shape, operands, |base: E| base.powf(minus_beta))
    }

    fn workspace(&self, op: &LrnBackward) -> Workspace {
        workspace(&op.spec, op.shape)
    }

    fn takes_bf16(&self, op: &LrnBackward) -> bool {
        self.bf16_rows(&op.spec, op.shape).is_some()
    }
}

/// base^-0.75 by two square roots, several times faster than `powf`.
#[inline]
fn inverse_three_quarters<E: Element>(base: E) -> E {
    let root = base.sqrt();
    (root * root.sqrt()).recip()
}

impl<E: Element> Cpu<E> {
    /// The LRN of rows, which reads and writes `bf16` too.
    fn bf16_rows(&self, spec: &Lrn, shape: [usize; 4]) -> Option<RowLrn> {
        RowLrn::new(spec, shape[3]).filter(|_| self.activations() == Dtype::Bf16)
    }

    /// Output and base by rows of `c` channels.
    fn normalise_rows<T: Stored>(&self, rows: RowLrn, c: usize, x: &[T], y: &mut [T], base: &mut [T]) {
        let job = rows_per_job(c) * c;
        self.install(|| {
            let jobs = y.par_chunks_mut(job).zip(base.par_chunks_mut(job)).zip(x.par_chunks(job));
            jobs.for_each(|((y, base), x)| rows.forward(x, y, base));
        });
    }

    /// The input gradient by rows of `c` channels.
    fn rows_dx<T: Stored>(&self, rows: RowLrn, c: usize, [x, base, dy]: [&[T]; 3], dx: &mut [T]) {
        let job = rows_per_job(c) * c;
        self.install(|| {
            dx.par_chunks_mut(job).enumerate().for_each(|(i, dx)| {
                let range = i * job..i * job + dx.len();
                rows.backward(&x[range.clone()], &base[range.clone()], &dy[range], dx);
            });
        });
    }

    /// Output and base. `power(base)` is base^-beta.
    fn lrn_forward<P>(&self, spec: &Lrn, shape: [usize; 4], x: &[E], power: P) -> Result<[Buffer<E>; 2]>
    where
        P: Fn(E) -> E + Sync,
    {
        let k = E::of(spec.k);
        let alpha = E::of(spec.alpha_of_sum());
        let squares = |at: usize, _y: &mut [E], terms: &mut [E]| {
            for (term, &x) in terms.iter_mut().zip(&x[at..]) {
                *term = x * x;
            }
        };
        // `base` holds the sum of squares at first.
        let finish = |at: usize, y: &mut [E], base: &mut [E]| {
            for ((y, base), &x) in y.iter_mut().zip(base).zip(&x[at..]) {
                *base = k + alpha * *base;
                *y = x * power(*base);
            }
        };
        let mut y = self.alloc(x.len())?;
        let mut base = self.alloc(x.len())?;
        let windows = Windows::of(spec, shape);
        self.sum_windows(&windows, squares, finish, y.make_mut()?, Some(base.make_mut()?))?;
        Ok([y, base])
    }

    /// dx_i = dy_i base_i^-beta - 2 alpha beta x_i sum of t_j, where t_j = dy_j x_j base_j^(-beta - 1). The sum is over
    /// the mirrored window: each j whose own window contains i.
    fn lrn_backward<P>(
        &self,
        spec: &Lrn,
        shape: [usize; 4],
        [x, base, dy]: [&[E]; 3],
        power: P,
    ) -> Result<[Buffer<E>; 1]>
    where
        P: Fn(E) -> E + Sync,
    {
        let factor = E::of(2.0 * spec.alpha_of_sum() * spec.beta);
        let start = |at: usize, dx: &mut [E], terms: &mut [E]| {
            let inputs = x[at..].iter().zip(&base[at..]).zip(&dy[at..]);
            for ((dx, term), ((&x, &base), &dy)) in dx.iter_mut().zip(terms).zip(inputs) {
                *dx = dy * power(base);
                *term = *dx * x / base;
            }
        };
        let finish = |at: usize, dx: &mut [E], sums: &mut [E]| {
            for ((dx, &mut sum), &x) in dx.iter_mut().zip(sums).zip(&x[at..]) {
                *dx -= factor * x * sum;
            }
        };
        let mut dx = self.alloc(x.len())?;
        let windows = Windows::of(spec, shape).mirrored();
        self.sum_windows(&windows, start, finish, dx.make_mut()?, None)?;
        Ok([dx])
    }

    /// For each row, calls `start(offset, out, terms)`, which writes the terms, and `finish(offset, out, sums)` with
    /// the sums over their windows. The sums stay in `all_sums`, if given.
    fn sum_windows<S, F>(
        &self,
        windows: &Windows,
        start: S,
        finish: F,
        out: &mut [E],
        all_sums: Option<&mut [E]>,
    ) -> Result<()>
    where
        S: Fn(usize, &mut [E], &mut [E]) + Sync,
        F: Fn(usize, &mut [E], &mut [E]) + Sync,
    {
        let len = windows.row.max(1);
        let rows = out.len() / len;
        let job_rows = rows_per_job(len);
        let job = job_rows * len;
        let job_sums: Vec<Option<&mut [E]>> = match all_sums {
            Some(sums) => sums.chunks_mut(job).map(Some).collect(),
            None => (0..rows.div_ceil(job_rows)).map(|_| None).collect(),
        };
        let mut row_sums = windows.maps.map(|_| self.alloc(out.len())).transpose()?;
        self.install(|| {
            if let Some(row_sums) = &mut row_sums {
                let jobs = out.par_chunks_mut(job).zip(row_sums.make_mut()?.par_chunks_mut(job)).enumerate();
                jobs.for_each(|(i, (out, sums))| {
                    let mut terms = vec![E::zero(); windows.margined()];
                    for (r, (out, sums)) in out.chunks_exact_mut(len).zip(sums.chunks_exact_mut(len)).enumerate() {
                        start(i * job + r * len, out, &mut terms[windows.middle()]);
                        sum_shifted(&terms, windows.step, sums);
                    }
                });
            }
            let row_sums = row_sums.as_ref().map(|row_sums| row_sums.as_slice());
            out.par_chunks_mut(job).zip(job_sums).enumerate().for_each(|(i, (out, mut job_sums))| {
                let mut terms = vec![E::zero(); windows.margined()];
                let mut scratch = vec![E::zero(); len];
                for (r, out) in out.chunks_exact_mut(len).enumerate() {
                    let at = i * job + r * len;
                    let sums = match &mut job_sums {
                        Some(sums) => &mut sums[r * len..][..len],
                        None => &mut scratch[..],
                    };
                    match row_sums {
                        Some(row_sums) => windows.sum_over_rows(row_sums, i * job_rows + r, sums),
                        None => {
                            start(at, out, &mut terms[windows.middle()]);
                            sum_shifted(&terms, windows.step, sums);
                        }
                    }
                    finish(at, out, sums);
                }
            });
            Ok(())
        })
    }
}

/// The windows of a row: the channels of one position, or a row of the image for windows within a map.
struct Windows {
    /// The number of values in a row.
    row: usize,
    /// The distance from one neighbour to the next.
    step: usize,
    /// The numbers of neighbours before and after, at most the length of the row.
    reach: [usize; 2],
    /// For windows within a map: the number of rows in an image, and of those in a window before and after its middle.
    maps: Option<(usize, [usize; 2])>,
}

impl Windows {
    fn of(spec: &Lrn, [_, h, w, c]: [usize; 4]) -> Self {
        let reach = |length: usize| [(spec.size / 2).min(length), ((spec.size - 1) / 2).min(length)];
        match spec.region {
            Region::AcrossChannels => Self { row: c, step: 1, reach: reach(c), maps: None },
            Region::WithinChannel => Self { row: w * c, step: c, reach: reach(w), maps: Some((h, reach(h))) },
        }
    }

    fn mirrored(mut self) -> Self {
        self.reach.reverse();
        if let Some((_, reach)) = &mut self.maps {
            reach.reverse();
        }
        self
    }

    /// The length of a row with its margins of zeros.
    fn margined(&self) -> usize {
        self.row + (self.reach[0] + self.reach[1]) * self.step
    }

    /// The range of the row between its margins.
    fn middle(&self) -> Range<usize> {
        let start = self.reach[0] * self.step;
        start..start + self.row
    }

    /// Adds the rows of `row_sums` that are in the windows of `row`, within its image.
    fn sum_over_rows<E: Element>(&self, row_sums: &[E], row: usize, sums: &mut [E]) {
        let Some((height, [before, after])) = self.maps else { return };
        let y = row % height;
        let first = row - y;
        sums.fill(E::zero());
        for neighbour in y.saturating_sub(before)..(y + after + 1).min(height) {
            for (sum, &v) in sums.iter_mut().zip(&row_sums[(first + neighbour) * self.row..]) {
                *sum += v;
            }
        }
    }
}

/// Computes sum_i = terms_i + terms_(i + step) + ... up to the end of the margin. Blocks of sums stay in registers.
fn sum_shifted<E: Element>(terms: &[E], step: usize, sums: &mut [E]) {
    const BLOCK: usize = 16;
    let neighbours = (terms.len() - sums.len()) / step + 1;
    let (blocks, rest) = sums.as_chunks_mut::<BLOCK>();
    for (i, block) in blocks.iter_mut().enumerate() {
        let mut sum = [E::zero(); BLOCK];
        for j in 0..neighbours {
            for (sum, &term) in sum.iter_mut().zip(&terms[i * BLOCK + j * step..][..BLOCK]) {
                *sum += term;
            }
        }
        *block = sum;
    }
    let done = blocks.len() * BLOCK;
    for (i, sum) in rest.iter_mut().enumerate() {
        *sum = (0..neighbours).map(|j| terms[done + i + j * step]).sum();
    }
}

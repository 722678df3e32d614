//! Local response normalisation.
//!
//! The terms that a window sums stand between margins of zeros, so that all windows of a row are one sum of shifted
//! slices, without edges, which vectorises. Within a map, sums are taken along rows first, then over rows.

use std::ops::Range;

use bytemuck::{cast_slice, cast_slice_mut};
use rayon::prelude::*;

use super::Buffer;
use super::lrn_rows::Rows;
use super::reduce::rows_per_job;
use crate::ops::lrn::{Lrn, LrnBackward, LrnForward, Region};
use crate::{Cpu, Element, Kernel, Result, Workspace};

/// Buffers beside the outputs: the sums along rows, within a map.
fn workspace(spec: &Lrn, shape: [usize; 4]) -> Vec<usize> {
    match spec.region {
        Region::AcrossChannels => Vec::new(),
        Region::WithinChannel => vec![shape.iter().product()],
    }
}

impl<E: Element> Kernel<LrnForward> for Cpu<E> {
    fn run(&self, op: &LrnForward, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 2]> {
        let &LrnForward { ref spec, shape } = op;
        if let Some(rows) = self.single().and_then(|_| Rows::of(spec, shape[3])) {
            return self.normalise_rows(rows, shape[3], x.as_slice());
        }
        if spec.beta == 0.75 {
            return self.lrn_forward(spec, shape, x.as_slice(), inverse_three_quarters);
        }
        let minus_beta = E::of(-spec.beta);
        self.lrn_forward(spec, shape, x.as_slice(), |base: E| base.powf(minus_beta))
    }

    fn workspace(&self, op: &LrnForward) -> Workspace {
        Workspace::of(workspace(&op.spec, op.shape))
    }
}

impl<E: Element> Kernel<LrnBackward> for Cpu<E> {
    fn run(&self, op: &LrnBackward, operands: [&Buffer<E>; 3]) -> Result<[Buffer<E>; 1]> {
        let &LrnBackward { ref spec, shape } = op;
        let operands = operands.map(|operand| operand.as_slice());
        if let Some(rows) = self.single().and_then(|_| Rows::of(spec, shape[3])) {
            return self.rows_dx(rows, shape[3], operands);
        }
        if spec.beta == 0.75 {
            return self.lrn_backward(spec, shape, operands, inverse_three_quarters);
        }
        let minus_beta = E::of(-spec.beta);
        self.lrn_backward(spec, shape, operands, |base: E| base.powf(minus_beta))
    }

    fn workspace(&self, op: &LrnBackward) -> Workspace {
        Workspace::of(workspace(&op.spec, op.shape))
    }
}

/// base^-0.75 by two roots, several times faster than `powf`.
#[inline]
fn inverse_three_quarters<E: Element>(base: E) -> E {
    let root = base.sqrt();
    (root * root.sqrt()).recip()
}

impl<E: Element> Cpu<E> {
    /// Rows of `c` values in single precision, which E is.
    fn normalise_rows(&self, rows: Rows, c: usize, x: &[E]) -> Result<[Buffer<E>; 2]> {
        let (mut y, mut base) = (self.take(x.len())?, self.take(x.len())?);
        let x: &[f32] = cast_slice(x);
        let (outs, bases) = (cast_slice_mut::<E, f32>(y.make_mut()?), cast_slice_mut::<E, f32>(base.make_mut()?));
        let job = rows_per_job(c) * c;
        self.install(|| {
            let jobs = outs.par_chunks_mut(job).zip(bases.par_chunks_mut(job)).zip(x.par_chunks(job));
            jobs.for_each(|((y, base), x)| rows.forward(x, y, base));
        });
        Ok([y, base])
    }

    /// dx of [`normalise_rows`](Self::normalise_rows).
    fn rows_dx(&self, rows: Rows, c: usize, operands: [&[E]; 3]) -> Result<[Buffer<E>; 1]> {
        let [x, base, dy]: [&[f32]; 3] = operands.map(|of| cast_slice(of));
        let mut dx = self.take(x.len())?;
        let out = cast_slice_mut::<E, f32>(dx.make_mut()?);
        let job = rows_per_job(c) * c;
        self.install(|| {
            let jobs = out.par_chunks_mut(job).enumerate();
            jobs.for_each(|(i, dx)| {
                let all = i * job..i * job + dx.len();
                rows.backward(&x[all.clone()], &base[all.clone()], &dy[all], dx);
            });
        });
        Ok([dx])
    }

    fn lrn_forward<P>(&self, spec: &Lrn, shape: [usize; 4], x: &[E], power: P) -> Result<[Buffer<E>; 2]>
    where
        P: Fn(E) -> E + Sync,
    {
        let (k, alpha) = (E::of(spec.k), E::of(spec.alpha_of_sum()));
        let squares = |at: usize, _y: &mut [E], terms: &mut [E]| {
            for (term, &x) in terms.iter_mut().zip(&x[at..]) {
                *term = x * x;
            }
        };
        // The base comes in as the sum of squares.
        let finish = |at: usize, y: &mut [E], base: &mut [E]| {
            for ((y, base), &x) in y.iter_mut().zip(base).zip(&x[at..]) {
                *base = k + alpha * *base;
                *y = x * power(*base);
            }
        };
        let (mut y, mut base) = (self.take(x.len())?, self.take(x.len())?);
        let windows = Windows::of(spec, shape);
        self.sum_windows(&windows, squares, finish, y.make_mut()?, Some(base.make_mut()?))?;
        Ok([y, base])
    }

    /// With t_j = dy_j x_j base_j^(-beta - 1): dx_i = dy_i base_i^-beta - 2 alpha beta x_i sum of t_j over the
    /// mirrored window, which holds each j whose own window holds i.
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
        let mut dx = self.take(x.len())?;
        let windows = Windows::of(spec, shape).mirrored();
        self.sum_windows(&windows, start, finish, dx.make_mut()?, None)?;
        Ok([dx])
    }

    /// For each row: `start(place, out, terms)` makes the terms, `finish(place, out, sums)` uses their windows' sums,
    /// which are left in `kept` where that is wanted.
    fn sum_windows<S, F>(
        &self,
        windows: &Windows,
        start: S,
        finish: F,
        out: &mut [E],
        kept: Option<&mut [E]>,
    ) -> Result<()>
    where
        S: Fn(usize, &mut [E], &mut [E]) + Sync,
        F: Fn(usize, &mut [E], &mut [E]) + Sync,
    {
        let len = windows.row.max(1);
        let rows = out.len() / len;
        let rows_a_job = rows_per_job(len);
        let job = rows_a_job * len;
        let kept: Vec<Option<&mut [E]>> = match kept {
            Some(kept) => kept.chunks_mut(job).map(Some).collect(),
            None => (0..rows.div_ceil(rows_a_job)).map(|_| None).collect(),
        };
        let mut along = windows.maps.map(|_| self.take(out.len())).transpose()?;
        self.install(|| {
            if let Some(along) = &mut along {
                let jobs = out.par_chunks_mut(job).zip(along.make_mut()?.par_chunks_mut(job)).enumerate();
                jobs.for_each(|(i, (out, along))| {
                    let mut terms = vec![E::zero(); windows.margined()];
                    for (r, (out, along)) in out.chunks_exact_mut(len).zip(along.chunks_exact_mut(len)).enumerate() {
                        start(i * job + r * len, out, &mut terms[windows.middle()]);
                        sum_shifted(&terms, windows.step, along);
                    }
                });
            }
            let along = along.as_ref().map(|along| along.as_slice());
            out.par_chunks_mut(job).zip(kept).enumerate().for_each(|(i, (out, mut kept))| {
                let mut terms = vec![E::zero(); windows.margined()];
                let mut scratch = vec![E::zero(); len];
                for (r, out) in out.chunks_exact_mut(len).enumerate() {
                    let at = i * job + r * len;
                    let sums = kept.as_mut().map_or(&mut scratch[..], |kept| &mut kept[r * len..][..len]);
                    match along {
                        Some(along) => windows.sum_over_rows(along, i * rows_a_job + r, sums),
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

/// The windows of all rows: a row is the channels of one place, or, within a map, an image's row.
struct Windows {
    /// Values a row.
    row: usize,
    /// From one neighbour to the next.
    step: usize,
    /// Neighbours before and after that fall into the row.
    reach: [usize; 2],
    /// Within a map: rows an image, and the rows before and after that a window takes in.
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

    /// Length of a row of terms between its margins of zeros.
    fn margined(&self) -> usize {
        self.row + (self.reach[0] + self.reach[1]) * self.step
    }

    /// The row between its margins.
    fn middle(&self) -> Range<usize> {
        let start = self.reach[0] * self.step;
        start..start + self.row
    }

    /// The sum of the rows of `along` that the windows of `row` take in, within its image.
    fn sum_over_rows<E: Element>(&self, along: &[E], row: usize, sums: &mut [E]) {
        let Some((height, [before, after])) = self.maps else { return };
        let (first, y) = (row - row % height, row % height);
        sums.fill(E::zero());
        for near in y.saturating_sub(before)..(y + after + 1).min(height) {
            for (sum, &v) in sums.iter_mut().zip(&along[(first + near) * self.row..]) {
                *sum += v;
            }
        }
    }
}

/// sum_i = terms_i + terms_(i + step) + ... to the end of the margin; blocks of sums stay in registers.
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

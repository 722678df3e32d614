//! Sums, maxima and minima over an axis. A cube's units form lanes of neighbouring results; each lane reads a part of the
//! axis, and the lanes' results are combined in shared memory. The number of lanes follows from the lengths alone.

use cubecl::prelude::*;

use super::block_reduce::rank;
use super::launch::UNITS;
use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu};
use crate::ops::reduce::SumRows;
use crate::ops::reduce_axes::{ExtremumBackward, ReduceAxis, ReduceOperator};
use crate::{Kernel, Result};

/// The fewest values of a lane.
const STEPS: usize = 4;

/// The sum, or the value that counts: the first of equals.
#[cube]
fn combine(a: f32, b: f32, #[comptime] operator: ReduceOperator) -> f32 {
    match comptime!(operator) {
        ReduceOperator::Sum => a + b,
        ReduceOperator::Max => select(rank(b) > rank(a), b, a),
        ReduceOperator::Min => select(rank(negated(b)) > rank(negated(a)), b, a),
    }
}

/// -x by its bits, so that NaN stays NaN.
#[cube]
fn negated(x: f32) -> f32 {
    f32::reinterpret(u32::reinterpret(x) ^ 0x8000_0000u32)
}

#[cube(launch)]
fn reduce_axis_kernel<F: Float, Y: Float>(
    x: &Array<F>,
    y: &mut Array<Y>,
    len: usize,
    inner: usize,
    lanes: usize,
    #[comptime] operator: ReduceOperator,
) {
    let unit = UNIT_POS as usize;
    let results = UNITS as usize / lanes;
    let result = CUBE_POS * results + unit % results;
    let lane = unit / results;
    let is_inside = result < y.len();
    let first = select(is_inside, result / inner * len * inner + result % inner, 0);
    let end = select(is_inside, len, 0);
    let mut value = match comptime!(operator) {
        ReduceOperator::Sum => 0.0f32.runtime(),
        // Counted twice, which changes neither a maximum nor a minimum.
        _ => f32::cast_from(x[first]),
    };
    let mut at = lane;
    while at < end {
        value = combine(value, f32::cast_from(x[first + at * inner]), operator);
        at += lanes;
    }
    let mut shared = SharedMemory::<f32>::new(UNITS as usize);
    shared[unit] = value;
    sync_cube();
    let mut half = lanes / 2;
    while half > 0 {
        if lane < half {
            let a = shared[unit];
            let b = shared[unit + half * results];
            shared[unit] = combine(a, b, operator);
        }
        sync_cube();
        half /= 2;
    }
    if is_inside && lane == 0 {
        y[result] = Y::cast_from(shared[unit]);
    }
}

/// One unit for each result, which looks for the first value that equals it.
#[cube(launch)]
fn extremum_dx_kernel<F: Float, X: Float>(
    dy: &Array<F>,
    x: &Array<X>,
    y: &Array<X>,
    dx: &mut Array<F>,
    len: usize,
    inner: usize,
) {
    if ABSOLUTE_POS < y.len() {
        let first = ABSOLUTE_POS / inner * len * inner + ABSOLUTE_POS % inner;
        let wanted = rank(f32::cast_from(y[ABSOLUTE_POS]));
        let mut rest = f32::cast_from(dy[ABSOLUTE_POS]);
        for i in 0..len {
            let at = first + i * inner;
            let is_equal = rank(f32::cast_from(x[at])) == wanted;
            dx[at] = F::cast_from(select(is_equal, rest, 0.0f32));
            rest = select(is_equal, 0.0f32, rest);
        }
    }
}

impl<R: Runtime> Kernel<ReduceAxis> for Gpu<R> {
    fn run(&self, op: &ReduceAxis, [x]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
        let &ReduceAxis { operator, outer, len, inner } = op;
        if operator == ReduceOperator::Sum && outer == 1 {
            return self.run(&SumRows { rows: len, channels: inner }, [x]);
        }
        self.addressable("reduce", x.len())?;
        let results = outer * inner;
        let dtype = if operator == ReduceOperator::Sum { Dtype::F32 } else { x.dtype() };
        let y = self.empty(dtype, results);
        if results == 0 {
            return Ok([y]);
        }
        if len == 0 {
            self.fill(&y, 0.0);
            return Ok([y]);
        }
        let lanes = len.div_ceil(STEPS).next_power_of_two().min(UNITS as usize);
        let (count, dim) = self.cube_grid(results.div_ceil(UNITS as usize / lanes), UNITS);
        dispatch!(x.dtype(), F => dispatch!(dtype, Y => {
            reduce_axis_kernel::launch::<F, Y, R>(
                self.client(), count, dim, x.arg(), y.arg(), len, inner, lanes, operator,
            );
        }));
        Ok([y])
    }
}

impl<R: Runtime> Kernel<ExtremumBackward> for Gpu<R> {
    fn run(&self, op: &ExtremumBackward, [dy, x, y]: [&Buffer; 3]) -> Result<[Buffer; 1]> {
        let &ExtremumBackward { outer, len, inner } = op;
        self.addressable("reduce backward", x.len())?;
        let dx = self.empty(dy.dtype(), outer * len * inner);
        let results = outer * inner;
        if results > 0 {
            let (count, dim) = self.unit_grid(results);
            dispatch!(dy.dtype(), F => dispatch!(x.dtype(), X => {
                extremum_dx_kernel::launch::<F, X, R>(
                    self.client(), count, dim, dy.arg(), x.arg(), y.arg(), dx.arg(), len, inner,
                );
            }));
        }
        Ok([dx])
    }
}

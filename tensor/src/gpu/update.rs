//! Optimizer steps: one launch for all parameters, or as many as the device can bind buffers for.
//!
//! The time is that of memory traffic, 20 bytes per weight for SGD (reads w, v, g; writes w, v) and 28 for Adam, and of
//! launches: biases are too small for a launch each.

use cubecl::prelude::*;

use super::launch::UNITS;
use super::{Buffer, Dtype, Gpu};
use crate::ops::update::{AdamSteps, AdamUpdate, SgdSteps, SgdUpdate};
use crate::{Kernel, Result};

/// The number of vectors that each unit updates.
const VECTORS: usize = 4;
/// The number of vectors that a cube updates.
const CHUNK: usize = UNITS as usize * VECTORS;
/// The most parameters in one launch. The kernel contains a copy of the step for each.
const MAX_TENSORS: usize = 32;

/// The factors of an SGD step on one parameter; `shrink` is the learning rate times the weight decay.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sgd {
    momentum: f32,
    rate: f32,
    shrink: f32,
    nesterov: u32,
}

/// The factors of an Adam step on one parameter: see [`AdamStep::factors`](crate::ops::update::AdamStep).
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Adam {
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    decay: f32,
    keep: f32,
    rate: f32,
    scale: f32,
    epsilon: f32,
}

/// The first cubes update the first parameter, a chunk each; the next cubes the second, and so on.
#[cube(launch)]
fn sgd_kernel<N: Size>(
    w: &mut Sequence<Array<Vector<f32, N>>>,
    v: &mut Sequence<Array<Vector<f32, N>>>,
    g: &Sequence<Array<Vector<f32, N>>>,
    factors: &Sequence<Sgd>,
    #[comptime] tensors: usize,
) {
    let mut first = 0usize.runtime();
    #[unroll]
    for t in 0..tensors {
        let len = w[t].len();
        let end = first + len.div_ceil(CHUNK);
        if CUBE_POS >= first && CUBE_POS < end {
            let start = (CUBE_POS - first) * CHUNK + UNIT_POS as usize;
            let s = factors[t];
            #[unroll]
            for k in 0..VECTORS {
                let i = start + k * UNITS as usize;
                if i < len {
                    let weight = w[t][i];
                    let descent = Vector::new(s.shrink) * weight + Vector::new(s.rate) * g[t][i];
                    let velocity = Vector::new(s.momentum) * v[t][i] - descent;
                    let nesterov = Vector::new(s.momentum) * velocity - descent;
                    v.index_mut(t)[i] = velocity;
                    w.index_mut(t)[i] = weight + select(s.nesterov == 1, nesterov, velocity);
                }
            }
        }
        first = end;
    }
}

/// Assigns cubes to parameters like [`sgd_kernel`].
#[cube(launch)]
fn adam_kernel<N: Size>(
    w: &mut Sequence<Array<Vector<f32, N>>>,
    m: &mut Sequence<Array<Vector<f32, N>>>,
    v: &mut Sequence<Array<Vector<f32, N>>>,
    g: &Sequence<Array<Vector<f32, N>>>,
    factors: &Sequence<Adam>,
    #[comptime] tensors: usize,
) {
    let mut first = 0usize.runtime();
    #[unroll]
    for t in 0..tensors {
        let len = w[t].len();
        let end = first + len.div_ceil(CHUNK);
        if CUBE_POS >= first && CUBE_POS < end {
            let start = (CUBE_POS - first) * CHUNK + UNIT_POS as usize;
            let s = factors[t];
            #[unroll]
            for k in 0..VECTORS {
                let i = start + k * UNITS as usize;
                if i < len {
                    let weight = w[t][i];
                    let gradient = g[t][i] + Vector::new(s.decay) * weight;
                    let mean = Vector::new(s.beta1) * m[t][i] + Vector::new(s.rest1) * gradient;
                    let square = Vector::new(s.beta2) * v[t][i] + Vector::new(s.rest2) * (gradient * gradient);
                    let root = Vector::sqrt(square) * Vector::new(s.scale) + Vector::new(s.epsilon);
                    m.index_mut(t)[i] = mean;
                    v.index_mut(t)[i] = square;
                    w.index_mut(t)[i] = Vector::new(s.keep) * weight - Vector::new(s.rate) * mean / root;
                }
            }
        }
        first = end;
    }
}

/// One launch: parameters of the same vector width.
struct Launch {
    /// Indices of the parameters.
    tensors: Vec<usize>,
    width: usize,
    cubes: usize,
}

impl<R: Runtime> Gpu<R> {
    /// Groups parameters of these lengths into launches. A launch binds `buffers` buffers for each parameter.
    fn launches(&self, lens: &[usize], buffers: usize) -> Vec<Launch> {
        // One binding is left for the factors.
        let bindings = self.client().properties().hardware.max_bindings.saturating_sub(1) as usize;
        let max_tensors = (bindings / buffers).clamp(1, MAX_TENSORS);
        let mut widths: Vec<usize> = self.client().io_optimized_vector_sizes(Dtype::F32.bytes()).collect();
        widths.sort_unstable();
        let mut launches = Vec::new();
        for width in widths {
            let has_width = |t: &usize| lens[*t] > 0 && self.vector_width(Dtype::F32, &[lens[*t]]) == width;
            let tensors: Vec<usize> = (0..lens.len()).filter(has_width).collect();
            for tensors in tensors.chunks(max_tensors) {
                let cubes = tensors.iter().map(|&t| (lens[t] / width).div_ceil(CHUNK)).sum();
                launches.push(Launch { tensors: tensors.to_vec(), width, cubes });
            }
        }
        launches
    }
}

/// The buffers of some tensors as a kernel argument.
fn sequence<'a, R: Runtime, N: Size>(
    tensors: &[usize],
    buffer: impl Fn(usize) -> &'a Buffer,
) -> SequenceArg<R, Array<Vector<f32, N>>> {
    tensors.iter().map(|&t| buffer(t).arg()).collect()
}

impl<R: Runtime> Kernel<SgdSteps> for Gpu<R> {
    fn run(&self, _: &SgdSteps, mut updates: Vec<SgdUpdate<'_, Buffer>>) -> Result<[Buffer; 0]> {
        for u in &mut updates {
            self.addressable("sgd", u.w.len())?;
            self.make_unique(u.w);
            self.make_unique(u.v);
        }
        let u = &updates;
        let gradients: Vec<Buffer> = u.iter().map(|u| self.to_f32(u.g)).collect();
        let lens: Vec<usize> = u.iter().map(|u| u.w.len()).collect();
        for Launch { tensors, width, cubes } in self.launches(&lens, 3) {
            let (count, dim) = self.cube_grid(cubes, UNITS);
            let factors = tensors.iter().map(|&t| {
                let s = &u[t].step;
                let [momentum, rate, shrink] = [s.momentum, s.rate, s.decay * s.rate].map(|v| v as f32);
                SgdLaunch::new(momentum, rate, shrink, u32::from(s.nesterov))
            });
            let w = sequence(&tensors, |t| &*u[t].w);
            let v = sequence(&tensors, |t| &*u[t].v);
            let g = sequence(&tensors, |t| &gradients[t]);
            sgd_kernel::launch::<R>(self.client(), count, dim, width, w, v, g, factors.collect(), tensors.len());
        }
        Ok([])
    }
}

impl<R: Runtime> Kernel<AdamSteps> for Gpu<R> {
    fn run(&self, _: &AdamSteps, mut updates: Vec<AdamUpdate<'_, Buffer>>) -> Result<[Buffer; 0]> {
        for u in &mut updates {
            self.addressable("adam", u.w.len())?;
            self.make_unique(u.w);
            self.make_unique(u.m);
            self.make_unique(u.v);
        }
        let u = &updates;
        let gradients: Vec<Buffer> = u.iter().map(|u| self.to_f32(u.g)).collect();
        let lens: Vec<usize> = u.iter().map(|u| u.w.len()).collect();
        for Launch { tensors, width, cubes } in self.launches(&lens, 4) {
            let (count, dim) = self.cube_grid(cubes, UNITS);
            let factors = tensors.iter().map(|&t| {
                let f = u[t].step.factors();
                let [rest1, rest2] = [f.rest1, f.rest2].map(|v| v as f32);
                let [beta1, beta2, decay] = [f.beta1, f.beta2, f.decay].map(|v| v as f32);
                let [keep, rate, scale, epsilon] = [f.keep, f.rate, f.scale, f.epsilon].map(|v| v as f32);
                AdamLaunch::new(beta1, rest1, beta2, rest2, decay, keep, rate, scale, epsilon)
            });
            let w = sequence(&tensors, |t| &*u[t].w);
            let m = sequence(&tensors, |t| &*u[t].m);
            let v = sequence(&tensors, |t| &*u[t].v);
            let g = sequence(&tensors, |t| &gradients[t]);
            adam_kernel::launch::<R>(self.client(), count, dim, width, w, m, v, g, factors.collect(), tensors.len());
        }
        Ok([])
    }
}

//! Optimizer steps: one launch over all parameters, as far as the device binds so many buffers at once.
//!
//! A step of descent reads w, v, g and writes w, v: 20 bytes a weight; Adam's moves 28. Nothing but the memory's speed
//! counts, and launches: a network's biases are too small to be worth one each.

use cubecl::prelude::*;

use super::launch::UNITS;
use super::{Buffer, Dtype, Gpu};
use crate::ops::update::{AdamSteps, AdamUpdate, SgdSteps, SgdUpdate};
use crate::{Kernel, Result};

/// Vectors that each unit of a cube updates.
const VECTORS: usize = 4;
/// Vectors that a cube updates.
const CHUNK: usize = UNITS as usize * VECTORS;
/// Parameters in one launch, at most: the kernel has a copy of the step for each.
const TENSORS: usize = 32;

/// What a step of descent needs to know for one parameter.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sgd {
    momentum: f32,
    rate: f32,
    shrink: f32,
    nesterov: u32,
}

/// What Adam's step needs to know for one parameter.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Adam {
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    decay: f32,
    rate: f32,
    scale: f32,
    epsilon: f32,
}

/// Cubes take the parameters one after the other: each as many as it has chunks.
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
                    let fall = Vector::new(s.shrink) * weight + Vector::new(s.rate) * g[t][i];
                    let velocity = Vector::new(s.momentum) * v[t][i] - fall;
                    let ahead = Vector::new(s.momentum) * velocity - fall;
                    v.index_mut(t)[i] = velocity;
                    w.index_mut(t)[i] = weight + select(s.nesterov == 1, ahead, velocity);
                }
            }
        }
        first = end;
    }
}

/// As [`sgd_kernel`].
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
                    let slope = g[t][i] + Vector::new(s.decay) * weight;
                    let mean = Vector::new(s.beta1) * m[t][i] + Vector::new(s.rest1) * slope;
                    let square = Vector::new(s.beta2) * v[t][i] + Vector::new(s.rest2) * (slope * slope);
                    let root = Vector::sqrt(square) * Vector::new(s.scale) + Vector::new(s.epsilon);
                    m.index_mut(t)[i] = mean;
                    v.index_mut(t)[i] = square;
                    w.index_mut(t)[i] = weight - Vector::new(s.rate) * mean / root;
                }
            }
        }
        first = end;
    }
}

impl<R: Runtime> Gpu<R> {
    /// Lists of parameters for one launch each, of those with as many `values`: their indices, the width of vectors and
    /// the number of cubes. `buffers` are bound for each.
    fn launches(&self, lens: &[usize], buffers: usize) -> Vec<(Vec<usize>, usize, usize)> {
        // One binding is left for the factors.
        let bound = self.client().properties().hardware.max_bindings.saturating_sub(1) as usize / buffers;
        let width = |t: usize| self.vector_width(Dtype::F32, &[lens[t]]);
        let mut widths: Vec<usize> = self.client().io_optimized_vector_sizes(Dtype::F32.bytes()).collect();
        widths.sort_unstable();
        let of_width = |w| (0..lens.len()).filter(|&t| lens[t] > 0 && width(t) == w).collect::<Vec<_>>();
        let mut launches = Vec::new();
        for w in widths {
            for tensors in of_width(w).chunks(bound.clamp(1, TENSORS)) {
                let cubes = tensors.iter().map(|&t| (lens[t] / w).div_ceil(CHUNK)).sum();
                launches.push((tensors.to_vec(), w, cubes));
            }
        }
        launches
    }
}

/// The buffers of some tensors as a kernel's argument.
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
        let slopes: Vec<Buffer> = u.iter().map(|u| self.to_f32(u.g)).collect();
        let lens: Vec<usize> = u.iter().map(|u| u.w.len()).collect();
        for (tensors, width, cubes) in self.launches(&lens, 3) {
            let (count, dim) = self.spread(cubes, UNITS);
            let factors = tensors.iter().map(|&t| {
                let s = &u[t].step;
                let [momentum, rate, shrink] = [s.momentum, s.rate, s.decay * s.rate].map(|v| v as f32);
                SgdLaunch::new(momentum, rate, shrink, u32::from(s.nesterov))
            });
            let w = sequence(&tensors, |t| &*u[t].w);
            let v = sequence(&tensors, |t| &*u[t].v);
            let g = sequence(&tensors, |t| &slopes[t]);
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
        let slopes: Vec<Buffer> = u.iter().map(|u| self.to_f32(u.g)).collect();
        let lens: Vec<usize> = u.iter().map(|u| u.w.len()).collect();
        for (tensors, width, cubes) in self.launches(&lens, 4) {
            let (count, dim) = self.spread(cubes, UNITS);
            let factors = tensors.iter().map(|&t| {
                let f = u[t].step.factors();
                let [rest1, rest2] = [f.rest1, f.rest2].map(|v| v as f32);
                let [beta1, beta2, decay] = [f.beta1, f.beta2, f.decay].map(|v| v as f32);
                let [rate, scale, epsilon] = [f.rate, f.scale, f.epsilon].map(|v| v as f32);
                AdamLaunch::new(beta1, rest1, beta2, rest2, decay, rate, scale, epsilon)
            });
            let w = sequence(&tensors, |t| &*u[t].w);
            let m = sequence(&tensors, |t| &*u[t].m);
            let v = sequence(&tensors, |t| &*u[t].v);
            let g = sequence(&tensors, |t| &slopes[t]);
            adam_kernel::launch::<R>(self.client(), count, dim, width, w, m, v, g, factors.collect(), tensors.len());
        }
        Ok([])
    }
}

//! GEMV: a fully connected layer on a single image.
//!
//! Reading the weights from memory takes all the time: 235 MB of the 244 MB of `paper`. After a ReLU many inputs are
//! zero, half of them on noise, and their weights need not be read. So weights are cached in panels of outputs, in
//! which the weights of one input are contiguous, and zero inputs are skipped. (A weight that is not finite has no
//! effect where its input is zero.)

use rayon::prelude::*;

use super::Buffer;
use super::matrix::transpose;
use super::simd::{LANES, Level, Simd, Vector, WithSimd, dispatch, prefetch};
use crate::ops::linear::Product;
use crate::{Cpu, Result};

/// Vectors of outputs in a panel: their sums stay in registers.
const VECTORS: usize = 8;
/// Outputs of a panel.
pub(super) const PANEL: usize = VECTORS * LANES;
/// Products of a partial sum: the error grows with this number and that of partial sums instead of all inputs.
const BLOCK: usize = 128;
/// Inputs whose weights in `f32` are prefetched, or four times as many of smaller ones: the hardware does not predict
/// skipped inputs.
const AHEAD: usize = 6;
/// Fewer weights, of 4 MiB, are read from the caches.
const MIN_WEIGHTS: usize = 1 << 20;

/// Whether a product is computed as a GEMV.
pub(super) fn applies(p: &Product) -> bool {
    p.m == 1 && !p.transpose_a && p.transpose_b && p.n >= PANEL && p.n * p.k >= MIN_WEIGHTS
}

/// Values of the weights in panels.
pub(super) fn panels_len(p: &Product) -> usize {
    p.n.div_ceil(PANEL) * PANEL * p.k
}

/// Lengths of the buffers that are taken while no panels are cached: a panel per thread.
pub(super) fn workspace(p: &Product, threads: usize) -> Vec<usize> {
    vec![PANEL * p.k; threads.min(p.n.div_ceil(PANEL))]
}

/// y `[n]` = W x for weights `[n, k]`.
pub(super) fn run(cpu: &Cpu<f32>, p: &Product, x: &[f32], w: &Buffer<f32>, y: &mut [f32]) -> Result<()> {
    let make = || {
        let mut panels = cpu.alloc(panels_len(p))?;
        let each = panels.make_mut()?.par_chunks_mut(PANEL * p.k).enumerate();
        each.for_each(|(i, panel)| pack_panel(p, w.as_slice(), i, panel));
        Ok(panels)
    };
    let cached = w.weight_cache().get_on_reuse([p.n, p.k, 0, 0], make)?;
    let inputs = nonzero(x);
    y.par_chunks_mut(PANEL).enumerate().try_for_each(|(i, y)| {
        let sums = match &cached {
            Some(panels) => sums(&inputs, &panels.as_slice()[i * PANEL * p.k..][..PANEL * p.k]),
            None => {
                let mut panel = cpu.alloc(PANEL * p.k)?;
                pack_panel(p, w.as_slice(), i, panel.make_mut()?);
                sums(&inputs, panel.as_slice())
            }
        };
        y.copy_from_slice(&sums[PANEL - y.len()..]);
        Ok(())
    })
}

/// Copies panel `i`, `[k, PANEL]`. The last panel ends with the last output and overlaps the one before.
fn pack_panel(p: &Product, w: &[f32], i: usize, panel: &mut [f32]) {
    let first = (i * PANEL).min(p.n - PANEL);
    transpose(&w[first * p.k..(first + PANEL) * p.k], PANEL, p.k, panel, |_, _| {});
}

/// Indices, in ascending order, and values that are not zero.
pub(super) fn nonzero(x: &[f32]) -> Vec<(usize, f32)> {
    x.iter().copied().enumerate().filter(|&(_, x)| x != 0.0).collect()
}

/// A weight of a panel: `f32`, or an integer whose row of weights has a scale.
pub(super) trait PanelWeight: Copy {
    /// # Safety
    /// `from` must be valid for reading [`LANES`] weights.
    unsafe fn load_ptr<S: Simd>(simd: S, from: *const Self) -> S::F32;
}

impl PanelWeight for f32 {
    #[inline(always)]
    unsafe fn load_ptr<S: Simd>(simd: S, from: *const f32) -> S::F32 {
        // SAFETY: the caller's promise.
        unsafe { simd.load_ptr(from) }
    }
}

impl PanelWeight for i8 {
    #[inline(always)]
    unsafe fn load_ptr<S: Simd>(simd: S, from: *const i8) -> S::F32 {
        // SAFETY: the caller's promise.
        unsafe { simd.load_i8_ptr(from) }
    }
}

/// The sums of a panel `[k, PANEL]` over its inputs.
pub(super) fn sums<W: PanelWeight>(inputs: &[(usize, f32)], panel: &[W]) -> [f32; PANEL] {
    let last = inputs.last().map_or(0, |&(i, _)| i + 1);
    assert!(last * PANEL <= panel.len(), "each input has its weights");
    dispatch(Level::get(), Sums { inputs, panel })
}

struct Sums<'a, W> {
    /// Indices, in ascending order, and values.
    inputs: &'a [(usize, f32)],
    panel: &'a [W],
}

impl<W: PanelWeight> WithSimd for Sums<'_, W> {
    type Output = [f32; PANEL];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f32; PANEL] {
        let mut sums = [0.0; PANEL];
        if S::HAS_32_REGISTERS {
            self.columns::<S, VECTORS>(simd, 0, &mut sums);
        } else {
            // With half the registers, half of the sums at a time.
            self.columns::<S, { VECTORS / 2 }>(simd, 0, &mut sums);
            self.columns::<S, { VECTORS / 2 }>(simd, PANEL / 2, &mut sums);
        }
        sums
    }
}

impl<W: PanelWeight> Sums<'_, W> {
    /// N vectors of sums from column `at` on.
    #[inline(always)]
    fn columns<S: Simd, const N: usize>(&self, simd: S, at: usize, sums: &mut [f32; PANEL]) {
        let weights = self.panel.as_ptr();
        let ahead = AHEAD * (size_of::<f32>() / size_of::<W>());
        for (i, block) in self.inputs.chunks(BLOCK).enumerate() {
            let start = i * BLOCK;
            let mut partial = [simd.splat(0.0); N];
            for (j, &(input, x)) in block.iter().enumerate() {
                if let Some(&(later, _)) = self.inputs.get(start + j + ahead) {
                    for v in (0..N).step_by(size_of::<f32>() / size_of::<W>()) {
                        prefetch(weights.wrapping_add(later * PANEL + at + v * LANES));
                    }
                }
                let x = simd.splat(x);
                for (v, sum) in partial.iter_mut().enumerate() {
                    // SAFETY: `sums` asserted that the panel holds the weights of the last and so of every input.
                    let w = unsafe { W::load_ptr(simd, weights.add(input * PANEL + at + v * LANES)) };
                    *sum = x.mul_add(w, *sum);
                }
            }
            for (v, sum) in partial.into_iter().enumerate() {
                let to = &mut sums[at + v * LANES..][..LANES];
                simd.load(to).add(sum).store(to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cpu::simd::Level;
    use crate::random::{Stream, purpose};
    use crate::{Device, Tensor};

    fn draw(seed: u64, len: usize) -> Vec<f32> {
        let stream = Stream::new(seed, purpose::USER, 0);
        (0..len as u64).map(|i| 2.0 * stream.uniform(i) - 1.0).collect()
    }

    fn product(n: usize, k: usize) -> Product {
        Product { m: 1, n, k, transpose_a: false, transpose_b: true, weights: false }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Against plain sums. The second and third run, with cached panels and on 3 threads, give the bits of the
        /// first.
        #[test]
        fn products_equal_plain_sums(n in PANEL..3 * PANEL + 9, k in 1usize..700, zeros in 0.0f32..1.0, seed in 0u64..99) {
            let p = product(n, k);
            let mut x = draw(seed, k);
            let values = draw(seed + 1, n * k);
            x.iter_mut().for_each(|v| if (*v + 1.0) / 2.0 < zeros { *v = 0.0 });
            let mut first: Option<Vec<f32>> = None;
            for threads in [1, 3] {
                let cpu = Cpu::<f32>::new(threads).unwrap();
                let w = cpu.upload(&values).unwrap();
                for _ in 0..3 {
                    let mut y = vec![f32::NAN; n];
                    cpu.install(|| run(&cpu, &p, &x, &w, &mut y)).unwrap();
                    prop_assert_eq!(first.get_or_insert(y.clone()), &y);
                }
            }
            for (o, &got) in first.unwrap().iter().enumerate() {
                let terms = || x.iter().zip(&values[o * k..]).map(|(&x, &w)| f64::from(x) * f64::from(w));
                let exact = terms().sum::<f64>();
                let scale = terms().map(f64::abs).sum::<f64>();
                prop_assert!((f64::from(got) - exact).abs() <= 1e-6 * scale, "{o}: {got}, exact {exact}");
            }
        }
    }

    #[test]
    fn every_level_skips_zeros() {
        let x = draw(1, 300);
        let w = draw(2, 300 * PANEL);
        let inputs: Vec<_> = x.iter().copied().enumerate().filter(|(i, _)| i % 3 != 1).collect();
        for level in Level::all() {
            let got = dispatch(level, Sums { inputs: &inputs, panel: &w });
            for (o, &got) in got.iter().enumerate() {
                let exact: f64 = inputs.iter().map(|&(i, x)| f64::from(x) * f64::from(w[i * PANEL + o])).sum();
                assert!((f64::from(got) - exact).abs() < 1e-5, "{level:?}, {o}: {got}, exact {exact}");
            }
            let w: Vec<i8> = (0..300 * PANEL).map(|i| (i * 37 % 255) as u8 as i8).collect();
            let got = dispatch(level, Sums { inputs: &inputs, panel: &w });
            for (o, &got) in got.iter().enumerate() {
                let exact: f64 = inputs.iter().map(|&(i, x)| f64::from(x) * f64::from(w[i * PANEL + o])).sum();
                assert!((f64::from(got) - exact).abs() < 2e-3, "{level:?}, {o}: {got}, exact {exact}");
            }
        }
    }

    /// With bias and ReLU, as in `paper`, and weights that change in between.
    #[test]
    fn large_layers_of_one_row_are_gemvs() {
        let n = 1000;
        let k = 1100;
        assert!(applies(&product(n, k)) && !applies(&Product { m: 2, ..product(n, k) }) && !applies(&product(n, 9)));
        let cpu = Cpu::<f32>::new(2).unwrap();
        let tensor =
            |shape: &[usize], seed| Tensor::from_slice(&cpu, shape, &draw(seed, shape.iter().product())).unwrap();
        let x = tensor(&[1, k], 1);
        let mut w = tensor(&[n, k], 2);
        let b = tensor(&[n], 3);
        let two = tensor(&[2, k], 1);
        for _ in 0..4 {
            let one = x.linear(&w, Some(&b), true).unwrap();
            let many = two.linear(&w, Some(&b), true).unwrap();
            for (a, b) in one.to_vec().unwrap().iter().zip(many.to_vec().unwrap()) {
                assert!((a - b).abs() < 1e-4, "{a}, {b}");
            }
            assert_eq!(one.to_vec().unwrap(), x.linear(&w, Some(&b), true).unwrap().to_vec().unwrap());
            w.add_scaled(0.5, &w.clone()).unwrap();
        }
    }
}

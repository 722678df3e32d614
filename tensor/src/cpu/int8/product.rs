//! Products with weights in 8 bits: x W^T.

use rayon::prelude::*;

use super::Int8Matrix;
use crate::Result;
use crate::cpu::Cpu;
use crate::cpu::gemv::{self, PANEL};
use crate::cpu::matrix::{Matrix, MatrixMut, Parallelism, product, transpose};
use crate::cpu::simd::multiversion;

/// Images in one pass over the weights.
const IMAGES: usize = 512;
/// Terms whose weights are widened together: 128 KiB, which stay in the L2 cache.
const TERMS: usize = 256;

impl Int8Matrix {
    /// Whether this is a matrix of `rows` x `columns`.
    pub fn has_shape(&self, rows: usize, columns: usize) -> bool {
        self.rows == rows && self.columns == columns
    }

    /// y `[images, rows]` = x W^T for x `[images, columns]`, on the threads of the caller's pool.
    pub fn product(&self, cpu: &Cpu<f32>, x: &[f32], y: &mut [f32]) -> Result<()> {
        if self.columns == 0 {
            y.fill(0.0);
            return Ok(());
        }
        if x.len() == self.columns {
            self.product_of_one(x, y);
            return Ok(());
        }
        let images = x.chunks(IMAGES * self.columns).zip(y.chunks_mut(IMAGES * self.rows));
        images.into_iter().try_for_each(|(x, y)| self.product_of_many(cpu, x, y))
    }

    /// Lengths of the buffers that [`product`](Self::product) of `images` takes on this number of threads.
    pub fn workspace(images: usize, rows: usize, columns: usize, threads: usize) -> Vec<usize> {
        if images <= 1 {
            return Vec::new();
        }
        let images = images.min(IMAGES);
        let panels = rows.div_ceil(PANEL);
        let mut buffers = vec![images * columns, panels * PANEL * images];
        buffers.extend(vec![TERMS * PANEL; threads.min(panels)]);
        buffers
    }

    /// The memory's speed is the limit, at 1 byte per weight, `f32` takes 2 to 2.7 times as long.
    fn product_of_one(&self, x: &[f32], y: &mut [f32]) {
        let inputs = gemv::nonzero(x);
        y.par_chunks_mut(PANEL).enumerate().for_each(|(i, y)| {
            let sums = gemv::sums(&inputs, self.panel(i));
            for ((y, sum), scale) in y.iter_mut().zip(sums).zip(&self.scales[i * PANEL..]) {
                *y = scale * sum;
            }
        });
    }

    /// Computes W x^T, panel by panel, whose integers are widened just before their products.
    fn product_of_many(&self, cpu: &Cpu<f32>, x: &[f32], y: &mut [f32]) -> Result<()> {
        let images = x.len() / self.columns;
        let mut columns = cpu.alloc(x.len())?;
        transpose(x, images, self.columns, columns.make_mut()?, |_, _| {});
        let columns = columns.as_slice();
        let mut by_output = cpu.alloc(self.scales.len() * images)?;
        by_output.make_mut()?.par_chunks_mut(PANEL * images).enumerate().try_for_each(|(i, c)| {
            let mut wide = cpu.alloc(TERMS * PANEL)?;
            let wide = wide.make_mut()?;
            for (block, values) in self.panel(i).chunks(TERMS * PANEL).enumerate() {
                let terms = values.len() / PANEL;
                widen(values, wide);
                let w = Matrix::new(wide, terms, PANEL, PANEL).t();
                let x = Matrix::new(&columns[block * TERMS * images..], terms, images, images);
                product(MatrixMut::new(c, PANEL, images, images), block > 0, w, x, Parallelism::None);
            }
            for (c, scale) in c.chunks_exact_mut(images).zip(&self.scales[i * PANEL..]) {
                c.iter_mut().for_each(|c| *c *= scale);
            }
            Ok(())
        })?;
        transpose(&by_output.as_slice()[..self.rows * images], self.rows, images, y, |_, _| {});
        Ok(())
    }
}

multiversion! {
    fn widen(from: &[i8], to: &mut [f32]) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = f32::from(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::{Stream, purpose};

    fn draw(seed: u64, len: usize) -> Vec<f32> {
        let stream = Stream::new(seed, purpose::USER, 0);
        (0..len as u64).map(|i| 2.0 * stream.uniform(i) - 1.0).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Against sums in f64 over the rounded weights; the same bits on 1 and 3 threads.
        #[test]
        fn products_equal_plain_sums(
            images in 1usize..40, rows in 1usize..2 * PANEL + 9, columns in 1usize..2 * TERMS + 9,
            zeros in 0.0f32..1.0, seed in 0u64..99,
        ) {
            let mut x = draw(seed, images * columns);
            x.iter_mut().for_each(|v| if (*v + 1.0) / 2.0 < zeros { *v = 0.0 });
            let w = draw(seed + 1, rows * columns);
            let mut first: Option<Vec<f32>> = None;
            let mut rounded = vec![0.0; w.len()];
            for threads in [1, 3] {
                let cpu = Cpu::<f32>::new(threads).unwrap();
                let matrix = Int8Matrix::new(&cpu, rows, columns, &w).unwrap();
                matrix.widen(&mut rounded);
                let mut y = vec![f32::NAN; images * rows];
                cpu.install(|| matrix.product(&cpu, &x, &mut y)).unwrap();
                prop_assert_eq!(first.get_or_insert(y.clone()), &y);
            }
            for (i, &got) in first.unwrap().iter().enumerate() {
                let x = &x[i / rows * columns..][..columns];
                let w = &rounded[i % rows * columns..][..columns];
                let terms = || x.iter().zip(w).map(|(&x, &w)| f64::from(x) * f64::from(w));
                let exact = terms().sum::<f64>();
                let scale = terms().map(f64::abs).sum::<f64>();
                prop_assert!((f64::from(got) - exact).abs() <= 1e-6 * scale, "{i}: {got}, exact {exact}");
            }
        }
    }

    #[test]
    fn more_images_than_one_pass_takes() {
        let images = IMAGES + 3;
        let cpu = Cpu::<f32>::new(2).unwrap();
        let x = draw(1, images * 5);
        let matrix = Int8Matrix::new(&cpu, 7, 5, &draw(2, 35)).unwrap();
        let mut all = vec![f32::NAN; images * 7];
        cpu.install(|| matrix.product(&cpu, &x, &mut all)).unwrap();
        for (x, y) in x.chunks(5).zip(all.chunks(7)) {
            let mut one = [f32::NAN; 7];
            cpu.install(|| matrix.product(&cpu, x, &mut one)).unwrap();
            for (one, y) in one.iter().zip(y) {
                assert!((one - y).abs() < 1e-5, "{one}, {y}");
            }
        }
    }
}

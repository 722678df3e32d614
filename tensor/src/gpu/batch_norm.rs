//! Batch normalisation over rows of `c` channels. The forward reads x twice, the backward x and dy twice.

use cubecl::prelude::*;

use super::batch_sums::inverse_deviation;
use super::precision::dispatch;
use super::{Buffer, Gpu};
use crate::ops::batch_norm::{BatchMoments, BatchNormBackward, BatchNormForward};
use crate::{Kernel, Result};

#[cube(launch)]
fn batch_norm_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    mean: &Array<Vector<f32, N>>,
    variance: &Array<Vector<f32, N>>,
    gamma: &Array<Vector<f32, N>>,
    beta: &Array<Vector<f32, N>>,
    y: &mut Array<Vector<F, N>>,
    epsilon: f32,
    #[comptime] vectors: usize,
) {
    if ABSOLUTE_POS < y.len() {
        let k = ABSOLUTE_POS % vectors;
        let scale = gamma[k] * inverse_deviation::<N>(variance[k], epsilon);
        let deviation = Vector::<f32, N>::cast_from(x[ABSOLUTE_POS]) - mean[k];
        y[ABSOLUTE_POS] = Vector::cast_from(deviation * scale + beta[k]);
    }
}

/// dx = gamma / deviation (dy - dbeta / rows - xhat dgamma / rows); `share` is 1 / rows.
#[cube(launch)]
fn batch_norm_dx_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    dy: &Array<Vector<F, N>>,
    statistics: &Statistics<N>,
    gamma: &Array<Vector<f32, N>>,
    dx: &mut Array<Vector<F, N>>,
    share: f32,
    epsilon: f32,
    #[comptime] vectors: usize,
) {
    if ABSOLUTE_POS < dx.len() {
        let k = ABSOLUTE_POS % vectors;
        let inverse = inverse_deviation::<N>(statistics.variance[k], epsilon);
        let normal = (Vector::<f32, N>::cast_from(x[ABSOLUTE_POS]) - statistics.mean[k]) * inverse;
        let share = Vector::<f32, N>::new(share);
        let mean_gradient = statistics.dbeta[k] * share + normal * statistics.dgamma[k] * share;
        let gradient = Vector::<f32, N>::cast_from(dy[ABSOLUTE_POS]) - mean_gradient;
        dx[ABSOLUTE_POS] = Vector::cast_from(gamma[k] * inverse * gradient);
    }
}

/// The values of each channel.
#[derive(CubeType, CubeLaunch)]
struct Statistics<N: Size> {
    mean: Array<Vector<f32, N>>,
    variance: Array<Vector<f32, N>>,
    dgamma: Array<Vector<f32, N>>,
    dbeta: Array<Vector<f32, N>>,
}

impl<R: Runtime> Kernel<BatchMoments> for Gpu<R> {
    fn run(&self, op: &BatchMoments, [x]: [&Buffer; 1]) -> Result<[Buffer; 2]> {
        let &BatchMoments { rows, channels: c } = op;
        self.addressable("batch norm", rows * c)?;
        let (mean, variance) = self.means_and_variances(rows, c, x);
        Ok([mean, variance])
    }
}

impl<R: Runtime> Kernel<BatchNormForward> for Gpu<R> {
    fn run(&self, op: &BatchNormForward, operands: [&Buffer; 5]) -> Result<[Buffer; 1]> {
        let &BatchNormForward { rows, channels: c, epsilon } = op;
        let [x, mean, variance, gamma, beta] = operands;
        self.addressable("batch norm", rows * c)?;
        let y = self.empty(x.dtype(), rows * c);
        let width = self.vector_width(x.dtype(), &[c]);
        let (count, dim) = self.unit_grid(rows * c / width);
        dispatch!(x.dtype(), F => {
            let [mean, variance, gamma, beta] = [mean, variance, gamma, beta].map(Buffer::arg::<R>);
            batch_norm_kernel::launch::<F, R>(
                self.client(), count, dim, width, x.arg(), mean, variance, gamma, beta, y.arg(), epsilon as f32, c / width,
            );
        });
        Ok([y])
    }
}

impl<R: Runtime> Kernel<BatchNormBackward> for Gpu<R> {
    fn run(&self, op: &BatchNormBackward, operands: [&Buffer; 5]) -> Result<[Buffer; 3]> {
        let &BatchNormBackward { rows, channels: c, epsilon } = op;
        let [x, mean, variance, gamma, dy] = operands;
        self.addressable("batch norm backward", rows * c)?;
        let (x, dy) = self.promote(x, dy);
        let width = self.vector_width(dy.dtype(), &[c]);
        let (dbeta, dgamma) = self.gradient_sums(rows, c, &x, &dy, (mean, variance), epsilon);
        let dx = self.empty(dy.dtype(), rows * c);
        let (count, dim) = self.unit_grid(rows * c / width);
        let statistics = StatisticsLaunch::new(mean.arg(), variance.arg(), dgamma.arg(), dbeta.arg());
        dispatch!(dy.dtype(), F => {
            batch_norm_dx_kernel::launch::<F, R>(
                self.client(), count, dim, width, x.arg(), dy.arg(), statistics, gamma.arg(), dx.arg(),
                1.0 / rows as f32, epsilon as f32, c / width,
            );
        });
        Ok([dx, dgamma, dbeta])
    }
}

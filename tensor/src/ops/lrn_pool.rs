//! Local response normalisation and the max-pooling of its output in one, as the paper has them after its first two
//! convolutions (sections 3.3 and 3.4): the normalised maps, four times as large as the maxima, need not be written.

use super::{Lrn, Pool2d, PoolKind, lrn, pool, relu_bias};
use crate::{Backend, Error, Ints, Result, Tensor};

/// What the backward needs of a forward, besides its input.
#[derive(Clone, Debug)]
pub struct Kept<B: Backend> {
    /// Of each maximum, the position in its image's `[h, w]`.
    pub positions: Ints<B>,
    /// k + alpha * sum, where the backend does not compute it again from the input.
    pub base: Option<Tensor<B>>,
}

/// The maxima, their positions and, from a backend whose backward wants it, the base.
pub type Forward<F, I> = (F, I, Option<F>);

/// What a backend supplies.
pub trait Kernels: lrn::Kernels + pool::Kernels + relu_bias::Kernels {
    /// What [`max_pool`](pool::Kernels::max_pool) gives for the output of [`lrn`](lrn::Kernels::lrn).
    fn lrn_max_pool(
        &self,
        lrn: &Lrn,
        g: &pool::Geometry,
        x: &Self::Floats,
    ) -> Result<Forward<Self::Floats, Self::Ints>>;
    /// The gradient for x; `base` is what the forward gave.
    fn lrn_max_pool_dx(
        &self,
        lrn: &Lrn,
        g: &pool::Geometry,
        x: &Self::Floats,
        base: Option<&Self::Floats>,
        positions: &Self::Ints,
        dy: &Self::Floats,
    ) -> Result<Self::Floats>;
    /// The same where x is what a ReLU gave: the gradient before that, and its sum over all places, that of a bias: `[c]`.
    fn lrn_max_pool_dx_through_relu(
        &self,
        lrn: &Lrn,
        g: &pool::Geometry,
        x: &Self::Floats,
        base: Option<&Self::Floats>,
        positions: &Self::Ints,
        dy: &Self::Floats,
    ) -> Result<(Self::Floats, Self::Floats)> {
        then_relu(self, g, x, self.lrn_max_pool_dx(lrn, g, x, base, positions, dy)?)
    }
}

/// The forward as two operations.
pub(crate) fn in_turn<D: lrn::Kernels + pool::Kernels>(
    device: &D,
    lrn: &Lrn,
    g: &pool::Geometry,
    x: &D::Floats,
) -> Result<Forward<D::Floats, D::Ints>> {
    let (normal, base) = device.lrn(lrn, g.x_shape(), x)?;
    let (y, positions) = device.max_pool(g, &normal)?;
    Ok((y, positions, Some(base)))
}

/// The backward of [`in_turn`].
pub(crate) fn in_turn_dx<D: lrn::Kernels + pool::Kernels>(
    device: &D,
    lrn: &Lrn,
    g: &pool::Geometry,
    [x, base, dy]: [&D::Floats; 3],
    positions: &D::Ints,
) -> Result<D::Floats> {
    let dnormal = device.max_pool_dx(g, positions, dy)?;
    device.lrn_dx(lrn, g.x_shape(), x, base, &dnormal)
}

/// The gradient through a ReLU that gave x, and its sums, after that for x.
pub(crate) fn then_relu<D: relu_bias::Kernels>(
    device: &D,
    g: &pool::Geometry,
    x: &D::Floats,
    mut dx: D::Floats,
) -> Result<(D::Floats, D::Floats)> {
    let sums = device.relu_bias_dx(g.n * g.input[0] * g.input[1], g.channels, x, &mut dx)?;
    Ok((dx, sums))
}

/// What a backward that goes by the base says where its forward left none.
pub(crate) fn no_base() -> Error {
    Error::argument(BACKWARD, "it needs the base that the forward returned")
}

const BACKWARD: &str = "lrn and max-pool backward";

impl<B: Backend> Tensor<B> {
    /// [`lrn`](Self::lrn), then [`pool`](Self::pool): `[n, h, w, c]` to `[n, oh, ow, c]`.
    ///
    /// # Errors
    /// As those two; [`Error::Argument`] for another pooling than of maxima.
    pub fn lrn_max_pool(&self, lrn: &Lrn, pool: &Pool2d) -> Result<(Self, Kept<B>)> {
        let g = geometry("lrn and max-pool", lrn, pool, self.shape())?;
        let (y, positions, base) = self.device().lrn_max_pool(lrn, &g, &self.data)?;
        let shape = g.y_shape();
        let positions = Ints::from_parts(self.device().clone(), shape.iter().product(), positions);
        let kept = Kept { positions, base: base.map(|base| self.with_data(base)) };
        Ok((Self::from_parts(self.device().clone(), shape.to_vec(), y), kept))
    }

    /// The gradient of [`lrn_max_pool`](Self::lrn_max_pool) for its input `x`; `self` is dy.
    ///
    /// # Errors
    /// [`Error::Shape`] unless dy has the output's shape; [`Error::Argument`] for what another forward kept.
    pub fn lrn_max_pool_dx(&self, lrn: &Lrn, pool: &Pool2d, x: &Self, kept: &Kept<B>) -> Result<Self> {
        let g = self.checked_gradient(lrn, pool, x, kept)?;
        let base = kept.base.as_ref().map(|base| &base.data);
        let dx = self.device().lrn_max_pool_dx(lrn, &g, &x.data, base, &kept.positions.data, &self.data)?;
        Ok(x.with_data(dx))
    }

    /// The gradient of [`lrn_max_pool`](Self::lrn_max_pool) where its input `x` is relu(z + b): for z, and for b `[c]`.
    ///
    /// # Errors
    /// As [`lrn_max_pool_dx`](Self::lrn_max_pool_dx).
    pub fn lrn_max_pool_dx_through_relu(
        &self,
        lrn: &Lrn,
        pool: &Pool2d,
        x: &Self,
        kept: &Kept<B>,
    ) -> Result<(Self, Self)> {
        let g = self.checked_gradient(lrn, pool, x, kept)?;
        let (base, positions) = (kept.base.as_ref().map(|base| &base.data), &kept.positions.data);
        let (dx, sums) = self.device().lrn_max_pool_dx_through_relu(lrn, &g, &x.data, base, positions, &self.data)?;
        Ok((x.with_data(dx), Self::from_parts(self.device().clone(), vec![g.channels], sums)))
    }

    fn checked_gradient(&self, lrn: &Lrn, pool: &Pool2d, x: &Self, kept: &Kept<B>) -> Result<pool::Geometry> {
        let g = geometry(BACKWARD, lrn, pool, x.shape())?;
        if self.shape() != g.y_shape() {
            return Err(Error::shape(BACKWARD, format!("a gradient {:?}", g.y_shape()), self.shape()));
        }
        if kept.positions.len() != self.len() {
            return Err(Error::argument(BACKWARD, "the positions are those of another forward"));
        }
        if let Some(base) = &kept.base {
            x.same_shape(BACKWARD, base)?;
        }
        Ok(g)
    }
}

fn geometry(op: &'static str, lrn: &Lrn, pool: &Pool2d, x: &[usize]) -> Result<pool::Geometry> {
    lrn.check()?;
    if pool.kind != PoolKind::Max {
        return Err(Error::argument(op, format!("only max-pooling goes with it, got {:?}", pool.kind)));
    }
    pool.geometry(x)
}

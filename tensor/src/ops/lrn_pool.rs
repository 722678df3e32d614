//! Local response normalisation fused with max-pooling, which follow the first two convolutions of the paper (sections
//! 3.3 and 3.4). The normalised values, four times as many as the maxima, are not written to memory.

use super::lrn::{LrnBackward, LrnForward};
use super::pool::{MaxPoolBackward, MaxPoolForward};
use super::{Lrn, Pool2d, PoolKind, pool};
use crate::{Alloc, Backend, Error, Handle, IntTensor, Operation, Result, Tensor};

/// The values saved for the backward, beside the input.
#[derive(Clone, Debug)]
pub struct Saved<B: Backend> {
    /// The position of each maximum, a flat index in `[h, w]` of its image.
    pub positions: IntTensor<B>,
    /// k + alpha * sum; `None` where the backend computes it again from the input.
    pub base: Option<Tensor<B>>,
}

/// The maxima of the normalised values and their positions, as flat indices in `[h, w]` of their images. Operand: x.
/// Outputs: y, positions. Its parts are [`LrnForward`] and [`MaxPoolForward`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LrnMaxPoolForward {
    /// The normalisation.
    pub lrn: Lrn,
    /// The sizes of the pooling.
    pub geometry: pool::Geometry,
}

impl Operation for LrnMaxPoolForward {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = ([F; 1], [I; 1]);

    fn name(&self) -> &'static str {
        "lrn + max pool"
    }

    fn has_parts(&self) -> bool {
        true
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        let len = self.geometry.output_len();
        Ok(([new.like(of[0], len)?], [new.ints(len)?]))
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// The gradient of [`LrnMaxPoolForward`], which computes the base again. Operands: x, dy, positions. Output: dx.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LrnMaxPoolBackward {
    /// The normalisation.
    pub lrn: Lrn,
    /// The sizes of the pooling.
    pub geometry: pool::Geometry,
}

impl Operation for LrnMaxPoolBackward {
    type In<'a, F: Handle, I: Handle> = ([&'a F; 2], [&'a I; 1]);
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "lrn + max pool dx"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        let ([x, _], _) = of;
        Ok([new.like(x, self.geometry.input_len())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// The gradient of [`LrnMaxPoolForward`] where x is relu(z + b): for z, and for b `[channels]`. Operands: x, dy, positions.
/// Outputs: dz, db. Its parts are [`LrnMaxPoolBackward`] and [`ReluBiasBackward`](super::relu_bias::ReluBiasBackward).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LrnMaxPoolReluBiasBackward {
    /// The normalisation.
    pub lrn: Lrn,
    /// The sizes of the pooling.
    pub geometry: pool::Geometry,
}

impl Operation for LrnMaxPoolReluBiasBackward {
    type In<'a, F: Handle, I: Handle> = ([&'a F; 2], [&'a I; 1]);
    type Out<F: Handle, I: Handle> = [F; 2];

    fn name(&self) -> &'static str {
        "lrn + max pool + relu dx"
    }

    fn has_parts(&self) -> bool {
        true
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        let ([x, _], _) = of;
        Ok([new.like(x, self.geometry.input_len())?, new.weights(self.geometry.channels)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// The error of a backend that is asked for a fused kernel that it does not have.
pub(crate) fn not_fused() -> Error {
    Error::argument("lrn and max-pool", "this device runs it as two kernels")
}

const BACKWARD: &str = "lrn and max-pool backward";

impl<B: Backend> Tensor<B> {
    /// [`lrn`](Self::lrn), then [`pool`](Self::pool): `[n, h, w, c]` to `[n, oh, ow, c]`.
    ///
    /// # Errors
    /// Those of both operations; [`Error::Argument`] unless `pool` is a max-pooling.
    pub fn lrn_max_pool(&self, lrn: &Lrn, pool: &Pool2d) -> Result<(Self, Saved<B>)> {
        let g = geometry("lrn and max-pool", lrn, pool, self.shape())?;
        let device = self.device();
        let fused = LrnMaxPoolForward { lrn: *lrn, geometry: g };
        let (y, positions, base) = if device.is_fused(&fused) {
            let ([y], [positions]) = device.run(&fused, [&self.data])?;
            (y, positions, None)
        } else {
            let [normalised, base] = device.run(&LrnForward { spec: *lrn, shape: g.x_shape() }, [&self.data])?;
            let ([y], [positions]) = device.run(&MaxPoolForward { geometry: g }, [&normalised])?;
            (y, positions, Some(self.with_data(base)))
        };
        let positions = IntTensor::from_parts(device.clone(), g.output_len(), positions);
        Ok((Self::from_parts(device.clone(), g.y_shape().to_vec(), y), Saved { positions, base }))
    }

    /// The gradient of [`lrn_max_pool`](Self::lrn_max_pool) for its input `x`; `self` is dy.
    ///
    /// # Errors
    /// [`Error::Shape`] unless dy has the output's shape; [`Error::Argument`] for values that another forward saved.
    pub fn lrn_max_pool_dx(&self, lrn: &Lrn, pool: &Pool2d, x: &Self, saved: &Saved<B>) -> Result<Self> {
        let g = self.checked_gradient(lrn, pool, x, saved)?;
        let device = self.device();
        let positions = &saved.positions.data;
        let [dx] = match &saved.base {
            Some(base) => {
                let [d_normalised] = device.run(&MaxPoolBackward { geometry: g }, ([&self.data], [positions]))?;
                let op = LrnBackward { spec: *lrn, shape: g.x_shape() };
                device.run(&op, [&x.data, &base.data, &d_normalised])?
            }
            None if device.is_fused(&LrnMaxPoolForward { lrn: *lrn, geometry: g }) => {
                device.run(&LrnMaxPoolBackward { lrn: *lrn, geometry: g }, ([&x.data, &self.data], [positions]))?
            }
            None => return Err(Error::argument(BACKWARD, "it needs the base that the forward returned")),
        };
        Ok(x.with_data(dx))
    }

    /// The gradients of [`lrn_max_pool`](Self::lrn_max_pool) where its input `x` is relu(z + b): for z, and for b `[c]`.
    ///
    /// # Errors
    /// As [`lrn_max_pool_dx`](Self::lrn_max_pool_dx).
    pub fn lrn_max_pool_relu_bias_dx(
        &self,
        lrn: &Lrn,
        pool: &Pool2d,
        x: &Self,
        saved: &Saved<B>,
    ) -> Result<(Self, Self)> {
        let g = self.checked_gradient(lrn, pool, x, saved)?;
        let device = self.device();
        let fused = LrnMaxPoolReluBiasBackward { lrn: *lrn, geometry: g };
        if saved.base.is_some() || !device.is_fused(&fused) {
            return self.lrn_max_pool_dx(lrn, pool, x, saved)?.into_relu_bias_dx(x);
        }
        let [dx, sums] = device.run(&fused, ([&x.data, &self.data], [&saved.positions.data]))?;
        Ok((x.with_data(dx), Self::from_parts(device.clone(), vec![g.channels], sums)))
    }

    fn checked_gradient(&self, lrn: &Lrn, pool: &Pool2d, x: &Self, saved: &Saved<B>) -> Result<pool::Geometry> {
        let g = geometry(BACKWARD, lrn, pool, x.shape())?;
        if self.shape() != g.y_shape() {
            return Err(Error::shape(BACKWARD, format!("a gradient {:?}", g.y_shape()), self.shape()));
        }
        if saved.positions.len() != self.len() {
            return Err(Error::argument(BACKWARD, "the positions are those of another forward"));
        }
        if let Some(base) = &saved.base {
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

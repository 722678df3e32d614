//! Epilogues: the stages that follow a convolution, a linear layer or a normalisation and are computed with it.
//!
//! A stage alone and in an epilogue gives the same bits, except that the gradient of a bias may be summed in another order.
//! An epilogue needs less memory: the output of a stage is kept only if the backward pass reads it, and devices have
//! kernels for several stages at once ([`tensor::Kernel::is_fused`]).

#[cfg(test)]
mod tests;

use tensor::ops::lrn_pool;
use tensor::ops::{Activation, Dropout, Lrn, Pool2d, PoolKind};
use tensor::random::Stream;
use tensor::{Backend, IntTensor, Tensor};

use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

/// One stage of an epilogue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stage {
    /// ReLU (paper, section 3.1).
    Relu,
    /// Local response normalisation of `[n, h, w, c]` (paper, section 3.3).
    Lrn(Lrn),
    /// Pooling of `[n, h, w, c]` (paper, section 3.4).
    Pool(Pool2d),
    /// Dropout in training, drawn from this stream (paper, section 4.2).
    Dropout(Dropout, Stream),
    /// All values times a factor.
    Scale(f64),
}

/// The order of stages that are computed in the epilogue of a network's layer.
impl Stage {
    /// Whether the stage can be fused with a convolution that `stages` are already fused with: a ReLU, then
    /// normalisation and max-pooling, or one of them.
    pub(crate) fn follows_conv2d(&self, stages: &[Self]) -> bool {
        match stages.last() {
            None => *self == Self::Relu,
            Some(Self::Relu) => matches!(self, Self::Lrn(_)) || self.is_max_pool(),
            Some(Self::Lrn(_)) => self.is_max_pool(),
            Some(_) => false,
        }
    }

    /// Whether the stage can be fused with a linear layer: a ReLU, then dropout.
    pub(crate) fn follows_linear(&self, stages: &[Self]) -> bool {
        match stages {
            [] => *self == Self::Relu,
            [Self::Relu] => matches!(self, Self::Dropout(..)),
            _ => false,
        }
    }

    /// Whether the stage can be fused with a normalisation: a max-pooling.
    pub(crate) fn follows_lrn(&self, stages: &[Self]) -> bool {
        stages.is_empty() && self.is_max_pool()
    }

    fn is_max_pool(&self) -> bool {
        matches!(self, Self::Pool(pool) if pool.kind == PoolKind::Max)
    }
}

/// The values of one or two stages that their backward pass reads.
enum Saved<B: Backend> {
    Relu {
        y: Tensor<B>,
    },
    Lrn {
        spec: Lrn,
        x: Tensor<B>,
        base: Tensor<B>,
    },
    Pool(Pooling<B>),
    /// No mask: it follows from the stream.
    Dropout {
        spec: Dropout,
        stream: Stream,
    },
    Scale {
        factor: f64,
    },
    /// A value of y is above 0 where the ReLU passed it on and dropout kept it, so the ReLU's output need not be kept,
    /// nor the mask drawn again.
    ReluDropout {
        y: Tensor<B>,
        factor: f64,
    },
    /// A ReLU has passed on the maxima above 0, so its backward needs the pooled values only. The ReLU's own output,
    /// the largest of a network, is not kept.
    ReluMaxPool {
        y: Tensor<B>,
        pooling: Pooling<B>,
    },
    /// `relu`: whether x is the output of a ReLU, whose backward is computed with these two.
    LrnMaxPool {
        lrn: Lrn,
        pool: Pool2d,
        x: Tensor<B>,
        saved: lrn_pool::Saved<B>,
        relu: bool,
    },
}

struct Pooling<B: Backend> {
    spec: Pool2d,
    x_shape: Vec<usize>,
    positions: Option<IntTensor<B>>,
}

impl<B: Backend> Pooling<B> {
    fn forward(x: &Tensor<B>, spec: &Pool2d) -> Result<(Tensor<B>, Self)> {
        let (y, positions) = x.pool(spec)?;
        Ok((y, Self { spec: *spec, x_shape: x.shape().to_vec(), positions }))
    }

    fn backward(&self, dy: &Tensor<B>) -> tensor::Result<Tensor<B>> {
        dy.pool_dx(&self.spec, &self.x_shape, self.positions.as_ref())
    }
}

/// The values that an epilogue saved for its backward pass.
pub(super) struct Epilogue<B: Backend> {
    /// In the order of the stages.
    saved: Vec<Saved<B>>,
}

impl<B: Backend> Epilogue<B> {
    /// Computes `stages` on `y`, the output of an operation that has computed the first `done` of them itself: none, a
    /// ReLU, or a ReLU and dropout.
    pub fn forward(mut y: Tensor<B>, stages: &[Stage], done: usize) -> Result<(Tensor<B>, Self)> {
        let mut saved = Vec::new();
        let mut rest = stages;
        while let [stage, after @ ..] = rest {
            rest = after;
            match (stage, after) {
                (Stage::Relu, [Stage::Dropout(spec, stream), after @ ..]) => {
                    let computed = done.saturating_sub(stages.len() - rest.len() - 1);
                    if computed == 0 {
                        y = y.activation(Activation::Relu)?;
                    }
                    if computed <= 1 {
                        y = y.dropout(spec, *stream)?;
                    }
                    saved.push(Saved::ReluDropout { y: y.clone(), factor: spec.training_factor() });
                    rest = after;
                }
                (Stage::Relu, _) => {
                    if stages.len() - rest.len() > done {
                        y = y.activation(Activation::Relu)?;
                    }
                    saved.push(Saved::Relu { y: y.clone() });
                }
                (Stage::Lrn(lrn), [Stage::Pool(pool), after @ ..]) if pool.kind == PoolKind::Max => {
                    let (maxima, positions) = y.lrn_max_pool(lrn, pool)?;
                    let relu = saved.pop_if(|last| matches!(last, Saved::Relu { .. })).is_some();
                    saved.push(Saved::LrnMaxPool { lrn: *lrn, pool: *pool, x: y, saved: positions, relu });
                    y = maxima;
                    rest = after;
                }
                (Stage::Lrn(spec), _) => {
                    let (normal, base) = y.lrn(spec)?;
                    saved.push(Saved::Lrn { spec: *spec, x: y, base });
                    y = normal;
                }
                (Stage::Pool(spec), _) => {
                    let (pooled, pooling) = Pooling::forward(&y, spec)?;
                    y = pooled;
                    let is_max = spec.kind == PoolKind::Max;
                    let after_relu = is_max && saved.pop_if(|last| matches!(last, Saved::Relu { .. })).is_some();
                    saved.push(if after_relu {
                        Saved::ReluMaxPool { y: y.clone(), pooling }
                    } else {
                        Saved::Pool(pooling)
                    });
                }
                (Stage::Dropout(spec, stream), _) => {
                    y = y.dropout(spec, *stream)?;
                    saved.push(Saved::Dropout { spec: *spec, stream: *stream });
                }
                (Stage::Scale(factor), _) => {
                    y = y.scale(*factor)?;
                    saved.push(Saved::Scale { factor: *factor });
                }
            }
        }
        Ok((y, Self { saved }))
    }

    /// The gradient before the epilogue, given the one after it. `bias`, if any, is the input number of a bias `[c]` of the
    /// operation, which gets its gradient.
    pub fn backward(self, mut dy: Tensor<B>, bias: Option<usize>, grads: &mut InputGrads<'_, B>) -> Result<Tensor<B>> {
        let mut saved = self.saved;
        let mut bias = bias.filter(|&bias| grads.requires_grad(bias));
        while let Some(stage) = saved.pop() {
            // The gradient of the bias is summed on the way where the first stage is a ReLU.
            let with_bias = if saved.is_empty() { bias } else { None };
            let (dx, dbias) = stage.backward(dy, with_bias.is_some())?;
            dy = dx;
            if let (Some(input), Some(dbias)) = (with_bias, dbias) {
                grads.add(input, || Ok(dbias))?;
                bias = None;
            }
        }
        if let Some(bias) = bias {
            grads.add(bias, || dy.sum_rows())?;
        }
        Ok(dy)
    }
}

impl<B: Backend> Saved<B> {
    /// The gradient before the stages and, if `with_bias` and a ReLU comes first, its sums over all axes but the last.
    fn backward(self, dy: Tensor<B>, with_bias: bool) -> Result<(Tensor<B>, Option<Tensor<B>>)> {
        Ok(match self {
            Self::Relu { y } => relu_backward(dy, &y, with_bias)?,
            Self::Lrn { spec, x, base } => (dy.lrn_dx(&spec, &x, &base)?, None),
            Self::Pool(pooling) => (pooling.backward(&dy)?, None),
            Self::Dropout { spec, stream } => (dy.dropout(&spec, stream)?, None),
            Self::Scale { factor } => (dy.scale(factor)?, None),
            Self::ReluDropout { y, factor } => {
                // Adding -0 leaves every product unchanged, also -0.
                let dy = if factor == 1.0 { dy } else { dy.mul_add_scalar(factor, -0.0)? };
                relu_backward(dy, &y, with_bias)?
            }
            Self::ReluMaxPool { y, pooling } => {
                // Each gradient goes to one position of the maps: their sum is that of the pooled ones.
                let (dy, dbias) = relu_backward(dy, &y, with_bias)?;
                (pooling.backward(&dy)?, dbias)
            }
            Self::LrnMaxPool { lrn, pool, x, saved, relu: true } => {
                let (dx, dbias) = dy.lrn_max_pool_relu_bias_dx(&lrn, &pool, &x, &saved)?;
                (dx, Some(dbias))
            }
            Self::LrnMaxPool { lrn, pool, x, saved, relu: false } => {
                (dy.lrn_max_pool_dx(&lrn, &pool, &x, &saved)?, None)
            }
        })
    }
}

fn relu_backward<B: Backend>(dy: Tensor<B>, y: &Tensor<B>, with_bias: bool) -> Result<(Tensor<B>, Option<Tensor<B>>)> {
    if with_bias {
        let (dx, dbias) = dy.into_relu_bias_dx(y)?;
        return Ok((dx, Some(dbias)));
    }
    Ok((dy.into_activation_dx(Activation::Relu, y)?, None))
}

impl<B: Backend> Tape<B> {
    /// Computes stages one after another, as one record.
    pub fn stages(&mut self, x: &Var<B>, stages: &[Stage]) -> Result<Var<B>> {
        let (y, epilogue) = Epilogue::forward(x.value().clone(), stages, 0)?;
        self.record("stages", &[x], y, || epilogue)
    }
}

impl<B: Backend> Backward<B> for Epilogue<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        let dx = Epilogue::backward(*self, dy, None, grads)?;
        grads.add(0, || Ok(dx))
    }
}

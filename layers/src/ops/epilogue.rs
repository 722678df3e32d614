//! Epilogues: the stages that follow a convolution, a linear layer or a normalisation and are computed with it.
//!
//! A stage alone and in an epilogue gives the same bits, except that the gradient of a bias may be summed in another order.
//! An epilogue needs less memory: the output of a stage is kept only if the backward pass reads it, and devices have
//! kernels for several stages at once ([`tensor::Kernel::is_fused`]).

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
    /// Whether it is computed with a convolution that `stages` already are computed with: a ReLU, then normalisation and
    /// max-pooling, or one of them.
    pub(crate) fn follows_conv2d(&self, stages: &[Self]) -> bool {
        match stages.last() {
            None => *self == Self::Relu,
            Some(Self::Relu) => matches!(self, Self::Lrn(_)) || self.is_max_pool(),
            Some(Self::Lrn(_)) => self.is_max_pool(),
            Some(_) => false,
        }
    }

    /// Whether it is computed with a linear layer: a ReLU.
    pub(crate) fn follows_linear(&self, stages: &[Self]) -> bool {
        stages.is_empty() && *self == Self::Relu
    }

    /// Whether it is computed with a normalisation: a max-pooling.
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
    /// A ReLU passed a maximum on where it is above 0, so its backward needs the pooled values only. The ReLU's own output,
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
    /// Computes `stages` on `y`, the output of an operation that has computed the first `done` of them itself: 0, or 1 if
    /// it is a ReLU.
    pub fn forward(mut y: Tensor<B>, stages: &[Stage], done: usize) -> Result<(Tensor<B>, Self)> {
        let mut saved = Vec::new();
        let mut rest = stages;
        while let [stage, after @ ..] = rest {
            rest = after;
            match (stage, after) {
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
            Self::ReluMaxPool { y, pooling } => {
                // Each gradient goes to one place of the maps: their sum is that of the pooled ones.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tensor::Cpu;
    use tensor::ops::{Conv2d, DropoutScale, Padding, Region, RoundMode};

    use super::*;
    use crate::ops::testing::{check, distinct, draw, off_grid, quarters};

    type Cpu32 = Cpu<f32>;

    /// Each stage as a record of its own.
    fn one_by_one(tape: &mut Tape<Cpu32>, mut y: Var<Cpu32>, stages: &[Stage]) -> Result<Var<Cpu32>> {
        for stage in stages {
            y = match stage {
                Stage::Relu => tape.activation(&y, Activation::Relu)?,
                Stage::Lrn(spec) => tape.lrn(&y, spec)?,
                Stage::Pool(spec) => tape.pool(&y, spec)?,
                Stage::Dropout(spec, stream) => tape.dropout(&y, spec, *stream)?,
                Stage::Scale(factor) => tape.scale(&y, *factor)?,
            };
        }
        Ok(y)
    }

    fn all_stages() -> impl Strategy<Value = Vec<Stage>> {
        let lrn = prop_oneof![
            Just(Lrn { alpha: 0.1, ..Lrn::paper() }),
            Just(Lrn { alpha: 0.1, region: Region::WithinChannel, ..Lrn::paper() }),
        ];
        let pool = (1usize..4, 1usize..4, any::<bool>(), any::<bool>()).prop_map(|(kernel, stride, ceil, max)| {
            let kind = if max { PoolKind::Max } else { PoolKind::Average };
            let round_mode = if ceil { RoundMode::Ceil } else { RoundMode::Floor };
            Pool2d { round_mode, ..Pool2d::new(kind, kernel, stride) }
        });
        let dropout = (0.0f64..0.9, any::<bool>(), any::<u64>()).prop_map(|(p, at_test, step)| {
            let scale = if at_test { DropoutScale::AtTest } else { DropoutScale::InTraining };
            Stage::Dropout(Dropout { p, scale }, Stream::new(1, 2, step))
        });
        let stage = prop_oneof![
            Just(Stage::Relu),
            lrn.prop_map(Stage::Lrn),
            pool.prop_map(Stage::Pool),
            dropout,
            (0.1f64..3.0).prop_map(Stage::Scale),
        ];
        prop::collection::vec(stage, 0..5)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// Outputs and gradients, of channels that are whole vectors and of others.
        #[test]
        fn an_epilogue_gives_the_bits_of_its_stages(
            sizes in [1usize..3, 3usize..12, 3usize..12, 1usize..4],
            out in prop::sample::select(vec![3usize, 16, 20, 32]),
            stages in all_stages(),
            bias: bool,
            seed: u64,
        ) {
            let [n, h, width, c] = sizes;
            let conv = Conv2d { padding: Padding::all(1), ..Conv2d::default() };
            let values = [draw(&[n, h, width, c], seed), draw(&[out, 3, 3, c], seed ^ 1), draw(&[out], seed ^ 2)];
            let run = |fused: bool| -> Result<_> {
                let mut tape = Tape::new();
                let [x, w, b] = values.clone().map(|value| tape.parameter(value));
                let b = Some(&b).filter(|_| bias);
                let y = if fused {
                    tape.conv2d(&x, &w, b, &conv, &stages)?
                } else {
                    let y = tape.conv2d(&x, &w, b, &conv, &[])?;
                    one_by_one(&mut tape, y, &stages)?
                };
                // Gradients of both signs.
                let weights = Var::constant(draw(y.shape(), seed ^ 3));
                let product = tape.multiply(&y, &weights)?;
                let loss = tape.sum(&product)?;
                let mut gradients = tape.backward(&loss)?;
                let bias_gradient = b.map(|b| gradients.take(b).unwrap().to_vec().unwrap()).unwrap_or_default();
                let others = [y.into_value(), gradients.take(&x).unwrap(), gradients.take(&w).unwrap()];
                Ok((others.map(|t| t.to_vec().unwrap()), bias_gradient))
            };
            // Poolings in a row may leave no room for a window.
            let (fused, bias_gradient, apart, expected) = match (run(true), run(false)) {
                (Ok((fused, bias_gradient)), Ok((apart, expected))) => (fused, bias_gradient, apart, expected),
                (fused, apart) => {
                    let messages = [fused, apart].map(|outcome| outcome.unwrap_err().to_string());
                    prop_assert!(messages.iter().all(|m| m.contains("does not fit an input of")), "{messages:?}");
                    return Ok(());
                }
            };
            prop_assert_eq!(fused, apart);
            let scale = (n * h * width) as f32 * expected.iter().fold(1.0f32, |max, v| max.max(v.abs()));
            for (got, expected) in bias_gradient.iter().zip(&expected) {
                prop_assert!((got - expected).abs() <= 1e-6 * scale, "{got} for {expected}");
            }
        }

        #[test]
        fn gradients_of_a_normalisation_and_a_max_pooling(
            c in 1usize..6,
            room in [0usize..5, 0usize..5],
            kernel in 1usize..4,
            stride in 1usize..4,
            pads in [0usize..3, 0usize..3],
            size in 1usize..7,
            within: bool,
            ceil: bool,
            seed: u64,
        ) {
            let [top, left] = pads.map(|p| p % kernel);
            let pool = Pool2d {
                padding: Padding { top, left, ..Padding::default() },
                round_mode: if ceil { RoundMode::Ceil } else { RoundMode::Floor },
                ..Pool2d::new(PoolKind::Max, kernel, stride)
            };
            // So weak that values keep their order, and their distance from ties.
            let region = if within { Region::WithinChannel } else { Region::AcrossChannels };
            let lrn = Lrn { size, alpha: 1e-5, region, ..Lrn::paper() };
            let x = distinct(&[2, kernel + room[0], kernel + room[1], c], seed);
            check(&[("x", x)], |tape, p| tape.stages(&p[0], &[Stage::Lrn(lrn), Stage::Pool(pool)]))?;
        }
    }

    /// The first layers of the paper in small, with and without a bias that requires a gradient.
    #[test]
    fn gradients_through_a_convolution() {
        // So weak a normalisation that values keep their order; windows of one value each have no ties.
        let lrn = Stage::Lrn(Lrn { alpha: 1e-3, ..Lrn::paper() });
        let pool = Stage::Pool(Pool2d::new(PoolKind::Max, 1, 2));
        let conv = Conv2d { stride: [2, 1], ..Conv2d::default() };
        let parameters =
            [("x", quarters(&[2, 9, 7, 2], 1)), ("w", quarters(&[3, 3, 2, 2], 2)), ("b", off_grid(&[3], 3))];
        for stages in [&[Stage::Relu, pool][..], &[Stage::Relu, lrn, pool], &[Stage::Relu, lrn]] {
            check(&parameters, |tape, p| tape.conv2d(&p[0], &p[1], Some(&p[2]), &conv, stages)).unwrap();
            check(&parameters[..2], |tape, p| {
                let device = crate::gradient_check::Device::new(1)?;
                let b = Var::constant(Tensor::from_array(&device, off_grid(&[3], 3).view())?);
                tape.conv2d(&p[0], &p[1], Some(&b), &conv, stages)
            })
            .unwrap();
        }
    }
}

//! Layers without parameters: their settings are the module.

use tensor::Backend;
use tensor::ops::{Activation, Dropout, Lrn, Pool2d};

use crate::model::{AdaptiveAveragePool, GlobalAveragePool};
use crate::network::Mode;
use crate::{Module, Parameter, Parameters, Pass, Result, Var};

/// A map `[n, height, width, channels]` as rows `[n, height * width * channels]`, channels innermost.
///
/// ```
/// use alexnet_layers::Module;
/// use alexnet_layers::nn::Flatten;
/// use alexnet_layers::tensor::{Cpu, Tensor};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// assert_eq!(Flatten.predict(Tensor::zeros(&cpu, &[2, 3, 3, 4])?)?.shape(), [2, 36]);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flatten;

/// Implements [`Module`] for types without parameters, given their forward pass.
macro_rules! stateless {
    ($($layer:ty: |$this:ident, $x:ident, $pass:ident| $forward:expr;)*) => {$(
        impl<B: Backend> Parameters<B> for $layer {
            fn visit<'a>(&'a self, _: &str, _: &mut dyn FnMut(&str, &'a Parameter<B>)) {}

            fn visit_mut<'a>(&'a mut self, _: &str, _: &mut dyn FnMut(&str, &'a mut Parameter<B>)) {}
        }

        impl<B: Backend> Module<B> for $layer {
            fn forward(&self, $x: &Var<B>, $pass: &mut Pass<B>) -> Result<Var<B>> {
                let $this = self;
                $forward
            }
        }
    )*};
}

stateless! {
    Activation: |f, x, pass| pass.tape.activation(x, *f);
    Pool2d: |spec, x, pass| pass.tape.pool(x, spec);
    Lrn: |spec, x, pass| pass.tape.lrn(x, spec);
    Dropout: |spec, x, pass| dropout(spec, x, pass);
    AdaptiveAveragePool: |pool, x, pass| pass.tape.adaptive_average_pool(x, pool.output);
    GlobalAveragePool: |_pool, x, pass| pass.tape.global_average_pool(x);
    Flatten: |_flatten, x, pass| pass.tape.flatten(x);
}

/// In training with a stream of its own, numbered in the order of the layers' calls.
fn dropout<B: Backend>(spec: &Dropout, x: &Var<B>, pass: &mut Pass<B>) -> Result<Var<B>> {
    let stream = pass.dropout_stream();
    match (stream, pass.mode()) {
        (Some(stream), _) if spec.p > 0.0 => pass.tape.dropout(x, spec, stream),
        (None, Mode::Test) if spec.test_factor() != 1.0 => pass.tape.scale(x, spec.test_factor()),
        _ => Ok(x.clone()),
    }
}

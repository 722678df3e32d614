//! Batch normalisation (Ioffe and Szegedy, 2015).

use serde::{Deserialize, Deserializer, Serialize};
use tensor::ops::BatchStatistics;
use tensor::{Backend, Tensor};

use super::{ForwardContext, KerasLayer, Layer, ReadLayer};
use crate::init::Init;
use crate::model::parameter::{Layout, ParameterSpec};
use crate::model::reader::{Invalid, TableReader};
use crate::model::settings::{non_negative, number, positive};
use crate::model::shape::{Activations, LayerContext, LayerOutput};
use crate::model::writer::TableWriter;
use crate::network::Mode;
use crate::{Error, Var};

/// Batch normalisation of each channel, like PyTorch's `BatchNorm2d`, with the same defaults.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BatchNorm {
    /// Added to the variance; 1e-5 unless given.
    #[serde(deserialize_with = "positive")]
    pub epsilon: f64,
    /// Weight of the new batch in the running statistics, 0.1 unless given. This is PyTorch's definition; Keras'
    /// momentum is 1 minus this.
    #[serde(deserialize_with = "fraction")]
    pub momentum: f64,
    /// Multiplies the learning rate of scale and shift; 1 unless given.
    #[serde(deserialize_with = "non_negative")]
    pub rate: f64,
    /// Multiplies the decay of scale and shift; 1 unless given.
    #[serde(deserialize_with = "non_negative")]
    pub decay: f64,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { epsilon: 1e-5, momentum: 0.1, rate: 1.0, decay: 1.0 }
    }
}

fn fraction<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    number(deserializer, "from 0 to 1", |n| (0.0..=1.0).contains(&n))
}

/// Indices of the running statistics among the parameters.
const RUNNING_MEAN: usize = 2;
const RUNNING_VARIANCE: usize = 3;

impl BatchNorm {
    /// Moves a running statistic towards `factor` times that of the batch.
    fn update<B: Backend>(
        &self,
        parameter: usize,
        batch: &Tensor<B>,
        factor: f64,
        context: &mut ForwardContext<'_, B>,
    ) -> crate::Result<()> {
        let mut running = context.parameters[parameter].value().scale(1.0 - self.momentum)?;
        running.add_scaled(self.momentum * factor, batch)?;
        context.statistics.push((parameter, running));
        Ok(())
    }
}

impl Layer for BatchNorm {
    fn kind(&self) -> &'static str {
        Self::KINDS[0]
    }

    fn shape(&self, input: &Activations, context: &LayerContext) -> Result<LayerOutput, String> {
        if input.is_flattened() {
            return Err("must not follow flatten, since it normalises channels; put it before".into());
        }
        let vector = |suffix: &str, value: f64| {
            context.parameter(suffix, &[input.channels()], Layout::Vector, Init::Constant(value), [1, 1])
        };
        let trained = |spec: ParameterSpec| ParameterSpec { rate: self.rate, decay: self.decay, ..spec };
        let running = |spec: ParameterSpec| ParameterSpec { rate: 0.0, decay: 0.0, trained: false, ..spec };
        let parameters = vec![
            trained(vector("weight", 1.0)),
            trained(vector("bias", 0.0)),
            running(vector("running_mean", 0.0)),
            running(vector("running_var", 1.0)),
        ];
        Ok(LayerOutput { activations: input.clone(), parameters, macs: 0 })
    }

    fn forward<B: Backend>(&self, x: &Var<B>, context: &mut ForwardContext<'_, B>) -> crate::Result<Var<B>> {
        let [gamma, beta, mean, variance] = context.parameters else {
            return Err(Error::tape("batch norm", "the layer's parameters are missing"));
        };
        if context.position.mode == Mode::Test {
            let running = BatchStatistics { mean: mean.value().clone(), variance: variance.value().clone() };
            return context.tape.batch_norm_with(x, gamma, beta, &running, self.epsilon);
        }
        let (y, batch) = context.tape.batch_norm(x, gamma, beta, self.epsilon)?;
        // As in PyTorch, the running variance is unbiased (divided by rows - 1), unlike the variance that normalises
        // the batch.
        let rows = (x.value().len() / batch.mean.len().max(1)) as f64;
        self.update(RUNNING_MEAN, &batch.mean, 1.0, context)?;
        self.update(RUNNING_VARIANCE, &batch.variance, rows / (rows - 1.0), context)?;
        Ok(y)
    }

    fn write(&self, table: &mut TableWriter) {
        table.write(self);
    }

    fn keras(&self) -> KerasLayer {
        KerasLayer::plain("BatchNormalization")
    }
}

impl ReadLayer for BatchNorm {
    const KINDS: &'static [&'static str] = &["batch-norm"];

    fn read(_: &str, table: &mut TableReader) -> Result<Self, Invalid> {
        table.read()
    }
}

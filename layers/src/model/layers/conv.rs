//! Convolution.

use serde::{Deserialize, Serialize};
use tensor::Backend;
use tensor::ops::conv2d::Geometry;
use tensor::ops::{Conv2d, Padding};

use super::{ForwardContext, KerasLayer, Layer, ReadLayer};
use crate::Var;
use crate::model::parameter::{Layout, ParameterSpec};
use crate::model::parameter_settings::ParameterSettings;
use crate::model::reader::{Invalid, TableReader};
use crate::model::settings::{Pad, count, padding, pair};
use crate::model::shape::{Activations, LayerContext, LayerOutput, value_count};
use crate::model::writer::TableWriter;
use crate::ops::Stage;

/// A 2-D convolution (paper, section 3.5), like PyTorch's `Conv2d`: `[height, width, channels]` to
/// `[output height, output width, filters]`.
///
/// ```
/// use alexnet_layers::model::Conv;
/// use alexnet_layers::tensor::ops::Padding;
///
/// let conv = Conv::new(64, 3).stride(2).padding(1).without_bias();
/// assert_eq!(conv.operation([32, 32]).padding, Padding::all(1));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    /// Output channels, PyTorch's `out_channels`.
    #[serde(deserialize_with = "count")]
    pub filters: usize,
    /// Height and width of a kernel.
    #[serde(with = "pair")]
    pub kernel: [usize; 2],
    /// Vertical and horizontal steps between windows; 1 unless given.
    #[serde(default = "unit_stride", with = "pair")]
    pub stride: [usize; 2],
    /// Rows and columns of zeros around the input; none unless given.
    #[serde(default, with = "padding")]
    pub padding: Pad,
    /// Groups of channels that are convolved separately; 1 unless given.
    #[serde(default = "one_group", deserialize_with = "count")]
    pub groups: usize,
    /// Settings of weights and bias; in a model file they are keys of the same table.
    #[serde(flatten, skip_deserializing)]
    pub parameters: ParameterSettings,
}

fn unit_stride() -> [usize; 2] {
    [1, 1]
}

fn one_group() -> usize {
    1
}

impl Conv {
    /// A convolution with this many output channels, square kernels, and all else as in a model file that says no more.
    pub fn new(filters: usize, kernel: usize) -> Self {
        Self {
            filters,
            kernel: [kernel; 2],
            stride: unit_stride(),
            padding: Pad::default(),
            groups: one_group(),
            parameters: ParameterSettings::default(),
        }
    }

    /// The same convolution with this stride in both directions.
    pub fn stride(self, stride: usize) -> Self {
        Self { stride: [stride; 2], ..self }
    }

    /// The same convolution with this many rows and columns of zeros on each side.
    pub fn padding(self, padding: usize) -> Self {
        Self { padding: Pad::Sides(Padding::all(padding)), ..self }
    }

    /// The same convolution without a bias.
    pub fn without_bias(self) -> Self {
        Self { parameters: ParameterSettings { bias: None, ..self.parameters }, ..self }
    }

    /// The tensor operation for an input of this height and width.
    pub fn operation(&self, input: [usize; 2]) -> Conv2d {
        let padding = self.padding.resolve(input, self.kernel, self.stride);
        Conv2d { stride: self.stride, padding, groups: self.groups }
    }

    /// The shape of the kernels for an input of this many channels.
    pub(super) fn kernel_shape(&self, channels: usize) -> [usize; 4] {
        [self.filters, self.kernel[0], self.kernel[1], channels / self.groups.max(1)]
    }

    /// The kernels for an input of this many channels, and the bias.
    pub(crate) fn specs(&self, channels: usize) -> Result<Vec<ParameterSpec>, String> {
        let weight = self.kernel_shape(channels);
        self.parameters.specs(&weight, Layout::Conv, &[self.filters], self.fans(channels)?)
    }

    /// All lengths for a map `[height, width, channels]`.
    pub(super) fn geometry(&self, [h, w, c]: [usize; 3]) -> Result<Geometry, String> {
        let kernel = self.kernel_shape(c);
        self.operation([h, w]).geometry(&[1, h, w, c], &kernel).map_err(|error| error.to_string())
    }

    /// Inputs that an output sums, and outputs that an input contributes to.
    pub(super) fn fans(&self, channels: usize) -> Result<[usize; 2], String> {
        let kernel = self.kernel_shape(channels);
        Ok([value_count(&kernel[1..])?, value_count(&kernel[..3])?])
    }

    /// Multiply-accumulates for an output of this shape.
    pub(super) fn macs(&self, output: &[usize], channels: usize) -> Result<u64, String> {
        let [fan_in, _] = self.fans(channels)?;
        let macs = output.iter().try_fold(fan_in as u64, |n, &axis| n.checked_mul(axis as u64));
        macs.ok_or_else(|| "more multiply-accumulates than 64 bits count".into())
    }
}

impl Layer for Conv {
    fn kind(&self) -> &'static str {
        Self::KINDS[0]
    }

    fn shape(&self, input: &Activations, _: &LayerContext) -> Result<LayerOutput, String> {
        let map = input.map()?;
        let channels = map[2];
        let output = self.geometry(map)?.output;
        Ok(LayerOutput {
            activations: Activations::new(&output)?,
            parameters: self.specs(channels)?,
            macs: self.macs(&output, channels)?,
        })
    }

    fn takes(&self, stages: &[Stage], next: &Stage) -> bool {
        next.follows_conv2d(stages)
    }

    fn forward<B: Backend>(&self, x: &Var<B>, context: &mut ForwardContext<'_, B>) -> crate::Result<Var<B>> {
        let operation = self.operation(context.position.map_size());
        let weight = context.weight()?;
        let bias = context.bias();
        context.pass.tape.conv2d(x, &weight, bias.as_ref(), &operation, context.stages)
    }

    fn write(&self, table: &mut TableWriter) {
        table.write(self);
    }

    fn keras(&self) -> KerasLayer {
        KerasLayer::with_activation("Conv2D")
    }
}

impl ReadLayer for Conv {
    const KINDS: &'static [&'static str] = &["conv"];

    fn read(_: &str, table: &mut TableReader) -> Result<Self, Invalid> {
        let conv = table.read::<Self>();
        Ok(Self { parameters: table.read()?, ..conv? })
    }
}

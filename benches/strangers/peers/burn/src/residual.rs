use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::prelude::*;
use burn::tensor::activation::relu;

#[derive(Module, Debug)]
struct Residual<B: Backend> {
    conv1: Conv2d<B>,
    norm1: BatchNorm<B>,
    conv2: Conv2d<B>,
    norm2: BatchNorm<B>,
    shortcut: Conv2d<B>,
}

impl<B: Backend> Residual<B> {
    fn new(inputs: usize, outputs: usize, stride: usize, device: &B::Device) -> Self {
        let padding = PaddingConfig2d::Explicit(1, 1);
        let conv1 = Conv2dConfig::new([inputs, outputs], [3, 3]).with_stride([stride; 2]).with_bias(false);
        let conv2 = Conv2dConfig::new([outputs, outputs], [3, 3]).with_bias(false);
        let shortcut = Conv2dConfig::new([inputs, outputs], [1, 1]).with_stride([stride; 2]).with_bias(false);
        Self {
            conv1: conv1.with_padding(padding.clone()).init(device),
            norm1: BatchNormConfig::new(outputs).init(device),
            conv2: conv2.with_padding(padding).init(device),
            norm2: BatchNormConfig::new(outputs).init(device),
            shortcut: shortcut.init(device),
        }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let y = relu(self.norm1.forward(self.conv1.forward(x.clone())));
        let y = self.norm2.forward(self.conv2.forward(y));
        relu(y + self.shortcut.forward(x))
    }
}

#[derive(Module, Debug)]
pub struct Network<B: Backend> {
    block1: Residual<B>,
    block2: Residual<B>,
    pool: AdaptiveAvgPool2d,
    fc: Linear<B>,
}

impl<B: Backend> Network<B> {
    pub fn new(device: &B::Device) -> Self {
        Self {
            block1: Residual::new(1, 8, 2, device),
            block2: Residual::new(8, 16, 2, device),
            pool: AdaptiveAvgPool2dConfig::new([1, 1]).init(),
            fc: LinearConfig::new(16, 10).init(device),
        }
    }

    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 2> {
        let x = self.block2.forward(self.block1.forward(x));
        self.fc.forward(self.pool.forward(x).flatten(1, 3))
    }
}

impl super::Classifier for Network<super::OnCpu> {
    fn logits(&self, x: Tensor<super::OnCpu, 4>) -> Tensor<super::OnCpu, 2> {
        self.forward(x)
    }
}

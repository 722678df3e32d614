use candle_core::{D, Module, ModuleT, Result, Tensor};
use candle_nn::{BatchNorm, Conv2d, Conv2dConfig, Linear, VarBuilder, batch_norm, conv2d_no_bias, linear};

struct Residual {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    shortcut: Conv2d,
}

impl Residual {
    fn new(vb: VarBuilder, inputs: usize, outputs: usize, stride: usize) -> Result<Self> {
        let conv1 = Conv2dConfig { padding: 1, stride, ..Default::default() };
        let conv2 = Conv2dConfig { padding: 1, ..Default::default() };
        let shortcut = Conv2dConfig { stride, ..Default::default() };
        Ok(Self {
            conv1: conv2d_no_bias(inputs, outputs, 3, conv1, vb.pp("conv1"))?,
            norm1: batch_norm(outputs, 1e-5, vb.pp("norm1"))?,
            conv2: conv2d_no_bias(outputs, outputs, 3, conv2, vb.pp("conv2"))?,
            norm2: batch_norm(outputs, 1e-5, vb.pp("norm2"))?,
            shortcut: conv2d_no_bias(inputs, outputs, 1, shortcut, vb.pp("shortcut"))?,
        })
    }
}

impl ModuleT for Residual {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let y = self.norm1.forward_t(&self.conv1.forward(x)?, train)?.relu()?;
        let y = self.norm2.forward_t(&self.conv2.forward(&y)?, train)?;
        (y + self.shortcut.forward(x)?)?.relu()
    }
}

pub struct Network {
    block1: Residual,
    block2: Residual,
    fc: Linear,
}

impl Network {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            block1: Residual::new(vb.pp("block1"), 1, 8, 2)?,
            block2: Residual::new(vb.pp("block2"), 8, 16, 2)?,
            fc: linear(16, 10, vb.pp("fc"))?,
        })
    }
}

impl ModuleT for Network {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.block2.forward_t(&self.block1.forward_t(x, train)?, train)?;
        self.fc.forward(&x.mean((D::Minus2, D::Minus1))?)
    }
}

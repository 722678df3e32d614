//! Matrix products with bias: the fully connected layer.

use super::dropout::{Dropout, DropoutForward};
use crate::random::Stream;
use crate::{Alloc, Backend, Error, Handle, Operation, Result, Tensor};

/// The sizes of a matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Product {
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Terms of each sum.
    pub k: usize,
    /// Whether a is stored as `[k, m]`.
    pub transpose_a: bool,
    /// Whether b is stored as `[n, k]`.
    pub transpose_b: bool,
    /// Whether the result is a gradient of weights, which stays in full precision where activations do not.
    pub weights: bool,
}

/// The storage of a product's operands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatmulOptions {
    /// Whether the first is stored as `[k, m]`.
    pub transpose_a: bool,
    /// Whether the second is stored as `[n, k]`.
    pub transpose_b: bool,
}

/// `c[m, n] = a b`, with a bias `[n]` added to each row, then a ReLU if `relu`. Operands: a, b and an optional bias.
/// Output: c.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matmul {
    /// The sizes.
    pub product: Product,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// Dropout at the end. With it the product has parts: one without, and the dropout.
    pub dropout: Option<DropoutForward>,
}

impl Operation for Matmul {
    type In<'a, F: Handle, I: Handle> = ([&'a F; 2], Option<&'a F>);
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        match (self.product.weights, self.product.transpose_b) {
            (true, _) => "linear dw",
            (false, true) => "linear",
            (false, false) => "linear dx",
        }
    }

    fn has_parts(&self) -> bool {
        self.dropout.is_some()
    }

    fn flops(&self) -> f64 {
        let Product { m, n, k, .. } = self.product;
        2.0 * m as f64 * n as f64 * k as f64
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        let len = self.product.m * self.product.n;
        let c = if self.product.weights { new.weights(len)? } else { new.activations(len)? };
        Ok([c])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

impl<B: Backend> Tensor<B> {
    /// The product of two matrices: `[m, k]` times `[k, n]` gives `[m, n]`.
    ///
    /// # Errors
    /// [`Error::Shape`] unless both are matrices whose inner lengths agree.
    ///
    /// ```
    /// # use alexnet_tensor::{Cpu, Tensor};
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let a = Tensor::from_slice(&cpu, &[1, 2], &[1.0, 2.0])?;
    /// let b = Tensor::from_slice(&cpu, &[2, 2], &[1.0, 2.0, 3.0, 4.0])?;
    /// assert_eq!(a.matmul(&b)?.to_vec()?, [7.0, 10.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn matmul(&self, other: &Self) -> Result<Self> {
        self.matmul_with(other, MatmulOptions::default())
    }

    /// The product of two matrices, each of which may be stored transposed. Nothing is copied.
    ///
    /// # Errors
    /// Those of [`matmul`](Self::matmul).
    ///
    /// ```
    /// # use alexnet_tensor::{Cpu, Tensor};
    /// # use alexnet_tensor::ops::MatmulOptions;
    /// let x = Tensor::from_slice(&Cpu::<f32>::new(1)?, &[2, 2], &[1.0, 2.0, 3.0, 4.0])?;
    /// let y = x.matmul_with(&x, MatmulOptions { transpose_b: true, ..MatmulOptions::default() })?;
    /// assert_eq!(y.to_vec()?, [5.0, 11.0, 11.0, 25.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn matmul_with(&self, other: &Self, options: MatmulOptions) -> Result<Self> {
        let MatmulOptions { transpose_a, transpose_b } = options;
        let product = self.product("matmul", transpose_a, other, transpose_b, None)?;
        self.run_product(other, None, &Matmul { product, relu: false, dropout: None })
    }

    /// x W^T + b for x `[n, in]`, weights `[out, in]` and a bias `[out]`, then a ReLU if `relu`: `[n, out]`.
    ///
    /// ```
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let x = Tensor::full(&cpu, &[2, 3], 1.0)?;
    /// let w = Tensor::from_slice(&cpu, &[2, 3], &[1.0, 2.0, 3.0, -1.0, -2.0, -3.0])?;
    /// let b = Tensor::full(&cpu, &[2], 0.5)?;
    /// assert_eq!(x.linear(&w, Some(&b), true)?.to_vec()?, [6.5, 0.0, 6.5, 0.0]);
    ///
    /// let dy = Tensor::full(&cpu, &[2, 2], 1.0)?;
    /// assert_eq!(dy.linear_dx(&w)?.shape(), x.shape());
    /// assert_eq!(dy.linear_dw(&x)?.shape(), w.shape());
    /// assert_eq!(dy.sum_rows()?.shape(), b.shape());
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] if they do not fit.
    pub fn linear(&self, w: &Self, b: Option<&Self>, relu: bool) -> Result<Self> {
        let product = self.product("linear", false, w, true, b)?;
        self.run_product(w, b, &Matmul { product, relu, dropout: None })
    }

    /// [`linear`](Self::linear) with a ReLU, then [`dropout`](Self::dropout), with the same bits. On a device that
    /// fuses them, the ReLU's output needs no memory, which saves 4 bytes per value, and 8 bytes per value of memory
    /// traffic.
    ///
    /// # Errors
    /// Those of the two.
    pub fn linear_relu_dropout(&self, w: &Self, b: Option<&Self>, spec: &Dropout, stream: Stream) -> Result<Self> {
        let product = self.product("linear", false, w, true, b)?;
        let dropout = DropoutForward::new(product.m * product.n, spec, stream)?;
        let fused = Matmul { product, relu: true, dropout: Some(dropout) };
        if self.device().is_fused(&fused) {
            return self.run_product(w, b, &fused);
        }
        self.linear(w, b, true)?.dropout(spec, stream)
    }

    /// The gradient of [`linear`](Self::linear) for its input: dy W. `self` is dy.
    pub fn linear_dx(&self, w: &Self) -> Result<Self> {
        let product = self.product("linear backward", false, w, false, None)?;
        self.run_product(w, None, &Matmul { product, relu: false, dropout: None })
    }

    /// The gradient of [`linear`](Self::linear) for its weights: dy^T x. `self` is dy. The gradient of the bias is
    /// [`sum_rows`](Self::sum_rows) of dy.
    pub fn linear_dw(&self, x: &Self) -> Result<Self> {
        let product = self.product("linear backward", true, x, false, None)?;
        self.run_product(x, None, &Matmul { product, relu: false, dropout: None })
    }

    /// The lengths of a product, checked.
    fn product(
        &self,
        op: &'static str,
        transpose_a: bool,
        other: &Self,
        transpose_b: bool,
        bias: Option<&Self>,
    ) -> Result<Product> {
        let mut a_shape = self.dims2(op)?;
        if transpose_a {
            a_shape.reverse();
        }
        let mut b_shape = other.dims2(op)?;
        if transpose_b {
            b_shape.reverse();
        }
        let [m, k] = a_shape;
        let [inner, n] = b_shape;
        if inner != k {
            return Err(Error::shape(op, format!("an inner length of {k}"), other.shape()));
        }
        if let Some(bias) = bias.filter(|b| b.shape() != [n]) {
            return Err(Error::shape(op, format!("a bias [{n}]"), bias.shape()));
        }
        // Only the gradient of weights sums over the rows of a.
        Ok(Product { m, n, k, transpose_a, transpose_b, weights: transpose_a })
    }

    fn run_product(&self, other: &Self, bias: Option<&Self>, op: &Matmul) -> Result<Self> {
        let operands = ([&self.data, &other.data], bias.map(|b| &b.data));
        let [c] = self.device().run(op, operands)?;
        Ok(Self::from_parts(self.device().clone(), vec![op.product.m, op.product.n], c))
    }
}

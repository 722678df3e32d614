//! Every kernel: what it takes, and nothing else.

use super::{Buffer, Kernel, Plan};
use crate::Result;
use crate::ops::activation::Activation;
use crate::ops::conv2d::Geometry;
use crate::ops::elementwise::Binary;
use crate::ops::linear::Product;
use crate::ops::lrn::Lrn;
use crate::ops::lrn_pool::{Forward, in_turn, in_turn_dx};
use crate::ops::pool::Geometry as PoolGeometry;
use crate::ops::prepare::{Cut, Layout};
use crate::ops::update::{AdamUpdate, SgdUpdate};
use crate::ops::{
    activation, batch_norm, conv2d, count, cross_entropy, dropout, elementwise, linear, local2d, lrn, lrn_pool, pool,
    prepare, reduce, relu_bias, sample, update,
};
use crate::random::Stream;

/// Values of the input and of the output.
fn lens(g: &Geometry) -> [usize; 2] {
    [g.n * g.input.iter().product::<usize>(), g.n * g.output.iter().product::<usize>()]
}

impl activation::Kernels for Plan {
    fn activation(&self, _: Activation, len: usize, x: &Buffer) -> Result<Buffer> {
        self.like(x, len)
    }

    fn activation_dx(&self, _: Activation, len: usize, y: &Buffer, dy: &Buffer) -> Result<Buffer> {
        let (_y, dy) = self.in_one_format(y, dy)?;
        self.like(&dy, len)
    }

    fn activation_dx_in_place(&self, f: Activation, len: usize, y: &Buffer, dy: &mut Buffer) -> Result<()> {
        if self.shared.in_place {
            return self.own(dy);
        }
        *dy = self.activation_dx(f, len, y, dy)?;
        Ok(())
    }
}

impl batch_norm::Kernels for Plan {
    fn batch_statistics(&self, _: usize, c: usize, _: &Buffer) -> Result<(Buffer, Buffer)> {
        Ok((self.numbers(c)?, self.numbers(c)?))
    }

    fn batch_norm(
        &self,
        rows: usize,
        c: usize,
        x: &Buffer,
        _: (&Buffer, &Buffer),
        _: &Buffer,
        _: &Buffer,
        _: f64,
    ) -> Result<Buffer> {
        self.like(x, rows * c)
    }

    fn batch_norm_backward(
        &self,
        rows: usize,
        c: usize,
        _: &Buffer,
        _: (&Buffer, &Buffer),
        _: &Buffer,
        dy: &Buffer,
        _: f64,
    ) -> Result<(Buffer, Buffer, Buffer)> {
        Ok((self.like(dy, rows * c)?, self.numbers(c)?, self.numbers(c)?))
    }
}

impl conv2d::Kernels for Plan {
    fn conv2d(&self, g: &Geometry, _: &Buffer, w: &Buffer, _: Option<&Buffer>, _: bool) -> Result<Buffer> {
        let y = self.activations(lens(g)[1])?;
        self.work_with(w, &Kernel::Conv2d(g))?;
        Ok(y)
    }

    fn conv2d_dx(&self, g: &Geometry, _: &Buffer, _: &Buffer) -> Result<Buffer> {
        let dx = self.activations(lens(g)[0])?;
        self.work(&Kernel::Conv2dDx(g))?;
        Ok(dx)
    }

    fn conv2d_dw(&self, g: &Geometry, _: &Buffer, _: &Buffer) -> Result<Buffer> {
        let dw = self.numbers(g.output[2] * g.patch())?;
        self.work(&Kernel::Conv2dDw(g))?;
        Ok(dw)
    }
}

impl count::Kernels for Plan {
    fn count_at_least(&self, _: usize, _: &Buffer, _: u32) -> Result<Buffer> {
        self.ints(1)
    }
}

impl cross_entropy::Kernels for Plan {
    fn softmax(&self, rows: usize, c: usize, logits: &Buffer) -> Result<Buffer> {
        self.like(logits, rows * c)
    }

    fn cross_entropy(&self, rows: usize, _: usize, _: &Buffer, _: &Buffer) -> Result<Buffer> {
        self.numbers(rows)
    }

    fn cross_entropy_dx(&self, rows: usize, c: usize, logits: &Buffer, _: &Buffer, _: f64) -> Result<Buffer> {
        self.like(logits, rows * c)
    }

    fn label_rank(&self, rows: usize, _: usize, _: &Buffer, _: &Buffer) -> Result<Buffer> {
        self.ints(rows)
    }
}

impl dropout::Kernels for Plan {
    fn dropout(&self, len: usize, x: &Buffer, _: f32, _: f64, _: Stream) -> Result<Buffer> {
        self.like(x, len)
    }
}

impl elementwise::Kernels for Plan {
    fn binary(&self, _: Binary, len: usize, a: &Buffer, b: &Buffer) -> Result<Buffer> {
        let (a, _b) = self.in_one_format(a, b)?;
        self.like(&a, len)
    }

    fn add_scaled(&self, _: usize, y: &mut Buffer, _: f64, _: &Buffer) -> Result<()> {
        self.own(y)
    }

    fn affine(&self, len: usize, x: &Buffer, _: f64, _: f64) -> Result<Buffer> {
        self.like(x, len)
    }
}

impl linear::Kernels for Plan {
    fn matmul(&self, p: &Product, _: &Buffer, b: &Buffer, _: Option<&Buffer>, _: bool) -> Result<Buffer> {
        let c = if p.weights { self.numbers(p.m * p.n)? } else { self.activations(p.m * p.n)? };
        self.work_with(b, &Kernel::Matmul(p))?;
        Ok(c)
    }
}

impl local2d::Kernels for Plan {
    fn local2d(&self, g: &Geometry, _: &Buffer, _: &Buffer, _: Option<&Buffer>) -> Result<Buffer> {
        let y = self.activations(lens(g)[1])?;
        self.work(&Kernel::Local2d(g))?;
        Ok(y)
    }

    fn local2d_dx(&self, g: &Geometry, _: &Buffer, _: &Buffer) -> Result<Buffer> {
        let dx = self.activations(lens(g)[0])?;
        self.work(&Kernel::Local2dDx(g))?;
        Ok(dx)
    }

    fn local2d_dw(&self, g: &Geometry, _: &Buffer, _: &Buffer) -> Result<Buffer> {
        let dw = self.numbers(g.output.iter().product::<usize>() * g.patch())?;
        self.work(&Kernel::Local2dDw(g))?;
        Ok(dw)
    }
}

impl lrn::Kernels for Plan {
    fn lrn(&self, spec: &Lrn, shape: [usize; 4], x: &Buffer) -> Result<(Buffer, Buffer)> {
        let len = shape.iter().product();
        let both = (self.like(x, len)?, self.like(x, len)?);
        self.work(&Kernel::Lrn(spec, shape))?;
        Ok(both)
    }

    fn lrn_dx(&self, spec: &Lrn, shape: [usize; 4], _: &Buffer, _: &Buffer, dy: &Buffer) -> Result<Buffer> {
        let dx = self.like(dy, shape.iter().product())?;
        self.work(&Kernel::LrnDx(spec, shape))?;
        Ok(dx)
    }
}

impl lrn_pool::Kernels for Plan {
    fn lrn_max_pool(&self, lrn: &Lrn, g: &PoolGeometry, x: &Buffer) -> Result<Forward<Buffer, Buffer>> {
        if !self.shared.kernels.fuses_lrn_pool(lrn, g) {
            return in_turn(self, lrn, g, x);
        }
        let len = pooled(g, g.output);
        Ok((self.like(x, len)?, self.ints(len)?, None))
    }

    fn lrn_max_pool_dx(
        &self,
        lrn: &Lrn,
        g: &PoolGeometry,
        x: &Buffer,
        base: Option<&Buffer>,
        positions: &Buffer,
        dy: &Buffer,
    ) -> Result<Buffer> {
        match base {
            Some(base) => in_turn_dx(self, lrn, g, [x, base, dy], positions),
            None => self.like(x, pooled(g, g.input)),
        }
    }
}

impl pool::Kernels for Plan {
    fn max_pool(&self, g: &PoolGeometry, x: &Buffer) -> Result<(Buffer, Buffer)> {
        let len = pooled(g, g.output);
        Ok((self.like(x, len)?, self.ints(len)?))
    }

    fn max_pool_dx(&self, g: &PoolGeometry, _: &Buffer, dy: &Buffer) -> Result<Buffer> {
        self.like(dy, pooled(g, g.input))
    }

    fn average_pool(&self, g: &PoolGeometry, x: &Buffer) -> Result<Buffer> {
        self.like(x, pooled(g, g.output))
    }

    fn average_pool_dx(&self, g: &PoolGeometry, dy: &Buffer) -> Result<Buffer> {
        self.like(dy, pooled(g, g.input))
    }
}

fn pooled(g: &PoolGeometry, [height, width]: [usize; 2]) -> usize {
    g.n * height * width * g.channels
}

impl reduce::Kernels for Plan {
    fn sum(&self, _: usize, _: &Buffer) -> Result<Buffer> {
        self.numbers(1)
    }

    fn sum_rows(&self, _: usize, c: usize, _: &Buffer) -> Result<Buffer> {
        self.numbers(c)
    }

    fn max_columns(&self, rows: usize, _: usize, x: &Buffer) -> Result<(Buffer, Buffer)> {
        Ok((self.like(x, rows)?, self.ints(rows)?))
    }

    fn all_finite(&self, _: usize, _: &Buffer) -> Result<Buffer> {
        self.ints(1)
    }
}

impl relu_bias::Kernels for Plan {}

impl prepare::Kernels for Plan {
    fn prepare(&self, layout: Layout, cuts: &[Cut], _: &Buffer, _: Option<&Buffer>) -> Result<Buffer> {
        self.activations(cuts.len() * layout.view())
    }
}

impl sample::Kernels for Plan {
    fn sample_normal(&self, len: usize, _: f64, _: f64, _: Stream) -> Result<Buffer> {
        self.numbers(len)
    }

    fn sample_uniform(&self, len: usize, _: f64, _: f64, _: Stream) -> Result<Buffer> {
        self.numbers(len)
    }
}

impl update::Kernels for Plan {
    fn sgd_steps(&self, updates: &mut [SgdUpdate<'_, Buffer>]) -> Result<()> {
        updates.iter_mut().try_for_each(|u| self.own(u.w).and_then(|()| self.own(u.v)))
    }

    fn adam_steps(&self, updates: &mut [AdamUpdate<'_, Buffer>]) -> Result<()> {
        let own = |u: &mut AdamUpdate<'_, Buffer>| self.own(u.w).and(self.own(u.m)).and(self.own(u.v));
        updates.iter_mut().try_for_each(own)
    }
}

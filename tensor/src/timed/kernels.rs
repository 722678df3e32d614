//! Each kernel, handed on. What a backend does in one call must not fall apart into several here, so kernels that have
//! a default are handed on as well.

use super::Timed;
use crate::ops::conv2d::Sums;
use crate::ops::{self, *};
use crate::random::Stream;
use crate::{Backend, Device, Result};

type Floats<B> = <B as Device>::Floats;
type Ints<B> = <B as Device>::Ints;

impl<B: Backend> Timed<B> {
    fn size(&self, operands: &[&Floats<B>]) -> u64 {
        operands.iter().map(|x| self.inner.bytes(x)).sum()
    }

    /// Multiplications and additions as defined, and as done.
    fn convolution(&self, g: &ops::conv2d::Geometry, sums: Sums) -> [f64; 2] {
        [g.flops(), self.inner.conv2d_flops(g, sums)]
    }

    fn lrn_max_pool_dx_reads(
        &self,
        x: &Floats<B>,
        base: Option<&Floats<B>>,
        positions: &Ints<B>,
        dy: &Floats<B>,
    ) -> u64 {
        self.size(&[x, dy]) + base.map_or(0, |base| self.inner.bytes(base)) + self.inner.int_bytes(positions)
    }

    /// A kernel bound by memory that gives one buffer.
    fn moves(
        &self,
        kernel: &'static str,
        read: &[&Floats<B>],
        run: impl FnMut() -> Result<Floats<B>>,
    ) -> Result<Floats<B>> {
        self.call(kernel, 0.0, self.size(read), B::bytes, run)
    }
}

fn floats2<B: Backend>(device: &B, (a, b): &(Floats<B>, Floats<B>)) -> u64 {
    device.bytes(a) + device.bytes(b)
}

fn floats_and_ints<B: Backend>(device: &B, (a, b): &(Floats<B>, Ints<B>)) -> u64 {
    device.bytes(a) + device.int_bytes(b)
}

impl<B: Backend> activation::Kernels for Timed<B> {
    fn activation(&self, f: Activation, len: usize, x: &Floats<B>) -> Result<Floats<B>> {
        self.moves("activation", &[x], || self.inner.activation(f, len, x))
    }

    fn activation_dx(&self, f: Activation, len: usize, y: &Floats<B>, dy: &Floats<B>) -> Result<Floats<B>> {
        self.moves("activation dx", &[y, dy], || self.inner.activation_dx(f, len, y, dy))
    }

    fn activation_dx_in_place(&self, f: Activation, len: usize, y: &Floats<B>, dy: &mut Floats<B>) -> Result<()> {
        let bytes = self.size(&[y, dy, dy]);
        self.call("activation dx", 0.0, bytes, |_, _| 0, || self.inner.activation_dx_in_place(f, len, y, dy))
    }
}

impl<B: Backend> batch_norm::Kernels for Timed<B> {
    fn batch_statistics(&self, rows: usize, c: usize, x: &Floats<B>) -> Result<(Floats<B>, Floats<B>)> {
        let run = || self.inner.batch_statistics(rows, c, x);
        self.call("batch statistics", 0.0, self.size(&[x]), floats2::<B>, run)
    }

    fn batch_norm(
        &self,
        rows: usize,
        c: usize,
        x: &Floats<B>,
        statistics: (&Floats<B>, &Floats<B>),
        gamma: &Floats<B>,
        beta: &Floats<B>,
        epsilon: f64,
    ) -> Result<Floats<B>> {
        self.moves("batch norm", &[x], || self.inner.batch_norm(rows, c, x, statistics, gamma, beta, epsilon))
    }

    fn batch_norm_backward(
        &self,
        rows: usize,
        c: usize,
        x: &Floats<B>,
        statistics: (&Floats<B>, &Floats<B>),
        gamma: &Floats<B>,
        dy: &Floats<B>,
        epsilon: f64,
    ) -> Result<(Floats<B>, Floats<B>, Floats<B>)> {
        let run = || self.inner.batch_norm_backward(rows, c, x, statistics, gamma, dy, epsilon);
        self.call("batch norm backward", 0.0, self.size(&[x, dy]), |device, (dx, _, _)| device.bytes(dx), run)
    }
}

impl<B: Backend> ops::conv2d::Kernels for Timed<B> {
    fn conv2d_flops(&self, g: &ops::conv2d::Geometry, sums: Sums) -> f64 {
        self.inner.conv2d_flops(g, sums)
    }

    fn conv2d(
        &self,
        g: &ops::conv2d::Geometry,
        x: &Floats<B>,
        w: &Floats<B>,
        b: Option<&Floats<B>>,
        relu: bool,
    ) -> Result<Floats<B>> {
        let run = || self.inner.conv2d(g, x, w, b, relu);
        self.call_doing("conv2d", self.convolution(g, Sums::Y), self.size(&[x, w]), B::bytes, run)
    }

    fn conv2d_dx(&self, g: &ops::conv2d::Geometry, w: &Floats<B>, dy: &Floats<B>) -> Result<Floats<B>> {
        let run = || self.inner.conv2d_dx(g, w, dy);
        self.call_doing("conv2d dx", self.convolution(g, Sums::Dx), self.size(&[w, dy]), B::bytes, run)
    }

    fn conv2d_dw(&self, g: &ops::conv2d::Geometry, x: &Floats<B>, dy: &Floats<B>) -> Result<Floats<B>> {
        let run = || self.inner.conv2d_dw(g, x, dy);
        self.call_doing("conv2d dw", self.convolution(g, Sums::Dw), self.size(&[x, dy]), B::bytes, run)
    }
}

impl<B: Backend> cross_entropy::Kernels for Timed<B> {
    fn softmax(&self, rows: usize, c: usize, logits: &Floats<B>) -> Result<Floats<B>> {
        self.moves("softmax", &[logits], || self.inner.softmax(rows, c, logits))
    }

    fn cross_entropy(&self, rows: usize, c: usize, logits: &Floats<B>, labels: &Ints<B>) -> Result<Floats<B>> {
        self.moves("cross-entropy", &[logits], || self.inner.cross_entropy(rows, c, logits, labels))
    }

    fn cross_entropy_dx(
        &self,
        rows: usize,
        c: usize,
        logits: &Floats<B>,
        labels: &Ints<B>,
        factor: f64,
    ) -> Result<Floats<B>> {
        self.moves("cross-entropy dx", &[logits], || self.inner.cross_entropy_dx(rows, c, logits, labels, factor))
    }

    fn label_rank(&self, rows: usize, c: usize, logits: &Floats<B>, labels: &Ints<B>) -> Result<Ints<B>> {
        let run = || self.inner.label_rank(rows, c, logits, labels);
        self.call("label rank", 0.0, self.size(&[logits]), B::int_bytes, run)
    }
}

impl<B: Backend> count::Kernels for Timed<B> {
    fn count_at_least(&self, len: usize, x: &Ints<B>, least: u32) -> Result<Ints<B>> {
        let run = || self.inner.count_at_least(len, x, least);
        self.call("count", 0.0, self.inner.int_bytes(x), B::int_bytes, run)
    }
}

impl<B: Backend> dropout::Kernels for Timed<B> {
    fn dropout(&self, len: usize, x: &Floats<B>, p: f32, factor: f64, stream: Stream) -> Result<Floats<B>> {
        self.moves("dropout", &[x], || self.inner.dropout(len, x, p, factor, stream))
    }
}

impl<B: Backend> elementwise::Kernels for Timed<B> {
    fn binary(&self, op: elementwise::Binary, len: usize, a: &Floats<B>, b: &Floats<B>) -> Result<Floats<B>> {
        self.moves("binary", &[a, b], || self.inner.binary(op, len, a, b))
    }

    fn add_scaled(&self, len: usize, y: &mut Floats<B>, factor: f64, x: &Floats<B>) -> Result<()> {
        let (read, written) = (self.size(&[y, x]), self.size(&[y]));
        self.call("add scaled", 0.0, read, |_, ()| written, || self.inner.add_scaled(len, y, factor, x))
    }

    fn affine(&self, len: usize, x: &Floats<B>, factor: f64, shift: f64) -> Result<Floats<B>> {
        self.moves("affine", &[x], || self.inner.affine(len, x, factor, shift))
    }
}

impl<B: Backend> linear::Kernels for Timed<B> {
    fn matmul(
        &self,
        p: &linear::Product,
        a: &Floats<B>,
        b: &Floats<B>,
        bias: Option<&Floats<B>>,
        relu: bool,
    ) -> Result<Floats<B>> {
        let kernel = match (p.weights, p.transpose_b) {
            (true, _) => "linear dw",
            (false, true) => "linear",
            (false, false) => "linear dx",
        };
        let flops = 2.0 * p.m as f64 * p.n as f64 * p.k as f64;
        self.call(kernel, flops, self.size(&[a, b]), B::bytes, || self.inner.matmul(p, a, b, bias, relu))
    }
}

impl<B: Backend> local2d::Kernels for Timed<B> {
    fn local2d(
        &self,
        g: &ops::conv2d::Geometry,
        x: &Floats<B>,
        w: &Floats<B>,
        b: Option<&Floats<B>>,
    ) -> Result<Floats<B>> {
        self.call("local2d", g.flops(), self.size(&[x, w]), B::bytes, || self.inner.local2d(g, x, w, b))
    }

    fn local2d_dx(&self, g: &ops::conv2d::Geometry, w: &Floats<B>, dy: &Floats<B>) -> Result<Floats<B>> {
        let run = || self.inner.local2d_dx(g, w, dy);
        self.call("local2d dx", g.flops(), self.size(&[w, dy]), B::bytes, run)
    }

    fn local2d_dw(&self, g: &ops::conv2d::Geometry, x: &Floats<B>, dy: &Floats<B>) -> Result<Floats<B>> {
        let run = || self.inner.local2d_dw(g, x, dy);
        self.call("local2d dw", g.flops(), self.size(&[x, dy]), B::bytes, run)
    }
}

impl<B: Backend> lrn::Kernels for Timed<B> {
    fn lrn(&self, spec: &Lrn, shape: [usize; 4], x: &Floats<B>) -> Result<(Floats<B>, Floats<B>)> {
        self.call("lrn", 0.0, self.size(&[x]), floats2::<B>, || self.inner.lrn(spec, shape, x))
    }

    fn lrn_dx(
        &self,
        spec: &Lrn,
        shape: [usize; 4],
        x: &Floats<B>,
        base: &Floats<B>,
        dy: &Floats<B>,
    ) -> Result<Floats<B>> {
        self.moves("lrn dx", &[x, base, dy], || self.inner.lrn_dx(spec, shape, x, base, dy))
    }
}

impl<B: Backend> lrn_pool::Kernels for Timed<B> {
    fn lrn_max_pool(
        &self,
        lrn: &Lrn,
        g: &pool::Geometry,
        x: &Floats<B>,
    ) -> Result<lrn_pool::Forward<Floats<B>, Ints<B>>> {
        let written = |device: &B, (y, positions, base): &lrn_pool::Forward<_, _>| {
            device.bytes(y) + device.int_bytes(positions) + base.as_ref().map_or(0, |base| device.bytes(base))
        };
        self.call("lrn + max pool", 0.0, self.size(&[x]), written, || self.inner.lrn_max_pool(lrn, g, x))
    }

    fn lrn_max_pool_dx_through_relu(
        &self,
        lrn: &Lrn,
        g: &pool::Geometry,
        x: &Floats<B>,
        base: Option<&Floats<B>>,
        positions: &Ints<B>,
        dy: &Floats<B>,
    ) -> Result<(Floats<B>, Floats<B>)> {
        let read = self.lrn_max_pool_dx_reads(x, base, positions, dy);
        let run = || self.inner.lrn_max_pool_dx_through_relu(lrn, g, x, base, positions, dy);
        self.call("lrn + max pool + relu dx", 0.0, read, floats2::<B>, run)
    }

    fn lrn_max_pool_dx(
        &self,
        lrn: &Lrn,
        g: &pool::Geometry,
        x: &Floats<B>,
        base: Option<&Floats<B>>,
        positions: &Ints<B>,
        dy: &Floats<B>,
    ) -> Result<Floats<B>> {
        let read = self.lrn_max_pool_dx_reads(x, base, positions, dy);
        let run = || self.inner.lrn_max_pool_dx(lrn, g, x, base, positions, dy);
        self.call("lrn + max pool dx", 0.0, read, B::bytes, run)
    }
}

impl<B: Backend> pool::Kernels for Timed<B> {
    fn max_pool(&self, g: &pool::Geometry, x: &Floats<B>) -> Result<(Floats<B>, Ints<B>)> {
        self.call("max pool", 0.0, self.size(&[x]), floats_and_ints::<B>, || self.inner.max_pool(g, x))
    }

    fn max_pool_dx(&self, g: &pool::Geometry, positions: &Ints<B>, dy: &Floats<B>) -> Result<Floats<B>> {
        let read = self.size(&[dy]) + self.inner.int_bytes(positions);
        self.call("max pool dx", 0.0, read, B::bytes, || self.inner.max_pool_dx(g, positions, dy))
    }

    fn average_pool(&self, g: &pool::Geometry, x: &Floats<B>) -> Result<Floats<B>> {
        self.moves("average pool", &[x], || self.inner.average_pool(g, x))
    }

    fn average_pool_dx(&self, g: &pool::Geometry, dy: &Floats<B>) -> Result<Floats<B>> {
        self.moves("average pool dx", &[dy], || self.inner.average_pool_dx(g, dy))
    }
}

impl<B: Backend> prepare::Kernels for Timed<B> {
    fn upload_images(&self, bytes: &[u8]) -> Result<Ints<B>> {
        self.call("upload images", 0.0, 0, B::int_bytes, || self.inner.upload_images(bytes))
    }

    fn prepare(
        &self,
        layout: prepare::Layout,
        cuts: &[prepare::Cut],
        images: &Ints<B>,
        mean: Option<&Floats<B>>,
    ) -> Result<Floats<B>> {
        // Every view reads its crop of an image; the mean image is shared.
        let read = (cuts.len() * layout.view()) as u64 + mean.map_or(0, |mean| self.inner.bytes(mean));
        self.call("prepare", 0.0, read, B::bytes, || self.inner.prepare(layout, cuts, images, mean))
    }
}

impl<B: Backend> reduce::Kernels for Timed<B> {
    fn sum(&self, len: usize, x: &Floats<B>) -> Result<Floats<B>> {
        self.moves("sum", &[x], || self.inner.sum(len, x))
    }

    fn sum_rows(&self, rows: usize, c: usize, x: &Floats<B>) -> Result<Floats<B>> {
        self.moves("sum rows", &[x], || self.inner.sum_rows(rows, c, x))
    }

    fn max_columns(&self, rows: usize, c: usize, x: &Floats<B>) -> Result<(Floats<B>, Ints<B>)> {
        self.call("max columns", 0.0, self.size(&[x]), floats_and_ints::<B>, || self.inner.max_columns(rows, c, x))
    }

    fn all_finite(&self, len: usize, x: &Floats<B>) -> Result<Ints<B>> {
        self.call("all finite", 0.0, self.size(&[x]), B::int_bytes, || self.inner.all_finite(len, x))
    }
}

impl<B: Backend> relu_bias::Kernels for Timed<B> {
    fn relu_bias_dx(&self, rows: usize, c: usize, y: &Floats<B>, dy: &mut Floats<B>) -> Result<Floats<B>> {
        let bytes = self.size(&[y, dy, dy]);
        self.call("relu + bias dx", 0.0, bytes, B::bytes, || self.inner.relu_bias_dx(rows, c, y, dy))
    }
}

impl<B: Backend> sample::Kernels for Timed<B> {
    fn sample_normal(&self, len: usize, mean: f64, deviation: f64, stream: Stream) -> Result<Floats<B>> {
        self.moves("sample normal", &[], || self.inner.sample_normal(len, mean, deviation, stream))
    }

    fn sample_uniform(&self, len: usize, low: f64, high: f64, stream: Stream) -> Result<Floats<B>> {
        self.moves("sample uniform", &[], || self.inner.sample_uniform(len, low, high, stream))
    }
}

impl<B: Backend> update::Kernels for Timed<B> {
    fn sgd_steps(&self, updates: &mut [SgdUpdate<'_, Floats<B>>]) -> Result<()> {
        let size = |u: &SgdUpdate<'_, Floats<B>>| (self.size(&[u.w, u.v, u.g]), self.size(&[u.w, u.v]));
        let (read, written) = total(updates.iter().map(size));
        self.call("sgd", 0.0, read, |_, ()| written, || self.inner.sgd_steps(updates))
    }

    fn adam_steps(&self, updates: &mut [AdamUpdate<'_, Floats<B>>]) -> Result<()> {
        let size = |u: &AdamUpdate<'_, Floats<B>>| (self.size(&[u.w, u.m, u.v, u.g]), self.size(&[u.w, u.m, u.v]));
        let (read, written) = total(updates.iter().map(size));
        self.call("adam", 0.0, read, |_, ()| written, || self.inner.adam_steps(updates))
    }
}

/// Bytes read and written by all.
fn total(sizes: impl Iterator<Item = (u64, u64)>) -> (u64, u64) {
    sizes.fold((0, 0), |(read, written), (r, w)| (read + r, written + w))
}

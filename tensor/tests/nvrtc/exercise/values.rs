//! All operations but convolutions and matrix products.

use alexnet_tensor::ndarray::Array3;
use alexnet_tensor::ops::{
    Activation, AdamStep, AdamUpdate, AlphaScaling, BatchStatistics, CropAndNormalize, CropParams, Dropout,
    DropoutScale, InputTransform, Lrn, Mean, Padding, Pool2d, PoolKind, Region, RoundMode, SgdStep, SgdUpdate,
    UnaryOperator,
};
use alexnet_tensor::random::{Stream, purpose};
use alexnet_tensor::{Backend, DeviceImages, Tensor};

use super::{BATCH, Result, activations, ints, weights};

/// Outputs of layers of the networks for 224 and for 32 pixels, and one of an odd length, without vectors.
const MAPS: [[usize; 4]; 8] = [
    [BATCH, 55, 55, 96],
    [BATCH, 56, 56, 96],
    [BATCH, 55, 55, 64],
    [BATCH, 27, 27, 256],
    [BATCH, 13, 13, 256],
    [BATCH, 32, 32, 32],
    [BATCH, 12, 12, 64],
    [BATCH, 7, 7, 37],
];
const ROWS: [[usize; 2]; 4] = [[BATCH, 4096], [BATCH, 1000], [BATCH, 10], [BATCH, 37]];

pub fn activation<B: Backend<Scalar = f32>>(device: &B) -> Result {
    for x in MAPS.map(|shape| activations(device, &shape)) {
        for f in [Activation::Relu, Activation::Tanh, Activation::Logistic] {
            x.activation(f)?.activation_dx(f, &x)?;
        }
    }
    activations(device, &ROWS[1]).to_vec()?;
    Ok(())
}

pub fn elementwise<B: Backend<Scalar = f32>>(device: &B) -> Result {
    for shape in [MAPS[0], MAPS[7]] {
        for mut x in [activations(device, &shape), weights(device, &shape)] {
            let y = x.add(&x)?.subtract(&x)?.multiply(&x)?.mul_add_scalar(2.0, 1.0)?.scale(0.5)?;
            y.divide(&x)?.minimum(&x)?.maximum(&x)?.less(&x)?;
            let row = x.slice(&[0..1, 0..1, 0..1])?;
            y.add(&row)?.subtract(&row)?.multiply(&row)?.divide(&row)?.minimum(&row)?.maximum(&row)?.less(&row)?;
            x.add_scaled(0.5, &y)?;
            let shared = x.clone();
            x.add_scaled(0.5, &shared)?;
        }
        activations(device, &shape).add(&weights(device, &shape))?;
        weights(device, &shape).add_scaled(0.5, &activations(device, &shape))?;
    }
    Ok(())
}

pub fn lrn<B: Backend<Scalar = f32>>(device: &B) -> Result {
    let region = Region::WithinChannel;
    let alpha_scaling = AlphaScaling::Mean;
    let specs = [
        Lrn::paper(),
        // caffe.
        Lrn { k: 1.0, alpha_scaling, ..Lrn::paper() },
        // cifar-11pct.
        Lrn { size: 9, alpha: 1e-3, beta: 0.75, k: 1.0, region: Region::AcrossChannels, alpha_scaling },
        // norm2b of source.
        Lrn { size: 5, alpha: 1e-3, beta: 0.75, k: 1.0, region, alpha_scaling },
        // cifar-18pct.
        Lrn { size: 3, alpha: 5e-5, beta: 0.75, k: 1.0, region, alpha_scaling },
        // Other exponents, without a shortcut.
        Lrn { beta: 0.6, ..Lrn::paper() },
        Lrn { size: 4, beta: 0.5, region, ..Lrn::paper() },
    ];
    for x in [MAPS[0], MAPS[3], MAPS[5], MAPS[7]].map(|shape| activations(device, &shape)) {
        for spec in &specs {
            let (y, base) = x.lrn(spec)?;
            y.lrn_dx(spec, &x, &base)?;
        }
    }
    Ok(())
}

pub fn pool<B: Backend<Scalar = f32>>(device: &B) -> Result {
    let overlapping = |kind| Pool2d::new(kind, 3, 2);
    for x in MAPS.map(|shape| activations(device, &shape)) {
        pooled(&x, &overlapping(PoolKind::Max))?;
    }
    // Kernels are compiled for each geometry: two for each kind and size.
    for x in [MAPS[5], MAPS[7]].map(|shape| activations(device, &shape)) {
        for kind in [PoolKind::Max, PoolKind::Average, PoolKind::AverageWithPadding] {
            pooled(&x, &Pool2d { round_mode: RoundMode::Ceil, ..overlapping(kind) })?;
            pooled(&x, &Pool2d { padding: Padding::all(1), ..overlapping(kind) })?;
            pooled(&x, &Pool2d::new(kind, 2, 2))?;
            pooled(&x, &Pool2d::new(kind, 5, 1))?;
        }
    }
    Ok(())
}

pub fn adaptive_pool<B: Backend<Scalar = f32>>(device: &B) -> Result {
    for x in [MAPS[4], MAPS[7]].map(|shape| activations(device, &shape)) {
        x.adaptive_average_pool([6, 6])?.adaptive_average_pool_dx(x.shape())?;
    }
    Ok(())
}

fn pooled<B: Backend<Scalar = f32>>(x: &Tensor<B>, spec: &Pool2d) -> Result {
    let (y, places) = x.pool(spec)?;
    y.pool_dx(spec, x.shape(), places.as_ref())?;
    Ok(())
}

pub fn lrn_pool<B: Backend<Scalar = f32>>(device: &B) -> Result {
    let overlapping = Pool2d::new(PoolKind::Max, 3, 2);
    let others = [Pool2d { round_mode: RoundMode::Ceil, ..overlapping }, Pool2d::new(PoolKind::Max, 2, 2)];
    for x in MAPS.map(|shape| activations(device, &shape)) {
        let (y, kept) = x.lrn_max_pool(&Lrn::paper(), &overlapping)?;
        y.lrn_max_pool_dx(&Lrn::paper(), &overlapping, &x, &kept)?;
    }
    let x = activations(device, &MAPS[5]);
    for (pool, beta) in others.into_iter().zip([0.75, 0.6]) {
        let lrn = Lrn { size: 4, beta, ..Lrn::paper() };
        let (y, kept) = x.lrn_max_pool(&lrn, &pool)?;
        y.lrn_max_pool_dx(&lrn, &pool, &x, &kept)?;
    }
    Ok(())
}

pub fn crop_and_normalize<B: Backend<Scalar = f32>>(device: &B) -> Result {
    // Crops of 227 pixels have no vectors.
    for (size, crop) in [(256, 224), (256, 227), (40, 32)] {
        let images = DeviceImages::from_bytes(device, size, &vec![0; BATCH * size * size * 3])?;
        let crops: Vec<CropParams> = (0..BATCH as u32).map(|image| CropParams::new(image, 0, 0, false)).collect();
        let mean_image = Mean::Image(Array3::zeros((size, size, 3)));
        for (bgr, mean) in [false, true].into_iter().flat_map(|bgr| [(bgr, Mean::None), (bgr, mean_image.clone())]) {
            let settings = CropAndNormalize { bgr, mean, ..CropAndNormalize::crop_only(crop) };
            InputTransform::new(device, &settings)?.apply(&images, &crops)?;
        }
    }
    Ok(())
}

pub fn dropout<B: Backend<Scalar = f32>>(device: &B) -> Result {
    let stream = Stream::new(1, purpose::USER, 0);
    for x in ROWS.map(|shape| activations(device, &shape)) {
        for scale in [DropoutScale::AtTest, DropoutScale::InTraining] {
            x.dropout(&Dropout { p: 0.5, scale }, stream)?;
        }
    }
    activations(device, &MAPS[4]).dropout(&Dropout { p: 0.1, scale: DropoutScale::InTraining }, stream)?;
    Ok(())
}

pub fn batch_norm<B: Backend<Scalar = f32>>(device: &B) -> Result {
    let shapes = [&MAPS[0][..], &MAPS[3], &MAPS[7], &ROWS[0], &ROWS[3]];
    for x in shapes.map(|shape| activations(device, shape)) {
        let c = x.shape()[x.shape().len() - 1];
        let gamma = weights(device, &[c]);
        let beta = weights(device, &[c]);
        let statistics: BatchStatistics<B> = x.batch_statistics()?;
        let y = x.batch_norm(&statistics, &gamma, &beta, 1e-5)?;
        y.batch_norm_backward(&x, &statistics, &gamma, 1e-5)?;
    }
    Ok(())
}

pub fn cross_entropy<B: Backend<Scalar = f32>>(device: &B) -> Result {
    let labels = ints(device, BATCH);
    for logits in ROWS.map(|shape| activations(device, &shape)) {
        logits.softmax()?.to_vec()?;
        logits.cross_entropy(&labels)?.mean()?.scalar()?;
        logits.cross_entropy_dx(&labels, 1.0 / BATCH as f64)?;
        logits.rank_of_label(&labels)?.count_ge(1)?.to_vec()?;
    }
    Ok(())
}

pub fn reduce<B: Backend<Scalar = f32>>(device: &B) -> Result {
    for shape in MAPS {
        for x in [activations(device, &shape), weights(device, &shape)] {
            x.sum()?.to_vec()?;
            x.mean()?;
            x.sum_rows()?;
            x.sum_first()?;
            x.max_and_argmax()?;
            x.all_finite()?;
        }
    }
    for x in ROWS.map(|shape| activations(device, &shape)) {
        x.sum_rows()?;
        x.max_and_argmax()?.1.to_vec()?;
    }
    Ok(())
}

pub fn reduce_axes<B: Backend<Scalar = f32>>(device: &B) -> Result {
    for x in [activations(device, &MAPS[3]), weights(device, &MAPS[3])] {
        x.sum_axes(&[1, 2], true)?;
        x.log_softmax()?;
        for y in [x.max_axes(&[1, 2], false)?, weights(device, &[BATCH, 256])] {
            y.max_axes_dx(&x, &[1, 2])?;
            y.min_axes_dx(&x, &[1, 2])?;
        }
    }
    // The sums of activations are weights: so are their gradients, where x is not.
    activations(device, &[BATCH, 256]).max_axes_dx(&weights(device, &MAPS[3]), &[1, 2])?;
    Ok(())
}

pub fn sample<B: Backend<Scalar = f32>>(device: &B) -> Result {
    let stream = Stream::new(1, purpose::USER, 0);
    for shape in [&[4096, 9216][..], &[96, 11, 11, 3], &[37]] {
        Tensor::normal(device, shape, 0.0, 0.01, stream)?;
        Tensor::uniform(device, shape, -1.0, 1.0, stream)?;
    }
    Ok(())
}

pub fn strided<B: Backend<Scalar = f32>>(device: &B) -> Result {
    for shape in [MAPS[4], MAPS[7]] {
        for x in [activations(device, &shape), weights(device, &shape)] {
            x.permute(&[0, 3, 1, 2])?;
            let part = x.slice(&[0..BATCH, 1..6, 1..6])?;
            part.slice_dx(&shape, &[0..BATCH, 1..6, 1..6], &[1; 3])?;
            Tensor::concat(&[&x, &x], 3)?;
            x.slice(&[0..1, 0..1, 0..1])?.broadcast_to(&shape)?;
        }
    }
    Ok(())
}

pub fn unary<B: Backend<Scalar = f32>>(device: &B) -> Result {
    let operators = [
        UnaryOperator::Exp,
        UnaryOperator::Log,
        UnaryOperator::Sqrt,
        UnaryOperator::Abs,
        UnaryOperator::Square,
        UnaryOperator::Reciprocal,
    ];
    for shape in [MAPS[0], MAPS[7]] {
        for x in [activations(device, &shape), weights(device, &shape)] {
            for operator in operators {
                x.unary_dx(operator, &x.unary(operator)?)?;
            }
            x.clamp_dx(0.0, 6.0, &x.clamp(0.0, 6.0)?)?;
        }
    }
    Ok(())
}

pub fn update<B: Backend<Scalar = f32>>(device: &B) -> Result {
    // Kernels are compiled for each number of parameters: one, those of the networks, and the maximum of one launch. A
    // length of 37 has no vectors.
    for (count, len) in [(1, 96), (1, 37), (10, 96), (16, 96), (32, 96)] {
        let draw = || (0..count).map(|_| weights(device, &[len])).collect::<Vec<_>>();
        let mut w = draw();
        let mut m = draw();
        let mut v = draw();
        let g = draw();
        let step = SgdStep { rate: 0.01, momentum: 0.9, decay: 5e-4, nesterov: false };
        let all = w.iter_mut().zip(&mut v).zip(&g);
        Tensor::sgd_steps(all.map(|((w, v), g)| SgdUpdate { step, w, v, g }).collect())?;
        let rate = 1e-3;
        let beta1 = 0.9;
        let beta2 = 0.999;
        let epsilon = 1e-7;
        let decay = 5e-4;
        let step = AdamStep { rate, beta1, beta2, epsilon, decay, decoupled: false, step: 1, epsilon_hat: false };
        let all = w.iter_mut().zip(&mut m).zip(&mut v).zip(&g);
        Tensor::adam_steps(all.map(|(((w, m), v), g)| AdamUpdate { step, w, m, v, g }).collect())?;
    }
    Ok(())
}

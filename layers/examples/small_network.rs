//! Defines, differentiates and trains a small network on generated pictures: a row or a column of light in noise.
use alexnet_layers::{Result, Tape, Var};
use tensor::ops::{Conv2d, Padding, Pool2d, PoolKind};
use tensor::random::{Stream, purpose};
use tensor::{Cpu, Ints, Tensor};

fn pictures(device: &Cpu<f32>, n: usize, step: u64) -> Result<(Tensor<Cpu<f32>>, Ints<Cpu<f32>>)> {
    let [noise, draws] = [0, 1].map(|purpose| Stream::new(1, purpose::USER + purpose, step));
    let kinds: Vec<u32> = (0..n as u64).map(|i| draws.below(i, 16)).collect();
    let labels: Vec<u32> = kinds.iter().map(|kind| kind / 8).collect();
    let lit = |i: usize| if labels[i / 64] == 0 { i / 8 % 8 } else { i % 8 } == kinds[i / 64] as usize % 8;
    let pixels: Vec<f32> = (0..64 * n).map(|i| noise.uniform(i as u64) + f32::from(u8::from(lit(i)))).collect();
    Ok((Tensor::from_slice(device, &[n, 8, 8, 1], &pixels)?, Ints::from_slice(device, &labels)?))
}

pub fn main() -> Result<()> {
    let device = Cpu::new(1)?;
    let init = |i, shape: &[usize]| Tensor::normal(&device, shape, 0.0, 0.1, Stream::new(1, purpose::INIT + i, 0));
    let mut weights = [init(0, &[8, 3, 3, 1])?, init(1, &[8])?, init(2, &[2, 8 * 4 * 4])?, init(3, &[2])?];
    let conv = Conv2d { padding: Padding::all(1), relu: true, ..Default::default() };
    let mut losses = Vec::new();
    for step in 0..200 {
        let (x, labels) = pictures(&device, 32, step)?;
        let mut tape = Tape::new();
        let p = weights.clone().map(|w| tape.parameter(w));
        let maps = tape.conv2d(&Var::constant(x), &p[0], Some(&p[1]), &conv)?;
        let pooled = tape.pool(&maps, &Pool2d::new(PoolKind::Max, 2, 2))?;
        let rows = tape.flatten(&pooled)?;
        let logits = tape.linear(&rows, &p[2], Some(&p[3]), false)?;
        let loss = tape.cross_entropy(&logits, &labels)?;
        losses.push(loss.value().scalar()?);
        let gradients = tape.backward(&loss)?;
        for (w, p) in weights.iter_mut().zip(&p) {
            gradients.get(p).map(|dw| w.add_scaled(-0.2, dw)).transpose()?;
        }
    }
    losses.iter().step_by(25).for_each(|loss| println!("loss {loss:.4}"));
    assert!(losses[199] < 0.1 * losses[0], "the loss must fall: {losses:?}");
    Ok(())
}

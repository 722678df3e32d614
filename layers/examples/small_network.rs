//! Defines, differentiates and trains a small network on generated images: a row or a column of light in noise.
use alexnet_layers::ops::Stage;
use alexnet_layers::tensor::ops::{Conv2d, Pool2d, PoolKind};
use alexnet_layers::tensor::random::{Stream, purpose};
use alexnet_layers::tensor::{Cpu, IntTensor, Tensor};
use alexnet_layers::{Result, Tape, Var};

fn images(n: usize, step: u64) -> (Vec<f32>, Vec<u32>) {
    let [noise, draws] = [0, 1].map(|purpose| Stream::new(1, purpose::USER + purpose, step));
    let lines: Vec<u32> = (0..n as u64).map(|i| draws.below(i, 16)).collect(); // rows are 0 to 7, columns 8 to 15
    let lit = |i: usize| [i / 8 % 8, i % 8 + 8].contains(&(lines[i / 64] as usize));
    let pixels = (0..64 * n).map(|i| noise.uniform(i as u64) + f32::from(u8::from(lit(i)))).collect();
    (pixels, lines.iter().map(|line| line / 8).collect())
}

/// Prints the loss as it falls, and fails if it does not.
pub fn main() -> Result<()> {
    let cpu = Cpu::new(1)?;
    let init = |i, shape: &[usize]| Tensor::normal(&cpu, shape, 0.0, 0.1, Stream::new(1, purpose::INIT + i, 0));
    let mut weights = [init(0, &[8, 3, 3, 1])?, init(1, &[8])?, init(2, &[2, 8 * 3 * 3])?, init(3, &[2])?];
    let mut losses = Vec::new();
    for step in 0..200 {
        let (pixels, labels) = images(32, step);
        let mut tape = Tape::new();
        let p = weights.clone().map(|w| tape.parameter(w));
        let x = Var::constant(Tensor::from_slice(&cpu, &[32, 8, 8, 1], &pixels)?);
        let maps = tape.conv2d(&x, &p[0], Some(&p[1]), &Conv2d::default(), &[Stage::Relu])?;
        let pooled = tape.pool(&maps, &Pool2d::new(PoolKind::Max, 2, 2))?;
        let rows = tape.flatten(&pooled)?;
        let logits = tape.linear(&rows, &p[2], Some(&p[3]), &[])?;
        let loss = tape.cross_entropy(&logits, &IntTensor::from_slice(&cpu, &labels)?)?;
        losses.push(loss.value().scalar()?);
        let gradients = tape.backward(&loss)?;
        for (w, p) in weights.iter_mut().zip(&p) {
            gradients.get(p).map(|dw| w.add_scaled(-0.2, dw)).transpose()?;
        }
    }
    losses.iter().step_by(25).for_each(|loss| println!("loss {loss:.4}"));
    assert!(losses[199] < 0.3 * losses[0], "the loss must fall: {losses:?}");
    Ok(())
}

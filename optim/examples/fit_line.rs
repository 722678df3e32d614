//! Fits a line to noisy points by gradient descent, dividing the rate by 10 when the error stops improving.
//!
//! Run it with `cargo run --example fit_line`.

use alexnet_optim::tensor::{Cpu, Tensor};
use alexnet_optim::{Observed, Optimizer, Schedule, ScheduleRule, Sgd, Update};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cpu = Cpu::<f64>::new(1)?;
    // y = 3 x - 1 with a deterministic wobble.
    let points: Vec<(f64, f64)> =
        (0..40).map(|i| f64::from(i) / 10.0 - 2.0).map(|x| (x, 3.0 * x - 1.0 + 0.1 * (37.0 * x).sin())).collect();
    let mut slope = Tensor::zeros(&cpu, &[1])?;
    let mut offset = Tensor::zeros(&cpu, &[1])?;
    let mut optimizer = Optimizer::new(Sgd { weight_decay: 0.0, ..Sgd::default() })?;
    let mut schedule =
        Schedule::new(ScheduleRule::Plateau { factor: 0.1, patience: 40, threshold: 1e-9, max_drops: 3 })?;

    for epoch in 0..1000u32 {
        let a = slope.scalar()?;
        let b = offset.scalar()?;
        let count = points.len() as f64;
        let residuals: Vec<f64> = points.iter().map(|(x, y)| a * x + b - y).collect();
        let error = residuals.iter().map(|r| r * r).sum::<f64>() / count;
        let da = residuals.iter().zip(&points).map(|(r, (x, _))| 2.0 * r * x).sum::<f64>() / count;
        let db = residuals.iter().map(|r| 2.0 * r).sum::<f64>() / count;
        let rate = schedule.rate(0.02, f64::from(epoch));
        match schedule.observe(error) {
            Observed::Dropped => println!("epoch {epoch}: error {error:.6}, rate now {:e}", schedule.rate(0.02, 0.0)),
            Observed::Finished => {
                println!("epoch {epoch}: error {error:.6}, y = {a:.3} x + {b:.3}");
                return Ok(());
            }
            _ => {}
        }
        let da = Tensor::full(&cpu, &[1], da)?;
        let db = Tensor::full(&cpu, &[1], db)?;
        let updates = vec![
            Update::new("slope", &mut slope, &da),
            Update { decay_mult: 0.0, ..Update::new("offset", &mut offset, &db) },
        ];
        optimizer.step(rate, updates)?;
    }
    Err("the error was still improving".into())
}

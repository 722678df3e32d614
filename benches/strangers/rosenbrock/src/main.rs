//! The minimum of Rosenbrock's function by an update rule and a schedule that the crate does not know.

use alexnet_optim::tensor::{self, Backend, Cpu, Tensor};
use alexnet_optim::{Optimizer, ParameterStep, Schedule, Update, UpdateRule};

/// AdaBelief (Zhuang et al., 2020): m <- b1 m + (1 - b1) g; s <- b2 s + (1 - b2) (g - m)^2;
/// w <- w - lr m / (1 - b1^t) / (sqrt(s / (1 - b2^t)) + 1e-12).
#[derive(Debug)]
struct AdaBelief(f64, f64);

impl<B: Backend> UpdateRule<B> for AdaBelief {
    fn name(&self) -> &str {
        "adabelief"
    }

    fn state(&self) -> &[&str] {
        &["adabelief.m", "adabelief.s"]
    }

    fn count(&self) -> Option<&str> {
        Some("adabelief.t")
    }

    fn update(&self, p: ParameterStep<'_, B>) -> tensor::Result<()> {
        let Self(b1, b2) = *self;
        let t = p.count as f64;
        let m = p.state[0].scale(b1)?.add(&p.gradient.scale(1.0 - b1)?)?;
        let surprise = p.gradient.subtract(&m)?;
        let s = p.state[1].scale(b2)?.add(&surprise.multiply(&surprise)?.scale(1.0 - b2)?)?;
        let root = s.scale(1.0 / (1.0 - b2.powf(t)))?.sqrt()?.mul_add_scalar(1.0, 1e-12)?;
        p.value.add_scaled(-p.rate / (1.0 - b1.powf(t)), &m.divide(&root)?)?;
        p.state[0] = m;
        p.state[1] = s;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cpu = Cpu::<f64>::new(1)?;
    let mut point = Tensor::from_slice(&cpu, &[2], &[-1.2, 1.0])?;
    let mut optimizer = Optimizer::new(AdaBelief(0.9, 0.99))?;
    let schedule = Schedule::new(|base: f64, step: f64| base / (1.0 + step / 1000.0))?;
    for step in 0..3000 {
        let [x, y] = point.to_vec()?[..] else { unreachable!() };
        let valley = y - x * x;
        let gradient = Tensor::from_slice(&cpu, &[2], &[2.0 * (x - 1.0) - 400.0 * x * valley, 200.0 * valley])?;
        optimizer.step(schedule.rate(0.02, step.into()), vec![Update::new("point", &mut point, &gradient)])?;
    }
    println!("minimum found at {:.4?}", point.to_vec()?);
    assert!(point.to_vec()?.iter().all(|coordinate| (coordinate - 1.0).abs() < 0.01));
    Ok(())
}

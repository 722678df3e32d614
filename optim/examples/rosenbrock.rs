//! Finds the minimum of Rosenbrock's banana function, f(x, y) = (1 - x)^2 + 100 (y - x^2)^2, with an update rule and a
//! schedule that are defined here.
//!
//! Run it with `cargo run --example rosenbrock`.

use alexnet_optim::tensor::{self, Backend, Cpu, Tensor};
use alexnet_optim::{LearningRate, Optimizer, ParameterStep, Schedule, ScheduleState, Update, UpdateRule, Warmup};

/// Nadam without weight decay (Dozat, 2016), Adam with Nesterov momentum:
/// m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g^2;
/// w <- w - lr (beta1 m / (1 - beta1^(t + 1)) + (1 - beta1) g / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).
#[derive(Debug)]
struct Nadam {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
}

impl<B: Backend> UpdateRule<B> for Nadam {
    fn name(&self) -> &str {
        "nadam"
    }

    fn state(&self) -> &[&str] {
        &["nadam.m", "nadam.v"]
    }

    fn count(&self) -> Option<&str> {
        Some("nadam.t")
    }

    fn update(&self, p: ParameterStep<'_, B>) -> tensor::Result<()> {
        let Self { beta1, beta2, epsilon } = *self;
        let t = p.count as f64;
        let m = p.state[0].scale(beta1)?.add(&p.gradient.scale(1.0 - beta1)?)?;
        let v = p.state[1].scale(beta2)?.add(&p.gradient.multiply(p.gradient)?.scale(1.0 - beta2)?)?;
        let mut mean = m.scale(beta1 / (1.0 - beta1.powf(t + 1.0)))?;
        mean.add_scaled((1.0 - beta1) / (1.0 - beta1.powf(t)), p.gradient)?;
        let root = v.scale(1.0 / (1.0 - beta2.powf(t)))?.sqrt()?.mul_add_scalar(1.0, epsilon)?;
        p.value.add_scaled(-p.rate, &mean.divide(&root)?)?;
        p.state[0] = m;
        p.state[1] = v;
        Ok(())
    }
}

/// The base rate, and a tenth of it in the last fifth of the steps.
struct LastFifth {
    steps: f64,
}

impl LearningRate for LastFifth {
    fn rate(&self, base: f64, step: f64, _: &ScheduleState) -> f64 {
        if step < 0.8 * self.steps { base } else { 0.1 * base }
    }
}

const STEPS: u32 = 3000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cpu = Cpu::<f64>::new(1)?;
    let mut point = Tensor::from_slice(&cpu, &[2], &[-1.2, 1.0])?;
    let mut optimizer = Optimizer::new(Nadam { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 })?;
    let then = LastFifth { steps: f64::from(STEPS) };
    let schedule = Schedule::new(Warmup { epochs: 10.0, start: 0.1, then })?;
    for step in 0..STEPS {
        let [x, y] = point.to_vec()?[..] else { return Err("a point has two coordinates".into()) };
        let valley = y - x * x;
        if step % 500 == 0 {
            println!("step {step}: f({x:.4}, {y:.4}) = {:.3e}", (1.0 - x).powi(2) + 100.0 * valley.powi(2));
        }
        let gradient = [-2.0 * (1.0 - x) - 400.0 * x * valley, 200.0 * valley];
        let gradient = Tensor::from_slice(&cpu, &[2], &gradient)?;
        optimizer.step(schedule.rate(0.02, f64::from(step)), vec![Update::new("point", &mut point, &gradient)])?;
    }
    println!("after {STEPS} steps: {:.6?}", point.to_vec()?);
    if point.to_vec()?.iter().any(|coordinate| (coordinate - 1.0).abs() > 1e-2) {
        return Err("the minimum at (1, 1) was not reached".into());
    }
    Ok(())
}

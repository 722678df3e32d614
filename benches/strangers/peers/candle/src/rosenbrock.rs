use candle_core::{Device, Result, Tensor, Var, backprop::GradStore};
use candle_nn::Optimizer;

/// AdaBelief.
struct AdaBelief {
    variables: Vec<(Var, Tensor, Tensor)>,
    step: i32,
    lr: f64,
    betas: (f64, f64),
}

impl Optimizer for AdaBelief {
    type Config = (f64, f64);

    fn new(variables: Vec<Var>, betas: Self::Config) -> Result<Self> {
        let state = |v: Var| Ok((v.clone(), v.zeros_like()?, v.zeros_like()?));
        Ok(Self { variables: variables.into_iter().map(state).collect::<Result<_>>()?, step: 0, lr: 0.02, betas })
    }

    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn set_learning_rate(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn step(&mut self, gradients: &GradStore) -> Result<()> {
        self.step += 1;
        let (b1, b2) = self.betas;
        for (variable, m, s) in &mut self.variables {
            let Some(g) = gradients.get(variable.as_tensor()) else { continue };
            *m = ((m.as_ref() * b1)? + (g * (1.0 - b1))?)?;
            *s = ((s.as_ref() * b2)? + ((g - m.as_ref())?.sqr()? * (1.0 - b2))?)?;
            let root = ((s.as_ref() / (1.0 - b2.powi(self.step)))?.sqrt()? + 1e-12)?;
            let step = ((m.as_ref() / root)? * (self.lr / (1.0 - b1.powi(self.step))))?;
            variable.set(&(variable.as_tensor() - step)?)?;
        }
        Ok(())
    }
}

pub fn run() -> Result<()> {
    let point = Var::from_tensor(&Tensor::new(&[-1.2f64, 1.0], &Device::Cpu)?)?;
    let mut optimizer = AdaBelief::new(vec![point.clone()], (0.9, 0.99))?;
    for step in 0..3000 {
        let [x, y] = [point.get(0)?, point.get(1)?];
        let loss = ((1.0 - &x)?.sqr()? + ((y - x.sqr()?)?.sqr()? * 100.0)?)?;
        optimizer.set_learning_rate(0.02 / (1.0 + f64::from(step) / 1000.0));
        optimizer.backward_step(&loss)?;
    }
    println!("minimum found at {:.4?}", point.to_vec1::<f64>()?);
    Ok(())
}

use burn::backend::{Autodiff, NdArray};
use burn::module::Param;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{GradientsParams, LearningRate, Optimizer, SimpleOptimizer};
use burn::prelude::*;
use burn::record::Record;

type Double = Autodiff<NdArray<f64>>;

/// AdaBelief.
#[derive(Clone)]
struct AdaBelief(f64, f64);

#[derive(Record, Clone)]
struct State<B: Backend, const D: usize> {
    m: Tensor<B, D>,
    s: Tensor<B, D>,
    step: usize,
}

impl<B: Backend> SimpleOptimizer<B> for AdaBelief {
    type State<const D: usize> = State<B, D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<B, D>,
        g: Tensor<B, D>,
        state: Option<State<B, D>>,
    ) -> (Tensor<B, D>, Option<State<B, D>>) {
        let Self(b1, b2) = *self;
        let State { m, s, step } = state.unwrap_or_else(|| State { m: g.zeros_like(), s: g.zeros_like(), step: 0 });
        let step = step + 1;
        let m = m * b1 + g.clone() * (1.0 - b1);
        let surprise = g - m.clone();
        let s = s * b2 + surprise.clone() * surprise * (1.0 - b2);
        let root = (s.clone() / (1.0 - b2.powi(step as i32))).sqrt() + 1e-12;
        let tensor = tensor - m.clone() / root * (lr / (1.0 - b1.powi(step as i32)));
        (tensor, Some(State { m, s, step }))
    }

    fn to_device<const D: usize>(state: State<B, D>, device: &B::Device) -> State<B, D> {
        State { m: state.m.to_device(device), s: state.s.to_device(device), step: state.step }
    }
}

#[derive(Module, Debug)]
struct Point<B: Backend> {
    at: Param<Tensor<B, 1>>,
}

pub fn run() {
    let mut point = Point { at: Param::from_tensor(Tensor::<Double, 1>::from([-1.2, 1.0])) };
    let mut optimizer: OptimizerAdaptor<AdaBelief, Point<Double>, Double> = AdaBelief(0.9, 0.99).into();
    for step in 0..3000 {
        let x = point.at.val().slice([0..1]);
        let y = point.at.val().slice([1..2]);
        let loss = (x.clone() - 1.0).square() + (y - x.square()).square() * 100.0;
        let gradients = GradientsParams::from_grads(loss.backward(), &point);
        point = optimizer.step(0.02 / (1.0 + f64::from(step) / 1000.0), point, gradients);
    }
    println!("minimum found at {}", point.at.val());
}

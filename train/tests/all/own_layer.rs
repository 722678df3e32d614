//! Runs of networks with a kind of layer that these crates do not have.

use std::fs;

use alexnet_train::Error;
use alexnet_train::run::Run;
use alexnet_train::trainer::Trainer;
use layers::model::{CustomLayer, CustomShape, register_layer};
use layers::{Init, Layout, Model, Parameter, ParameterSpec, Pass, Var};
use serde::{Deserialize, Serialize};
use tensor::ops::Dropout;
use tensor::{Backend, Cpu};

use crate::support::{MODEL, World, bits, train_until};

/// A linear layer, then dropout of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct NoisyLinear {
    units: usize,
}

impl CustomLayer for NoisyLinear {
    const KIND: &'static str = "noisy-linear";

    fn shape(&self, input: &[usize]) -> Result<CustomShape, String> {
        let inputs = input.iter().product();
        let weight = ParameterSpec::new("weight", &[self.units, inputs]).layout(Layout::Linear);
        let weight = weight.init(Init::HeNormal).fans([inputs, self.units]);
        let mut shape = CustomShape::new(&[self.units]);
        shape.parameters = vec![weight];
        Ok(shape)
    }

    fn forward<B: Backend>(
        &self,
        x: &Var<B>,
        parameters: &[Parameter<B>],
        pass: &mut Pass<B>,
    ) -> layers::Result<Var<B>> {
        let weight = pass.parameter(&parameters[0]);
        let inputs = parameters[0].spec.shape[1];
        let rows = pass.tape.reshape(x, &[x.shape()[0], inputs])?;
        let y = pass.tape.linear(&rows, &weight, None, &[])?;
        match pass.dropout_stream() {
            Some(stream) => pass.tape.dropout(&y, &Dropout::default(), stream),
            None => Ok(y),
        }
    }
}

fn model(world: &World) -> Model {
    register_layer::<NoisyLinear>().unwrap();
    let own = MODEL.replacen(
        "kind = \"linear\"\nunits = 16\ninit = { kind = \"normal\", std = 0.2 }",
        "kind = \"noisy-linear\"\nunits = 16",
        1,
    );
    assert_ne!(own, MODEL);
    let mut model = Model::parse(&own, "own").unwrap();
    alexnet_train::input::fit_to_pack(&mut model, &world.packs.train).unwrap();
    model
}

fn start(world: &World, name: &str) -> Trainer<Cpu<f32>> {
    let model = model(world);
    let run = Run::create(&world.path(name), &world.config(""), &model).unwrap();
    Trainer::new(run, &Cpu::new(1).unwrap(), &model, world.packs.clone(), None).unwrap()
}

#[test]
fn a_run_with_an_own_layer_resumes_with_the_same_bits() {
    let world = World::new();
    let mut whole = start(&world, "whole");
    train_until(&mut whole, u64::MAX).unwrap();
    let text = fs::read_to_string(world.path("whole/run.toml")).unwrap();
    let network = fs::read_dir(world.path("whole")).unwrap().map(|entry| entry.unwrap().path());
    let texts = network.filter(|path| path.extension().is_some_and(|e| e == "toml"));
    let has_kind = |path: std::path::PathBuf| fs::read_to_string(path).unwrap().contains("noisy-linear");
    assert!(texts.into_iter().any(has_kind), "{text}");
    for stop_at in [1, 5, 8] {
        let name = format!("stopped-{stop_at}");
        let mut trainer = start(&world, &name);
        let error = train_until(&mut trainer, stop_at).unwrap_err();
        assert!(matches!(error, Error::Stopped { signal: Some(2), saved: Some(_) }), "{error}");
        drop(trainer);
        let mut trainer = world.resume(&name, 2);
        assert_eq!(trainer.steps_done(), stop_at);
        train_until(&mut trainer, u64::MAX).unwrap();
        assert_eq!(bits(&trainer), bits(&whole), "stopped after step {stop_at}");
    }
}

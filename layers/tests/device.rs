//! The paper's network in small on each device of this build, against the CPU in double precision: logits, loss and all
//! gradients.

use alexnet_layers::{Mode, Model, Module, Network, Pass, Var};
use tensor::random::{Stream, purpose};
use tensor::{Backend, Cpu, Element, IntTensor, Tensor};

const BATCH: usize = 3;

/// The preset with a 16th of the channels, on images as small as its five stages allow.
fn small() -> Model {
    let mut text = Model::preset("paper").unwrap().to_toml();
    for (paper, small) in [
        ("crop = 224", "crop = 95"),
        ("filters = 96", "filters = 6"),
        ("filters = 256", "filters = 16"),
        ("filters = 384", "filters = 24"),
        ("units = 4096", "units = 30"),
        ("classes = 1000", "classes = 7"),
        // With so few terms to a sum, as in the paper signals would fade.
        ("std = 0.01", "std = 0.1"),
    ] {
        assert!(text.contains(paper), "the preset lost {paper:?}");
        text = text.replace(paper, small);
    }
    Model::parse(&text, "small").unwrap()
}

fn values(seed: u64, len: usize) -> Vec<f32> {
    let stream = Stream::new(seed, purpose::USER, 0);
    (0..len as u64).map(|i| 2.0 * stream.uniform(i) - 1.0).collect()
}

/// By name, logits, loss and the gradient of each parameter, in training, with dropout.
fn pass<B: Backend>(device: &B) -> Vec<(String, Vec<f64>)> {
    let model = small();
    let drawn = Network::new(&Cpu::<f32>::new(1).unwrap(), &model, 5).unwrap();
    let drawn: Vec<_> = drawn.parameters().iter().map(|p| (p.spec.name.clone(), p.value.to_array().unwrap())).collect();
    let network = Network::with_parameters(device, &model, "the test", &drawn).unwrap();
    let crop = model.input.crop;
    let images: Vec<B::Scalar> =
        values(6, BATCH * crop * crop * 3).iter().map(|&v| Element::of(f64::from(v))).collect();
    let images = Tensor::from_slice(device, &[BATCH, crop, crop, 3], &images).unwrap().to_activation_dtype().unwrap();
    let labels = IntTensor::from_slice(device, &[2, 6, 0]).unwrap();

    let mut pass = Pass::new(Mode::Train { seed: 7, step: 8 });
    let logits = network.forward(&Var::constant(images), &mut pass).unwrap();
    let loss = pass.tape.cross_entropy(&logits, &labels).unwrap();
    let host = |tensor: &Tensor<B>| tensor.to_vec().unwrap().into_iter().map(Element::f64).collect::<Vec<f64>>();
    let mut found = vec![("logits".to_string(), host(logits.value())), ("loss".to_string(), host(loss.value()))];
    let gradients = pass.backward(&loss).unwrap();
    for parameter in network.parameters() {
        found.push((parameter.spec.name.clone(), host(gradients.get(parameter).unwrap())));
    }
    found
}

/// Fails where a result is further from the exact one than `tolerance` of its length.
fn follows_the_cpu<B: Backend>(device: &B, tolerance: f64) {
    let found = pass(device);
    let exact = pass(&Cpu::<f64>::new(2).unwrap());
    assert_eq!(found.len(), 2 + 16);
    for ((name, found), (_, exact)) in found.iter().zip(&exact) {
        assert_eq!(found.len(), exact.len(), "{name}");
        let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
        let length = norm(&mut exact.iter().copied());
        let distance = norm(&mut found.iter().zip(exact).map(|(found, exact)| found - exact));
        assert!(length > 0.0, "{name} is nothing");
        assert!(distance <= tolerance * length, "{name}: off by {:e} of its length", distance / length);
    }
    assert!(pass(device) == found, "the same bits again");
}

#[test]
fn on_the_cpu() {
    follows_the_cpu(&Cpu::<f32>::new(2).unwrap(), 1e-5);
}

#[cfg(feature = "wgpu")]
#[test]
fn on_vulkan_in_software() {
    use tensor::gpu::{Precision, runtime};
    follows_the_cpu(&runtime::wgpu::open_software(Precision::F32).unwrap(), 1e-5);
}

#[cfg(feature = "cuda")]
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn on_cuda() {
    use tensor::gpu::{Precision, runtime};
    for (precision, tolerance) in [(Precision::F32, 1e-5), (Precision::Tf32, 1e-2), (Precision::Bf16, 1e-1)] {
        follows_the_cpu(&runtime::cuda::open(0, precision).unwrap(), tolerance);
    }
}

//! Maps of a network that tells a spot on the left of an image from one on the right.

use alexnet_analysis::layers::tensor::{Cpu, Tensor};
use alexnet_analysis::layers::{Model, Network};
use alexnet_analysis::ndarray::{Array2, ArrayD, IxDyn};
use alexnet_analysis::{Error, Occlusion, grad_cam, input_gradient, occlusion, saliency, upsample};

const SIDE: usize = 16;
const NETWORK: &str = r#"
name = "spot"
about = "Brightness of the left and of the right half."
classes = 2
[input]
size = 16
crop = 16
channels = "rgb"
scale = 1.0
mean = "none"
[[layer]]
name = "conv"
kind = "conv"
filters = 1
kernel = 4
stride = 4
[[layer]]
name = "relu"
kind = "relu"
[[layer]]
name = "fc"
kind = "linear"
units = "classes"
"#;

fn main() -> Result<(), Error> {
    let cpu = Cpu::<f32>::new(1)?;
    let mut network = Network::new(&cpu, &Model::parse(NETWORK, "spot")?, 1)?;
    let sides: Vec<f32> = [1.0, -1.0].iter().flat_map(|left| (0..16).map(move |i| side(i) * left)).collect();
    let values = |shape: &[usize], values: Vec<f32>| ArrayD::from_shape_vec(IxDyn(shape), values).unwrap();
    network.set_parameters(
        "this example",
        &[
            ("conv.weight".into(), values(&[1, 4, 4, 3], vec![1.0 / 48.0; 48])),
            ("conv.bias".into(), values(&[1], vec![0.0])),
            ("fc.weight".into(), values(&[2, 16], sides)),
            ("fc.bias".into(), values(&[2], vec![0.0; 2])),
        ],
    )?;
    let bright = |place: usize| {
        let near = |v: usize, centre: usize| v.abs_diff(centre) < 3;
        if near(place / 3 % SIDE, 4) && near(place / 3 / SIDE, 10) { 4.0 } else { 0.1 }
    };
    let pixels: Vec<f32> = (0..SIDE * SIDE * 3).map(bright).collect();
    let image = Tensor::from_slice(&cpu, &[1, SIDE, SIDE, 3], &pixels)?;
    let hidden = occlusion(&network, &image, 0, &Occlusion::of_crop(SIDE))?;
    println!("left: probability {:.2}", hidden.probability);
    print("occlusion", &hidden.pixels);
    print("gradient", &saliency(&input_gradient(&network, &image, 0)?));
    print("Grad-CAM", &upsample(&grad_cam(&network, &image, 0, "conv")?, SIDE));
    Ok(())
}

/// 1 in the left half of a row of 4, else -1.
fn side(index: usize) -> f32 {
    if index % 4 < 2 { 1.0 } else { -1.0 }
}

fn print(title: &str, map: &Array2<f32>) {
    println!("\n{title}");
    let largest = map.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    for row in map.rows() {
        let shade = |v: &f32| [' ', '.', ':', 'o', '#'][((v / largest).clamp(0.0, 1.0) * 4.0).round() as usize];
        println!("{}", row.iter().map(shade).collect::<String>());
    }
}

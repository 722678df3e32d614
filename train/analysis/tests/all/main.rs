//! The methods against plain references, on networks of a few layers.

use alexnet_analysis::layers::tensor::{Cpu, Tensor};
use alexnet_analysis::layers::{Model, Network};
use alexnet_analysis::ndarray::{Array2, Array4, ArrayD, s};
use alexnet_analysis::{
    Error, Occlusion, ReceptiveField, Response, SmoothGrad, StrongestResponses, grad_cam, input_gradient,
    last_convolution, occlusion, response_gradient, saliency, smooth_grad, upsample,
};
use proptest::prelude::*;

const CROP: usize = 12;

fn network(layers: &str, seed: u64) -> Network<Cpu<f32>> {
    let text = format!(
        "name = \"n\"\nabout = \"\"\nclasses = 3\n[input]\nsize = {CROP}\ncrop = {CROP}\nchannels = \"rgb\"\nscale = 1.0\n\
         mean = \"none\"\n{layers}"
    );
    Network::new(&Cpu::new(1).unwrap(), &Model::parse(&text, "test").unwrap(), seed).unwrap()
}

fn layer(name: &str, settings: &str) -> String {
    format!("[[layer]]\nname = \"{name}\"\n{settings}\n")
}

/// Smooth everywhere, so that finite differences hold.
fn smooth(seed: u64) -> Network<Cpu<f32>> {
    let layers = [
        layer("c1", "kind = \"conv\"\nfilters = 4\nkernel = 3\nstride = 2\npadding = 1"),
        layer("t1", "kind = \"tanh\""),
        layer("c2", "kind = \"conv\"\nfilters = 3\nkernel = 3"),
        layer("t2", "kind = \"tanh\""),
        layer("fc", "kind = \"linear\"\nunits = \"classes\""),
        layer("softmax", "kind = \"softmax\""),
    ];
    network(&layers.concat(), seed)
}

fn image(seed: u64) -> Tensor<Cpu<f32>> {
    let stream = alexnet_analysis::layers::tensor::random::Stream::new(seed, 0x8000_0000, 0);
    let values: Vec<f32> = (0..(CROP * CROP * 3) as u64).map(|index| stream.normal(index) as f32).collect();
    Tensor::from_slice(&Cpu::new(1).unwrap(), &[1, CROP, CROP, 3], &values).unwrap()
}

fn changed(image: &Tensor<Cpu<f32>>, place: usize, by: f32) -> Tensor<Cpu<f32>> {
    let mut values = image.to_vec().unwrap();
    values[place] += by;
    Tensor::from_slice(&Cpu::new(1).unwrap(), image.shape(), &values).unwrap()
}

/// The value of a layer's output, as f64.
fn value(network: &Network<Cpu<f32>>, image: Tensor<Cpu<f32>>, layer: &str, index: usize) -> f64 {
    f64::from(network.activations(image, layer).unwrap().to_vec().unwrap()[index])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn gradients_are_finite_differences(seed in 0u64..100, class in 0usize..3, place in 0usize..CROP * CROP * 3) {
        let network = smooth(seed);
        let image = image(seed);
        let gradient = input_gradient(&network, &image, class).unwrap();
        let step = 0.02;
        let at = |by: f32| value(&network, changed(&image, place, by), "fc", class);
        let expected = (at(step) - at(-step)) / (2.0 * f64::from(step));
        let found = f64::from(gradient.as_slice().unwrap()[place]);
        prop_assert!((found - expected).abs() < 1e-4 + 0.01 * expected.abs(), "{found} {expected}");
    }

    #[test]
    fn the_gradient_of_a_value_of_a_layer(seed in 0u64..100, row in 0usize..4, column in 0usize..4, channel in 0usize..3) {
        let network = smooth(seed);
        let image = image(seed);
        let gradient = response_gradient(&network, &image, "c2", [row, column, channel]).unwrap();
        let index = (row * 4 + column) * 3 + channel;
        let field = ReceptiveField::of(network.model(), "c2").unwrap().window(row, column);
        let inside = |y: usize, x: usize| {
            (field.top..field.top + field.height).contains(&y) && (field.left..field.left + field.width).contains(&x)
        };
        for ((y, x, _), &v) in gradient.indexed_iter() {
            prop_assert!(v == 0.0 || inside(y, x), "{y} {x} {field:?}");
        }
        // The window is no larger than it must be.
        let last = [field.top + field.height - 1, field.left + field.width - 1];
        prop_assert!(gradient[[field.top, field.left, 0]] != 0.0 && gradient[[last[0], last[1], 0]] != 0.0);
        let place = (field.top * CROP + field.left) * 3;
        let step = 0.02;
        let at = |by: f32| value(&network, changed(&image, place, by), "c2", index);
        let expected = (at(step) - at(-step)) / (2.0 * f64::from(step));
        let found = f64::from(gradient.as_slice().unwrap()[place]);
        prop_assert!((found - expected).abs() < 1e-4 + 0.01 * expected.abs(), "{found} {expected}");
    }

    #[test]
    fn occlusion_is_one_image_after_another(
        seed in 0u64..100, class in 0usize..3, size in 1usize..13, stride in 1usize..6, batch in 1usize..9,
    ) {
        let network = smooth(seed);
        let image = image(seed);
        let map = occlusion(&network, &image, class, &Occlusion { size, stride, batch }).unwrap();
        let probability = |values: &[f32]| {
            let x = Tensor::from_slice(&Cpu::new(1).unwrap(), &[1, CROP, CROP, 3], values).unwrap();
            let logits = network.predict(x).unwrap().to_vec().unwrap();
            let sum: f64 = logits.iter().map(|&v| f64::from(v).exp()).sum();
            f64::from(logits[class]).exp() / sum
        };
        let whole = image.to_vec().unwrap();
        let before = probability(&whole);
        prop_assert!((f64::from(map.probability) - before).abs() < 1e-5);
        let mut places: Vec<usize> = (0..=CROP - size).filter(|p| p % stride == 0).collect();
        if places.last() != Some(&(CROP - size)) {
            places.push(CROP - size);
        }
        prop_assert_eq!(map.falls.dim(), (places.len(), places.len()));
        let mut sum = Array2::<f64>::zeros((CROP, CROP));
        let mut count = Array2::<f64>::zeros((CROP, CROP));
        for (row, &top) in places.iter().enumerate() {
            for (column, &left) in places.iter().enumerate() {
                let mut hidden = whole.clone();
                for y in top..top + size {
                    for x in left..left + size {
                        for c in 0..3 {
                            hidden[(y * CROP + x) * 3 + c] = 0.0;
                        }
                    }
                }
                let fall = before - probability(&hidden);
                prop_assert!((f64::from(map.falls[[row, column]]) - fall).abs() < 1e-5);
                sum.slice_mut(s![top..top + size, left..left + size]).mapv_inplace(|v| v + fall);
                count.slice_mut(s![top..top + size, left..left + size]).mapv_inplace(|v| v + 1.0);
            }
        }
        for ((y, x), &found) in map.pixels.indexed_iter() {
            let expected = if count[[y, x]] > 0.0 { sum[[y, x]] / count[[y, x]] } else { 0.0 };
            prop_assert!((f64::from(found) - expected).abs() < 1e-5, "{y} {x}: {found} {expected}");
        }
    }

    #[test]
    fn the_strongest_are_those_of_a_full_sort(
        values in prop::collection::vec(0u8..5, 5 * 2 * 3 * 2), each in 0usize..5, split in 0usize..6,
    ) {
        let maps = Array4::from_shape_vec((5, 2, 3, 2), values.iter().map(|&v| f32::from(v)).collect()).unwrap();
        let mut strongest = StrongestResponses::new(2, each);
        let images: Vec<u64> = (10..15).collect();
        let split = split.min(5);
        // In any order of the batches.
        strongest.add(&images[split..], maps.slice(s![split.., .., .., ..]));
        strongest.add(&images[..split], maps.slice(s![..split, .., .., ..]));
        for kernel in 0..2 {
            let mut all: Vec<Response> = Vec::new();
            for (number, &image) in images.iter().enumerate() {
                let mut best: Option<Response> = None;
                for row in 0..2 {
                    for column in 0..3 {
                        let value = maps[[number, row, column, kernel]];
                        if best.is_none_or(|best| value > best.value) {
                            best = Some(Response { value, image, row, column });
                        }
                    }
                }
                all.extend(best);
            }
            all.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.image.cmp(&b.image)));
            all.truncate(each);
            prop_assert_eq!(strongest.of(kernel), &all[..]);
        }
    }

    #[test]
    fn upsampling_keeps_the_range(
        height in 1usize..6, width in 1usize..6, size in 1usize..20, values in prop::collection::vec(-3f32..3.0, 25),
    ) {
        let map = Array2::from_shape_fn((height, width), |(y, x)| values[y * 5 + x]);
        let large = upsample(&map, size);
        let low = map.iter().copied().fold(f32::INFINITY, f32::min);
        let high = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        prop_assert!(large.iter().all(|v| (low - 1e-5..=high + 1e-5).contains(v)));
        if height == size && width == size {
            prop_assert!(large.iter().zip(&map).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }
}

/// Of a network that ends in the mean of its maps, the weights of Grad-CAM are those of its last layer (section 3.1).
#[test]
fn grad_cam_of_averaged_maps_has_the_weights_of_the_last_layer() {
    let layers = [
        layer("c1", "kind = \"conv\"\nfilters = 5\nkernel = 3\nstride = 2"),
        layer("r1", "kind = \"relu\""),
        layer("mean", "kind = \"global-average-pool\""),
        layer("fc", "kind = \"linear\"\nunits = \"classes\""),
    ];
    let network = network(&layers.concat(), 4);
    let image = image(3);
    let maps = network.activations(image.clone(), "r1").unwrap().to_array().unwrap();
    let weights: ArrayD<f32> =
        network.parameters().iter().find(|p| p.spec.name == "fc.weight").unwrap().value.to_array().unwrap();
    let mut positive = 0;
    for class in 0..3 {
        let map = grad_cam(&network, &image, class, last_convolution(network.model()).unwrap()).unwrap();
        assert_eq!(map.dim(), (5, 5));
        for ((row, column), &found) in map.indexed_iter() {
            let sum: f32 = (0..5).map(|c| weights[[class, c]] * maps[[0, row, column, c]]).sum();
            let expected = (sum / 25.0).max(0.0);
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            positive += usize::from(found > 0.0);
        }
    }
    assert!(positive > 0);
}

#[test]
fn without_noise_smooth_grad_is_the_gradient() {
    let network = smooth(5);
    let image = image(5);
    let plain = input_gradient(&network, &image, 1).unwrap();
    let settings = SmoothGrad { samples: 5, deviation: 0.0, batch: 2, seed: 1 };
    let same = smooth_grad(&network, &image, 1, &settings).unwrap();
    assert!(plain.iter().zip(&same).all(|(a, b)| (a - b).abs() < 1e-5));
    let noisy = |seed: u64, batch: usize| {
        smooth_grad(&network, &image, 1, &SmoothGrad { samples: 6, deviation: 0.3, batch, seed }).unwrap()
    };
    assert!(noisy(1, 2).iter().zip(&noisy(1, 6)).all(|(a, b)| (a - b).abs() < 1e-5));
    assert!(noisy(1, 2).iter().zip(&noisy(2, 2)).any(|(a, b)| (a - b).abs() > 1e-4));
    let largest = plain.map(|v| v.abs());
    let map = saliency(&plain);
    assert_eq!(map[[3, 4]], largest[[3, 4, 0]].max(largest[[3, 4, 1]]).max(largest[[3, 4, 2]]));
}

#[test]
fn bad_settings_are_errors() {
    let network = smooth(1);
    let image = image(1);
    let class = input_gradient(&network, &image, 3).unwrap_err();
    assert!(matches!(class, Error::Class { class: 3, classes: 3 }), "{class}");
    let message = grad_cam(&network, &image, 0, "fc").unwrap_err().to_string();
    assert!(message.contains("\"fc\"") && message.contains("no maps"), "{message}");
    let message = grad_cam(&network, &image, 0, "conv9").unwrap_err().to_string();
    assert!(message.contains("conv9") && message.contains("c2"), "{message}");
    let size = Occlusion { size: 13, stride: 1, batch: 1 };
    let message = occlusion(&network, &image, 0, &size).unwrap_err().to_string();
    assert!(message.contains("size: expected 1 to 12, got 13"), "{message}");
    let message = smooth_grad(&network, &image, 0, &SmoothGrad { samples: 0, ..Default::default() }).unwrap_err();
    assert!(message.to_string().contains("samples"), "{message}");
    let message = response_gradient(&network, &image, "c2", [4, 0, 0]).unwrap_err().to_string();
    assert!(message.contains("[4, 0, 0]") && message.contains("[4, 4, 3]"), "{message}");
}

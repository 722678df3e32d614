//! Means that a user gives.

use std::fs;

use alexnet_train::load::Loaded;
use alexnet_train::run::Run;
use alexnet_train::trainer::Trainer;
use alexnet_train::{PackMeans, input, mean};
use data::Mean as Subtracted;
use layers::model::Mean;
use layers::weights::Weights;
use layers::{Model, Network};
use ndarray::Array3;
use tensor::Cpu;

use crate::support::{World, bits, train_until};

/// An `.npy` file of f4 in C order.
fn npy(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let shape: Vec<String> = shape.iter().map(|n| format!("{n},")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", shape.join(" "));
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

#[test]
fn a_mean_has_many_forms() {
    let world = World::new();
    let given = |text: &str| mean::load(text).unwrap();
    assert_eq!(given("imagenet").rgb, Some([123.68, 116.779, 103.939]));
    assert_eq!(given(" 1, 2.5 ,255").rgb, Some([1.0, 2.5, 255.0]));
    assert_eq!(given("0,0,0").rgb, Some([0.0; 3]));
    let of_pack = PackMeans::of(&world.packs.train);
    let pack = given(world.path("train.pack").to_str().unwrap());
    assert_eq!((pack.rgb, &pack.image), (of_pack.rgb, &of_pack.image));

    // Caffe's: channels first, blue first.
    let planes: Vec<f32> = [10.0, 20.0, 30.0].iter().flat_map(|v| [*v; 100]).collect();
    fs::write(world.path("mean.npy"), npy(&[3, 10, 10], &planes)).unwrap();
    let image = given(world.path("mean.npy").to_str().unwrap());
    assert_eq!(image.rgb, Some([30.0, 20.0, 10.0]));
    assert_eq!(image.image.unwrap()[[3, 4, 0]], 30.0);

    let mut trainer = world.start("run", "[run]\nepochs = 1");
    train_until(&mut trainer, u64::MAX).unwrap();
    assert_eq!(given(world.path("run").to_str().unwrap()).image, of_pack.image);
    let weights = alexnet_train::load::weights(&world.path("run"), None, &mut |_| {}).unwrap().weights;
    for name in ["mean.pt", "mean.onnx", "mean.safetensors", "mean.h5"] {
        alexnet_train::formats::save(&world.path(name), &weights, None).unwrap();
        assert_eq!(given(world.path(name).to_str().unwrap()).image, of_pack.image, "{name}");
    }
    // Keras lacks a layer of the network; a mean that is a setting is taken too.
    let mut model = world.model();
    model.layers.retain(|layer| layer.kind.name() != "lrn");
    model.input.mean = Mean::Rgb([10.0, 20.0, 30.0].map(|value: f64| value * model.input.scale));
    let network = Network::new(&Cpu::<f32>::new(1).unwrap(), &model, 1).unwrap();
    let weights = Weights { model: Some(model), ..Weights::of(&network).unwrap() };
    alexnet_train::formats::save(&world.path("mean.keras"), &weights, None).unwrap();
    let colour = given(world.path("mean.keras").to_str().unwrap()).rgb.unwrap();
    assert!(colour.iter().zip([10.0, 20.0, 30.0]).all(|(found, expected)| (found - expected).abs() < 1e-4));
}

#[test]
fn what_is_no_mean_is_refused_with_the_forms() {
    let world = World::new();
    fs::write(world.path("broken.npy"), b"\x93NUMPY\x01\x00").unwrap();
    let model = world.model();
    let network = Network::new(&Cpu::<f32>::new(1).unwrap(), &model, 1).unwrap();
    Weights { model: Some(model), ..Weights::of(&network).unwrap() }.save(&world.path("w.h5")).unwrap();
    for (text, expected) in [
        ("imagenett".to_string(), "data.mean: imagenett: there is no such file; expected imagenet, a colour R,G,B"),
        ("1,2".to_string(), "1,2: there is no such file; expected imagenet"),
        ("1,2,x".to_string(), "there is no such file"),
        ("1,2,256".to_string(), "the values of a colour are from 0 to 255, got 1,2,256"),
        ("-1,2,6".to_string(), "from 0 to 255"),
        ("nan,2,6".to_string(), "from 0 to 255"),
        ("0.485,0.456,0.406".to_string(), "expected 0 to 255: 123.68,116.28,103.53"),
        (world.path("broken.npy").display().to_string(), "broken.npy: "),
        (world.path("w.h5").display().to_string(), "w.h5: has no mean; expected imagenet"),
        (world.path("").display().to_string(), "not a run"),
    ] {
        let error = mean::load(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_colour_is_a_constant_image_and_an_image_has_a_colour() {
    let mut input = Model::preset("caffe").unwrap().input;
    let colour = [10.0, 20.0, 30.0];
    let means = PackMeans::of_colour(colour).for_input(&input);
    let normal = input::crop_and_normalize(&input, &means, input.size).unwrap();
    let Subtracted::Image(image) = normal.mean else { panic!("{:?}", normal.mean) };
    assert_eq!(image.dim(), (256, 256, 3));
    assert!(image.indexed_iter().all(|((.., channel), value)| *value == colour[channel]));

    input.mean = Mean::PackRgb;
    let image = Array3::from_shape_fn((4, 2, 3), |(row, _, channel)| (row + 10 * channel) as f32);
    let means = PackMeans { rgb: None, image: Some(image) }.for_input(&input);
    let normal = input::crop_and_normalize(&input, &means, 256).unwrap();
    assert!(matches!(normal.mean, Subtracted::Rgb([1.5, 11.5, 21.5])), "{:?}", normal.mean);
}

#[test]
fn weights_take_a_mean_that_their_network_needs() {
    let loaded = |preset: &str| {
        let model = Some(Model::preset(preset).unwrap());
        Loaded::new("w.h5".into(), Weights { model, ..Weights::default() })
    };
    let mut caffe = loaded("caffe");
    let input = caffe.weights.model.as_ref().unwrap().input.clone();
    let error = input::crop_and_normalize(&input, &caffe.means(), 256).unwrap_err().to_string();
    assert!(error.contains("subtracts the mean image of the images it was trained on"), "{error}");
    assert!(error.ends_with("give a mean: imagenet, a colour R,G,B, an image in .npy or .binaryproto, a pack, or weights that have a mean"), "{error}");
    caffe.set_means(mean::load("imagenet").unwrap()).unwrap();
    assert_eq!(caffe.weights.mean_image.as_ref().unwrap().dim(), (256, 256, 3));
    input::crop_and_normalize(&input, &caffe.means(), 256).unwrap();

    let small = PackMeans::of_image(Array3::from_elem((224, 224, 3), 7.0));
    let error = caffe.set_means(small).unwrap_err().to_string();
    assert!(error.contains(
        "the mean image is 224 x 224, the images are 256 x 256 (a colour fits all sizes; this image's is 7.000,"
    ));

    for (preset, expected) in [("one-weird-trick", "a mean of its own (its input.mean is [0.485"), ("keras", "none")] {
        let error = loaded(preset).set_means(mean::load("imagenet").unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("data.mean: has no effect: ") && error.contains(expected), "{error}");
    }
}

/// A run keeps its mean in its checkpoints: the file may be gone when it is resumed.
#[test]
fn a_run_with_a_mean_of_its_own_resumes_exactly() {
    let world = World::new();
    let path = world.path("mean.npy");
    let values: Vec<f32> = (0..300).map(|i| (i % 200) as f32).collect();
    fs::write(&path, npy(&[10, 10, 3], &values)).unwrap();
    let more = format!("data.mean = '{}'", path.display());
    let mut whole = world.start("whole", &more);
    let image = Array3::from_shape_vec((10, 10, 3), values).unwrap();
    assert_eq!(whole.means().image.as_ref(), Some(&image));
    train_until(&mut whole, u64::MAX).unwrap();
    train_until(&mut world.start("stopped", &more), 5).unwrap_err();
    fs::remove_file(&path).unwrap();
    let mut resumed = world.resume("stopped", 1);
    train_until(&mut resumed, u64::MAX).unwrap();
    assert_eq!(bits(&resumed), bits(&whole));
    let mut other = world.start("other", "");
    train_until(&mut other, u64::MAX).unwrap();
    assert_ne!(bits(&other), bits(&whole));
}

#[test]
fn a_mean_without_an_effect_is_refused() {
    let world = World::new();
    let mut model = world.model();
    model.input.mean = Mean::None;
    let config = world.config("data.mean = 'imagenet'");
    let error = Trainer::<Cpu<f32>>::check(&config, &model, &world.packs).unwrap_err().to_string();
    assert!(error.contains("the network subtracts no mean"), "{error}");
    let run = Run::create(&world.path("run"), &config, &model).unwrap();
    assert!(Trainer::new(run, &Cpu::<f32>::new(1).unwrap(), &model, world.packs.clone(), None).is_err());
}

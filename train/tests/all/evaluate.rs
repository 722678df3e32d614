//! Errors over a pack, one crop and ten.

use alexnet_train::evaluate::{Options, evaluate, probabilities};
use alexnet_train::input::crop_and_normalize;
use alexnet_train::{Error, PackMeans, Stop};
use data::Views;
use tensor::Tensor;

use crate::support::{World, train_until};

fn options(world: &World, views: Views, batch: usize) -> Options {
    let input = crop_and_normalize(&world.model().input, &PackMeans::of(&world.packs.train), 10).unwrap();
    Options { input, views, batch, threads: 2 }
}

#[test]
fn a_trained_network_beats_chance_with_one_crop_and_ten() {
    let world = World::new();
    let mut trainer = world.start("run", "[run]\nepochs = 20\n[optim]\nschedule = 'constant'");
    train_until(&mut trainer, u64::MAX).unwrap();
    let val = world.packs.val.as_ref().unwrap();
    for views in [Views::Centre, Views::Ten] {
        let mut done = 0;
        let result =
            evaluate(trainer.network(), val, &options(&world, views, 4), &Stop::default(), |n| done = n).unwrap();
        assert_eq!((result.images, result.crops, done), (9, views.count(), 9));
        assert!(result.top1_error < 0.34, "{result:?}");
        assert_eq!(result.top5_error, 0.0);
        let other = evaluate(trainer.network(), val, &options(&world, views, 9), &Stop::default(), |_| ()).unwrap();
        assert!((other.loss - result.loss).abs() < 1e-6 && other.top1_error == result.top1_error);
    }
}

#[test]
fn ten_crops_average_the_softmax() {
    let world = World::new();
    let trainer = world.start("run", "");
    let val = world.packs.val.as_ref().unwrap();
    let input = options(&world, Views::Ten, 1).input;
    let square = val.pixels(0).unwrap();
    let ten = data::crop_image(&square, 10, &input, Views::Ten).unwrap();
    let ten = Tensor::from_array(trainer.network().device(), ten.view().into_dyn()).unwrap();
    let averaged = probabilities(trainer.network(), ten.clone(), Views::Ten).unwrap();
    let each = probabilities(trainer.network(), ten, Views::Centre).unwrap();
    assert_eq!((averaged.dim(), each.dim()), ((1, 3), (10, 3)));
    for class in 0..3 {
        let mean: f32 = each.column(class).sum() / 10.0;
        assert!((averaged[[0, class]] - mean).abs() < 1e-6);
    }
}

#[test]
fn a_signal_ends_it() {
    let world = World::new();
    let trainer = world.start("run", "");
    let stop = Stop::default();
    stop.request_by_signal(15);
    let val = world.packs.val.as_ref().unwrap();
    let ended = evaluate(trainer.network(), val, &options(&world, Views::Centre, 4), &stop, |_| ());
    assert!(matches!(ended, Err(Error::Stopped { signal: Some(15), .. })));
}

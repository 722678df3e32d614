//! Errors over a pack, one crop and ten.

use std::sync::Arc;

use alexnet_train::evaluate::{Member, Options, evaluate, predict_all, probabilities};
use alexnet_train::input::crop_and_normalize;
use alexnet_train::{Error, PackMeans, Stop};
use data::{Dataset, Views};
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

/// The probabilities of a dense network are the means over its positions.
#[test]
fn a_dense_evaluation_averages_all_positions() {
    let world = World::new();
    let trainer = world.start("run", "");
    let val = world.packs.val.as_ref().unwrap();
    let dense = trainer.network().dense(val.size()).unwrap();
    let input = crop_and_normalize(&dense.model().input, &PackMeans::of(&world.packs.train), val.size()).unwrap();
    let options = Options { input: input.clone(), views: Views::CentreMirrored, batch: 8, threads: 2 };
    let members = [Member { network: &dense, input: input.clone() }];
    let mut images = 0;
    predict_all(&members, Arc::clone(val) as Arc<dyn Dataset>, &options, &Stop::default(), |batch| {
        for (number, row) in batch.indices.iter().zip(batch.probabilities.rows()) {
            images += 1;
            let square = val.pixels(*number as usize).unwrap();
            let both = data::crop_image(&square, val.size(), &input, Views::CentreMirrored).unwrap();
            let both = Tensor::from_array(dense.device(), both.view().into_dyn()).unwrap();
            let logits = dense.predict(both).unwrap().to_array().unwrap();
            assert!(logits.shape()[1] > 1, "{:?}", logits.shape());
            let positions = logits.len() as f64 / 3.0;
            let mut mean = [0.0; 3];
            for position in logits.rows() {
                let sum: f64 = position.iter().map(|&v| f64::from(v).exp()).sum();
                for (mean, &v) in mean.iter_mut().zip(position) {
                    *mean += f64::from(v).exp() / sum / positions;
                }
            }
            assert!(row.iter().zip(mean).all(|(&a, b)| (f64::from(a) - b).abs() < 1e-5), "{row} {mean:?}");
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(images, 9);
}

/// The errors over a pack are the counts of images whose label has another rank among its probabilities, image by image.
#[test]
fn errors_over_a_pack_are_a_plain_count() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    train_until(&mut trainer, 6).unwrap_err();
    let val = world.packs.val.as_ref().unwrap();
    let options = options(&world, Views::Ten, 4);
    let result = evaluate(trainer.network(), val, &options, &Stop::default(), |_| ()).unwrap();
    let mut wrong = 0;
    let mut loss = 0.0;
    for number in 0..val.len() {
        let crops = data::crop_image(&val.pixels(number).unwrap(), 10, &options.input, Views::Ten).unwrap();
        let crops = Tensor::from_array(trainer.network().device(), crops.view().into_dyn()).unwrap();
        let row = probabilities(trainer.network(), crops, Views::Ten).unwrap();
        let p = row[[0, val.label(number) as usize]];
        wrong += usize::from(row.iter().any(|other| *other > p));
        loss -= f64::from(p).ln();
    }
    let images = val.len() as f64;
    assert_eq!((result.top1_error, result.top5_error), (wrong as f64 / images, 0.0));
    assert!((result.loss - loss / images).abs() < 1e-5, "{} for {}", result.loss, loss / images);
}

/// A batch counts crops, so that ten of an image take no more memory than ten images with one; each image comes once.
#[test]
fn batches_are_bounded_in_crops() {
    let world = World::new();
    let trainer = world.start("run", "");
    let val = world.packs.val.as_ref().unwrap();
    for (views, batch, expected) in
        [(Views::Centre, 4, vec![4, 4, 1]), (Views::Ten, 40, vec![4, 4, 1]), (Views::Ten, 3, vec![1; 9])]
    {
        let options = options(&world, views, batch);
        let members = [Member { network: trainer.network(), input: options.input.clone() }];
        let mut sizes = Vec::new();
        let mut indices = Vec::new();
        predict_all(&members, val.clone(), &options, &Stop::default(), |batch| {
            sizes.push(batch.labels.len());
            indices.extend_from_slice(batch.indices);
            Ok(())
        })
        .unwrap();
        assert_eq!((sizes, indices), (expected, (0..9).collect::<Vec<u64>>()));
    }
    let none: [Member<'_, tensor::Cpu<f32>>; 0] = [];
    let options = options(&world, Views::Centre, 4);
    assert!(predict_all(&none, val.clone(), &options, &Stop::default(), |_| Ok(())).is_err());
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

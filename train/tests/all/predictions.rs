//! Files of predictions.

use std::sync::Arc;

use alexnet_train::evaluate::{Member, Options, predict_all};
use alexnet_train::input::crop_and_normalize;
use alexnet_train::{Error, PackMeans, PredictionsFile, Result, Stop};
use data::{Dataset, Views};
use hdf5::types::VarLenUnicode;
use ndarray::Array2;

use crate::support::World;

/// Writes the predictions of an untrained network for the validation pack, in batches of 4.
fn write(world: &World, name: &str, fail_at: Option<usize>) -> Result<Array2<f32>> {
    let trainer = world.start(&format!("run of {name}, {fail_at:?}"), "");
    let pack = Arc::clone(world.packs.val.as_ref().unwrap());
    let input = crop_and_normalize(&world.model().input, &PackMeans::of(&world.packs.train), 10)?;
    let options = Options { input: input.clone(), views: Views::Centre, batch: 4, threads: 1 };
    let members = [Member { network: trainer.network(), input }];
    let mut file = PredictionsFile::create(&world.path(name), pack.len(), &["a".into(), "b".into()], 3)?;
    let mut all = Array2::zeros((0, 3));
    predict_all(&members, pack.clone(), &options, &Stop::default(), |batch| {
        if fail_at == Some(all.nrows()) {
            return Err(Error::setting("test", "stops here"));
        }
        file.append(&*pack, &batch)?;
        all.append(ndarray::Axis(0), batch.probabilities.view()).unwrap();
        Ok(())
    })?;
    file.finish()?;
    Ok(all)
}

#[test]
fn hdf5_holds_what_was_predicted() {
    let world = World::new();
    let expected = write(&world, "p.h5", None).unwrap();
    let val = world.packs.val.as_ref().unwrap();
    assert_eq!(expected.nrows(), 9);
    let file = hdf5::File::open(world.path("p.h5")).unwrap();
    assert_eq!(file.dataset("probabilities").unwrap().read_2d::<f32>().unwrap(), expected);
    let labels: Vec<u32> = file.dataset("labels").unwrap().read_raw().unwrap();
    assert_eq!(labels, (0..9).map(|index| val.label(index)).collect::<Vec<_>>());
    let names: Vec<VarLenUnicode> = file.dataset("names").unwrap().read_raw().unwrap();
    assert_eq!(names[8].as_str(), Dataset::name(&**val, 8));
    let classes: Vec<VarLenUnicode> = file.dataset("classes").unwrap().read_raw().unwrap();
    assert_eq!(classes.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["a", "b", "2"]);
    let predicted: Vec<u32> = file.dataset("predicted").unwrap().read_raw().unwrap();
    for (row, class) in expected.rows().into_iter().zip(predicted) {
        assert!(row.iter().all(|value| *value <= row[class as usize]));
    }
}

/// An old file is kept until the new one is complete.
#[test]
fn a_failure_leaves_the_old_file() {
    let world = World::new();
    for name in ["p.csv", "p.h5"] {
        std::fs::write(world.path(name), "old").unwrap();
        write(&world, name, Some(4)).unwrap_err();
        assert_eq!(std::fs::read_to_string(world.path(name)).unwrap(), "old");
        write(&world, name, None).unwrap();
        assert!(std::fs::read(world.path(name)).unwrap().len() > 300);
    }
    assert!(PredictionsFile::check_name(&world.path("p.txt")).is_err());
}

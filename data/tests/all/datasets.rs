//! Small versions of CIFAR, MNIST and HDF5 as distributed; and JPEGs stored as is.

use std::fs;
use std::io::Write;

use alexnet_data::{PackOptions, Split, Storage, pack};
use flate2::Compression;
use flate2::write::GzEncoder;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use proptest::prelude::*;

use crate::common::{Bytes, Setting, failure, image, jpeg, packed, packed_with, square, write};

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn what_is_packed_comes_back(
        records in prop::collection::vec((0..10u8, prop::collection::vec(any::<u8>(), 3072)), 1..8),
        per_shard in 1..4u64,
    ) {
        let setting = Setting::new();
        let bytes: Bytes = records.iter().flat_map(|(label, planes)| [&[*label], planes.as_slice()].concat()).collect();
        let source = write(&setting, "test_batch.bin", &bytes);
        let pack = packed_with(&setting, &source, |o| PackOptions { shard_bytes: per_shard * 3072, ..o });
        prop_assert_eq!((pack.len(), pack.shards()), (records.len(), records.len().div_ceil(per_shard as usize)));
        for (index, (label, planes)) in records.iter().enumerate() {
            let pixels: Bytes = (0..1024).flat_map(|at| [0, 1, 2].map(|c| planes[c * 1024 + at])).collect();
            prop_assert_eq!(pack.label(index), u32::from(*label));
            prop_assert!(*pack.pixels(index).unwrap() == pixels);
        }
    }
}

/// An image of 32 x 32 as CIFAR's planes, and as pixels.
fn cifar_record(seed: u32) -> (Bytes, Bytes) {
    let pixels = image(32, 32, seed).into_raw();
    let planes = (0..3).flat_map(|c| pixels.iter().skip(c).step_by(3).copied().collect::<Bytes>()).collect();
    (planes, pixels)
}

#[test]
fn cifar_is_stored_to_the_pixel() {
    let setting = Setting::new();
    let records = |range: std::ops::Range<u32>, head: &dyn Fn(u32) -> Bytes| -> Bytes {
        range.flat_map(|i| [head(i), cifar_record(i).0].concat()).collect()
    };
    let ten = |i: u32| vec![(i * 7 % 10) as u8];
    write(&setting, "ten/data_batch_1.bin", &records(0..6, &ten));
    write(&setting, "ten/data_batch_2.bin", &records(6..9, &ten));
    write(&setting, "ten/test_batch.bin", &records(9..13, &ten));
    write(&setting, "ten/batches.meta.txt", b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
    let train = packed(&setting, &setting.path("ten"));
    assert_eq!((train.len(), train.classes().len(), train.name(6).as_str()), (9, 10, "data_batch_2.bin/00000"));
    for i in 0..9 {
        assert_eq!(
            (train.label(i as usize), train.pixels(i as usize).unwrap().to_vec()),
            (i * 7 % 10, cifar_record(i).1)
        );
    }
    let test = packed_with(&setting, &setting.path("ten"), |o| PackOptions { split: Split::Test, ..o });
    assert_eq!((test.len(), test.label(0), test.classes()[3].as_str()), (4, 3, "d"));
    assert_eq!(packed(&setting, &setting.path("ten/test_batch.bin")).fingerprint(), test.fingerprint());

    let hundred = |i: u32| vec![3, (i * 31 % 100) as u8];
    write(&setting, "hundred/train.bin", &records(0..5, &hundred));
    let pack = packed(&setting, &setting.path("hundred"));
    assert_eq!(pack.classes().len(), 100);
    assert_eq!((0..5).map(|i| pack.label(i)).collect::<Vec<_>>(), [0, 31, 62, 93, 24]);
    assert_eq!(pack.pixels(4).unwrap(), cifar_record(4).1);

    let error = failure(&setting, &setting.path("hundred"), |o| PackOptions { split: Split::Test, ..o });
    assert!(error.contains("expected test_batch.bin (CIFAR-10) or test.bin (CIFAR-100)"), "{error}");
    write(&setting, "ten/data_batch_1.bin", &records(0..6, &ten)[..9000]);
    let error = failure(&setting, &setting.path("ten"), |o| o);
    assert!(error.contains("data_batch_1.bin: 9000 bytes; expected a multiple of 3073"), "{error}");
    write(&setting, "ten/data_batch_1.bin", &records(0..2, &|_| vec![10]));
    let error = failure(&setting, &setting.path("ten"), |o| o);
    assert!(error.contains("record 0 at offset 0: the label 10, expected 0 to 9"), "{error}");
}

fn idx(shape: &[u32], values: &[u8]) -> Bytes {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|axis| bytes.extend(axis.to_be_bytes()));
    [bytes, values.to_vec()].concat()
}

fn gzipped(bytes: &[u8]) -> Bytes {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn idx_files_are_stored_to_the_pixel() {
    let setting = Setting::new();
    let values: Bytes = (0..6 * 28 * 28u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let images = idx(&[6, 28, 28], &values);
    let labels = idx(&[6], &[3, 0, 4, 9, 1, 2]);
    write(&setting, "plain/train-images-idx3-ubyte", &images);
    write(&setting, "plain/train-labels-idx1-ubyte", &labels);
    write(&setting, "gz/train-images-idx3-ubyte.gz", &gzipped(&images));
    write(&setting, "gz/train-labels-idx1-ubyte.gz", &gzipped(&labels));
    write(&setting, "gz/t10k-images-idx3-ubyte.gz", &gzipped(&idx(&[2, 28, 28], &values[..1568])));
    write(&setting, "gz/t10k-labels-idx1-ubyte.gz", &gzipped(&idx(&[2], &[8, 9])));
    let grey: Bytes = values.iter().flat_map(|&v| [v; 3]).collect();
    let sized = |o| PackOptions { size: 28, ..o };
    for folder in ["plain", "gz"] {
        let pack = packed_with(&setting, &setting.path(folder), sized);
        assert_eq!((pack.len(), pack.classes().len(), pack.label(3)), (6, 10, 9));
        for i in 0..6 {
            assert!(*pack.pixels(i).unwrap() == grey[i * 2352..(i + 1) * 2352]);
        }
    }
    let test = packed_with(&setting, &setting.path("gz"), |o| PackOptions { split: Split::Test, ..sized(o) });
    assert_eq!((test.len(), test.label(1)), (2, 9));
    assert_eq!(packed_with(&setting, &setting.path("gz/train-images-idx3-ubyte.gz"), sized).len(), 6);
    // Another size is noted.
    let options = PackOptions { size: 32, ..PackOptions::new(setting.path("plain"), setting.path("o.pack")) };
    assert_eq!(
        pack(&options, |_| ()).unwrap().notes,
        ["the images are 28 x 28, stored as 32 x 32; a size of 28 keeps them", "4 classes have no image: 5, 6, 7, 8"]
    );

    let fails = |name: &str, bytes: &[u8]| {
        write(&setting, name, bytes);
        failure(&setting, setting.path(name).parent().unwrap(), |o| o)
    };
    let error = fails("plain/train-images-idx3-ubyte", &images[..3000]);
    assert!(error.contains("2984 bytes for the shape [6, 28, 28], expected 4704"), "{error}");
    let error = fails("gz/train-images-idx3-ubyte.gz", &gzipped(&images)[..1000]);
    assert!(error.contains("train-images-idx3-ubyte.gz: cut short or damaged"), "{error}");
    let error = fails("gz/train-images-idx3-ubyte.gz", &gzipped(&images[..3000]));
    assert!(error.contains("unpacks to fewer bytes than the 4704 of its header"), "{error}");
    let error = fails("gz/train-images-idx3-ubyte.gz", &gzipped(&idx(&[u32::MAX, 60_000, 60_000], &values)));
    assert!(error.contains("at most 1073741824 are; unpack it first"), "{error}");
    fs::remove_file(setting.path("gz/train-labels-idx1-ubyte.gz")).unwrap();
    let error = fails("gz/train-images-idx3-ubyte.gz", &gzipped(&images));
    assert!(error.contains("expected its labels beside it in train-labels-idx1-ubyte"), "{error}");
}

#[test]
fn hdf5_files_are_stored_to_the_pixel() {
    let setting = Setting::new();
    let values: Bytes = (0..5 * 32 * 32 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let write = |name: &str, shape: &[usize], chunk: Option<&[usize]>| {
        let file = hdf5::File::create(setting.path(name)).unwrap();
        let array = ndarray::ArrayD::from_shape_vec(shape, values[..shape.iter().product()].to_vec()).unwrap();
        let builder = file.new_dataset_builder().with_data(&array);
        match chunk {
            Some(chunk) => builder.chunk(chunk).create("images").unwrap(),
            None => builder.create("images").unwrap(),
        };
        file.new_dataset_builder().with_data(&[4i64, 0, 1, 1, 2][..]).create("labels").unwrap();
        file.close().unwrap();
        setting.path(name)
    };
    let last = packed(&setting, &write("last.h5", &[5, 32, 32, 3], Some(&[2, 32, 32, 3])));
    assert_eq!((last.len(), last.classes().len(), last.label(0)), (5, 5, 4));
    (0..5).for_each(|i| assert!(*last.pixels(i).unwrap() == values[i * 3072..(i + 1) * 3072]));
    let first = packed(&setting, &write("first.h5", &[5, 3, 32, 32], None));
    assert_eq!(first.pixels(1).unwrap()[..3], [values[3072], values[3072 + 1024], values[3072 + 2048]]);
    let grey = packed(&setting, &write("grey.h5", &[5, 32, 32], None));
    assert_eq!(grey.pixels(2).unwrap()[3..6], [values[2049]; 3]);
    // A shard of a pack is such a file.
    let shard = packed(&setting, &setting.path("last.h5.pack/shard-00000.h5"));
    assert!((0..5).all(|i| shard.pixels(i).unwrap() == last.pixels(i).unwrap() && shard.label(i) == last.label(i)));

    let error = failure(&setting, &write("odd.h5", &[5, 32, 12, 8], None), |o| o);
    assert!(error.contains("\"images\": the shape [5, 32, 12, 8]; expected [n, rows, columns]"), "{error}");
    let error = failure(&setting, &write("few.h5", &[4, 32, 32], None), |o| o);
    assert!(error.contains("\"labels\": the shape [5]; expected [4], a label for each image"), "{error}");
    hdf5::File::create(setting.path("none.h5")).unwrap().close().unwrap();
    let error = failure(&setting, &setting.path("none.h5"), |o| o);
    assert!(error.contains("expected the datasets \"images\" and \"labels\""), "{error}");
    let whole = fs::read(setting.path("last.h5")).unwrap();
    fs::write(setting.path("cut.h5"), &whole[..whole.len() / 2]).unwrap();
    let error = failure(&setting, &setting.path("cut.h5"), |o| o);
    assert!(error.contains("cut.h5: cannot be read as HDF5"), "{error}");
}

#[test]
fn jpegs_of_the_right_size_are_kept_as_they_are() {
    let setting = Setting::new();
    let fits = jpeg(32, 32, 5);
    let other = jpeg(33, 32, 5);
    write(&setting, "s/a/fits.jpg", &fits);
    write(&setting, "s/a/more.jpg", &[fits.clone(), vec![7; 99]].concat());
    write(&setting, "s/b/other.jpg", &other);
    write(&setting, "s/b/without-end.jpg", &fits[..fits.len() - 2]);
    let jpeg = |quality| move |o| PackOptions { storage: Storage::Jpeg { quality }, ..o };
    let pack = packed_with(&setting, &setting.path("s"), jpeg(60));
    assert!(pack.stored(0).unwrap() == fits && pack.stored(1).unwrap() == fits);
    assert_eq!(pack.pixels(0).unwrap(), square(&setting, &fits));
    // A JPEG without an end mark is encoded again.
    assert!(pack.stored(3).unwrap().ends_with(&[0xff, 0xd9]) && pack.stored(3).unwrap() != fits);
    let better = packed_with(&setting, &setting.path("s"), jpeg(95));
    assert!(better.stored(0).unwrap() == fits);
    assert!(better.stored(2).unwrap().len() > pack.stored(2).unwrap().len());
}

#[test]
fn kept_jpegs_of_several_scans_have_their_pixels() {
    let setting = Setting::new();
    let encoded = |is_progressive: bool| {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 90);
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        // A scan for each component.
        encoder.set_optimized_huffman_tables(!is_progressive);
        encoder.set_progressive(is_progressive);
        encoder.encode(image(32, 32, 9).as_raw(), 32, 32, ColorType::Rgb).unwrap();
        bytes
    };
    let files = [encoded(false), encoded(true)];
    assert!(files.iter().all(|file| file.windows(2).filter(|pair| *pair == [0xff, 0xda]).count() >= 3));
    write(&setting, "s/a/scans.jpg", &files[0]);
    write(&setting, "s/b/progressive.jpg", &files[1]);
    // Bytes that a decoder skips are not kept.
    write(&setting, "s/b/strays.jpg", &[&files[1][..2], b"strays", &files[1][2..]].concat());
    let pack =
        packed_with(&setting, &setting.path("s"), |o| PackOptions { storage: Storage::Jpeg { quality: 60 }, ..o });
    for (index, file) in files.iter().enumerate() {
        assert!(pack.stored(index).unwrap() == file);
        assert_eq!(pack.pixels(index).unwrap(), square(&setting, file));
    }
    assert_eq!(pack.pixels(0).unwrap(), pack.pixels(1).unwrap());
    assert!(pack.stored(2).unwrap() != files[1]);
}

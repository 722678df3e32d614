//! Axes of the output, and crops of images in host memory.

use alexnet_data::ndarray::Axis;
use alexnet_data::{
    Augment, CropAndNormalize, CropParams, HostImages, Layout, Loader, LoaderOptions, Mean, Shuffle, Views, crop_images,
};
use proptest::prelude::*;

use crate::{Noise, SIZE, Store};

/// Images in host memory.
#[derive(Debug)]
struct Images(Vec<Vec<u8>>);

impl HostImages for Images {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn image(&self, index: usize) -> &[u8] {
        &self.0[index]
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn channels_first_are_the_permuted_channels_last(
        n in 1..9usize, crop in 1..=SIZE, bgr: bool, ten: bool, threads in 1..4usize, seed: u64,
    ) {
        let input = CropAndNormalize {
            bgr,
            scale: 1.0 / 255.0,
            mean: Mean::Rgb([0.485, 0.456, 0.406]),
            deviation: Some([0.229, 0.224, 0.225]),
            ..CropAndNormalize::crop_only(crop)
        };
        let views = if ten { Views::Ten } else { Views::Centre };
        let augment = (!ten).then(|| Augment { random_crop: true, mirror: true, ..Augment::default() });
        let options =
            LoaderOptions { batch: 4, seed, threads, shuffle: Shuffle::Full, views, augment, ..LoaderOptions::default() };
        let last = Loader::new(Noise::new(Store::Memory, n), input.clone(), options.clone()).unwrap();
        let options = LoaderOptions { layout: Layout::Nchw, ..options };
        let first = Loader::new(Noise::new(Store::Memory, n), input.clone(), options).unwrap();
        for (a, b) in last.batches(0, 0).zip(first.batches(0, 0)) {
            let a = a.unwrap();
            let b = b.unwrap();
            let channels_last = last.crops(&a).unwrap();
            let channels_first = first.crops(&b).unwrap();
            prop_assert_eq!(channels_first.shape(), Layout::Nchw.shape(a.crops.len(), crop));
            prop_assert_eq!(&channels_first, &channels_last.permuted_axes([0, 3, 1, 2]));
            prop_assert!(channels_first.as_slice().is_some(), "not in standard layout");
            let mut values = vec![0.0; channels_first.len()];
            first.write_crops(&b, &mut values).unwrap();
            prop_assert_eq!(channels_first.as_slice(), Some(&values[..]));
            // The same by the function for images in host memory.
            let alone = crop_images(&*b.images, SIZE, &input, &b.crops, Layout::Nchw).unwrap();
            prop_assert_eq!(channels_first, alone);
        }
    }
}

#[test]
fn crops_that_do_not_fit_are_refused() {
    let images = Images(vec![vec![5; 48], vec![9; 48]]);
    let crop = |size, side, params: CropParams| {
        crop_images(&images, size, &CropAndNormalize::crop_only(side), &[params], Layout::Nhwc)
    };
    let values = crop(4, 2, CropParams::new(1, 2, 2, false)).unwrap();
    assert!(values.index_axis(Axis(0), 0).iter().all(|&v| v == 9.0));
    for params in [CropParams::new(2, 0, 0, false), CropParams::new(0, 3, 0, false), CropParams::new(0, 0, 3, true)] {
        let error = crop(4, 2, params).unwrap_err().to_string();
        assert!(error.starts_with("crops: expected crops of 2 within 2 images of 4 x 4, got CropParams"), "{error}");
    }
    let error = crop(5, 2, CropParams::new(0, 0, 0, false)).unwrap_err().to_string();
    assert_eq!(error, "image: expected 5 x 5 x 3 bytes, got 48 bytes");
    let error = crop(4, 5, CropParams::new(0, 0, 0, false)).unwrap_err().to_string();
    assert!(error.starts_with("crop: expected 1 to 4"), "{error}");
}

//! Counting, and downloading many tensors at once.

use alexnet_tensor::{IntTensor, Tensor, read_all};

use crate::compare::ints_on;
use crate::devices::Tested;

pub fn at_least<B: Tested>(device: &B) {
    for len in [0, 1, 7, 255, 256, 257, 1000] {
        let ranks: Vec<u32> = (0..len as u32).map(|i| i.wrapping_mul(2_654_435_761) >> 29).collect();
        for least in [0, 1, 5, 8] {
            let count = ints_on(device, &ranks).count_ge(least).expect("a launch");
            let expected = ranks.iter().filter(|&&rank| rank >= least).count() as u32;
            assert_eq!(count.to_vec().expect("a download"), [expected], "{len} ranks, at least {least}");
        }
    }
}

pub fn many_tensors_at_once<B: Tested>(device: &B) {
    let floats: Vec<Tensor<B>> =
        (0..5).map(|i| Tensor::full(device, &[i], 0.5 * i as f64).expect("a launch")).collect();
    let ints: Vec<IntTensor<B>> = (0..3u32).map(|i| ints_on(device, &[i, 7 * i])).collect();
    let (floats, ints) =
        read_all(&floats.iter().collect::<Vec<_>>(), &ints.iter().collect::<Vec<_>>()).expect("downloads");
    assert_eq!(floats, (0..5).map(|i| vec![0.5 * i as f32; i]).collect::<Vec<_>>());
    assert_eq!(ints, [[0, 0], [1, 7], [2, 14]]);
    let (none, _) = read_all::<B>(&[], &[]).expect("nothing");
    assert!(none.is_empty());
}

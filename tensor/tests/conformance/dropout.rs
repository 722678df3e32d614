//! Dropout: the masks are those of the host.

use alexnet_tensor::Tensor;
use alexnet_tensor::ops::{Dropout, DropoutScale};
use alexnet_tensor::random::{Stream, philox, purpose, to_uniform};

use crate::compare::{activations, assert_near, host, weights};
use crate::devices::Tested;
use crate::support::{cpu32, values};

/// Lengths of no values, of whole and partial vectors of each width, of whole and partial calls of the generator, and
/// of more than a block of threads.
const LENGTHS: [usize; 10] = [0, 1, 2, 3, 6, 8, 13, 1000, 70_001, 70_002];

fn spec(p: f64) -> Dropout {
    Dropout { p, scale: DropoutScale::InTraining }
}

pub fn masks_match_the_host<B: Tested>(device: &B) {
    for len in LENGTHS {
        for (p, seed, step) in [(0.5, 1, 0), (0.1, u64::MAX, 7), (0.0, 3, 1), (0.9, 1 << 40, u64::MAX - 5)] {
            let stream = Stream::new(seed, purpose::DROPOUT + 2, step);
            // No value is 0, so a 0 was dropped.
            let x: Vec<f64> = values(seed, len).iter().map(|v| v.abs() + 0.1).collect();
            let y = host(&activations(device, &[len], &x).dropout(&spec(p), stream).expect("a launch"));
            let expected: Vec<f64> =
                (0..len).map(|i| if stream.uniform(i as u64) >= p as f32 { x[i] / (1.0 - p) } else { 0.0 }).collect();
            let mask = |v: &[f64]| v.iter().map(|&v| v == 0.0).collect::<Vec<_>>();
            assert_eq!(mask(&y), mask(&expected), "len {len} p {p}");
            assert_near(&y, &expected, |i| expected[i], 2.0 * device.value_tolerance());
        }
    }
}

/// In every dtype, and so for every width of vectors, the mask is that of the CPU backend.
pub fn masks_do_not_depend_on_the_dtype<B: Tested>(device: &B) {
    let stream = Stream::new(9, purpose::DROPOUT, 4);
    let len = 4096;
    let ones = vec![1.0; len];
    let on_host = Tensor::full(cpu32(), &[len], 1.0).and_then(|x| x.dropout(&spec(0.5), stream)).expect("the CPU");
    for x in [activations(device, &[len], &ones), weights(device, &[len], &ones)] {
        let y = x.dropout(&spec(0.5), stream).expect("a launch");
        assert_eq!(y.to_vec().expect("values"), on_host.to_vec().expect("values"));
    }
    // NaN is dropped like other values, and stays NaN where it is kept.
    let y = host(&activations(device, &[len], &vec![f64::NAN; len]).dropout(&spec(0.5), stream).expect("a launch"));
    let kept = host(&activations(device, &[len], &ones).dropout(&spec(0.5), stream).expect("a launch"));
    assert!(y.iter().zip(&kept).all(|(y, &kept)| if kept == 0.0 { *y == 0.0 } else { y.is_nan() }));
}

/// The known answer of the authors' Random123 library for counter 0 and key 0, read from the mask: a value is kept
/// where p is the random number itself, and dropped where p is the next number above.
pub fn known_answers<B: Tested>(device: &B) {
    let words = philox([0; 4], [0; 2]);
    let stream = Stream { seed: 0, purpose: 0, step: 0 };
    assert_eq!(words, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    for (i, word) in words.into_iter().enumerate() {
        let p = to_uniform(word);
        for (p, kept) in [(p, true), (p + 1.0 / 16_777_216.0, false)] {
            let x = activations(device, &[5], &[1.0; 5]);
            let y = host(&x.dropout(&spec(f64::from(p)), stream).expect("a launch"));
            assert_eq!(y[i] != 0.0, kept, "word {i} with p = {p}");
        }
    }
}

//! Random tensors: a seed gives the same bits on every device.

use alexnet_tensor::Tensor;
use alexnet_tensor::random::{Stream, purpose};

use crate::devices::Tested;
use crate::support::cpu32;

pub fn values_match_the_host<B: Tested>(device: &B) {
    for len in [0, 1, 5, 40_003] {
        let stream = Stream::new(len as u64, purpose::INIT + 1, 2);
        let bits = |x: Vec<f32>| x.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let ours = Tensor::normal(device, &[len], 0.1, 0.01, stream).and_then(|t| t.to_vec()).expect("values");
        let hosts = Tensor::normal(cpu32(), &[len], 0.1, 0.01, stream).and_then(|t| t.to_vec()).expect("values");
        assert_eq!(bits(ours), bits(hosts));
        let ours = Tensor::uniform(device, &[len], -0.3, 0.2, stream).and_then(|t| t.to_vec()).expect("values");
        let hosts = Tensor::uniform(cpu32(), &[len], -0.3, 0.2, stream).and_then(|t| t.to_vec()).expect("values");
        assert_eq!(bits(ours), bits(hosts));
    }
}

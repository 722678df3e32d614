//! Philox 4x32-10 on the device: the words of [`crate::random`], bit for bit.

use cubecl::prelude::*;

use crate::random::{MULTIPLIERS, Stream, WEYL};

/// A [`Stream`] as a kernel argument: key and counter, without the number of the block.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct StreamArg {
    purpose: u32,
    step_low: u32,
    step_high: u32,
    seed_low: u32,
    seed_high: u32,
}

/// The kernel argument of a stream.
pub(crate) fn stream_arg<R: Runtime>(stream: Stream) -> StreamArgLaunch<R> {
    let Stream { seed, purpose, step } = stream;
    StreamArgLaunch::new(purpose, step as u32, (step >> 32) as u32, seed as u32, (seed >> 32) as u32)
}

#[cube]
impl StreamArg {
    /// Words `4 * block .. 4 * block + 4` of the stream.
    pub fn block(&self, block: u32) -> Sequence<u32> {
        philox(block, self.purpose, self.step_low, self.step_high, self.seed_low, self.seed_high)
    }
}

/// The ten rounds: four random words from a counter of four words under a key of two.
#[cube]
fn philox(a: u32, b: u32, c: u32, d: u32, key_a: u32, key_b: u32) -> Sequence<u32> {
    let mut a = a;
    let mut b = b;
    let mut c = c;
    let mut d = d;
    let mut key_a = key_a;
    let mut key_b = key_b;
    #[unroll]
    for _ in 0..10 {
        let high_a = a.mul_hi(MULTIPLIERS[0]);
        let low_a = a * MULTIPLIERS[0];
        let high_c = c.mul_hi(MULTIPLIERS[1]);
        let low_c = c * MULTIPLIERS[1];
        a = high_c ^ b ^ key_a;
        b = low_c;
        c = high_a ^ d ^ key_b;
        d = low_a;
        key_a += WEYL[0];
        key_b += WEYL[1];
    }
    let mut words = Sequence::<u32>::new();
    words.push(a);
    words.push(b);
    words.push(c);
    words.push(d);
    words
}

#[cfg(all(test, feature = "wgpu"))]
mod tests {
    use super::*;
    use crate::gpu::{Precision, runtime};
    use crate::{Device, random};

    #[cube(launch)]
    fn philox_kernel(inputs: &Array<u32>, outputs: &mut Array<u32>) {
        let i = ABSOLUTE_POS * 6;
        if ABSOLUTE_POS * 4 < outputs.len() {
            let words = philox(inputs[i], inputs[i + 1], inputs[i + 2], inputs[i + 3], inputs[i + 4], inputs[i + 5]);
            #[unroll]
            for k in 0..4 {
                outputs[ABSOLUTE_POS * 4 + k] = words[k];
            }
        }
    }

    /// The known answers of `random`'s test, and more words of the host.
    #[test]
    fn words_are_those_of_the_host() {
        let gpu = runtime::wgpu::open_software(Precision::F32).expect("Vulkan in software");
        let mut inputs = vec![[0; 6], [!0; 6]];
        inputs.push([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344, 0xa409_3822, 0x299f_31d0]);
        inputs.extend((0..100u32).map(|i| [i, 0x2000_0000, i * i, i << 20, !i, i.wrapping_mul(0x9E37_79B9)]));
        let (count, dim) = gpu.unit_grid(inputs.len());
        let x = gpu.upload_ints(inputs.as_flattened()).expect("an upload");
        let y = gpu.empty_ints(inputs.len() * 4);
        philox_kernel::launch(gpu.client(), count, dim, x.arg(), y.arg());
        let words = gpu.download_ints(&y).expect("the words");
        assert_eq!(words[..4], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(words[4..8], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(words[8..12], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
        for (&[a, b, c, d, e, f], words) in inputs.iter().zip(words.chunks(4)) {
            assert_eq!(words, random::philox([a, b, c, d], [e, f]));
        }
    }
}

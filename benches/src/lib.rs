//! Benchmarks. `RESULTS.md` has their results.
//!
//! - `alexnet bench train|predict|layers MODEL` measures a network on any device: images per second, and the time of
//!   each kernel of a training step as a fraction of the device's limits. The scripts below call it.
//! - `peers/compare.py` runs it and other frameworks in turn on the CPU and writes the table in `RESULTS.md`.
//! - `gpu.sh` does the same on an NVIDIA GPU and tests the kernels there; `build-gpu.sh` builds everything that it
//!   needs.
//! - `cargo bench -p alexnet-benches` compares kernels and networks on the CPU between changes.
//!
//! This crate has the shapes that the benchmarks share.

/// A convolution of the paper's network at one batch size.
pub struct ConvShape {
    /// The layer's name.
    pub name: &'static str,
    /// Height and width of the input.
    pub side: usize,
    /// Input channels.
    pub channels: usize,
    /// Kernels.
    pub filters: usize,
    /// Kernel height and width.
    pub kernel: usize,
    /// Steps between windows.
    pub stride: usize,
    /// Zeros on each side (conv1: on the right and below only).
    pub padding: usize,
    /// Groups.
    pub groups: usize,
}

impl ConvShape {
    /// Multiply-accumulates of one image, for outputs of `output` rows and columns.
    pub fn macs(&self, output: usize) -> u64 {
        let patch = self.kernel * self.kernel * self.channels / self.groups;
        (output * output * self.filters * patch) as u64
    }
}

/// The five convolutions of the paper (section 3.5).
pub const PAPER_CONVS: [ConvShape; 5] = [
    ConvShape { name: "conv1", side: 224, channels: 3, filters: 96, kernel: 11, stride: 4, padding: 3, groups: 1 },
    ConvShape { name: "conv2", side: 27, channels: 96, filters: 256, kernel: 5, stride: 1, padding: 2, groups: 2 },
    ConvShape { name: "conv3", side: 13, channels: 256, filters: 384, kernel: 3, stride: 1, padding: 1, groups: 1 },
    ConvShape { name: "conv4", side: 13, channels: 384, filters: 384, kernel: 3, stride: 1, padding: 1, groups: 2 },
    ConvShape { name: "conv5", side: 13, channels: 384, filters: 256, kernel: 3, stride: 1, padding: 1, groups: 2 },
];

#[cfg(test)]
mod tests {
    use super::PAPER_CONVS;

    /// In millions: 105.4, 223.9, 149.5, 112.1 and 74.8.
    #[test]
    fn macs_are_the_papers() {
        let macs: Vec<u64> =
            PAPER_CONVS.iter().zip([55, 27, 13, 13, 13]).map(|(conv, output)| conv.macs(output)).collect();
        assert_eq!(macs, [105_415_200, 223_948_800, 149_520_384, 112_140_288, 74_760_192]);
    }
}

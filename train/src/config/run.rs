//! Settings of a run's length, seed, device and checkpoints.

use super::setting::section;

/// Maximum number of epochs: times the batches of the largest possible pack, the number of steps does not overflow.
const MAX_EPOCHS: u64 = 1_000_000_000;

fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

section! {
    /// Length, seed, device and checkpoints
    run: RunConfig {
        /// Number of passes over the training images.
        #[range("in 1..=1000000000", |epochs| (1..=MAX_EPOCHS).contains(epochs))]
        #[resumable = true]
        epochs: u64 = 90,

        /// Number of steps, in place of epochs.
        #[default_text = "none"]
        #[range("at least 1", |steps| *steps != Some(0))]
        #[resumable = true]
        steps: Option<u64> = None,

        /// Batch size.
        #[range("at least 1", |batch| *batch > 0)]
        batch: usize = 128,

        /// Random seed of the initial weights, the order of the images, augmentation and dropout.
        seed: u64 = 1,

        /// Number of CPU threads for kernels; loading uses as many more.
        #[default_text = "all"]
        #[range("in 1..=1024", |threads| (1..=1024).contains(threads))]
        #[resumable = true]
        threads: usize = available_threads(),

        /// Device: `auto` (a GPU if there is one), `cpu`, `cuda[:N]` or `wgpu[:N]`; `run.toml` records the one used.
        #[resumable = true]
        device: String = "auto".into(),

        /// Number format of activations and matrix products: `f32`, `tf32` or `bf16`. Weights are `f32`.
        #[range("f32, tf32 or bf16", |precision| ["f32", "tf32", "bf16"].contains(&precision.as_str()))]
        #[resumable = true]
        precision: String = "f32".into(),

        /// Number of steps between additional checkpoints, besides those at the ends of epochs; 0: none.
        #[resumable = true]
        checkpoint_steps: u64 = 0,

        /// Number of newest checkpoints to keep; the best one is kept too.
        #[alias = "keep"]
        #[range("at least 1", |checkpoints| *checkpoints > 0)]
        #[resumable = true]
        keep_checkpoints: usize = 2,
    }
}

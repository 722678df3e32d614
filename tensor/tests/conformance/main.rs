//! One suite for every backend: each kernel against the same one in double precision on the CPU, which its own tests
//! hold against plain loops and finite differences.
//!
//! `cargo test --features vulkan` (or `wgpu`) runs it on the device that `ALEXNET_TEST_WGPU` names, by default Vulkan in
//! software; `--features cuda -- --include-ignored cuda` on the first NVIDIA GPU. With `ALEXNET_TEST_FULL=1` shapes are
//! those of the paper's network.

#[path = "../common/mod.rs"]
mod common;
#[path = "../support/mod.rs"]
mod support;

mod activation;
mod batch_norm;
mod compare;
mod conv2d;
mod count;
mod cross_entropy;
mod devices;
mod dropout;
mod elementwise;
mod linear;
mod local2d;
mod lrn;
mod lrn_pool;
mod pool;
mod prepare;
mod reduce;
mod sample;
mod update;

/// Instantiates each check for each backend of this build.
macro_rules! suite {
    ($($module:ident { $($check:ident),* $(,)? })*) => {
        mod cpu {
            $(mod $module { $(
                #[test]
                fn $check() {
                    crate::$module::$check(crate::devices::cpu());
                }
            )* })*
        }

        #[cfg(feature = "wgpu")]
        mod wgpu {
            $(mod $module { $(
                #[test]
                fn $check() {
                    crate::$module::$check(crate::devices::wgpu());
                }
            )* })*
        }

        #[cfg(feature = "cuda")]
        mod cuda {
            $(mod $module { $(
                #[test]
                #[ignore = "needs an NVIDIA GPU"]
                fn $check() {
                    for device in crate::devices::cuda() {
                        crate::$module::$check(device);
                    }
                }
            )* })*
        }
    };
}

suite! {
    activation { forward, backward, relu_and_bias }
    batch_norm { statistics, a_large_mean_keeps_the_variance, forward, backward, the_same_bits_again }
    conv2d { any_shape, channels, many_pixels, no_images, same_bits, of_the_paper }
    count { at_least, reading_at_once }
    cross_entropy { softmax, loss, gradient, rank, special_values, labels_beyond_the_classes, bits_repeat }
    dropout { masks_are_the_hosts, known_answers, bf16_or_not_the_mask_is_the_same }
    elementwise { binary, add_scaled, mul_add_scalar, in_place_means_owned }
    linear { transposes, layers, not_a_number, same_bits, of_the_paper }
    local2d { any_shape, channels, no_images, same_bits }
    lrn { across_channels, within_a_map, long_windows_and_rows, any_power, nothing, the_same_bits_again }
    lrn_pool { forward, backward, backward_through_a_relu, two_operations_give_the_same, the_same_bits_again }
    pool { maxima_and_positions, the_first_of_equals_and_nan, averages, gradients, nothing, the_same_bits_again }
    reduce { sum, sum_rows, sum_first, max_and_argmax, all_finite, bits_repeat }
    sample { values_are_the_hosts }
    update { sgd, adam, a_list_is_its_single_steps, shared_tensors_are_left_alone }
    prepare { forward, ten_views_of_one_image, nothing, uploads_ahead }
}

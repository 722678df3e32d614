//! One suite for every backend. It compares each kernel with the CPU's in double precision, which is tested against
//! plain loops and finite differences.
//!
//! `ALEXNET_SIMD=avx512-bf16` or `avx512` runs `bf16` on a CPU without its faster units.
//!
//! `cargo test --features vulkan` (or `wgpu`) runs it on the device that `ALEXNET_TEST_WGPU` names, by default Vulkan
//! in software; `--features cuda -- --include-ignored cuda` on the first NVIDIA GPU. `ALEXNET_TEST_FULL=1` adds the
//! shapes of the paper's network.

#[path = "../common/mod.rs"]
mod common;
#[path = "../support/mod.rs"]
mod support;

mod activation;
mod adaptive_pool;
mod batch_norm;
mod compare;
mod conv2d;
mod count;
mod crop_and_normalize;
mod cross_entropy;
mod devices;
mod dropout;
mod elementwise;
#[cfg(feature = "wgpu")]
mod handles;
mod linear;
mod local2d;
mod lrn;
mod lrn_pool;
mod pool;
mod reduce;
mod reduce_axes;
mod sample;
mod strided;
mod unary;
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

        mod cpu_bf16 {
            $(mod $module { $(
                #[test]
                fn $check() {
                    crate::$module::$check(crate::devices::cpu_bf16());
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
    adaptive_pool { averages, gradients, nothing }
    batch_norm { statistics, a_large_mean_keeps_the_variance, forward, backward, same_bits }
    conv2d { any_shape, channels, many_pixels, no_images, same_bits, layers_of_the_paper }
    count { at_least, many_tensors_at_once }
    crop_and_normalize { forward, ten_crops_of_one_image, empty_tensors, uploads_ahead }
    cross_entropy { softmax, loss, gradient, rank, special_values, invalid_labels, same_bits }
    dropout { masks_match_the_host, known_answers, masks_do_not_depend_on_the_dtype }
    elementwise { binary, quotients_and_masks, broadcasting, add_scaled, mul_add_scalar, in_place_copies_shared_tensors }
    linear { transposes, layers, relu_keeps_nan, same_bits, layers_of_the_paper }
    local2d { any_shape, channels, no_images, same_bits }
    lrn { across_channels, within_channels, long_windows_and_rows, any_power, empty_tensors, same_bits }
    lrn_pool { forward, backward, backward_through_a_relu, matches_the_two_operations, same_bits }
    pool { maxima_and_positions, the_first_of_equals_and_nan, averages, gradients, empty_tensors, same_bits }
    reduce { sum, sum_rows, sum_first, max_and_argmax, all_finite, same_bits }
    reduce_axes { any_axes, special_values, gradients, the_first_of_equals, log_softmax, same_bits }
    sample { values_match_the_host }
    strided { permutations, slices, concatenations, repetition }
    unary { values_of_functions, gradients, clamped, special_values }
    update { sgd, adam, a_list_equals_single_steps, shared_tensors_do_not_change }
}

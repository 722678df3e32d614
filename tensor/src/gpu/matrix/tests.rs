//! Tests that no tile changes a bit of the result. Loops stand in for matrix units, to test the code around them. The
//! conformance suite checks the results themselves.

use cubecl::wgpu::WgpuRuntime;

use super::tile::{Engine, Tile, tiles};
use super::{Gemm, OperandPrecision};
use crate::Device;
use crate::gpu::{Buffer, Dtype, Gpu, Precision, Tuning, conv2d, linear, local2d, runtime};
use crate::ops::Padding;
use crate::ops::conv2d::Geometry;
use crate::ops::linear::Product;
use crate::random::{Stream, purpose};

type Software = Gpu<WgpuRuntime>;

fn device() -> Software {
    runtime::wgpu::open_software(Precision::F32).expect("Debian's package mesa-vulkan-drivers has a device in software")
}

fn random_buffer(gpu: &Software, seed: u64, len: usize) -> Buffer {
    let stream = Stream::new(seed, purpose::USER, 0);
    let values: Vec<f32> = (0..len as u64).map(|i| 2.0 * stream.uniform(i) - 1.0).collect();
    gpu.upload(&values).expect("an upload")
}

fn bits(gpu: &Software, buffer: &Buffer) -> Vec<u32> {
    gpu.download(buffer).expect("a download").into_iter().map(f32::to_bits).collect()
}

/// Tiles of fragments that run in loops, with planes as large as this device's: one fragment per plane, several, both
/// depths, and a cube with fewer units than a line has vectors.
fn loop_tiles(gpu: &Software) -> Vec<Tile> {
    let plane = gpu.client().properties().hardware.plane_size_max;
    let tile = |m, n, k, planes, depth| Tile::fragments(m, n, k, planes, depth, plane, Engine::Loops);
    vec![
        tile(32, 32, 8, [2, 2], 8),
        tile(32, 32, 16, [2, 1], 16),
        tile(32, 64, 8, [1, 4], 8),
        tile(16, 16, 8, [1, 1], 8),
    ]
}

/// Every tile that fits the device.
fn all_tiles(gpu: &Software) -> Vec<Tile> {
    let hardware = &gpu.client().properties().hardware;
    let mut all = tiles(hardware, 4, None);
    all.extend(loop_tiles(gpu).into_iter().filter(|t| t.fits(hardware, 4)));
    assert!(all.len() >= 9, "{all:?}");
    all
}

fn check(gpu: &Software, gemm: &Gemm) {
    let all = all_tiles(gpu);
    let precision = OperandPrecision::of(Precision::F32);
    let expected = bits(gpu, &gpu.product_by(gemm, all[0], precision));
    assert!(expected.iter().any(|&b| b != 0), "{}: a launch failed", gemm.op);
    for &tile in &all[1..] {
        let got = bits(gpu, &gpu.product_by(gemm, tile, precision));
        let different = got.iter().zip(&expected).filter(|(g, e)| g != e).count();
        assert!(
            different == 0,
            "{}, {:?}, {tile:?}: {different} of {} values differ",
            gemm.op,
            gemm.problem,
            got.len()
        );
    }
}

#[test]
fn tiles_do_not_change_the_bits_of_matrices() {
    let gpu = device();
    for [m, n, k] in [[70, 36, 40], [33, 130, 7], [20, 24, 1100]] {
        let a = random_buffer(&gpu, 1, m * k);
        let b = random_buffer(&gpu, 2, k * n);
        let bias = random_buffer(&gpu, 3, n);
        for (transpose_a, transpose_b) in [(false, true), (true, false)] {
            let p = Product { m, n, k, transpose_a, transpose_b, weights: false };
            check(&gpu, &linear::gemm(Dtype::F32, &p, &a, &b, Some(&bias), true));
        }
    }
}

/// Channels that divide into vectors and channels that do not, with strides and without.
fn geometries() -> [Geometry; 3] {
    let padding = Padding { top: 1, bottom: 2, left: 0, right: 1 };
    let plain =
        Geometry { n: 3, input: [7, 9, 16], output: [8, 8, 24], kernel: [3, 3], stride: [1, 1], padding, groups: 2 };
    let strided = Geometry { output: [4, 3, 24], stride: [2, 3], ..plain };
    let scalar = Geometry { input: [7, 9, 3], output: [4, 3, 5], groups: 1, ..strided };
    [plain, strided, scalar]
}

#[test]
fn tiles_do_not_change_the_bits_of_convolutions() {
    let gpu = device();
    for g in &geometries() {
        let len = |side: [usize; 3]| g.n * side.iter().product::<usize>();
        let x = random_buffer(&gpu, 1, len(g.input));
        let dy = random_buffer(&gpu, 2, len(g.output));
        let w = random_buffer(&gpu, 3, g.output[2] * g.patch());
        let b = random_buffer(&gpu, 4, g.output[2]);
        check(&gpu, &conv2d::forward(Dtype::F32, g, &x, &w, Some(&b), true));
        check(&gpu, &conv2d::input_grad(Dtype::F32, g, &w, &dy));
        check(&gpu, &conv2d::weight_grad(g, &x, &dy));
    }
}

#[test]
fn tiles_do_not_change_the_bits_of_local_layers() {
    let gpu = device();
    for g in &geometries() {
        let len = |side: [usize; 3]| g.n * side.iter().product::<usize>();
        let outputs = g.output.iter().product::<usize>();
        let x = random_buffer(&gpu, 1, len(g.input));
        let dy = random_buffer(&gpu, 2, len(g.output));
        let w = random_buffer(&gpu, 3, outputs * g.patch());
        let b = random_buffer(&gpu, 4, outputs);
        check(&gpu, &local2d::forward(Dtype::F32, g, &x, &w, Some(&b)));
        check(&gpu, &local2d::input_grad(Dtype::F32, g, &w, &dy));
        check(&gpu, &local2d::weight_grad(g, &x, &dy));
    }
}

#[test]
fn measured_tiles_are_cached_and_do_not_change_the_bits() {
    let plain = device();
    let tuned = device();
    let folder = tempfile::tempdir().expect("a folder");
    tuned.tune(Tuning { folder: folder.path().into(), device: "software".into(), min_multiplications: 0.0 });
    let [m, n, k] = [70, 36, 40];
    let p = Product { m, n, k, transpose_a: false, transpose_b: true, weights: false };
    let result = |gpu: &Software| {
        let a = random_buffer(gpu, 1, m * k);
        let b = random_buffer(gpu, 2, k * n);
        let c = gpu.product(&linear::gemm(Dtype::F32, &p, &a, &b, None, false)).expect("a product");
        bits(gpu, &c)
    };
    assert_eq!(result(&tuned), result(&plain));
    let entries = std::fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(entries, 1, "nothing was cached");
}

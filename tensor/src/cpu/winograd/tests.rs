//! Every level against plain sums in double precision.

use super::*;
use crate::Cpu;
use crate::Kernel;
use crate::cpu::simd::Level;
use crate::ops::Padding;
use crate::ops::conv2d::{Conv2dForward, Conv2dInputGrad, Conv2dWeightGrad};
use crate::random::{Stream, purpose};
use crate::{Device, ops::Conv2d};

fn values(seed: u64, len: usize) -> Vec<f32> {
    let stream = Stream::new(seed, purpose::USER, 0);
    (0..len as u64).map(|i| 2.0 * stream.uniform(i) - 1.0).collect()
}

fn len(shape: [usize; 3], n: usize) -> usize {
    n * shape.iter().product::<usize>()
}

/// Fails if the relative error of all values is above 1e-5, or that of one against the largest value above 3e-5.
fn assert_near(what: &str, got: &[f32], exact: &[f64]) {
    let square = |of: &dyn Fn(usize) -> f64| (0..exact.len()).map(|i| of(i).powi(2)).sum::<f64>().sqrt();
    let error = square(&|i| f64::from(got[i]) - exact[i]) / square(&|i| exact[i]);
    assert!(error < 1e-5, "{what}: relative error {error:e}");
    let largest = exact.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, (&g, e)) in got.iter().zip(exact).enumerate() {
        assert!((f64::from(g) - e).abs() < 3e-5 * largest, "{what}: value {i} is {g}, exact {e}");
    }
}

struct Case {
    g: Geometry,
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    dy: Vec<f32>,
}

impl Case {
    fn new(side: usize, n: usize, sides: [usize; 2], channels: [usize; 2], groups: usize, padding: Padding) -> Self {
        Self::of(side, n, sides, channels, Conv2d { padding, groups, ..Conv2d::default() })
    }

    fn of(side: usize, n: usize, sides: [usize; 2], channels: [usize; 2], spec: Conv2d) -> Self {
        let shape = [n, sides[0], sides[1], channels[0]];
        let g = spec.geometry(&shape, &[channels[1], side, side, channels[0] / spec.groups]).expect("a geometry");
        let x = values(1, len(g.input, n));
        let dy = values(2, len(g.output, n));
        Self { g, x, w: values(3, channels[1] * g.patch()), b: values(4, channels[1]), dy }
    }

    /// y, dx and dw in double precision.
    fn exact(&self) -> [Vec<f64>; 3] {
        let cpu = Cpu::<f64>::new(1).expect("a thread");
        let upload = |v: &[f32]| cpu.upload(&v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>()).expect("memory");
        let x = upload(&self.x);
        let w = upload(&self.w);
        let b = upload(&self.b);
        let dy = upload(&self.dy);
        let geometry = self.g;
        let [y] = cpu.run(&Conv2dForward { geometry, relu: true }, ([&x, &w], Some(&b))).expect("y");
        let [dx] = cpu.run(&Conv2dInputGrad { geometry }, [&w, &dy]).expect("dx");
        let [dw] = cpu.run(&Conv2dWeightGrad { geometry }, [&x, &dy]).expect("dw");
        [y, dx, dw].map(|v| cpu.download(&v).expect("values"))
    }

    /// The same with tiles. dx is empty if it has none.
    fn fast(&self, level: Level, threads: usize) -> [Vec<f32>; 3] {
        let cpu = Cpu::<f32>::new(threads).expect("threads");
        let [mut y, mut dx, mut dw] = [self.dy.len(), self.x.len(), self.w.len()].map(|len| vec![f32::NAN; len]);
        // The number of tiles is not a multiple of the block.
        let at = |tiles: Option<Tiles>| Tiles { level, block: 30, ..tiles.expect("tiles") };
        let forward = at(Tiles::forward(&self.g));
        let backward = Tiles::backward(&self.g);
        let w = &cpu.upload(&self.w).expect("memory");
        let operands = Operands { x: &self.x, w, bias: Some(&self.b), relu: true, transposed: false };
        let transposed = Operands { x: &self.dy, w, bias: None, relu: false, transposed: true };
        cpu.install(|| {
            forward.run(&cpu, &operands, &mut y).expect("y");
            match backward {
                Some(_) => at(backward).run(&cpu, &transposed, &mut dx).expect("dx"),
                None => dx.clear(),
            }
            at(Tiles::weights(&self.g)).weights_gradient(&cpu, &self.x, &self.dy, &mut dw).expect("dw");
        });
        [y, dx, dw]
    }

    fn check(&self) {
        let exact = self.exact();
        for level in Level::all() {
            let results = self.fast(level, 2);
            let named = ["y", "dx", "dw"].iter().zip(&results).zip(&exact);
            for ((what, got), exact) in named.filter(|((_, got), _)| !got.is_empty()) {
                assert_near(&format!("{level:?}, {what} of {:?}", self.g), got, exact);
            }
            for threads in [1, 5] {
                assert!(self.fast(level, threads) == results, "{level:?}, {threads} threads give other bits");
            }
        }
    }
}

/// Single images in tiles along rows, at every level and any number of threads, also with cached kernels.
#[test]
fn single_images() {
    let uneven = Padding { top: 2, bottom: 0, left: 0, right: 1 };
    let cases = [
        Case::new(3, 1, [13, 13], [32, 144], 1, Padding::all(1)),
        Case::new(3, 1, [13, 13], [64, 96], 2, Padding::all(1)),
        Case::new(3, 1, [15, 12], [16, 16], 1, uneven),
        Case::new(3, 1, [10, 10], [16, 32], 1, Padding::default()),
    ];
    for case in cases {
        let rows = RowTiles::forward(&case.g).expect("tiles along rows");
        let exact = &case.exact()[0];
        for level in Level::all() {
            let run = |threads| {
                let cpu = Cpu::<f32>::new(threads).expect("threads");
                let w = &cpu.upload(&case.w).expect("memory");
                let operands = Operands { x: &case.x, w, bias: Some(&case.b), relu: true, transposed: false };
                let all: Vec<Vec<f32>> = (0..3)
                    .map(|_| {
                        let mut y = vec![f32::NAN; case.dy.len()];
                        cpu.install(|| rows.at(level).run(&cpu, &operands, &mut y)).expect("y");
                        y
                    })
                    .collect();
                assert!(all.iter().all(|y| *y == all[0]), "{level:?}: cached kernels give other bits");
                all[0].clone()
            };
            let y = run(2);
            assert_near(&format!("{level:?}, y of {:?}", case.g), &y, exact);
            assert!(run(1) == y && run(5) == y, "{level:?}: threads give other bits");
        }
    }
}

#[test]
fn three_by_three() {
    Case::new(3, 11, [13, 13], [32, 48], 1, Padding::all(1)).check();
    let uneven = Padding { top: 2, bottom: 0, left: 0, right: 1 };
    Case::new(3, 6, [17, 22], [64, 32], 2, uneven).check();
    Case::new(3, 100, [3, 4], [16, 16], 1, Padding::default()).check();
    // More than a panel of outputs, and a last one of half the columns.
    Case::new(3, 11, [13, 13], [16, 144], 1, Padding::all(1)).check();
}

#[test]
fn five_by_five() {
    Case::new(5, 2, [27, 27], [32, 96], 2, Padding::all(2)).check();
    let uneven = Padding { top: 4, bottom: 1, left: 3, right: 0 };
    Case::new(5, 6, [11, 14], [64, 16], 1, uneven).check();
}

#[test]
fn larger_strides() {
    let at = |stride, padding| Conv2d { stride: [stride; 2], padding, ..Conv2d::default() };
    // The paper's first layer and torchvision's, smaller; tiles at all edges and in between.
    Case::of(11, 2, [227, 131], [3, 96], at(4, Padding::default())).check();
    Case::of(11, 2, [150, 160], [3, 32], at(4, Padding::all(2))).check();
    Case::of(9, 100, [15, 16], [1, 16], at(4, Padding { top: 5, bottom: 0, left: 0, right: 3 })).check();
    Case::of(5, 2, [61, 80], [4, 16], at(2, Padding::all(1))).check();
    Case::of(10, 2, [61, 60], [8, 16], at(2, Padding::default())).check();
    // The other numbers of channels whose inner tiles are read in place.
    Case::of(12, 5, [101, 120], [2, 16], at(4, Padding::all(1))).check();
    Case::of(9, 5, [101, 120], [4, 16], at(4, Padding::all(3))).check();
    Case::of(20, 5, [163, 240], [1, 16], at(8, Padding::all(5))).check();
}

/// The values before and after an image in memory do not affect it.
#[test]
fn images_do_not_affect_each_other() {
    let spec = Conv2d { stride: [4, 4], padding: Padding::all(1), ..Conv2d::default() };
    let one = Case::of(11, 1, [231, 233], [3, 16], spec);
    let mut three = Case::of(11, 3, [231, 233], [3, 16], spec);
    let len = one.x.len();
    three.x.fill(f32::NAN);
    three.x[len..2 * len].copy_from_slice(&one.x);
    for level in Level::all() {
        let [y, ..] = three.fast(level, 2);
        assert!(y[y.len() / 3..y.len() / 3 * 2] == one.fast(level, 1)[0], "{level:?}");
    }
}

#[test]
fn other_geometries_have_no_tiles() {
    let g = |x: [usize; 4], w: [usize; 4], spec: Conv2d| spec.geometry(&x, &w).expect("a geometry");
    let plain = Conv2d::default();
    assert!(Tiles::forward(&g([64, 16, 16, 16], [16, 3, 3, 16], plain)).is_some());
    assert!(Tiles::forward(&g([64, 16, 16, 16], [16, 3, 3, 16], Conv2d { stride: [2, 1], ..plain })).is_none());
    assert!(Tiles::forward(&g([64, 16, 16, 16], [16, 7, 7, 16], plain)).is_none());
    let two = Conv2d { stride: [2, 2], ..plain };
    assert!(Tiles::forward(&g([64, 17, 17, 4], [16, 5, 5, 4], two)).is_some());
    assert!(Tiles::forward(&g([64, 17, 17, 4], [16, 7, 7, 4], two)).is_none(), "4x4");
    assert!(Tiles::forward(&g([64, 17, 17, 3], [16, 5, 5, 3], two)).is_none(), "12 channels");
    assert!(Tiles::forward(&g([64, 17, 17, 32], [16, 5, 5, 32], two)).is_none(), "too many channels");
    assert!(Tiles::backward(&g([64, 17, 17, 4], [16, 5, 5, 4], two)).is_none());
    assert!(Tiles::forward(&g([64, 16, 16, 24], [16, 3, 3, 24], plain)).is_none());
    // A single image of 14 x 14 outputs is 9 tiles. 49 multiplications a tile replace 9 per output, 1764 in all.
    assert!(Tiles::forward(&g([1, 16, 16, 16], [16, 3, 3, 16], plain)).is_some());
    assert!(Tiles::backward(&g([1, 16, 16, 16], [16, 3, 3, 16], plain)).is_none(), "too few tiles");
    assert!(Tiles::forward(&g([1, 5, 5, 16], [16, 3, 3, 16], plain)).is_none(), "too small a speedup");
    // Tiles along rows are for single images of few tiles.
    assert!(RowTiles::forward(&g([1, 16, 16, 16], [16, 3, 3, 16], plain)).is_some());
    assert!(RowTiles::forward(&g([2, 16, 16, 16], [16, 3, 3, 16], plain)).is_none());
    assert!(RowTiles::forward(&g([1, 27, 27, 16], [16, 3, 3, 16], plain)).is_none(), "25 tiles");
    assert!(RowTiles::forward(&g([1, 16, 16, 16], [16, 5, 5, 16], plain)).is_none());
    assert!(Tiles::forward(&g([96, 5, 5, 16], [16, 3, 3, 16], plain)).is_some());
    // dx of a wider padding than the kernel has no tiles.
    let wide = Conv2d { padding: Padding::all(3), ..plain };
    assert!(Tiles::backward(&g([64, 16, 16, 16], [16, 3, 3, 16], wide)).is_none());
}

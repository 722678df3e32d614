//! Training steps after the first take no large memory from the system.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use alexnet_tensor::ops::{AdamStep, Conv2d, Padding, SgdStep};
use alexnet_tensor::random::Stream;
use alexnet_tensor::{Cpu, Result, Tensor};

/// Counts allocations at least as large as the smallest tensor of the step below.
struct Counting;

const LARGE: usize = 1 << 20;
static COUNT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(usize::from(layout.size() >= LARGE), Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract, and the pointer came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_second_step_allocates_nothing_large() {
    // One thread: with more, the number of window buffers in use at a time depends on timing.
    let cpu = Cpu::<f32>::new(1).expect("a thread");
    let draw = |shape: &[usize]| Tensor::uniform(&cpu, shape, -1.0, 1.0, Stream::new(1, 2, 3)).expect("uniform");
    let spec = Conv2d { padding: Padding::all(1), ..Conv2d::default() };
    let x = draw(&[32, 16, 16, 32]);
    let mut w = draw(&[128, 3, 3, 32]);
    let mut fc = draw(&[64, 16 * 16 * 128]);
    let [mut v, mut m, mut n] = [(); 3].map(|()| Tensor::zeros(&cpu, fc.shape()).expect("zeros"));
    let mut velocity = Tensor::zeros(&cpu, w.shape()).expect("zeros");
    let sgd = SgdStep { rate: 1e-3, momentum: 0.9, decay: 5e-4, nesterov: false };
    let adam = AdamStep {
        rate: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        decay: 0.0,
        decoupled: false,
        step: 1,
        epsilon_hat: false,
    };
    let mut step = || -> Result<()> {
        let y = x.conv2d(&spec, &w, None, true)?;
        let rows = y.clone().reshape(&[32, 16 * 16 * 128])?;
        let logits = rows.linear(&fc, None, true)?;
        let dfc = logits.linear_dw(&rows)?;
        let dy = logits.linear_dx(&fc)?.add(&rows)?.reshape(y.shape())?;
        let _dx = dy.conv2d_dx(&spec, x.shape(), &w)?;
        let dw = dy.conv2d_dw(&spec, &x, w.shape())?;
        w.sgd_step(&sgd, &mut velocity, &dw)?;
        fc.sgd_step(&sgd, &mut v, &dfc)?;
        fc.adam_step(&adam, &mut m, &mut n, &dfc)
    };
    step().expect("a step");
    let allocations = COUNT.load(Ordering::Relaxed);
    let taken = cpu.allocated_bytes();
    assert!(taken > 30 << 20, "the first step takes memory");
    (0..3).for_each(|_| step().expect("a step"));
    assert_eq!(cpu.allocated_bytes(), taken);
    assert_eq!(COUNT.load(Ordering::Relaxed) - allocations, 0, "large allocations in later steps");
}

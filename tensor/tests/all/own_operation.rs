//! An operation of another crate, with a kernel for the CPU: it writes one operand in place and needs a workspace.

use alexnet_tensor::cpu::Buffer;
use alexnet_tensor::{
    Alloc, Cpu, Device as _, DryRun, Element, Handle, Kernel, Operation, Profiled, Result, Tensor, Workspace,
};
use proptest::prelude::*;

use crate::support::*;

/// y = max(y, x), in place; the number of values that changed. Operands: y, in place, and x. Output: the number.
#[derive(Clone, Copy, Debug)]
struct RaiseTo {
    len: usize,
}

impl Operation for RaiseTo {
    type In<'a, F: Handle, I: Handle> = (&'a mut F, [&'a F; 1]);
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "raise to"
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<[F; 1]> {
        Ok([new.weights(1)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        (&mut *operands.0, operands.1)
    }
}

impl<E: Element> Kernel<RaiseTo> for Cpu<E> {
    fn run(&self, _: &RaiseTo, (y, [x]): (&mut Buffer<E>, [&Buffer<E>; 1])) -> Result<[Buffer<E>; 1]> {
        let below = self.zip_map(y, x, |y, x| if y < x { E::one() } else { E::zero() })?;
        *y = self.zip_map(y, x, E::max)?;
        let mut count = self.alloc(1)?;
        count.make_mut()?[0] = below.as_slice().iter().copied().sum();
        Ok([count])
    }

    fn workspace(&self, op: &RaiseTo) -> Workspace {
        Workspace::of(vec![op.len])
    }
}

proptest! {
    #[test]
    fn matches_plain_loops(len in 0usize..200, seed: u64) {
        let y = values(seed, len);
        let x = values(seed ^ 1, len);
        let mut raised = tensor64(&[len], &y).into_buffer();
        let other = tensor64(&[len], &x);
        let [count] = cpu64().run(&RaiseTo { len }, (&mut raised, [other.buffer()])).unwrap();
        let expected: Vec<f64> = y.iter().zip(&x).map(|(y, x)| y.max(*x)).collect();
        prop_assert_eq!(raised.as_slice(), &expected);
        prop_assert_eq!(count.as_slice(), [y.iter().zip(&x).filter(|(y, x)| y < x).count() as f64]);
    }
}

#[test]
fn the_profiler_times_it_by_name() {
    let device = Profiled::new(cpu32().clone());
    let mut y = device.upload(&[1.0, 5.0]).unwrap();
    let x = device.upload(&[3.0, 3.0]).unwrap();
    device.begin();
    device.run(&RaiseTo { len: 2 }, (&mut y, [&x])).unwrap();
    let calls = device.end();
    assert_eq!(y.as_slice(), [3.0, 5.0]);
    assert_eq!(calls.len(), 1);
    // Reads y and x, writes y and the count.
    assert_eq!((calls[0].kernel, calls[0].bytes), ("raise to", 4 * (2 + 2 + 2 + 1)));
}

#[test]
fn the_dry_run_counts_its_memory() {
    let device = DryRun::new(cpu32().clone());
    let len = 1 << 20;
    let mut y = Tensor::zeros(&device, &[len]).unwrap().into_buffer();
    let x = Tensor::zeros(&device, &[len]).unwrap();
    let [_count] = device.run(&RaiseTo { len }, (&mut y, [x.buffer()])).unwrap();
    assert_eq!(device.in_use(), 4 * (2 * len as u64 + 1));
    assert!(device.peak() >= 3 * 4 * len as u64, "{}", device.peak());
}

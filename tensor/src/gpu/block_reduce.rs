//! Reductions over the units of a cube, through shared memory and in a fixed order.

use cubecl::prelude::*;

/// How two values are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reduction {
    /// a + b.
    Sum,
    /// b where b > a, else a. A NaN in b is thus ignored.
    Max,
}

/// Reduces one value of each unit by halves; every unit gets the result. `units`, the size of the cube, is a power of
/// two.
#[cube]
pub(crate) fn block_reduce<T: Numeric>(value: T, #[comptime] reduction: Reduction, #[comptime] units: usize) -> T {
    let mut shared = SharedMemory::<T>::new(units);
    let unit = UNIT_POS as usize;
    shared[unit] = value;
    sync_cube();
    let mut half = (units / 2).runtime();
    while half > 0 {
        if unit < half {
            let a = shared[unit];
            let b = shared[unit + half];
            shared[unit] = match comptime!(reduction) {
                Reduction::Sum => a + b,
                Reduction::Max => select(b > a, b, a),
            };
        }
        sync_cube();
        half /= 2;
    }
    shared[0]
}

/// An integer above 0 with the order of x: equal for equal values, 0 and -0 included, and largest for NaN.
///
/// Integers are compared because devices need not honour NaN in comparisons of floating-point numbers.
#[cube]
pub(crate) fn rank(x: f32) -> u32 {
    let bits = u32::reinterpret(x);
    let magnitude = bits & 0x7fff_ffffu32;
    let number = select(bits == magnitude, bits | 0x8000_0000u32, !bits);
    let number = select(magnitude == 0, 0x8000_0000u32, number);
    select(magnitude > 0x7f80_0000u32, 0xffff_ffffu32, number)
}

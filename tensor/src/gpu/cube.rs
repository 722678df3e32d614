//! What the units of one cube work out together, through shared memory and in a fixed order.

use cubecl::prelude::*;

/// How two values become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fold {
    /// a + b.
    Sum,
    /// The larger; the first where the second is not larger, be it NaN.
    Max,
}

/// The values of all units folded by halves, for every unit. `units` is their number, a power of two.
#[cube]
pub(crate) fn fold_cube<T: Numeric>(value: T, #[comptime] fold: Fold, #[comptime] units: usize) -> T {
    let mut shared = SharedMemory::<T>::new(units);
    let unit = UNIT_POS as usize;
    shared[unit] = value;
    sync_cube();
    let mut half = (units / 2).runtime();
    while half > 0 {
        if unit < half {
            let (a, b) = (shared[unit], shared[unit + half]);
            shared[unit] = match comptime!(fold) {
                Fold::Sum => a + b,
                Fold::Max => select(b > a, b, a),
            };
        }
        sync_cube();
        half /= 2;
    }
    shared[0]
}

/// A whole number that rises with x, of equal values equal (0 and -0 too), and largest for NaN; never 0.
///
/// Comparisons of floating-point numbers say less on devices that need not honour NaN.
#[cube]
pub(crate) fn rank(x: f32) -> u32 {
    let bits = u32::reinterpret(x);
    let magnitude = bits & 0x7fff_ffffu32;
    let number = select(bits == magnitude, bits | 0x8000_0000u32, !bits);
    let number = select(magnitude == 0, 0x8000_0000u32, number);
    select(magnitude > 0x7f80_0000u32, 0xffff_ffffu32, number)
}

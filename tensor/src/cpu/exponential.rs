//! exp(x - max) of a row of logits, vectorised.

use bytemuck::{cast_slice, cast_slice_mut};

use super::simd::multiversion;
use crate::Element;

/// ln 2 in two parts. The product of the first with a small integer is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2, highest power first (Cephes, `expf`).
const POLYNOMIAL: [f32; 6] = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5];
/// Adding and subtracting it rounds to an integer; after the addition the lowest bits hold the integer.
const ROUND: f32 = 12_582_912.0;
/// Below it, e^v is not a normal number.
const MIN_EXPONENT: f32 = -87.3;

/// Writes exp(x - max) to `powers` and returns max. No power overflows and one is 1, so their sum is never 0.
pub(super) fn exponentials<E: Element>(x: &[E], powers: &mut [E]) -> E {
    let max = largest(x);
    if size_of::<E>() == size_of::<f32>() {
        let max = max.to_f64().unwrap_or(f64::NAN) as f32;
        exp_row(cast_slice(x), max, cast_slice_mut(powers));
    } else {
        for (power, &v) in powers.iter_mut().zip(x) {
            *power = (v - max).exp();
        }
    }
    max
}

multiversion! {
    /// The largest number. `>` ignores NaN, whose own power is NaN.
    fn largest<E: Element>(x: &[E]) -> E {
        let mut lanes = [E::neg_infinity(); 16];
        let (whole, rest) = x.as_chunks::<16>();
        for values in whole {
            for (lane, &v) in lanes.iter_mut().zip(values) {
                *lane = if v > *lane { v } else { *lane };
            }
        }
        lanes.iter().chain(rest).fold(E::neg_infinity(), |max, &v| if v > max { v } else { max })
    }
}

multiversion! {
    fn exp_row(x: &[f32], max: f32, powers: &mut [f32]) {
        for (power, &v) in powers.iter_mut().zip(x) {
            *power = exp(v - max);
        }
    }
}

/// exp(v) for v <= 0, within 2 units in the last place; 0 below the smallest normal number. NaN stays.
#[inline(always)]
fn exp(v: f32) -> f32 {
    let clamped = if v < MIN_EXPONENT { MIN_EXPONENT } else { v };
    let rounded = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = clamped - n * LN_2[0] - n * LN_2[1];
    let mut sum = POLYNOMIAL[0];
    for factor in &POLYNOMIAL[1..] {
        sum = sum * r + factor;
    }
    let power = sum * r * r + r + 1.0;
    let scale = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    if v < MIN_EXPONENT { 0.0 } else { power * scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exponentials_of(x: &[f32]) -> (f32, Vec<f32>) {
        let mut powers = vec![7.0; x.len()];
        let max = exponentials(x, &mut powers);
        (max, powers)
    }

    #[test]
    fn powers_are_right_to_two_units_in_the_last_place() {
        let x: Vec<f32> = (0..100_000).map(|i| i as f32 * -0.000_873).collect();
        let (max, powers) = exponentials_of(&x);
        assert_eq!((max, powers[0]), (0.0, 1.0));
        for (&x, &power) in x.iter().zip(&powers) {
            let exact = f64::from(x).exp();
            assert!((f64::from(power) / exact - 1.0).abs() < 2.4e-7, "e^{x} is {power}, not {exact}");
        }
        let (max, powers) = exponentials_of(&[1000.0, 1001.0, 800.0, f32::NEG_INFINITY, 1001.0]);
        assert_eq!((max, &powers[1..]), (1001.0, &[1.0, 0.0, 0.0, 1.0][..]));
        assert!((f64::from(powers[0]) - (-1f64).exp()).abs() < 1e-7);
    }

    #[test]
    fn nan_stays_in_its_place() {
        for at in [0, 15, 16, 40] {
            let mut x: Vec<f32> = (0..41).map(|i| -(i as f32)).collect();
            x[at] = f32::NAN;
            let (max, powers) = exponentials_of(&x);
            assert_eq!(max, if at == 0 { -1.0 } else { 0.0 });
            assert!(powers.iter().enumerate().all(|(i, power)| power.is_nan() == (i == at)), "{at}");
        }
        assert!(exponentials_of(&[f32::INFINITY, 0.0]).1[0].is_nan());
    }

    #[test]
    fn double_precision_is_the_standard_librarys() {
        let mut powers = [0.0; 3];
        assert_eq!(exponentials(&[1.0, 3.0, -700.0], &mut powers), 3.0);
        assert_eq!(powers, [(-2f64).exp(), 1.0, (-703f64).exp()]);
    }
}

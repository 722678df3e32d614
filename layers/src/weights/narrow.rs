//! Numbers of files in f64 as f32.

use std::fmt::{self, Display, Formatter};

/// A finite f64 of a file whose nearest f32 is infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BeyondF32(pub f64);

impl Display for BeyondF32 {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(value) = self;
        write!(f, "holds {value:e}, and f32 ends at {:.2e}; save it in the range of f32", f32::MAX)
    }
}

impl std::error::Error for BeyondF32 {}

/// The nearest f32. Infinities and NaN stay what they are.
///
/// ```
/// use alexnet_layers::weights::narrow;
///
/// assert_eq!(narrow(0.1)?, 0.1f32);
/// assert_eq!(narrow(f64::INFINITY)?, f32::INFINITY);
/// assert!(narrow(1e39).unwrap_err().to_string().contains("1e39"));
/// # Ok::<(), alexnet_layers::weights::BeyondF32>(())
/// ```
///
/// # Errors
/// [`BeyondF32`] for a finite number that would become infinite.
pub fn narrow(value: f64) -> Result<f32, BeyondF32> {
    let nearest = value as f32;
    if nearest.is_infinite() && value.is_finite() { Err(BeyondF32(value)) } else { Ok(nearest) }
}

/// The nearest f32 of each number, as [`narrow`] has it.
///
/// # Errors
/// [`BeyondF32`] with the first finite number that would become infinite.
pub fn narrow_all(values: impl ExactSizeIterator<Item = f64>) -> Result<Vec<f32>, BeyondF32> {
    // Collecting a result would not know the number of values, and grow several times.
    let mut narrowed = Vec::with_capacity(values.len());
    for value in values {
        narrowed.push(narrow(value)?);
    }
    Ok(narrowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The least f64 that rounds to infinity: half a step above the largest f32.
    fn first_beyond() -> f64 {
        f64::from(f32::MAX) + 2f64.powi(103)
    }

    #[test]
    fn the_range_ends_where_rounding_gives_infinity() {
        let last = first_beyond().next_down();
        assert_eq!(narrow_all([last, -last].into_iter()).unwrap(), [f32::MAX, f32::MIN]);
        for beyond in [first_beyond(), -first_beyond(), f64::MAX] {
            assert_eq!(narrow_all([0.0, beyond].into_iter()), Err(BeyondF32(beyond)));
        }
        let others = narrow_all([f64::NEG_INFINITY, f64::NAN].into_iter()).unwrap();
        assert!(others[0] == f32::NEG_INFINITY && others[1].is_nan());
    }

    proptest! {
        #[test]
        fn a_finite_number_stays_finite_or_is_refused(bits: u64) {
            let value = f64::from_bits(bits);
            match narrow(value) {
                Ok(nearest) => prop_assert_eq!(nearest.is_finite(), value.is_finite()),
                Err(error) => prop_assert!(value.is_finite() && error.0 == value && value.abs() >= first_beyond()),
            }
        }
    }
}

use std::process::Command;

use ::simd::VARIABLE;

use super::*;

struct Roots<'a>(&'a [f32], &'a mut [f32]);

impl WithSimd for Roots<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (x, y) in self.0.chunks_exact(LANES).zip(self.1.chunks_exact_mut(LANES)) {
            simd.load(x).rsqrt().store(y);
        }
    }
}

#[test]
fn reciprocal_square_roots_are_right_to_two_units_in_the_last_place() {
    let x: Vec<f32> = (0..4096).map(|i| (i as f32 * 0.01 - 20.0).exp()).collect();
    for level in Level::all() {
        let mut y = vec![0.0; x.len()];
        dispatch(level, Roots(&x, &mut y));
        for (&x, &y) in x.iter().zip(&y) {
            let expected = 1.0 / f64::from(x).sqrt();
            assert!((f64::from(y) / expected - 1.0).abs() < 2.5e-7, "{level:?}: 1 / sqrt({x}) is {y}");
        }
    }
}

struct Shifted<'a>(&'a [f32], &'a mut [f32]);

impl WithSimd for Shifted<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let low = simd.load(self.0);
        let high = simd.load(&self.0[LANES..]);
        Vector::concat_shift::<1>(low, high).store(self.1);
        Vector::concat_shift::<2>(low, high).store(&mut self.1[LANES..]);
        Vector::concat_shift::<14>(low, high).store(&mut self.1[2 * LANES..]);
        Vector::concat_shift::<15>(low, high).store(&mut self.1[3 * LANES..]);
    }
}

#[test]
fn shifts_cross_from_one_vector_to_the_next() {
    let x: Vec<f32> = (0..2 * LANES).map(|i| i as f32).collect();
    for level in Level::all() {
        let mut y = vec![0.0; 4 * LANES];
        dispatch(level, Shifted(&x, &mut y));
        for (y, place) in y.chunks_exact(LANES).zip([1, 2, 14, 15]) {
            assert_eq!(y, &x[place..place + LANES], "{level:?}");
        }
    }
}

struct Relu<'a>(&'a mut [f32]);

impl WithSimd for Relu<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        simd.load(self.0).relu().store(self.0);
    }
}

#[test]
fn relu_keeps_nan() {
    for level in Level::all() {
        let mut x = [
            -1.0,
            f32::NAN,
            2.0,
            -0.0,
            f32::NEG_INFINITY,
            0.5,
            1.0,
            0.0,
            -3.0,
            1.0,
            f32::NAN,
            4.0,
            -1.0,
            1.0,
            2.0,
            f32::INFINITY,
        ];
        let expected = x.map(|v| if v < 0.0 { 0.0 } else { v });
        dispatch(level, Relu(&mut x));
        for (got, expected) in x.iter().zip(expected) {
            assert!(*got == expected || (got.is_nan() && expected.is_nan()), "{level:?}: {got} for {expected}");
        }
    }
}

struct LoadTwo<'a>(&'a [f32], &'a [f32], usize, &'a mut [f32]);

impl WithSimd for LoadTwo<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(low, high, split, out) = self;
        assert!(low.len() >= split && high.len() >= LANES - split);
        // SAFETY: as many values as are read on either side.
        unsafe { simd.load_two(low.as_ptr(), high.as_ptr().wrapping_sub(split), split) }.store(out);
    }
}

#[test]
fn vectors_load_from_two_places() {
    let low: Vec<f32> = (0..16).map(|i| i as f32).collect();
    let high: Vec<f32> = (0..16).map(|i| -1.0 - i as f32).collect();
    for (level, split) in Level::all().flat_map(|level| (1..=LANES).map(move |split| (level, split))) {
        let mut out = [0.0; LANES];
        dispatch(level, LoadTwo(&low[..split], &high[..LANES - split], split, &mut out));
        let expected = low[..split].iter().chain(&high[..LANES - split]);
        assert!(out.iter().eq(expected), "{level:?}, {split}: {out:?}");
    }
}

/// The type of the token that a kernel gets.
struct Token;

impl WithSimd for Token {
    type Output = &'static str;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> &'static str {
        std::any::type_name::<S>()
    }
}

#[test]
fn kernels_run_at_the_level_of_the_variable() {
    let token = dispatch(Level::get(), Token);
    let ends = |name: &str| token.ends_with(name);
    match std::env::var(VARIABLE).as_deref() {
        Ok("portable") => assert!(ends("Portable"), "{token}"),
        Ok("avx2") => assert!(ends("Portable") || ends("V3"), "{token}"),
        _ => assert_eq!(Level::get().name(), Level::all().last().unwrap().name()),
    }
}

#[test]
fn other_processes_obey_the_variable() {
    for level in Level::all() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let test = "cpu::simd::tests::kernels_run_at_the_level_of_the_variable";
        let output = command.args(["--exact", test]).env(VARIABLE, level.name()).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{level:?}: {output:?}");
    }
}

//! The one-dimensional transforms on seven points: 0, 1, -1, 2, -2, 1/2 and infinity.
//!
//! F(5, 3) gives 5 outputs of a kernel of 3, F(3, 5) gives 3 of a kernel of 5; both read 7 inputs and multiply 7 times
//! (Winograd, "Arithmetic complexity of computations", 1980; Lavin and Gray, "Fast algorithms for convolutional neural
//! networks", CVPR 2016). Since the points are the same, so is the input's transform. In two dimensions each is applied
//! to rows, then to columns: y = At [(G w Gt) * (Bt x B)] A with * value by value.

use crate::cpu::simd::{Simd, Vector};

/// Points along one axis.
pub(super) const POINTS: usize = 7;
/// Points of a tile.
pub(super) const TILE_POINTS: usize = POINTS * POINTS;

/// The finite points.
const PLACES: [f64; POINTS - 1] = [0.0, 1.0, -1.0, 2.0, -2.0, 0.5];

/// a + factor b.
#[inline(always)]
fn scaled<V: Vector>(a: V, factor: f32, b: V) -> V {
    b.mul_add(b.simd().splat(factor), a)
}

/// Column `j` of a matrix. Matrices of vectors are filled by loops: closures would be compiled without the instructions
/// of the level. They are made once for many tiles: clearing one takes as long as a transform.
#[inline(always)]
pub(super) fn column<V: Vector, const N: usize, const M: usize>(rows: &[[V; M]; N], j: usize) -> [V; N] {
    let mut column = [rows[0][j]; N];
    for (value, row) in column.iter_mut().zip(rows) {
        *value = row[j];
    }
    column
}

/// Bt: inputs to points. Row i holds the coefficients of the product of x - p over the other finite points p, for
/// infinity over all: x^4 - 5 x^2 + 4 and x - 1/2 are common factors of most.
#[inline(always)]
pub(super) fn input<V: Vector>(d: [V; POINTS]) -> [V; POINTS] {
    let q0 = quartic(&d, 0);
    let q1 = quartic(&d, 1);
    let q2 = quartic(&d, 2);
    let h1 = linear(&d, 1);
    let h2 = linear(&d, 2);
    let h3 = linear(&d, 3);
    let h4 = linear(&d, 4);
    let even1 = scaled(h4, -4.0, h2);
    let odd1 = scaled(h3, -4.0, h1);
    let even2 = h4.sub(h2);
    let odd2 = h3.sub(h1);
    [
        scaled(q1, -0.5, q0),
        even1.add(odd1),
        even1.sub(odd1),
        scaled(even2, 2.0, odd2),
        scaled(even2, -2.0, odd2),
        q1,
        scaled(q2, -0.5, q1),
    ]
}

/// x^4 - 5 x^2 + 4, from index i on.
#[inline(always)]
fn quartic<V: Vector>(d: &[V; POINTS], i: usize) -> V {
    scaled(scaled(d[i + 4], -5.0, d[i + 2]), 4.0, d[i])
}

/// x - 1/2, from index i on.
#[inline(always)]
fn linear<V: Vector>(d: &[V; POINTS], i: usize) -> V {
    scaled(d[i + 1], -0.5, d[i])
}

/// At: points to `M` outputs.
#[inline(always)]
pub(super) fn output<V: Vector, const M: usize>(p: [V; POINTS]) -> [V; M] {
    let sum1 = p[1].add(p[2]);
    let difference1 = p[1].sub(p[2]);
    let sum2 = p[3].add(p[4]);
    let difference2 = p[3].sub(p[4]);
    let mut outputs = [sum1; M];
    for (i, output) in outputs.iter_mut().enumerate() {
        let power = (1u32 << i) as f32;
        let ones = if i % 2 == 0 { sum1 } else { difference1 };
        let twos = if i % 2 == 0 { sum2 } else { difference2 };
        let inner = scaled(scaled(ones, power, twos), power.recip(), p[5]);
        let first = if i == 0 { p[0].add(inner) } else { inner };
        *output = if i == M - 1 { first.add(p[6]) } else { first };
    }
    outputs
}

/// A, the transpose of [`output`]: gradients of outputs to gradients at points.
#[inline(always)]
pub(super) fn output_gradient<V: Vector, const M: usize>(dy: [V; M]) -> [V; POINTS] {
    let even1 = powers(&dy, 1.0, 0, 2);
    let odd1 = powers(&dy, 1.0, 1, 2);
    let even2 = powers(&dy, 2.0, 0, 2);
    let odd2 = powers(&dy, 2.0, 1, 2);
    let half = powers(&dy, 0.5, 0, 1);
    [dy[0], even1.add(odd1), even1.sub(odd1), even2.add(odd2), even2.sub(odd2), half, dy[M - 1]]
}

/// The sum of every `step`th value i from `first` on, times the i-th power of a point.
#[inline(always)]
fn powers<V: Vector, const M: usize>(dy: &[V; M], point: f32, first: usize, step: usize) -> V {
    let simd = dy[first].simd();
    let mut sum = dy[first].mul(simd.splat(point.powi(first as i32)));
    let mut i = first + step;
    while i < M {
        sum = scaled(sum, point.powi(i as i32), dy[i]);
        i += step;
    }
    sum
}

/// G: row p gives point p of a kernel of `R` values. It includes the factor that [`input`] omits: the reciprocal of the
/// product of point p minus each other one.
pub(super) const fn kernel_matrix<const R: usize>() -> [[f32; R]; POINTS] {
    let mut g = [[0.0; R]; POINTS];
    let mut p = 0;
    while p < POINTS - 1 {
        let mut product = 1.0;
        let mut q = 0;
        while q < POINTS - 1 {
            if q != p {
                product *= PLACES[p] - PLACES[q];
            }
            q += 1;
        }
        let mut power = 1.0 / product;
        let mut j = 0;
        while j < R {
            g[p][j] = power as f32;
            power *= PLACES[p];
            j += 1;
        }
        p += 1;
    }
    g[POINTS - 1][R - 1] = 1.0;
    g
}

/// G in one dimension.
#[inline(always)]
pub(super) fn kernel<V: Vector, const R: usize>(w: [V; R]) -> [V; POINTS] {
    let g = const { kernel_matrix::<R>() };
    let simd = w[0].simd();
    let mut points = [w[0]; POINTS];
    for (point, g) in points.iter_mut().zip(&g) {
        *point = w[0].mul(simd.splat(g[0]));
        for j in 1..R {
            *point = scaled(*point, g[j], w[j]);
        }
    }
    points
}

/// Gt, the transpose of [`kernel`].
#[inline(always)]
pub(super) fn kernel_gradient<V: Vector, const R: usize>(u: [V; POINTS]) -> [V; R] {
    let g = const { kernel_matrix::<R>() };
    let simd = u[0].simd();
    let mut dw = [u[0]; R];
    for (j, dw) in dw.iter_mut().enumerate() {
        *dw = u[0].mul(simd.splat(g[0][j]));
        for p in 1..POINTS {
            *dw = scaled(*dw, g[p][j], u[p]);
        }
    }
    dw
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::{LANES, Level, WithSimd, dispatch};

    macro_rules! apply {
        ($name:ident, $n:literal => $m:literal, $f:expr) => {
            fn $name(level: Level, x: [f32; $n]) -> [f32; $m] {
                struct Transform([f32; $n]);
                impl WithSimd for Transform {
                    type Output = [f32; $m];
                    #[inline(always)]
                    fn with_simd<S: Simd>(self, simd: S) -> [f32; $m] {
                        $f(self.0.map(|v| simd.splat(v))).map(|v: S::F32| {
                            let mut lanes = [0.0; LANES];
                            v.store(&mut lanes);
                            lanes[3]
                        })
                    }
                }
                dispatch(level, Transform(x))
            }
        };
    }
    apply!(inputs, 7 => 7, input);
    apply!(outputs5, 7 => 5, output::<_, 5>);
    apply!(outputs3, 7 => 3, output::<_, 3>);
    apply!(gradients5, 5 => 7, output_gradient::<_, 5>);
    apply!(gradients3, 3 => 7, output_gradient::<_, 3>);
    apply!(kernels3, 3 => 7, kernel::<_, 3>);
    apply!(kernels5, 5 => 7, kernel::<_, 5>);
    apply!(kernel_gradients3, 7 => 3, kernel_gradient::<_, 3>);
    apply!(kernel_gradients5, 7 => 5, kernel_gradient::<_, 5>);

    /// The transforms give the sums that define a convolution, for any input and kernel.
    #[test]
    fn outputs_are_the_convolution() {
        for level in Level::all() {
            for seed in 0..50 {
                let value = |i: usize| ((seed * 31 + i * 17 + i * i * 7) % 41) as f32 / 8.0 - 2.5;
                let points = inputs(level, std::array::from_fn(value));
                let times = |u: [f32; 7]| std::array::from_fn(|p| points[p] * u[p]);
                let w3: [f32; 3] = std::array::from_fn(|i| value(i + 20));
                let w5: [f32; 5] = std::array::from_fn(|i| value(i + 20));
                let y5 = outputs5(level, times(kernels3(level, w3)));
                let y3 = outputs3(level, times(kernels5(level, w5)));
                for (i, y) in y5.into_iter().enumerate() {
                    let expected: f32 = (0..3).map(|j| value(i + j) * w3[j]).sum();
                    assert!((y - expected).abs() < 1e-3, "output {i} of 5: {y} for {expected}");
                }
                for (i, y) in y3.into_iter().enumerate() {
                    let expected: f32 = (0..5).map(|j| value(i + j) * w5[j]).sum();
                    assert!((y - expected).abs() < 1e-3, "output {i} of 3: {y} for {expected}");
                }
            }
        }
    }

    fn unit<const N: usize>(at: usize) -> [f32; N] {
        std::array::from_fn(|i| if i == at { 1.0 } else { 0.0 })
    }

    /// <dy, At p> = <A dy, p> and <dw, G w> = <Gt dw, w> for all unit vectors.
    #[test]
    fn gradients_are_the_transposes() {
        macro_rules! check {
            ($forward:ident, $n:literal, $backward:ident, $m:literal) => {
                for level in Level::all() {
                    for (i, j) in (0..$m).flat_map(|i| (0..$n).map(move |j| (i, j))) {
                        let forward = $forward(level, unit(j))[i];
                        let backward = $backward(level, unit(i))[j];
                        assert_eq!(forward, backward, "row {i}, column {j}");
                    }
                }
            };
        }
        check!(outputs5, 7, gradients5, 5);
        check!(outputs3, 7, gradients3, 3);
        check!(kernels3, 3, kernel_gradients3, 7);
        check!(kernels5, 5, kernel_gradients5, 7);
    }
}

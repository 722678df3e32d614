//! The linear algebra of the codes: a library of it would take longer to build than the rest of this crate.

use ndarray::{Array2, ArrayView2, s};
use random::{Stream, purpose};

use super::project;

/// Steps of the subspace iteration.
const STEPS: usize = 8;
/// Axes beyond those that are asked for, by which these converge faster.
const MORE: usize = 16;
/// The cosine of the angle between columns that count as orthogonal.
const ORTHOGONAL: f64 = 1e-12;
/// The most sweeps of Jacobi rotations.
const SWEEPS: usize = 60;

/// The `count` principal components of centred vectors, `[count, length]`, orthonormal rows, the largest variance first,
/// by subspace iteration (Halko, Martinsson and Tropp, 2011, section 4.5) and the singular vectors of what is left.
pub fn principal(centred: ArrayView2<f32>, count: usize, seed: u64) -> Array2<f32> {
    let length = centred.ncols();
    let wide = (count + MORE).min(length);
    let stream = Stream::new(seed, purpose::USER, 3);
    let mut axes = Array2::from_shape_fn((wide, length), |(i, j)| stream.normal((i * length + j) as u64) as f32);
    orthonormalize(&mut axes);
    for _ in 0..STEPS {
        let projected = project(centred, axes.view());
        axes = project(projected.t(), centred.t());
        orthonormalize(&mut axes);
    }
    let projected = project(centred, axes.view());
    let covariance = project(projected.t(), projected.t()).mapv(f64::from);
    let (vectors, values) = left_singular(&covariance);
    let mut order: Vec<usize> = (0..wide).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let mut components = Array2::zeros((count, length));
    for (mut component, &place) in components.rows_mut().into_iter().zip(&order) {
        for (own, axis) in vectors.column(place).iter().zip(axes.rows()) {
            component.scaled_add(*own as f32, &axis);
        }
    }
    orthonormalize(&mut components);
    components
}

/// Makes the rows orthonormal, by Gram and Schmidt, twice for the sake of rounding. A row that depends on those before it
/// becomes a unit vector orthogonal to them.
pub fn orthonormalize(rows: &mut Array2<f32>) {
    let length = rows.ncols();
    let mut done: Vec<Vec<f64>> = Vec::with_capacity(rows.nrows());
    let mut unit = 0;
    for mut row in rows.rows_mut() {
        let mut own: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
        let before = norm(&own);
        subtract(&mut own, &done);
        while norm(&own) <= 1e-6 * before.max(f64::MIN_POSITIVE) && unit < length {
            own = vec![0.0; length];
            own[unit] = 1.0;
            unit += 1;
            subtract(&mut own, &done);
            if norm(&own) > 1e-3 {
                break;
            }
        }
        let scale = norm(&own).max(f64::MIN_POSITIVE);
        own.iter_mut().for_each(|x| *x /= scale);
        row.iter_mut().zip(&own).for_each(|(x, &new)| *x = new as f32);
        done.push(own);
    }
}

/// Subtracts from a vector its parts along orthonormal others, twice.
fn subtract(own: &mut [f64], others: &[Vec<f64>]) {
    for other in others.iter().chain(others) {
        let product: f64 = own.iter().zip(other).map(|(x, y)| x * y).sum();
        own.iter_mut().zip(other).for_each(|(x, y)| *x -= product * y);
    }
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// The orthogonal matrix nearest to a square one: u wᵀ of its singular value decomposition u s wᵀ. `right` is an orthogonal
/// matrix that is near w, by which fewer rotations are left, and becomes w.
pub fn polar(matrix: &Array2<f32>, right: &mut Array2<f64>) -> Array2<f32> {
    let turned = matrix.mapv(f64::from).dot(right);
    let (left, more) = decompose(&turned);
    *right = right.dot(&more);
    left.dot(&right.t()).mapv(|x| x as f32)
}

/// The left singular vectors of a square matrix, as columns, and the singular values.
fn left_singular(matrix: &Array2<f64>) -> (Array2<f64>, Vec<f64>) {
    let (left, right) = decompose(matrix);
    let values = (0..matrix.ncols()).map(|place| left.column(place).dot(&matrix.dot(&right.column(place)))).collect();
    (left, values)
}

/// The left and right singular vectors of a square matrix, as columns, by one-sided Jacobi rotations (Hestenes, 1958).
fn decompose(matrix: &Array2<f64>) -> (Array2<f64>, Array2<f64>) {
    let size = matrix.ncols();
    // Columns as rows, which lie together.
    let mut columns = matrix.t().as_standard_layout().into_owned();
    let mut right = Array2::<f64>::eye(size);
    for _ in 0..SWEEPS {
        let mut is_done = true;
        for first in 0..size {
            for second in first + 1..size {
                is_done &= !rotate(&mut columns, &mut right, first, second);
            }
        }
        if is_done {
            break;
        }
    }
    let norms: Vec<f64> = columns.rows().into_iter().map(|row| row.dot(&row).sqrt()).collect();
    let largest = norms.iter().copied().fold(0.0, f64::max);
    for (mut row, &norm) in columns.rows_mut().into_iter().zip(&norms) {
        // A column without length gets a direction below.
        let scale = if norm > 1e-12 * largest { 1.0 / norm } else { 0.0 };
        row.mapv_inplace(|x| x * scale);
    }
    complete(&mut columns);
    (columns.reversed_axes(), right.reversed_axes())
}

/// Makes two columns orthogonal; whether they were not.
fn rotate(columns: &mut Array2<f64>, right: &mut Array2<f64>, first: usize, second: usize) -> bool {
    let [a, b] = [columns.row(first), columns.row(second)];
    let product = a.dot(&b);
    let squares = [a.dot(&a), b.dot(&b)];
    if product.abs() <= ORTHOGONAL * (squares[0] * squares[1]).sqrt() {
        return false;
    }
    let zeta = (squares[1] - squares[0]) / (2.0 * product);
    let tangent = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
    let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
    let sine = cosine * tangent;
    for matrix in [columns, right] {
        let (mut a, mut b) = matrix.multi_slice_mut((s![first, ..], s![second, ..]));
        for (a, b) in a.iter_mut().zip(&mut b) {
            let old = *a;
            *a = cosine * old - sine * *b;
            *b = sine * old + cosine * *b;
        }
    }
    true
}

/// Gives rows of zeros directions that are orthogonal to all others.
fn complete(rows: &mut Array2<f64>) {
    let length = rows.ncols();
    for place in 0..rows.nrows() {
        if rows.row(place).iter().any(|&x| x != 0.0) {
            continue;
        }
        let others: Vec<Vec<f64>> = rows.rows().into_iter().map(|row| row.to_vec()).collect();
        let candidates = (0..length).map(|unit| {
            let mut own = vec![0.0; length];
            own[unit] = 1.0;
            subtract(&mut own, &others);
            own
        });
        let best = candidates.max_by(|a, b| norm(a).total_cmp(&norm(b))).unwrap_or_default();
        let scale = norm(&best).max(f64::MIN_POSITIVE);
        rows.row_mut(place).iter_mut().zip(&best).for_each(|(x, &new)| *x = new / scale);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn distance(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
        (a - b).iter().fold(0.0, |most, x| most.max(x.abs()))
    }

    fn square() -> impl Strategy<Value = Array2<f64>> {
        (1usize..9).prop_flat_map(|size| {
            // Zeros too: whole columns of them, and columns that depend on each other.
            proptest::collection::vec(prop_oneof![Just(0.0), -3.0f64..3.0, Just(1.0)], size * size)
                .prop_map(move |values| Array2::from_shape_vec((size, size), values).unwrap())
        })
    }

    proptest! {
        #[test]
        fn singular_vectors_decompose(matrix in square()) {
            let size = matrix.ncols();
            let (left, right) = decompose(&matrix);
            let eye = Array2::eye(size);
            prop_assert!(distance(&left.t().dot(&left), &eye) < 1e-9);
            prop_assert!(distance(&right.t().dot(&right), &eye) < 1e-9);
            let middle = left.t().dot(&matrix).dot(&right);
            let diagonal = Array2::from_diag(&middle.diag());
            prop_assert!(distance(&middle, &diagonal) < 1e-9, "{middle}");
            prop_assert!(middle.diag().iter().all(|&value| value > -1e-9));
        }

        /// No rotation by a small angle in any plane brings the matrix nearer.
        #[test]
        fn the_polar_factor_is_nearest(matrix in square()) {
            let mut right = Array2::eye(matrix.ncols());
            let nearest = polar(&matrix.mapv(|x| x as f32), &mut right).mapv(f64::from);
            let again = polar(&matrix.mapv(|x| x as f32), &mut right).mapv(f64::from);
            let likeness = |other: &Array2<f64>| (other * &matrix).sum();
            prop_assert!((likeness(&again) - likeness(&nearest)).abs() < 1e-4);
            prop_assert!(distance(&nearest.t().dot(&nearest), &Array2::eye(matrix.ncols())) < 1e-5);
            for first in 0..matrix.ncols() {
                for second in 0..matrix.ncols() {
                    let mut turned = nearest.clone();
                    for row in 0..matrix.nrows() {
                        let [a, b] = [nearest[[row, first]], nearest[[row, second]]];
                        if first != second {
                            turned[[row, first]] = 0.01f64.cos() * a - 0.01f64.sin() * b;
                            turned[[row, second]] = 0.01f64.sin() * a + 0.01f64.cos() * b;
                        }
                    }
                    prop_assert!(likeness(&turned) <= likeness(&nearest) + 1e-4);
                }
            }
        }

        #[test]
        fn rows_become_orthonormal(rows in 1usize..6, more in 0usize..4, values in proptest::collection::vec(-2i8..3, 60)) {
            let length = rows + more;
            let mut matrix = Array2::from_shape_fn((rows, length), |(i, j)| f32::from(values[(i * length + j) % 60]));
            orthonormalize(&mut matrix);
            let wide = matrix.mapv(f64::from);
            prop_assert!(distance(&wide.dot(&wide.t()), &Array2::eye(rows)) < 1e-5, "{matrix}");
        }
    }

    /// Along known axes, with variances that fall.
    #[test]
    fn principal_components_are_the_axes_of_the_largest_variance() {
        let stream = Stream::new(5, purpose::USER, 0);
        let deviation = [9.0, 7.0, 5.0, 0.5, 0.4, 0.3, 0.2, 0.1];
        let vectors = Array2::from_shape_fn((3000, 8), |(row, column)| {
            (deviation[(column + 3) % 8] * stream.normal((row * 8 + column) as u64)) as f32
        });
        let components = principal(vectors.view(), 3, 1);
        for (component, axis) in components.rows().into_iter().zip([5, 6, 7]) {
            assert!(component[axis].abs() > 0.99, "{component}");
        }
    }
}

//! Means of consecutive points, for curves with noise.

/// Maximum number of means.
const MEANS: usize = 120;
/// A series is noisy if more than one in so many of its points is a turn.
const TURNS: usize = 8;

/// Number of points per mean of a series with `points` points.
pub fn points_per_mean(points: usize) -> usize {
    points.div_ceil(MEANS).max(1)
}

/// Means of consecutive points, without gaps. What is left over is spread over all of them: a mean of a few points at the
/// end would be a spike.
pub fn means(points: &[Option<(f64, f64)>]) -> Vec<Option<(f64, f64)>> {
    let mean = |part: &[Option<(f64, f64)>]| {
        let count = part.iter().flatten().count() as f64;
        let sum = part.iter().flatten().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (count > 0.0).then(|| (sum.0 / count, sum.1 / count))
    };
    let parts = points.len() / points_per_mean(points.len());
    (0..parts).map(|part| mean(&points[part * points.len() / parts..(part + 1) * points.len() / parts])).collect()
}

/// Whether values go up and down all the time, as a loss does and a learning rate does not.
pub fn is_noisy(points: &[(f64, f64)]) -> bool {
    let mut turns = 0;
    let mut before = 0.0;
    for pair in points.windows(2) {
        let change = pair[1].1 - pair[0].1;
        if change.is_nan() || change == 0.0 {
            continue;
        }
        turns += usize::from(change * before < 0.0);
        before = change.signum();
    }
    turns * TURNS > points.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mean_is_of_few_points() {
        for count in [1, 119, 401, 1418, 2399] {
            let all: Vec<_> = (0..count).map(|x| Some((f64::from(x), 0.0))).collect();
            let each = points_per_mean(all.len()) as f64;
            let found: Vec<f64> = means(&all).into_iter().map(|point| point.unwrap().0).collect();
            // The means of the numbers of neighbouring groups differ by the mean of their lengths.
            for pair in found.windows(2) {
                let apart = pair[1] - pair[0];
                assert!(apart >= each && apart <= each + 1.0, "{count}: {apart} for {each}");
            }
            let last = f64::from(count - 1) - found[found.len() - 1];
            assert!(2.0 * last + 1.0 >= each, "{count}: the last group has {}", 2.0 * last + 1.0);
        }
    }

    #[test]
    fn a_loss_is_noisy_and_a_schedule_is_not() {
        let points = |value: fn(u32) -> f64| (0..1000).map(|x| (f64::from(x), value(x))).collect::<Vec<_>>();
        assert!(is_noisy(&points(|x| f64::from(x * 7919 % 101))));
        assert!(!is_noisy(&points(|x| 0.1_f64.powi((x / 300) as i32))));
        assert!(!is_noisy(&points(|x| (f64::from(x) / 50.0).cos())));
        assert!(!is_noisy(&points(|_| f64::NAN)));
        assert!(!is_noisy(&[]));
    }
}

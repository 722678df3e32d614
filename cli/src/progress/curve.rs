//! A curve of bounded size.

/// Points of a curve at most.
const MAX_POINTS: usize = 512;

/// A curve of means: the longer it gets, the more values each point is the mean of.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    points: Vec<(f64, f64)>,
    /// Values of a point.
    stride: usize,
    /// Sums and number of the values after the last point.
    sum: (f64, f64),
    count: usize,
}

impl Curve {
    /// Adds a value at `x`. Values that are not finite are left out.
    pub fn push(&mut self, x: f64, y: f64) {
        if !y.is_finite() {
            return;
        }
        self.stride = self.stride.max(1);
        self.sum.0 += x;
        self.sum.1 += y;
        self.count += 1;
        if self.count < self.stride {
            return;
        }
        let count = self.count as f64;
        self.points.push((self.sum.0 / count, self.sum.1 / count));
        self.sum = (0.0, 0.0);
        self.count = 0;
        if self.points.len() >= MAX_POINTS {
            let mean = |pair: &[(f64, f64)]| {
                let n = pair.len() as f64;
                (pair.iter().map(|p| p.0).sum::<f64>() / n, pair.iter().map(|p| p.1).sum::<f64>() / n)
            };
            self.points = self.points.chunks(2).map(mean).collect();
            self.stride *= 2;
        }
    }

    /// The points.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_shape_and_its_size() {
        let mut curve = Curve::default();
        for x in 0..100_000 {
            curve.push(f64::from(x), 2.0 * f64::from(x));
        }
        curve.push(100_000.0, f64::NAN);
        assert!(curve.points().len() > MAX_POINTS / 4 && curve.points().len() <= MAX_POINTS);
        assert!(curve.points().iter().all(|(x, y)| (y - 2.0 * x).abs() < 1e-6));
        let first = curve.points()[0].0;
        let last = curve.points()[curve.points().len() - 1].0;
        assert!(first < 500.0 && last > 99_000.0, "{first} {last}");
    }
}

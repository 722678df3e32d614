//! An axis of a chart: its range and ticks.

/// A range with ticks at multiples of a round step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    step: f64,
    /// Whether the ends and the step are logarithms to base 10.
    is_logarithmic: bool,
}

impl Axis {
    /// An axis from the smallest to the largest value, with about `ticks` ticks.
    pub fn tight(values: impl Iterator<Item = f64>, ticks: usize) -> Self {
        let (low, high) = range(values);
        Self { low, high, step: round_step((high - low) / ticks as f64), is_logarithmic: false }
    }

    /// An axis that starts and ends at ticks.
    pub fn round(values: impl Iterator<Item = f64>, ticks: usize) -> Self {
        let Self { low, high, step, .. } = Self::tight(values, ticks);
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step, is_logarithmic: false }
    }

    /// A logarithmic axis from the smallest to the largest of positive values, with ticks at powers of ten.
    pub fn decades(values: impl Iterator<Item = f64>) -> Self {
        let logarithms = values.filter(|value| *value > 0.0).map(f64::log10);
        let (low, high) = logarithms.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high.max(low + 1e-6)) };
        Self { low, high, step: ((high - low) / 10.0).ceil().max(1.0), is_logarithmic: true }
    }

    /// Position of `value`: 0 at the low end, 1 at the high end.
    pub fn share(&self, value: f64) -> f64 {
        let value = if self.is_logarithmic { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// The ticks with their labels, in one unit.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let slack = self.step * 1e-6;
        let first = ((self.low - slack) / self.step).ceil();
        let values = (0..32).map(|number| (first + f64::from(number)) * self.step);
        let values: Vec<f64> = values.take_while(|value| *value <= self.high + slack).collect();
        if self.is_logarithmic {
            return values.into_iter().map(|power| (10f64.powf(power), format!("1e{power:.0}"))).collect();
        }
        let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        values.into_iter().map(|value| (value, label(value, self.step, largest))).collect()
    }
}

/// The smallest and the largest value, widened if they are (nearly) equal, and with 0 if it is near.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut low, mut high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return (0.0, 1.0);
    }
    if low > 0.0 && low < high / 3.0 {
        low = 0.0;
    }
    let least = low.abs().max(high.abs()) * 1e-6;
    if high - low <= least {
        // The labels could not show such a small range: widen it around the value.
        let margin = (low.abs() * 0.1).max(if low == 0.0 { 1.0 } else { f64::MIN_POSITIVE });
        low -= margin;
        high += margin;
    }
    (low, high)
}

/// The smallest of 1, 2 or 5 times a power of ten that is at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10.0_f64.powf(least.log10().floor());
    let lead = least / power;
    power * [1.0, 2.0, 5.0].into_iter().find(|round| lead <= round * 1.000_001).unwrap_or(10.0)
}

/// `value` with the digits that `step` needs, in thousands (k) or millions (M) if the values are large.
fn label(value: f64, step: f64, largest: f64) -> String {
    let value = if value.abs() < step * 1e-6 { 0.0 } else { value };
    if !(1e-5..1e10).contains(&largest) || step < 1e-6 {
        return format!("{value:.1e}");
    }
    let (unit, sign) = match largest {
        1e6.. => (1e6, "M"),
        1e4.. => (1e3, "k"),
        _ => (1.0, ""),
    };
    let digits = (-((step / unit).log10() + 1e-9).floor()).clamp(0.0, 9.0) as usize;
    if value == 0.0 { "0".to_owned() } else { format!("{:.digits$}{sign}", value / unit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn steps_are_1_2_or_5() {
        assert_eq!(round_step(0.3), 0.5);
        assert_eq!(round_step(1.0), 1.0);
        assert_eq!(round_step(140.0), 200.0);
        assert!((round_step(0.06) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn a_round_axis_ends_at_ticks() {
        let axis = Axis::round([0.3, 2.3].into_iter(), 6);
        assert_eq!(labels(&axis), ["0", "0.5", "1.0", "1.5", "2.0", "2.5"]);
        assert_eq!([axis.share(0.0), axis.share(2.5)], [0.0, 1.0]);
    }

    #[test]
    fn a_tight_axis_ends_at_the_values() {
        let axis = Axis::tight([0.0, 890_000.0].into_iter(), 6);
        assert_eq!(labels(&axis), ["0", "200k", "400k", "600k", "800k"]);
        assert_eq!(axis.share(890_000.0), 1.0);
    }

    #[test]
    fn a_logarithmic_axis_has_ticks_at_powers_of_ten() {
        let axis = Axis::decades([2e-4, 5e-2, 3.0].into_iter());
        assert_eq!(labels(&axis), ["1e-3", "1e-2", "1e-1", "1e0"]);
        assert!(axis.share(2e-4).abs() < 1e-9 && (axis.share(3.0) - 1.0).abs() < 1e-9);
        assert_eq!(labels(&Axis::decades(std::iter::empty())), ["1e0", "1e1"]);
    }

    #[test]
    fn far_from_0_it_does_not_begin_there() {
        let axis = Axis::round([0.4, 0.9].into_iter(), 6);
        assert_eq!(labels(&axis).first().map(String::as_str), Some("0.4"));
        let below = Axis::round([-1.0, 1.0].into_iter(), 6);
        assert!(labels(&below).contains(&"0".to_owned()));
    }

    #[test]
    fn equal_and_extreme_values_have_few_different_ticks() {
        let cases: [&[f64]; 8] =
            [&[], &[0.0], &[3.0], &[-2e9], &[1e16, 1e16 + 2.0], &[-1e99, 1e99], &[5e-324], &[1e-310, 0.0]];
        for values in cases {
            for axis in [Axis::tight(values.iter().copied(), 8), Axis::round(values.iter().copied(), 6)] {
                let labels = labels(&axis);
                assert!((1..=32).contains(&labels.len()), "{values:?}: {labels:?}");
                for value in values {
                    assert!((-1e-9..=1.0 + 1e-9).contains(&axis.share(*value)), "{values:?}: {axis:?}");
                }
            }
        }
    }
}

//! A watch over the loader: the network should not wait for images.

use std::time::Duration;

use data::StageTimes;

/// Steps at the start that are not counted: caches are cold.
const IGNORED_STEPS: u32 = 5;
/// Training is judged by this much of its time, and at least so many steps.
const WINDOW: Duration = Duration::from_secs(20);
const WINDOW_STEPS: u32 = 10;
/// More than this fraction of the time spent waiting is said.
const STARVED: f64 = 0.25;

/// Sums the time that steps wait for their images.
#[derive(Default)]
pub(super) struct LoadWatch {
    steps: u32,
    counted: u32,
    waited: Duration,
    trained: Duration,
    /// The times of the loader at the start of the window.
    before: StageTimes,
    is_said: bool,
}

impl LoadWatch {
    /// Takes a step into account that waited for its images and then took `step`; `stages` are the loader's times so far.
    /// Returns a warning, once, if the loader is too slow.
    pub fn observe(&mut self, waited: Duration, step: Duration, stages: impl Fn() -> StageTimes) -> Option<String> {
        if self.is_said {
            return None;
        }
        self.steps = self.steps.saturating_add(1);
        if self.steps <= IGNORED_STEPS {
            self.before = stages();
            return None;
        }
        self.counted += 1;
        self.waited += waited;
        self.trained += waited + step;
        if self.trained < WINDOW || self.counted < WINDOW_STEPS {
            return None;
        }
        let share = self.waited.as_secs_f64() / self.trained.as_secs_f64();
        let now = stages();
        let [storage, decode, augment] =
            [(now.storage, self.before.storage), (now.decode, self.before.decode), (now.augment, self.before.augment)]
                .map(|(now, before)| now.saturating_sub(before));
        *self = Self { steps: self.steps, before: now, is_said: share > STARVED, ..Self::default() };
        self.is_said.then(|| message(share, storage, decode, augment))
    }
}

fn message(share: f64, storage: Duration, decode: Duration, augment: Duration) -> String {
    let all = (storage + decode + augment).as_secs_f64().max(1e-9);
    let (slowest, time, advice) = if decode >= storage && decode >= augment {
        ("decoding", decode, "a pack of raw images needs no decoding")
    } else if augment >= storage {
        ("augmentation", augment, "fewer of its settings (data.*) or more threads make it faster")
    } else {
        ("reading the pack", storage, "a faster disk, or memory for the whole pack, makes it faster")
    };
    format!(
        "the network waits for images {:.0} % of the time; {:.0} % of the loader's time goes to {slowest}: {advice}",
        share * 100.0,
        time.as_secs_f64() / all * 100.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(waited_ms: u64, step_ms: u64, stages: StageTimes) -> Vec<String> {
        let mut watch = LoadWatch::default();
        let mut calls = 0;
        (0..400)
            .filter_map(|_| {
                calls += 1;
                // The loader's clock stands still at first.
                let times = move || if calls <= IGNORED_STEPS { StageTimes::default() } else { stages };
                watch.observe(Duration::from_millis(waited_ms), Duration::from_millis(step_ms), times)
            })
            .collect()
    }

    #[test]
    fn a_starved_network_is_said_once_with_the_stage_at_fault() {
        let seconds = Duration::from_secs;
        let cases = [
            (StageTimes { decode: seconds(6), augment: seconds(2), ..StageTimes::default() }, "75 %", "decoding"),
            (StageTimes { augment: seconds(6), storage: seconds(2), ..StageTimes::default() }, "75 %", "augmentation"),
            (StageTimes { storage: seconds(3), ..StageTimes::default() }, "100 %", "reading the pack"),
        ];
        for (stages, share, slowest) in cases {
            let notes = notes(60, 40, stages);
            assert_eq!(notes.len(), 1, "{notes:?}");
            assert!(notes[0].contains("waits for images 60 % of the time"), "{}", notes[0]);
            assert!(notes[0].contains(&format!("{share} of the loader's time goes to {slowest}")), "{}", notes[0]);
        }
    }

    #[test]
    fn short_waits_are_not() {
        assert!(notes(20, 80, StageTimes::default()).is_empty());
    }
}

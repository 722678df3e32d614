//! The order of an epoch.

use std::ops::Range;

use tensor::random::{Stream, purpose};

use super::options::{LoaderOptions, Shuffle};
use crate::Pack;

/// Bytes of images that lie together and are read together: long enough for any disk to be near its full speed.
const RUN_BYTES: u64 = 8 << 20;

/// Which image comes when.
pub(super) struct Order {
    images: usize,
    batch: usize,
    /// None: as in the pack.
    shuffled: Option<Vec<u32>>,
    /// Of a windowed order: what is read when.
    reading: Option<Reading>,
}

/// The images in the order in which they are read, and where each window ends in it.
struct Reading {
    order: Vec<u32>,
    ends: Vec<usize>,
}

impl Order {
    pub fn new(options: &LoaderOptions, pack: &Pack, epoch: u64) -> Self {
        // `Loader::new` made sure that it fits.
        let n = u32::try_from(pack.len()).unwrap_or(u32::MAX);
        let stream = Stream::new(options.seed, purpose::SHUFFLE, epoch);
        let (shuffled, reading) = match options.shuffle {
            Shuffle::None => (None, None),
            Shuffle::Full => (Some(stream.permutation(n)), None),
            Shuffle::Window { bytes } => {
                let reading = Reading::new(&runs(pack, RUN_BYTES), |run| pack.bytes_of(run), bytes / 2, &stream);
                (Some(reading.shuffled(options.seed, epoch)), Some(reading))
            }
        };
        Self { shuffled, reading, images: pack.len(), batch: options.batch }
    }

    /// The places of batch `number` in the epoch.
    pub fn places(&self, number: usize) -> Range<usize> {
        let start = number.saturating_mul(self.batch).min(self.images);
        start..start.saturating_add(self.batch).min(self.images)
    }

    /// The images of batch `number`.
    pub fn batch(&self, number: usize) -> Vec<u64> {
        let places = self.places(number);
        match &self.shuffled {
            Some(order) => order[places].iter().map(|&index| u64::from(index)).collect(),
            None => (places.start as u64..places.end as u64).collect(),
        }
    }

    /// The images to be read into memory while batch `number` is made, if that is not just its own; `first` if it is
    /// the first one to be made.
    pub fn to_read(&self, number: usize, first: bool) -> Option<&[u32]> {
        let reading = self.reading.as_ref()?;
        let places = self.places(number);
        let from = reading.ahead(places.start);
        let to = reading.ahead(places.end);
        // Of the first one's own window nothing was read yet.
        let from = if first { reading.window(places.start).start } else { from };
        Some(&reading.order[from.min(to)..to])
    }
}

impl Reading {
    fn new(runs: &[Range<usize>], bytes_of: impl Fn(&Range<usize>) -> u64, window: u64, stream: &Stream) -> Self {
        let mut order = Vec::new();
        let mut ends = Vec::new();
        let mut bytes = 0;
        for run in stream.permutation(runs.len() as u32) {
            let run = &runs[run as usize];
            let more = bytes_of(run);
            if bytes > 0 && bytes + more > window {
                ends.push(order.len());
                bytes = 0;
            }
            bytes += more;
            order.extend(run.clone().map(|index| index as u32));
        }
        ends.push(order.len());
        Self { order, ends }
    }

    /// The images of each window in a random order.
    fn shuffled(&self, seed: u64, epoch: u64) -> Vec<u32> {
        let mut shuffled = Vec::with_capacity(self.order.len());
        let mut start = 0;
        for (number, &end) in (1..).zip(&self.ends) {
            let window = &self.order[start..end];
            let order = Stream::new(seed, purpose::SHUFFLE + number, epoch).permutation(window.len() as u32);
            shuffled.extend(order.into_iter().map(|place| window[place as usize]));
            start = end;
        }
        shuffled
    }

    /// The places of the window that `place` lies in.
    fn window(&self, place: usize) -> Range<usize> {
        let number = self.ends.partition_point(|&end| end <= place).min(self.ends.len() - 1);
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        start..self.ends[number]
    }

    /// How far reading is to have come when `place` is used: in the next window as far as in its own.
    fn ahead(&self, place: usize) -> usize {
        let this = self.window(place);
        let next = self.window(this.end).end - this.end.min(self.window(this.end).end);
        let share = place.saturating_sub(this.start) as u128 * next as u128 / this.len().max(1) as u128;
        this.end + share as usize
    }
}

/// Images that lie together, in runs of at most so many bytes and at least one image.
fn runs(pack: &Pack, bytes: u64) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    for shard in pack.shard_ranges() {
        let mut start = shard.start;
        for index in shard.clone() {
            if index > start && pack.bytes_of(&(start..index + 1)) > bytes {
                runs.push(start..index);
                start = index;
            }
        }
        runs.push(start..shard.end);
    }
    runs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(lengths: &[usize], window: u64, seed: u64, epoch: u64, batch: usize) -> Order {
        let mut runs = Vec::new();
        for &length in lengths {
            let start = runs.last().map_or(0, |run: &Range<usize>| run.end);
            runs.push(start..start + length);
        }
        let stream = Stream::new(seed, purpose::SHUFFLE, epoch);
        let reading = Reading::new(&runs, |run| run.len() as u64, window, &stream);
        let shuffled = Some(reading.shuffled(seed, epoch));
        Order { shuffled, images: reading.order.len(), reading: Some(reading), batch }
    }

    proptest! {
        /// Each image comes once; what a batch needs was read before; no more than two windows are read ahead.
        #[test]
        fn windows_hold_every_image_once_and_are_read_in_time(
            lengths in prop::collection::vec(1..9usize, 1..40),
            window in 1..60u64,
            batch in 1..20usize,
            seed: u64,
            first in 0..10usize,
        ) {
            let order = order(&lengths, window, seed, 3, batch);
            let n = order.images;
            let mut seen = order.shuffled.clone().unwrap();
            seen.sort_unstable();
            prop_assert!(seen.iter().copied().eq(0..n as u32));

            let batches = n.div_ceil(batch);
            let first = first % batches;
            let mut read: std::collections::BTreeSet<u32> = std::collections::BTreeSet::new();
            let longest = 2 * window.max(8) as usize + batch;
            for number in first..batches {
                read.extend(order.to_read(number, number == first).unwrap());
                for index in order.batch(number) {
                    prop_assert!(read.contains(&(index as u32)), "{index} of batch {number} was not read");
                }
                let used = order.places(number).end;
                let ahead = order.reading.as_ref().unwrap().ahead(used).saturating_sub(used);
                prop_assert!(ahead <= longest, "{ahead} of {longest}");
            }
        }
    }

    #[test]
    fn windows_mix_images_from_everywhere() {
        let order = order(&[5; 100], 100, 7, 0, 100);
        // Twenty runs of a hundred: nearly all tenths of the pack are in the first window.
        let tenths: std::collections::BTreeSet<u64> = order.batch(0).into_iter().map(|index| index / 50).collect();
        assert!(tenths.len() >= 7, "{tenths:?}");
        assert_eq!(order.reading.unwrap().ends, [100, 200, 300, 400, 500]);
    }
}

//! The order of images in an epoch.

use std::collections::BTreeMap;
use std::ops::Range;

use random::{Stream, purpose};

use super::options::{LoaderOptions, Shuffle};
use crate::dataset::Dataset;

/// Size in bytes of contiguous runs that are read together: long enough for near full speed on any disk.
const RUN_BYTES: u64 = 8 << 20;

/// Sampler of the images of an epoch.
pub(super) struct Sampler {
    images: usize,
    batch: usize,
    /// `None` for the order of the data set.
    shuffled: Option<Vec<u32>>,
    /// Read order for windowed shuffling.
    read_ahead: Option<ReadAhead>,
}

/// Order in which images are read, and the end of each window in it.
struct ReadAhead {
    order: Vec<u32>,
    ends: Vec<usize>,
}

impl Sampler {
    pub fn new(options: &LoaderOptions, dataset: &dyn Dataset, epoch: u64) -> Self {
        // Checked by `Loader::new`.
        let n = u32::try_from(dataset.len()).unwrap_or(u32::MAX);
        let stream = Stream::new(options.seed, purpose::SHUFFLE, epoch);
        let read_ahead = match options.shuffle {
            Shuffle::Window { bytes } => {
                let runs = contiguous_runs(dataset, RUN_BYTES);
                Some(ReadAhead::new(&runs, |run| dataset.bytes_of(run), bytes / 2, &stream))
            }
            Shuffle::None | Shuffle::Full | Shuffle::Balanced => None,
        };
        let shuffled = match options.shuffle {
            Shuffle::Full => Some(stream.permutation(n)),
            Shuffle::Balanced => {
                let images = balanced(options.seed, epoch, (0..n).map(|index| dataset.label(index as usize)));
                Some(stream.permutation(n).into_iter().map(|place| images[place as usize]).collect())
            }
            Shuffle::None | Shuffle::Window { .. } => {
                read_ahead.as_ref().map(|read_ahead| read_ahead.shuffled(options.seed, epoch))
            }
        };
        Self { shuffled, read_ahead, images: dataset.len(), batch: options.batch }
    }

    /// Positions in the epoch of batch `number`.
    pub fn positions(&self, number: usize) -> Range<usize> {
        let start = number.saturating_mul(self.batch).min(self.images);
        start..start.saturating_add(self.batch).min(self.images)
    }

    /// Indices of the images of batch `number`.
    pub fn batch(&self, number: usize) -> Vec<u64> {
        let positions = self.positions(number);
        match &self.shuffled {
            Some(order) => order[positions].iter().map(|&index| u64::from(index)).collect(),
            None => (positions.start as u64..positions.end as u64).collect(),
        }
    }

    /// Images to read into memory while batch `number` is made, or `None` if just its own. `first` marks the first
    /// batch made.
    pub fn images_to_prefetch(&self, number: usize, first: bool) -> Option<&[u32]> {
        let read_ahead = self.read_ahead.as_ref()?;
        let positions = self.positions(number);
        let start = read_ahead.read_until(positions.start);
        let end = read_ahead.read_until(positions.end);
        // Nothing of the first batch's window has been read yet.
        let start = if first { read_ahead.window(positions.start).start } else { start };
        Some(&read_ahead.order[start.min(end)..end])
    }
}

impl ReadAhead {
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

    /// The read order with each window shuffled.
    fn shuffled(&self, seed: u64, epoch: u64) -> Vec<u32> {
        let mut shuffled = Vec::with_capacity(self.order.len());
        let mut start = 0;
        for (number, &end) in (1..).zip(&self.ends) {
            let window = &self.order[start..end];
            let order = Stream::new(seed, purpose::SHUFFLE + number, epoch).permutation(window.len() as u32);
            shuffled.extend(order.into_iter().map(|position| window[position as usize]));
            start = end;
        }
        shuffled
    }

    /// Range of the window that contains `position`.
    fn window(&self, position: usize) -> Range<usize> {
        let number = self.ends.partition_point(|&end| end <= position).min(self.ends.len() - 1);
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        start..self.ends[number]
    }

    /// Read position to reach when `position` is used: the next window is read at the rate its own is consumed.
    fn read_until(&self, position: usize) -> usize {
        let this = self.window(position);
        let next = self.window(this.end).end - this.end.min(self.window(this.end).end);
        let share = position.saturating_sub(this.start) as u128 * next as u128 / this.len().max(1) as u128;
        this.end + share as usize
    }
}

/// The images of an epoch with as many of each class, class by class. Each class goes through a permutation of its images
/// after the other, and each epoch goes on where the one before it ended.
fn balanced(seed: u64, epoch: u64, labels: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut classes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut n = 0;
    for (index, label) in (0..).zip(labels) {
        classes.entry(label).or_default().push(index);
        n += 1;
    }
    let mut images = Vec::with_capacity(n);
    for (number, (&label, of_class)) in classes.iter().enumerate() {
        let places = n / classes.len() + usize::from(number < n % classes.len());
        let first = epoch * places as u64;
        let length = of_class.len() as u64;
        let mut round = None;
        let mut order = Vec::new();
        for place in first..first + places as u64 {
            if round != Some(place / length) {
                round = Some(place / length);
                order = Stream::new(seed, purpose::SHUFFLE + 1 + label, place / length).permutation(length as u32);
            }
            images.push(of_class[order[(place % length) as usize] as usize]);
        }
    }
    images
}

/// Runs of contiguous images of at most `bytes` each, or a single larger image.
fn contiguous_runs(dataset: &dyn Dataset, bytes: u64) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    for range in dataset.ranges() {
        let mut start = range.start;
        for index in range.clone() {
            if index > start && dataset.bytes_of(&(start..index + 1)) > bytes {
                runs.push(start..index);
                start = index;
            }
        }
        runs.push(start..range.end);
    }
    runs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sampler(lengths: &[usize], window: u64, seed: u64, epoch: u64, batch: usize) -> Sampler {
        let mut runs = Vec::new();
        for &length in lengths {
            let start = runs.last().map_or(0, |run: &Range<usize>| run.end);
            runs.push(start..start + length);
        }
        let stream = Stream::new(seed, purpose::SHUFFLE, epoch);
        let read_ahead = ReadAhead::new(&runs, |run| run.len() as u64, window, &stream);
        let shuffled = Some(read_ahead.shuffled(seed, epoch));
        Sampler { shuffled, images: read_ahead.order.len(), read_ahead: Some(read_ahead), batch }
    }

    proptest! {
        /// Each image appears once, is read before its batch, and no more than two windows are read ahead.
        #[test]
        fn windows_hold_every_image_once_and_are_read_in_time(
            lengths in prop::collection::vec(1..9usize, 1..40),
            window in 1..60u64,
            batch in 1..20usize,
            seed: u64,
            first in 0..10usize,
        ) {
            let sampler = sampler(&lengths, window, seed, 3, batch);
            let n = sampler.images;
            let mut seen = sampler.shuffled.clone().unwrap();
            seen.sort_unstable();
            prop_assert!(seen.iter().copied().eq(0..n as u32));

            let batches = n.div_ceil(batch);
            let first = first % batches;
            let mut read: std::collections::BTreeSet<u32> = std::collections::BTreeSet::new();
            let longest = 2 * window.max(8) as usize + batch;
            for number in first..batches {
                read.extend(sampler.images_to_prefetch(number, number == first).unwrap());
                for index in sampler.batch(number) {
                    prop_assert!(read.contains(&(index as u32)), "{index} of batch {number} was not read");
                }
                let used = sampler.positions(number).end;
                let ahead = sampler.read_ahead.as_ref().unwrap().read_until(used).saturating_sub(used);
                prop_assert!(ahead <= longest, "{ahead} of {longest}");
            }
        }
    }

    /// Images that count alone.
    struct Images(usize);

    impl Dataset for Images {
        fn len(&self) -> usize {
            self.0
        }

        fn size(&self) -> usize {
            1
        }

        fn classes(&self) -> &[String] {
            &[]
        }

        fn label(&self, _: usize) -> u32 {
            0
        }

        fn read(&self, _: usize) -> Result<crate::ImageContent, crate::BadImage> {
            Err(crate::BadImage::Empty)
        }
    }

    proptest! {
        /// The order of an epoch is the permutation of its stream, cut into batches; without shuffling, it counts.
        #[test]
        fn a_full_shuffle_is_the_permutation_of_its_stream(n in 1..200usize, batch in 1..30usize, seed: u64, epoch in 0..9u64) {
            let options = LoaderOptions { batch, seed, shuffle: Shuffle::Full, ..LoaderOptions::default() };
            let sampler = Sampler::new(&options, &Images(n), epoch);
            let order: Vec<u64> = (0..n.div_ceil(batch)).flat_map(|number| sampler.batch(number)).collect();
            let expected = Stream::new(seed, purpose::SHUFFLE, epoch).permutation(n as u32);
            prop_assert!(order.into_iter().eq(expected.into_iter().map(u64::from)));
            prop_assert!(sampler.images_to_prefetch(0, true).is_none());
            prop_assert!((0..n.div_ceil(batch)).all(|number| sampler.batch(number).len() <= batch));

            let plain = Sampler::new(&LoaderOptions { shuffle: Shuffle::None, ..options }, &Images(n), epoch);
            let order: Vec<u64> = (0..n.div_ceil(batch)).flat_map(|number| plain.batch(number)).collect();
            prop_assert!(order.into_iter().eq(0..n as u64));
        }
    }

    proptest! {
        /// Each class has its share of every epoch, and over the epochs its images occur equally often.
        #[test]
        fn a_balanced_order_has_as_many_images_of_each_class(
            counts in prop::collection::vec(0..12usize, 1..6).prop_filter("some images", |c| c.iter().sum::<usize>() > 0),
            seed: u64,
            epochs in 1..9u64,
        ) {
            let labels: Vec<u32> = (0..).zip(&counts).flat_map(|(label, &count)| vec![label; count]).collect();
            let full = counts.iter().filter(|&&count| count > 0).count();
            let mut uses = vec![0; labels.len()];
            for epoch in 0..epochs {
                let order = balanced(seed, epoch, labels.iter().copied());
                prop_assert_eq!(order.len(), labels.len());
                prop_assert_eq!(&order, &balanced(seed, epoch, labels.iter().copied()));
                let mut places = vec![0; counts.len()];
                for &index in &order {
                    uses[index as usize] += 1;
                    places[labels[index as usize] as usize] += 1;
                }
                let share = labels.len() / full;
                let is_fair = |(&places, &count): (&usize, &usize)| {
                    if count == 0 { places == 0 } else { places == share || places == share + 1 }
                };
                prop_assert!(places.iter().zip(&counts).all(is_fair), "{places:?} of {counts:?}");
            }
            for label in 0..counts.len() as u32 {
                let of_class: Vec<i32> = uses.iter().zip(&labels).filter(|(_, l)| **l == label).map(|(u, _)| *u).collect();
                let most = of_class.iter().max().copied().unwrap_or(0);
                let least = of_class.iter().min().copied().unwrap_or(0);
                prop_assert!(most - least <= 1, "{of_class:?}");
            }
        }
    }

    #[test]
    fn windows_mix_images_from_everywhere() {
        let sampler = sampler(&[5; 100], 100, 7, 0, 100);
        // Each window holds twenty of a hundred runs, from nearly all tenths of the pack.
        let tenths: std::collections::BTreeSet<u64> = sampler.batch(0).into_iter().map(|index| index / 50).collect();
        assert!(tenths.len() >= 7, "{tenths:?}");
        assert_eq!(sampler.read_ahead.unwrap().ends, [100, 200, 300, 400, 500]);
    }
}

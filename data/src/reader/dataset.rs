//! A pack as a data set.

use std::ops::Range;

use super::{Pack, shard};
use crate::dataset::{Dataset, ImageContent};
use crate::decode::Image;
use crate::error::{BadImage, Result};
use crate::format::Storage;
use crate::statistics::Statistics;

/// Raw images are read in the mapped file. They are valid if [`Dataset::load`] succeeded before and
/// [`Dataset::check_unchanged`] succeeds after they are used.
impl Dataset for Pack {
    fn len(&self) -> usize {
        self.len
    }

    fn size(&self) -> usize {
        self.size
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> u32 {
        Pack::label(self, index)
    }

    fn read(&self, index: usize) -> Result<ImageContent, BadImage> {
        let pixels = self.pixels(index).map_err(|e| BadImage::Damaged(e.to_string()))?.into_owned();
        let wrong = || BadImage::ZeroSize { width: self.size as u64, height: self.size as u64 };
        Image::new(self.size, self.size, pixels).map(ImageContent::Pixels).ok_or_else(wrong)
    }

    fn name(&self, index: usize) -> String {
        Pack::name(self, index)
    }

    fn known_statistics(&self) -> Option<&Statistics> {
        Some(&self.statistics)
    }

    fn read_region(&self, index: usize, rows: Range<usize>, columns: Range<usize>, out: &mut [u8]) -> Result<()> {
        let stored = self.stored(index)?;
        match self.storage {
            Storage::Raw => out.copy_from_slice(stored),
            Storage::Jpeg { .. } => self.decode(index, stored, rows, columns, out)?,
        }
        Ok(())
    }

    fn is_in_memory(&self) -> bool {
        self.storage == Storage::Raw
    }

    fn pixels_in_memory(&self, index: usize) -> &[u8] {
        let (shard, record) = self.locate(index);
        shard.mapped(record)
    }

    fn load(&self, index: usize) -> Result<()> {
        shard::touch_pages(self.stored(index)?);
        Ok(())
    }

    fn check_unchanged(&self, images: &[u64]) -> Result<()> {
        let mut seen = vec![false; self.shards.len()];
        for &index in images {
            let number = self.starts.partition_point(|&start| start <= index as usize) - 1;
            if !std::mem::replace(&mut seen[number], true) {
                self.shards[number].check_unchanged()?;
            }
        }
        Ok(())
    }

    /// The images were read where they are mapped.
    fn release(&self, images: usize) {
        self.count_read((images * self.image_bytes()) as u64);
    }

    fn prefetch(&self, index: usize) {
        let (shard, record) = self.locate(index);
        shard.prefetch(record);
    }

    /// The images of each shard.
    fn ranges(&self) -> Vec<Range<usize>> {
        let ranges = self.starts.iter().zip(&self.shards).map(|(&start, shard)| start..start + shard.labels.len());
        ranges.filter(|range| !range.is_empty()).collect()
    }

    fn bytes_of(&self, images: &Range<usize>) -> u64 {
        if images.is_empty() {
            return 0;
        }
        let (shard, record) = self.locate(images.start);
        shard.bytes(record..record + images.len())
    }
}

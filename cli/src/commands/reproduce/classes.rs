//! Some classes of a pack, as packs of their own.

use std::path::Path;

use data::{BadImage, Dataset, DecodeOptions, ImageContent, Pack, PackWriter, PackWriterOptions};

use super::super::selected::spread;
use super::images::Packs;
use crate::console::{count, note};
use crate::failure::{Failure, Result};

/// The images of some classes of a pack, whose labels count those classes.
struct ClassSubset<'a> {
    whole: &'a Pack,
    classes: Vec<String>,
    /// The images with their new labels.
    images: Vec<(usize, u32)>,
}

impl<'a> ClassSubset<'a> {
    /// The images of the classes of these numbers.
    fn new(whole: &'a Pack, chosen: &[usize]) -> Self {
        let label_of = |index: &usize| {
            let label = whole.label(*index) as usize;
            chosen.iter().position(|class| *class == label).map(|label| (*index, label as u32))
        };
        let classes = chosen.iter().map(|class| whole.classes()[*class].clone()).collect();
        Self { whole, classes, images: (0..whole.len()).filter_map(|index| label_of(&index)).collect() }
    }
}

impl Dataset for ClassSubset<'_> {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn size(&self) -> usize {
        self.whole.size()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> u32 {
        self.images[index].1
    }

    fn read(&self, index: usize) -> std::result::Result<ImageContent, BadImage> {
        Dataset::read(self.whole, self.images[index].0)
    }

    fn name(&self, index: usize) -> String {
        self.whole.name(self.images[index].0)
    }

    fn decode_options(&self) -> DecodeOptions {
        Dataset::decode_options(self.whole)
    }
}

/// Packs of `count` classes at even distances in the list of classes, made in `folder` unless they are there.
pub fn subset(packs: &Packs, count: usize, folder: &Path) -> Result<Packs> {
    let train = Pack::open(&packs.train)?;
    let val = Pack::open(&packs.val)?;
    let all = train.classes().len();
    if count > all {
        let what = format!("the budget takes {count} classes, and the packs have {all}");
        return Err(Failure::Usage(format!("--data: {what}; give others, or --budget full")));
    }
    if count == all {
        return Ok(packs.clone());
    }
    let chosen = spread(all, count);
    let some = Packs { train: folder.join("train.pack"), val: folder.join("val.pack") };
    write(&ClassSubset::new(&train, &chosen), &some.train)?;
    write(&ClassSubset::new(&val, &chosen), &some.val)?;
    Ok(some)
}

fn write(images: &ClassSubset<'_>, out: &Path) -> Result<()> {
    let is_there = |pack: &Pack| pack.classes() == images.classes() && pack.len() == images.len();
    if Pack::is_at(out) && Pack::open(out).is_ok_and(|pack| is_there(&pack)) {
        return Ok(());
    }
    let options =
        PackWriterOptions { size: images.size(), storage: images.whole.storage(), ..PackWriterOptions::default() };
    let mut writer = PackWriter::create(out, images.classes(), options)?;
    writer.push_all(images)?;
    let report = writer.finish()?;
    let images = count(report.images as u64, "image");
    note(&format!("{}: {images} of {} classes", out.display(), report.classes));
    Ok(())
}

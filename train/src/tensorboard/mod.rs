//! Event files of TensorBoard: scalars, histograms, images and text.
//!
//! A file is a sequence of records, each a protobuf message `Event` (TensorFlow, `core/util/event.proto`).

mod proto;
mod record;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Cursor, Write};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use image::{ImageFormat, RgbImage};
use prost::Message;
use proto::{Content, Event, Summary, Value, What};

/// Seconds between flushes of the file.
const FLUSH_S: u64 = 10;
const BUCKETS: usize = 64;

/// An event file of TensorBoard, open for appending.
///
/// ```
/// use alexnet_train::tensorboard::EventFile;
///
/// let folder = tempfile::tempdir()?;
/// let mut events = EventFile::create(folder.path(), 0)?;
/// events.text(0, "settings", "`optim.lr = 0.01`")?;
/// for step in 1..=100 {
///     events.scalar(step, "train/loss", 2.3 / step as f64)?;
/// }
/// events.histogram(100, "weights/conv1", &[-0.5, 0.25, 0.5])?;
/// events.flush()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct EventFile {
    file: BufWriter<File>,
    flushed: Instant,
}

impl EventFile {
    /// Creates a file in `folder`, which is made if it does not exist. TensorBoard drops what earlier files of the folder
    /// hold of the steps after `step`: those of a run that was resumed from a checkpoint.
    ///
    /// # Errors
    /// Those of the system.
    pub fn create(folder: &Path, step: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let now = wall_time();
        let mut file = None;
        // TensorBoard reads files in the order of their names, and takes those with `tfevents` in them.
        for number in 0..1000 {
            let name = format!("events.out.tfevents.{:010}.{:03}", now as u64, number);
            match OpenOptions::new().write(true).create_new(true).open(folder.join(name)) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                opened => {
                    file = Some(opened?);
                    break;
                }
            }
        }
        let file = file.ok_or_else(|| io::Error::other("there are 1000 event files of this second"))?;
        let mut events = Self { file: BufWriter::new(file), flushed: Instant::now() };
        events.write(0, What::FileVersion("brain.Event:2".into()))?;
        if step > 0 {
            events.write(step + 1, What::Session(proto::SessionLog { status: proto::START }))?;
        }
        events.flush()?;
        Ok(events)
    }

    /// Writes a number.
    ///
    /// # Errors
    /// Those of the system.
    pub fn scalar(&mut self, step: u64, tag: &str, value: f64) -> io::Result<()> {
        self.value(step, tag, None, Content::Scalar(value as f32))
    }

    /// Writes a text in Markdown.
    ///
    /// # Errors
    /// Those of the system.
    pub fn text(&mut self, step: u64, tag: &str, text: &str) -> io::Result<()> {
        let shape = proto::Shape { dim: vec![proto::Dim { size: 1 }] };
        let tensor =
            proto::Tensor { dtype: proto::STRING, shape: Some(shape), strings: vec![text.as_bytes().to_vec()] };
        let plugin = proto::Plugin { name: "text".into() };
        self.value(step, tag, Some(proto::Metadata { plugin: Some(plugin) }), Content::Tensor(tensor))
    }

    /// Writes an image.
    ///
    /// # Errors
    /// Those of the system, and of an image that PNG cannot hold.
    pub fn image(&mut self, step: u64, tag: &str, image: &RgbImage) -> io::Result<()> {
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png).map_err(io::Error::other)?;
        let image = proto::Image {
            height: image.height() as i32,
            width: image.width() as i32,
            colorspace: 3,
            encoded: png.into_inner(),
        };
        self.value(step, tag, None, Content::Image(image))
    }

    /// Writes the histogram of the finite ones among `values`; nothing if there are none.
    ///
    /// # Errors
    /// Those of the system.
    pub fn histogram(&mut self, step: u64, tag: &str, values: &[f32]) -> io::Result<()> {
        match histogram(values) {
            Some(histogram) => self.value(step, tag, None, Content::Histogram(histogram)),
            None => Ok(()),
        }
    }

    /// Hands everything written to the system.
    ///
    /// # Errors
    /// Those of the system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.flushed = Instant::now();
        self.file.flush()
    }

    fn value(&mut self, step: u64, tag: &str, metadata: Option<proto::Metadata>, content: Content) -> io::Result<()> {
        let value = Value { tag: tag.into(), metadata, content: Some(content) };
        self.write(step, What::Summary(Summary { value: vec![value] }))
    }

    fn write(&mut self, step: u64, what: What) -> io::Result<()> {
        let event = Event { wall_time: wall_time(), step: step as i64, what: Some(what) };
        record::write(&mut self.file, &event.encode_to_vec())?;
        if self.flushed.elapsed().as_secs() >= FLUSH_S {
            self.flush()?;
        }
        Ok(())
    }
}

/// Seconds since 1970.
fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// Buckets of equal width from the smallest to the largest finite value.
fn histogram(values: &[f32]) -> Option<proto::Histogram> {
    let finite = || values.iter().map(|v| f64::from(*v)).filter(|v| v.is_finite());
    let min = finite().reduce(f64::min)?;
    let max = finite().reduce(f64::max)?;
    let width = ((max - min) / BUCKETS as f64).max(f64::MIN_POSITIVE);
    let mut bucket = vec![0.0; BUCKETS];
    for value in finite() {
        bucket[(((value - min) / width) as usize).min(BUCKETS - 1)] += 1.0;
    }
    Some(proto::Histogram {
        min,
        max,
        num: finite().count() as f64,
        sum: finite().sum(),
        sum_squares: finite().map(|v| v * v).sum(),
        bucket_limit: (1..=BUCKETS).map(|right| min + width * right as f64).collect(),
        bucket,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_count_each_finite_value_once() {
        let values = [0.0, 1.0, 0.5, f32::NAN, f32::INFINITY, -1.0];
        let found = histogram(&values).unwrap();
        assert_eq!((found.min, found.max, found.num, found.sum, found.sum_squares), (-1.0, 1.0, 4.0, 0.5, 2.25));
        assert_eq!(found.bucket.iter().sum::<f64>(), 4.0);
        assert_eq!((found.bucket[0], found.bucket[BUCKETS - 1]), (1.0, 1.0));
        assert!((found.bucket_limit[BUCKETS - 1] - 1.0).abs() < 1e-12);
        assert_eq!(histogram(&[f32::NAN]), None);
        assert_eq!(histogram(&[0.25; 7]).unwrap().bucket[0], 7.0);
    }

    /// A file of a resumed run begins with the step from which on earlier files are dropped.
    #[test]
    fn files_of_one_second_do_not_replace_each_other() {
        let folder = tempfile::tempdir().unwrap();
        for step in [0, 7] {
            EventFile::create(folder.path(), step).unwrap().scalar(step + 1, "loss", 1.5).unwrap();
        }
        let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert_eq!(files.len(), 2);
        let events: Vec<Vec<Event>> = files.iter().map(|path| events(&fs::read(path).unwrap())).collect();
        assert_eq!(events[0].len(), 2);
        assert_eq!((events[1][1].step, events[1][2].step), (8, 8));
        assert_eq!(events[1][1].what, Some(What::Session(proto::SessionLog { status: proto::START })));
    }

    fn events(mut bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(length) = bytes.first_chunk::<8>() {
            let length = u64::from_le_bytes(*length) as usize;
            events.push(Event::decode(&bytes[12..12 + length]).unwrap());
            bytes = &bytes[16 + length..];
        }
        events
    }
}

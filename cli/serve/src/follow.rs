//! A run as it trains: its state, and its curves from the lines of its logs as they come.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use files::regular_file;
use serde::Serialize;
use serde::de::DeserializeOwned;
use train::log::{StepLine, ValidationLine};
use train::runs::RunSummary;

/// Points of a curve from which on two become one.
const MOST_POINTS: usize = 600;
/// Bytes of a line that is no line of a log.
const LONGEST_LINE: usize = 1 << 20;
/// Bytes that are read of a log at once.
const PART: u64 = 4 << 20;

/// A run at a moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RunReport {
    name: String,
    network: String,
    state: String,
    message: Option<String>,
    step: u64,
    epoch: u64,
    /// Epochs that the run is to train.
    epochs: u64,
    /// Steps of an epoch; null until the second one begins.
    steps_per_epoch: Option<u64>,
    loss: Option<f64>,
    images_per_s: Option<f64>,
    best: Option<train::run::Best>,
    settings: toml::Table,
    training: Vec<TrainingPoint>,
    validation: Vec<ValidationPoint>,
}

/// Means of consecutive steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct TrainingPoint {
    step: f64,
    loss: f64,
    top1_error: f64,
    rate: f64,
    images_per_s: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct ValidationPoint {
    step: u64,
    loss: f64,
    top1_error: f64,
    top5_error: f64,
}

/// Reads what is new in the folder of a run.
#[derive(Debug)]
pub(crate) struct Follower {
    folder: PathBuf,
    steps: Tail,
    validations: Tail,
    training: Curve,
    epochs: EpochLength,
    validation: Vec<ValidationPoint>,
}

impl Follower {
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            steps: Tail::new(folder.join("log.jsonl")),
            validations: Tail::new(folder.join("validation.jsonl")),
            training: Curve::default(),
            epochs: EpochLength::default(),
            validation: Vec::new(),
        }
    }

    /// Reads what is new. A message if the run cannot be read.
    pub fn look(&mut self) -> Result<RunReport, String> {
        let summary = RunSummary::read(&self.folder).map_err(|error| error.to_string())?;
        self.read_logs().map_err(|error| format!("a log of the run cannot be read: {error}"))?;
        let name = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        let epochs = summary.settings.get("run").and_then(|run| run.get("epochs")).and_then(toml::Value::as_integer);
        Ok(RunReport {
            name: name.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            network: summary.network,
            state: summary.state.to_string(),
            message: summary.message,
            step: summary.step,
            epoch: summary.epoch,
            epochs: epochs.and_then(|epochs| epochs.try_into().ok()).unwrap_or(0),
            steps_per_epoch: self.epochs.steps,
            loss: summary.loss,
            images_per_s: summary.images_per_s,
            best: summary.best,
            settings: summary.settings,
            training: self.training.points(),
            validation: self.validation.clone(),
        })
    }

    fn read_logs(&mut self) -> io::Result<()> {
        let Self { steps, validations, training, epochs, validation, .. } = self;
        steps.read(|line| match line {
            TailEvent::Restart => {
                *training = Curve::default();
                *epochs = EpochLength::default();
            }
            TailEvent::Line(line) => {
                let Some(line) = parse::<StepLine>(line) else { return };
                epochs.see(&line);
                training.add(&line);
            }
        })?;
        validations.read(|line| match line {
            TailEvent::Restart => validation.clear(),
            TailEvent::Line(line) => validation.extend(parse(line).map(|line: ValidationLine| ValidationPoint {
                step: line.step,
                loss: line.loss,
                top1_error: line.top1_error,
                top5_error: line.top5_error,
            })),
        })
    }
}

/// The value of a line; `None` if it is damaged.
fn parse<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    serde_json::from_slice(line).ok()
}

/// A curve of at most [`MOST_POINTS`] points, each the mean of as many steps as the others.
#[derive(Clone, Debug)]
struct Curve {
    /// Sums of steps.
    sums: Vec<TrainingPoint>,
    /// Steps of a complete point.
    each: usize,
    /// Steps of the last point.
    last: usize,
}

impl Default for Curve {
    fn default() -> Self {
        Self { sums: Vec::new(), each: 1, last: 1 }
    }
}

/// The number of steps of an epoch, from the first step of the first two epochs of a log.
#[derive(Clone, Copy, Debug, Default)]
struct EpochLength {
    /// Step and epoch of the first line.
    first: Option<(u64, u64)>,
    steps: Option<u64>,
}

impl EpochLength {
    fn see(&mut self, line: &StepLine) {
        let (step, epoch) = *self.first.get_or_insert((line.step, line.epoch));
        if self.steps.is_none() && line.epoch != epoch {
            self.steps = line.step.checked_sub(step).filter(|steps| *steps > 0);
        }
    }
}

impl Curve {
    fn add(&mut self, line: &StepLine) {
        let step = TrainingPoint {
            step: line.step as f64,
            loss: line.loss,
            top1_error: line.top1_error,
            rate: line.rate,
            images_per_s: line.images_per_s,
        };
        match self.sums.last_mut() {
            Some(sum) if self.last < self.each => {
                *sum = sum.plus(&step);
                self.last += 1;
                return;
            }
            _ => {}
        }
        if self.sums.len() == MOST_POINTS {
            self.sums = self.sums.chunks(2).map(|pair| pair[0].plus(&pair[1])).collect();
            self.each *= 2;
        }
        self.sums.push(step);
        self.last = 1;
    }

    /// The points. The steps of an incomplete last one count to the one before: a mean of a few would be a spike.
    fn points(&self) -> Vec<TrainingPoint> {
        let over_each = |sums: &[TrainingPoint]| sums.iter().map(|sum| sum.over(self.each)).collect();
        match self.sums.as_slice() {
            [complete @ .., before, last] if self.last < self.each => {
                let mut points: Vec<TrainingPoint> = over_each(complete);
                points.push(before.plus(last).over(self.each + self.last));
                points
            }
            all => over_each(all),
        }
    }
}

impl TrainingPoint {
    fn plus(&self, other: &Self) -> Self {
        Self {
            step: self.step + other.step,
            loss: self.loss + other.loss,
            top1_error: self.top1_error + other.top1_error,
            rate: self.rate + other.rate,
            images_per_s: self.images_per_s + other.images_per_s,
        }
    }

    fn over(&self, count: usize) -> Self {
        let n = count as f64;
        Self {
            step: self.step / n,
            loss: self.loss / n,
            top1_error: self.top1_error / n,
            rate: self.rate / n,
            images_per_s: self.images_per_s / n,
        }
    }
}

/// A log that another process appends to, or replaces when it resumes a run.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    /// Number of the file in its file system.
    number: Option<u64>,
    /// Bytes that have been read.
    read: u64,
    /// The beginning of a line.
    begun: Vec<u8>,
}

enum TailEvent<'a> {
    /// The file was replaced: lines that were read before are void.
    Restart,
    /// A line, without its end.
    Line(&'a [u8]),
}

impl Tail {
    fn new(path: PathBuf) -> Self {
        Self { path, number: None, read: 0, begun: Vec::new() }
    }

    /// Reads what is new and calls `take` with each complete line.
    fn read(&mut self, mut take: impl FnMut(TailEvent<'_>)) -> io::Result<()> {
        let mut file = match regular_file::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        let length = file.metadata()?.len();
        let number = file_number(&file)?;
        if self.number != Some(number) || length < self.read {
            *self = Self { number: Some(number), ..Self::new(std::mem::take(&mut self.path)) };
            take(TailEvent::Restart);
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let count = (&mut file).take(PART).read_to_end(&mut bytes)?;
            if count == 0 {
                return Ok(());
            }
            self.read += count as u64;
            self.split(&bytes, &mut take);
        }
    }

    fn split(&mut self, mut bytes: &[u8], take: &mut impl FnMut(TailEvent<'_>)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(&bytes[..end]);
            take(TailEvent::Line(&self.begun));
            self.begun.clear();
            bytes = &bytes[end + 1..];
        }
        self.begun.extend_from_slice(bytes);
        // A longer line is none of a log; its rest will be another one, and damaged.
        if self.begun.len() > LONGEST_LINE {
            self.begun.clear();
        }
    }
}

#[cfg(unix)]
fn file_number(file: &File) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.ino())
}

#[cfg(not(unix))]
fn file_number(_: &File) -> io::Result<u64> {
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn line(step: u64) -> StepLine {
        StepLine {
            step,
            epoch: 1,
            loss: step as f64,
            top1_error: 0.5,
            rate: 0.1,
            images_per_s: 100.0,
            wait_s: 0.0,
            seconds: 0.0,
            time: String::new(),
        }
    }

    #[test]
    fn points_are_means_of_equally_many_steps() {
        let mut curve = Curve::default();
        assert_eq!(curve.points(), []);
        let steps = 5 * MOST_POINTS as u64 + 1;
        (1..=steps).for_each(|step| curve.add(&line(step)));
        let points = curve.points();
        assert_eq!(curve.each, 8);
        assert_eq!(points.len(), steps as usize / 8);
        assert_eq!((points[0].loss, points[1].step), (4.5, 12.5));
        let last = points[points.len() - 1];
        // One step is left over.
        let first_of_last = steps - 8;
        assert_eq!(last.step, (first_of_last + steps) as f64 / 2.0);
        assert!(points.iter().all(|point| (point.rate - 0.1).abs() < 1e-12 && point.top1_error == 0.5));
    }

    #[test]
    fn the_second_epoch_tells_the_length_of_the_first() {
        let mut epochs = EpochLength::default();
        for step in 1..=7 {
            epochs.see(&StepLine { epoch: 1 + (step - 1) / 3, ..line(step) });
            assert_eq!(epochs.steps, (step > 3).then_some(3), "{step}");
        }
    }

    fn new_lines(tail: &mut Tail) -> Vec<String> {
        let mut lines = Vec::new();
        let read = tail.read(|event| match event {
            TailEvent::Restart => lines.push("restart".into()),
            TailEvent::Line(line) => lines.push(String::from_utf8_lossy(line).into_owned()),
        });
        read.unwrap();
        lines
    }

    #[test]
    fn a_log_is_read_as_it_grows_and_anew_if_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut tail = Tail::new(path.clone());
        assert!(new_lines(&mut tail).is_empty());
        std::fs::write(&path, "one\ntw").unwrap();
        assert_eq!(new_lines(&mut tail), ["restart", "one"]);
        assert!(new_lines(&mut tail).is_empty());
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"o\nthree\n").unwrap();
        assert_eq!(new_lines(&mut tail), ["two", "three"]);
        file.set_len(4).unwrap();
        assert_eq!(new_lines(&mut tail), ["restart", "one"]);
        files::replace_bytes(&path, b"one\nother\nlonger than before\n").unwrap();
        assert_eq!(new_lines(&mut tail), ["restart", "one", "other", "longer than before"]);
    }
}

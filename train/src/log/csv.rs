//! `metrics.csv`: a row per epoch, for spreadsheets.

use std::path::Path;

use super::{EpochLine, Log, ValidationLine, retain};
use crate::Result;

const HEADER: &str = "epoch,step,train_loss,train_top1_error,validation_loss,validation_top1_error,\
validation_top5_error,learning_rate,images_per_s,wait_share,seconds,time";

/// A file of comma-separated values whose rows begin with an epoch, open for appending.
#[derive(Debug)]
pub(crate) struct Csv(Log);

impl Csv {
    /// Opens the file, and removes the rows after `last_epoch`, which a run resumed from a checkpoint writes again.
    pub fn open(path: &Path, header: &str, last_epoch: u64) -> Result<Self> {
        let epoch = |row: &str| row.split(',').next().and_then(|epoch| epoch.parse::<u64>().ok());
        retain(path, |row| row == header || epoch(row).is_some_and(|epoch| epoch <= last_epoch))?;
        let mut log = Log::append_to(path)?;
        if path.metadata().is_ok_and(|file| file.len() == 0) {
            log.append_text(header);
        }
        Ok(Self(log))
    }

    /// Appends a row. Returns a message for the user if it cannot be written for the first time.
    pub fn append(&mut self, row: &str) -> Option<String> {
        self.0.append_text(row)
    }
}

/// The file `metrics.csv` of a run, open for appending.
#[derive(Debug)]
pub struct MetricsCsv(Csv);

impl MetricsCsv {
    /// Opens the file, and removes the rows after `last_epoch`, which a run resumed from a checkpoint writes again.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) if it cannot be read or written.
    pub fn open(path: &Path, last_epoch: u64) -> Result<Self> {
        Ok(Self(Csv::open(path, HEADER, last_epoch)?))
    }

    /// Appends the row of an epoch. Returns a message for the user if it cannot be written for the first time.
    pub fn append(&mut self, epoch: &EpochLine, validation: Option<&ValidationLine>) -> Option<String> {
        let validation = validation.map_or(",,".to_string(), |validation| {
            format!("{},{},{}", validation.loss, validation.top1_error, validation.top5_error)
        });
        let EpochLine { epoch, step, train_loss, train_top1_error, rate, images_per_s, wait_share, seconds, time } =
            epoch;
        self.0.append(&format!(
            "{epoch},{step},{train_loss},{train_top1_error},{validation},{rate},{images_per_s:.1},{wait_share:.3},{seconds},{time}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: u64, step: u64) -> EpochLine {
        EpochLine {
            epoch,
            step,
            train_loss: 1.5,
            train_top1_error: 0.25,
            rate: 0.01,
            images_per_s: 80.0,
            wait_share: 0.5,
            seconds: 2.5,
            time: "2026-01-01T00:00:00Z".into(),
        }
    }

    #[test]
    fn rows_after_the_checkpoint_are_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let mut csv = MetricsCsv::open(&path, 0).unwrap();
        let validation = ValidationLine {
            step: 10,
            epoch: 1,
            train_loss: 1.5,
            train_top1_error: 0.25,
            loss: 1.25,
            top1_error: 0.5,
            top5_error: 0.125,
            last_weights: None,
            seconds: 3.0,
            time: String::new(),
        };
        assert_eq!(csv.append(&row(1, 10), Some(&validation)), None);
        assert_eq!(csv.append(&row(2, 20), None), None);
        drop(csv);
        let mut csv = MetricsCsv::open(&path, 1).unwrap();
        assert_eq!(csv.append(&row(2, 20), None), None);
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = [
            HEADER,
            "1,10,1.5,0.25,1.25,0.5,0.125,0.01,80.0,0.500,2.5,2026-01-01T00:00:00Z",
            "2,20,1.5,0.25,,,,0.01,80.0,0.500,2.5,2026-01-01T00:00:00Z",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert_eq!(HEADER.split(',').count(), expected[1].split(',').count());
        assert_eq!(HEADER.split(',').count(), expected[2].split(',').count());
    }
}

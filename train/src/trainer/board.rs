//! The event files of TensorBoard of a run.

use std::io;
use std::path::Path;

use layers::{Model, Network, Parameters};
use tensor::Backend;

use super::parameter_report::ParameterStatistics;
use crate::Config;
use crate::log::{EpochLine, StepLine, ValidationLine};
use crate::plots;
use crate::tensorboard::EventFile;

/// Steps of an epoch whose metrics are written.
const POINTS_PER_EPOCH: u64 = 100;
/// Size of a weight in the image of the kernels, in pixels.
const KERNEL_SCALE: u32 = 4;

/// TensorBoard's view of a run. An error does not end the run: it is reported once, and nothing is written after it.
pub(super) struct Board {
    file: Option<EventFile>,
    /// The metrics of steps are written at multiples of this.
    every: u64,
}

impl Board {
    /// Begins an event file in the folder of a run that has taken `step` steps, and writes its settings. Returns a message
    /// for the user if that fails.
    pub fn open(
        folder: &Path,
        step: u64,
        steps_per_epoch: u64,
        config: &Config,
        model: &Model,
    ) -> (Self, Option<String>) {
        let mut board = Self { file: None, every: steps_per_epoch.div_ceil(POINTS_PER_EPOCH).max(1) };
        if !config.run.tensorboard {
            return (board, None);
        }
        let note = match EventFile::create(&folder.join("tensorboard"), step) {
            Ok(file) => {
                board.file = Some(file);
                board.write(|file| {
                    file.text(step, "settings", &code(&config.to_toml()))?;
                    file.text(step, "network", &code(&model.to_toml()))
                })
            }
            Err(error) => Some(message(&error)),
        };
        (board, note)
    }

    /// Writes a step, unless it is one between.
    pub fn step(&mut self, line: &StepLine) -> Option<String> {
        if !line.step.is_multiple_of(self.every) {
            return None;
        }
        self.write(|file| {
            file.scalar(line.step, "step/loss", line.loss)?;
            file.scalar(line.step, "step/top1_error", line.top1_error)?;
            file.scalar(line.step, "step/learning_rate", line.rate)?;
            file.scalar(line.step, "step/images_per_s", line.images_per_s)?;
            file.scalar(line.step, "step/wait_s", line.wait_s)
        })
    }

    /// Writes an epoch with its validation.
    pub fn epoch(&mut self, epoch: &EpochLine, validation: Option<&ValidationLine>) -> Option<String> {
        self.write(|file| {
            file.scalar(epoch.step, "loss/train", epoch.train_loss)?;
            file.scalar(epoch.step, "top1_error/train", epoch.train_top1_error)?;
            if let Some(line) = validation {
                file.scalar(line.step, "loss/validation", line.loss)?;
                file.scalar(line.step, "top1_error/validation", line.top1_error)?;
                file.scalar(line.step, "top5_error/validation", line.top5_error)?;
            }
            file.flush()
        })
    }

    /// Writes histograms and mean sizes of parameters and their updates, and the kernels of the first layer.
    pub fn parameters<B: Backend<Scalar = f32>>(
        &mut self,
        step: u64,
        parameters: &[ParameterStatistics],
        network: &Network<B>,
    ) -> Option<String> {
        self.write(|file| {
            for parameter in parameters {
                let name = &parameter.name;
                file.histogram(step, &format!("values/{name}"), &parameter.values)?;
                file.histogram(step, &format!("updates/{name}"), &parameter.updates)?;
                file.scalar(step, &format!("mean_abs_value/{name}"), parameter.mean_value)?;
                file.scalar(step, &format!("mean_abs_update/{name}"), parameter.mean_update)?;
            }
            match kernels(network)? {
                Some((name, image)) => file.image(step, &format!("kernels/{name}"), &image),
                None => Ok(()),
            }
        })
    }

    /// Writes the fraction of dead units by layer.
    pub fn dead_units(&mut self, step: u64, shares: &[(String, f64)]) -> Option<String> {
        self.write(|file| {
            shares.iter().try_for_each(|(name, share)| file.scalar(step, &format!("dead_units/{name}"), *share))
        })
    }

    /// Writes what is still in memory.
    pub fn flush(&mut self) -> Option<String> {
        self.write(EventFile::flush)
    }

    fn write(&mut self, write: impl FnOnce(&mut EventFile) -> io::Result<()>) -> Option<String> {
        let file = self.file.as_mut()?;
        let error = write(file).err()?;
        self.file = None;
        Some(message(&error))
    }
}

fn message(error: &io::Error) -> String {
    format!("tensorboard: its event file cannot be written: {error}; training continues without it")
}

/// TOML as Markdown.
fn code(toml: &str) -> String {
    toml.lines().map(|line| format!("    {line}\n")).collect()
}

/// The kernels of the first convolution, if there is one.
fn kernels<B: Backend<Scalar = f32>>(network: &Network<B>) -> io::Result<Option<(String, image::RgbImage)>> {
    let parameters = network.named_parameters();
    let Some((name, parameter)) = parameters.iter().find(|(_, parameter)| parameter.value.shape().len() == 4) else {
        return Ok(None);
    };
    let weights = parameter.value.to_array().map_err(io::Error::other)?;
    let image = plots::kernels(&weights, KERNEL_SCALE).map_err(io::Error::other)?;
    Ok(Some((name.trim_end_matches(".weight").to_string(), image)))
}

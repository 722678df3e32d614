//! The checkpoint of a run whose weights a command takes.

use std::path::Path;

use layers::weights::hdf5_file::load_with;

use super::{CheckpointChoice, Loaded, newest_checkpoint};
use crate::checkpoint::Checkpoint;
use crate::run::{self, Best};
use crate::{Error, Result};

/// Fails unless a folder is a run.
pub fn check_is_run(folder: &Path) -> Result<()> {
    let settings = folder.join("run.toml");
    if !settings.try_exists().map_err(|e| Error::file(&settings, format!("cannot be accessed: {e}")))? {
        return Err(Error::file(folder, "is a folder but not a run (no run.toml)"));
    }
    Ok(())
}

/// The weights of a run's checkpoint, with the file that they come from. `say` is told which step was taken, and of each
/// damaged file that was passed over.
pub fn of_run(folder: &Path, choice: CheckpointChoice, say: &mut dyn FnMut(String)) -> Result<Loaded> {
    check_is_run(folder)?;
    let best = run::best(folder)?;
    match &best {
        Some(best) if choice != CheckpointChoice::Newest => {
            if let Some(found) = best_of_run(folder, best, say)? {
                return Ok(found);
            }
        }
        None if choice == CheckpointChoice::Best => {
            let what = "was not validated, so that no checkpoint of it is best; take its newest";
            return Err(Error::file(folder, what));
        }
        _ => {}
    }
    newest_of_run(folder, best.as_ref(), say)
}

/// The best checkpoint, or else its weights alone; `None` if both are missing or damaged.
fn best_of_run(folder: &Path, best: &Best, say: &mut dyn FnMut(String)) -> Result<Option<Loaded>> {
    let checkpoints = run::checkpoints(folder)?;
    let newest = checkpoints.last().map(|(step, _)| *step);
    let error = match checkpoints.into_iter().find(|(step, _)| *step == best.step) {
        Some((_, path)) => match Checkpoint::load(&path) {
            Ok(checkpoint) => {
                say(sentence(folder, best, newest));
                return Ok(Some(Loaded::of_checkpoint(path, checkpoint)));
            }
            Err(error) if error.is_io_error() => return Err(error),
            Err(error) => error.to_string(),
        },
        None => format!("{}: the best checkpoint, of step {}, is gone", folder.display(), best.step),
    };
    let path = run::best_weights(folder);
    match load_with(&path) {
        Ok((weights, _)) => {
            say(format!("{error}; taking the weights of {}, which a run keeps of its best step", path.display()));
            Ok(Some(Loaded::new(path, weights)))
        }
        Err(_) => {
            say(format!("{error}; trying the newest checkpoint"));
            Ok(None)
        }
    }
}

fn sentence(folder: &Path, best: &Best, newest: Option<u64>) -> String {
    let folder = folder.display();
    let step = best.step;
    match newest {
        Some(newest) if newest != step => {
            format!("{folder}: weights of step {step}, the best ({best}); the newest are of step {newest}")
        }
        _ => format!("{folder}: weights of step {step}, the newest and best ({best})"),
    }
}

fn newest_of_run(folder: &Path, best: Option<&Best>, say: &mut dyn FnMut(String)) -> Result<Loaded> {
    let (path, checkpoint) = newest_checkpoint(folder, say)?
        .ok_or_else(|| Error::file(folder, "holds no checkpoint yet: train further, or name a weights file"))?;
    let step = checkpoint.state.position.step;
    let other = match best {
        Some(best) if best.step == step => ", which are the best too".to_string(),
        Some(best) => format!("; the best are of step {}", best.step),
        None if folder.join("best.toml").exists() => "; best.toml is damaged: the best is unknown".to_string(),
        None => "; there was no validation to find the best".to_string(),
    };
    say(format!("{}: the newest weights, of step {step}{other}", folder.display()));
    Ok(Loaded::of_checkpoint(path, checkpoint))
}

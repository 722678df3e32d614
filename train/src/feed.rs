//! Images on their way to a device: a thread takes them from the loader and uploads them while the step before runs;
//! the device crops, mirrors, colours and normalises them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use data::{Loader, MixedLabel, Preparation, RawBatch};
use tensor::ops::{Prepare, RawImages, View};
use tensor::{Backend, Tensor};

use crate::{Error, Result};

/// Batches that wait on the device. One more is on its way there.
const AHEAD: usize = 1;

/// What turns stored images into a network's input, on a device.
#[derive(Clone, Debug)]
pub struct Preparer<B: Backend> {
    prepare: Prepare,
    mean_image: Option<Tensor<B>>,
}

impl<B: Backend<Scalar = f32>> Preparer<B> {
    /// The same on `device`.
    pub fn new(device: &B, preparation: &Preparation) -> Result<Self> {
        let mean = preparation.mean_image.as_ref();
        let mean_image = mean.map(|mean| Tensor::from_array(device, mean.view().into_dyn())).transpose()?;
        Ok(Self { prepare: preparation.prepare.clone(), mean_image })
    }

    /// The network's input, `[views, crop, crop, 3]`.
    pub fn images(&self, raw: &RawImages<B>, views: &[View]) -> Result<Tensor<B>> {
        Ok(raw.prepare(&self.prepare, self.mean_image.as_ref(), views)?)
    }
}

/// A batch on a device.
#[derive(Debug)]
pub struct Fed<B: Backend> {
    /// The images as they are stored.
    pub images: RawImages<B>,
    /// What is to be cut from them.
    pub views: Vec<View>,
    /// The label of each image.
    pub labels: Vec<u32>,
    /// Where each image stands in the pack.
    pub indices: Vec<u64>,
    /// The other image in each; empty where none is mixed.
    pub mixed: Vec<MixedLabel>,
}

/// A loader's batches in order, each on the device when it is asked for. The first error is the last item.
#[derive(Debug)]
pub struct Feed<B: Backend> {
    fed: Option<Receiver<Result<Fed<B>>>>,
    thread: Option<JoinHandle<()>>,
}

impl<B: Backend<Scalar = f32>> Feed<B> {
    /// The batches of epoch `epoch` from number `first` on. Dropping the iterator ends the work ahead.
    pub fn new(device: &B, loader: &Loader, epoch: u64, first: usize) -> Self {
        let (sender, fed) = sync_channel(AHEAD);
        let device = device.clone();
        let batches = loader.raw_batches(epoch, first);
        let work = move || {
            for batch in batches {
                if !hand_over(&sender, || upload(&device, batch?)) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("upload".into()).spawn(work).ok();
        // Without the thread the channel is closed, which is told apart from an end.
        Self { fed: Some(fed), thread }
    }
}

fn upload<B: Backend>(device: &B, mut batch: RawBatch) -> Result<Fed<B>> {
    let images = RawImages::upload(device, batch.size, &batch.pixels)?;
    let views = std::mem::take(&mut batch.views);
    let labels = std::mem::take(&mut batch.labels);
    let indices = std::mem::take(&mut batch.indices);
    let mixed = std::mem::take(&mut batch.mixed);
    Ok(Fed { images, views, labels, indices, mixed })
}

/// Whether there is to be another. A panic is handed over as an error.
fn hand_over<T>(sender: &SyncSender<Result<T>>, make: impl FnOnce() -> Result<T>) -> bool {
    let made = catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<&str>().map(ToString::to_string);
        let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".into());
        Err(data::Error::Worker { what }.into())
    });
    let last = made.is_err();
    sender.send(made).is_ok() && !last
}

impl<B: Backend> Iterator for Feed<B> {
    type Item = Result<Fed<B>>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.fed.as_ref()?.recv().ok();
        if self.thread.is_none() {
            self.fed = None;
            return Some(Err(Error::from(data::Error::Worker { what: "no thread to upload with".into() })));
        }
        next
    }
}

impl<B: Backend> Drop for Feed<B> {
    fn drop(&mut self) {
        // Whoever waits to hand over a batch is told that nobody takes it.
        self.fed = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_last() {
        let (sender, fed) = sync_channel::<Result<()>>(2);
        assert!(hand_over(&sender, || Ok(())));
        assert!(!hand_over(&sender, || panic!("injected")));
        assert!(fed.recv().unwrap().is_ok());
        assert_eq!(fed.recv().unwrap().unwrap_err().to_string(), "a worker thread failed: injected");
        drop(fed);
        assert!(!hand_over(&sender, || Ok(())));
    }
}

//! `alexnet serve`.

mod weights;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use layers::Model;
use serve::{Gallery, Options, Server, Service};
use tensor::Backend;
use train::features::FeaturesReader;
use train::memory::{self, Workload};
use train::{Stop, run as run_folder};

use self::weights::WeightsStep;
use super::device::{self, DeviceTask};
use super::feature_source::FeatureSource;
use super::trained::{self, LoadedModels};
use crate::args::{NetworkArgs, Serve};
use crate::console::{interrupt, note, print};
use crate::failure::{Failure, Result};
use crate::signals::stop_on_signals;

/// Time from one look at the request to stop to the next.
const LOOK: Duration = Duration::from_millis(50);

pub fn run(args: Serve) -> Result<()> {
    let run = args.path.join("run.toml").is_file().then(|| args.path.clone());
    let has_weights = !run.as_deref().is_some_and(has_no_weights);
    if !has_weights && args.vectors.is_some() {
        return Err(Failure::Usage("--features: the run has no checkpoint yet, whose features they could be".into()));
    }
    let options = options(&args);
    let crops = args.batch;
    let server = bind(SocketAddr::new(args.host, args.port))?;
    let vectors = args.vectors.clone();
    let data = args.data.clone();
    let network = args.into_network();
    let path = &network.weights[0];
    let step = WeightsStep::of(path, network.checkpoint.choice());
    let models = if has_weights { Some(trained::read(&network)?) } else { None };
    match &models {
        Some(models) => models.note_assumed_classes(),
        None => note(&format!("note: {}: the run has no checkpoint yet; its first will be taken", path.display())),
    }
    let vectors = vectors.as_deref().map(FeaturesReader::open).transpose()?;
    let gallery = vectors.map(|vectors| FeatureSource::of_file(vectors, data.as_deref()));
    let opened = trained::open_device(&network.compute)?;
    opened.run(ServeTask { server, models, network, options, crops, run, step, gallery })
}

struct ServeTask {
    server: Server,
    /// The weights; none if the run has none yet.
    models: Option<LoadedModels>,
    network: NetworkArgs,
    options: Options,
    /// Crops of a batch at most.
    crops: usize,
    run: Option<PathBuf>,
    /// The checkpoint of the weights.
    step: WeightsStep,
    /// Features, with their images.
    gallery: Option<FeatureSource>,
}

impl DeviceTask for ServeTask {
    type Output = ();

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<()> {
        let Self { server, models, network, mut options, crops, run, step, gallery } = self;
        options.batch = batch(&device, models.as_ref(), run.as_deref(), &network, crops)?;
        let loaded = models.map(|models| weights::classifier(models, &device)).transpose()?;
        let is_renewed = run.is_some() && gallery.is_none();
        let classifier = match loaded {
            Some((mut classifier, file)) => {
                let model = classifier.network.model();
                classifier.gallery = gallery.map(|source| open_gallery(source, model, &file)).transpose()?;
                Some(classifier)
            }
            None => None,
        };
        let stop = announce(&network.weights[0], &server)?;
        let renewal = is_renewed.then(|| weights::renewal(network, device, step));
        Ok(server.serve(options, Service { classifier, run, renewal }, &stop)?)
    }
}

/// The number of images of a batch that the memory is enough for, with at most so many crops.
fn batch<B: Backend<Scalar = f32>>(
    device: &B,
    models: Option<&LoadedModels>,
    run: Option<&Path>,
    network: &NetworkArgs,
    crops: usize,
) -> Result<usize> {
    let views = trained::views(&network.crops);
    let least = views.count();
    let model = match (models, run) {
        (Some(models), _) => {
            models.check_memory(device, 1, least)?;
            models.model()?.clone()
        }
        (None, Some(run)) => run_folder::model(run)?,
        (None, None) => return Ok(1),
    };
    let most = crops.max(least);
    let workload = Workload { model: &model, training: None, evaluation: Some((most, views)), is_mapped: false };
    let fitting = memory::largest_batch(device, &workload, most)?;
    if fitting < crops {
        note(&format!("note: --batch {crops}: the memory is enough for {fitting}, which are taken"));
    }
    Ok((fitting / least).max(1))
}

fn open_gallery(source: FeatureSource, model: &Model, weights: &Path) -> Result<Gallery> {
    let none = || Failure::Failed("--features: no features".into());
    let (file, images) = source.into_file().ok_or_else(none)?;
    let named = file.description().weights.clone();
    let canonical = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if canonical(Path::new(&named)) != canonical(weights) {
        note(&format!("note: {}: features by {named}, not by {}", file.path().display(), weights.display()));
    }
    Ok(Gallery::new(file, images, model)?)
}

fn options(args: &Serve) -> Options {
    Options {
        body: (args.max_body as usize) << 20,
        timeout: Duration::from_secs(args.timeout.into()),
        queue: args.queue,
        wait: Duration::from_millis(args.wait),
        threads: args.compute.threads.unwrap_or_else(device::all_threads),
        ..Options::default()
    }
}

/// Whether a run has no weights yet. A folder that cannot be read has some: loading them gives the error.
fn has_no_weights(run: &Path) -> bool {
    let has_none = run_folder::checkpoints(run).is_ok_and(|checkpoints| checkpoints.is_empty());
    has_none && !run_folder::best_weights(run).exists()
}

fn bind(address: SocketAddr) -> Result<Server> {
    Server::bind(address).map_err(|error| {
        let what = match &error {
            serve::Error::Bind { source, .. } => source.to_string(),
            other => other.to_string(),
        };
        if error.is_address_in_use() {
            let advice = "another program listens there; choose another --port, or 0 for a free one";
            return Failure::Failed(format!("--port {}: {address} is taken: {advice}", address.port()));
        }
        Failure::Failed(format!("--host {} --port {}: cannot be listened at: {what}", address.ip(), address.port()))
    })
}

/// Says where the server is, and lets signals end it.
fn announce(path: &Path, server: &Server) -> Result<Stop> {
    let address = server.address();
    if !address.ip().is_loopback() {
        let what = "everyone who reaches this machine can use the server, without a password and unencrypted";
        note(&format!("warning: --host {}: {what}", address.ip()));
    }
    let stop = stop_on_signals()?;
    let signalled = stop.clone();
    thread::spawn(move || {
        while !signalled.is_requested() {
            thread::sleep(LOOK);
        }
        interrupt("finishing the requests that have begun; press Ctrl-C again to quit now");
    });
    print(&format!("{}: http://{address}/ (Ctrl-C ends it)", path.display()))?;
    Ok(stop)
}

impl From<serve::Error> for Failure {
    fn from(error: serve::Error) -> Self {
        match error {
            serve::Error::Classifier(error) => error.into(),
            other => Self::Failed(other.to_string()),
        }
    }
}

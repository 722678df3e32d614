//! `alexnet serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serve::{Classifier, Gallery, Options, Server};
use tensor::{Backend, Cpu};
use train::features::FeaturesReader;
use train::{Stop, run as run_folder};

use super::device::{self, DeviceTask};
use super::feature_source::FeatureSource;
use super::features::absolute;
use super::trained::{self, LoadedModels, TrainedModel};
use crate::args::Serve;
use crate::console::{interrupt, note, print};
use crate::failure::{Failure, Result};
use crate::signals::stop_on_signals;

/// Time from one look at the request to stop to the next.
const LOOK: Duration = Duration::from_millis(50);

pub fn run(args: Serve) -> Result<()> {
    let run = args.path.join("run.toml").is_file().then(|| args.path.clone());
    let options = options(&args);
    let address = SocketAddr::new(args.host, args.port);
    let crops = args.batch;
    if run.as_deref().is_some_and(has_no_weights) {
        let server = bind(address)?;
        note(&format!("note: {}: the run has no checkpoint yet: only its training is shown", args.path.display()));
        let stop = announce(&args.path, &server)?;
        return Ok(server.serve::<Cpu<f32>>(options, None, run, &stop)?);
    }
    let vectors = args.vectors.clone();
    let data = args.data.clone();
    let network = args.into_network();
    let path = network.weights[0].clone();
    let server = bind(address)?;
    let (models, opened) = trained::load(&network)?;
    models.note_assumed_classes();
    let vectors = vectors.as_deref().map(FeaturesReader::open).transpose()?;
    let gallery = vectors.map(|vectors| FeatureSource::of_file(vectors, data.as_deref()));
    opened.run(ServeTask { server, models, options, crops, path, run, gallery })
}

struct ServeTask {
    server: Server,
    models: LoadedModels,
    options: Options,
    /// Crops of a batch at most.
    crops: usize,
    path: PathBuf,
    run: Option<PathBuf>,
    /// Features, with their images.
    gallery: Option<FeatureSource>,
}

impl DeviceTask for ServeTask {
    type Output = ();

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<()> {
        let Self { server, models, mut options, crops, path, run, gallery } = self;
        let views = models.views;
        let least = views.count();
        models.check_memory(&device, 1, least)?;
        let fitting = models.largest_batch(&device, crops.max(least))?;
        if fitting < crops {
            note(&format!("note: --batch {crops}: the memory is enough for {fitting}, which are taken"));
        }
        options.batch = (fitting / least).max(1);
        let model = models.into_device(&device)?.into_first();
        let input = model.input(model.network.model().input.size)?;
        let gallery = gallery.map(|source| open_gallery(source, &model)).transpose()?;
        let weights = model.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let classifier = Classifier {
            network: model.network,
            input,
            views,
            classes: model.printed_classes,
            exif_orientation: model.exif_orientation,
            weights,
            gallery,
        };
        let stop = announce(&path, &server)?;
        Ok(server.serve(options, Some(classifier), run, &stop)?)
    }
}

fn open_gallery<B: Backend>(source: FeatureSource, model: &TrainedModel<B>) -> Result<Gallery> {
    let none = || Failure::Failed("--features: no features".into());
    let (file, images) = source.into_file().ok_or_else(none)?;
    let weights = file.description().weights.clone();
    if weights != absolute(&model.path) {
        note(&format!("note: {}: features by {weights}, not by {}", file.path().display(), model.path.display()));
    }
    Ok(Gallery::new(file, images, model.network.model())?)
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

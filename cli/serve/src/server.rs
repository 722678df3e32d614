//! The server: its socket, its threads and its end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use futures_util::future::{Either, select};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tensor::Backend;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use train::Stop;

use crate::app::App;
use crate::classifier::Classifier;
use crate::present::Present;
use crate::routes::router;
use crate::{Error, Options, Result};

/// Time from one look at the request to stop to the next.
const LOOK: Duration = Duration::from_millis(20);
/// Time in which the head of a request must arrive, and for which a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// Threads for files of runs, beside those that decode.
const FILE_THREADS: usize = 4;
/// Time before accepting again after the system refused a connection, for lack of file descriptors for instance.
const PAUSE: Duration = Duration::from_millis(100);

/// A function that is called every few seconds and returns a classifier to take the place of the present one, if there is
/// a newer one, such as the next checkpoint of a run. It runs on a thread of its own.
pub type Renewal<B> = Box<dyn FnMut() -> Option<Classifier<B>> + Send>;

/// The contents of a server.
pub struct Service<B: Backend> {
    /// The classifier; none answers images until `renewal` returns one.
    pub classifier: Option<Classifier<B>>,
    /// The folder of a run to follow, whether it trains or not.
    pub run: Option<PathBuf>,
    /// Newer classifiers.
    pub renewal: Option<Renewal<B>>,
}

impl<B: Backend> Default for Service<B> {
    fn default() -> Self {
        Self { classifier: None, run: None, renewal: None }
    }
}

/// A server that listens and does not answer yet.
///
/// ```no_run
/// use alexnet_serve::{Options, Server, Service};
/// use alexnet_serve::tensor::Cpu;
/// use alexnet_serve::train::Stop;
///
/// let server = Server::bind(([127, 0, 0, 1], 0).into())?;
/// println!("http://{}/", server.address());
/// // A page of a running training, without weights to predict with.
/// let service = Service { run: Some("run".into()), ..Service::<Cpu<f32>>::default() };
/// server.serve(Options::default(), service, &Stop::default())?;
/// # Ok::<(), alexnet_serve::Error>(())
/// ```
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens at an address; port 0 takes a free one.
    ///
    /// # Errors
    /// [`Error::Bind`] if the address is in use or is none of this machine.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let bound = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        });
        let (listener, address) = bound.map_err(|source| Error::Bind { address, source })?;
        Ok(Self { listener, address })
    }

    /// The address that is listened at, with its port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `stop` is requested; those that have begun are finished. The network computes on a thread of
    /// its own.
    ///
    /// # Errors
    /// [`Error::Classifier`] if the classifier cannot classify an image; [`Error::Start`] if the system refuses a
    /// thread.
    pub fn serve<B: Backend<Scalar = f32>>(self, options: Options, service: Service<B>, stop: &Stop) -> Result<()> {
        let options = options.usable();
        let Service { classifier, run, renewal } = service;
        let present = Present::default();
        classifier.map_or(Ok(()), |classifier| present.set(classifier))?;
        let runtime = runtime(&options)?;
        let (end, ending) = watch::channel(false);
        let is_loopback = self.address.ip().is_loopback();
        let app = Arc::new(App::new(present, run, options, is_loopback, ending));
        thread::scope(|scope| {
            let own = Arc::clone(&app);
            let work = move || own.queue.work(&own.present, own.options.batch, own.options.wait, &own.metrics);
            thread::Builder::new().name("network".into()).spawn_scoped(scope, work).map_err(Error::Start)?;
            let ended = renewal.map_or(Ok(()), |renewal| {
                let own = Arc::clone(&app);
                let renew = move || renew(&own, renewal);
                thread::Builder::new().name("renewal".into()).spawn_scoped(scope, renew).map(drop)
            });
            let ended = ended.and_then(|()| runtime.block_on(accept(self.listener, Arc::clone(&app), stop, &end)));
            // Fails if nobody listens.
            let _ = end.send(true);
            app.queue.close();
            ended.map_err(Error::Start)
        })
    }
}

/// Takes newer classifiers until the server ends.
fn renew<B: Backend<Scalar = f32>>(app: &App, mut renewal: Renewal<B>) {
    let mut last = Instant::now();
    while !*app.ending.borrow() {
        thread::sleep(LOOK);
        if last.elapsed() < app.options.renewal {
            continue;
        }
        if let Some(classifier) = renewal() {
            // One that does not work leaves the present one in its place.
            let _ = app.present.set(classifier);
        }
        last = Instant::now();
    }
}

/// One thread for all connections, and threads for what waits for the processor or the disk.
fn runtime(options: &Options) -> Result<Runtime> {
    let mut builder = Builder::new_current_thread();
    builder.enable_io().enable_time().max_blocking_threads(options.threads + FILE_THREADS).thread_name("decode");
    builder.build().map_err(Error::Start)
}

/// Accepts connections until a stop is requested, then waits for the requests that have begun.
async fn accept(listener: TcpListener, app: Arc<App>, stop: &Stop, end: &watch::Sender<bool>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let most = u32::try_from(app.options.connections).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS as u32);
    let connections = Arc::new(Semaphore::new(most as usize));
    let service = router(Arc::clone(&app));
    let mut stopped = pin!(stopped(stop));
    loop {
        let accepted = pin!(next(&listener, &connections));
        let (stream, place) = match select(stopped.as_mut(), accepted).await {
            Either::Left(_) => break,
            Either::Right((Ok(accepted), _)) => accepted,
            Either::Right((Err(_), _)) => {
                sleep(PAUSE).await;
                continue;
            }
        };
        tokio::spawn(answer(stream, service.clone(), app.ending.clone(), place));
    }
    drop(listener);
    // Fails if nobody listens, which cannot be: the state does.
    let _ = end.send(true);
    // A request may take twice the time limit: for its body, and for its answer.
    let patience = app.options.timeout.saturating_mul(2).saturating_add(Duration::from_secs(1));
    let _ = timeout(patience, connections.acquire_many(most)).await;
    Ok(())
}

async fn stopped(stop: &Stop) {
    while !stop.is_requested() {
        sleep(LOOK).await;
    }
}

/// The next connection, once there may be one more.
async fn next(
    listener: &tokio::net::TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(connections).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// Answers the requests of a connection until its client closes it or the server ends.
async fn answer(stream: TcpStream, service: Router, mut ending: watch::Receiver<bool>, place: OwnedSemaphorePermit) {
    let _place = place;
    // Answers are small, and written at once.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(service);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = pin!(ending.wait_for(|is_ending| *is_ending));
    // An error of a connection concerns its client only, who knows.
    let is_ending = matches!(select(connection.as_mut(), ended).await, Either::Right(_));
    if is_ending {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

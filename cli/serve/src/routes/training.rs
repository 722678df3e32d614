//! The run that is served.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::Stream;
use futures_util::future::{Either, select};
use futures_util::stream::unfold;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::app::App;
use crate::follow::{Follower, RunReport};
use crate::problem::Problem;

/// Time between two looks at the files of a run.
const LOOK: Duration = Duration::from_millis(500);

/// `GET /v1/run`.
pub(crate) async fn run(State(app): State<Arc<App>>) -> Result<Json<RunReport>, Problem> {
    let mut follower = follower(&app)?;
    let report = spawn_blocking(move || follower.look()).await;
    report.unwrap_or_else(|_| Err("the run cannot be read".into())).map(Json).map_err(Problem::internal)
}

/// `GET /v1/run/events`: a report whenever it has changed.
pub(crate) async fn events(
    State(app): State<Arc<App>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = Arc::clone(&app.followers).try_acquire_owned();
    let place = place.map_err(|_| Problem::busy("too many pages follow the run"))?;
    let reports = Reports { follower: Some(follower(&app)?), last: String::new(), app, _place: place };
    let events = unfold(reports, |mut reports| async move { Some((Ok(reports.next().await?), reports)) });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn follower(app: &App) -> Result<Follower, Problem> {
    let what = "weights are served, without the run that they come from";
    let missing = || Problem::new(StatusCode::NOT_FOUND, "no_run", what);
    app.run.as_deref().map(Follower::new).ok_or_else(missing)
}

/// The reports of a run, as a client gets them.
struct Reports {
    app: Arc<App>,
    /// `None` while another thread has it.
    follower: Option<Follower>,
    /// The last report that was sent.
    last: String,
    _place: OwnedSemaphorePermit,
}

impl Reports {
    /// The next report that differs from the last; `None` when the server ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if !self.last.is_empty() && self.has_ended_within(LOOK).await {
                return None;
            }
            let mut follower = self.follower.take()?;
            let look = spawn_blocking(move || {
                let report = follower.look();
                (follower, report)
            });
            let (follower, report) = look.await.ok()?;
            self.follower = Some(follower);
            let (kind, text) = match report {
                Ok(report) => ("run", serde_json::to_string(&report).ok()?),
                Err(what) => ("problem", json!({ "message": what }).to_string()),
            };
            if text != self.last {
                self.last.clone_from(&text);
                return Some(Event::default().event(kind).data(text));
            }
        }
    }

    /// Waits for this time, or until the server ends.
    async fn has_ended_within(&self, time: Duration) -> bool {
        let mut ending = self.app.ending.clone();
        let ended = pin!(ending.wait_for(|is_ending| *is_ending));
        matches!(select(ended, pin!(sleep(time))).await, Either::Left(_))
    }
}

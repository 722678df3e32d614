//! Predictions and explanations.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use crate::app::{App, answer_of};
use crate::classifier::PredictedClass;
use crate::explain::Explanation;
use crate::problem::Problem;
use crate::queue::WaitingExplanation;
use crate::upload::uploads;

/// Classes of a prediction unless the request asks for another number.
const TOP: usize = 5;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PredictQuery {
    top: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainQuery {
    class: Option<usize>,
}

/// The answer to `/v1/predict`.
#[derive(Debug, Serialize)]
pub(crate) struct Predictions {
    predictions: Vec<Prediction>,
}

#[derive(Debug, Serialize)]
struct Prediction {
    name: String,
    top: Vec<PredictedClass>,
}

/// The answer to a query that cannot be read.
fn bad_query(error: &QueryRejection) -> Problem {
    let text = error.body_text();
    let what = text.split_once("query string: ").map_or(text.as_str(), |(_, what)| what);
    Problem::bad_request("bad_query", what.to_string())
}

/// `POST /v1/predict`.
pub(crate) async fn predict(
    State(app): State<Arc<App>>,
    query: Result<Query<PredictQuery>, QueryRejection>,
    request: Request,
) -> Result<Json<Predictions>, Problem> {
    let classifier = app.classifier()?;
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let top = query.top.unwrap_or(TOP);
    if top == 0 {
        return Err(Problem::bad_request("bad_query", "top: expected a number of classes from 1"));
    }
    let (uploads, _admission) = uploads(&app, request, app.deadline()).await?;
    let names: Vec<String> = uploads.iter().map(|upload| upload.name.clone()).collect();
    let rows = app.predict(uploads, app.deadline()).await?;
    let mut predictions = Vec::with_capacity(rows.len());
    for (name, row) in names.into_iter().zip(rows) {
        let top = classifier.description.top(&row, top).map_err(|error| Problem::internal(error.to_string()))?;
        predictions.push(Prediction { name, top });
    }
    Ok(Json(Predictions { predictions }))
}

/// `POST /v1/explain`.
pub(crate) async fn explain(
    State(app): State<Arc<App>>,
    query: Result<Query<ExplainQuery>, QueryRejection>,
    request: Request,
) -> Result<Json<Explanation>, Problem> {
    let classifier = app.classifier()?;
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let classes = classifier.description.classes.len();
    if let Some(class) = query.class.filter(|class| *class >= classes) {
        let what = format!("class: {class} is none of the {classes} classes, which count from 0");
        return Err(Problem::bad_request("bad_query", what));
    }
    let (mut uploads, _admission) = uploads(&app, request, app.deadline()).await?;
    let (Some(upload), true) = (uploads.pop(), uploads.is_empty()) else {
        return Err(Problem::bad_request("too_many_images", "expected one image"));
    };
    let deadline = app.deadline();
    let square = app.square(upload, deadline).await?;
    let (reply, answer) = oneshot::channel();
    let waiting = WaitingExplanation { square, class: query.class, since: Instant::now(), reply };
    if !app.queue.push_explanation(waiting) {
        return Err(Problem::busy("too many explanations wait"));
    }
    timeout_at(deadline, answer_of(answer)).await.map_err(|_| Problem::late())?.map(Json)
}

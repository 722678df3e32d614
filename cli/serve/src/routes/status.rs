//! The state of the server.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::app::App;

/// `GET /healthz`.
pub(crate) async fn health(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({ "status": "ok", "has_weights": app.present.get().is_some() }))
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.text(&app.gauges()))
}

/// `GET /v1/model`.
pub(crate) async fn model(State(app): State<Arc<App>>) -> Json<Value> {
    let present = app.present.get();
    let model = present.as_ref().map(|classifier| &classifier.description);
    Json(json!({ "model": model, "has_run": app.run.is_some() }))
}

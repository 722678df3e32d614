//! The images of a request.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use crate::app::{Admission, App, Upload};
use crate::problem::Problem;

/// Characters of a name that answers repeat.
const NAME_CHARACTERS: usize = 200;
/// Bytes a second that a body must bring on the average, beyond a time of grace.
const MIN_RATE: f64 = 8192.0;

/// Reads the images of a request: its body, or the files of a form (`multipart/form-data`). They are limited in length,
/// number and time.
pub(crate) async fn uploads(
    app: &App,
    request: Request,
    deadline: Instant,
) -> Result<(Vec<Upload>, Admission), Problem> {
    let (parts, body) = request.into_parts();
    let mut admission = app.admit(content_length(&parts.headers)?)?;
    let bytes = read(app, body, &mut admission, deadline).await?;
    let uploads = if is_form(&parts.headers) {
        files(app, parts, bytes.into()).await?
    } else {
        vec![Upload { name: "image".into(), bytes }]
    };
    Ok((uploads, admission))
}

fn content_length(headers: &HeaderMap) -> Result<Option<usize>, Problem> {
    let Some(value) = headers.get(CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| Problem::bad_request("bad_length", "Content-Length is not a number of bytes"))
}

/// Reads a body. A client that sends less than the least rate is not waited for until the deadline: on a network, many of
/// them would keep others out.
async fn read(app: &App, body: Body, admission: &mut Admission, deadline: Instant) -> Result<Vec<u8>, Problem> {
    // A grace beyond what the clock counts ends at the deadline.
    let patient_until = Instant::now().checked_add(app.options.grace).unwrap_or(deadline);
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    loop {
        let until = patient_until + Duration::from_secs_f64(bytes.len() as f64 / MIN_RATE);
        let late = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "slow_body", "the body did not arrive in time");
        let Some(chunk) = timeout_at(until.min(deadline), chunks.next()).await.map_err(late)? else { return Ok(bytes) };
        let chunk = chunk.map_err(|_| Problem::bad_request("unread_body", "the body ended early"))?;
        app.hold(admission, bytes.len() + chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"))
}

/// The files of a form. Other fields are left out.
async fn files(app: &App, parts: Parts, bytes: Bytes) -> Result<Vec<Upload>, Problem> {
    let not_a_form = |what: String| Problem::bad_request("bad_form", format!("not a form with files: {what}"));
    let request = Request::from_parts(parts, Body::from(bytes));
    let mut form = Multipart::from_request(request, &()).await.map_err(|error| not_a_form(error.body_text()))?;
    let mut uploads = Vec::new();
    let mut fields = 0;
    while let Some(field) = form.next_field().await.map_err(|error| not_a_form(error.body_text()))? {
        fields += 1;
        if fields > app.options.images {
            let what = format!("a request has at most {} images", app.options.images);
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_images", what));
        }
        let Some(name) = field.file_name() else { continue };
        let name: String = name.chars().take(NAME_CHARACTERS).collect();
        let bytes = field.bytes().await.map_err(|error| not_a_form(error.body_text()))?;
        uploads.push(Upload { name, bytes: bytes.into() });
    }
    if uploads.is_empty() {
        return Err(not_a_form("it has no file, a part with a filename".into()));
    }
    Ok(uploads)
}

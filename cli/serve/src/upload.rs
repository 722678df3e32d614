//! The images of a request.

use std::error::Error as _;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use tokio::time::{Instant, timeout_at};

use crate::app::{Admission, App, Upload};
use crate::problem::Problem;

/// Characters of a name that answers repeat.
const NAME_CHARACTERS: usize = 200;

/// Reads the images of a request: its body, or the files of a form (`multipart/form-data`). They are limited in length,
/// number and time.
pub(crate) async fn uploads(
    app: &App,
    request: Request,
    deadline: Instant,
) -> Result<(Vec<Upload>, Admission), Problem> {
    let (parts, body) = request.into_parts();
    let admission = app.admit(content_length(&parts.headers)?)?;
    let late = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "slow_body", "the body did not arrive in time");
    let read = timeout_at(deadline, to_bytes(body, app.options.body)).await.map_err(late)?;
    let bytes = read.map_err(|error| unread(app, &error))?;
    let uploads = if is_form(&parts.headers) {
        files(app, parts, bytes).await?
    } else {
        vec![Upload { name: "image".into(), bytes: bytes.into() }]
    };
    Ok((uploads, admission))
}

fn content_length(headers: &HeaderMap) -> Result<Option<usize>, Problem> {
    let Some(value) = headers.get(CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| Problem::bad_request("bad_length", "Content-Length is not a number of bytes"))
}

fn unread(app: &App, error: &axum::Error) -> Problem {
    let mut source = error.source();
    while let Some(error) = source {
        // The type is that of the crate that limits bodies.
        if error.to_string() == "length limit exceeded" {
            return app.too_large();
        }
        source = error.source();
    }
    Problem::bad_request("unread_body", "the body ended early")
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

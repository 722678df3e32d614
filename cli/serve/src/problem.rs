//! Answers to requests that fail.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use data::BadImage;
use serde_json::json;

/// The answer to a request that fails: a status, a word for programs and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// Too much to do at the moment.
    pub fn busy(what: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", format!("{what}; try again in a second"))
    }

    /// A request that took too long to answer.
    pub fn late() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "the answer took too long; try again later")
    }

    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A fault of the server or its weights.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// An image that cannot be decoded.
    pub fn of_image(name: &str, reason: &BadImage) -> Self {
        let (status, code) = match reason {
            BadImage::Empty => (StatusCode::BAD_REQUEST, "empty"),
            BadImage::NotAnImage(_) | BadImage::Unsupported(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_format")
            }
            BadImage::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_pixels"),
            _ => (StatusCode::UNPROCESSABLE_ENTITY, "damaged_image"),
        };
        Self::new(status, code, format!("{name}: {reason}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": { "code": self.code, "message": self.message } }));
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => (self.status, [(RETRY_AFTER, "1")], body).into_response(),
            status => (status, body).into_response(),
        }
    }
}

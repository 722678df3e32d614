//! The pages and their parts, which are in the program.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::app::App;

/// Paths, types and texts of the pages.
const PAGES: [(&str, &str, &str); 7] = [
    ("/", "text/html; charset=utf-8", include_str!("../../assets/index.html")),
    ("/training", "text/html; charset=utf-8", include_str!("../../assets/training.html")),
    ("/style.css", "text/css; charset=utf-8", include_str!("../../assets/style.css")),
    ("/page.js", JAVASCRIPT, include_str!("../../assets/page.js")),
    ("/classify.js", JAVASCRIPT, include_str!("../../assets/classify.js")),
    ("/training.js", JAVASCRIPT, include_str!("../../assets/training.js")),
    ("/icon.svg", "image/svg+xml", include_str!("../../assets/icon.svg")),
];
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
/// The description of the API.
pub(crate) const OPENAPI: &str = include_str!("../../assets/openapi.json");

/// The routes of the pages.
pub(crate) fn pages() -> Router<Arc<App>> {
    let page = |kind, text| get(move || async move { ([(CONTENT_TYPE, kind)], text) });
    PAGES.into_iter().fold(Router::new(), |router, (path, kind, text)| router.route(path, page(kind, text)))
}

/// `GET /openapi.json`.
pub(crate) async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}

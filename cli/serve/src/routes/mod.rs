//! The routes of the server.

mod assets;
mod classify;
mod status;
mod training;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

use crate::app::App;
use crate::guard::guard;
use crate::problem::Problem;

/// The routes of the API: paths, methods and handlers.
pub(crate) fn api() -> Vec<(&'static str, &'static str, MethodRouter<Arc<App>>)> {
    vec![
        ("/v1/predict", "post", post(classify::predict)),
        ("/v1/explain", "post", post(classify::explain)),
        ("/v1/model", "get", get(status::model)),
        ("/v1/run", "get", get(training::run)),
        ("/v1/run/events", "get", get(training::events)),
        ("/openapi.json", "get", get(assets::openapi)),
        ("/healthz", "get", get(status::health)),
        ("/metrics", "get", get(status::metrics)),
    ]
}

/// All routes, with what holds for each of them.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = assets::pages();
    for (path, _, handler) in api() {
        router = router.route(path, handler);
    }
    router
        .fallback(|uri: Uri| async move {
            let path: String = uri.path().chars().take(200).collect();
            Problem::new(StatusCode::NOT_FOUND, "no_such_page", format!("there is no {path} here"))
        })
        .method_not_allowed_fallback(|method: Method| async move {
            let what = format!("{method} is not a method of this path");
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", what)
        })
        // Bodies are limited where they are read.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_description_has_the_routes_and_no_others() {
        let document: serde_json::Value = serde_json::from_str(assets::OPENAPI).unwrap();
        let paths = document["paths"].as_object().unwrap().iter();
        let methods =
            paths.flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |m| (&**path, &**m)));
        let described: BTreeSet<(&str, &str)> = methods.collect();
        let routes: BTreeSet<(&str, &str)> = api().into_iter().map(|(path, method, _)| (path, method)).collect();
        assert_eq!(described, routes);
    }
}

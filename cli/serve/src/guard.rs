//! Which requests are answered at all, and the headers of every answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::problem::Problem;

/// Everything comes from the server itself; images of answers are in their text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Answers a request if it may be answered, counts it and adds the headers.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let since = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("other".to_string(), |path| path.as_str().into());
    let mut response = match refusal(request.headers(), app.is_loopback) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    app.metrics.count_request(&route, response.status().as_u16(), since.elapsed());
    response
}

/// The reason why a request is refused.
///
/// On the loopback interface only this machine's names are answered: a page of another site, whose name an attacker's
/// name server points here, has that site's name in the Host header (DNS rebinding). Anywhere, a page of another site may
/// not use the server: browsers name that site in the Origin header.
fn refusal(headers: &HeaderMap, is_loopback: bool) -> Option<Problem> {
    let host = headers.get(HOST).map(|value| value.to_str().unwrap_or_default());
    if is_loopback && !host.is_some_and(is_local_name) {
        let what = "this server answers localhost and addresses of the loopback interface only";
        return Some(Problem::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", what));
    }
    let origin = headers.get(ORIGIN)?.to_str().unwrap_or_default();
    let origin_host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    if origin_host.is_some_and(|origin| Some(origin) == host) {
        return None;
    }
    let what = "pages of other sites may not use this server";
    Some(Problem::new(StatusCode::FORBIDDEN, "wrong_origin", what))
}

/// Whether a host, with or without a port, is a name of this machine for itself.
fn is_local_name(host: &str) -> bool {
    let has_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if has_port(port) && (!name.contains(':') || name.ends_with(']')) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: Option<&str>, origin: Option<&str>) -> HeaderMap {
        let pairs = [(HOST, host), (ORIGIN, origin)];
        let present = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
        present.map(|(name, value)| (name, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn names_of_this_machine() {
        for host in ["localhost", "LOCALHOST:8012", "127.0.0.1", "127.0.0.1:80", "127.9.9.9:1", "[::1]:8012", "[::1]"] {
            assert_eq!(refusal(&headers(Some(host), None), true), None, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8012",
            "localhost.evil.example",
            "10.0.0.1",
            "",
            "127.0.0.1.nip.io",
            "[::2]:1",
        ] {
            let problem = refusal(&headers(Some(host), None), true).unwrap();
            assert_eq!(problem.code, "wrong_host", "{host}");
            assert_eq!(refusal(&headers(Some(host), None), false), None, "{host}");
        }
        assert!(refusal(&headers(None, None), true).is_some());
    }

    #[test]
    fn pages_of_other_sites() {
        let host = Some("localhost:8012");
        assert_eq!(refusal(&headers(host, Some("http://localhost:8012")), true), None);
        assert_eq!(refusal(&headers(host, Some("https://localhost:8012")), true), None);
        for origin in ["http://evil.example", "http://localhost:9", "null", "", "localhost:8012", "file://"] {
            for is_loopback in [true, false] {
                let problem = refusal(&headers(host, Some(origin)), is_loopback).unwrap();
                assert_eq!(problem.code, "wrong_origin", "{origin}");
            }
        }
    }
}

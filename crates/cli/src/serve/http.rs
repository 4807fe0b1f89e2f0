//! What is answered to whom asks. There is nothing here that changes anything.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::collector::Shared;
use super::{metrics, page};
use crate::chart::STYLE;
use crate::output::now_ms;

const HTML: &str = "text/html; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Nothing comes from elsewhere, and nothing that somebody writes into a name is run.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(whole_page))
        .route("/main", get(main_part))
        .route("/metrics", get(open_metrics))
        .route("/status.json", get(status))
        .route("/healthz", get(health))
        .route("/style.css", get(|| async { reply("text/css; charset=utf-8", STYLE.to_owned()) }))
        .route(
            "/live.js",
            get(|| async { reply("text/javascript; charset=utf-8", LIVE.to_owned()) }),
        )
        .fallback(nothing_there)
        .with_state(shared)
}

const LIVE: &str = include_str!("live.js");

/// An answer with the headers that all have.
fn reply(content_type: &'static str, body: String) -> Response {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, body).into_response()
}

fn or_error(content_type: &'static str, made: Result<String, impl std::fmt::Display>) -> Response {
    match made {
        Ok(body) => reply(content_type, body),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn whole_page(State(shared): State<Arc<Shared>>) -> Response {
    or_error(HTML, page::whole(&shared.world(), shared.interval, now_ms()))
}

/// What the script puts in the place of what is there.
async fn main_part(State(shared): State<Arc<Shared>>) -> Response {
    or_error(HTML, page::main_part(&shared.world(), now_ms()))
}

async fn open_metrics(State(shared): State<Arc<Shared>>) -> Response {
    let world = shared.world().clone();
    or_error(OPEN_METRICS, metrics::exposition(&world))
}

/// The plugin's last status, as `slurm-asg status --json` prints it.
async fn status(State(shared): State<Arc<Shared>>) -> Response {
    let world = shared.world();
    match (&world.status, &world.problem) {
        (Some(status), None) => or_error("application/json", serde_json::to_string_pretty(status)),
        (_, problem) => unavailable(problem.as_deref()),
    }
}

/// Whether the plugin answers.
async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let world = shared.world();
    match (&world.status, &world.problem) {
        (Some(_), None) => reply("text/plain; charset=utf-8", "ok\n".to_owned()),
        (_, problem) => unavailable(problem.as_deref()),
    }
}

fn unavailable(problem: Option<&str>) -> Response {
    let why = problem.unwrap_or("the plugin has not been asked yet");
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
}

async fn nothing_there(uri: Uri) -> Response {
    let path = uri.path();
    let text = format!("there is no {path}; there are /, /metrics, /status.json and /healthz\n");
    (StatusCode::NOT_FOUND, text).into_response()
}

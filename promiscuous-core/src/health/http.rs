//! `/healthz` and `/readyz` over HTTP.
//!
//! * `/healthz`: 200 as long as every loop goes round, 503 when one has died or hangs. For liveness probes: a new process helps.
//! * `/readyz`: 200 as long as the work is done, be it with delays; 503 when it is not. For readiness probes, and for people: both
//!   answer with the [`Report`] as JSON.

use std::future::Future;
use std::io;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::{Health, Report};

/// Answers until `shutdown` resolves. Bind it to an address that only your own network reaches: it needs no password.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, routes(health)).with_graceful_shutdown(shutdown).await
}

/// The two routes, for an app that has a web server already.
pub fn routes(health: Health) -> Router {
    let ready = health.clone();
    Router::new()
        .route("/healthz", get(async move || answer(&health.report(), Report::is_alive)))
        .route("/readyz", get(async move || answer(&ready.report(), Report::is_ready)))
}

fn answer(report: &Report, good: impl Fn(&Report) -> bool) -> Response {
    let status = if good(report) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::to_string(report).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body)
        .into_response()
}

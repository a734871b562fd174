//! What an operator can do to a running server: the private pages that change something, and signals.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::log;
use crate::reload::Reload;
use crate::status::Status;

/// The pages that change something beside drain.
pub(crate) fn router(reload: Arc<Reload>) -> Router {
    Router::new()
        .route("/reload", post(take_up))
        .route("/log/level", get(log_level).post(set_log_level).put(set_log_level))
        .with_state(reload)
}

async fn take_up(State(reload): State<Arc<Reload>>) -> Response {
    let outcome = reload.reload().await;
    let status = if outcome.problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    (status, Json(outcome)).into_response()
}

async fn log_level() -> Json<Value> {
    Json(json!({ "level": log::level() }))
}

/// The body is the level: `debug`, or `info,signaling=debug`. It holds until the next change or restart.
async fn set_log_level(body: String) -> Response {
    match log::set_level(body.trim()) {
        Ok(()) => {
            tracing::info!(level = body.trim(), "log level changed");
            log_level().await.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("the level {error}\n")).into_response(),
    }
}

/// Completes when a drain that is to end the process has nobody left: no participant for two samples in a row.
pub(crate) async fn drained(status: &Status) {
    let mut empty = 0;
    while empty < 2 {
        tokio::time::sleep(LOOK_EVERY).await;
        let nobody = status.sample().signaling.occupants == 0;
        empty = if status.ends_when_empty() && nobody { empty + 1 } else { 0 };
    }
}

/// A sample is a second old at most.
const LOOK_EVERY: Duration = Duration::from_millis(1_100);

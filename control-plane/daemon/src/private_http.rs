//! The private HTTP server: health, metrics, statistics, drain. Loopback only; nothing here waits for work.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use contract::Metric;
use serde_json::{Value, json};
use tower_http::timeout::TimeoutLayer;
use worker::Statistics;

use crate::metrics_page;
use crate::status::{Sample, Status};

/// All private routes.
pub(crate) fn router(status: Arc<Status>) -> Router {
    Router::new()
        .route("/about/health", get(health))
        .route("/about/version", get(version))
        .route("/metrics", get(metrics))
        .route("/colibri/stats", get(statistics))
        .route("/debug", get(debug))
        .route("/drain", get(drain))
        .route("/drain/enable", post(drain_enable))
        .route("/drain/disable", post(drain_disable))
        .with_state(status)
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, ANSWER_WITHIN))
}

async fn health(State(status): State<Arc<Status>>) -> Response {
    match status.health() {
        Ok(()) => "healthy\n".into_response(),
        Err(reason) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{reason}\n")).into_response(),
    }
}

async fn version() -> Json<Value> {
    let os = nix::sys::utsname::uname()
        .map(|uname| format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()));
    Json(json!({ "name": "Sluice", "version": env!("CARGO_PKG_VERSION"), "os": os.unwrap_or_default() }))
}

async fn metrics(State(status): State<Arc<Status>>) -> Response {
    match metrics_page::page(&status) {
        Ok(page) => ([(header::CONTENT_TYPE, metrics_page::MEDIA_TYPE)], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The keys of the bridge that clients of these statistics know, as far as they mean something here.
async fn statistics(State(status): State<Arc<Status>>) -> Json<Value> {
    let sample = status.sample();
    let total = |metric| all(&sample).map(|statistics| statistics.counter(metric)).sum::<u64>();
    let endpoints: u64 = all(&sample).map(|statistics| statistics.endpoints).sum();
    let (failed, ..) = status.handshakes.read();
    let [messages_received, messages_sent, ..] = status.channels.read();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "current_timestamp": timestamp(),
        "healthy": status.health().is_ok(),
        "drain": status.draining(),
        "graceful_shutdown": status.draining(),
        "shutting_down": false,
        "conferences": all(&sample).map(|statistics| statistics.conferences).max().unwrap_or(0),
        "endpoints": endpoints,
        "participants": endpoints,
        "local_endpoints": endpoints,
        "octo_endpoints": 0,
        "bit_rate_download": kilobits(sample.rates.bits_in),
        "bit_rate_upload": kilobits(sample.rates.bits_out),
        "packet_rate_download": sample.rates.packets_in.round(),
        "packet_rate_upload": sample.rates.packets_out.round(),
        "total_bytes_received": total(Metric::BytesReceived),
        "total_bytes_sent": total(Metric::BytesSent),
        "total_packets_received": total(Metric::DatagramsReceived),
        "total_packets_sent": total(Metric::DatagramsSent),
        "total_keyframes_received": total(Metric::KeyFramesReceived),
        "dtls_failed_endpoints": failed,
        "total_data_channel_messages_received": messages_received,
        "total_data_channel_messages_sent": messages_sent,
    }))
}

/// State for people, without names, addresses or secrets.
async fn debug(State(status): State<Arc<Status>>) -> Json<Value> {
    let sample = status.sample();
    let workers: Vec<Value> = sample
        .workers
        .iter()
        .map(|worker| {
            let statistics = worker.statistics.as_ref().map(|statistics| {
                let percentile = |p| statistics.box_delay_us.value_at_quantile(p);
                json!({
                    "endpoints": statistics.endpoints,
                    "conferences": statistics.conferences,
                    "slots_held": statistics.slots_held,
                    "slots": statistics.slots,
                    "dropped": statistics.dropped_total(),
                    "accounting_balanced": statistics.balanced(),
                    "box_delay_us": { "p50": percentile(0.5), "p99": percentile(0.99), "p999": percentile(0.999) },
                    "turn_us_p99": statistics.turn_us.value_at_quantile(0.99),
                })
            });
            json!({ "silent_for_ms": worker.silent_for.as_millis() as u64, "statistics": statistics })
        })
        .collect();
    let (open, refused, unauthorized) = status.http.read();
    let (failed, paced, associations) = status.handshakes.read();
    let profiles: serde_json::Map<String, Value> = status
        .handshakes
        .by_profile()
        .map(|(profile, count)| (profile.name().to_owned(), count.into()))
        .collect();
    Json(json!({
        "uptime_s": status.uptime().as_secs(),
        "health": status.health().err().unwrap_or_else(|| "healthy".to_owned()),
        "draining": status.draining(),
        "sessions": sample.signaling.sessions,
        "rooms": sample.signaling.rooms,
        "occupants": sample.signaling.occupants,
        "http": { "open": open, "refused": refused, "unauthorized_channels": unauthorized },
        "dtls": { "associations": associations, "failed": failed, "paced": paced, "established": profiles },
        "workers": workers,
    }))
}

async fn drain(State(status): State<Arc<Status>>) -> Json<Value> {
    Json(json!({ "drain": status.draining() }))
}

async fn drain_enable(State(status): State<Arc<Status>>) -> Json<Value> {
    status.set_draining(true);
    tracing::info!("draining: new conferences are refused");
    drain(State(status)).await
}

async fn drain_disable(State(status): State<Arc<Status>>) -> Json<Value> {
    status.set_draining(false);
    tracing::info!("no longer draining");
    drain(State(status)).await
}

fn all(sample: &Sample) -> impl Iterator<Item = &Statistics> {
    sample.workers.iter().filter_map(|worker| worker.statistics.as_ref())
}

fn kilobits(bits: f64) -> f64 {
    (bits / 1_000.0).round()
}

/// `yyyy-MM-dd HH:mm:ss.SSS` in UTC (civil date from days, Gregorian).
fn timestamp() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:03}", since.subsec_millis())
}

/// Year, month and day of a day since 1970-01-01.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1_970;
    // Ends: each pass takes a year's days away.
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

/// Nothing here waits; a client that does not read does.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let table = [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (20_779, (2026, 11, 22)),
            (20_818, (2026, 12, 31)),
            (20_819, (2027, 1, 1)),
        ];
        for (days, expected) in table {
            assert_eq!(civil(days), expected, "{days}");
        }
    }
}

//! The private HTTP server: health, metrics, statistics, drain. Loopback only; nothing here waits for work.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use contract::Metric;
use contract::session::SrtpProfile;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_http::timeout::TimeoutLayer;
use worker::Heights;

use crate::status::{Seat, Status};
use crate::{metrics_page, stats_page};

/// All private routes.
pub(crate) fn router(status: Arc<Status>) -> Router {
    let pages = Router::new()
        .route("/metrics", get(metrics))
        .route("/colibri/stats", get(statistics))
        .route("/debug", get(debug))
        .route("/debug/{room}", get(conference))
        .route_layer(from_fn_with_state(Arc::clone(&status), paced));
    Router::new()
        .merge(pages)
        .route("/about/health", get(health))
        .route("/about/version", get(version))
        .route("/drain", get(drain).post(drain_and_end))
        .route("/drain/enable", post(drain_enable))
        .route("/drain/disable", post(drain_disable))
        // Where the scripts of the existing bridge look for them.
        .route("/colibri/drain", get(drain))
        .route("/colibri/drain/enable", post(drain_enable))
        .route("/colibri/drain/disable", post(drain_disable))
        .route("/colibri/shutdown", post(shutdown))
        .with_state(status)
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, ANSWER_WITHIN))
}

/// Pages that take work are made at a rate: whoever asks in a loop takes no more of the machine than that.
async fn paced(State(status): State<Arc<Status>>, request: Request, next: Next) -> Response {
    if status.scrapes.admit(status.uptime()) {
        return next.run(request).await;
    }
    let later = [(header::RETRY_AFTER, "1")];
    (StatusCode::TOO_MANY_REQUESTS, later, "asked too often: a few times a second will do\n").into_response()
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

async fn statistics(State(status): State<Arc<Status>>) -> Json<Value> {
    Json(stats_page::page(&status))
}

/// What `/debug` may be asked.
#[derive(Debug, serde::Deserialize)]
struct DebugQuery {
    /// Only the link to this receiver, by its number in the log.
    endpoint: Option<u64>,
}

/// State for people, without names, addresses or secrets; or the bandwidth decisions of one receiver.
async fn debug(State(status): State<Arc<Status>>, Query(query): Query<DebugQuery>) -> Response {
    let Some(endpoint) = query.endpoint else { return overview(&status).into_response() };
    let Some(answer) = status.bandwidth.ask(contract::EndpointId(endpoint)) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many questions wait\n").into_response();
    };
    match answer.await {
        Ok(page) => Json(page).into_response(),
        Err(_) => (StatusCode::NOT_FOUND, "there is no such endpoint\n").into_response(),
    }
}

fn overview(status: &Status) -> Json<Value> {
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
                    "busy_us": statistics.counter(Metric::TurnMicroseconds),
                    "datagrams_received": statistics.counter(Metric::DatagramsReceived),
                    "datagrams_sent": statistics.counter(Metric::DatagramsSent),
                    "bytes_received": statistics.counter(Metric::BytesReceived),
                    "bytes_sent": statistics.counter(Metric::BytesSent),
                    "dropped": statistics.dropped_total(),
                    "accounting_balanced": statistics.balanced(),
                    "box_delay_us": { "p50": percentile(0.5), "p99": percentile(0.99), "p999": percentile(0.999) },
                    "turn_us_p99": statistics.turn_us.value_at_quantile(0.99),
                })
            });
            json!({ "silent_for_ms": worker.silent_for.as_millis() as u64, "statistics": statistics })
        })
        .collect();
    let shown = sample.seats.len().min(SEATS_SHOWN_MAX);
    let tcp = status.tcp.read();
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
        "dtls": { "associations": associations, "reached": status.handshakes.reached_now(), "failed": failed, "paced": paced, "established": profiles },
        "ice_tcp": { "open": tcp.open, "proved": tcp.proved, "refused": tcp.refused },
        "workers": workers,
        "conferences": conferences(&sample.seats[..shown]),
        // Those of one conference are at `/debug/ROOM`.
        "endpoints_left_out": sample.seats.len() - shown,
    }))
}

/// One conference by its room name, with the same for its endpoints as in the whole.
async fn conference(State(status): State<Arc<Status>>, Path(room): Path<String>) -> Response {
    let sample = status.sample();
    let seats: Vec<Seat> = sample.seats.iter().filter(|seat| seat.room == room).cloned().collect();
    match conferences(&seats).pop() {
        Some(conference) => Json(conference).into_response(),
        None => (StatusCode::NOT_FOUND, "no such conference on the bridge\n").into_response(),
    }
}

/// By room, in its order; `seats` are sorted.
fn conferences(seats: &[Seat]) -> Vec<Value> {
    seats
        .chunk_by(|one, two| one.room == two.room)
        .map(|seats| {
            let endpoints: Vec<Value> = seats.iter().map(endpoint).collect();
            json!({ "room": seats[0].room, "endpoints": endpoints })
        })
        .collect()
}

fn endpoint(seat: &Seat) -> Value {
    let counted = &seat.statistics;
    let path = counted
        .path
        .map(|(tcp, ipv6)| format!("{} {}", if tcp { "tcp" } else { "udp" }, if ipv6 { 6 } else { 4 }));
    json!({
        "id": seat.id,
        "number": counted.endpoint.0,
        "worker": seat.worker,
        "path": path,
        "active": counted.active,
        "profile": counted.profile.map(SrtpProfile::name),
        "round_trip_ms": counted.round_trip_us.map(|us| f64::from(us) / 1_000.0),
        "jitter_ms": f64::from(counted.jitter_us) / 1_000.0,
        "loss_from_it": counted.loss_inbound,
        "loss_to_it": counted.loss_outbound,
        "bytes_from_it": counted.bytes_received,
        "bytes_to_it": counted.bytes_sent,
        "packets_from_it": counted.packets_received,
        "packets_to_it": counted.packets_sent,
        "retransmitted": counted.packets_retransmitted,
        "videos": seat.forwarded,
        "videos_by_height": heights(counted.heights),
        "estimate_bps": seat.estimate_bps,
    })
}

/// Videos by the height of the layer that is sent, in pixels at most; the last are above all limits.
fn heights(Heights(videos): Heights) -> Value {
    let limits = Heights::LIMITS.iter().map(u16::to_string).chain(["above".to_owned()]);
    limits
        .zip(videos)
        .map(|(limit, videos)| (limit, Value::from(videos)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

async fn drain(State(status): State<Arc<Status>>) -> Json<Value> {
    Json(json!({ "drain": status.draining() }))
}

/// The process ends once nobody is left.
async fn drain_and_end(State(status): State<Arc<Status>>) -> Json<Value> {
    status.drain_and_end();
    tracing::info!("draining: new conferences are refused, the process ends when nobody is left");
    drain(State(status)).await
}

/// What the shutdown scripts of the existing bridge send. Without grace there are signals.
#[derive(Debug, Deserialize)]
struct Shutdown {
    #[serde(rename = "graceful-shutdown")]
    graceful: bool,
}

async fn shutdown(state: State<Arc<Status>>, Json(shutdown): Json<Shutdown>) -> Response {
    if !shutdown.graceful {
        return (StatusCode::BAD_REQUEST, "to end at once, send the process SIGTERM\n").into_response();
    }
    drain_and_end(state).await.into_response()
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

/// Endpoints on one page, each of some 600 bytes: the page stays below a megabyte.
const SEATS_SHOWN_MAX: usize = 1_500;

/// Nothing here waits; a client that does not read does.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

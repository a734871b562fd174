//! `POST /conference-request/v1`: the conference request as JSON.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use signaling::focus::ConferenceRequest;
use tokio::sync::oneshot;
use xmpp::jid::BareJid;

use crate::http::Public;
use crate::signaling_loop::Message;

/// What clients send. Keys that are not known are left alone.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    room: String,
    #[serde(rename = "machineUid")]
    machine_uid: Option<String>,
    #[serde(default)]
    properties: Map<String, Value>,
}

/// What they are answered; `properties` is there even if empty.
#[derive(Debug, Serialize)]
struct Answer {
    room: String,
    ready: bool,
    #[serde(rename = "focusJid")]
    focus_jid: String,
    properties: Map<String, Value>,
}

/// Answers a request.
pub(crate) async fn post(
    State(public): State<Public>,
    body: Result<Json<Request>, axum::extract::rejection::JsonRejection>,
) -> Response {
    let Ok(Json(request)) = body else { return with_cors(StatusCode::BAD_REQUEST.into_response()) };
    let Ok(room) = request.room.parse::<BareJid>() else {
        return with_cors(StatusCode::BAD_REQUEST.into_response());
    };
    if room.domain().as_str() != public.domains.muc || room.node().is_none() {
        return with_cors(StatusCode::BAD_REQUEST.into_response());
    }
    if public.status.draining() {
        return with_cors(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }

    let properties = request.properties.into_iter().take(PROPERTIES_MAX).filter_map(as_text).collect();
    let request = ConferenceRequest { room: room.clone(), machine_uid: request.machine_uid, properties };
    let (reply, answer) = oneshot::channel();
    let asked = public.signaling.send(Message::ConferenceRequest { request, reply }).await;
    let answer = match asked {
        Ok(()) => answer.await.ok(),
        Err(_) => None,
    };
    let response = match answer {
        Some(Ok(answer)) => {
            let properties = answer.properties.into_iter().map(|(name, value)| (name, Value::String(value)));
            let focus_jid = answer.focus_jid.to_string();
            let answer = Answer {
                room: room.to_string(),
                ready: answer.ready,
                focus_jid,
                properties: properties.collect(),
            };
            Json(answer).into_response()
        }
        Some(Err(refusal)) => {
            tracing::info!(%refusal, "conference request refused");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    with_cors(response)
}

/// Answers the browser's question before it posts from another origin.
pub(crate) async fn options() -> Response {
    let mut response = with_cors(StatusCode::OK.into_response());
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, OPTIONS"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("authorization, content-type"),
    );
    response
}

fn with_cors(mut response: Response) -> Response {
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// Values arrive as numbers, booleans or texts; the focus knows texts.
fn as_text((name, value): (String, Value)) -> Option<(String, String)> {
    match value {
        Value::String(text) => Some((name, text)),
        Value::Bool(_) | Value::Number(_) => Some((name, value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Clients send about ten.
const PROPERTIES_MAX: usize = 100;

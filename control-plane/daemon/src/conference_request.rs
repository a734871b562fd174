//! `POST /conference-request/v1`: the conference request as JSON.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use signaling::focus::{ConferenceRefusal, ConferenceRequest};
use tokio::sync::oneshot;
use xmpp::credentials::{Credentials, Token};

use crate::entrance::{Peer, bearer};
use crate::http::{Public, too_many};
use crate::refusals::Reason;
use crate::signaling_loop::Message;

/// What clients send. Keys that are not known are left alone.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    room: String,
    #[serde(rename = "machineUid")]
    machine_uid: Option<String>,
    #[serde(rename = "sessionId")]
    session_id: Option<String>,
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
    #[serde(rename = "sessionId", skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    properties: Map<String, Value>,
}

/// Answers a request.
pub(crate) async fn post(
    State(public): State<Public>,
    peer: Peer,
    headers: HeaderMap,
    body: Result<Json<Request>, axum::extract::rejection::JsonRejection>,
) -> Response {
    let Ok(Json(request)) = body else { return with_cors(StatusCode::BAD_REQUEST.into_response()) };
    let Some(room) = public.domains.room(&request.room) else {
        return with_cors(refused(ConferenceRefusal::NoSuchRoom));
    };
    if !public.requests.turn(peer.address).await {
        public.status.refusals.count(Reason::Pace);
        return with_cors(too_many().into_response());
    }
    let properties = request.properties.into_iter().take(PROPERTIES_MAX).filter_map(as_text).collect();
    let request = ConferenceRequest {
        room: room.clone(),
        machine_uid: request.machine_uid,
        session_id: request.session_id,
        properties,
    };
    let credentials = match credentials(&public, &headers).await {
        Ok(credentials) => credentials,
        Err(flaw) => return with_cors((StatusCode::FORBIDDEN, flaw).into_response()),
    };
    let (reply, answer) = oneshot::channel();
    let asked = public.signaling.send(Message::ConferenceRequest { request, credentials, reply }).await;
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
                session_id: answer.session_id,
                identity: answer.identity,
                properties: properties.collect(),
            };
            Json(answer).into_response()
        }
        Some(Err(refusal)) => {
            tracing::info!(%refusal, "conference request refused");
            refused(refusal)
        }
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    with_cors(response)
}

/// What the token of the request proves; the text for people if it is wrong.
async fn credentials(public: &Public, headers: &HeaderMap) -> Result<Credentials, &'static str> {
    let Some(verifier) = &public.verifier else { return Ok(Credentials::default()) };
    match verifier.check(bearer(headers)).await {
        Token::Absent => Ok(Credentials::default()),
        Token::Valid(claims) => Ok(Credentials { token: Some(claims), ..Credentials::default() }),
        Token::Invalid(flaw) => Err(flaw),
    }
}

fn refused(refusal: ConferenceRefusal) -> Response {
    match refusal {
        ConferenceRefusal::Draining => (StatusCode::SERVICE_UNAVAILABLE, refusal.to_string()).into_response(),
        ConferenceRefusal::NoSuchRoom => (StatusCode::BAD_REQUEST, "there is no such room").into_response(),
        ConferenceRefusal::Full => (StatusCode::SERVICE_UNAVAILABLE, "too many conferences").into_response(),
        // Clients show their login dialog.
        ConferenceRefusal::NotAuthorized => {
            (StatusCode::FORBIDDEN, "somebody who can log in has to start this conference").into_response()
        }
        // Clients look for these words, and not at the beginning.
        ConferenceRefusal::SessionInvalid => {
            (StatusCode::BAD_REQUEST, "Error: 400 invalid-session").into_response()
        }
    }
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

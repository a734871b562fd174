//! Rooms over the private HTTP server, at the paths and with the answers of the existing server's modules: sizes, who is
//! inside, census, end of a meeting, removal of a participant.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use signaling::route::{Missing, Person, RoomCount};
use signaling::secret::equal;
use signaling::{Domains, Signaling};
use tokio::sync::oneshot;
use xmpp::jid::BareJid;

use crate::config::Config;
use crate::signaling_loop::{Handle, Message};

/// A question about rooms, or an order; each is answered at once.
pub(crate) enum RoomRequest {
    Census(oneshot::Sender<Vec<RoomCount>>),
    Sessions(oneshot::Sender<usize>),
    People(BareJid, oneshot::Sender<Result<Vec<Person>, Missing>>),
    End { room: BareJid, silently: bool, reply: oneshot::Sender<Result<(), Missing>> },
    Remove { room: BareJid, nick: String, reply: oneshot::Sender<Result<(), Missing>> },
}

impl RoomRequest {
    /// Carries it out. Who asked may be gone.
    pub(crate) fn answer(self, signaling: &mut Signaling, now: contract::Timestamp) {
        match self {
            RoomRequest::Census(reply) => {
                let _ = reply.send(signaling.census());
            }
            RoomRequest::Sessions(reply) => {
                let _ = reply.send(signaling.snapshot().sessions);
            }
            RoomRequest::People(room, reply) => {
                let _ = reply.send(signaling.people(&room));
            }
            RoomRequest::End { room, silently, reply } => {
                let _ = reply.send(signaling.end(&room, silently, now));
            }
            RoomRequest::Remove { room, nick, reply } => {
                let _ = reply.send(signaling.remove(&room, &nick, now));
            }
        }
    }
}

/// The pages as the settings want them; `None` if they want none.
///
/// # Errors
/// Says why the file with the token is of no use.
pub(crate) fn from_settings(config: &Config, signaling: &Handle) -> Result<Option<Router>> {
    if !config.http.room_services {
        return Ok(None);
    }
    let token = config.http.room_services_token_file.as_deref().map(token_in).transpose()?;
    Ok(Some(router(signaling.clone(), Domains::of(&config.xmpp.domain), token)))
}

fn token_in(path: &Path) -> Result<Arc<str>> {
    let key = "http.room_services_token_file";
    let text =
        std::fs::read_to_string(path).with_context(|| format!("{key}: cannot read {}", path.display()))?;
    let token = text.trim();
    anyhow::ensure!(
        token.len() >= TOKEN_BYTES_MIN,
        "{key}: {} holds fewer than {TOKEN_BYTES_MIN} characters, which could be guessed",
        path.display()
    );
    Ok(token.into())
}

/// What the pages share.
#[derive(Clone)]
struct Services {
    signaling: Handle,
    domains: Arc<Domains>,
    /// What a request that changes something must bear; without one there are no such requests.
    token: Option<Arc<str>>,
}

/// The pages. `token` lets its bearers end meetings and remove people.
pub(crate) fn router(signaling: Handle, domains: Domains, token: Option<Arc<str>>) -> Router {
    let services = Services { signaling, domains: Arc::new(domains), token };
    Router::new()
        .route("/room-size", get(size))
        .route("/room", get(people))
        .route("/sessions", get(sessions))
        .route("/room-census", get(census))
        .route("/end-meeting", post(end))
        .route("/kick-participant", put(remove))
        .with_state(services)
}

/// How a room is named: by its name alone, with the domain it is under, and the tenant.
#[derive(Debug, Deserialize)]
struct RoomQuery {
    room: String,
    domain: Option<String>,
    #[serde(alias = "prefix")]
    subdomain: Option<String>,
}

async fn size(State(services): State<Services>, Query(query): Query<RoomQuery>) -> Response {
    let told = |people: Vec<Person>| Json(json!({ "participants": people.len() })).into_response();
    services.with_people(&query, told).await
}

async fn people(State(services): State<Services>, Query(query): Query<RoomQuery>) -> Response {
    let person =
        |person: Person| json!({ "jid": person.address, "email": person.email, "display_name": person.name });
    let told =
        |people: Vec<Person>| Json(people.into_iter().map(person).collect::<Vec<Value>>()).into_response();
    services.with_people(&query, told).await
}

async fn sessions(State(services): State<Services>) -> Response {
    match services.ask(RoomRequest::Sessions).await {
        Some(count) => count.to_string().into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn census(State(services): State<Services>) -> Response {
    let Some(rooms) = services.ask(RoomRequest::Census).await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let told = |count: RoomCount| {
        json!({
            "room_name": count.room.as_str(),
            "participants": count.participants,
            "created_time": count.created_unix_ms,
            "leaked": false,
        })
    };
    Json(json!({ "room_census": rooms.into_iter().map(told).collect::<Vec<Value>>() })).into_response()
}

#[derive(Debug, Deserialize)]
struct EndQuery {
    conference: String,
    #[serde(rename = "silent-reconnect", default)]
    silent_reconnect: bool,
}

async fn end(
    State(services): State<Services>,
    headers: HeaderMap,
    Query(query): Query<EndQuery>,
) -> Response {
    if let Some(refusal) = services.refusal(&headers) {
        return refusal;
    }
    let Ok(room) = query.conference.parse::<BareJid>() else {
        return bad("conference is no address of a room\n");
    };
    let silently = query.silent_reconnect;
    tracing::info!(%room, silently, "a meeting is ended over HTTP");
    outcome(services.ask(|reply| RoomRequest::End { room, silently, reply }).await)
}

/// Whom to remove. Participants of telephone gateways, whom the existing server also finds by `number`, are none here.
#[derive(Debug, Deserialize)]
struct Removal {
    #[serde(rename = "participantId")]
    participant: String,
}

async fn remove(
    State(services): State<Services>,
    headers: HeaderMap,
    Query(query): Query<RoomQuery>,
    body: Result<Json<Removal>, axum::extract::rejection::JsonRejection>,
) -> Response {
    if let Some(refusal) = services.refusal(&headers) {
        return refusal;
    }
    let Ok(Json(Removal { participant: nick })) = body else {
        return bad("the body must be JSON with participantId\n");
    };
    let Some(room) = services.address(&query) else { return bad("there can be no such room\n") };
    tracing::info!(%room, nick, "a participant is removed over HTTP");
    outcome(services.ask(|reply| RoomRequest::Remove { room, nick, reply }).await)
}

impl Services {
    /// Why a request may change nothing; `None` if it may.
    fn refusal(&self, headers: &HeaderMap) -> Option<Response> {
        let Some(token) = &self.token else {
            let text = "set http.room_services_token_file to end meetings and remove people from outside\n";
            return Some((StatusCode::FORBIDDEN, text).into_response());
        };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        if equal(given.as_bytes(), token.as_bytes()) {
            return None;
        }
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        Some((StatusCode::UNAUTHORIZED, challenge, "the bearer token is missing or wrong\n").into_response())
    }

    /// Answers by those who are in a room.
    async fn with_people(&self, query: &RoomQuery, answer: impl FnOnce(Vec<Person>) -> Response) -> Response {
        let Some(room) = self.address(query) else { return bad("there can be no such room\n") };
        match self.ask(|reply| RoomRequest::People(room, reply)).await {
            Some(Ok(people)) => answer(people),
            Some(Err(missing)) => not_found(missing),
            None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    }

    /// The address that a query means; `None` if it names another domain than ours, or nothing that could be a room.
    fn address(&self, query: &RoomQuery) -> Option<BareJid> {
        if query.domain.as_ref().is_some_and(|domain| *domain != self.domains.main) {
            return None;
        }
        let muc = match query.subdomain.as_deref().filter(|tenant| !tenant.is_empty()) {
            Some(tenant) => self.domains.muc_of(tenant),
            None => self.domains.muc.clone(),
        };
        let room: BareJid = format!("{}@{muc}", query.room).parse().ok()?;
        self.domains.is_muc(room.domain().as_str()).then_some(room)
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> RoomRequest) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.signaling.send(Message::Rooms(request(reply))).await.ok()?;
        answer.await.ok()
    }
}

fn outcome(answer: Option<Result<(), Missing>>) -> Response {
    match answer {
        Some(Ok(())) => StatusCode::OK.into_response(),
        Some(Err(missing)) => not_found(missing),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn not_found(missing: Missing) -> Response {
    (StatusCode::NOT_FOUND, format!("{missing}\n")).into_response()
}

fn bad(text: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, text).into_response()
}

/// Shortest token: 128 bits as base64 without padding.
const TOKEN_BYTES_MIN: usize = 22;

#[cfg(test)]
mod tests;

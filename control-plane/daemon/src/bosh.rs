//! BOSH at `/http-bind` (XEP-0124, XEP-0206): one task a session, which looks like a WebSocket to the signalling loop.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{mpsc, oneshot};
use xmpp::bosh::{Body, Event, RequestId, Session, terminate};
use xmpp::streams;
use xmpp::websocket::Framing;
use xmpp::{ConnectionId, FrameReader};

use crate::entrance::{ConnectionQuery, Peer};
use crate::http::{Public, origin_allowed};
use crate::outbox::{ToConnection, Waiting, outbox};
use crate::refusals::Reason;
use crate::signaling_loop::{Clock, Handle, Message};
use crate::throttle::Throttle;

/// All sessions of the process, by session id.
#[derive(Clone)]
pub(crate) struct Sessions {
    open: Arc<Mutex<HashMap<String, mpsc::Sender<Request>>>>,
    max: usize,
}

/// A request on its way to its session.
struct Request {
    body: Body,
    reply: oneshot::Sender<String>,
}

impl Sessions {
    /// At most `max` at a time.
    pub(crate) fn new(max: usize) -> Sessions {
        Sessions { open: Arc::default(), max }
    }

    fn find(&self, sid: &str) -> Option<mpsc::Sender<Request>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(sid).cloned()
    }

    /// Gives the session a place; `None` if there is none.
    fn enter(&self, sid: &str, sender: mpsc::Sender<Request>) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= self.max {
            return None;
        }
        open.insert(sid.to_owned(), sender);
        Some(Place { sessions: self.clone(), sid: sid.to_owned() })
    }
}

/// An entry of the table, taken back when dropped.
struct Place {
    sessions: Sessions,
    sid: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sessions.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.sid);
    }
}

/// A body of a client.
pub(crate) async fn post(
    State(public): State<Public>,
    peer: Peer,
    Query(query): Query<ConnectionQuery>,
    headers: HeaderMap,
    text: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    if !origin_allowed(&headers, &public.allowed_origins) {
        public.status.refusals.count(Reason::Origin);
        return (StatusCode::FORBIDDEN, "pages of this origin may not connect here").into_response();
    }
    let answer = match text {
        Ok(text) => answered(&public, peer, query, &headers, &text).await,
        Err(_) => Err("policy-violation"),
    };
    let text = answer.unwrap_or_else(|condition| {
        public.status.refusals.count(Reason::Body);
        terminate(Some(condition))
    });
    let mut response = ([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response();
    allow_origin(&headers, response.headers_mut());
    response
}

/// The question that browsers ask before they post to another origin.
pub(crate) async fn options(State(public): State<Public>, headers: HeaderMap) -> Response {
    if !origin_allowed(&headers, &public.allowed_origins) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let mut response = StatusCode::OK.into_response();
    allow_origin(&headers, response.headers_mut());
    let fields = response.headers_mut();
    fields.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    fields.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("authorization, content-type"),
    );
    fields.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    response
}

/// The request by which clients keep proxies on their way awake.
pub(crate) async fn keep_alive(State(public): State<Public>, headers: HeaderMap) -> Response {
    let mut response = StatusCode::OK.into_response();
    if origin_allowed(&headers, &public.allowed_origins) {
        allow_origin(&headers, response.headers_mut());
    }
    response
}

/// The text to answer with, or the condition to refuse with.
async fn answered(
    public: &Public,
    peer: Peer,
    query: ConnectionQuery,
    headers: &HeaderMap,
    text: &[u8],
) -> Result<String, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "bad-request")?;
    let body = Body::parse(text).map_err(|_| "bad-request")?;
    let (reply, answer) = oneshot::channel();
    let sender = match body.sid() {
        Some(sid) => public.bosh.find(sid).ok_or("item-not-found")?,
        None => {
            let entering = public.enter(peer, query, headers, Framing::Bosh).await;
            open(public, entering.ok_or("policy-violation")?, &body).await?
        }
    };
    sender.send(Request { body, reply }).await.map_err(|_| "item-not-found")?;
    answer.await.map_err(|_| "item-not-found")
}

/// Starts the session that `body` asks for.
async fn open(
    public: &Public,
    query: streams::Query,
    body: &Body,
) -> Result<mpsc::Sender<Request>, &'static str> {
    let connection = ConnectionId(public.number());
    let (sender, requests) = mpsc::channel(REQUESTS_WAITING_MAX);
    let sid = session_id();
    let place = public.bosh.enter(&sid, sender.clone()).ok_or("policy-violation")?;

    let (frame_sender, frames) = outbox();
    let (accepted, taken) = oneshot::channel();
    let message = Message::Connected { connection, query, sender: frame_sender, accepted };
    public.signaling.send(message).await.map_err(|_| "system-shutdown")?;
    if !taken.await.unwrap_or(false) {
        return Err("policy-violation");
    }
    let clock = Clock::new();
    let session = Session::new(sid, body, clock.now());
    let task = Task {
        session,
        clock,
        connection,
        signaling: public.signaling.clone(),
        reader: FrameReader::default(),
        replies: HashMap::new(),
    };
    tokio::spawn(task.run(requests, frames, place));
    Ok(sender)
}

/// One session.
struct Task {
    session: Session,
    clock: Clock,
    connection: ConnectionId,
    signaling: Handle,
    reader: FrameReader,
    replies: HashMap<RequestId, oneshot::Sender<String>>,
}

impl Task {
    /// Serves the session until it ends; the place in the table goes with it.
    async fn run(mut self, mut requests: mpsc::Receiver<Request>, mut frames: Waiting, _place: Place) {
        let mut throttle = Throttle::new();
        let mut asked = 0;
        let mut is_open = true;
        loop {
            let mut events = Vec::new();
            tokio::select! {
                request = requests.recv() => {
                    let Some(Request { body, reply }) = request else { break };
                    asked += 1;
                    self.replies.insert(RequestId(asked), reply);
                    self.session.request(RequestId(asked), body, self.clock.now(), &mut events);
                }
                frame = frames.recv(), if is_open => is_open = self.heard(frame, &mut frames, &mut events),
                request = first_abandoned(&mut self.replies) => {
                    self.replies.remove(&request);
                    self.session.abandoned(request, self.clock.now());
                }
                () = self.clock.sleep_until(self.session.poll_timeout()) => {
                    self.session.handle_timeout(self.clock.now(), &mut events);
                }
            }
            if !self.carry_out(events, &mut throttle, frames.is_authenticated()).await {
                break;
            }
        }
        let _ = self.signaling.send(Message::Lost { connection: self.connection }).await;
    }

    /// Takes `frame` and all that wait behind it. False once the stream is over.
    fn heard(&mut self, frame: Option<ToConnection>, frames: &mut Waiting, events: &mut Vec<Event>) -> bool {
        let mut next = frame;
        while let Some(ToConnection::Frame(text)) = next {
            self.session.frame(text.into(), events);
            next = match frames.try_recv() {
                Some(frame) => Some(frame),
                // If the other end is gone, the next wait will tell.
                None => {
                    self.session.flush(self.clock.now(), events);
                    return true;
                }
            };
        }
        self.session.closed(self.clock.now(), events);
        false
    }

    /// False once the session is over.
    async fn carry_out(
        &mut self,
        events: Vec<Event>,
        throttle: &mut Throttle,
        is_authenticated: bool,
    ) -> bool {
        for event in events {
            match event {
                Event::Answer { request, text } => {
                    if let Some(reply) = self.replies.remove(&request) {
                        // Who asked may be gone; then the client asks again and gets the same answer.
                        let _ = reply.send(text);
                    }
                }
                Event::Frame(text) => {
                    tokio::time::sleep(throttle.take(&text, self.clock.now())).await;
                    let read =
                        self.signaling.frame(self.connection, &mut self.reader, &text, is_authenticated);
                    if read.await.is_err() {
                        return false;
                    }
                }
                Event::Over => return false,
            }
        }
        true
    }
}

/// The first request for whose answer nobody waits any more: its connection closed.
async fn first_abandoned(replies: &mut HashMap<RequestId, oneshot::Sender<String>>) -> RequestId {
    std::future::poll_fn(|context| {
        let mut open = replies.iter_mut();
        let abandoned =
            open.find_map(|(request, reply)| reply.poll_closed(context).is_ready().then_some(*request));
        abandoned.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Pages of other origins that may connect may read the answer too.
fn allow_origin(headers: &HeaderMap, answer: &mut HeaderMap) {
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let Some(origin) = headers.get(header::ORIGIN) else { return };
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    answer.insert(header::VARY, HeaderValue::from_static("origin"));
    answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-jitsi-shard"));
}

/// 128 random bits, in letters that need no escaping anywhere.
fn session_id() -> String {
    let mut bytes = [0; 16];
    // Without randomness there is no safe way to go on, and Linux has it from the first second.
    getrandom::fill(&mut bytes).expect("the system's random generator works");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// XEP-0124 §5.
const MEDIA_TYPE: &str = "text/xml; charset=utf-8";

/// Requests of one session that were read but not taken; beyond that, their connections wait.
const REQUESTS_WAITING_MAX: usize = 4;

/// Longest time until an answer: the longest hold, and what the way through the loop takes.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(xmpp::bosh::WAIT_MAX.as_secs() + 10);

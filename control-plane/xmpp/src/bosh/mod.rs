//! One BOSH session: the frames of a stream in the bodies of HTTP requests (XEP-0124, XEP-0206).
//!
//! The HTTP layer numbers the requests of a session and answers each when it is told to. The stream behind reads and
//! writes the same frames as over a WebSocket, so that [`crate::streams`] serves both alike.

use std::collections::{BTreeMap, VecDeque};

use contract::{Duration, Timestamp};

use crate::websocket::CLOSE_FRAME;
use crate::{Element, ns, parse};

mod body;

pub use body::{BODY_BYTES_MAX, Body, terminate};

/// Requests of a client that may be open at a time, and so the distance that request ids may be ahead (XEP-0124 §11).
pub const REQUESTS_MAX: u64 = 2;
/// Requests kept open for a client: the other one is for what the client has to say.
const HOLD_MAX: u64 = 1;
/// Longest time that a request is kept open; proxies cut connections that are silent for longer.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// Time without any open request after which the client is gone; as Prosody's `bosh_max_inactivity`.
pub const INACTIVITY: Duration = Duration::from_secs(60);
/// Bytes that wait for a client's next request: the presences of a room of some hundred with room to spare.
const PENDING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of one answer, should more wait; a single larger frame still goes out.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Seconds between empty requests that clients are asked to leave; the frame rate is limited besides.
const POLLING_S: u64 = 5;

/// A request of one session, numbered by the HTTP layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u64);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Answer a request.
    Answer {
        /// Which.
        request: RequestId,
        /// One `<body/>`.
        text: String,
    },
    /// Hand a frame to the stream.
    Frame(String),
    /// The session is over: forget it, and the stream's connection with it. Comes last.
    Over,
}

/// The server side of one session.
#[derive(Debug)]
pub struct Session {
    sid: String,
    host: String,
    wait: Duration,
    hold: u64,
    next_rid: u64,
    early: BTreeMap<u64, (RequestId, Body)>,
    held: VecDeque<Held>,
    answered: VecDeque<(u64, String)>,
    frames: VecDeque<String>,
    pending_bytes: usize,
    authid: Option<String>,
    is_opened: bool,
    is_introduced: bool,
    is_authenticated: bool,
    quiet_since: Timestamp,
    end: End,
}

/// A request that waits for something to say.
#[derive(Clone, Copy, Debug)]
struct Held {
    rid: u64,
    request: RequestId,
    since: Timestamp,
    /// When its connection closed. Its answer is made all the same, for the client that asks for it again.
    abandoned: Option<Timestamp>,
}

/// How far the end of a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Not in sight.
    Open,
    /// The stream ended; the client has not been told this condition.
    Untold(Option<&'static str>),
    /// The client knows.
    Told,
}

impl Session {
    /// The session that `body`, which has no session id, asks for. `sid` is an unguessable id. The request itself
    /// is to be given to [`Session::request`] next.
    pub fn new(sid: String, body: &Body, now: Timestamp) -> Session {
        let wait = body.number("wait").map_or(WAIT_MAX, Duration::from_secs).min(WAIT_MAX);
        Session {
            sid,
            host: body.to().to_owned(),
            wait,
            hold: body.number("hold").unwrap_or(HOLD_MAX).min(HOLD_MAX),
            next_rid: body.rid(),
            early: BTreeMap::new(),
            held: VecDeque::new(),
            answered: VecDeque::new(),
            frames: VecDeque::new(),
            pending_bytes: 0,
            authid: None,
            is_opened: false,
            is_introduced: false,
            is_authenticated: false,
            quiet_since: now,
            end: End::Open,
        }
    }

    /// The session id.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// A request of this session came in.
    pub fn request(&mut self, request: RequestId, body: Body, now: Timestamp, out: &mut Vec<Event>) {
        if self.end == End::Told {
            return out.push(Event::Answer { request, text: terminate(Some("item-not-found")) });
        }
        if body.rid() < self.next_rid {
            return self.repeated(request, body.rid(), now, out);
        }
        if body.rid() >= self.next_rid + REQUESTS_MAX {
            out.push(Event::Answer { request, text: terminate(Some("item-not-found")) });
            return self.abort("item-not-found", out);
        }
        if let Some((replaced, _)) = self.early.insert(body.rid(), (request, body)) {
            out.push(Event::Answer { request: replaced, text: body::empty().to_string() });
        }
        while let Some((request, body)) = self.early.remove(&self.next_rid) {
            self.next_rid += 1;
            self.take(request, &body, now, out);
        }
        self.flush(now, out);
    }

    /// The connection of a request that is open closed: a tab that was closed without a word, or a network that changed.
    pub fn abandoned(&mut self, request: RequestId, now: Timestamp) {
        if let Some(held) = self.held.iter_mut().find(|held| held.request == request) {
            held.abandoned = Some(now);
        }
    }

    /// A frame from the stream. It goes out at the next [`Session::flush`].
    pub fn frame(&mut self, frame: String, out: &mut Vec<Event>) {
        if self.end != End::Open || frame == CLOSE_FRAME {
            return;
        }
        if frame.starts_with("<open ") {
            self.authid = parse(&frame).ok().and_then(|open| Some(open.attribute("id")?.to_owned()));
            return;
        }
        self.is_authenticated |= frame.starts_with("<success ");
        self.pending_bytes += frame.len();
        self.frames.push_back(frame);
        if self.pending_bytes > PENDING_BYTES_MAX {
            self.abort("policy-violation", out);
        }
    }

    /// The stream is over; what it said last goes out first.
    pub fn closed(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        if self.end != End::Open {
            return;
        }
        let error = self.frames.iter().find(|frame| frame.starts_with("<stream:error "));
        let condition = error.map(|error| {
            let own = OWN_CONDITIONS.iter().find(|name| error.contains(&format!("<{name} ")));
            own.copied().unwrap_or("remote-stream-error")
        });
        self.end = End::Untold(condition);
        self.flush(now, out);
    }

    /// Answers open requests if there is something to say or if there are too many of them. To be called after each
    /// batch of [`Session::frame`].
    pub fn flush(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        if let End::Untold(condition) = self.end {
            if !self.held.is_empty() {
                self.tell_end(condition, out);
            }
            return;
        }
        while !self.held.is_empty() && (!self.frames.is_empty() || self.held.len() as u64 > self.hold) {
            self.answer_oldest(now, out);
        }
    }

    /// When [`Session::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Timestamp {
        if self.end == End::Told {
            return Timestamp::NEVER;
        }
        let answer = self.held.front().map_or(Timestamp::NEVER, |held| held.since.after(self.wait));
        let end = self.absent_since().map_or(Timestamp::NEVER, |since| since.after(INACTIVITY));
        answer.min(end)
    }

    /// Answers what was kept open long enough; ends a session whose client is gone.
    pub fn handle_timeout(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        while self.held.front().is_some_and(|held| held.since.after(self.wait) <= now) {
            self.answer_oldest(now, out);
        }
        let is_gone = self.absent_since().is_some_and(|since| since.after(INACTIVITY) <= now);
        if is_gone && self.end != End::Told {
            self.end = End::Told;
            let early = std::mem::take(&mut self.early).into_values().map(|(request, _)| request);
            let text = || terminate(Some("item-not-found"));
            let open = self.held.drain(..).map(|held| held.request).chain(early);
            out.extend(open.map(|request| Event::Answer { request, text: text() }));
            out.push(Event::Over);
        }
    }

    /// Since when the client has no request open on a connection that stands.
    fn absent_since(&self) -> Option<Timestamp> {
        self.held.iter().try_fold(self.quiet_since, |since, held| Some(since.max(held.abandoned?)))
    }

    /// The request whose turn it is.
    fn take(&mut self, request: RequestId, body: &Body, now: Timestamp, out: &mut Vec<Event>) {
        if body.is_long() && !self.is_authenticated {
            out.push(Event::Answer { request, text: terminate(Some("policy-violation")) });
            return self.abort("policy-violation", out);
        }
        self.held.push_back(Held { rid: body.rid(), request, since: now, abandoned: None });
        if !std::mem::replace(&mut self.is_opened, true) {
            out.push(Event::Frame(self.open()));
        }
        out.extend(body.frames().map(Event::Frame));
        if body.terminates() {
            out.push(Event::Frame(CLOSE_FRAME.to_owned()));
            return self.tell_end(None, out);
        }
        if body.restarts() {
            out.push(Event::Frame(self.open()));
        }
    }

    /// A request that came before: its answer was lost, or its connection.
    fn repeated(&mut self, request: RequestId, rid: u64, now: Timestamp, out: &mut Vec<Event>) {
        if let Some((_, text)) = self.answered.iter().find(|(answered, _)| *answered == rid) {
            self.quiet_since = now;
            return out.push(Event::Answer { request, text: text.clone() });
        }
        if let Some(held) = self.held.iter_mut().find(|held| held.rid == rid) {
            let replaced = std::mem::replace(&mut held.request, request);
            (held.since, held.abandoned) = (now, None);
            return out.push(Event::Answer { request: replaced, text: body::empty().to_string() });
        }
        out.push(Event::Answer { request, text: terminate(Some("item-not-found")) });
        self.abort("item-not-found", out);
    }

    fn answer_oldest(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        let Some(held) = self.held.pop_front() else { return };
        let wrapper = if std::mem::replace(&mut self.is_introduced, true) {
            body::empty()
        } else {
            self.introduction()
        };
        let text = body::around(&wrapper, &self.take_frames());
        if self.answered.len() as u64 == REQUESTS_MAX {
            self.answered.pop_front();
        }
        self.answered.push_back((held.rid, text.clone()));
        self.quiet_since = self.quiet_since.max(held.abandoned.unwrap_or(now));
        out.push(Event::Answer { request: held.request, text });
    }

    fn take_frames(&mut self) -> Vec<String> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(frame) = self.frames.front()
            && (taken.is_empty() || bytes + frame.len() <= ANSWER_BYTES_MAX)
        {
            bytes += frame.len();
            taken.extend(self.frames.pop_front());
        }
        self.pending_bytes -= bytes;
        taken
    }

    /// Breaks the session off because of what the client did.
    fn abort(&mut self, condition: &'static str, out: &mut Vec<Event>) {
        self.frames.clear();
        self.tell_end(Some(condition), out);
    }

    /// Answers everything that is open with the end of the session.
    fn tell_end(&mut self, condition: Option<&'static str>, out: &mut Vec<Event>) {
        self.end = End::Told;
        let mut last = std::mem::take(&mut self.frames);
        let early = std::mem::take(&mut self.early).into_values().map(|(request, _)| request);
        for request in self.held.drain(..).map(|held| held.request).chain(early) {
            let wrapper = body::empty().attr("type", "terminate").attr_if("condition", condition);
            let text = body::around(&wrapper, last.make_contiguous());
            last.clear();
            out.push(Event::Answer { request, text });
        }
        out.push(Event::Over);
    }

    /// What the first answer says (XEP-0124 §7).
    fn introduction(&self) -> Element {
        let number = |number: u64| number.to_string();
        body::empty()
            .attr("xmlns:stream", ns::STREAM)
            .attr("xmlns:xmpp", ns::XBOSH)
            .attr("sid", self.sid.as_str())
            .attr("wait", number(self.wait.as_secs()))
            .attr("hold", number(self.hold))
            .attr("requests", number(REQUESTS_MAX))
            .attr("inactivity", number(INACTIVITY.as_secs()))
            .attr("polling", number(POLLING_S))
            .attr("ver", "1.6")
            .attr("from", self.host.as_str())
            .attr_if("authid", self.authid.as_deref())
            .attr("xmpp:version", "1.0")
            .attr("xmpp:restartlogic", "true")
    }

    /// The frame that opens the stream, the first time or anew.
    fn open(&self) -> String {
        Element::new("open", ns::FRAMING).attr("to", self.host.as_str()).attr("version", "1.0").to_string()
    }
}

/// Stream errors that are conditions of BOSH as well (XEP-0124 §17.2).
const OWN_CONDITIONS: [&str; 3] = ["host-unknown", "policy-violation", "system-shutdown"];

#[cfg(test)]
mod tests;

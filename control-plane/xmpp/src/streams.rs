//! All client streams of the process: which connection carries which session, and which sessions wait to be resumed.
//!
//! The connection layer only reads frames ([`crate::FrameReader`]), writes text and tells the time: [`Streams::connected`], [`Streams::frame`],
//! [`Streams::lost`], [`Streams::deliver`], [`Streams::handle_timeout`]; after each it takes
//! [`Streams::poll_output`] until `None`.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use contract::{Duration, Timestamp};
use jid::{BareJid, FullJid};

use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::credentials::{Credentials, Entrance, Host, SignIn, Token};
use crate::stream_management::{self, Management};
use crate::websocket::{Counts, Event, Framing, Identity, Logins, Stream};
use crate::{Element, Frame, Text};

/// A socket, numbered by the connection layer; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// A bound stream; outlives its connection while it may be resumed. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// A source of strong randomness: fills the slice. The process passes the operating system's, tests a counter.
pub type Random = Box<dyn FnMut(&mut [u8]) + Send>;

/// How streams are served.
#[derive(Clone, Debug)]
pub struct Config {
    /// Virtual hosts that clients may open a stream to; the first is the main domain.
    pub hosts: Vec<Host>,
    /// How long a lost stream may be resumed.
    pub hibernation: Duration,
    /// Time from the socket to the stream's `<open/>`.
    pub open_within: Duration,
    /// Time from the socket to a bound or resumed stream, whatever flows meanwhile.
    pub bind_within: Duration,
    /// Silence after which a client with stream management is asked for a sign of life; a third as much more and the
    /// connection is lost.
    pub silence: Duration,
    /// Connections without a bound stream, in all.
    pub unbound_max: usize,
    /// Connections without a bound stream from one address, this machine excepted.
    pub unbound_per_address: usize,
    /// Sessions, hibernating ones included.
    pub sessions_max: usize,
}

impl Config {
    /// The defaults for the main domain `host`.
    pub fn new(host: &str) -> Config {
        Config {
            hosts: vec![Host { name: host.to_owned(), sign_in: SignIn::Anonymous }],
            hibernation: Duration::from_secs(60),
            open_within: Duration::from_secs(10),
            bind_within: Duration::from_secs(30),
            silence: Duration::from_secs(90),
            unbound_max: 500,
            unbound_per_address: 100,
            sessions_max: 20_000,
        }
    }
}

/// How a client came: what carries its frames, and what its URL said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// What carries its frames.
    pub framing: Framing,
    /// `room`, form-decoded.
    pub room: Option<String>,
    /// `previd`: the resumption id of the stream that the client means to continue.
    pub previd: Option<String>,
    /// The first part of the path, or `prefix`: the tenant.
    pub tenant: Option<String>,
    /// `token`, checked.
    pub token: Token,
    /// From where it comes; `None` for this machine.
    pub address: Option<IpAddr>,
    /// Whether nobody on the way can read along.
    pub is_confidential: bool,
}

/// What is to be done or known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send one text frame.
    Frame {
        /// Where.
        connection: ConnectionId,
        /// One element.
        text: Text,
    },
    /// Close the socket after everything was sent. [`Streams::lost`] need not be called for it any more.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Its client has authenticated: longer frames may be read. Comes before the frame that says so.
    Authenticated {
        /// Whose.
        connection: ConnectionId,
    },
    /// A resource was bound.
    SessionOpened {
        /// The new session.
        session: SessionId,
        /// Its address.
        jid: FullJid,
        /// The room that the URL named.
        query_room: Option<String>,
    },
    /// What the bearer of a session has proved. Follows [`Output::SessionOpened`], and comes again when the client
    /// resumes with another token.
    Credentials {
        /// Whose.
        session: SessionId,
        /// What.
        credentials: Credentials,
    },
    /// A stanza from a client, unchecked: `from` is whatever the client wrote.
    Stanza {
        /// From whom.
        session: SessionId,
        /// What.
        stanza: Element,
    },
    /// A session ended for good.
    SessionClosed {
        /// Which.
        session: SessionId,
    },
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many connections that are not bound yet, or too many sessions.
    #[error("too many connections")]
    Full,
    /// Too many connections from its address that are not bound yet.
    #[error("too many connections from this address")]
    FullFromThere,
}

/// How often deadlines are looked at; all of them are far longer.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// All client streams.
pub struct Streams {
    config: Config,
    hosts: Arc<[Host]>,
    accounts: Arc<Accounts>,
    attempts: Attempts,
    counts: Counts,
    random: Random,
    connections: HashMap<ConnectionId, Connection>,
    sessions: HashMap<SessionId, Session>,
    resumable: HashMap<String, SessionId>,
    unbound: usize,
    unbound_by_address: HashMap<IpAddr, usize>,
    sessions_opened: u64,
    swept_at: Timestamp,
    outputs: VecDeque<Output>,
}

struct Connection {
    stream: Stream,
    query: Query,
    since: Timestamp,
    heard_at: Timestamp,
    probed: bool,
    session: Option<SessionId>,
}

struct Session {
    account: BareJid,
    connection: Option<ConnectionId>,
    management: Option<Management>,
    expires_at: Timestamp,
}

impl Streams {
    /// No connections yet; `random` draws ids, local parts and resources.
    pub fn new(config: Config, mut random: Random) -> Streams {
        let hosts = config.hosts.clone().into();
        let mut secret = [0; 32];
        random(&mut secret);
        Streams {
            config,
            hosts,
            accounts: Arc::new(Accounts::new(secret)),
            attempts: Attempts::default(),
            counts: Counts::default(),
            random,
            connections: HashMap::new(),
            sessions: HashMap::new(),
            resumable: HashMap::new(),
            unbound: 0,
            unbound_by_address: HashMap::new(),
            sessions_opened: 0,
            swept_at: Timestamp::ZERO,
            outputs: VecDeque::new(),
        }
    }

    /// A WebSocket with the subprotocol `xmpp` was opened.
    ///
    /// # Errors
    /// [`Refusal`] at a limit: close the socket.
    pub fn connected(
        &mut self,
        connection: ConnectionId,
        query: Query,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if self.unbound >= self.config.unbound_max || self.sessions.len() >= self.config.sessions_max {
            return Err(Refusal::Full);
        }
        let from_there = query.address.and_then(|address| self.unbound_by_address.get(&address));
        if from_there.is_some_and(|count| *count >= self.config.unbound_per_address) {
            return Err(Refusal::FullFromThere);
        }
        // A client that resumes authenticates anew and must come out as the same account, so that it keeps its
        // address (and the endpoint id that it derived from it) whether or not the resumption works.
        let resumed = query.previd.as_ref().and_then(|id| self.resumable.get(id));
        let account = resumed.and_then(|session| self.sessions.get(session)).map(|session| &session.account);
        let localpart = account.and_then(|account| account.node()).map(|node| node.to_string());
        let identity = Identity {
            stream_id: self.token(),
            localpart: localpart.unwrap_or_else(|| self.uuid()),
            resource: self.token().get(..RESOURCE_CHARS).unwrap_or_default().to_owned(),
            nonce: self.token(),
        };
        let entrance = Entrance {
            hosts: self.hosts.clone(),
            accounts: self.accounts.clone(),
            address: query.address,
            is_confidential: query.is_confidential,
            token: query.token.clone(),
        };
        let stream = Stream::new(entrance, identity, query.framing);
        if let Some(address) = query.address {
            *self.unbound_by_address.entry(address).or_default() += 1;
        }
        let fresh = Connection { stream, query, since: now, heard_at: now, probed: false, session: None };
        self.connections.insert(connection, fresh);
        self.unbound += 1;
        Ok(())
    }

    /// A frame came in.
    pub fn frame(&mut self, connection: ConnectionId, frame: impl Into<Frame>, now: Timestamp) {
        let Some(entry) = self.connections.get_mut(&connection) else { return };
        entry.heard_at = now;
        entry.probed = false;
        let mut events = Vec::new();
        let mut logins = Logins { attempts: &mut self.attempts, counts: &mut self.counts, now };
        entry.stream.frame(frame, &mut logins, &mut events);
        for event in events {
            self.event(connection, event, now);
        }
    }

    /// The socket is gone without a closing handshake of the stream.
    pub fn lost(&mut self, connection: ConnectionId, now: Timestamp) {
        let Some(session) = self.forget(connection) else { return };
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        entry.connection = None;
        if entry.management.is_none() {
            return self.end(session);
        }
        entry.expires_at = now.after(self.config.hibernation);
    }

    /// Sends a stanza to a session, now or when it resumes; nothing happens if the session is over.
    pub fn deliver(&mut self, session: SessionId, stanza: impl Into<Text>) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        let text = stanza.into();
        let ask = entry.management.as_mut().is_some_and(|management| management.sent(text.clone()));
        let Some(connection) = entry.connection else { return };
        self.send(connection, text);
        if ask {
            self.send(connection, stream_management::request().to_string());
        }
    }

    /// Ends a session with the stream error `condition` (RFC 6120 §4.9.3).
    pub fn close_session(&mut self, session: SessionId, condition: &str, now: Timestamp) {
        let Some(entry) = self.sessions.get(&session) else { return };
        match entry.connection {
            Some(connection) => self.fail(connection, condition, now),
            None => self.end(session),
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Streams::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Timestamp {
        if self.connections.is_empty() && self.sessions.is_empty() {
            return Timestamp::NEVER;
        }
        self.swept_at.after(SWEEP_EVERY)
    }

    /// Ends what took too long: unopened and unauthenticated streams, dead connections, hibernating sessions.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if now < self.poll_timeout() {
            return;
        }
        self.swept_at = now;
        for connection in self.late_connections(now) {
            self.fail(connection, "connection-timeout", now);
        }
        for connection in self.silent_connections(now) {
            self.silent(connection, now);
        }
        let expired = |(id, session): (&SessionId, &Session)| {
            (session.connection.is_none() && session.expires_at <= now).then_some(*id)
        };
        let expired: Vec<SessionId> = self.sessions.iter().filter_map(expired).collect();
        for session in expired {
            self.end(session);
        }
    }

    /// From now on these accounts sign in. Who is signed in stays.
    pub fn set_accounts(&mut self, accounts: Arc<Accounts>) {
        self.accounts = accounts;
    }

    /// Logins that did not succeed so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Sessions that are open or hibernate.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    fn late_connections(&self, now: Timestamp) -> Vec<ConnectionId> {
        let late = |(id, connection): (&ConnectionId, &Connection)| {
            let age = now.since(connection.since);
            let allowed =
                if connection.stream.is_silent() { self.config.open_within } else { self.config.bind_within };
            (connection.session.is_none() && age >= allowed).then_some(*id)
        };
        self.connections.iter().filter_map(late).collect()
    }

    /// Managed connections that said nothing for long. Others cannot be asked for a sign of life.
    fn silent_connections(&self, now: Timestamp) -> Vec<ConnectionId> {
        let silent = |(id, connection): (&ConnectionId, &Connection)| {
            let session = self.sessions.get(&connection.session?)?;
            let is_silent = now.since(connection.heard_at) >= self.config.silence;
            (session.management.is_some() && is_silent).then_some(*id)
        };
        self.connections.iter().filter_map(silent).collect()
    }

    /// Asks a silent client for its count, once; later takes the connection for lost.
    fn silent(&mut self, connection: ConnectionId, now: Timestamp) {
        let Some(entry) = self.connections.get_mut(&connection) else { return };
        let grace = self.config.silence.mul_f32(PROBE_SHARE);
        if now.since(entry.heard_at) >= self.config.silence + grace {
            self.outputs.push_back(Output::Close { connection });
            return self.lost(connection, now);
        }
        if !entry.probed {
            entry.probed = true;
            self.send(connection, stream_management::request().to_string());
        }
    }

    fn event(&mut self, connection: ConnectionId, event: Event, now: Timestamp) {
        match event {
            Event::Frame(text) => self.send(connection, text),
            Event::Authenticated(_) => self.outputs.push_back(Output::Authenticated { connection }),
            Event::Bound(jid) => self.bound(connection, jid, now),
            Event::Resume(element) => self.resume(connection, &element, now),
            Event::Management(element) => self.manage(connection, &element, now),
            Event::Stanza(stanza) => self.stanza(connection, stanza),
            Event::Close { by_client } => self.closed(connection, by_client, now),
        }
    }

    fn bound(&mut self, connection: ConnectionId, jid: FullJid, now: Timestamp) {
        self.replace(connection, &jid, now);
        self.no_longer_unbound(connection);
        let Some(entry) = self.connections.get_mut(&connection) else { return };
        self.sessions_opened += 1;
        let session = SessionId(self.sessions_opened);
        entry.session = Some(session);
        let query_room = entry.query.room.clone();
        let credentials = Credentials { tenant: entry.query.tenant.clone(), ..entry.stream.credentials() };
        let fresh = Session {
            account: jid.to_bare(),
            connection: Some(connection),
            management: None,
            expires_at: Timestamp::NEVER,
        };
        self.sessions.insert(session, fresh);
        self.outputs.push_back(Output::SessionOpened { session, jid, query_room });
        self.outputs.push_back(Output::Credentials { session, credentials });
    }

    /// Ends the session that the client names in its URL but does not resume: it would stand beside itself in rooms.
    fn replace(&mut self, connection: ConnectionId, jid: &FullJid, now: Timestamp) {
        let previd = self.connections.get(&connection).and_then(|entry| entry.query.previd.as_ref());
        let old = previd.and_then(|id| self.resumable.get(id)).copied();
        let Some(old) = old else { return };
        if self.sessions.get(&old).is_some_and(|session| session.account == jid.to_bare()) {
            self.close_session(old, "conflict", now);
        }
    }

    fn stanza(&mut self, connection: ConnectionId, stanza: Element) {
        let Some(session) = self.session_of(connection) else { return };
        if let Some(management) = self.sessions.get_mut(&session).and_then(|entry| entry.management.as_mut())
        {
            management.received();
        }
        self.outputs.push_back(Output::Stanza { session, stanza });
    }

    /// Stream management on a bound stream (XEP-0198 §3 and §4).
    fn manage(&mut self, connection: ConnectionId, element: &Element, now: Timestamp) {
        let Some(session) = self.session_of(connection) else { return };
        let managed = self.sessions.get(&session).is_some_and(|entry| entry.management.is_some());
        match element.name() {
            "enable" if !managed => self.enable(connection, session),
            "r" if managed => {
                let answer = self.sessions.get(&session).and_then(|entry| entry.management.as_ref());
                let Some(answer) = answer.map(|management| management.answer().to_string()) else { return };
                self.send(connection, answer);
            }
            "a" if managed => {
                let entry = self.sessions.get_mut(&session).and_then(|entry| entry.management.as_mut());
                match count(element).zip(entry).map(|(h, management)| management.acknowledge(h)) {
                    Some(Ok(true)) => self.send(connection, stream_management::request().to_string()),
                    Some(Ok(false)) => {}
                    Some(Err(_)) | None => self.fail(connection, "undefined-condition", now),
                }
            }
            _ => self.send(connection, stream_management::failed("unexpected-request").to_string()),
        }
    }

    fn enable(&mut self, connection: ConnectionId, session: SessionId) {
        let id = self.token();
        let seconds = self.config.hibernation.as_secs();
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        entry.management = Some(Management::new(id.clone()));
        self.send(connection, stream_management::enabled(&id, seconds).to_string());
        self.resumable.insert(id, session);
    }

    /// Takes up an earlier stream (XEP-0198 §5). The id must belong to a session of the same account.
    fn resume(&mut self, connection: ConnectionId, element: &Element, now: Timestamp) {
        let account = self.connections.get(&connection).and_then(|entry| entry.stream.account());
        let previd = element.attribute("previd").unwrap_or_default();
        let session = self.resumable.get(previd).copied();
        let entry = session.and_then(|session| self.sessions.get_mut(&session));
        let entry = entry.filter(|entry| Some(&entry.account) == account.as_ref());
        let (Some(session), Some(entry)) = (session, entry) else {
            return self.send(connection, stream_management::failed("item-not-found").to_string());
        };
        let replay = entry.management.as_mut().zip(count(element)).and_then(|(management, h)| {
            let handled = management.handled();
            let replay: Vec<Text> = management.resume(h).ok()?.cloned().collect();
            Some((handled, replay))
        });
        let old = entry.connection;
        let Some((handled, replay)) = replay else {
            self.send(connection, stream_management::failed("item-not-found").to_string());
            return match old {
                Some(old) => self.fail(old, "conflict", now),
                None => self.end(session),
            };
        };
        entry.connection = Some(connection);
        entry.expires_at = Timestamp::NEVER;
        if let Some(old) = old {
            // The client noticed the loss before we did; the old socket may still be there.
            self.forget(old);
            self.outputs.push_back(Output::Close { connection: old });
        }
        self.no_longer_unbound(connection);
        if let Some(entry) = self.connections.get_mut(&connection) {
            entry.stream.resumed();
            entry.session = Some(session);
            let credentials =
                Credentials { tenant: entry.query.tenant.clone(), ..entry.stream.credentials() };
            self.outputs.push_back(Output::Credentials { session, credentials });
        }
        self.send(connection, stream_management::resumed(previd, handled).to_string());
        for text in replay {
            self.send(connection, text);
        }
        self.send(connection, stream_management::request().to_string());
    }

    /// The stream said its last word. Only a lost connection may be resumed, so the session ends too.
    fn closed(&mut self, connection: ConnectionId, _by_client: bool, _now: Timestamp) {
        self.outputs.push_back(Output::Close { connection });
        if let Some(session) = self.forget(connection) {
            self.end(session);
        }
    }

    fn fail(&mut self, connection: ConnectionId, condition: &str, now: Timestamp) {
        let Some(entry) = self.connections.get_mut(&connection) else { return };
        let mut events = Vec::new();
        entry.stream.fail(condition, &mut events);
        for event in events {
            self.event(connection, event, now);
        }
    }

    fn end(&mut self, session: SessionId) {
        let Some(entry) = self.sessions.remove(&session) else { return };
        if let Some(management) = entry.management {
            self.resumable.remove(management.id());
        }
        self.outputs.push_back(Output::SessionClosed { session });
    }

    fn forget(&mut self, connection: ConnectionId) -> Option<SessionId> {
        self.no_longer_unbound(connection);
        self.connections.remove(&connection)?.session
    }

    /// Gives back the place of a connection among those without a bound stream, if it still has one.
    fn no_longer_unbound(&mut self, connection: ConnectionId) {
        let Some(entry) = self.connections.get(&connection).filter(|entry| entry.session.is_none()) else {
            return;
        };
        self.unbound -= 1;
        let Some(address) = entry.query.address else { return };
        if let Some(count) = self.unbound_by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.unbound_by_address.remove(&address);
            }
        }
    }

    fn session_of(&self, connection: ConnectionId) -> Option<SessionId> {
        self.connections.get(&connection)?.session
    }

    fn send(&mut self, connection: ConnectionId, text: impl Into<Text>) {
        self.outputs.push_back(Output::Frame { connection, text: text.into() });
    }

    /// 128 random bits as `[A-Za-z0-9_-]`: clients copy resumption ids into URLs unencoded.
    fn token(&mut self) -> String {
        let mut bytes = [0; 22];
        (self.random)(&mut bytes);
        bytes.iter().map(|byte| char::from(TOKEN_ALPHABET[usize::from(byte % 64)])).collect()
    }

    /// A random UUID (RFC 9562 §5.4): clients make their endpoint id of its first eight digits.
    fn uuid(&mut self) -> String {
        let mut bytes = [0; 16];
        (self.random)(&mut bytes);
        crate::uuid::v4(bytes)
    }
}

fn count(element: &Element) -> Option<u32> {
    element.attribute("h")?.parse().ok()
}

const RESOURCE_CHARS: usize = 12;
const TOKEN_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
/// Part of the silence limit that a client has to answer the probe.
const PROBE_SHARE: f32 = 1.0 / 3.0;

#[cfg(test)]
mod tests;

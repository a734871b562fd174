//! Conversations as text: who sends what, who must receive what, over real streams, rooms and focus.
//!
//! A line is one of
//! - `Ann opens`: a new connection, up to the bound and managed stream;
//! - `Ann connects`: a new connection, nothing said yet;
//! - `Ann > frame`: Ann sends a frame;
//! - `Ann < pattern`: the next frame that Ann gets; `*` stands for any text;
//! - `Ann <`: Ann gets nothing more;
//! - `Ann arrives`: conference request and join; `Ann joins`: conference request, join, everything it brings is read and thrown away;
//! - `Ann learns x from a'*'b`: the next frame that Ann gets and that is like this; `{x}` is from now on what `*` stands for;
//! - `Ann enters room`: as `joins`, for another room;
//! - `Ann drops`: Ann's socket is lost; `Ann resumes`: she comes back on a new one; `wait 5`: seconds pass; `forget`: everything unread is thrown away.
//!
//! `{Ann}` is Ann's address, `{Ann.bare}` that without resource, `{Ann.nick}` her endpoint id, `{room}` the room.
//! What the focus says on its own is skipped unless a pattern asks for it: other tests cover it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use contract::{Duration, Timestamp};
use signaling::association::Fingerprint;
use signaling::focus::FocusConfig;
use signaling::{Config, Domains, Input, Output, SessionId, Signaling};
use xmpp::credentials::{Claims, Credentials};
use xmpp::jid::FullJid;
use xmpp::streams::{self, ConnectionId, Query, Streams};

/// The room of every conversation.
pub(crate) const ROOM: &str = "standup@conference.meet.example";

/// A whole server and its clients.
pub(crate) struct World {
    streams: Streams,
    pub(crate) signaling: Signaling,
    /// What the media plane and its associations were told.
    pub(crate) commands: Vec<Output>,
    now: Timestamp,
    clients: BTreeMap<String, Client>,
    learned: BTreeMap<String, String>,
    connections: u64,
}

#[derive(Default)]
struct Client {
    connection: u64,
    session: Option<SessionId>,
    jid: String,
    resumption: String,
    stanzas: u32,
    inbox: VecDeque<String>,
    closed: bool,
}

impl World {
    pub(crate) fn new() -> World {
        World::with(|_| {})
    }

    pub(crate) fn with(configure: impl FnOnce(&mut Config)) -> World {
        let mut config = Config::new(Domains::of("meet.example"), focus_config(), 1_790_000_000_000);
        configure(&mut config);
        World {
            streams: Streams::new(streams::Config::new("meet.example"), counting(1)),
            signaling: Signaling::new(config, counting(2)),
            commands: Vec::new(),
            now: Timestamp::from_millis(1_000),
            clients: BTreeMap::new(),
            learned: BTreeMap::new(),
            connections: 0,
        }
    }

    /// Runs a conversation; panics with the line that fails.
    pub(crate) fn run(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            self.line(line);
        }
    }

    /// Whether the server has closed the connection of `name`.
    pub(crate) fn is_closed(&self, name: &str) -> bool {
        self.clients.get(name).is_some_and(|client| client.closed)
    }

    /// From now on `name` bears a token for `room`.
    pub(crate) fn bears_token(&mut self, name: &str, room: &str) {
        let session = self.client(name).session.expect("a session");
        let claims = Claims { room: Some(room.to_owned()), ..Claims::default() };
        let credentials = Credentials { token: Some(Arc::new(claims)), ..Credentials::default() };
        self.signaling.handle(Input::Credentials { session, credentials }, self.now);
        self.pump();
    }

    fn line(&mut self, line: &str) {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        match rest {
            _ if name == "forget" => self.clients.values_mut().for_each(|client| client.inbox.clear()),
            seconds if name == "wait" => self.wait(seconds.parse().expect("seconds")),
            "connects" => self.connect(name),
            "opens" => self.open(name),
            "resumes" => self.resume(name),
            "arrives" => self.arrive(name, "{room}"),
            "joins" => self.join(name, "{room}"),
            "drops" => {
                let connection = self.client(name).connection;
                self.streams.lost(ConnectionId(connection), self.now);
                self.pump();
            }
            "<" => self.expect_nothing(name, line),
            _ => match rest.split_once(' ') {
                Some(("enters", room)) => self.join(name, room),
                Some(("learns", rest)) => self.learn(name, rest, line),
                Some((">", frame)) => self.send(name, frame),
                Some(("<", pattern)) => self.expect(name, pattern, line),
                _ => panic!("not understood: {line}"),
            },
        }
    }

    fn connect(&mut self, name: &str) {
        self.connections += 1;
        let client = Client { connection: self.connections, ..Client::default() };
        self.clients.insert(name.to_owned(), client);
        let query = Query { room: Some("standup".into()), ..Query::default() };
        self.streams.connected(ConnectionId(self.connections), query, self.now).expect("not full");
    }

    fn open(&mut self, name: &str) {
        self.connect(name);
        let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.example' version='1.0'/>";
        self.send(name, open);
        self.send(name, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>");
        self.send(name, open);
        self.send(
            name,
            "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        );
        self.send(name, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        let enabled = self.client(name).inbox.drain(..).next_back().expect("an answer");
        let enabled = xmpp::parse(&enabled).expect("well-formed");
        let client = self.client(name);
        client.resumption = enabled.attribute("id").expect("a resumption id").to_owned();
        client.stanzas = 0;
    }

    fn resume(&mut self, name: &str) {
        let (previd, h) = (self.client(name).resumption.clone(), self.client(name).stanzas);
        self.connections += 1;
        let connection = self.connections;
        self.client(name).connection = connection;
        let query = Query { room: Some("standup".into()), previd: Some(previd.clone()), ..Query::default() };
        self.streams.connected(ConnectionId(connection), query, self.now).expect("not full");
        let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.example' version='1.0'/>";
        self.send(name, open);
        self.send(name, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>");
        self.send(name, open);
        self.client(name).inbox.clear();
        self.send(name, &format!("<resume xmlns='urn:xmpp:sm:3' previd='{previd}' h='{h}'/>"));
    }

    fn join(&mut self, name: &str, room: &str) {
        self.arrive(name, room);
        self.line("forget");
    }

    fn arrive(&mut self, name: &str, room: &str) {
        self.send(
            name,
            &format!(
                "<iq xmlns='jabber:client' type='set' to='focus.meet.example' id='c'>\
                 <conference xmlns='http://jitsi.org/protocol/focus' room='{room}' machine-uid='m'/></iq>"
            ),
        );
        let nick = format!("{{{name}.nick}}");
        self.send(
            name,
            &format!(
                "<presence xmlns='jabber:client' to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/>\
                 <nick xmlns='http://jabber.org/protocol/nick'>{name}</nick></presence>"
            ),
        );
    }

    fn send(&mut self, name: &str, frame: &str) {
        let frame = self.filled(frame);
        let connection = ConnectionId(self.client(name).connection);
        self.streams.frame(connection, frame.as_str(), self.now);
        self.pump();
    }

    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now + Duration::from_secs(1);
            self.streams.handle_timeout(self.now);
            self.signaling.handle_timeout(self.now);
            self.pump();
        }
    }

    fn expect(&mut self, name: &str, pattern: &str, line: &str) {
        let pattern = self.filled(pattern);
        let client = self.client(name);
        while let Some(frame) = client.inbox.pop_front() {
            if is_like(&pattern, &frame) {
                return;
            }
            assert!(is_of_focus(&frame), "\n{line}\n wanted {pattern}\n    got {frame}\n");
        }
        panic!("\n{line}\n wanted {pattern}\n    got nothing\n");
    }

    /// `word from before'*'after`.
    fn learn(&mut self, name: &str, rest: &str, line: &str) {
        let (word, pattern) = rest.split_once(" from ").expect("learns … from …");
        let (before, after) = pattern.split_once('*').expect("a star");
        let (before, after) = (self.filled(before), self.filled(after));
        let found = self.client(name).inbox.drain(..).find_map(|frame| {
            let (_, rest) = frame.split_once(&before)?;
            Some(rest.split_once(&after)?.0.to_owned())
        });
        let found = found.unwrap_or_else(|| panic!("{line}: no frame is like this"));
        self.learned.insert(word.to_owned(), found);
    }

    fn expect_nothing(&mut self, name: &str, line: &str) {
        let inbox = std::mem::take(&mut self.client(name).inbox);
        let unexpected = inbox.iter().find(|frame| !is_of_focus(frame));
        assert_eq!(unexpected, None, "{line}");
    }

    fn client(&mut self, name: &str) -> &mut Client {
        self.clients.get_mut(name).expect("a client that was opened")
    }

    fn filled(&self, text: &str) -> String {
        let mut text = text.replace("{room}", ROOM);
        for (word, learned) in &self.learned {
            text = text.replace(&format!("{{{word}}}"), learned);
        }
        for (name, client) in &self.clients {
            text = text
                .replace(&format!("{{{name}}}"), &client.jid)
                .replace(&format!("{{{name}.bare}}"), client.jid.split('/').next().unwrap_or_default())
                .replace(&format!("{{{name}.nick}}"), client.jid.get(..8).unwrap_or_default());
        }
        text
    }

    /// Moves everything between streams and signalling until all is quiet.
    fn pump(&mut self) {
        loop {
            while let Some(output) = self.streams.poll_output() {
                self.streams_said(output);
            }
            let Some(output) = self.signaling.poll_output() else { return };
            match output {
                Output::Stanza { session, stanza } => self.streams.deliver(session, &stanza),
                Output::Copy { session, text } => self.streams.deliver(session, text),
                Output::CloseSession { session, condition } => {
                    self.streams.close_session(session, condition, self.now);
                }
                Output::ConferenceAnswer { .. } => {}
                output => self.commands.push(output),
            }
        }
    }

    fn streams_said(&mut self, output: streams::Output) {
        match output {
            streams::Output::Frame { connection, text } => {
                let text = String::from(text);
                let Some(client) = self.at(connection) else { return };
                let is_stanza =
                    ["<iq ", "<message ", "<presence "].iter().any(|start| text.starts_with(start));
                client.stanzas += u32::from(is_stanza);
                client.inbox.push_back(text);
            }
            streams::Output::Close { connection } => {
                if let Some(client) = self.at(connection) {
                    client.closed = true;
                }
            }
            streams::Output::Authenticated { .. } => {}
            streams::Output::SessionOpened { session, jid, query_room } => {
                let opened = self.clients.values_mut().find(|client| client.connection == self.connections);
                let client = opened.expect("the client that connected last");
                client.session = Some(session);
                client.jid = jid.to_string();
                self.signaling.handle(Input::SessionOpened { session, jid, query_room }, self.now);
            }
            streams::Output::Credentials { session, credentials } => {
                self.signaling.handle(Input::Credentials { session, credentials }, self.now);
            }
            streams::Output::Stanza { session, stanza } => {
                self.signaling.handle(Input::Stanza { session, stanza }, self.now);
            }
            streams::Output::SessionClosed { session } => {
                self.signaling.handle(Input::SessionClosed { session }, self.now);
            }
        }
    }

    /// The client on this connection; an earlier connection of a client that came back is nobody's.
    fn at(&mut self, connection: ConnectionId) -> Option<&mut Client> {
        self.clients.values_mut().find(|client| client.connection == connection.0)
    }
}

/// What the focus says by itself, and requests for a count.
fn is_of_focus(frame: &str) -> bool {
    let from_focus = frame.contains(&format!("from='{ROOM}/focus'"));
    frame.starts_with("<r ") || (from_focus && (frame.starts_with("<iq ") || frame.starts_with("<presence ")))
}

/// Whether `text` is `pattern`, where `*` stands for any text.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

fn focus_config() -> FocusConfig {
    let jid = FullJid::new("focus@auth.meet.example/focus").expect("an address");
    FocusConfig::new(jid, Fingerprint { hash: "sha-256".into(), value: vec![0xab; 32] })
}

/// A source that is the same in every run and repeats itself only after a very long time.
fn counting(seed: u64) -> streams::Random {
    let mut state = seed;
    Box::new(move |bytes| {
        for byte in bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
    })
}

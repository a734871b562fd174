//! The whole server behind the sockets: takes stanzas, requests and reports, finds who they are for, and hands out
//! what follows.

use std::collections::VecDeque;

use contract::{Command, EndpointId, Report, Timestamp};
use xmpp::Element;
pub use xmpp::SessionId;
use xmpp::jid::FullJid;

use crate::association;
use crate::focus::{ConferenceAnswer, ConferenceRefusal, ConferenceRequest, Focus, FocusConfig, Random};

/// The addresses of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domains {
    /// Where clients log in, such as `meet.example`.
    pub main: String,
    /// Where rooms are, such as `conference.meet.example`.
    pub muc: String,
    /// Where conference requests go, such as `focus.meet.example`.
    pub focus: String,
}

impl Domains {
    /// The usual addresses under `main`.
    pub fn of(main: &str) -> Domains {
        Domains { main: main.to_owned(), muc: format!("conference.{main}"), focus: format!("focus.{main}") }
    }
}

/// What signalling is configured with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The addresses of this server.
    pub domains: Domains,
    /// The focus and the local bridge.
    pub focus: FocusConfig,
    /// Rooms at a time.
    pub rooms_max: usize,
    /// Occupants of one room, the focus not counted.
    pub occupants_max: usize,
}

/// What came in.
#[derive(Debug)]
pub enum Input {
    /// A client bound a resource.
    SessionOpened {
        /// Its session.
        session: SessionId,
        /// Its address.
        jid: FullJid,
        /// The room that its URL named.
        query_room: Option<String>,
    },
    /// A client's stream ended for good.
    SessionClosed {
        /// Its session.
        session: SessionId,
    },
    /// A stanza from a client; its `from` is not trusted.
    Stanza {
        /// From whom.
        session: SessionId,
        /// What.
        stanza: Element,
    },
    /// A conference request over HTTP; answered by [`Output::ConferenceAnswer`].
    ConferenceRequest {
        /// Comes back with the answer.
        token: u64,
        /// What is asked.
        request: ConferenceRequest,
    },
    /// News from the media plane.
    Report(Report),
    /// News from the handshake threads and bridge-channel WebSockets.
    Association(association::Event),
    /// The media plane could not seat an endpoint.
    Refused {
        /// Whom.
        endpoint: EndpointId,
    },
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Deliver a stanza.
    Stanza {
        /// To whom.
        session: SessionId,
        /// What.
        stanza: Element,
    },
    /// End a session with a stream error.
    CloseSession {
        /// Whose.
        session: SessionId,
        /// The stream error condition.
        condition: &'static str,
    },
    /// The answer to [`Input::ConferenceRequest`].
    ConferenceAnswer {
        /// Of the request.
        token: u64,
        /// What to say.
        answer: Result<ConferenceAnswer, ConferenceRefusal>,
    },
    /// To the media plane.
    Command(Command),
    /// To the handshake threads and bridge channels.
    Association(association::Command),
}

/// Sizes, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Sessions that are open or hibernate.
    pub sessions: usize,
    /// Rooms.
    pub rooms: usize,
    /// Occupants of all rooms, focus occupants not counted.
    pub occupants: usize,
}

/// Sessions, rooms and the focus.
pub struct Signaling {
    config: Config,
    focus: Focus,
    outputs: VecDeque<Output>,
}

impl Signaling {
    /// A server without sessions and rooms.
    pub fn new(config: Config, random: Random) -> Signaling {
        let focus = Focus::new(config.focus.clone(), random);
        Signaling { config, focus, outputs: VecDeque::new() }
    }

    /// The focus, for questions that change nothing.
    pub fn focus(&self) -> &Focus {
        &self.focus
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes one input; afterwards take [`Signaling::poll_output`] until `None`.
    pub fn handle(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::ConferenceRequest { token, request } => {
                let answer = self.focus.conference_requested(&request, now);
                self.outputs.push_back(Output::ConferenceAnswer { token, answer });
            }
            Input::Report(report) => self.focus.report(report, now),
            Input::Association(event) => self.focus.association(event, now),
            Input::Refused { endpoint } => self.focus.refused(endpoint, now),
            Input::SessionOpened { .. } | Input::SessionClosed { .. } | Input::Stanza { .. } => {}
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Signaling::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Timestamp {
        self.focus.poll_timeout()
    }

    /// Lets due timers fire.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.focus.handle_timeout(now);
    }

    /// Sizes, for metrics.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::default()
    }
}

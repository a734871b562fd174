//! The conference focus: brings the occupants of a room together on the bridge (XEP-0166 sessions from `room/focus`).
//!
//! Drive it by [`Focus::conference_requested`], the `occupant_…` calls, [`Focus::iq`], [`Focus::iq_answer`],
//! [`Focus::report`], [`Focus::refused`], [`Focus::association`] and [`Focus::handle_timeout`]; after each, take
//! [`Focus::poll_output`] until it returns `None`, then ask [`Focus::poll_timeout`].

use contract::{Command, EndpointId, Report, Timestamp};
use xmpp::Element;
use xmpp::jid::{BareJid, FullJid};

use crate::association;
use crate::association::Fingerprint;


pub use crate::random::Random;

/// What a client asks before it joins a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConferenceRequest {
    /// The room.
    pub room: BareJid,
    /// Random id that the browser keeps.
    pub machine_uid: Option<String>,
    /// `<property name value/>` in order.
    pub properties: Vec<(String, String)>,
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConferenceAnswer {
    /// Whether the focus is in the room, so that the client may join.
    pub ready: bool,
    /// Bare address of the focus user; the focus occupant's real address starts with it.
    pub focus_jid: BareJid,
    /// `<property name value/>` in order.
    pub properties: Vec<(String, String)>,
}

/// Why a conference request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConferenceRefusal {
    /// As many conferences as this server takes.
    #[error("too many conferences")]
    Full,
}

/// One occupant of a room as the focus sees it.
#[derive(Clone, Copy, Debug)]
pub struct Occupant<'a> {
    /// Where.
    pub room: &'a BareJid,
    /// Nickname; the endpoint id.
    pub nick: &'a str,
    /// The address behind it.
    pub real_jid: &'a FullJid,
    /// Its last full presence.
    pub presence: &'a Element,
    /// Whether it owns or moderates the room.
    pub moderator: bool,
}

/// What the focus wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A stanza for an occupant; `from` is to be `room/focus`, `to` its real address.
    ToOccupant {
        /// Where.
        room: BareJid,
        /// To whom.
        nick: String,
        /// Without addresses.
        stanza: Element,
    },
    /// Make an occupant an owner of the room.
    GrantOwner {
        /// Where.
        room: BareJid,
        /// Whom.
        nick: String,
    },
    /// The focus' presence children are now these.
    Presence {
        /// Where.
        room: BareJid,
        /// Complete.
        children: Vec<Element>,
    },
    /// The conference is over.
    DestroyRoom {
        /// Which.
        room: BareJid,
        /// For people.
        reason: String,
    },
    /// To the media plane.
    Command(Command),
    /// To the associations and bridge channels.
    Association(association::Command),
}

/// What the focus is configured with.
#[derive(Clone, Debug)]
pub struct FocusConfig {
    /// Full address of the focus user, such as `focus@auth.meet.example/focus`.
    pub focus_jid: FullJid,
    /// Our DTLS certificate.
    pub fingerprint: Fingerprint,
    /// Public prefix of bridge-channel WebSockets, such as `wss://meet.example/colibri-ws/default`; `None` offers none.
    pub colibri_ws_base: Option<String>,
}

/// The focus of all conferences of this server, and the local bridge behind it.
pub struct Focus {
    config: FocusConfig,
    #[expect(dead_code, reason = "first used by the invitations")]
    random: Random,
}

impl Focus {
    /// A focus without conferences.
    pub fn new(config: FocusConfig, random: Random) -> Focus {
        Focus { config, random }
    }

    /// A client wants the conference: prepares it. The room must exist with occupant `focus` before the client is
    /// told.
    ///
    /// # Errors
    /// [`ConferenceRefusal::Full`] at the limit of conferences.
    pub fn conference_requested(
        &mut self,
        request: &ConferenceRequest,
        now: Timestamp,
    ) -> Result<ConferenceAnswer, ConferenceRefusal> {
        let _ = (request, now);
        Ok(ConferenceAnswer { ready: true, focus_jid: self.config.focus_jid.to_bare(), properties: Vec::new() })
    }

    /// An occupant joined.
    pub fn occupant_joined(&mut self, occupant: &Occupant<'_>, now: Timestamp) {
        let _ = (occupant, now);
    }

    /// An occupant's presence or role changed.
    pub fn presence_changed(&mut self, occupant: &Occupant<'_>, now: Timestamp) {
        let _ = (occupant, now);
    }

    /// An occupant left, was removed or lost its session.
    pub fn occupant_left(&mut self, room: &BareJid, nick: &str, now: Timestamp) {
        let _ = (room, nick, now);
    }

    /// An IQ of type `get` or `set` that an occupant sent to `room/focus`.
    pub fn iq(&mut self, room: &BareJid, nick: &str, iq: &Element, now: Timestamp) {
        let _ = (room, nick, iq, now);
    }

    /// An IQ of type `result` or `error` that an occupant sent to `room/focus`.
    pub fn iq_answer(&mut self, room: &BareJid, nick: &str, iq: &Element, now: Timestamp) {
        let _ = (room, nick, iq, now);
    }

    /// News from the media plane.
    pub fn report(&mut self, report: Report, now: Timestamp) {
        let _ = (report, now);
    }

    /// The media plane could not seat an endpoint.
    pub fn refused(&mut self, endpoint: EndpointId, now: Timestamp) {
        let _ = (endpoint, now);
    }

    /// News from an association or a bridge channel.
    pub fn association(&mut self, event: association::Event, now: Timestamp) {
        let _ = (event, now);
    }

    /// Whether a bridge-channel WebSocket with this URL may open, and for whom. Takes the same time for a wrong
    /// password as for an unknown conference or endpoint.
    pub fn authorize_channel(&self, conference: &str, endpoint: &str, password: &str) -> Option<EndpointId> {
        let _ = (conference, endpoint, password);
        None
    }

    /// The next thing to do, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// When [`Focus::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Timestamp {
        Timestamp::NEVER
    }

    /// Lets due timers fire.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let _ = now;
    }
}

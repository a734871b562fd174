//! The conference focus: brings the occupants of a room together on the bridge (XEP-0166 sessions from `room/focus`).
//!
//! Drive it by [`Focus::conference_requested`], the `occupant_…` calls, [`Focus::iq`], [`Focus::iq_answer`],
//! [`Focus::report`], [`Focus::refused`], [`Focus::association`] and [`Focus::handle_timeout`]; after each, take
//! [`Focus::poll_output`] until it returns `None`, then ask [`Focus::poll_timeout`].

mod announce;
mod conference;
mod config;
mod discovery;
mod invite;
mod moderation;
mod mute;
mod refusal;
mod requests;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

use contract::{Command, EndpointId, Report, Timestamp};
use xmpp::jid::{BareJid, FullJid};
use xmpp::{Element, stanza};

use crate::association;
use crate::colibri2::Bridge;
use crate::colibri2::bridge::{self, Counters};
use crate::colibri2::model::ConferenceModify;
use crate::jingle::session::EndReason;
use crate::random;
use conference::{Conference, Participant, Session};
pub use config::FocusConfig;
use invite::Asked;
pub use moderation::SendPolicy;

pub use crate::random::Random;

/// What a client asks before it joins a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConferenceRequest {
    /// The room.
    pub room: BareJid,
    /// Random id that the browser keeps.
    pub machine_uid: Option<String>,
    /// The authentication session that it was given earlier.
    pub session_id: Option<String>,
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
    /// The authentication session, to be kept by the browser.
    pub session_id: Option<String>,
    /// Whom the client is taken for.
    pub identity: Option<String>,
    /// `<property name value/>` in order.
    pub properties: Vec<(String, String)>,
}

/// Why a conference request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConferenceRefusal {
    /// As many conferences as this server takes.
    #[error("too many conferences")]
    Full,
    /// No room here can have this address.
    #[error("there is no such room")]
    NoSuchRoom,
    /// Somebody who can log in has to start this conference.
    #[error("a host has to start the conference")]
    NotAuthorized,
    /// The authentication session is over, or is that of another browser.
    #[error("invalid authentication session")]
    SessionInvalid,
    /// This server is to be stopped and takes no new ones.
    #[error("this server is about to stop and takes no new conferences; those under way go on")]
    Draining,
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

/// How much there is, for the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Rooms with a focus.
    pub conferences: usize,
    /// Occupants of them.
    pub participants: usize,
    /// Accepted Jingle sessions.
    pub sessions: usize,
    /// Endpoints on the local bridge.
    pub endpoints: usize,
    /// Requests to the local bridge that it refused.
    pub bridge_refusals: u64,
    /// Of the local bridge.
    pub bridge: Counters,
}

/// The focus of all conferences of this server, and the local bridge behind it.
pub struct Focus {
    config: FocusConfig,
    random: Random,
    bridge: Bridge,
    bridge_refusals: u64,
    conferences: HashMap<BareJid, Conference>,
    meetings: HashMap<String, BareJid>,
    asked: HashMap<u64, Asked>,
    next_number: u64,
    timers: BTreeMap<(Timestamp, u64), Timer>,
    output: VecDeque<Output>,
}

/// What may be due. A timer whose cause has gone does nothing.
#[derive(Debug)]
enum Timer {
    /// Nobody joined.
    Empty(BareJid),
    /// Too few are left.
    Alone(BareJid),
    /// A client did not tell its features.
    Discovery { room: BareJid, nick: String, iq: String },
    /// A failed allocation is tried again.
    Invite(BareJid),
}

impl Focus {
    /// Who is on the local bridge: room, nickname, and the identity that the media plane knows.
    pub fn seats(&self) -> impl Iterator<Item = (&BareJid, &str, EndpointId)> {
        self.conferences.values().flat_map(|conference| {
            let seated = self.bridge.endpoints(&conference.meeting_id);
            seated.map(|(nick, endpoint)| (&conference.room, nick, endpoint))
        })
    }

    /// Room and nickname of an endpoint on the local bridge.
    pub fn seat_of(&self, endpoint: EndpointId) -> Option<(&BareJid, &str)> {
        let (meeting, nick) = self.bridge.name_of(endpoint)?;
        Some((self.meetings.get(meeting)?, nick))
    }

    /// Conferences at a time, from now on.
    pub fn set_conferences_max(&mut self, conferences_max: usize) {
        self.config.conferences_max = conferences_max;
    }

    /// A focus without conferences.
    pub fn new(config: FocusConfig, random: Random) -> Focus {
        Focus {
            bridge: Bridge::new(config.bridge()),
            config,
            random,
            bridge_refusals: 0,
            conferences: HashMap::new(),
            meetings: HashMap::new(),
            asked: HashMap::new(),
            next_number: 1,
            timers: BTreeMap::new(),
            output: VecDeque::new(),
        }
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
        let known = self.conferences.contains_key(&request.room);
        if !known && self.conferences.len() >= self.config.conferences_max {
            return Err(ConferenceRefusal::Full);
        }
        let empty_at = now + self.config.initial_timeout;
        let conference = self.conference(&request.room);
        conference.configure(request);
        if conference.participants.is_empty() {
            let armed = conference.empty_at != Timestamp::NEVER;
            conference.empty_at = empty_at;
            if !armed {
                self.set_timer(empty_at, Timer::Empty(request.room.clone()));
            }
        }
        Ok(self.ready_answer())
    }

    /// What a request is answered that may be followed by a join.
    pub fn ready_answer(&self) -> ConferenceAnswer {
        let properties = [("authentication", "false"), ("visitors-supported", "false")];
        ConferenceAnswer {
            ready: true,
            focus_jid: self.config.focus_jid.to_bare(),
            session_id: None,
            identity: None,
            properties: properties.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        }
    }

    /// An occupant joined.
    pub fn occupant_joined(&mut self, occupant: &Occupant<'_>, now: Timestamp) {
        // Who comes back under the same name has lost the session that it had.
        self.remove_participant(occupant.room, occupant.nick, now);
        let participant = Participant::new(occupant, &self.config);
        let conference = self.conference(occupant.room);
        conference.participants.push(participant);
        conference.empty_at = Timestamp::NEVER;
        self.ensure_owner(occupant.room);
        self.watch_alone(occupant.room, now);
        self.discover(occupant, now);
        self.drain(now);
    }

    /// An occupant's presence or role changed.
    pub fn presence_changed(&mut self, occupant: &Occupant<'_>, now: Timestamp) {
        let conference = self.conferences.get_mut(occupant.room);
        if let Some(participant) = conference.and_then(|it| it.participant_mut(occupant.nick)) {
            participant.take_presence(occupant);
            self.ensure_owner(occupant.room);
        }
        self.drain(now);
    }

    /// An occupant left, was removed or lost its session.
    pub fn occupant_left(&mut self, room: &BareJid, nick: &str, now: Timestamp) {
        self.remove_participant(room, nick, now);
        let Some(conference) = self.conferences.get_mut(room) else { return };
        if conference.participants.is_empty() {
            if !conference.kept {
                self.end_conference(room, "all participants left", now);
            }
        } else {
            self.ensure_owner(room);
            self.watch_alone(room, now);
        }
        self.drain(now);
    }

    /// Whether the conference stays though nobody is in it, as while people are in its breakout rooms.
    pub fn keep(&mut self, room: &BareJid, kept: bool, now: Timestamp) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        conference.kept = kept;
        if !kept && conference.participants.is_empty() {
            self.end_conference(room, "all participants left", now);
        }
        self.drain(now);
    }

    /// The conference is that of a breakout room: its moderators come from the main room.
    pub fn set_breakout(&mut self, room: &BareJid) {
        if let Some(conference) = self.conferences.get_mut(room) {
            conference.breakout = true;
        }
    }

    /// An IQ of type `get` or `set` that an occupant sent to `room/focus`. It is answered once, at once.
    pub fn iq(&mut self, room: &BareJid, nick: &str, iq: &Element, now: Timestamp) {
        let before = self.output.len();
        let answer = match self.request(room, nick, iq, now) {
            Ok(result) => result,
            Err(refusal) => Element::new("iq", xmpp::ns::JABBER_CLIENT)
                .attr_if("id", iq.attribute("id"))
                .attr("type", "error")
                .with(refusal.element()),
        };
        // A client must have its answer before anything that follows from its request.
        let answer = Output::ToOccupant { room: room.clone(), nick: nick.to_owned(), stanza: answer };
        self.output.insert(before, answer);
        self.drain(now);
    }

    /// An IQ of type `result` or `error` that an occupant sent to `room/focus`.
    pub fn iq_answer(&mut self, room: &BareJid, nick: &str, iq: &Element, now: Timestamp) {
        self.discovered(room, nick, iq, now);
        self.initiate_answered(room, nick, iq, now);
        self.drain(now);
    }

    /// News from the media plane.
    pub fn report(&mut self, report: Report, now: Timestamp) {
        self.bridge.report(report, now);
        self.drain(now);
    }

    /// The media plane could not seat an endpoint.
    pub fn refused(&mut self, endpoint: EndpointId, now: Timestamp) {
        self.bridge.refused(endpoint);
        self.drain(now);
    }

    /// News from an association or a bridge channel.
    pub fn association(&mut self, event: association::Event, now: Timestamp) {
        self.bridge.association(event, now);
        self.drain(now);
    }

    /// Whether a bridge-channel WebSocket with this URL may open, and for whom. Takes the same time for a wrong
    /// password as for an unknown conference or endpoint.
    pub fn authorize_channel(&self, conference: &str, endpoint: &str, password: &str) -> Option<EndpointId> {
        self.bridge.authorize_channel(conference, endpoint, password)
    }

    /// From now on the local bridge takes no new conferences (or does again). Those that are there stay.
    pub fn set_draining(&mut self, draining: bool) {
        self.bridge.set_draining(draining);
    }

    /// The next thing to do, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// When [`Focus::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Timestamp {
        let own = self.timers.first_key_value().map_or(Timestamp::NEVER, |((at, _), _)| *at);
        own.min(self.bridge.poll_timeout())
    }

    /// Lets due timers fire.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.bridge.handle_timeout(now);
        self.drain(now);
        while let Some(entry) = self.timers.first_entry()
            && entry.key().0 <= now
        {
            match entry.remove() {
                Timer::Empty(room) => match self.conferences.get(&room).and_then(Conference::ends_at) {
                    Some(at) if at <= now => self.end_conference(&room, "nobody joined", now),
                    Some(at) if at < Timestamp::NEVER => self.set_timer(at, Timer::Empty(room)),
                    _ => {}
                },
                Timer::Alone(room) => {
                    if self.conferences.get(&room).is_some_and(|conference| conference.alone_at <= now) {
                        self.end_idle_sessions(&room, now);
                    }
                }
                Timer::Discovery { room, nick, iq } => self.discovery_late(&room, &nick, &iq, now),
                Timer::Invite(room) => self.invite_all(&room, now),
            }
            self.drain(now);
        }
    }

    /// How much there is.
    pub fn snapshot(&self) -> Snapshot {
        let participants = self.conferences.values().flat_map(|conference| &conference.participants);
        let active = |participant: &&Participant| matches!(participant.session, Session::Active(_));
        Snapshot {
            conferences: self.conferences.len(),
            participants: participants.clone().count(),
            sessions: participants.filter(active).count(),
            endpoints: self.bridge.size().1,
            bridge_refusals: self.bridge_refusals,
            bridge: self.bridge.counters(),
        }
    }

    /// The conference of a room; a new one if there is none.
    fn conference(&mut self, room: &BareJid) -> &mut Conference {
        match self.conferences.entry(room.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => {
                let meeting_id = random::hex(&mut self.random, 32);
                self.meetings.insert(meeting_id.clone(), room.clone());
                let conference = Conference::new(room.clone(), meeting_id);
                let children = conference.properties();
                self.output.push_back(Output::Presence { room: room.clone(), children });
                vacant.insert(conference)
            }
        }
    }

    /// Frees the sources and the endpoint of an occupant that is gone. The others are told nothing: they see it leave.
    fn remove_participant(&mut self, room: &BareJid, nick: &str, now: Timestamp) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let Some(index) = conference.participants.iter().position(|participant| participant.nick == nick)
        else {
            return;
        };
        conference.participants.remove(index);
        conference.sources.remove_owner(nick);
        for other in &mut conference.participants {
            other.signalled.remove(nick);
            other.changed.remove(nick);
        }
        self.expire_at_bridge(room, nick, now);
    }

    fn end_conference(&mut self, room: &BareJid, reason: &str, now: Timestamp) {
        self.expire_bridge_conference(room, now);
        if let Some(conference) = self.conferences.remove(room) {
            self.meetings.remove(&conference.meeting_id);
            self.output.push_back(Output::DestroyRoom { room: conference.room, reason: reason.to_owned() });
        }
    }

    /// Too few are left: their sessions end, they stay in the room and wait.
    fn end_idle_sessions(&mut self, room: &BareJid, now: Timestamp) {
        self.expire_bridge_conference(room, now);
        let Some(conference) = self.conferences.get_mut(room) else { return };
        conference.alone_at = Timestamp::NEVER;
        let mut farewells = Vec::new();
        for participant in &mut conference.participants {
            participant.declined = false;
            if let Some(farewell) = participant.end_session(EndReason::Idle) {
                farewells.push((participant.nick.clone(), farewell));
            }
            conference.sources.remove_owner(&participant.nick);
        }
        for (nick, farewell) in farewells {
            self.send_set(room, &nick, farewell);
        }
    }

    /// Starts or stops the clock that ends the sessions of those who are left.
    fn watch_alone(&mut self, room: &BareJid, now: Timestamp) {
        let at = now + self.config.single_participant_timeout;
        let Some(conference) = self.conferences.get_mut(room) else { return };
        if conference.participants.len() >= self.config.participants_min {
            conference.alone_at = Timestamp::NEVER;
        } else if conference.alone_at == Timestamp::NEVER {
            conference.alone_at = at;
            self.set_timer(at, Timer::Alone(room.clone()));
        }
    }

    /// Somebody must be able to moderate: the first ordinary occupant, while nobody else can.
    fn ensure_owner(&mut self, room: &BareJid) {
        let Some(conference) =
            self.conferences.get_mut(room).filter(|it| self.config.auto_owner && !it.breakout)
        else {
            return;
        };
        let mut ordinary = conference.participants.iter_mut().filter(|participant| !participant.service);
        let Some(first) = ordinary.next() else { return };
        if first.moderator || ordinary.any(|participant| participant.moderator) {
            return;
        }
        first.moderator = true;
        let nick = first.nick.clone();
        self.output.push_back(Output::GrantOwner { room: room.clone(), nick });
    }

    /// Takes all that the bridge has to say.
    fn drain(&mut self, now: Timestamp) {
        while let Some(output) = self.bridge.poll_output() {
            match output {
                bridge::Output::Command(command) => self.output.push_back(Output::Command(command)),
                bridge::Output::Association(command) => self.output.push_back(Output::Association(command)),
                bridge::Output::Answer { request, answer } => self.bridge_answered(request, answer, now),
                bridge::Output::EndpointExpired { meeting_id, endpoint } => {
                    self.endpoint_lost(&meeting_id, &endpoint, now);
                }
            }
        }
    }

    fn ask_bridge(&mut self, asked: Asked, modify: &ConferenceModify, now: Timestamp) {
        let request = self.number();
        self.asked.insert(request, asked);
        self.bridge.modify(request, modify, &mut self.random, now);
    }

    /// Sends an IQ of type `set`; its id.
    fn send_set(&mut self, room: &BareJid, nick: &str, payload: Element) -> String {
        let id = random::hex(&mut self.random, 16);
        self.tell(room, nick, stanza::iq_set(&id, payload));
        id
    }

    fn tell(&mut self, room: &BareJid, nick: &str, stanza: Element) {
        self.output.push_back(Output::ToOccupant { room: room.clone(), nick: nick.to_owned(), stanza });
    }

    fn set_timer(&mut self, at: Timestamp, timer: Timer) {
        let number = self.number();
        self.timers.insert((at, number), timer);
    }

    fn number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }
}

#[cfg(test)]
mod tests;

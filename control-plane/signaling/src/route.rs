//! The whole server behind the sockets: takes stanzas, requests and reports, finds who they are for, and hands out
//! what follows.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use contract::{Duration, Timestamp};
pub use xmpp::SessionId;
use xmpp::credentials::Credentials;
use xmpp::jid::{BareJid, FullJid};
use xmpp::{Element, ns};

use crate::admission::TokenRules;
use crate::authentication::{Authentication, Hosts};
use crate::domains::Domains;
use crate::external_services::TurnServer;
use crate::focus::{
    self, ConferenceAnswer, ConferenceRefusal, ConferenceRequest, Focus, FocusConfig, Random, SendPolicy,
};
use crate::room::{self, Affiliation, Clock, FOCUS_NICK, Kind, Occupant, Policy, Room};
use crate::services::breakout_rooms::BreakoutRooms;

mod administration;
mod breakout;
mod commands;
mod dispatch;
mod entrance;
mod lobby;
mod traffic;

pub use self::administration::{Missing, Person, RoomCount};
pub use self::traffic::{Input, Output};

/// What signalling is configured with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The addresses of this server.
    pub domains: Domains,
    /// The focus and the local bridge.
    pub focus: FocusConfig,
    /// What holds in every room.
    pub policy: Policy,
    /// Rooms at a time.
    pub rooms_max: usize,
    /// After how long a room without participants is forgotten, should the focus not end it before.
    pub empty_room_after: Duration,
    /// Who may start conferences.
    pub hosts: Hosts,
    /// What is checked of tokens.
    pub token_rules: TokenRules,
    /// Where people log in, `{room}` standing for the room, if that is another page.
    pub login_url: Option<String>,
    /// A TURN server for clients.
    pub turn: Option<TurnServer>,
    /// Milliseconds since 1970 when `now` is zero.
    pub unix_ms_at_zero: u64,
}

impl Config {
    /// The defaults for a server at `domains`, started `unix_ms_at_zero` milliseconds after 1970.
    pub fn new(domains: Domains, focus: FocusConfig, unix_ms_at_zero: u64) -> Config {
        Config {
            domains,
            focus,
            policy: Policy { occupants_max: 500, nick_from_localpart: false },
            rooms_max: 10_000,
            empty_room_after: Duration::from_secs(120),
            hosts: Hosts::Everybody,
            token_rules: TokenRules::default(),
            login_url: None,
            turn: None,
            unix_ms_at_zero,
        }
    }
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
    /// Stanzas that were answered with an error so far.
    pub refused: u64,
}

/// Sessions, rooms and the focus.
pub struct Signaling {
    config: Config,
    domains: Arc<Domains>,
    draining: bool,
    focus: Focus,
    authentication: Authentication,
    sessions: HashMap<SessionId, Session>,
    rooms: HashMap<BareJid, Room>,
    breakouts: BreakoutRooms,
    refusals: BTreeMap<String, u64>,
    meeting_ids: MeetingIds,
    sweep_at: Timestamp,
    outputs: VecDeque<Output>,
}

/// A bound client.
struct Session {
    jid: FullJid,
    query_room: Option<String>,
    /// Where it is, in the order of coming.
    rooms: Vec<BareJid>,
    /// The main room that it joined last: it may go to the breakout rooms of that.
    main: Option<BareJid>,
    credentials: Credentials,
}

impl Session {
    /// It, as rooms know it.
    fn sender(&self, session: SessionId) -> room::Sender<'_> {
        room::Sender { session, jid: &self.jid, token: self.credentials.token.as_ref() }
    }
}

/// Sessions at a time; the streams have their own, lower limit.
const SESSIONS_MAX: usize = 100_000;
/// Rooms that one session may be in: the main room, its lobby and a breakout room, with room to spare.
const ROOMS_PER_SESSION_MAX: usize = 8;
/// How often empty rooms are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

impl Signaling {
    /// A server without sessions and rooms.
    pub fn new(config: Config, mut random: Random) -> Signaling {
        let meeting_ids = MeetingIds::new(&mut random);
        let mut seed = [0; 32];
        random(&mut seed);
        let authentication = Authentication::new(config.hosts, seed);
        let focus = Focus::new(config.focus.clone(), random);
        Signaling {
            domains: Arc::new(config.domains.clone()),
            config,
            draining: false,
            focus,
            authentication,
            sessions: HashMap::new(),
            rooms: HashMap::new(),
            breakouts: BreakoutRooms::default(),
            refusals: BTreeMap::new(),
            meeting_ids,
            sweep_at: Timestamp::NEVER,
            outputs: VecDeque::new(),
        }
    }

    /// The focus, for questions that change nothing.
    pub fn focus(&self) -> &Focus {
        &self.focus
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// All rooms, in no order.
    pub fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.rooms.values()
    }

    /// How many stanzas were refused, by error condition.
    pub fn refusals(&self) -> &BTreeMap<String, u64> {
        &self.refusals
    }

    /// The room that the URL of a session named: what commands to domain services are about.
    pub fn query_room(&self, session: SessionId) -> Option<&str> {
        self.sessions.get(&session)?.query_room.as_deref()
    }

    /// Takes one input; afterwards take [`Signaling::poll_output`] until `None`.
    pub fn handle(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::SessionOpened { session, jid, query_room } => {
                self.session_opened(session, jid, query_room)
            }
            Input::Credentials { session, credentials } => {
                self.credentials_changed(session, credentials, now);
            }
            Input::SessionClosed { session } => {
                self.leave_all(session, None, now);
                if let Some(entry) = self.sessions.remove(&session) {
                    self.authentication.forget(&entry.jid.to_bare());
                }
            }
            Input::Stanza { session, stanza } => self.stanza(session, stanza, now),
            Input::ConferenceRequest { token, request, credentials } => {
                let is_ours = self.room_address(request.room.as_str()).is_some();
                let asker = entrance::Asker::Http(&credentials);
                let answer = if is_ours {
                    self.conference_for(&asker, &request, now)
                } else {
                    Err(ConferenceRefusal::NoSuchRoom)
                };
                self.outputs.push_back(Output::ConferenceAnswer { token, answer });
            }
            Input::Report(report) => self.focus.report(report, now),
            Input::Association(event) => self.focus.association(event, now),
            Input::Refused { endpoint } => self.focus.refused(endpoint, now),
        }
        self.obey_focus(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Signaling::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Timestamp {
        self.focus.poll_timeout().min(self.sweep_at).min(self.breakouts.poll_timeout())
    }

    /// Lets due timers fire.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.focus.poll_timeout() <= now {
            self.focus.handle_timeout(now);
            self.obey_focus(now);
        }
        if self.breakouts.poll_timeout() <= now {
            self.breakouts_due(now);
            self.obey_focus(now);
        }
        if self.sweep_at <= now {
            self.sweep(now);
            self.sweep_at = if self.rooms.is_empty() { Timestamp::NEVER } else { now.after(SWEEP_EVERY) };
        }
    }

    /// From now on no conference begins that is not under way (or is again).
    pub fn set_draining(&mut self, draining: bool) {
        self.draining = draining;
    }

    /// Limits that hold for what comes from now on: rooms, and participants of rooms that are made.
    pub fn set_limits(&mut self, rooms_max: usize, occupants_max: usize) {
        self.config.rooms_max = rooms_max;
        self.config.policy.occupants_max = occupants_max;
        self.focus.set_conferences_max(rooms_max);
    }

    /// Sizes, for metrics.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            sessions: self.sessions.len(),
            rooms: self.rooms.len(),
            occupants: self.rooms.values().map(Room::participant_count).sum(),
            refused: self.refusals.values().sum(),
        }
    }

    fn session_opened(&mut self, session: SessionId, jid: FullJid, query_room: Option<String>) {
        if self.sessions.len() >= SESSIONS_MAX {
            return self
                .outputs
                .push_back(Output::CloseSession { session, condition: "resource-constraint" });
        }
        let credentials = Credentials::default();
        self.sessions
            .insert(session, Session { jid, query_room, rooms: Vec::new(), main: None, credentials });
    }

    /// Prepares a conference: the room exists and the focus is inside before anybody is told.
    fn conference(
        &mut self,
        request: &ConferenceRequest,
        now: Timestamp,
    ) -> Result<ConferenceAnswer, ConferenceRefusal> {
        let room = self.rooms.get(&request.room);
        let is_new = room.is_none();
        let begins = room.is_none_or(|room| room.participant_count() == 0);
        // A breakout room belongs to a meeting that is under way.
        if self.draining && begins && self.breakout_name(&request.room).is_none() {
            return Err(ConferenceRefusal::Draining);
        }
        if is_new && self.rooms.len() >= self.config.rooms_max {
            return Err(ConferenceRefusal::Full);
        }
        let answer = self.focus.conference_requested(request, now)?;
        if is_new {
            let kind = self.kind_of(&request.room);
            if kind != Kind::Main {
                self.focus.set_breakout(&request.room);
            }
            let (id, policy, domains) = (self.meeting_ids.next(), self.config.policy, self.domains.clone());
            let mut fresh = Room::new(request.room.clone(), kind, id, policy, domains, now);
            if let Some(name) = self.breakout_name(&request.room) {
                fresh.name(&name, &mut Vec::new());
            }
            self.rooms.insert(request.room.clone(), fresh);
            self.sweep_at = self.sweep_at.min(now.after(SWEEP_EVERY));
        }
        if answer.ready {
            let (focus, clock, mut out) = (self.config.focus.focus_jid.clone(), self.clock(now), Vec::new());
            if let Some(room) = self.rooms.get_mut(&request.room) {
                room.focus_joined(focus, clock, &mut out);
            }
            self.apply(&request.room, out, now);
        }
        Ok(answer)
    }

    fn leave_all(&mut self, session: SessionId, farewell: Option<&Element>, now: Timestamp) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        for address in std::mem::take(&mut entry.rooms) {
            self.leave_room(session, &address, farewell, now);
        }
    }

    fn leave_room(&mut self, session: SessionId, room: &BareJid, farewell: Option<&Element>, now: Timestamp) {
        let (clock, mut out) = (self.clock(now), Vec::new());
        if let Some(entry) = self.rooms.get_mut(room) {
            entry.leave(session, farewell, clock, &mut out);
        }
        self.apply(room, out, now);
    }

    /// Passes on what a room wants done and tells the focus who came and went.
    fn apply(&mut self, address: &BareJid, out: Vec<room::Output>, now: Timestamp) {
        for output in out {
            match output {
                room::Output::Stanza { session, stanza } => {
                    self.outputs.push_back(Output::Stanza { session, stanza });
                }
                room::Output::Copy { session, text } => {
                    self.outputs.push_back(Output::Copy { session, text });
                }
                room::Output::Refused { session, stanza } => {
                    self.count_refusal(&stanza);
                    self.outputs.push_back(Output::Stanza { session, stanza });
                }
                room::Output::Policy { actor } => self.policy_changed(address, actor.as_deref(), now),
                room::Output::LobbyOpened => self.open_lobby(address, now),
                room::Output::LobbyClosed => self.close_lobby(address, true, now),
                room::Output::Denied { occupant, name, by } => {
                    if let Some(Kind::Lobby { main }) = self.rooms.get(address).map(Room::kind) {
                        let main = main.clone();
                        self.denied(&main, &occupant, name.as_deref(), by, now);
                    }
                }
                room::Output::Joined { nick, session } => self.joined(address, &nick, session, now),
                room::Output::Changed { nick } => {
                    let Some(occupant) = self.rooms.get(address).and_then(|room| room.occupant(&nick)) else {
                        continue;
                    };
                    let jid = occupant.jid.to_bare();
                    self.focus.presence_changed(&seen_by_focus(address, occupant), now);
                    self.mirror_into_lobby(address, &jid, now);
                    self.breakouts_changed(address, now);
                }
                room::Output::Left { nick, session } => {
                    if let Some(entry) = self.sessions.get_mut(&session) {
                        entry.rooms.retain(|room| room != address);
                    }
                    self.breakouts_changed(address, now);
                    self.focus.occupant_left(address, &nick, now);
                }
            }
        }
        if self.rooms.get(address).is_some_and(Room::is_over) {
            self.rooms.remove(address);
            self.room_ended(address, now);
        }
    }

    fn joined(&mut self, address: &BareJid, nick: &str, session: SessionId, now: Timestamp) {
        let Some(entry) = self.sessions.get_mut(&session) else {
            // Its session ended while the join waited for the focus.
            return self.leave_room(session, address, None, now);
        };
        entry.rooms.push(address.clone());
        if self.domains.is_muc(address.domain().as_str()) {
            entry.main = Some(address.clone());
        }
        if self.is_lobby(address) {
            return;
        }
        if let Some(occupant) = self.rooms.get(address).and_then(|room| room.occupant(nick)) {
            self.focus.occupant_joined(&seen_by_focus(address, occupant), now);
        }
        self.breakouts_changed(address, now);
    }

    /// Tells the focus who may send what.
    fn policy_changed(&mut self, address: &BareJid, actor: Option<&str>, now: Timestamp) {
        let Some(room) = self.rooms.get(address) else { return };
        let policy = SendPolicy { moderation: room.moderation().clone(), start_muted: room.start_muted() };
        self.focus.policy_changed(address, policy, actor, now);
    }

    /// Whatever belonged to the room at `address` is over too.
    fn room_ended(&mut self, address: &BareJid, now: Timestamp) {
        if self.domains.is_muc(address.domain().as_str()) {
            self.close_lobby(address, false, now);
            self.close_breakouts(address, now);
        }
    }

    /// Forgets rooms that are empty for long. Lobbies stay with their main room, and that with its breakout rooms.
    fn sweep(&mut self, now: Timestamp) {
        let limit = self.config.empty_room_after;
        let idle = self.rooms.iter().filter(|(address, room)| {
            let stays = self.is_lobby(address) || self.breakouts.is_active(address);
            !stays && room.empty_since().is_some_and(|since| now.since(since) >= limit)
        });
        for address in idle.map(|(address, _)| address.clone()).collect::<Vec<_>>() {
            self.rooms.remove(&address);
            self.room_ended(&address, now);
        }
    }

    fn count_refusal(&mut self, stanza: &Element) {
        let condition = stanza.child("error", ns::JABBER_CLIENT).and_then(|error| error.children().next());
        let condition = condition.map_or("undefined-condition", Element::name);
        match self.refusals.get_mut(condition) {
            Some(count) => *count += 1,
            None => {
                self.refusals.insert(condition.to_owned(), 1);
            }
        }
    }

    /// Does what the focus wants until it wants nothing more.
    fn obey_focus(&mut self, now: Timestamp) {
        while let Some(output) = self.focus.poll_output() {
            let clock = self.clock(now);
            let mut out = Vec::new();
            let address = match output {
                focus::Output::Command(command) => {
                    self.outputs.push_back(Output::Command(command));
                    continue;
                }
                focus::Output::Association(command) => {
                    self.outputs.push_back(Output::Association(command));
                    continue;
                }
                focus::Output::ToOccupant { room, nick, stanza } => {
                    if stanza.attribute("type") == Some("error") {
                        self.count_refusal(&stanza);
                    }
                    if let Some(entry) = self.rooms.get(&room) {
                        entry.deliver(&nick, &entry.address(FOCUS_NICK), stanza, &mut out);
                    }
                    room
                }
                focus::Output::GrantOwner { room, nick } => {
                    let occupant = self.rooms.get(&room).and_then(|room| room.occupant(&nick));
                    let owner = occupant.filter(|it| it.session.is_none_or(|session| self.may_own(session)));
                    let jid = owner.map(|occupant| occupant.jid.to_bare());
                    if let (Some(entry), Some(jid)) = (self.rooms.get_mut(&room), jid) {
                        entry.affiliate(&jid, Affiliation::Owner, None, None, clock, &mut out);
                    }
                    room
                }
                focus::Output::Presence { room, children } => {
                    if let Some(entry) = self.rooms.get_mut(&room) {
                        entry.focus_presence(children, &mut out);
                    }
                    room
                }
                focus::Output::DestroyRoom { room, reason } => {
                    if let Some(entry) = self.rooms.get_mut(&room) {
                        entry.destroy(Some(&reason), None, &mut out);
                    }
                    room
                }
            };
            self.apply(&address, out, now);
        }
    }

    fn clock(&self, now: Timestamp) -> Clock {
        Clock { now, unix_ms: self.config.unix_ms_at_zero.saturating_add(now.as_millis()) }
    }
}

fn seen_by_focus<'a>(room: &'a BareJid, occupant: &'a Occupant) -> focus::Occupant<'a> {
    focus::Occupant {
        room,
        nick: &occupant.nick,
        real_jid: &occupant.jid,
        presence: &occupant.presence,
        moderator: occupant.is_moderator(),
    }
}

/// Meeting ids: they name meetings in logs and are no secret, so a hash of a counter under a random seed will do.
struct MeetingIds {
    seed: [u8; 16],
    issued: u64,
}

impl MeetingIds {
    fn new(random: &mut Random) -> MeetingIds {
        let mut seed = [0; 16];
        random(&mut seed);
        MeetingIds { seed, issued: 0 }
    }

    fn next(&mut self) -> String {
        self.issued += 1;
        let half = |half: u8| {
            let mut hasher = DefaultHasher::new();
            (self.seed, self.issued, half).hash(&mut hasher);
            hasher.finish().to_be_bytes()
        };
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(half(0).into_iter().chain(half(1))).for_each(|(to, from)| *to = from);
        xmpp::uuid::v4(bytes)
    }
}

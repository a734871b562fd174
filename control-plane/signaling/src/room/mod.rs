//! One room (XEP-0045, with the rules that Jitsi clients rely on): only the focus makes it, real addresses are
//! visible to all, presence is relayed verbatim, nicknames are fixed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use contract::Timestamp;
use serde_json::Value;
use xmpp::credentials::Claims;
use xmpp::jid::{BareJid, FullJid};
use xmpp::{Element, SessionId, Text, ns};

use crate::domains::Domains;
use crate::services::av_moderation::AvModeration;
use crate::services::metadata::Metadata;
use crate::services::polls::Polls;
use crate::services::speaker_stats::SpeakerStats;
use crate::stanza_error::Refusal;

mod admin;
mod commands;
mod history;
mod info;
mod lobby;
mod message;
mod occupant;
mod owner;
mod permissions;
mod presence;

pub use occupant::{Affiliation, Occupant, VOUCHED};

use history::History;
pub(crate) use history::stamp;
use owner::Settings;

/// The focus' nickname: clients take Jingle from no one else as the focus'.
pub const FOCUS_NICK: &str = "focus";
/// Bytes of a presence or message that a room relays.
pub const STANZA_BYTES_MAX: usize = 64 * 1024;
/// Joins that wait for the focus.
const WAITING_MAX: usize = 500;
/// Affiliations that a room remembers, those of present occupants included.
const AFFILIATIONS_MAX: usize = 4_096;

/// What a room wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Deliver a stanza.
    Stanza {
        /// To whom.
        session: SessionId,
        /// What, with addresses.
        stanza: Element,
    },
    /// Deliver a stanza that many get.
    Copy {
        /// To whom.
        session: SessionId,
        /// What.
        text: Text,
    },
    /// Deliver the answer to a stanza that was refused.
    Refused {
        /// To whom.
        session: SessionId,
        /// The error, with addresses.
        stanza: Element,
    },
    /// Who may send what is another now; `actor` is who decided it, if it was somebody.
    Policy {
        /// A nickname.
        actor: Option<String>,
    },
    /// From now on people wait in a lobby.
    LobbyOpened,
    /// No longer.
    LobbyClosed,
    /// An occupant of a lobby was turned away.
    Denied {
        /// The address that it had in the lobby.
        occupant: String,
        /// Its display name.
        name: Option<String>,
        /// The moderator's session.
        by: SessionId,
    },
    /// An occupant came in.
    Joined {
        /// Who.
        nick: String,
        /// Its session.
        session: SessionId,
    },
    /// An occupant's presence or affiliation is another now.
    Changed {
        /// Whose.
        nick: String,
    },
    /// An occupant is gone.
    Left {
        /// Who.
        nick: String,
        /// Its session.
        session: SessionId,
    },
}

/// Who sends a stanza: taken from the session, never from the stanza.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// Where answers go.
    pub session: SessionId,
    /// The real address.
    pub jid: &'a FullJid,
    /// What its token says, if it came with one.
    pub token: Option<&'a Arc<Claims>>,
}

/// What a room needs to know of the world at a call.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Monotonic time.
    pub now: Timestamp,
    /// Milliseconds since 1970, for stamps that people see.
    pub unix_ms: u64,
}

/// What the server decides about every room.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Occupants, the focus not counted.
    pub occupants_max: usize,
    /// A nickname must be a prefix of the sender's local part, so that nobody takes the endpoint id of another.
    pub nick_from_localpart: bool,
}

/// What a room is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A meeting.
    Main,
    /// Part of the meeting `main`.
    Breakout {
        /// Its main room.
        main: BareJid,
    },
    /// Where people wait for the moderators of `main`: only those see them. There is no focus in it.
    Lobby {
        /// The room that they want into.
        main: BareJid,
    },
}

/// A room.
#[derive(Debug)]
pub struct Room {
    jid: BareJid,
    kind: Kind,
    domains: Arc<Domains>,
    policy: Policy,
    occupants: Vec<Occupant>,
    affiliations: HashMap<BareJid, Affiliation>,
    waiting: VecDeque<Waiting>,
    settings: Settings,
    history: History,
    subject: Option<Element>,
    moderation: AvModeration,
    /// What `startMuted` said of each kind before it was moderated.
    before_moderation: BTreeMap<&'static str, Value>,
    metadata: Metadata,
    polls: Polls,
    speakers: SpeakerStats,
    meeting_id: String,
    created_unix_ms: Option<u64>,
    empty_since: Timestamp,
    over: bool,
}

/// A join that came before the focus.
#[derive(Debug)]
struct Waiting {
    session: SessionId,
    jid: FullJid,
    token: Option<Arc<Claims>>,
    presence: Element,
}

impl Room {
    /// An empty room; joins wait until [`Room::focus_joined`].
    pub fn new(
        jid: BareJid,
        kind: Kind,
        meeting_id: String,
        policy: Policy,
        domains: Arc<Domains>,
        now: Timestamp,
    ) -> Room {
        Room {
            jid,
            kind,
            domains,
            policy,
            occupants: Vec::new(),
            affiliations: HashMap::new(),
            waiting: VecDeque::new(),
            settings: Settings::default(),
            history: History::default(),
            subject: None,
            moderation: AvModeration::default(),
            before_moderation: BTreeMap::new(),
            metadata: Metadata::default(),
            polls: Polls::default(),
            speakers: SpeakerStats::default(),
            meeting_id,
            created_unix_ms: None,
            empty_since: now,
            over: false,
        }
    }

    /// The room's address.
    pub fn jid(&self) -> &BareJid {
        &self.jid
    }

    /// What the room is for.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Milliseconds since 1970 of the first join.
    pub fn created_unix_ms(&self) -> Option<u64> {
        self.created_unix_ms
    }

    /// Everyone inside in the order of coming, the focus included.
    pub fn occupants(&self) -> &[Occupant] {
        &self.occupants
    }

    /// Occupants other than the focus.
    pub fn participant_count(&self) -> usize {
        self.occupants.iter().filter(|occupant| occupant.session.is_some()).count()
    }

    /// The occupant called `nick`.
    pub fn occupant(&self, nick: &str) -> Option<&Occupant> {
        self.occupants.iter().find(|occupant| occupant.nick == nick)
    }

    /// The occupant that belongs to `session`.
    pub fn occupant_of(&self, session: SessionId) -> Option<&Occupant> {
        self.occupants.iter().find(|occupant| occupant.session == Some(session))
    }

    /// Since when nobody but the focus was inside; `None` while somebody is.
    pub fn empty_since(&self) -> Option<Timestamp> {
        (self.participant_count() == 0).then_some(self.empty_since)
    }

    /// The focus came in as owner; joins that waited for it follow.
    pub fn focus_joined(&mut self, jid: FullJid, clock: Clock, out: &mut Vec<Output>) {
        if self.occupant(FOCUS_NICK).is_some() {
            return;
        }
        let presence = Element::new("presence", ns::JABBER_CLIENT);
        let focus = Occupant::new(FOCUS_NICK.to_owned(), jid, None, presence, Affiliation::Owner);
        self.occupants.insert(0, focus);
        while let Some(Waiting { session, jid, token, presence }) = self.waiting.pop_front() {
            self.presence(Sender { session, jid: &jid, token: token.as_ref() }, &presence, clock, out);
        }
    }

    /// The focus' presence has these children now.
    pub fn focus_presence(&mut self, children: Vec<Element>, out: &mut Vec<Output>) {
        let Some(at) = self.position(FOCUS_NICK) else { return };
        let Some(focus) = self.occupants.get_mut(at) else { return };
        focus.presence = Element::new("presence", ns::JABBER_CLIENT).with_all(children);
        self.announce(at, out);
    }

    /// Sends `stanza` to an occupant, as if from the occupant or room `from`.
    pub fn deliver(&self, nick: &str, from: &str, mut stanza: Element, out: &mut Vec<Output>) {
        let Some(occupant) = self.occupant(nick) else { return };
        let Some(session) = occupant.session else { return };
        stanza.set_attribute("from", from);
        stanza.set_attribute("to", occupant.jid.as_str());
        out.push(Output::Stanza { session, stanza });
    }

    /// The address of the occupant `nick`.
    pub fn address(&self, nick: &str) -> String {
        format!("{}/{nick}", self.jid)
    }

    fn position(&self, nick: &str) -> Option<usize> {
        self.occupants.iter().position(|occupant| occupant.nick == nick)
    }

    fn moderator(&self, sender: Sender<'_>) -> Result<&Occupant, Refusal> {
        let occupant = self.occupant_of(sender.session).ok_or(Refusal::NotAModerator)?;
        if occupant.is_moderator() { Ok(occupant) } else { Err(Refusal::NotAModerator) }
    }
}

fn refuse(sender: Sender<'_>, request: &Element, refusal: Refusal, out: &mut Vec<Output>) {
    if let Some(mut answer) = refusal.answer(request) {
        answer.set_attribute("to", sender.jid.as_str());
        out.push(Output::Refused { session: sender.session, stanza: answer });
    }
}

fn is_too_large(stanza: &Element) -> bool {
    stanza.to_string().len() > STANZA_BYTES_MAX
}

#[cfg(test)]
mod tests;

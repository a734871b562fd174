//! Joining, updating presence and leaving (XEP-0045 §7).

use xmpp::{Element, SessionId, Shared, ns};

use super::occupant::{is_nick, sanitized};
use super::permissions::Features;
use super::{
    Affiliation, Clock, Kind, Occupant, Output, Room, Sender, WAITING_MAX, Waiting, is_too_large, refuse,
};
use crate::secret::equal;
use crate::stanza_error::Refusal;

/// What a presence says about an occupant beside its own children.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notice<'a> {
    /// The occupant goes.
    pub(super) leaves: bool,
    /// Status codes for everyone.
    pub(super) statuses: &'a [u16],
    /// Status codes for the occupant itself, beside 110.
    pub(super) own_statuses: &'a [u16],
    /// Who did it.
    pub(super) actor: Option<&'a str>,
    /// Why.
    pub(super) reason: Option<&'a str>,
}

impl Notice<'_> {
    /// Whether others see nothing but the occupant's state.
    fn is_plain(&self) -> bool {
        !self.leaves && self.statuses.is_empty() && self.actor.is_none() && self.reason.is_none()
    }
}

impl Room {
    /// A presence addressed to an occupant of this room. `from` of `stanza` is the sender's real address already.
    /// See [`Room::starts_over`] for who is inside and joins again.
    pub fn presence(&mut self, sender: Sender<'_>, stanza: &Element, clock: Clock, out: &mut Vec<Output>) {
        let nick = stanza.attribute("to").and_then(|to| to.split_once('/')).map(|(_, nick)| nick.to_owned());
        match stanza.attribute("type") {
            None => {}
            Some("unavailable") => return self.leave(sender.session, Some(stanza), clock, out),
            Some(_) => return,
        }
        let Some(nick) = nick else {
            return refuse(sender, stanza, Refusal::BadAddress, out);
        };
        let is_lobby = matches!(self.kind, Kind::Lobby { .. });
        if !is_lobby && self.occupant(super::FOCUS_NICK).is_none() {
            return self.wait(sender, stanza, out);
        }
        let result = match self.occupant_of(sender.session) {
            Some(occupant) if occupant.nick != nick && self.occupant(&nick).is_some() => {
                Err(Refusal::NickTaken)
            }
            Some(occupant) if occupant.nick != nick => Err(Refusal::NickIsFixed),
            Some(_) => self.update(&nick, stanza, out),
            None => self.join(sender, nick, stanza, clock, out),
        };
        match result {
            Ok(()) => {}
            Err(refusal @ (Refusal::MembersOnly | Refusal::NameRequired)) => {
                self.refuse_into_lobby(sender, stanza, refusal, out);
            }
            Err(refusal) => refuse(sender, stanza, refusal, out),
        }
    }

    /// Whether `stanza` is a join of someone who is inside: its client has lost the room. For everybody else it is to
    /// leave first, so that nothing of its old state is left.
    pub fn starts_over(&self, session: SessionId, stanza: &Element) -> bool {
        let is_join = stanza.attribute("type").is_none() && stanza.child("x", ns::MUC).is_some();
        let own = self.occupant_of(session).map(|occupant| self.address(&occupant.nick));
        is_join && own.as_deref() == stanza.attribute("to")
    }

    /// The occupant of `session` goes, by its own wish with `farewell`, or because its session is over.
    pub fn leave(
        &mut self,
        session: SessionId,
        farewell: Option<&Element>,
        clock: Clock,
        out: &mut Vec<Output>,
    ) {
        self.waiting.retain(|waiting| waiting.session != session);
        let Some(at) = self.occupants.iter().position(|occupant| occupant.session == Some(session)) else {
            return;
        };
        let farewell = farewell.map(sanitized).filter(|farewell| !is_too_large(farewell));
        self.takes_leave(at, farewell, clock);
        self.remove(at, Notice { leaves: true, ..Notice::default() }, clock, out);
    }

    /// The last presence of the occupant at `at` takes the place of all that it said of itself.
    pub(super) fn takes_leave(&mut self, at: usize, farewell: Option<Element>, clock: Clock) {
        let Some(occupant) = self.occupants.get_mut(at) else { return };
        let name = occupant.display_name();
        occupant.presence = farewell.unwrap_or_else(|| Element::new("presence", ns::JABBER_CLIENT));
        self.speakers.left(&occupant.nick, name, clock.now);
    }

    /// Takes the occupant at `at` out of the room and tells everybody.
    pub(super) fn remove(&mut self, at: usize, notice: Notice<'_>, clock: Clock, out: &mut Vec<Output>) {
        let occupant = self.occupants.remove(at);
        self.tell(&occupant, notice, out);
        self.moderation.forget(&occupant.nick);

        if self.participant_count() == 0 {
            self.empty_since = clock.now;
        }
        if let Some(session) = occupant.session {
            out.push(Output::Left { nick: occupant.nick, session });
        }
    }

    /// Tells everybody the present state of the occupant at `at`.
    pub(super) fn announce(&mut self, at: usize, out: &mut Vec<Output>) {
        if let Some(occupant) = self.occupants.get_mut(at) {
            occupant.shown.take();
        }
        if let Some(occupant) = self.occupants.get(at) {
            self.tell(occupant, Notice::default(), out);
        }
    }

    /// The presence of `occupant` as others are shown it while it is in the room: written once for all of them.
    fn shown<'a>(&self, occupant: &'a Occupant) -> &'a Shared {
        occupant.shown.get_or_init(|| Shared::of(&self.presence_of(occupant, Notice::default(), &[])))
    }

    /// Tells everybody about `occupant`, itself last.
    pub(super) fn tell(&self, occupant: &Occupant, notice: Notice<'_>, out: &mut Vec<Output>) {
        let shown = if notice.is_plain() {
            self.shown(occupant).clone()
        } else {
            Shared::of(&self.presence_of(occupant, notice, notice.statuses))
        };
        let others = self.occupants.iter().filter(|other| other.nick != occupant.nick);
        for other in others.filter(|other| self.sees(other, occupant)) {
            copy(other, &shown, out);
        }
        self.tell_itself(occupant, notice, out);
    }

    /// Tells `occupant` about itself, with what it may use.
    pub(super) fn tell_itself(&self, occupant: &Occupant, notice: Notice<'_>, out: &mut Vec<Output>) {
        let statuses: Vec<u16> =
            notice.own_statuses.iter().chain(notice.statuses).copied().chain([SELF]).collect();
        let mut own = self.presence_of(occupant, notice, &statuses);
        let is_lobby = matches!(self.kind, Kind::Lobby { .. });
        if !notice.leaves
            && !is_lobby
            && let Some(permissions) = occupant.permissions()
        {
            own.push(permissions);
        }
        send(occupant, own, out);
    }

    /// The presence of `occupant` as others see it. The `muc#user` child comes first: clients take away the first
    /// `x` and read the rest as properties.
    fn presence_of(&self, occupant: &Occupant, notice: Notice<'_>, statuses: &[u16]) -> Element {
        let role = if notice.leaves { "none" } else { occupant.affiliation.role() };
        let mut item = Element::new("item", ns::MUC_USER)
            .attr("affiliation", occupant.affiliation.name())
            .attr("role", role)
            .attr("jid", occupant.jid.as_str());
        if let Some(actor) = notice.actor {
            item.push(Element::new("actor", ns::MUC_USER).attr("nick", actor));
        }
        if let Some(reason) = notice.reason {
            item.push(Element::new("reason", ns::MUC_USER).with_text(reason));
        }
        let codes =
            statuses.iter().map(|code| Element::new("status", ns::MUC_USER).attr("code", code.to_string()));
        let mut presence = occupant.presence.clone();
        presence.push_front(Element::new("x", ns::MUC_USER).with(item).with_all(codes));
        presence.set_attribute("from", self.address(&occupant.nick));
        if notice.leaves {
            presence.set_attribute("type", "unavailable");
        }
        presence
    }

    fn wait(&mut self, sender: Sender<'_>, stanza: &Element, out: &mut Vec<Output>) {
        if self.waiting.len() >= WAITING_MAX {
            return refuse(sender, stanza, Refusal::RoomFull, out);
        }
        self.waiting.retain(|waiting| waiting.session != sender.session);
        let (session, jid, token) = (sender.session, sender.jid.clone(), sender.token.cloned());
        self.waiting.push_back(Waiting { session, jid, token, presence: stanza.clone() });
    }

    fn update(&mut self, nick: &str, stanza: &Element, out: &mut Vec<Output>) -> Result<(), Refusal> {
        let presence = sanitized(stanza);
        if is_too_large(&presence) {
            return Err(Refusal::TooLarge);
        }
        let at = self.position(nick).ok_or(Refusal::NoSuchOccupant)?;
        let occupant = self.occupants.get_mut(at).ok_or(Refusal::NoSuchOccupant)?;
        if occupant.presence == presence {
            return Ok(());
        }
        occupant.presence = presence;
        self.announce(at, out);
        out.push(Output::Changed { nick: nick.to_owned() });
        self.take_start_muted(at, out);
        Ok(())
    }

    fn join(
        &mut self,
        sender: Sender<'_>,
        nick: String,
        stanza: &Element,
        clock: Clock,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let affiliation = self.admit(sender, &nick, stanza)?;
        let presence = sanitized(stanza);
        if is_too_large(&presence) {
            return Err(Refusal::TooLarge);
        }
        let mut newcomer =
            Occupant::new(nick, sender.jid.clone(), Some(sender.session), presence, affiliation);
        newcomer.features = Features::of(sender.token);
        for other in self.occupants.iter().filter(|other| self.sees(&newcomer, other)) {
            copy(&newcomer, self.shown(other), out);
        }
        self.tell_metadata(&newcomer, out);
        self.tell(&newcomer, Notice { own_statuses: &[NON_ANONYMOUS], ..Notice::default() }, out);
        self.welcome(&newcomer, stanza, out);
        let nick = newcomer.nick.clone();
        self.occupants.push(newcomer);
        self.brief(&nick, clock, out);
        // The first one asks for it once, after the join, and never again: it must be there by then.
        self.created_unix_ms.get_or_insert(clock.unix_ms);
        out.push(Output::Joined { nick, session: sender.session });
        Ok(())
    }

    /// Whether somebody may come in, and as what.
    fn admit(&mut self, sender: Sender<'_>, nick: &str, stanza: &Element) -> Result<Affiliation, Refusal> {
        let affiliation = self.affiliation_of(sender);
        if self.occupant(nick).is_some() {
            return Err(Refusal::NickTaken);
        }
        let localpart = sender.jid.node().map(|node| node.as_str()).unwrap_or_default();
        if !is_nick(nick) || (self.policy.nick_from_localpart && !localpart.starts_with(nick)) {
            return Err(Refusal::BadNick);
        }
        if affiliation == Affiliation::Outcast {
            return Err(Refusal::Banned);
        }
        let asked = stanza.child("x", ns::MUC).and_then(|x| x.child("password", ns::MUC)).map(Element::text);
        let knows = |password: &str| equal(asked.unwrap_or_default().as_bytes(), password.as_bytes());
        let knows_password = self.settings.password().map(knows);
        let affiliation = if self.settings.is_members_only() {
            self.member(sender, stanza, affiliation, knows_password == Some(true))?
        } else if knows_password == Some(false) && !affiliation.is_moderator() {
            return Err(Refusal::PasswordRequired);
        } else {
            affiliation
        };
        if self.participant_count() >= self.policy.occupants_max {
            return Err(Refusal::RoomFull);
        }
        Ok(affiliation)
    }

    /// History, then the subject, which ends the join (XEP-0045 §7.2.15).
    fn welcome(&self, newcomer: &Occupant, stanza: &Element, out: &mut Vec<Output>) {
        let asked = stanza.child("x", ns::MUC).and_then(|x| x.child("history", ns::MUC));
        let asked = asked.and_then(|history| history.attribute("maxstanzas")?.parse().ok());
        for message in self.history.last(asked) {
            send(newcomer, message.clone(), out);
        }
        let subject = self.subject.clone().unwrap_or_else(|| {
            Element::new("message", ns::JABBER_CLIENT)
                .attr("type", "groupchat")
                .attr("from", self.jid.as_str())
                .with(Element::new("subject", ns::JABBER_CLIENT))
        });
        send(newcomer, subject, out);
    }
}

/// Sends `occupant` its copy of what many get; nothing happens for the focus.
pub(super) fn copy(occupant: &Occupant, shared: &Shared, out: &mut Vec<Output>) {
    if let Some(session) = occupant.session {
        out.push(Output::Copy { session, text: shared.to(&occupant.recipient) });
    }
}

/// Addresses `stanza` to `occupant`; nothing happens for the focus, which reads no stanzas.
pub(super) fn send(occupant: &Occupant, mut stanza: Element, out: &mut Vec<Output>) {
    let Some(session) = occupant.session else { return };
    stanza.set_attribute("to", occupant.jid.as_str());
    out.push(Output::Stanza { session, stanza });
}

/// Status: this presence is the recipient's own.
const SELF: u16 = 110;
/// Status: real addresses are visible to all.
const NON_ANONYMOUS: u16 = 100;

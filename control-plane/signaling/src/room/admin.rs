//! Requests to a room and between its occupants: information, affiliations, removal, relayed IQs (XEP-0045 §8, §9).

use xmpp::jid::{BareJid, Jid};
use xmpp::{Element, ns, stanza};

use super::presence::Notice;
use super::{AFFILIATIONS_MAX, Affiliation, Clock, FOCUS_NICK, Output, Room, Sender, refuse};
use crate::stanza_error::{Refusal, is_request};

/// One thing that a `muc#admin` set asks for.
enum Change {
    Kick { nick: String, reason: Option<String> },
    Affiliate { jid: BareJid, affiliation: Affiliation, reason: Option<String> },
}

impl Room {
    /// An IQ to the room itself.
    pub fn iq(&mut self, sender: Sender<'_>, iq: &Element, clock: Clock, out: &mut Vec<Output>) {
        if !is_request(iq) {
            return;
        }
        match self.request(sender, iq, clock, out) {
            Ok(payload) => {
                let answer = stanza::iq_result(iq).attr("to", sender.jid.as_str()).with_all(payload);
                out.push(Output::Stanza { session: sender.session, stanza: answer });
            }
            Err(refusal) => refuse(sender, iq, refusal, out),
        }
    }

    /// An IQ to an occupant other than the focus: goes on under the sender's occupant address with its id.
    pub fn relay_iq(&self, sender: Sender<'_>, nick: &str, iq: &Element, out: &mut Vec<Output>) {
        let result = match (self.occupant_of(sender.session), self.occupant(nick)) {
            (None, _) => Err(Refusal::NotAnOccupant),
            (Some(from), Some(to)) if self.hears(to, from) => Ok(self.address(&from.nick)),
            (Some(_), _) => Err(Refusal::NoSuchOccupant),
        };
        match result {
            // Whoever asks whether it is still inside need not answer itself (XEP-0410 §3.2).
            Ok(_) if self.is_own_ping(sender, nick, iq) => {
                let answer = stanza::iq_result(iq).attr("to", sender.jid.as_str());
                out.push(Output::Stanza { session: sender.session, stanza: answer });
            }
            Ok(from) => self.deliver(nick, &from, iq.clone(), out),
            Err(refusal) => refuse(sender, iq, refusal, out),
        }
    }

    /// The server removes an occupant, as a moderator would.
    pub fn remove_occupant(&mut self, nick: &str, clock: Clock, out: &mut Vec<Output>) {
        self.kick(nick, None, None, clock, out);
    }

    fn is_own_ping(&self, sender: Sender<'_>, nick: &str, iq: &Element) -> bool {
        let is_own = self.occupant(nick).is_some_and(|occupant| occupant.session == Some(sender.session));
        is_own && is_request(iq) && iq.child("ping", ns::PING).is_some()
    }

    /// Gives the address behind an occupant an affiliation and tells everybody. `actor` is who did it.
    pub fn affiliate(
        &mut self,
        jid: &BareJid,
        affiliation: Affiliation,
        actor: Option<&str>,
        reason: Option<&str>,
        clock: Clock,
        out: &mut Vec<Output>,
    ) {
        if affiliation == Affiliation::None {
            self.affiliations.remove(jid);
        } else if self.affiliations.len() < AFFILIATIONS_MAX || self.affiliations.contains_key(jid) {
            self.affiliations.insert(jid.clone(), affiliation);
        }
        let by = actor.and_then(|actor| self.occupant(actor)).map(|actor| actor.features.clone());
        let mut at = 0;
        while let Some(occupant) = self.occupants.get_mut(at) {
            let affected = occupant.session.is_some() && occupant.jid.to_bare() == *jid;
            if !affected || occupant.affiliation == affiliation {
                at += 1;
                continue;
            }
            occupant.shown.take();
            let is_seen = occupant.affiliation.role() != affiliation.role();
            occupant.affiliated(affiliation, by.as_ref());
            if affiliation == Affiliation::Outcast {
                let notice = Notice { leaves: true, statuses: &[BANNED], actor, reason, ..Notice::default() };
                self.expel(at, notice, clock, out);
                continue;
            }
            let nick = occupant.nick.clone();
            // A lobby is switched on by making everybody present a member: in a room of hundreds that many presences
            // to that many people, of which no client shows anything.
            if is_seen {
                self.announce(at, out);
                out.push(Output::Changed { nick: nick.clone() });
            }
            if affiliation.is_moderator() {
                self.moderator_made(&nick, out);
            }
            at += 1;
        }
    }

    /// What `sender` is to this room.
    pub(super) fn affiliation_of(&self, sender: Sender<'_>) -> Affiliation {
        self.affiliation(&sender.jid.to_bare())
    }

    /// What the account `jid` is to this room, inside or not.
    pub fn affiliation(&self, jid: &BareJid) -> Affiliation {
        self.affiliations.get(jid).copied().unwrap_or_default()
    }

    fn request(
        &mut self,
        sender: Sender<'_>,
        iq: &Element,
        clock: Clock,
        out: &mut Vec<Output>,
    ) -> Result<Option<Element>, Refusal> {
        let payload = iq.children().next().ok_or(Refusal::Malformed)?;
        let is_get = stanza::kind(iq) == Some(stanza::Kind::Iq(stanza::IqType::Get));
        match (payload.name(), payload.ns()) {
            ("query", ns::DISCO_INFO) if is_get => {
                self.occupant_of(sender.session).ok_or(Refusal::Hidden)?;
                Ok(Some(self.info()))
            }
            ("query", ns::DISCO_ITEMS) if is_get => {
                self.occupant_of(sender.session).ok_or(Refusal::Hidden)?;
                Ok(Some(Element::new("query", ns::DISCO_ITEMS)))
            }
            ("ping", ns::PING) if is_get => Ok(None),
            ("query", ns::MUC_OWNER) => self.owner(sender, iq, payload, out).map(Some),
            ("query", ns::MUC_ADMIN) if is_get => self.list(sender, payload).map(Some),
            ("query", ns::MUC_ADMIN) => self.administer(sender, payload, clock, out).map(|()| None),
            _ => Err(Refusal::Unserved),
        }
    }

    /// Who has the affiliation that is asked for.
    fn list(&self, sender: Sender<'_>, query: &Element) -> Result<Element, Refusal> {
        self.moderator(sender)?;
        let asked = query.child("item", ns::MUC_ADMIN).and_then(|item| item.attribute("affiliation"));
        let asked = asked.and_then(Affiliation::parse).ok_or(Refusal::Malformed)?;
        let listed = self.affiliations.iter().filter(|(_, affiliation)| **affiliation == asked);
        let items = listed.map(|(jid, affiliation)| {
            Element::new("item", ns::MUC_ADMIN)
                .attr("affiliation", affiliation.name())
                .attr("jid", jid.as_str())
        });
        Ok(Element::new("query", ns::MUC_ADMIN).with_all(items))
    }

    /// All changes of a set, or none of them.
    fn administer(
        &mut self,
        sender: Sender<'_>,
        query: &Element,
        clock: Clock,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let actor = self.moderator(sender)?.nick.clone();
        let changes = query.children_named("item", ns::MUC_ADMIN).map(|item| self.change(item));
        let changes: Vec<Change> = changes.collect::<Result<_, _>>()?;
        if changes.is_empty() {
            return Err(Refusal::Malformed);
        }
        for change in changes {
            match change {
                Change::Kick { nick, reason } => {
                    self.note_denial(&nick, sender.session, out);
                    self.kick(&nick, Some(&actor), reason.as_deref(), clock, out);
                }
                Change::Affiliate { jid, affiliation, reason } => {
                    self.affiliate(&jid, affiliation, Some(&actor), reason.as_deref(), clock, out);
                }
            }
        }
        Ok(())
    }

    fn change(&self, item: &Element) -> Result<Change, Refusal> {
        let reason = item.child("reason", ns::MUC_ADMIN).map(Element::text);
        if reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
            return Err(Refusal::TooLarge);
        }
        if let Some(role) = item.attribute("role") {
            let nick = item.attribute("nick").ok_or(Refusal::Malformed)?.to_owned();
            if nick == FOCUS_NICK {
                return Err(Refusal::FocusIsProtected);
            }
            self.occupant(&nick).ok_or(Refusal::NoSuchOccupant)?;
            return if role == "none" { Ok(Change::Kick { nick, reason }) } else { Err(Refusal::NotBuilt) };
        }
        let affiliation =
            item.attribute("affiliation").and_then(Affiliation::parse).ok_or(Refusal::Malformed)?;
        let jid = item.attribute("jid").ok_or(Refusal::Malformed)?;
        let jid = Jid::new(jid).map_err(|_| Refusal::BadAddress)?.to_bare();
        if self.occupant(FOCUS_NICK).is_some_and(|focus| focus.jid.to_bare() == jid) {
            return Err(Refusal::FocusIsProtected);
        }
        Ok(Change::Affiliate { jid, affiliation, reason })
    }

    /// Removes an occupant; what it was to the room is forgotten, so that it comes back as anybody.
    fn kick(
        &mut self,
        nick: &str,
        actor: Option<&str>,
        reason: Option<&str>,
        clock: Clock,
        out: &mut Vec<Output>,
    ) {
        let Some(at) = self.position(nick) else { return };
        if let Some(occupant) = self.occupants.get_mut(at) {
            self.affiliations.remove(&occupant.jid.to_bare());
            occupant.affiliation = Affiliation::None;
        }
        let notice = Notice { leaves: true, statuses: &[KICKED], actor, reason, ..Notice::default() };
        self.expel(at, notice, clock, out);
    }

    fn expel(&mut self, at: usize, notice: Notice<'_>, clock: Clock, out: &mut Vec<Output>) {
        self.takes_leave(at, None, clock);
        self.remove(at, notice, clock, out);
    }
}

/// Status: banned.
const BANNED: u16 = 301;
/// Status: kicked.
const KICKED: u16 = 307;
/// Longest reason for a removal; everybody gets it.
const REASON_BYTES_MAX: usize = 1_024;

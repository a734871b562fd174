//! Lobbies: rooms before rooms. Their moderators are those of the main room; who is let in is told and made a member.

use contract::Timestamp;
use xmpp::jid::{BareJid, FullJid};
use xmpp::{Element, SessionId, ns};

use super::Signaling;
use crate::room::{self, Affiliation, Kind, Room};
use crate::stanza_error::Refusal;

impl Signaling {
    /// Whether `room` is the address of a lobby.
    pub(super) fn is_lobby(&self, room: &BareJid) -> bool {
        self.domains.is_lobby(room.domain().as_str())
    }

    /// Whether the room that the URL of `session` named has a lobby now.
    pub(super) fn query_room_has_lobby(&self, session: SessionId) -> bool {
        let address = self.query_room(session).map(|name| format!("{name}@{}", self.config.domains.muc));
        let room = address.and_then(|address| self.rooms.get(&self.room_address(&address)?));
        room.is_some_and(|room| room.lobby().is_some())
    }

    /// People wait before `main` from now on.
    pub(super) fn open_lobby(&mut self, main: &BareJid, now: Timestamp) {
        let Some(address) = self.lobby_of(main).filter(|address| !self.rooms.contains_key(address)) else {
            return;
        };
        let kind = Kind::Lobby { main: main.clone() };
        let lobby =
            Room::new(address.clone(), kind, String::new(), self.config.policy, self.domains.clone(), now);
        self.rooms.insert(address, lobby);
    }

    /// Nobody waits before `main` any more. `opened`: who waited may come in.
    pub(super) fn close_lobby(&mut self, main: &BareJid, opened: bool, now: Timestamp) {
        let Some(address) = self.lobby_of(main) else { return };
        let mut out = Vec::new();
        if let Some(lobby) = self.rooms.get_mut(&address) {
            lobby.destroy(Some("Lobby room closed."), opened.then_some(main.as_str()), &mut out);
        }
        self.apply(&address, out, now);
    }

    /// Makes `jid` in the lobby what it is in the main room.
    pub(super) fn mirror_into_lobby(&mut self, main: &BareJid, jid: &BareJid, now: Timestamp) {
        let Some(address) = self.lobby_of(main) else { return };
        let (clock, mut out) = (self.clock(now), Vec::new());
        let affiliation = self.rooms.get(main).map(|room| room.affiliation(jid)).unwrap_or_default();
        let affiliation = match affiliation {
            // Members need no lobby; if they come, they wait like anybody.
            Affiliation::Member => Affiliation::None,
            other => other,
        };
        if let Some(lobby) = self.rooms.get_mut(&address) {
            lobby.affiliate(jid, affiliation, None, None, clock, &mut out);
        }
        self.apply(&address, out, now);
    }

    /// A moderator lets people in (XEP-0045 §7.8.2): only those who wait, and only those hear of it.
    pub(super) fn invited(&mut self, session: SessionId, main: &BareJid, message: &Element, now: Timestamp) {
        if let Err(refusal) = self.let_in(session, main, message, now) {
            self.refuse(session, message, refusal);
        }
    }

    /// Somebody was turned away in the lobby of `main`.
    pub(super) fn denied(
        &mut self,
        main: &BareJid,
        occupant: &str,
        name: Option<&str>,
        by: SessionId,
        now: Timestamp,
    ) {
        let mut out = Vec::new();
        if let Some(room) = self.rooms.get(main)
            && let Some(moderator) = room.occupant_of(by)
        {
            room.notify_lobby("LOBBY-ACCESS-DENIED", occupant, name, &moderator.nick, &mut out);
        }
        self.apply(main, out, now);
    }

    fn let_in(
        &mut self,
        session: SessionId,
        main: &BareJid,
        message: &Element,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if self.moderated_meeting(session)? != *main {
            return Err(Refusal::NotAnOccupant);
        }
        let speaks_in = self.room_of(session).ok_or(Refusal::NotAnOccupant)?;
        let by = self.rooms.get(&speaks_in).and_then(|room| room.occupant_of(session));
        let by = by.ok_or(Refusal::NotAnOccupant)?.nick.clone();
        let x = message.child("x", ns::MUC_USER).ok_or(Refusal::Malformed)?;
        let lobby = self.lobby_of(main).ok_or(Refusal::NoSuchRoom)?;
        let mut found = 0;
        for invite in x.children_named("invite", ns::MUC_USER).take(INVITES_MAX) {
            let Some(jid) = invite.attribute("to").and_then(|to| FullJid::new(to).ok()) else { continue };
            let lobby = self.rooms.get(&lobby).ok_or(Refusal::NoSuchRoom)?;
            let Some(waiting) = lobby.occupants().iter().find(|occupant| occupant.jid == jid) else {
                continue;
            };
            let Some(to) = waiting.session else { continue };
            let (address, name) = (lobby.address(&waiting.nick), waiting.display_name());
            let room = self.rooms.get_mut(main).ok_or(Refusal::NoSuchRoom)?;
            room.make_member(&jid.to_bare());
            let from = room.address(&by);
            let mut out: Vec<room::Output> = Vec::new();
            room.notify_lobby("LOBBY-ACCESS-GRANTED", &address, name.as_deref(), &by, &mut out);
            self.deliver(to, &jid, invitation(main, &from, invite));
            self.apply(main, out, now);
            found += 1;
        }
        if found == 0 { Err(Refusal::NoSuchOccupant) } else { Ok(()) }
    }

    fn lobby_of(&self, main: &BareJid) -> Option<BareJid> {
        let domain = self.domains.lobby_of(main.domain().as_str())?;
        BareJid::new(&format!("{}@{domain}", main.node()?)).ok()
    }
}

/// What somebody who may come in is told. The room's password is not in it: members need none.
fn invitation(room: &BareJid, by: &str, asked: &Element) -> Element {
    let mut invite = Element::new("invite", ns::MUC_USER).attr("from", by);
    if let Some(reason) = asked.child("reason", ns::MUC_USER).map(Element::text) {
        let reason = reason.chars().take(REASON_CHARS_MAX).collect::<String>();
        invite.push(Element::new("reason", ns::MUC_USER).with_text(reason));
    }
    let x = Element::new("x", ns::MUC_USER).with(invite);
    Element::new("message", ns::JABBER_CLIENT).attr("from", room.as_str()).with(x)
}

/// People let in by one message.
const INVITES_MAX: usize = 500;
/// Longest reason that is passed on.
const REASON_CHARS_MAX: usize = 256;

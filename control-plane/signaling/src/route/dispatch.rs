//! Finds who a client's stanza is for (RFC 6120 §10) and answers what the server itself is asked.

use contract::Timestamp;
use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::{self, IqType, Kind};
use xmpp::{Element, SessionId, ns};

use super::entrance::Asker;
use super::{Output, ROOMS_PER_SESSION_MAX, Signaling};
use crate::focus::{ConferenceAnswer, ConferenceRequest};
use crate::room::{self, FOCUS_NICK};
use crate::stanza_error::Refusal;
use crate::{disco, external_services};

/// Properties of a conference request that are looked at.
const PROPERTIES_MAX: usize = 64;

impl Signaling {
    /// The room that `address` means ([`crate::Domains::room`]). `None` if it is no room here.
    pub fn room_address(&self, address: &str) -> Option<BareJid> {
        let room = self.domains.room(address)?;
        let is_ours = self.domains.is_muc(room.domain().as_str()) || self.breakouts.main(&room).is_some();
        is_ours.then_some(room)
    }

    /// A stanza from `session`. Its `from` becomes the session's address, whatever the client wrote.
    pub(super) fn stanza(&mut self, session: SessionId, mut stanza: Element, now: Timestamp) {
        let Some(entry) = self.sessions.get(&session) else { return };
        stanza.set_attribute("from", entry.jid.as_str());
        if stanza.name() == "presence" {
            self.vouch(session, &mut stanza);
        }
        let Some(kind) = stanza::kind(&stanza) else {
            // Only an IQ can be without kind; the RFC wants an answer to a wrong type as well.
            return self.send(session, stanza::error_answer(&stanza, Refusal::Malformed.element()));
        };
        let is_request = matches!(kind, Kind::Iq(IqType::Get | IqType::Set));
        if is_request && (stanza.attribute("id").is_none() || stanza.children().count() != 1) {
            return self.refuse(session, &stanza, Refusal::Malformed);
        }
        let Some(to) = stanza.attribute("to") else {
            return self.unaddressed(session, kind, &stanza, now);
        };
        let Ok(to) = Jid::new(to) else {
            return self.refuse(session, &stanza, Refusal::BadAddress);
        };
        stanza.set_attribute("to", to.as_str());
        let domain = to.domain().as_str();
        let domains = &self.config.domains;
        if domains.has_rooms(domain) && to.node().is_some() {
            return self.room_stanza(session, kind, &to, &stanza, now);
        }
        let is_service = to.node().is_none() && to.is_bare();
        match kind {
            Kind::Iq(_) if is_service && domains.is_host(domain) => self.server_iq(session, &stanza, now),
            Kind::Iq(_) if is_service && domain == domains.focus => self.focus_iq(session, &stanza, now),
            Kind::Iq(_) if is_service && domains.is_muc(domain) => {
                self.discovered(session, &stanza, disco::room_service());
            }
            Kind::Iq(_) if is_service && domains.is_lobby(domain) => {
                let info = disco::lobby_service(self.query_room_has_lobby(session));
                self.discovered(session, &stanza, info);
            }
            Kind::Iq(_) if is_service && domain == domains.breakout => {
                self.discovered(session, &stanza, disco::breakout_service());
            }
            Kind::Message if is_service && let Some(component) = domains.component(domain) => {
                self.command(session, component, &stanza, now);
            }
            // Presence outside of rooms is for contacts, which nobody has here.
            Kind::Presence => {}
            _ => self.refuse(session, &stanza, Refusal::Unserved),
        }
    }

    fn unaddressed(&mut self, session: SessionId, kind: Kind, stanza: &Element, now: Timestamp) {
        match kind {
            Kind::Iq(_) => self.server_iq(session, stanza, now),
            // Clients say goodbye to everybody at once when they disconnect.
            Kind::Presence if stanza.attribute("type") == Some("unavailable") => {
                self.leave_all(session, Some(stanza), now);
            }
            Kind::Presence => {}
            Kind::Message => self.refuse(session, stanza, Refusal::Unserved),
        }
    }

    fn server_iq(&mut self, session: SessionId, iq: &Element, now: Timestamp) {
        let Some(payload) = iq.children().next() else { return };
        let is_get = stanza::kind(iq) == Some(Kind::Iq(IqType::Get));
        let is_set = stanza::kind(iq) == Some(Kind::Iq(IqType::Set));
        let answer = match (payload.name(), payload.ns()) {
            ("ping", ns::PING) if is_get => None,
            ("query", ns::DISCO_INFO) if is_get => Some(disco::main_domain(&self.config.domains)),
            ("query", ns::DISCO_ITEMS) if is_get => Some(disco::items(&self.config.domains)),
            // Clients older than RFC 6121 ask for it once more (its appendix E).
            ("session", ns::SESSION) if is_set => None,
            ("services", ns::EXTDISCO_2 | ns::EXTDISCO_1) if is_get => Some(external_services::services(
                payload.ns(),
                self.config.turn.as_ref(),
                self.clock(now).unix_ms,
            )),
            _ => return self.refuse(session, iq, Refusal::Unserved),
        };
        self.send(session, stanza::iq_result(iq).with_all(answer));
    }

    fn focus_iq(&mut self, session: SessionId, iq: &Element, now: Timestamp) {
        let is_set = stanza::kind(iq) == Some(Kind::Iq(IqType::Set));
        if !is_set && let Some(asked) = iq.child("login-url", ns::FOCUS) {
            return self.login_url(session, iq, asked);
        }
        if !is_set {
            return self.discovered(session, iq, disco::focus());
        }
        if let Some(asked) = iq.child("logout", ns::FOCUS) {
            return self.logout(session, iq, asked);
        }
        let Some(conference) = iq.child("conference", ns::FOCUS) else {
            return self.refuse(session, iq, Refusal::Unserved);
        };
        let room = conference.attribute("room").and_then(|room| self.room_address(room));
        let Some(room) = room else {
            return self.refuse(session, iq, Refusal::Malformed);
        };
        let request = ConferenceRequest {
            room,
            machine_uid: conference.attribute("machine-uid").map(str::to_owned),
            session_id: conference.attribute("session-id").map(str::to_owned),
            properties: properties(conference),
        };
        match self.conference_for(&Asker::Session(session), &request, now) {
            Ok(answer) => {
                let answer = conference_element(&request.room, &answer);
                self.send(session, stanza::iq_result(iq).with(answer));
            }
            Err(refusal) => self.refuse(session, iq, refusal.into()),
        }
    }

    fn room_stanza(&mut self, session: SessionId, kind: Kind, to: &Jid, stanza: &Element, now: Timestamp) {
        let clock = self.clock(now);
        let address = to.to_bare();
        if self
            .rooms
            .get(&address)
            .is_some_and(|room| kind == Kind::Presence && room.starts_over(session, stanza))
        {
            self.leave_room(session, &address, None, now);
            // The room may be over now.
            self.obey_focus(now);
        }
        if kind == Kind::Presence && stanza.attribute("type").is_none() {
            let admitted = self.admit_by_credentials(session, &address, now);
            if let Err(refusal) = admitted.and_then(|()| self.prepare_join(session, &address, now)) {
                return self.refuse(session, stanza, refusal);
            }
        } else if kind == Kind::Message && to.resource().is_none() && is_invitation(stanza) {
            return self.invited(session, &address, stanza, now);
        }
        let Some(entry) = self.sessions.get(&session) else { return };
        let sender = entry.sender(session);
        let Some(room) = self.rooms.get_mut(&address) else {
            return match kind {
                Kind::Presence if stanza.attribute("type").is_none() => {
                    self.refuse(session, stanza, Refusal::CreationRestricted);
                }
                Kind::Presence => {}
                _ => self.refuse(session, stanza, Refusal::NoSuchRoom),
            };
        };
        let mut out = Vec::new();
        match (kind, to.resource()) {
            (Kind::Presence, _) => {
                let is_elsewhere =
                    entry.rooms.len() >= ROOMS_PER_SESSION_MAX && !entry.rooms.contains(&address);
                if is_elsewhere && stanza.attribute("type").is_none() {
                    return self.refuse(session, stanza, Refusal::ServerFull);
                }
                room.presence(sender, stanza, clock, &mut out);
            }
            (Kind::Message, _) => room.message(sender, stanza, clock, &mut out),
            (Kind::Iq(_), None) => room.iq(sender, stanza, clock, &mut out),
            (Kind::Iq(_), Some(nick)) if nick.as_str() == FOCUS_NICK => {
                return self.focus_occupant_iq(session, &address, stanza, now);
            }
            (Kind::Iq(_), Some(nick)) => room.relay_iq(sender, nick.as_str(), stanza, &mut out),
        }
        self.apply(&address, out, now);
    }

    /// Breakout rooms and lobbies take their moderators from the main room.
    fn prepare_join(&mut self, session: SessionId, address: &BareJid, now: Timestamp) -> Result<(), Refusal> {
        let Some(room) = self.rooms.get(address).filter(|room| room.occupant_of(session).is_none()) else {
            return Ok(());
        };
        match room.kind().clone() {
            room::Kind::Main => {}
            room::Kind::Breakout { .. } => self.admit_to_breakout(session, address, now)?,
            room::Kind::Lobby { main } => {
                if let Some(jid) = self.sessions.get(&session).map(|entry| entry.jid.to_bare()) {
                    self.mirror_into_lobby(&main, &jid, now);
                }
            }
        }
        Ok(())
    }

    /// An IQ to `room/focus`, from the sender's occupant address.
    fn focus_occupant_iq(&mut self, session: SessionId, room: &BareJid, iq: &Element, now: Timestamp) {
        let entry = self.rooms.get(room);
        let Some((entry, occupant)) = entry.and_then(|room| Some((room, room.occupant_of(session)?))) else {
            return self.refuse(session, iq, Refusal::NotAnOccupant);
        };
        let nick = occupant.nick.clone();
        let mut iq = iq.clone();
        iq.set_attribute("from", entry.address(&nick));
        if crate::stanza_error::is_request(&iq) {
            self.focus.iq(room, &nick, &iq, now);
        } else {
            self.focus.iq_answer(room, &nick, &iq, now);
        }
    }

    fn discovered(&mut self, session: SessionId, iq: &Element, info: Element) {
        let is_get = stanza::kind(iq) == Some(Kind::Iq(IqType::Get));
        if is_get && iq.child("query", ns::DISCO_ITEMS).is_some() {
            // Nobody is told which rooms there are.
            self.send(session, stanza::iq_result(iq).with(Element::new("query", ns::DISCO_ITEMS)));
        } else if is_get && iq.child("query", ns::DISCO_INFO).is_some() {
            let node = iq.child("query", ns::DISCO_INFO).and_then(|query| query.attribute("node"));
            self.send(session, stanza::iq_result(iq).with(info.attr_if("node", node)));
        } else {
            self.refuse(session, iq, Refusal::Unserved);
        }
    }

    pub(super) fn refuse(&mut self, session: SessionId, request: &Element, refusal: Refusal) {
        if let Some(answer) = refusal.answer(request) {
            self.count_refusal(&answer);
            self.send(session, answer);
        }
    }

    pub(super) fn send(&mut self, session: SessionId, mut stanza: Element) {
        let Some(entry) = self.sessions.get(&session) else { return };
        stanza.set_attribute("to", entry.jid.as_str());
        self.outputs.push_back(Output::Stanza { session, stanza });
    }
}

/// A moderator lets somebody in from the lobby; the message has no type or `normal`.
fn is_invitation(message: &Element) -> bool {
    let is_normal = matches!(message.attribute("type"), None | Some("normal"));
    is_normal && message.child("x", ns::MUC_USER).is_some_and(|x| x.child("invite", ns::MUC_USER).is_some())
}

fn properties(conference: &Element) -> Vec<(String, String)> {
    let properties = conference.children_named("property", ns::FOCUS).take(PROPERTIES_MAX);
    let pairs = properties.filter_map(|property| {
        Some((property.attribute("name")?.to_owned(), property.attribute("value")?.to_owned()))
    });
    pairs.collect()
}

fn conference_element(room: &BareJid, answer: &ConferenceAnswer) -> Element {
    let properties = answer.properties.iter().map(|(name, value)| {
        Element::new("property", ns::FOCUS).attr("name", name.as_str()).attr("value", value.as_str())
    });
    Element::new("conference", ns::FOCUS)
        .attr("room", room.as_str())
        .attr("ready", if answer.ready { "true" } else { "false" })
        .attr("focusjid", answer.focus_jid.as_str())
        .attr_if("session-id", answer.session_id.as_deref())
        .attr_if("identity", answer.identity.as_deref())
        .with_all(properties)
}

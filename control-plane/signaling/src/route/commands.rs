//! Commands to the services of a meeting. They come as messages to the service's address; whose they are and which
//! rooms they may be about is decided by where the sender's session is, never by what the stanza says.

use contract::Timestamp;
use xmpp::jid::{BareJid, FullJid};
use xmpp::{Element, SessionId};

use super::{Output, Signaling};
use crate::domains::Component;
use crate::room::{self, Clock, Room, Sender};
use crate::stanza_error::Refusal;

impl Signaling {
    /// A message to the address of a service. Commands are not answered unless they are refused.
    pub(super) fn command(
        &mut self,
        session: SessionId,
        component: Component,
        message: &Element,
        now: Timestamp,
    ) {
        if message.attribute("type") == Some("error") {
            return;
        }
        let result = match component {
            Component::AvModeration => self.with_payload(message, "av_moderation", |signaling, command| {
                let room = signaling.room_of(session);
                signaling
                    .in_room(session, room, now, |room, sender, _, out| room.moderate(sender, command, out))
            }),
            Component::Polls => {
                let room = self.room_of(session);
                self.in_room(session, room, now, |room, sender, _, out| room.poll(sender, message, out))
            }
            Component::Metadata => self.with_payload(message, "room_metadata", |signaling, command| {
                let room = named_room(command);
                signaling.in_room(session, room, now, |room, sender, _, out| {
                    room.set_metadata(sender, command, out)
                })
            }),
            Component::SpeakerStats => self.spoken(session, message, now),
            Component::EndConference => self.with_payload(message, "end_conference", |signaling, _| {
                let meeting = signaling.moderated_meeting(session)?;
                signaling.end_meeting(&meeting, "The meeting has been terminated", now);
                Ok(())
            }),
            Component::BreakoutRooms => self.with_payload(message, "breakout_rooms", |signaling, command| {
                signaling.breakout_command(session, command, now)
            }),
        };
        if let Err(refusal) = result {
            self.refuse(session, message, refusal);
        }
    }

    /// The room that `session` speaks in: of several the one that its URL named, else the last that it joined.
    pub(super) fn room_of(&self, session: SessionId) -> Option<BareJid> {
        let entry = self.sessions.get(&session)?;
        let is_named = |room: &&BareJid| {
            let asked = entry.query_room.as_deref();
            room.node().zip(asked).is_some_and(|(node, asked)| node.as_str().eq_ignore_ascii_case(asked))
        };
        let mut rooms = entry.rooms.iter().filter(|room| !self.is_lobby(room));
        rooms.clone().find(is_named).or_else(|| rooms.next_back()).cloned()
    }

    /// The main room of the meeting that `session` moderates, be it in a breakout room of it.
    pub(super) fn moderated_meeting(&self, session: SessionId) -> Result<BareJid, Refusal> {
        let address = self.room_of(session).ok_or(Refusal::NotAnOccupant)?;
        let room = self.rooms.get(&address).ok_or(Refusal::NoSuchRoom)?;
        let occupant = room.occupant_of(session).ok_or(Refusal::NotAnOccupant)?;
        if !occupant.is_moderator() {
            return Err(Refusal::NotAModerator);
        }
        Ok(self.breakouts.main(&address).cloned().unwrap_or(address))
    }

    /// Ends a meeting with all of its rooms.
    pub(super) fn end_meeting(&mut self, main: &BareJid, reason: &str, now: Timestamp) {
        self.end_meeting_at(main, reason, None, now);
    }

    /// The same; clients go on in the room `alternative`.
    pub(super) fn end_meeting_at(
        &mut self,
        main: &BareJid,
        reason: &str,
        alternative: Option<&str>,
        now: Timestamp,
    ) {
        let mut out = Vec::new();
        if let Some(room) = self.rooms.get_mut(main) {
            room.destroy(Some(reason), alternative, &mut out);
        }
        self.apply(main, out, now);
        self.focus.keep(main, false, now);
    }

    /// Delivers `message` to the address `jid` of `session`.
    pub(super) fn deliver(&mut self, session: SessionId, jid: &FullJid, message: Element) {
        let stanza = message.attr("to", jid.as_str());
        self.outputs.push_back(Output::Stanza { session, stanza });
    }

    fn spoken(&mut self, session: SessionId, message: &Element, now: Timestamp) -> Result<(), Refusal> {
        let known = ["speakerstats", "faceLandmarks"];
        let report = message.children().find(|child| known.contains(&child.name()));
        let report = report.ok_or(Refusal::Malformed)?;
        let room = named_room(report);
        self.in_room(session, room, now, |room, sender, clock, _| room.speak(sender, report, clock))
    }

    fn with_payload(
        &mut self,
        message: &Element,
        name: &str,
        serve: impl FnOnce(&mut Signaling, &Element) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let payload = message.children().find(|child| child.name() == name).ok_or(Refusal::Malformed)?;
        serve(self, payload)
    }

    fn in_room(
        &mut self,
        session: SessionId,
        address: Option<BareJid>,
        now: Timestamp,
        serve: impl FnOnce(&mut Room, Sender<'_>, Clock, &mut Vec<room::Output>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let address = address.ok_or(Refusal::NotAnOccupant)?;
        let clock = self.clock(now);
        let entry = self.sessions.get(&session).ok_or(Refusal::NotAnOccupant)?;
        let is_lobby = self.is_lobby(&address);
        let room = self.rooms.get_mut(&address).filter(|_| !is_lobby).ok_or(Refusal::NoSuchRoom)?;
        let mut out = Vec::new();
        serve(room, entry.sender(session), clock, &mut out)?;
        self.apply(&address, out, now);
        Ok(())
    }
}

/// The room that a command names. Naming one gives no rights in it: the sender must be inside.
fn named_room(command: &Element) -> Option<BareJid> {
    BareJid::new(command.attribute("room")?).ok()
}

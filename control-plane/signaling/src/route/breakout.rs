//! Breakout rooms: conferences of their own that belong to a main room, whose moderators moderate them too.

use contract::Timestamp;
use serde_json::{Map, Value, json};
use xmpp::jid::{BareJid, FullJid};
use xmpp::{Element, SessionId};

use super::Signaling;
use crate::room::{Affiliation, Kind, Room};
use crate::services::breakout_rooms::Due;
use crate::services::json;
use crate::stanza_error::Refusal;

impl Signaling {
    /// `<breakout_rooms/>` from a moderator of the meeting.
    pub(super) fn breakout_command(
        &mut self,
        session: SessionId,
        command: &Element,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let main = self.moderated_meeting(session)?;
        let subject = command.attribute("subject").unwrap_or_default();
        let kind = command.attribute("type").and_then(|kind| kind.strip_prefix(EVENTS));
        match kind {
            Some("add") => self.add_breakout(&main, subject, now)?,
            Some("remove") => self.remove_breakout(&main, &address(command, "breakoutRoomJid")?, now)?,
            Some("rename") => {
                let room = address(command, "breakoutRoomJid")?;
                self.breakouts.rename(&main, &room, subject)?;
                let mut out = Vec::new();
                if let Some(open) = self.rooms.get_mut(&room) {
                    open.name(subject, &mut out);
                }
                self.apply(&room, out, now);
            }
            Some("move-to-room") => return self.send_to_room(&main, command),
            _ => return Err(Refusal::Malformed),
        }
        self.breakouts_changed(&main, now);
        Ok(())
    }

    /// Whether `session` may come into the breakout room `room`; if so it becomes there what it is in the main room.
    pub(super) fn admit_to_breakout(
        &mut self,
        session: SessionId,
        room: &BareJid,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let main = self.breakouts.main(room).ok_or(Refusal::NoSuchRoom)?.clone();
        let entry = self.sessions.get(&session).filter(|entry| entry.main.as_ref() == Some(&main));
        let jid = entry.ok_or(Refusal::NotFromMainRoom)?.jid.to_bare();
        let affiliation = self.rooms.get(&main).map(|main| main.affiliation(&jid)).unwrap_or_default();
        let affiliation = if affiliation.is_moderator() { Affiliation::Owner } else { Affiliation::None };
        let (clock, mut out) = (self.clock(now), Vec::new());
        if let Some(room) = self.rooms.get_mut(room) {
            room.affiliate(&jid, affiliation, None, None, clock, &mut out);
        }
        self.apply(room, out, now);
        Ok(())
    }

    /// Somebody came, went or changed in `room`: if it belongs to a meeting with breakout rooms, all are told soon.
    pub(super) fn breakouts_changed(&mut self, room: &BareJid, now: Timestamp) {
        let main = self.breakouts.main(room).unwrap_or(room).clone();
        if self.breakouts.is_active(&main) {
            let people = self.rooms_of(&main).map(|(room, _)| room.participant_count()).sum();
            self.breakouts.changed(&main, people, now);
        }
    }

    /// Tells and closes what is due.
    pub(super) fn breakouts_due(&mut self, now: Timestamp) {
        while let Some(due) = self.breakouts.take_due(now) {
            match due {
                Due::Announce(main) => self.announce_breakouts(&main, now),
                Due::Close(main) => self.end_meeting(&main, "All occupants left.", now),
            }
        }
    }

    /// The main room `main` is over, and so are its breakout rooms.
    pub(super) fn close_breakouts(&mut self, main: &BareJid, now: Timestamp) {
        for room in self.breakouts.close(main) {
            let mut out = Vec::new();
            if let Some(open) = self.rooms.get_mut(&room) {
                open.destroy(Some("The meeting has been terminated"), None, &mut out);
            }
            self.apply(&room, out, now);
        }
    }

    fn add_breakout(&mut self, main: &BareJid, subject: &str, now: Timestamp) -> Result<(), Refusal> {
        let name = format!("{}@{}", self.meeting_ids.next(), self.config.domains.breakout);
        let room = BareJid::new(&name).map_err(|_| Refusal::BadAddress)?;
        self.breakouts.add(main, room, subject)?;
        // The main room stays while people are in its breakout rooms.
        self.focus.keep(main, true, now);
        Ok(())
    }

    fn remove_breakout(&mut self, main: &BareJid, room: &BareJid, now: Timestamp) -> Result<(), Refusal> {
        self.breakouts.remove(main, room)?;
        let mut out = Vec::new();
        if let Some(open) = self.rooms.get_mut(room) {
            open.destroy(Some("Breakout room removed."), Some(main.as_str()), &mut out);
        }
        self.apply(room, out, now);
        Ok(())
    }

    /// Asks somebody in the meeting to go to another of its rooms.
    fn send_to_room(&mut self, main: &BareJid, command: &Element) -> Result<(), Refusal> {
        let target = address(command, "roomJid")?;
        if target != *main && self.breakouts.main(&target) != Some(main) {
            return Err(Refusal::NoSuchRoom);
        }
        let jid = command.attribute("participantJid").ok_or(Refusal::Malformed)?;
        let jid = FullJid::new(jid).map_err(|_| Refusal::BadAddress)?;
        let mut occupants = self.rooms_of(main).flat_map(|(room, _)| room.occupants());
        let session = occupants.find(|occupant| occupant.jid == jid).and_then(|occupant| occupant.session);
        let session = session.ok_or(Refusal::NoSuchOccupant)?;
        drop(occupants);
        let event = format!("{EVENTS}move-to-room");
        let told = json!({ "type": TYPE, "event": event, "roomJid": target.as_str() });
        let message = json::message(&self.config.domains.breakout, None, &told);
        self.deliver(session, &jid, message);
        Ok(())
    }

    /// Tells everybody in the meeting which rooms there are and who is where.
    fn announce_breakouts(&mut self, main: &BareJid, now: Timestamp) {
        let Some(open) = self.rooms.get(main) else { return };
        let mut rooms = Map::new();
        let mut entry = described(main, &open.subject().unwrap_or_default(), Some(open));
        entry["isMainRoom"] = true.into();
        rooms.insert(name(main), entry);
        for (room, subject) in self.breakouts.rooms(main) {
            rooms.insert(name(room), described(room, subject, self.rooms.get(room)));
        }
        let told = json!({
            "type": TYPE, "event": format!("{EVENTS}update"),
            "roomCounter": self.breakouts.created(main), "rooms": rooms,
        });
        let message = json::message(&self.config.domains.breakout, None, &told);
        let addresses: Vec<BareJid> = self.rooms_of(main).map(|(_, address)| address.clone()).collect();
        for address in addresses {
            let mut out = Vec::new();
            if let Some(room) = self.rooms.get(&address) {
                room.broadcast(&message, &mut out);
            }
            self.apply(&address, out, now);
        }
    }

    /// The rooms of a meeting that are open, the main room first.
    fn rooms_of<'a>(&'a self, main: &'a BareJid) -> impl Iterator<Item = (&'a Room, &'a BareJid)> {
        let addresses = std::iter::once(main).chain(self.breakouts.rooms(main).map(|(room, _)| room));
        addresses.filter_map(|address| Some((self.rooms.get(address)?, address)))
    }

    /// What a room at `address` is for.
    pub(super) fn kind_of(&self, address: &BareJid) -> Kind {
        self.breakouts.main(address).map_or(Kind::Main, |main| Kind::Breakout { main: main.clone() })
    }

    /// The name of the breakout room at `address`.
    pub(super) fn breakout_name(&self, address: &BareJid) -> Option<String> {
        let main = self.breakouts.main(address)?;
        let mut rooms = self.breakouts.rooms(main);
        rooms.find(|(room, _)| *room == address).map(|(_, name)| name.to_owned())
    }
}

/// One room as clients read it, with those who are inside if it is open.
fn described(address: &BareJid, subject: &str, open: Option<&Room>) -> Value {
    let occupants = open.into_iter().flat_map(|room| room.occupants().iter().map(move |it| (room, it)));
    let participants =
        occupants.filter(|(_, occupant)| occupant.session.is_some()).map(|(room, occupant)| {
            let mut told = json!({ "jid": occupant.jid.as_str(), "role": occupant.affiliation.role() });
            if let Some(name) = occupant.display_name() {
                told["displayName"] = name.into();
            }
            (room.address(&occupant.nick), told)
        });
    let participants: Map<String, Value> = participants.collect();
    json!({ "id": name(address), "jid": address.as_str(), "name": subject, "participants": participants })
}

fn name(room: &BareJid) -> String {
    room.node().map(|node| node.to_string()).unwrap_or_default()
}

fn address(command: &Element, attribute: &str) -> Result<BareJid, Refusal> {
    BareJid::new(command.attribute(attribute).ok_or(Refusal::Malformed)?).map_err(|_| Refusal::BadAddress)
}

/// The `type` of its messages.
const TYPE: &str = "breakout_rooms";
/// What the names of commands and events start with.
const EVENTS: &str = "features/breakout-rooms/";

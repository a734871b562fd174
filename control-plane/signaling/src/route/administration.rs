//! What operators' programs ask about rooms and do to them from outside: sizes, who is inside, end, removal. The answers
//! are those of the existing server's HTTP modules.

use contract::Timestamp;
use xmpp::jid::BareJid;

use super::Signaling;
use crate::room::{FOCUS_NICK, Room};

/// A room as a census lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomCount {
    /// The room.
    pub room: BareJid,
    /// Participants, the focus not counted.
    pub participants: usize,
    /// Milliseconds since 1970 of the first join, once there was one.
    pub created_unix_ms: Option<u64>,
}

/// Somebody in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The address in the room.
    pub address: String,
    /// The display name; empty if there is none.
    pub name: String,
    /// The mail address that the client tells everybody; empty if it tells none.
    pub email: String,
}

/// What is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// No such room.
    #[error("there is no such room")]
    Room,
    /// Nobody of that id in the room.
    #[error("there is no such participant in the room")]
    Participant,
}

impl Signaling {
    /// All meetings, breakout rooms and lobbies not counted, in the order of their names.
    pub fn census(&self) -> Vec<RoomCount> {
        let meetings = self.rooms.values().filter(|room| self.domains.is_muc(room.jid().domain().as_str()));
        let mut counts: Vec<RoomCount> = meetings
            .map(|room| RoomCount {
                room: room.jid().clone(),
                participants: room.participant_count(),
                created_unix_ms: room.created_unix_ms(),
            })
            .collect();
        counts.sort_by(|one, other| one.room.cmp(&other.room));
        counts
    }

    /// Who is in `room`, in the order of coming.
    ///
    /// # Errors
    /// [`Missing::Room`].
    pub fn people(&self, room: &BareJid) -> Result<Vec<Person>, Missing> {
        let room = self.meeting(room)?;
        let people = room.occupants().iter().filter(|occupant| occupant.session.is_some());
        Ok(people
            .map(|occupant| Person {
                address: room.address(&occupant.nick),
                name: occupant.display_name().unwrap_or_default(),
                email: occupant.email().unwrap_or_default(),
            })
            .collect())
    }

    /// Ends the meeting in `room` with its breakout rooms. With `silently`, clients are sent back to the same room and
    /// say nothing to their users.
    ///
    /// # Errors
    /// [`Missing::Room`].
    pub fn end(&mut self, room: &BareJid, silently: bool, now: Timestamp) -> Result<(), Missing> {
        self.meeting(room)?;
        let again = silently.then(|| room.to_string());
        let reason = if silently { "The meeting starts again" } else { "The meeting was ended" };
        self.end_meeting_at(room, reason, again.as_deref(), now);
        self.obey_focus(now);
        Ok(())
    }

    /// Removes the participant with the endpoint id `nick` from `room`, as a moderator would.
    ///
    /// # Errors
    /// [`Missing`].
    pub fn remove(&mut self, room: &BareJid, nick: &str, now: Timestamp) -> Result<(), Missing> {
        let occupant = self.meeting(room)?.occupant(nick).filter(|occupant| occupant.nick != FOCUS_NICK);
        occupant.ok_or(Missing::Participant)?;
        let (clock, mut out) = (self.clock(now), Vec::new());
        if let Some(room) = self.rooms.get_mut(room) {
            room.remove_occupant(nick, clock, &mut out);
        }
        self.apply(room, out, now);
        self.obey_focus(now);
        Ok(())
    }

    fn meeting(&self, room: &BareJid) -> Result<&Room, Missing> {
        self.rooms
            .get(room)
            .filter(|room| self.domains.is_muc(room.jid().domain().as_str()))
            .ok_or(Missing::Room)
    }
}

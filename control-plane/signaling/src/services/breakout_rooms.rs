//! Breakout rooms: which belong to which main room, and when everybody is to be told or all of it is over.

use std::collections::{BTreeMap, HashMap};

use contract::{Duration, Timestamp};
use xmpp::jid::BareJid;

use crate::stanza_error::Refusal;

/// The breakout rooms of all main rooms. They exist here from their creation; as rooms only while somebody is inside.
#[derive(Debug, Default)]
pub(crate) struct BreakoutRooms {
    sets: HashMap<BareJid, Set>,
    mains: HashMap<BareJid, BareJid>,
}

/// Those of one main room.
#[derive(Debug)]
struct Set {
    names: BTreeMap<BareJid, String>,
    /// How many there ever were: clients number new ones by it.
    created: u32,
    announce_at: Timestamp,
    close_at: Timestamp,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Tell everybody in this main room and its breakout rooms who is where.
    Announce(BareJid),
    /// Nobody is left: this main room is over.
    Close(BareJid),
}

impl BreakoutRooms {
    /// Makes a room of `main`.
    pub(crate) fn add(&mut self, main: &BareJid, room: BareJid, name: &str) -> Result<(), Refusal> {
        let name = checked(name)?;
        let set = self.sets.entry(main.clone()).or_insert_with(|| Set {
            names: BTreeMap::new(),
            created: 0,
            announce_at: Timestamp::NEVER,
            close_at: Timestamp::NEVER,
        });
        if set.names.len() >= ROOMS_MAX {
            return Err(Refusal::TooMany);
        }
        set.created = set.created.saturating_add(1);
        set.names.insert(room.clone(), name.to_owned());
        self.mains.insert(room, main.clone());
        Ok(())
    }

    /// Renames a room of `main`.
    pub(crate) fn rename(&mut self, main: &BareJid, room: &BareJid, name: &str) -> Result<(), Refusal> {
        let name = checked(name)?;
        let known = self.sets.get_mut(main).and_then(|set| set.names.get_mut(room));
        known.ok_or(Refusal::NoSuchRoom)?.replace_range(.., name);
        Ok(())
    }

    /// Forgets a room of `main`.
    pub(crate) fn remove(&mut self, main: &BareJid, room: &BareJid) -> Result<(), Refusal> {
        let set = self.sets.get_mut(main).ok_or(Refusal::NoSuchRoom)?;
        set.names.remove(room).ok_or(Refusal::NoSuchRoom)?;
        self.mains.remove(room);
        Ok(())
    }

    /// Forgets everything about `main`; the rooms that it had.
    pub(crate) fn close(&mut self, main: &BareJid) -> Vec<BareJid> {
        let rooms: Vec<BareJid> = self.rooms(main).map(|(room, _)| room.clone()).collect();
        self.sets.remove(main);
        rooms.iter().for_each(|room| {
            self.mains.remove(room);
        });
        rooms
    }

    /// The main room of the breakout room `room`.
    pub(crate) fn main(&self, room: &BareJid) -> Option<&BareJid> {
        self.mains.get(room)
    }

    /// The rooms of `main` with their names.
    pub(crate) fn rooms(&self, main: &BareJid) -> impl Iterator<Item = (&BareJid, &str)> {
        let names = self.sets.get(main).into_iter().flat_map(|set| &set.names);
        names.map(|(room, name)| (room, name.as_str()))
    }

    /// Whether `main` has or had breakout rooms.
    pub(crate) fn is_active(&self, main: &BareJid) -> bool {
        self.sets.contains_key(main)
    }

    /// How many rooms of `main` there ever were.
    pub(crate) fn created(&self, main: &BareJid) -> u32 {
        self.sets.get(main).map_or(0, |set| set.created)
    }

    /// Something changed in `main`, where `people` are: everybody is told soon, so that many changes are told at once.
    pub(crate) fn changed(&mut self, main: &BareJid, people: usize, now: Timestamp) {
        let Some(set) = self.sets.get_mut(main) else { return };
        // Everybody is told about everybody, so large meetings are told less often.
        let people = u32::try_from(people).unwrap_or(u32::MAX);
        let wait = ANNOUNCE_AFTER.max(ANNOUNCE_AFTER_PER_PERSON.saturating_mul(people));
        set.announce_at = set.announce_at.min(now.after(wait));
        set.close_at = if people == 0 { set.close_at.min(now.after(CLOSE_AFTER)) } else { Timestamp::NEVER };
    }

    /// When [`BreakoutRooms::take_due`] has something.
    pub(crate) fn poll_timeout(&self) -> Timestamp {
        let next = |set: &Set| set.announce_at.min(set.close_at);
        self.sets.values().map(next).min().unwrap_or(Timestamp::NEVER)
    }

    /// One thing that is due.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<Due> {
        let (main, set) = self.sets.iter_mut().find(|(_, set)| set.announce_at.min(set.close_at) <= now)?;
        if set.announce_at <= now {
            set.announce_at = Timestamp::NEVER;
            return Some(Due::Announce(main.clone()));
        }
        set.close_at = Timestamp::NEVER;
        Some(Due::Close(main.clone()))
    }
}

fn checked(name: &str) -> Result<&str, Refusal> {
    if name.len() > NAME_BYTES_MAX { Err(Refusal::TooLarge) } else { Ok(name) }
}

/// Breakout rooms of one main room.
const ROOMS_MAX: usize = 100;
/// Longest name of a breakout room.
const NAME_BYTES_MAX: usize = 256;
/// How long changes are collected before everybody is told, as the existing service has it.
const ANNOUNCE_AFTER: Duration = Duration::from_millis(300);
const ANNOUNCE_AFTER_PER_PERSON: Duration = Duration::from_millis(5);
/// How long a main room and its breakout rooms stay after everybody left.
const CLOSE_AFTER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> BareJid {
        BareJid::new(text).expect("an address")
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_room_belongs_to_one_main_room_and_only_that_one_changes_it() {
        let (ours, theirs, room) = (jid("a@c"), jid("b@c"), jid("r@b"));
        let mut rooms = BreakoutRooms::default();
        rooms.add(&ours, room.clone(), "Team 1").unwrap();
        rooms.add(&theirs, jid("s@b"), "Team 1").unwrap();
        assert_eq!(rooms.main(&room), Some(&ours));
        assert_eq!(rooms.rename(&theirs, &room, "x"), Err(Refusal::NoSuchRoom));
        assert_eq!(rooms.remove(&theirs, &room), Err(Refusal::NoSuchRoom));
        rooms.rename(&ours, &room, "Red").unwrap();
        assert_eq!(rooms.rooms(&ours).map(|(_, name)| name).collect::<Vec<_>>(), ["Red"]);
        rooms.remove(&ours, &room).unwrap();
        assert_eq!((rooms.main(&room), rooms.created(&ours)), (None, 1));
        assert_eq!(rooms.close(&theirs), [jid("s@b")]);
        assert_eq!(rooms.main(&jid("s@b")), None);
    }

    #[test]
    fn changes_are_told_together_and_an_empty_meeting_closes() {
        let main = jid("a@c");
        let mut rooms = BreakoutRooms::default();
        rooms.changed(&main, 5, at(0));
        assert_eq!(rooms.poll_timeout(), Timestamp::NEVER, "without breakout rooms nobody is told");
        rooms.add(&main, jid("r@b"), "Team 1").unwrap();
        rooms.changed(&main, 5, at(0));
        rooms.changed(&main, 5, at(200));
        assert_eq!(rooms.take_due(at(299)), None);
        assert_eq!(rooms.take_due(at(300)), Some(Due::Announce(main.clone())));
        rooms.changed(&main, 0, at(1_000));
        assert_eq!(rooms.take_due(at(1_300)), Some(Due::Announce(main.clone())));
        rooms.changed(&main, 1, at(3_000));
        assert_eq!(rooms.take_due(at(9_000)), Some(Due::Announce(main.clone())), "somebody came back");
        rooms.changed(&main, 0, at(10_000));
        assert_eq!(rooms.take_due(at(10_300)), Some(Due::Announce(main.clone())));
        assert_eq!(rooms.take_due(at(15_000)), Some(Due::Close(main)));
    }

    #[test]
    fn rooms_and_names_are_limited() {
        let (main, mut rooms) = (jid("a@c"), BreakoutRooms::default());
        assert!((0..ROOMS_MAX).all(|i| rooms.add(&main, jid(&format!("r{i}@b")), "x").is_ok()));
        assert_eq!(rooms.add(&main, jid("more@b"), "x"), Err(Refusal::TooMany));
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(rooms.rename(&main, &jid("r1@b"), &long), Err(Refusal::TooLarge));
    }
}

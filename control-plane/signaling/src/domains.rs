//! The addresses of this server: where clients log in, where rooms are, and which service answers where.

use xmpp::jid::{BareJid, Jid};

/// The addresses of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domains {
    /// Where clients log in, such as `meet.example`.
    pub main: String,
    /// Where rooms are, such as `conference.meet.example`.
    pub muc: String,
    /// Where conference requests go, such as `focus.meet.example`.
    pub focus: String,
    /// Where people wait to be let in, such as `lobby.meet.example`.
    pub lobby: String,
    /// Where breakout rooms are, such as `breakout.meet.example`.
    pub breakout: String,
    /// Who spoke for how long.
    pub speaker_stats: String,
    /// Who may unmute.
    pub av_moderation: String,
    /// Ends a meeting for all.
    pub end_conference: String,
    /// What everybody in a room shares as JSON.
    pub metadata: String,
    /// Polls.
    pub polls: String,
    /// Tells clients that the room's form says since when the meeting runs; takes no stanzas.
    pub conference_duration: String,
}

/// A service that takes commands in messages to its bare address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// [`Domains::speaker_stats`].
    SpeakerStats,
    /// [`Domains::av_moderation`].
    AvModeration,
    /// [`Domains::end_conference`].
    EndConference,
    /// [`Domains::metadata`].
    Metadata,
    /// [`Domains::polls`].
    Polls,
    /// [`Domains::breakout`].
    BreakoutRooms,
}

impl Domains {
    /// The usual addresses under `main`, in the form that addresses in stanzas are compared in.
    pub fn of(main: &str) -> Domains {
        let main = main.to_ascii_lowercase();
        let under = |name: &str| format!("{name}.{main}");
        Domains {
            muc: under("conference"),
            focus: under("focus"),
            lobby: under("lobby"),
            breakout: under("breakout"),
            speaker_stats: under("speakerstats"),
            av_moderation: under("avmoderation"),
            end_conference: under("endconference"),
            metadata: under("metadata"),
            polls: under("polls"),
            conference_duration: under("conferenceduration"),
            main,
        }
    }

    /// Where the rooms of one of several tenants are: `conference.acme.meet.example`.
    pub fn muc_of(&self, tenant: &str) -> String {
        format!("conference.{tenant}.{}", self.main)
    }

    /// Whether rooms are at `domain`: those of a tenant or of nobody in particular. A tenant's rooms need no tenant to be
    /// registered; the name keeps them apart from those of others.
    pub fn is_muc(&self, domain: &str) -> bool {
        domain == self.muc || self.is_of_tenant(domain, "conference.")
    }

    /// The room or breakout room that `address` means: the one place where names of rooms are normalised, before anything is
    /// looked up (RFC 7622 §3.3: case and width are folded). `None` if no room here can have this address.
    pub fn room(&self, address: &str) -> Option<BareJid> {
        let room = Jid::new(address).ok().filter(Jid::is_bare)?.into_bare();
        let (name, domain) = (room.node()?.as_str(), room.domain().as_str());
        let is_name = name.len() <= ROOM_NAME_BYTES_MAX && !name.starts_with(HEALTH_CHECK_PREFIX);
        (is_name && (self.is_muc(domain) || domain == self.breakout)).then_some(room)
    }

    /// Whether lobbies are at `domain`, which is a tenant's as that of its rooms is.
    pub fn is_lobby(&self, domain: &str) -> bool {
        domain == self.lobby || self.is_of_tenant(domain, "lobby.")
    }

    /// Where the lobbies of the rooms at `muc` are.
    pub fn lobby_of(&self, muc: &str) -> Option<String> {
        if muc == self.muc {
            return Some(self.lobby.clone());
        }
        self.is_muc(muc).then(|| muc.replacen("conference.", "lobby.", 1))
    }

    /// Whether clients sign in at `domain`, as guests or otherwise: they ask it for what the whole server offers.
    pub fn is_host(&self, domain: &str) -> bool {
        domain.strip_prefix("guest.").unwrap_or(domain) == self.main
    }

    /// Whether rooms of any kind live at `domain`.
    pub fn has_rooms(&self, domain: &str) -> bool {
        domain == self.breakout || self.is_muc(domain) || self.is_lobby(domain)
    }

    fn is_of_tenant(&self, domain: &str, service: &str) -> bool {
        let tenant = || domain.strip_prefix(service)?.strip_suffix(self.main.as_str())?.strip_suffix('.');
        tenant().is_some_and(|tenant| !tenant.is_empty() && !tenant.contains('.'))
    }

    /// The service at `domain`.
    pub fn component(&self, domain: &str) -> Option<Component> {
        let table = [
            (&self.speaker_stats, Component::SpeakerStats),
            (&self.av_moderation, Component::AvModeration),
            (&self.end_conference, Component::EndConference),
            (&self.metadata, Component::Metadata),
            (&self.polls, Component::Polls),
            (&self.breakout, Component::BreakoutRooms),
        ];
        table.into_iter().find(|(address, _)| *address == domain).map(|(_, component)| component)
    }

    /// The identities by which clients find the services: type and address. Clients look at nothing else, and take
    /// messages from no other address.
    pub(crate) fn identities(&self) -> [(&'static str, &str); 8] {
        [
            ("speakerstats", &self.speaker_stats),
            ("conference_duration", &self.conference_duration),
            ("lobbyrooms", &self.lobby),
            ("breakout_rooms", &self.breakout),
            ("av_moderation", &self.av_moderation),
            ("end_conference", &self.end_conference),
            ("room_metadata", &self.metadata),
            ("polls", &self.polls),
        ]
    }
}

/// Longest room name; names are percent-encoded, so that a character may take nine bytes.
const ROOM_NAME_BYTES_MAX: usize = 512;
/// Rooms that focus implementations try each other's health with.
const HEALTH_CHECK_PREFIX: &str = "__jicofo-health-check";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn room(name: &str) -> Option<String> {
        let room = Domains::of("meet.example").room(&format!("{name}@conference.meet.example"))?;
        room.node().map(|name| name.as_str().to_owned())
    }

    /// The same letters as East Asian type sets have them, U+FF01 to U+FF5E.
    fn wide(name: &str) -> String {
        let widened = |c: char| char::from_u32(u32::from(c) + 0xFEE0).filter(|_| ('!'..='~').contains(&c));
        name.chars().map(|c| widened(c).unwrap_or(c)).collect()
    }

    #[test]
    fn names_that_look_alike_are_one_room_or_clearly_another() {
        let rows = [
            ("StandUp", Some("standup")),
            ("ＳtandUp", Some("standup")),
            ("Straße", Some("strasse")),
            ("CAFÉ", Some("café")),
            ("cafe\u{301}", Some("café")),
            // What pages make of it; they decode nothing on the way here.
            ("caf%C3%A9", Some("caf%c3%a9")),
            ("%53tandup", Some("%53tandup")),
            // A Cyrillic letter is another letter.
            ("st\u{430}ndup", Some("st\u{430}ndup")),
            ("stand\u{ad}up", Some("standup")),
            ("", None),
            ("stand up", None),
            ("stand/up", None),
            ("stand@up", None),
            ("stand\u{0}up", None),
            ("stand\u{202e}up", None),
            ("__jicofo-health-check", None),
            ("__JICOFO-health-CHECK-7", None),
            ("＿＿jicofo-health-check-7", None),
            ("__jicofo\u{ad}-health-check", None),
        ];
        for (name, expected) in rows {
            assert_eq!(room(name).as_deref(), expected, "{name:?}");
        }
        assert_eq!(room(&"x".repeat(ROOM_NAME_BYTES_MAX)), Some("x".repeat(ROOM_NAME_BYTES_MAX)));
        assert_eq!(room(&"x".repeat(ROOM_NAME_BYTES_MAX + 1)), None);
    }

    #[test]
    fn rooms_are_at_the_domains_of_rooms() {
        let rows = [
            ("a@conference.meet.example", true),
            ("a@CONFERENCE.Meet.Example", true),
            ("a@conference.acme.meet.example", true),
            ("a@breakout.meet.example", true),
            ("a@lobby.meet.example", false),
            ("a@meet.example", false),
            ("a@conference.a.b.meet.example", false),
            ("a@conference.meet.example.evil", false),
            ("a@conference.meet.example/nick", false),
            ("conference.meet.example", false),
        ];
        for (address, is_room) in rows {
            assert_eq!(Domains::of("meet.example").room(address).is_some(), is_room, "{address}");
        }
    }

    proptest! {
        #[test]
        fn a_name_means_the_same_room_in_every_case_and_width_and_when_said_again(name in "[!-~]{1,24}") {
            let meant = room(&name);
            prop_assert_eq!(&room(&name.to_ascii_uppercase()), &meant);
            prop_assert_eq!(&room(&wide(&name)), &meant);
            prop_assert_eq!(meant.as_deref().and_then(room), meant);
        }

        #[test]
        fn whatever_is_said_a_room_s_name_is_its_own_normal_form(name in any::<String>()) {
            if let Some(meant) = room(&name) {
                prop_assert!(!meant.starts_with(HEALTH_CHECK_PREFIX) && meant.len() <= ROOM_NAME_BYTES_MAX);
                prop_assert_eq!(room(&meant), Some(meant));
            }
        }
    }
}

//! The addresses of this server: where clients log in, where rooms are, and which service answers where.

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

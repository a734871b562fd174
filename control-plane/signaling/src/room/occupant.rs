//! Who is in a room, and with which rights (XEP-0045 §5).

use std::sync::OnceLock;

use xmpp::jid::FullJid;
use xmpp::{Element, Recipient, SessionId, Shared, ns};

use super::permissions::Features;

/// What someone is to a room, in it or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affiliation {
    /// May do everything; a moderator while inside.
    Owner,
    /// A moderator while inside.
    Admin,
    /// Known to the room.
    Member,
    /// Nothing.
    #[default]
    None,
    /// May not come in.
    Outcast,
}

impl Affiliation {
    /// Reads the attribute value.
    pub fn parse(text: &str) -> Option<Affiliation> {
        match text {
            "owner" => Some(Affiliation::Owner),
            "admin" => Some(Affiliation::Admin),
            "member" => Some(Affiliation::Member),
            "none" => Some(Affiliation::None),
            "outcast" => Some(Affiliation::Outcast),
            _ => None,
        }
    }

    /// The attribute value.
    pub fn name(self) -> &'static str {
        match self {
            Affiliation::Owner => "owner",
            Affiliation::Admin => "admin",
            Affiliation::Member => "member",
            Affiliation::None => "none",
            Affiliation::Outcast => "outcast",
        }
    }

    /// Whether it makes a moderator.
    pub fn is_moderator(self) -> bool {
        matches!(self, Affiliation::Owner | Affiliation::Admin)
    }

    /// The role of an occupant with this affiliation.
    pub fn role(self) -> &'static str {
        match self {
            Affiliation::Owner | Affiliation::Admin => "moderator",
            Affiliation::Member | Affiliation::None => "participant",
            Affiliation::Outcast => "none",
        }
    }
}

/// Someone in a room.
#[derive(Clone, Debug)]
pub struct Occupant {
    /// Nickname: the resource of the occupant's address and its endpoint id.
    pub nick: String,
    /// The address behind it, visible to all.
    pub jid: FullJid,
    /// Where its stanzas go; the focus has none.
    pub session: Option<SessionId>,
    /// The last full presence: what the client sent, without addresses and without what only a server may say.
    pub presence: Element,
    /// What it is to the room.
    pub affiliation: Affiliation,
    /// Where its permissions come from.
    pub(super) features: Features,
    /// Its address in what everybody gets.
    pub(super) recipient: Recipient,
    /// Its presence as others are shown it, once it was written. Forgotten with each change.
    pub(super) shown: OnceLock<Shared>,
}

impl Occupant {
    /// Somebody with this nickname and address.
    pub(super) fn new(
        nick: String,
        jid: FullJid,
        session: Option<SessionId>,
        presence: Element,
        affiliation: Affiliation,
    ) -> Occupant {
        let recipient = Recipient::new(jid.as_str());
        let features = Features::default();
        Occupant { nick, jid, session, presence, affiliation, features, recipient, shown: OnceLock::new() }
    }

    /// Whether it may act on others.
    pub fn is_moderator(&self) -> bool {
        self.affiliation.is_moderator()
    }

    /// The display name in its presence (XEP-0172).
    pub fn display_name(&self) -> Option<String> {
        self.presence.child("nick", ns::NICK).map(Element::text).filter(|name| !name.is_empty())
    }

    /// The mail address in its presence.
    pub fn email(&self) -> Option<String> {
        self.presence.child("email", ns::JABBER_CLIENT).map(Element::text)
    }
}

/// Nicknames are endpoint ids and prefixes of source names: letters, digits and `_`, not `_` first.
pub(super) fn is_nick(nick: &str) -> bool {
    let mut bytes = nick.bytes();
    let starts = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    starts
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && nick.len() <= NICK_BYTES_MAX
        && !RESERVED_NICKS.contains(&nick)
}

/// The client's presence without addresses and without what only a server may say; everything else is kept as it
/// came, known or not.
pub(super) fn sanitized(presence: &Element) -> Element {
    let kept = presence.children().filter(|child| {
        let by_server = matches!(child.name(), "identity" | "permissions");
        let is_muc = child.name() == "x" && matches!(child.ns(), ns::MUC | ns::MUC_USER);
        !by_server && !is_muc && !is_of_server(child) && child.ns() != VOUCHED
    });
    let vouched = presence.child("vouched", VOUCHED).into_iter().flat_map(Element::children);
    Element::new("presence", ns::JABBER_CLIENT).with_all(kept.cloned()).with_all(vouched.cloned())
}

/// What says when, by whom or as what something came: believed where it stands, so that only a server may say it.
pub(super) fn is_of_server(child: &Element) -> bool {
    matches!(child.ns(), ns::DELAY | ns::OCCUPANT_ID | ns::STANZA_ID | ns::ADDRESS)
}

/// Wraps what the server itself adds to a presence on its way to the room. Clients cannot: the router takes this
/// namespace out of what they send.
pub const VOUCHED: &str = "urn:x-sluice:vouched";

/// Longest nickname; endpoint ids have eight characters.
const NICK_BYTES_MAX: usize = 64;
/// The focus' nickname, and the owner of the bridge's own sources.
const RESERVED_NICKS: [&str; 2] = [super::FOCUS_NICK, "jvb"];

//! The one place where a refusal becomes a stanza error (RFC 6120 §8.3).

use xmpp::{Element, ns, stanza};

use crate::focus::ConferenceRefusal;

pub use xmpp::error::Condition;

/// Why the server or a room does not do what a stanza asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The stanza lacks something or contradicts itself.
    Malformed,
    /// An address in it is not one, or lacks a part.
    BadAddress,
    /// Nothing here serves this.
    Unserved,
    /// Known, but not built.
    NotBuilt,
    /// There is no such room.
    NoSuchRoom,
    /// There is no such occupant.
    NoSuchOccupant,
    /// Only the focus makes rooms.
    CreationRestricted,
    /// The sender is not in the room.
    NotAnOccupant,
    /// The room tells outsiders nothing.
    Hidden,
    /// Only moderators may do this.
    NotAModerator,
    /// The focus cannot be touched.
    FocusIsProtected,
    /// A nickname that rooms do not take.
    BadNick,
    /// Nicknames are endpoint ids and cannot change.
    NickIsFixed,
    /// Someone else has this nickname.
    NickTaken,
    /// The sender is banned.
    Banned,
    /// The password is missing or wrong.
    PasswordRequired,
    /// The room is full.
    RoomFull,
    /// A limit of the whole server is reached.
    ServerFull,
    /// The server is to be stopped and takes no new conferences.
    Draining,
    /// Larger than the server relays.
    TooLarge,
    /// Only members may come in; others wait in the lobby.
    MembersOnly,
    /// Who waits in the lobby must have a name.
    NameRequired,
    /// Only who was in the main room may go to its breakout rooms.
    NotFromMainRoom,
    /// Moderators keep the chat to themselves.
    ChatRestricted,
    /// Moderators keep polls to themselves.
    PollsRestricted,
    /// There is a poll of this id.
    PollExists,
    /// There is none.
    NoSuchPoll,
    /// Only the server writes this key.
    KeyOfServer,
    /// As many of these as the server keeps.
    TooMany,
    /// Somebody who can log in has to come first.
    HostRequired,
    /// The authentication session is over, or is that of another browser.
    SessionInvalid,
    /// The token is for another room, or has ended.
    TokenOfOtherRoom,
}

impl From<ConferenceRefusal> for Refusal {
    fn from(refusal: ConferenceRefusal) -> Refusal {
        match refusal {
            ConferenceRefusal::Full => Refusal::ServerFull,
            ConferenceRefusal::NoSuchRoom => Refusal::NoSuchRoom,
            ConferenceRefusal::Draining => Refusal::Draining,
            ConferenceRefusal::NotAuthorized => Refusal::HostRequired,
            ConferenceRefusal::SessionInvalid => Refusal::SessionInvalid,
        }
    }
}

impl Refusal {
    /// The `<error/>` element, with a text for people.
    pub fn element(self) -> Element {
        let (condition, text) = self.condition();
        let element = condition.with_text(text);
        match self {
            Refusal::SessionInvalid => element.with(Element::new("session-invalid", ns::FOCUS)),
            _ => element,
        }
    }

    fn condition(self) -> (Condition, &'static str) {
        match self {
            Refusal::Malformed => (Condition::BadRequest, "The request is incomplete or contradicts itself"),
            Refusal::BadAddress => (Condition::JidMalformed, "The address is not one"),
            Refusal::Unserved => (Condition::ServiceUnavailable, "Nothing here serves this"),
            Refusal::NotBuilt => (Condition::FeatureNotImplemented, "This server does not offer this"),
            Refusal::NoSuchRoom => (Condition::ItemNotFound, "There is no such room"),
            Refusal::NoSuchOccupant => (Condition::ItemNotFound, "There is nobody of this name in the room"),
            // Clients know this text: they repeat the conference request and the join.
            Refusal::CreationRestricted => (Condition::NotAllowed, "Room creation is restricted"),
            Refusal::NotAnOccupant => (Condition::NotAcceptable, "You are not in this room"),
            Refusal::Hidden => (Condition::Forbidden, "Only people in the room may see this"),
            Refusal::NotAModerator => (Condition::Forbidden, "Only moderators may do this"),
            Refusal::Banned => (Condition::Forbidden, "You may not enter this room"),
            Refusal::FocusIsProtected => {
                (Condition::NotAllowed, "The focus of a conference cannot be changed")
            }
            Refusal::BadNick => (Condition::NotAllowed, "This nickname is not allowed here"),
            Refusal::NickIsFixed => (Condition::NotAllowed, "Nicknames cannot be changed here"),
            Refusal::NickTaken => (Condition::Conflict, "Somebody in the room has this nickname"),
            Refusal::PasswordRequired => (Condition::NotAuthorized, "The room needs a password"),
            Refusal::RoomFull => (Condition::ServiceUnavailable, "The room is full"),
            Refusal::ServerFull => (Condition::ResourceConstraint, "The server is full"),
            Refusal::Draining => {
                (Condition::ServiceUnavailable, "This server is about to stop and takes no new conferences")
            }
            Refusal::TooLarge => (Condition::PolicyViolation, "This is larger than the server takes"),
            Refusal::MembersOnly => (Condition::RegistrationRequired, "A moderator must let you in"),
            Refusal::NameRequired => (Condition::NotAcceptable, "Please enter your name"),
            Refusal::NotFromMainRoom => (Condition::NotAllowed, "Enter the main room first"),
            Refusal::ChatRestricted => (Condition::Forbidden, "Only moderators may write in this chat"),
            Refusal::PollsRestricted => (Condition::NotAllowed, "Only moderators may create polls"),
            Refusal::PollExists => (Condition::NotAllowed, "There is a poll of this id"),
            Refusal::NoSuchPoll => (Condition::ItemNotFound, "There is no such poll"),
            Refusal::KeyOfServer => (Condition::NotAllowed, "Only the server sets this"),
            Refusal::TooMany => (Condition::ResourceConstraint, "There are too many of these"),
            Refusal::HostRequired => (Condition::NotAuthorized, "Somebody who can log in has to come first"),
            Refusal::SessionInvalid => (Condition::NotAcceptable, "Please log in again"),
            Refusal::TokenOfOtherRoom => (Condition::NotAllowed, "Your token does not open this room"),
        }
    }

    /// The error answer to `request`. Errors and IQ results are never answered: `None`.
    pub fn answer(self, request: &Element) -> Option<Element> {
        if matches!(request.attribute("type"), Some("error")) {
            return None;
        }
        if request.is("iq", ns::JABBER_CLIENT) && !is_request(request) {
            return None;
        }
        Some(stanza::error_answer(request, self.element()))
    }
}

/// Whether `iq` asks for an answer.
pub(crate) fn is_request(iq: &Element) -> bool {
    matches!(stanza::kind(iq), Some(stanza::Kind::Iq(stanza::IqType::Get | stanza::IqType::Set)))
}

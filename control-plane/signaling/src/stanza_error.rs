//! The one place where a refusal becomes a stanza error (RFC 6120 §8.3).

use xmpp::{Element, ns, stanza};

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
    /// Larger than the server relays.
    TooLarge,
}

impl Refusal {
    /// The `<error/>` element.
    pub fn element(self) -> Element {
        match self {
            Refusal::Malformed => Condition::BadRequest.element(),
            Refusal::BadAddress => Condition::JidMalformed.element(),
            Refusal::Unserved => Condition::ServiceUnavailable.element(),
            Refusal::NotBuilt => Condition::FeatureNotImplemented.element(),
            Refusal::NoSuchRoom | Refusal::NoSuchOccupant => Condition::ItemNotFound.element(),
            // Clients know this text: they repeat the conference request and the join.
            Refusal::CreationRestricted => Condition::NotAllowed.with_text("Room creation is restricted"),
            Refusal::NotAnOccupant => Condition::NotAcceptable.element(),
            Refusal::Hidden | Refusal::NotAModerator | Refusal::Banned => Condition::Forbidden.element(),
            Refusal::FocusIsProtected => Condition::NotAllowed.element(),
            Refusal::BadNick => Condition::NotAllowed.with_text("This nickname is not allowed here"),
            Refusal::NickIsFixed => Condition::NotAllowed.with_text("Nicknames cannot be changed here"),
            Refusal::NickTaken => Condition::Conflict.element(),
            Refusal::PasswordRequired => Condition::NotAuthorized.element(),
            Refusal::RoomFull => Condition::ServiceUnavailable.element(),
            Refusal::ServerFull => Condition::ResourceConstraint.element(),
            Refusal::TooLarge => Condition::PolicyViolation.element(),
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

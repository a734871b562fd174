//! Why the focus refuses a request of an occupant, and the stanza error for it (RFC 6120 §8.3, XEP-0166 §7.2.10).

use xmpp::Element;

use crate::jingle::parse::ParseError;
use crate::source_map::SourceError;
use crate::stanza_error::Condition;

/// Why the focus does not do what an occupant asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The stanza cannot be read.
    Malformed(&'static str),
    /// A Jingle request that cannot be read.
    Unreadable(ParseError),
    /// Its sources break a rule.
    Source(SourceError),
    /// Nothing here serves this.
    Unserved,
    /// Known, but not built or switched off.
    NotBuilt,
    /// The session is over and another has begun.
    StaleSession,
    /// The session is over.
    EndedSession,
    /// There was never such a session.
    NoSuchSession,
    /// The bridge session named is not the present one.
    StaleBridgeSession,
    /// The request does not fit the state of the session.
    OutOfOrder,
    /// Too often, or too many.
    Limit,
    /// The conference or occupant is not there.
    NotThere,
    /// One of the two occupants of a mute request is not there. Clients expect this condition.
    UnknownOccupant,
    /// Only moderators may do this.
    NotAllowed,
}

/// Errors of Jingle itself.
const JINGLE_ERRORS: &str = "urn:xmpp:jingle:errors:1";

impl Refusal {
    /// The `<error/>` element.
    pub(super) fn element(&self) -> Element {
        let jingle =
            |condition: Condition, name: &str| condition.element().with(Element::new(name, JINGLE_ERRORS));
        match self {
            Refusal::Malformed(text) => Condition::BadRequest.with_text(text),
            Refusal::Unreadable(ParseError::Unsupported) => Condition::FeatureNotImplemented.element(),
            Refusal::Unreadable(error) => Condition::BadRequest.with_text(&error.to_string()),
            Refusal::Source(error) => Condition::BadRequest.with_text(&error.to_string()),
            Refusal::Unserved => Condition::ServiceUnavailable.element(),
            Refusal::NotBuilt => Condition::FeatureNotImplemented.element(),
            Refusal::StaleSession => jingle(Condition::ItemNotFound, "unknown-session"),
            Refusal::EndedSession => Condition::Gone.element(),
            Refusal::NoSuchSession => jingle(Condition::BadRequest, "unknown-session"),
            Refusal::StaleBridgeSession | Refusal::NotThere => Condition::ItemNotFound.element(),
            Refusal::OutOfOrder => jingle(Condition::UnexpectedRequest, "out-of-order"),
            Refusal::Limit => Condition::ResourceConstraint.element(),
            Refusal::UnknownOccupant => Condition::InternalServerError.element(),
            Refusal::NotAllowed => Condition::NotAllowed.element(),
        }
    }
}

impl From<ParseError> for Refusal {
    fn from(error: ParseError) -> Refusal {
        Refusal::Unreadable(error)
    }
}

impl From<SourceError> for Refusal {
    fn from(error: SourceError) -> Refusal {
        Refusal::Source(error)
    }
}

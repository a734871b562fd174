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
    /// The `<error/>` element, with a text for people.
    pub(super) fn element(&self) -> Element {
        let (condition, detail) = match self {
            Refusal::Malformed(_) | Refusal::Source(_) => (Condition::BadRequest, None),
            Refusal::Unreadable(ParseError::Unsupported) => (Condition::FeatureNotImplemented, None),
            Refusal::Unreadable(_) => (Condition::BadRequest, None),
            Refusal::Unserved => (Condition::ServiceUnavailable, None),
            Refusal::NotBuilt => (Condition::FeatureNotImplemented, None),
            Refusal::StaleSession => (Condition::ItemNotFound, Some("unknown-session")),
            Refusal::EndedSession => (Condition::Gone, None),
            Refusal::NoSuchSession => (Condition::BadRequest, Some("unknown-session")),
            Refusal::StaleBridgeSession | Refusal::NotThere => (Condition::ItemNotFound, None),
            Refusal::OutOfOrder => (Condition::UnexpectedRequest, Some("out-of-order")),
            Refusal::Limit => (Condition::ResourceConstraint, None),
            Refusal::UnknownOccupant => (Condition::InternalServerError, None),
            Refusal::NotAllowed => (Condition::NotAllowed, None),
        };
        let error = condition.with_text(&self.text());
        error.with_all(detail.map(|name| Element::new(name, JINGLE_ERRORS)))
    }

    /// What people read.
    fn text(&self) -> String {
        let text = match self {
            Refusal::Malformed(text) => text,
            Refusal::Unreadable(error) => return error.to_string(),
            Refusal::Source(error) => return error.to_string(),
            Refusal::Unserved => "The focus does not serve this",
            Refusal::NotBuilt => "The focus does not offer this",
            Refusal::StaleSession => "Another session has begun since",
            Refusal::EndedSession => "The session is over",
            Refusal::NoSuchSession => "There is no such session",
            Refusal::StaleBridgeSession => "The bridge has begun another session since",
            Refusal::OutOfOrder => "The session is not that far",
            Refusal::Limit => "Too often, or too many",
            Refusal::NotThere => "You are not in this conference",
            Refusal::UnknownOccupant => "There is nobody of this name in the conference",
            Refusal::NotAllowed => "Moderators do not allow this",
        };
        text.to_owned()
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

//! Error conditions of stanzas (RFC 6120 §8.3.3), streams (§4.9.3) and SASL (§6.5), with their elements.

use crate::{Element, ns};

/// A stanza error condition with the type that the RFC recommends for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The request is malformed.
    BadRequest,
    /// The name is taken.
    Conflict,
    /// Known feature, not built.
    FeatureNotImplemented,
    /// The sender lacks the rights.
    Forbidden,
    /// It was there, and is no longer.
    Gone,
    /// Something in the server broke. Never an answer to bad input.
    InternalServerError,
    /// No such item.
    ItemNotFound,
    /// An address in the stanza is not one.
    JidMalformed,
    /// The request does not meet the recipient's criteria.
    NotAcceptable,
    /// Nobody may do this.
    NotAllowed,
    /// Credentials are missing or wrong.
    NotAuthorized,
    /// Over a policy limit.
    PolicyViolation,
    /// The recipient is not there.
    RecipientUnavailable,
    /// Only members may do this.
    RegistrationRequired,
    /// Too much at once.
    ResourceConstraint,
    /// Nothing here serves this.
    ServiceUnavailable,
    /// Understood, but not at this time.
    UnexpectedRequest,
}

impl Condition {
    /// The element name of the condition.
    pub fn name(self) -> &'static str {
        self.name_and_type().0
    }

    /// The recommended `type` attribute of the error.
    pub fn error_type(self) -> &'static str {
        self.name_and_type().1
    }

    /// The `<error/>` child of a stanza error.
    pub fn element(self) -> Element {
        Element::new("error", ns::JABBER_CLIENT)
            .attr("type", self.error_type())
            .with(Element::new(self.name(), ns::STANZA_ERRORS))
    }

    /// The `<error/>` child of a stanza error with a text for people.
    pub fn with_text(self, text: &str) -> Element {
        self.element().with(Element::new("text", ns::STANZA_ERRORS).with_text(text))
    }

    fn name_and_type(self) -> (&'static str, &'static str) {
        match self {
            Condition::BadRequest => ("bad-request", "modify"),
            Condition::Conflict => ("conflict", "cancel"),
            Condition::FeatureNotImplemented => ("feature-not-implemented", "cancel"),
            Condition::Forbidden => ("forbidden", "auth"),
            Condition::Gone => ("gone", "cancel"),
            Condition::InternalServerError => ("internal-server-error", "cancel"),
            Condition::ItemNotFound => ("item-not-found", "cancel"),
            Condition::JidMalformed => ("jid-malformed", "modify"),
            Condition::NotAcceptable => ("not-acceptable", "modify"),
            Condition::NotAllowed => ("not-allowed", "cancel"),
            Condition::NotAuthorized => ("not-authorized", "auth"),
            Condition::PolicyViolation => ("policy-violation", "modify"),
            Condition::RecipientUnavailable => ("recipient-unavailable", "wait"),
            Condition::RegistrationRequired => ("registration-required", "auth"),
            Condition::ResourceConstraint => ("resource-constraint", "wait"),
            Condition::ServiceUnavailable => ("service-unavailable", "cancel"),
            Condition::UnexpectedRequest => ("unexpected-request", "wait"),
        }
    }
}

/// `<stream:error/>` with the condition `name` (RFC 6120 §4.9.3).
pub fn stream_error(name: &str) -> Element {
    Element::new("error", ns::STREAM).with(Element::new(name, ns::STREAM_ERRORS))
}

/// SASL `<failure/>` with the condition `name` (RFC 6120 §6.5). Clients match the raw text of a failure that
/// carries a message, so the text element has neither attributes nor white space around it.
pub fn sasl_failure(name: &str, text: Option<&str>) -> Element {
    let failure = Element::new("failure", ns::SASL).with(Element::new(name, ns::SASL));
    match text {
        Some(text) => failure.with(Element::new("text", ns::SASL).with_text(text)),
        None => failure,
    }
}

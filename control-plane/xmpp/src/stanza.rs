//! Stanzas (RFC 6120 §8): kinds, answers and errors.

use crate::error::Condition;
use crate::{Element, ns};

/// What a top-level element of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `<iq/>` with its type.
    Iq(IqType),
    /// `<message/>`.
    Message,
    /// `<presence/>`.
    Presence,
}

/// The `type` of an IQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IqType {
    /// Asks for something.
    Get,
    /// Changes something.
    Set,
    /// Answers well.
    Result,
    /// Answers badly.
    Error,
}

/// The kind of a stanza; nothing for other elements and for IQs with a missing or unknown type.
pub fn kind(element: &Element) -> Option<Kind> {
    if element.ns() != ns::JABBER_CLIENT {
        return None;
    }
    match element.name() {
        "message" => Some(Kind::Message),
        "presence" => Some(Kind::Presence),
        "iq" => match element.attribute("type")? {
            "get" => Some(Kind::Iq(IqType::Get)),
            "set" => Some(Kind::Iq(IqType::Set)),
            "result" => Some(Kind::Iq(IqType::Result)),
            "error" => Some(Kind::Iq(IqType::Error)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether `element` counts for stream management: an iq, message or presence (XEP-0198 §4).
pub fn is_stanza(element: &Element) -> bool {
    element.ns() == ns::JABBER_CLIENT && matches!(element.name(), "iq" | "message" | "presence")
}

/// `<iq type='get'/>` with `payload`.
pub fn iq_get(id: &str, payload: Element) -> Element {
    Element::new("iq", ns::JABBER_CLIENT).attr("type", "get").attr("id", id).with(payload)
}

/// `<iq type='set'/>` with `payload`.
pub fn iq_set(id: &str, payload: Element) -> Element {
    Element::new("iq", ns::JABBER_CLIENT).attr("type", "set").attr("id", id).with(payload)
}

/// The result of `request`: same id, addresses swapped, empty.
pub fn iq_result(request: &Element) -> Element {
    answer(request).attr("type", "result")
}

/// The error answer to the stanza `request`: same name and id, addresses swapped, with `error` as child
/// (see [`Condition::element`]).
pub fn error_answer(request: &Element, error: Element) -> Element {
    answer(request).attr("type", "error").with(error)
}

/// [`error_answer`] with a bare condition.
pub fn refuse(request: &Element, condition: Condition) -> Element {
    error_answer(request, condition.element())
}

fn answer(request: &Element) -> Element {
    Element::new(request.name(), ns::JABBER_CLIENT)
        .attr_if("from", request.attribute("to"))
        .attr_if("to", request.attribute("from"))
        .attr_if("id", request.attribute("id"))
}

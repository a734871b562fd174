//! Service discovery of the server's own addresses (XEP-0030).

use xmpp::{Element, ns};

/// `<identity/>`. Clients match identities by `kind` alone; `name` is what they read from it.
pub(crate) fn identity(category: &str, kind: &str, name: &str) -> Element {
    Element::new("identity", ns::DISCO_INFO).attr("category", category).attr("type", kind).attr("name", name)
}

/// `<feature/>`.
pub(crate) fn feature(var: &str) -> Element {
    Element::new("feature", ns::DISCO_INFO).attr("var", var)
}

/// What the main domain is. Components that clients switch features on by are listed once they exist.
pub(crate) fn main_domain() -> Element {
    Element::new("query", ns::DISCO_INFO)
        .with(identity("server", "im", "Sluice"))
        .with_all([ns::DISCO_INFO, ns::DISCO_ITEMS, ns::PING, ns::EXTDISCO_2, ns::EXTDISCO_1].map(feature))
}

/// What the address of the room service is.
pub(crate) fn room_service() -> Element {
    Element::new("query", ns::DISCO_INFO)
        .with(identity("conference", "text", "Rooms"))
        .with_all([ns::DISCO_INFO, ns::MUC].map(feature))
}

/// What the address of the focus is.
pub(crate) fn focus() -> Element {
    Element::new("query", ns::DISCO_INFO)
        .with(identity("component", "generic", "Focus"))
        .with_all([ns::DISCO_INFO, ns::FOCUS].map(feature))
}

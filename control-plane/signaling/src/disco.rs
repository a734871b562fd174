//! Service discovery of the server's own addresses (XEP-0030).

use xmpp::{Element, ns};

use crate::domains::Domains;

/// `<identity/>`. Clients match identities by `kind` alone; `name` is what they read from it.
pub(crate) fn identity(category: &str, kind: &str, name: &str) -> Element {
    Element::new("identity", ns::DISCO_INFO).attr("category", category).attr("type", kind).attr("name", name)
}

/// `<feature/>`.
pub(crate) fn feature(var: &str) -> Element {
    Element::new("feature", ns::DISCO_INFO).attr("var", var)
}

/// What the main domain is, and where its services are: clients switch features on by that.
pub(crate) fn main_domain(domains: &Domains) -> Element {
    let services = domains.identities().map(|(kind, address)| identity("component", kind, address));
    Element::new("query", ns::DISCO_INFO)
        .with(identity("server", "im", "Sluice"))
        .with_all(services)
        .with_all([ns::DISCO_INFO, ns::DISCO_ITEMS, ns::PING, ns::EXTDISCO_2, ns::EXTDISCO_1].map(feature))
}

/// What the address of lobbies is. `is_open`: the room that is asked about has one, so a name is needed.
pub(crate) fn lobby_service(is_open: bool) -> Element {
    room_service().with_all(is_open.then(|| feature(DISPLAY_NAME_REQUIRED)))
}

/// What the address of breakout rooms is.
pub(crate) fn breakout_service() -> Element {
    room_service().with(feature(BREAKOUT_RENAME))
}

/// What the address of the room service is.
pub(crate) fn room_service() -> Element {
    Element::new("query", ns::DISCO_INFO)
        .with(identity("conference", "text", "Rooms"))
        .with_all([ns::DISCO_INFO, ns::DISCO_ITEMS, ns::MUC].map(feature))
}

/// Where the services are that the main domain names, for clients that look for them by XEP-0030 §4.
pub(crate) fn items(domains: &Domains) -> Element {
    let services = domains.identities().into_iter().filter(|(kind, _)| *kind != "conference_duration");
    let addresses = [domains.muc.as_str(), domains.focus.as_str()]
        .into_iter()
        .chain(services.map(|(_, address)| address));
    let item = |address: &str| Element::new("item", ns::DISCO_ITEMS).attr("jid", address);
    Element::new("query", ns::DISCO_ITEMS).with_all(addresses.map(item))
}

/// What the address of the focus is.
pub(crate) fn focus() -> Element {
    Element::new("query", ns::DISCO_INFO)
        .with(identity("component", "generic", "Focus"))
        .with_all([ns::DISCO_INFO, ns::FOCUS].map(feature))
}

/// Who waits in the lobby must have a name.
const DISPLAY_NAME_REQUIRED: &str = "http://jitsi.org/protocol/lobbyrooms#displayname_required";
/// Breakout rooms can be renamed.
const BREAKOUT_RENAME: &str = "http://jitsi.org/protocol/breakout_rooms#rename";

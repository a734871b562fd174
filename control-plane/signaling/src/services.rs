//! What rooms offer beside presence and chat, and external services: where clients find STUN and TURN servers (XEP-0215).

pub mod av_moderation;
pub(crate) mod breakout_rooms;
pub(crate) mod json;
pub(crate) mod metadata;
pub(crate) mod polls;
pub(crate) mod speaker_stats;

use xmpp::Element;

/// The services in the version of the protocol that was asked for. None are configured yet: calls run over the
/// bridge, whose candidates are in the offer, so an empty list is a good answer.
pub(crate) fn services(ns: &str) -> Element {
    Element::new("services", ns)
}

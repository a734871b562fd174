//! Namespace names.

/// Client streams and their stanzas (RFC 6120 §4.8.2).
pub const JABBER_CLIENT: &str = "jabber:client";
/// Stream features and stream errors; the only namespace that is written with a prefix (RFC 6120 §4.8.1).
pub const STREAM: &str = "http://etherx.jabber.org/streams";
/// Stream error conditions (RFC 6120 §4.9.2).
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// Stanza error conditions (RFC 6120 §8.3.2).
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// WebSocket framing (RFC 7395 §3.3).
pub const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
/// Bodies of BOSH (XEP-0124 §5).
pub const HTTP_BIND: &str = "http://jabber.org/protocol/httpbind";
/// Attributes of those bodies that are about XMPP (XEP-0206 §8.2).
pub const XBOSH: &str = "urn:xmpp:xbosh";
/// SASL (RFC 6120 §6).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Resource binding (RFC 6120 §7).
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// The session that was established after binding (RFC 6121 appendix E).
pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// Stream management (XEP-0198).
pub const SM: &str = "urn:xmpp:sm:3";
/// Ping (XEP-0199).
pub const PING: &str = "urn:xmpp:ping";
/// Service discovery, information (XEP-0030).
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// Service discovery, items (XEP-0030).
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// Entity capabilities (XEP-0115).
pub const CAPS: &str = "http://jabber.org/protocol/caps";
/// External services (XEP-0215), version 2.
pub const EXTDISCO_2: &str = "urn:xmpp:extdisco:2";
/// External services (XEP-0215), version 1.
pub const EXTDISCO_1: &str = "urn:xmpp:extdisco:1";
/// Multi-user chat: join and feature (XEP-0045).
pub const MUC: &str = "http://jabber.org/protocol/muc";
/// The room answers occupants that ping themselves (XEP-0410 §3.2).
pub const MUC_SELF_PING: &str = "http://jabber.org/protocol/muc#self-ping-optimization";
/// Multi-user chat: what occupants see (XEP-0045 §15.2).
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// Multi-user chat: roles and affiliations (XEP-0045 §15.3).
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
/// Multi-user chat: configuration and destruction (XEP-0045 §15.4).
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// `FORM_TYPE` of a room's information form (XEP-0045 §15.5).
pub const MUC_ROOMINFO: &str = "http://jabber.org/protocol/muc#roominfo";
/// `FORM_TYPE` of a room's configuration form (XEP-0045 §15.5).
pub const MUC_ROOMCONFIG: &str = "http://jabber.org/protocol/muc#roomconfig";
/// Data forms (XEP-0004).
pub const DATA_FORMS: &str = "jabber:x:data";
/// Delayed delivery (XEP-0203).
pub const DELAY: &str = "urn:xmpp:delay";
/// Who an occupant is over several joins (XEP-0421).
pub const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
/// Ids that a server gave (XEP-0359).
pub const STANZA_ID: &str = "urn:xmpp:sid:0";
/// Further addresses, such as of who spoke first (XEP-0033).
pub const ADDRESS: &str = "http://jabber.org/protocol/address";
/// Nickname (XEP-0172).
pub const NICK: &str = "http://jabber.org/protocol/nick";
/// Message replies (XEP-0461).
pub const REPLY: &str = "urn:xmpp:reply:0";
/// Conference request and focus presence.
pub const FOCUS: &str = "http://jitsi.org/protocol/focus";
/// Jitsi's conference extensions: JSON messages, permissions, join errors.
pub const JITMEET: &str = "http://jitsi.org/jitmeet";
/// Display name of a history message's sender.
pub const DISPLAY_NAME: &str = "http://jitsi.org/protocol/display-name";

//! XMPP without sockets: elements, restricted XML, the WebSocket stream (RFC 7395), BOSH (XEP-0124) and stream
//! management (XEP-0198).
//!
//! Bytes, time and chance are handed in; frames and events are polled out.
#![forbid(unsafe_code)]

pub mod accounts;
pub mod attempts;
pub mod bosh;
pub mod credentials;
pub mod element;
pub mod error;
pub mod frame;
pub mod ns;
pub mod parse;
pub mod scram;
pub mod stanza;
pub mod stream_management;
pub mod streams;
pub mod text;
pub mod uuid;
pub mod websocket;

/// Addresses (RFC 7622), prepared once when they are parsed.
pub mod jid {
    pub use ::jid::{BareJid, Error, FullJid, Jid};
}

/// Base64 with padding (RFC 4648 §4).
pub fn base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

pub use element::{Element, Node};
pub use frame::{Frame, FrameReader};
pub use parse::{ParseError, parse, parse_within};
pub use streams::{ConnectionId, SessionId, Streams};
pub use text::{Recipient, Shared, Text};

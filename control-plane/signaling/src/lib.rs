//! Rooms, focus and sessions of a whole Jitsi server, without sockets: stanzas and reports in, stanzas and commands out.
#![forbid(unsafe_code)]

pub mod admission;
pub mod association;
pub mod authentication;
pub mod bridge_channel;
pub mod colibri2;
mod disco;
pub mod domains;
pub mod external_services;
pub mod focus;
pub mod jingle;
mod pattern;
mod random;
pub mod room;
pub mod route;
pub mod secret;
pub mod services;
pub mod source_map;
pub mod stanza_error;

pub use domains::Domains;
pub use route::{Config, Input, Output, SessionId, Signaling, Snapshot};

//! Rooms, focus and sessions of a whole Jitsi server, without sockets: stanzas and reports in, stanzas and commands out.
#![forbid(unsafe_code)]

pub mod association;
mod disco;
pub mod focus;
pub mod room;
pub mod route;
mod secret;
mod services;
pub mod stanza_error;

pub use route::{Config, Domains, Input, Output, SessionId, Signaling, Snapshot};

//! Rooms, focus and sessions of a whole Jitsi server, without sockets: stanzas and reports in, stanzas and commands out.
#![forbid(unsafe_code)]

pub mod stanza_error;
pub mod association;
pub mod focus;

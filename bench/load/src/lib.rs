//! A load generator for selective forwarding units: thousands of endpoints over real signalling, ICE (RFC 8445), DTLS
//! (RFC 5764) and SRTP (RFC 3711), and a measurement of what comes back.
//!
//! The way of an endpoint: [`run`] makes it from a [`scenario`] and hands a [`peer::Seat`] to a [`peer::Peer`], the
//! adapter that speaks the signalling of one product. What the adapter learns goes to [`pump`], the pinned threads that own
//! sockets and media; DTLS is on a thread of its own in [`handshakes`]. [`report`] says what was measured.
#![forbid(unsafe_code)]

pub mod association;
pub mod camera;
pub mod capacity;
pub mod clock;
pub mod endpoint;
pub mod feedback;
pub mod footprint;
pub mod handshakes;
pub mod label;
pub mod options;
pub mod packetize;
pub mod peer;
pub mod peers;
pub mod plot;
pub mod profile;
pub mod progress;
pub mod pump;
pub mod reception;
pub mod report;
pub mod run;
pub mod scenario;
pub mod self_check;
pub mod server_process;
pub mod sluice;
pub mod socket;
pub mod tally;

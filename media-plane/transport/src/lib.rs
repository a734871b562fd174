//! One endpoint's media transport as a state machine: ICE (RFC 8445), consent (RFC 7675), SRTP (RFC 3711, 7714),
//! RTCP termination (RFC 3550, 4585), NACK, RTX (RFC 4588) and transport-wide feedback.
//!
//! Bytes, the time and chance come in as arguments; datagrams go out through an [`Outbox`]. After construction nothing
//! here allocates, locks, logs, or panics on input. DTLS is elsewhere: its keys arrive as a [`srtp::Session`].
//!
//! A caller, for each datagram: STUN goes to [`Transport::stun`]; anything else only if [`Transport::proved`] says that
//! its path proved our credentials, then to [`Transport::open_rtp`] or [`Transport::open_rtcp`]. After `stun` and
//! `handle_timeout`, drain [`Transport::poll_event`], and look at [`Transport::poll_timeout`] again.
#![forbid(unsafe_code)]
#![allow(
    clippy::vec_box,
    reason = "streams move between workers and the threads that make and free them as boxes"
)]

mod chance;
pub mod config;
mod feedback;
mod header_extension;
pub mod ice;
mod nack;
mod padding;
pub mod path;
mod payload_types;
mod rate;
pub mod receive_stream;
mod receiving;
pub mod retransmission;
pub mod rtcp_in;
pub mod send_stream;
mod sending;
#[cfg(test)]
mod simulation;
pub mod srtp;
pub mod statistics;
#[cfg(test)]
mod tests;
mod transport;
mod transport_cc;

pub use config::{Config, KeyFrameMessage, LocalSocket, RateLimit};
pub use ice::Event;
pub use path::{Outbox, Path};
pub use receive_stream::{Opened, PaddingOnly, ReceiveStream, StreamKind};
pub use retransmission::Record;
pub use rtcp_in::Feedback;
pub use send_stream::{Outgoing, Repair, Sealed, SendStream};
pub use statistics::Statistics;
pub use transport::Transport;

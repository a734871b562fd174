//! SRTP and SRTCP (RFC 3711, RFC 7714): keys expanded once, packets sealed and opened without state of their own.
//!
//! Roll-over counters and replay windows live with the streams ([`crate::ReceiveStream`], [`crate::SendStream`]);
//! this module turns (SSRC, index, bytes) into other bytes.

mod context;
mod key_derivation;
pub mod measure;
pub(crate) mod provider;
mod replay_window;

pub use context::{Refused, Session};
pub use provider::Provider;
pub use replay_window::{ReplayWindow, Verdict, estimate};

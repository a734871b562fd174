//! An endpoint's DTLS association (RFC 5764) and the bridge channel inside it (RFC 8261, 8831, 8832), sans-IO.
//!
//! Bytes and the time go in, [`Output`]s come out. The media plane strips DTLS datagrams off its sockets and hands them to
//! [`Association::datagram`]; keys go back to it only after the peer's certificate matched a signalled fingerprint.
#![forbid(unsafe_code)]

mod association;
mod certificate;
mod client_hello;
mod clock;
mod dcep;
mod fingerprint;
mod sctp;

pub use association::{Association, Counters, FailReason, Output, SendError};
pub use certificate::{Certificate, CertificateError};
pub use fingerprint::{Fingerprint, Mismatch};

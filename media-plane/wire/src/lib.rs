//! Bytes to values and back: STUN, RTP, RTCP and payload descriptors; no state, no time, no allocation.
//!
//! Parsers borrow from the datagram and check every length; writers fill a buffer of the caller. Nothing here panics,
//! whatever the input. What cannot be read is an error of a small `Malformed` enum, never a guess.

#![forbid(unsafe_code)]

pub mod codec;
pub mod first_byte;
pub mod framing;
mod octets;
pub mod red;
pub mod rtcp;
pub mod rtp;
pub mod rtp_extension;
pub mod rtx;
pub mod sequence;
pub mod stun;

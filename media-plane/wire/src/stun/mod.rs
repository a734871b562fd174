//! STUN messages for ICE (RFC 8489, RFC 8445 §16): strict reading, integrity by a closure, writing.

mod crc32;
mod message;
mod writer;

#[cfg(test)]
mod tests;

pub use message::{ATTRIBUTES_MAX, Integrity, MESSAGE_LEN_MAX, Malformed, Message, UNKNOWN_MAX};
pub use writer::Writer;

/// The class of a message (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// A good answer.
    Success,
    /// A bad answer.
    Error,
}

const HEADER_LEN: usize = 20;
const ATTRIBUTE_HEADER_LEN: usize = 4;
const COOKIE: u32 = 0x2112_A442;
/// What the CRC of a FINGERPRINT is combined with (RFC 8489 §14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554E;
const BINDING: u16 = 1;

/// Attribute types (RFC 8489 §18.3, RFC 8445 §20.2).
mod attribute {
    pub(super) const MAPPED_ADDRESS: u16 = 0x0001;
    pub(super) const USERNAME: u16 = 0x0006;
    pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(super) const ERROR_CODE: u16 = 0x0009;
    pub(super) const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
    pub(super) const REALM: u16 = 0x0014;
    pub(super) const NONCE: u16 = 0x0015;
    pub(super) const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
    pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(super) const PRIORITY: u16 = 0x0024;
    pub(super) const USE_CANDIDATE: u16 = 0x0025;
    pub(super) const FINGERPRINT: u16 = 0x8028;
    pub(super) const ICE_CONTROLLED: u16 = 0x8029;
    pub(super) const ICE_CONTROLLING: u16 = 0x802A;

    /// Types below this one must be understood (RFC 8489 §14).
    pub(super) const OPTIONAL_FROM: u16 = 0x8000;
}

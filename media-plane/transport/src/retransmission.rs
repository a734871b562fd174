//! Answers to NACKs (RFC 4585 §6.2.1, RFC 4588): what was sent in which place, not the bytes.

use contract::Timestamp;
use wire::codec::Patch;
use wire::rtp::Header;

/// One packet that was sent and can be sent again; the bytes are in the source's cache under `token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// As given in [`crate::Outgoing::retransmission_token`].
    pub token: u64,
    /// As sent: final SSRC, sequence number, timestamp, payload type.
    pub header: Header,
    /// As applied.
    pub patch: Patch,
    /// SRTP index on the media stream.
    pub(crate) index: u64,
    /// Padding bytes added.
    pub(crate) padding: u8,
    /// Transport-wide number in the packet.
    pub(crate) transport_cc: Option<u16>,
    /// First four bytes of the tag: a plain resend must come out the same.
    pub(crate) tag: [u8; 4],
    /// When it was sealed; also its absolute send time.
    pub(crate) sealed: Timestamp,
    /// Last sent.
    pub(crate) sent: Timestamp,
    /// How often it was sent again.
    pub(crate) resent: u8,
    /// Length on the wire.
    pub(crate) len: u16,
}

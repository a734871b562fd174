//! Retransmission payloads (RFC 4588 §4): the original sequence number before the original payload.

use crate::octets::u16_at;

/// Bytes that retransmission adds before the payload.
pub const HEADER_LEN: usize = 2;

/// A retransmission payload taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmission<'a> {
    /// The sequence number that the packet had on its primary stream.
    pub original_sequence: u16,
    /// The payload that it had; empty if a padding-only packet was retransmitted.
    pub payload: &'a [u8],
}

/// Read the payload (without padding) of a packet on a retransmission stream; `None` if it is shorter than
/// [`HEADER_LEN`], as in probing packets that carry padding alone.
pub fn parse(payload: &[u8]) -> Option<Retransmission<'_>> {
    Some(Retransmission { original_sequence: u16_at(payload, 0)?, payload: payload.get(HEADER_LEN..)? })
}

/// Write the original sequence number to the start of `payload`; `None` if it does not fit.
pub fn write(payload: &mut [u8], original_sequence: u16) -> Option<usize> {
    payload.get_mut(..HEADER_LEN)?.copy_from_slice(&original_sequence.to_be_bytes());
    Some(HEADER_LEN)
}

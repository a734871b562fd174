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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_sequence_number_leads_the_payload() {
        let expected = Retransmission { original_sequence: 0x1234, payload: &[9, 8] };
        assert_eq!(parse(&[0x12, 0x34, 9, 8]), Some(expected));
        assert_eq!(parse(&[0x12, 0x34]), Some(Retransmission { original_sequence: 0x1234, payload: &[] }));
        assert_eq!(parse(&[0x12]), None);
        assert_eq!(parse(&[]), None);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut payload = [0, 0, 7];
        assert_eq!(write(&mut payload, 65_535), Some(HEADER_LEN));
        assert_eq!(parse(&payload), Some(Retransmission { original_sequence: 65_535, payload: &[7] }));
        assert_eq!(write(&mut [0], 1), None);
    }
}

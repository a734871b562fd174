//! Picture loss indications (RFC 4585 §6.3.1).

use super::{format, packet_type, write_packet};
use crate::octets::u32_at;

/// A request for a key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pli {
    /// Who asks.
    pub sender_ssrc: u32,
    /// The stream that shall send one.
    pub media_ssrc: u32,
}

impl Pli {
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        Some(Self { sender_ssrc: u32_at(body, 0)?, media_ssrc: u32_at(body, 4)? })
    }
}

/// Write a PLI; its length.
pub fn write(out: &mut [u8], pli: &Pli) -> Option<usize> {
    write_packet(out, packet_type::PAYLOAD_FEEDBACK, format::PLI, |output| {
        output.u32(pli.sender_ssrc)?;
        output.u32(pli.media_ssrc)
    })
}

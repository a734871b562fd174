//! Goodbyes (RFC 3550 §6.6).

use super::{count_of, packet_type, write_packet};

/// A received BYE.
#[derive(Clone, Copy, Debug)]
pub struct Bye<'a> {
    ssrcs: &'a [u8],
}

impl<'a> Bye<'a> {
    /// The streams that end.
    pub fn ssrcs(&self) -> impl Iterator<Item = u32> + Clone + 'a {
        crate::octets::u32s(self.ssrcs)
    }

    /// The reason that may follow is not read.
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        Some(Self { ssrcs: body.get(..4 * usize::from(count))? })
    }
}

/// Write a BYE for at most 31 streams; its length.
pub fn write(out: &mut [u8], ssrcs: &[u32]) -> Option<usize> {
    write_packet(out, packet_type::BYE, count_of(ssrcs)?, |output| {
        ssrcs.iter().try_for_each(|&ssrc| output.u32(ssrc))
    })
}

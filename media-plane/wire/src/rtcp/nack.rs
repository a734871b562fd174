//! Generic negative acknowledgements (RFC 4585 §6.2.1).

use super::{format, packet_type, write_packet};
use crate::octets::{u16_at, u32_at};

/// A received NACK.
#[derive(Clone, Copy, Debug)]
pub struct Nack<'a> {
    sender_ssrc: u32,
    media_ssrc: u32,
    items: &'a [u8],
}

impl<'a> Nack<'a> {
    /// Who asks.
    pub fn sender_ssrc(&self) -> u32 {
        self.sender_ssrc
    }

    /// The stream with the holes.
    pub fn media_ssrc(&self) -> u32 {
        self.media_ssrc
    }

    /// The missing sequence numbers; at most 17 for each four bytes of the packet, repeats included.
    pub fn sequences(&self) -> impl Iterator<Item = u16> + Clone + 'a {
        self.items.chunks_exact(4).flat_map(|item| {
            let first = u16_at(item, 0).unwrap_or(0);
            let following = u16_at(item, 2).unwrap_or(0);
            let others = (0..16).filter(move |bit| following >> bit & 1 == 1);
            core::iter::once(first).chain(others.map(move |bit| first.wrapping_add(bit + 1)))
        })
    }

    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let items = body.get(8..).filter(|items| !items.is_empty())?;
        Some(Self { sender_ssrc: u32_at(body, 0)?, media_ssrc: u32_at(body, 4)?, items })
    }
}

/// Write a NACK of these sequence numbers, which must be in ascending (wrapping) order; its length. `None` if the list
/// is empty or does not fit as a whole.
pub fn write(out: &mut [u8], sender_ssrc: u32, media_ssrc: u32, sequences: &[u16]) -> Option<usize> {
    if sequences.is_empty() {
        return None;
    }
    write_packet(out, packet_type::TRANSPORT_FEEDBACK, format::NACK, |output| {
        output.u32(sender_ssrc)?;
        output.u32(media_ssrc)?;
        let mut rest = sequences;
        while let [first, others @ ..] = rest {
            // PID, then BLP: bit n stands for PID + n + 1.
            let mut following = 0u16;
            rest = others;
            while let [next, others @ ..] = rest {
                let ahead = next.wrapping_sub(*first);
                if ahead > 16 {
                    break;
                }
                // A repeat of the first is told already.
                following |= ahead.checked_sub(1).map_or(0, |bit| 1 << bit);
                rest = others;
            }
            output.u16(*first)?;
            output.u16(following)?;
        }
        Some(())
    })
}

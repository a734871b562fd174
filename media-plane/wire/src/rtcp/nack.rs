//! Generic negative acknowledgements (RFC 4585 §6.2.1).

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
        let _ = self.items;
        core::iter::empty()
    }
}

/// Write a NACK of these sequence numbers, which must be in ascending (wrapping) order; its length. `None` if the list
/// is empty or does not fit as a whole.
pub fn write(out: &mut [u8], sender_ssrc: u32, media_ssrc: u32, sequences: &[u16]) -> Option<usize> {
    let _ = (out, sender_ssrc, media_ssrc, sequences);
    None
}

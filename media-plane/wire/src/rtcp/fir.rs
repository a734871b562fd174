//! Full intra requests (RFC 5104 §4.3.1).

/// One stream that shall send a key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The stream.
    pub ssrc: u32,
    /// Rises with each new request; a repeat keeps it.
    pub sequence: u8,
}

/// A received FIR.
#[derive(Clone, Copy, Debug)]
pub struct Fir<'a> {
    sender_ssrc: u32,
    items: &'a [u8],
}

impl<'a> Fir<'a> {
    /// Who asks.
    pub fn sender_ssrc(&self) -> u32 {
        self.sender_ssrc
    }

    /// The streams asked.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + Clone + 'a {
        let _ = self.items;
        core::iter::empty()
    }
}

/// Write a FIR; its length. `None` without entries.
pub fn write(out: &mut [u8], sender_ssrc: u32, entries: &[Entry]) -> Option<usize> {
    let _ = (out, sender_ssrc, entries);
    None
}

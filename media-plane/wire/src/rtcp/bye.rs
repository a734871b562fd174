//! Goodbyes (RFC 3550 §6.6).

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
}

/// Write a BYE for at most 31 streams; its length.
pub fn write(out: &mut [u8], ssrcs: &[u32]) -> Option<usize> {
    let _ = (out, ssrcs);
    None
}

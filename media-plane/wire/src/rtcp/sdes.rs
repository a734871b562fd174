//! Source descriptions (RFC 3550 §6.5), of which only CNAME is of use to us.

/// A received SDES packet.
#[derive(Clone, Copy, Debug)]
pub struct Sdes<'a> {
    chunks: &'a [u8],
}

/// One stream described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The stream.
    pub ssrc: u32,
    /// Its CNAME as on the wire, if given.
    pub cname: Option<&'a [u8]>,
}

impl<'a> Sdes<'a> {
    /// The streams described.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk<'a>> + Clone + 'a {
        let _ = self.chunks;
        core::iter::empty()
    }
}

/// Write an SDES packet of one stream and its CNAME of at most 255 bytes; its length.
pub fn write(out: &mut [u8], ssrc: u32, cname: &str) -> Option<usize> {
    let _ = (out, ssrc, cname);
    None
}

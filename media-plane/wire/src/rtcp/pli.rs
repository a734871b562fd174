//! Picture loss indications (RFC 4585 §6.3.1).

/// A request for a key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pli {
    /// Who asks.
    pub sender_ssrc: u32,
    /// The stream that shall send one.
    pub media_ssrc: u32,
}

/// Write a PLI; its length.
pub fn write(out: &mut [u8], pli: &Pli) -> Option<usize> {
    let _ = (out, pli);
    None
}

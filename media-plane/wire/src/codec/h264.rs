//! H.264 payloads (RFC 6184 §5): NAL unit types, also inside aggregates and fragments.

use super::Malformed;

/// What an H.264 packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The first NAL unit's type, 1..=23; inside of a STAP-A or FU-A.
    pub nal_type: u8,
    /// Bit `n` is set if a NAL unit of type `n` begins or goes on in the packet.
    pub nal_types: u32,
    /// The packet begins a key frame: an SPS, or the start of an IDR slice.
    pub is_key_frame: bool,
    /// The packet begins a NAL unit: not the middle or end of a fragmented one.
    pub starts_nal: bool,
    /// The packet ends its last NAL unit.
    pub ends_nal: bool,
    /// All NAL units have a reference count of zero: nothing refers to them.
    pub non_reference: bool,
}

impl Descriptor {
    /// Read the NAL unit headers of a payload without padding.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let _ = payload;
        Err(Malformed::Truncated)
    }
}

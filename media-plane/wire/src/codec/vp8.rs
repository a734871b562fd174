//! The VP8 payload descriptor (RFC 7741 §4.2) and the key frame header (§4.3).

use super::{Malformed, PictureId, Tl0PicIdx};

/// What a VP8 packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// N: nothing refers to this frame.
    pub non_reference: bool,
    /// S: the payload begins a partition.
    pub start_of_partition: bool,
    /// PID: which partition.
    pub partition: u8,
    /// The frame's number, if told.
    pub picture_id: Option<PictureId>,
    /// The count of base layer frames, if told.
    pub tl0_picidx: Option<Tl0PicIdx>,
    /// Temporal layer, if told.
    pub tid: Option<u8>,
    /// Y: refers to temporal layer 0 alone, so that a receiver may switch up here.
    pub layer_sync: bool,
    /// The count of key frames, if told.
    pub key_idx: Option<u8>,
    /// Bytes of the descriptor.
    pub header_len: usize,
    /// The packet begins a key frame.
    pub is_key_frame: bool,
    /// Width and height in pixels, if the packet begins a key frame and holds its header.
    pub resolution: Option<(u16, u16)>,
}

impl Descriptor {
    /// Read the descriptor at the start of a payload without padding.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let _ = payload;
        Err(Malformed::Truncated)
    }

    /// The packet is the first of its frame.
    pub fn is_start_of_frame(&self) -> bool {
        self.start_of_partition && self.partition == 0
    }
}

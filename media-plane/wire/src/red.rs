//! Redundant audio (RFC 2198 §3): several encodings of past moments before the present one.

use core::ops::Range;

/// Most blocks of one packet that we read, the primary one included; senders use two or three.
pub const BLOCKS_MAX: usize = 16;

/// Why a payload is no RED payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The block headers run past the end.
    Headers,
    /// The blocks are longer than the payload.
    Blocks,
    /// More than [`BLOCKS_MAX`].
    TooManyBlocks,
}

/// One encoding inside the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedBlock {
    /// 0..=127.
    pub payload_type: u8,
    /// How much older than the packet's timestamp, in its clock's units, 14 bits; 0 for the primary block.
    pub timestamp_offset: u16,
    /// Where the data lies in the payload.
    pub range: Range<usize>,
}

/// A checked RED payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Red<'a> {
    payload: &'a [u8],
    headers_len: usize,
}

impl<'a> Red<'a> {
    /// Check that all headers and blocks lie inside the payload.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let _ = payload;
        Err(Malformed::Headers)
    }

    /// The blocks from the oldest to the primary one, which is last.
    pub fn blocks(&self) -> impl Iterator<Item = RedBlock> + Clone + 'a {
        let _ = (self.payload, self.headers_len);
        core::iter::empty()
    }

    /// The present encoding.
    pub fn primary(&self) -> RedBlock {
        RedBlock { payload_type: 0, timestamp_offset: 0, range: 0..0 }
    }
}

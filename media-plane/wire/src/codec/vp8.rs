//! The VP8 payload descriptor (RFC 7741 §4.2) and the key frame header (§4.3).

use super::{Malformed, PictureId, Tl0PicIdx};
use crate::octets::u8_at;

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
        let mut at = 0;
        let mut next = || {
            let byte = u8_at(payload, at).ok_or(Malformed::Truncated);
            at += 1;
            byte
        };
        let first = next()?;
        let extension = if first & 0x80 != 0 { next()? } else { 0 };
        let [has_picture_id, has_tl0_picidx, has_tid, has_key_idx] =
            [0x80, 0x40, 0x20, 0x10].map(|bit| extension & bit != 0);
        // The two bytes before the fields, as the extension is there if any of them is.
        let mut offset = 2;
        let mut picture_id = None;
        if has_picture_id {
            let high = next()?;
            let wide = high & 0x80 != 0;
            let low = if wide { next()? } else { 0 };
            let value = if wide { u16::from_be_bytes([high & 0x7F, low]) } else { u16::from(high) };
            picture_id = Some(PictureId { value, wide, offset });
            offset += if wide { 2 } else { 1 };
        }
        let tl0_picidx = if has_tl0_picidx { Some(Tl0PicIdx { value: next()?, offset }) } else { None };
        let layers = if has_tid || has_key_idx { next()? } else { 0 };
        let header_len = at;
        let start_of_partition = first & 0x10 != 0;
        let partition = first & 0x07;
        let frame = payload.get(header_len..).unwrap_or_default();
        let mut is_key_frame = false;
        if start_of_partition && partition == 0 {
            // P, the lowest bit of the frame tag, is 0 in key frames (RFC 7741 §4.3).
            is_key_frame = frame.first().ok_or(Malformed::Truncated)? & 1 == 0;
        }
        Ok(Self {
            non_reference: first & 0x20 != 0,
            start_of_partition,
            partition,
            picture_id,
            tl0_picidx,
            tid: has_tid.then_some(layers >> 6),
            layer_sync: has_tid && layers & 0x20 != 0,
            key_idx: has_key_idx.then_some(layers & 0x1F),
            header_len,
            is_key_frame,
            resolution: if is_key_frame { resolution(frame) } else { None },
        })
    }

    /// The packet is the first of its frame.
    pub fn is_start_of_frame(&self) -> bool {
        self.start_of_partition && self.partition == 0
    }
}

/// Width and height of a key frame: after the frame tag and the start code, 14 bits each, little-endian, above them two
/// bits of scale (RFC 6386 §9.1).
fn resolution(frame: &[u8]) -> Option<(u16, u16)> {
    let [_, _, _, 0x9D, 0x01, 0x2A, width_low, width_high, height_low, height_high, ..] = *frame else {
        return None;
    };
    let size = |low, high| u16::from_le_bytes([low, high]) & 0x3FFF;
    Some((size(width_low, width_high), size(height_low, height_high)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_frame_as_chrome_sends_it_is_read() {
        #[rustfmt::skip]
        let payload = [
            0x90, // X, S, partition 0
            0xE0, // picture id, TL0PICIDX, TID
            0x92, 0x34, // 15 bits: 0x1234
            0x56, // TL0PICIDX
            0x20, // TID 0, Y
            0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, // key frame tag, start code
            0x80, 0x42, 0x68, 0x01, // 640 (scale 1), 360
        ];
        let expected = Descriptor {
            non_reference: false,
            start_of_partition: true,
            partition: 0,
            picture_id: Some(PictureId { value: 0x1234, wide: true, offset: 2 }),
            tl0_picidx: Some(Tl0PicIdx { value: 0x56, offset: 4 }),
            tid: Some(0),
            layer_sync: true,
            key_idx: None,
            header_len: 6,
            is_key_frame: true,
            resolution: Some((640, 360)),
        };
        assert_eq!(Descriptor::parse(&payload), Ok(expected));
        for length in 0..payload.len() {
            let read = Descriptor::parse(&payload[..length]);
            match length {
                0..=6 => assert_eq!(read, Err(Malformed::Truncated), "{length}"),
                _ => assert_eq!(read.unwrap().resolution, None, "{length}"),
            }
        }
    }

    /// (payload, header length, picture id, TL0PICIDX, tid, key index, start of frame, key frame)
    type Row = (&'static [u8], usize, Option<u16>, Option<u8>, Option<u8>, Option<u8>, bool, bool);

    #[test]
    fn each_optional_field_is_found() {
        let rows: &[Row] = &[
            (&[0x10, 0x00], 1, None, None, None, None, true, true),
            (&[0x10, 0x01], 1, None, None, None, None, true, false),
            (&[0x00], 1, None, None, None, None, false, false),
            (&[0x11, 0x00], 1, None, None, None, None, false, false),
            (&[0x90, 0x00, 0x01], 2, None, None, None, None, true, false),
            (&[0x80, 0x80, 0x7F], 3, Some(127), None, None, None, false, false),
            (&[0x80, 0x80, 0xFF, 0xFF], 4, Some(0x7FFF), None, None, None, false, false),
            (&[0x80, 0x40, 9], 3, None, Some(9), None, None, false, false),
            (&[0x80, 0x20, 0xC5], 3, None, None, Some(3), None, false, false),
            (&[0x80, 0x10, 0xE5], 3, None, None, None, Some(5), false, false),
            (&[0x80, 0xF0, 1, 2, 0x43], 5, Some(1), Some(2), Some(1), Some(3), false, false),
        ];
        for &(payload, header_len, picture_id, tl0_picidx, tid, key_idx, start, key) in rows {
            let read = Descriptor::parse(payload).unwrap();
            assert_eq!(read.header_len, header_len, "{payload:x?}");
            assert_eq!(read.picture_id.map(|id| id.value), picture_id, "{payload:x?}");
            assert_eq!(read.tl0_picidx.map(|index| index.value), tl0_picidx, "{payload:x?}");
            assert_eq!((read.tid, read.key_idx), (tid, key_idx), "{payload:x?}");
            assert_eq!((read.is_start_of_frame(), read.is_key_frame), (start, key), "{payload:x?}");
        }
        assert!(Descriptor::parse(&[0x20]).unwrap().non_reference);
        assert!(!Descriptor::parse(&[0x80, 0x10, 0x20]).unwrap().layer_sync, "Y means nothing without TID");
    }

    #[test]
    fn a_start_code_that_is_wrong_gives_no_resolution() {
        let payload = [0x10, 0, 0, 0, 0x9D, 0x01, 0x2B, 1, 0, 1, 0];
        let read = Descriptor::parse(&payload).unwrap();
        assert!(read.is_key_frame && read.resolution.is_none());
    }

    proptest! {
        #[test]
        fn offsets_of_any_payload_lie_inside_its_descriptor(payload in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Ok(read) = Descriptor::parse(&payload) {
                prop_assert!(read.header_len <= payload.len());
                prop_assert!(read.picture_id.is_none_or(|id| id.offset < read.header_len));
                prop_assert!(read.tl0_picidx.is_none_or(|index| payload[index.offset] == index.value));
            }
        }
    }
}

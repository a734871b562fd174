//! RTP header extensions: the one-byte and two-byte forms (RFC 8285) and the elements we read.

use crate::octets::{u16_at, u24_at};

/// Profile value of the one-byte form (RFC 8285 §4.2).
pub const ONE_BYTE_PROFILE: u16 = 0xBEDE;
/// Profile value of the two-byte form, lower four bits zero (RFC 8285 §4.3).
pub const TWO_BYTE_PROFILE: u16 = 0x1000;

/// The extension block of an RTP header as it stands, without its four bytes of profile and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// "Defined by profile": tells the form.
    pub profile: u16,
    /// A whole number of 32-bit words.
    pub data: &'a [u8],
}

/// One extension element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The negotiated id: 1..=14 in the one-byte form, 1..=255 in the two-byte form.
    pub id: u8,
    /// 1..=16 bytes in the one-byte form, 0..=255 in the two-byte form.
    pub data: &'a [u8],
}

impl<'a> Block<'a> {
    /// The elements in order. A profile of neither form has none.
    pub fn elements(&self) -> Elements<'a> {
        let form = match self.profile {
            ONE_BYTE_PROFILE => Form::OneByte,
            profile if profile & 0xFFF0 == TWO_BYTE_PROFILE => Form::TwoByte,
            _ => return Elements { rest: &[], form: Form::OneByte, malformed: false },
        };
        Elements { rest: self.data, form, malformed: false }
    }

    /// The data of the first element with this id, if the whole block is well-formed; a malformed block has no
    /// elements.
    pub fn find(&self, id: u8) -> Option<&'a [u8]> {
        let mut elements = self.elements();
        let found = elements.by_ref().find(|element| element.id == id)?;
        elements.by_ref().for_each(drop);
        (!elements.malformed()).then_some(found.data)
    }
}

#[derive(Clone, Copy, Debug)]
enum Form {
    OneByte,
    TwoByte,
}

/// Iterator over the elements of a block. It ends early at a length past the block's end, and then says so.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
    form: Form,
    malformed: bool,
}

impl Elements<'_> {
    /// Whether the iteration so far met a length past the end of the block.
    pub fn malformed(&self) -> bool {
        self.malformed
    }

    /// Id, length and own size of the next element's header. `None` ends the iteration.
    fn header(&mut self) -> Option<(u8, usize, usize)> {
        let first = *self.rest.first()?;
        match self.form {
            // Id 15, or a length with id 0, ends all reading, and what came before it counts (RFC 8285 §4.2).
            Form::OneByte if matches!(first >> 4, 0 | 15) => None,
            Form::OneByte => Some((first >> 4, usize::from(first & 0x0F) + 1, 1)),
            Form::TwoByte => {
                let length = self.rest.get(1);
                self.malformed |= length.is_none();
                Some((first, usize::from(*length?), 2))
            }
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        // Padding of both forms (RFC 8285 §4.1.2).
        while let [0, rest @ ..] = self.rest {
            self.rest = rest;
        }
        let Some((id, length, size)) = self.header() else {
            self.rest = &[];
            return None;
        };
        let end = size + length;
        let (Some(data), Some(rest)) = (self.rest.get(size..end), self.rest.get(end..)) else {
            self.malformed = true;
            self.rest = &[];
            return None;
        };
        self.rest = rest;
        Some(Element { id, data })
    }
}

/// What a client says about its audio packet's loudness (RFC 6464).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// Voice activity, as the sender claims.
    pub voice: bool,
    /// 0 (loudest) ..= 127 (silence), in −dBov.
    pub level: u8,
}

/// Read an audio level. It has one byte; more are padding that some senders of the two-byte form add (RFC 6464 §3).
pub fn audio_level(data: &[u8]) -> Option<AudioLevel> {
    let &first = data.first()?;
    Some(AudioLevel { voice: first & 0x80 != 0, level: first & 0x7F })
}

/// Read a transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2).
pub fn transport_cc(data: &[u8]) -> Option<u16> {
    u16_at(data, 0)
}

/// Read an absolute send time: 24 bits of seconds in 6.18 fixed point, wrapping every 64 s. Another size is refused.
pub fn abs_send_time(data: &[u8]) -> Option<u32> {
    (data.len() == 3).then(|| u24_at(data, 0)).flatten()
}

/// Read a MID or RID (RFC 8843 §15, RFC 8852 §3): text of 1..=255 bytes, without control characters.
pub fn identifier(data: &[u8]) -> Option<&str> {
    let text = core::str::from_utf8(data).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}

/// How a receiver must turn and flip the picture (3GPP TS 26.114 §7.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoOrientation {
    /// The back-facing camera is in use.
    pub back_camera: bool,
    /// Mirror horizontally.
    pub flip: bool,
    /// Quarter turns clockwise, 0..=3, that the receiver applies.
    pub quarter_turns: u8,
}

/// Read a video orientation.
pub fn video_orientation(data: &[u8]) -> Option<VideoOrientation> {
    let &first = data.first()?;
    Some(VideoOrientation { back_camera: first & 8 != 0, flip: first & 4 != 0, quarter_turns: first & 3 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// (name, profile, data, elements, malformed)
    type Row = (&'static str, u16, &'static [u8], &'static [(u8, &'static [u8])], bool);

    const ROWS: &[Row] = &[
        ("nothing", ONE_BYTE_PROFILE, &[], &[], false),
        ("one element", ONE_BYTE_PROFILE, &[0x11, 1, 2, 0], &[(1, &[1, 2])], false),
        ("two elements", ONE_BYTE_PROFILE, &[0x10, 9, 0xE0, 8], &[(1, &[9]), (14, &[8])], false),
        (
            "padding between",
            ONE_BYTE_PROFILE,
            &[0x10, 9, 0, 0, 0x20, 8, 0, 0],
            &[(1, &[9]), (2, &[8])],
            false,
        ),
        ("the same id twice", ONE_BYTE_PROFILE, &[0x10, 9, 0x10, 8], &[(1, &[9]), (1, &[8])], false),
        ("length past the end", ONE_BYTE_PROFILE, &[0x10, 9, 0x22, 8], &[(1, &[9])], true),
        ("nothing but a header", ONE_BYTE_PROFILE, &[0, 0, 0, 0x10], &[], true),
        ("id 15 ends it", ONE_BYTE_PROFILE, &[0x10, 9, 0xF0, 8, 0x20, 7, 0, 0], &[(1, &[9])], false),
        ("id 15 past the end", ONE_BYTE_PROFILE, &[0x10, 9, 0, 0xFF], &[(1, &[9])], false),
        ("id 0 with a length", ONE_BYTE_PROFILE, &[0x10, 9, 0x01, 8, 0x20, 7, 0, 0], &[(1, &[9])], false),
        ("two-byte", TWO_BYTE_PROFILE, &[1, 0, 15, 2, 7, 8, 0, 0], &[(1, &[]), (15, &[7, 8])], false),
        ("two-byte with bits", TWO_BYTE_PROFILE | 5, &[200, 1, 7, 0], &[(200, &[7])], false),
        ("two-byte past the end", TWO_BYTE_PROFILE, &[1, 1, 7, 2, 5, 0, 0, 0], &[(1, &[7])], true),
        ("two-byte cut header", TWO_BYTE_PROFILE, &[1, 1, 7, 2], &[(1, &[7])], true),
        ("another profile", 0xABCD, &[0x10, 9, 0, 0], &[], false),
    ];

    #[test]
    fn elements_of_both_forms_are_found() {
        for (name, profile, data, expected, malformed) in ROWS {
            let mut elements = Block { profile: *profile, data }.elements();
            let seen: Vec<_> = elements.by_ref().map(|element| (element.id, element.data)).collect();
            assert_eq!(seen, *expected, "{name}");
            assert_eq!(elements.malformed(), *malformed, "{name}");
            assert_eq!(elements.next(), None, "{name}");
        }
    }

    #[test]
    fn a_malformed_block_has_no_elements_to_find() {
        for (name, profile, data, expected, malformed) in ROWS {
            let block = Block { profile: *profile, data };
            for id in 0..=255u8 {
                let first = expected.iter().find(|(known, _)| *known == id).filter(|_| !malformed);
                assert_eq!(block.find(id), first.map(|(_, data)| *data), "{name} {id}");
            }
        }
    }

    #[test]
    fn values_are_read_from_data_of_their_size() {
        assert_eq!(audio_level(&[0x85]), Some(AudioLevel { voice: true, level: 5 }));
        assert_eq!(audio_level(&[0x7F, 0]), Some(AudioLevel { voice: false, level: 127 }));
        assert_eq!(audio_level(&[]), None);
        assert_eq!(transport_cc(&[0x12, 0x34]), Some(0x1234));
        assert_eq!(transport_cc(&[0x12]), None);
        assert_eq!(abs_send_time(&[1, 2, 3]), Some(0x01_0203));
        assert_eq!(abs_send_time(&[1, 2]), None);
        assert_eq!(abs_send_time(&[1, 2, 3, 4]), None);
        assert_eq!(identifier(b"audio-0"), Some("audio-0"));
        assert_eq!(identifier(b""), None);
        assert_eq!(identifier(&[0xFF]), None);
        assert_eq!(identifier(b"a\0"), None);
        let turned = VideoOrientation { back_camera: true, flip: false, quarter_turns: 3 };
        assert_eq!(video_orientation(&[0x0B]), Some(turned));
        assert_eq!(video_orientation(&[]), None);
    }

    proptest! {
        #[test]
        fn any_block_is_walked_to_an_end(data in prop::collection::vec(any::<u8>(), 0..100), two_byte: bool) {
            let profile = if two_byte { TWO_BYTE_PROFILE } else { ONE_BYTE_PROFILE };
            let block = Block { profile, data: &data };
            let size: usize = block.elements().map(|element| element.data.len() + 1).sum();
            prop_assert!(size <= data.len());
            prop_assert!(block.elements().all(|element| element.id != 0));
        }
    }
}

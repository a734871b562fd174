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

    /// Id, length and size of the element's header at the start of the rest. `None` ends the iteration.
    fn header(&mut self) -> Option<(u8, usize, usize)> {
        let first = *self.rest.first()?;
        match self.form {
            Form::OneByte => Some((first >> 4, usize::from(first & 0x0F) + 1, 1)),
            Form::TwoByte => {
                let Some(&length) = self.rest.get(1) else {
                    self.malformed = true;
                    return None;
                };
                Some((first, usize::from(length), 2))
            }
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        // Padding is a zero byte between elements in both forms (RFC 8285 §4.1.1). In the one-byte form id 0 with a
        // length is padding too for what follows its first byte (§4.2): skipped with its data.
        while let [0, rest @ ..] = self.rest {
            self.rest = rest;
        }
        loop {
            let Some((id, length, size)) = self.header() else {
                self.rest = &[];
                return None;
            };
            // Id 15 of the one-byte form stops all reading, whatever its length (§4.2).
            if matches!(self.form, Form::OneByte) && id == 15 {
                self.rest = &[];
                return None;
            }
            let (Some(data), Some(rest)) =
                (self.rest.get(size..size + length), self.rest.get(size + length..))
            else {
                self.malformed = true;
                self.rest = &[];
                return None;
            };
            self.rest = rest;
            if id != 0 {
                return Some(Element { id, data });
            }
            while let [0, rest @ ..] = self.rest {
                self.rest = rest;
            }
        }
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

/// Read an audio level: one byte, or two in the form that some senders of the two-byte form use.
pub fn audio_level(data: &[u8]) -> Option<AudioLevel> {
    let &first = data.first()?;
    Some(AudioLevel { voice: first & 0x80 != 0, level: first & 0x7F })
}

/// Read a transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2).
pub fn transport_cc(data: &[u8]) -> Option<u16> {
    u16_at(data, 0)
}

/// Read an absolute send time: 24 bits of seconds in 6.18 fixed point, wrapping every 64 s.
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

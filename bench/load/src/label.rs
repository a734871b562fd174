//! What the last bytes of every payload say: who made the packet, which one it is, and when it left.

use contract::session::Media;

/// The label of a packet. It stands at the end of the payload, so that a receiver finds it behind any descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Number of the endpoint in the run.
    pub endpoint: u32,
    /// Audio or video.
    pub media: Media,
    /// Simulcast encoding, or spatial layer.
    pub encoding: u8,
    /// Packets of this stream before this one.
    pub counter: u32,
    /// Frames of this stream before this one.
    pub frame: u32,
    /// When it was written, microseconds by the clock of the run.
    pub sent_us: u64,
}

impl Label {
    /// Bytes of a label: the smallest payload.
    pub const LEN: usize = 24;

    /// Writes it to the end of `payload`; nothing if that is too short.
    pub fn write(&self, payload: &mut [u8]) {
        let Some(at) = payload.len().checked_sub(Label::LEN) else { return };
        let out = &mut payload[at..];
        out[..2].copy_from_slice(&MAGIC);
        out[2] = u8::from(self.media == Media::Video);
        out[3] = self.encoding;
        out[4..8].copy_from_slice(&self.endpoint.to_be_bytes());
        out[8..12].copy_from_slice(&self.counter.to_be_bytes());
        out[12..16].copy_from_slice(&self.frame.to_be_bytes());
        out[16..24].copy_from_slice(&self.sent_us.to_be_bytes());
    }

    /// Reads it from the end of a payload without padding. `None` if it is no payload of a generator.
    pub fn read(payload: &[u8]) -> Option<Label> {
        let bytes = payload.get(payload.len().checked_sub(Label::LEN)?..)?;
        if bytes[..2] != MAGIC {
            return None;
        }
        let word = |at: usize| bytes.get(at..at + 4)?.first_chunk().copied().map(u32::from_be_bytes);
        Some(Label {
            media: if bytes[2] == 1 { Media::Video } else { Media::Audio },
            encoding: bytes[3],
            endpoint: word(4)?,
            counter: word(8)?,
            frame: word(12)?,
            sent_us: u64::from(word(16)?) << 32 | u64::from(word(20)?),
        })
    }
}

const MAGIC: [u8; 2] = *b"SL";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_at_the_end_of_any_payload() {
        let label = Label {
            endpoint: 70_000,
            media: Media::Video,
            encoding: 2,
            counter: 9,
            frame: 3,
            sent_us: 1 << 40,
        };
        for len in [24, 25, 1_200] {
            let mut payload = vec![7; len];
            label.write(&mut payload);
            assert_eq!(Label::read(&payload), Some(label));
        }
    }

    #[test]
    fn what_is_no_label_is_none() {
        assert_eq!(Label::read(&[0; 23]), None);
        assert_eq!(Label::read(&[0; 100]), None);
        let mut short = [0; 10];
        let label = Label { endpoint: 1, media: Media::Audio, encoding: 0, counter: 0, frame: 0, sent_us: 0 };
        label.write(&mut short);
        assert_eq!(short, [0; 10]);
    }
}

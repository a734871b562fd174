//! Datagrams on a byte stream: each behind its length in two bytes (RFC 4571 §2), as ICE-TCP carries them (RFC 6544 §3).

/// Bytes of the length in front of each frame.
pub const HEADER_BYTES: usize = 2;

/// Longest frame that is taken. A peer that announces more has lost its place or never had one.
pub const FRAME_BYTES_MAX: usize = 1_500;

/// A frame longer than [`FRAME_BYTES_MAX`] was announced: the stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Cuts a byte stream into frames. Holds at most one that is not whole yet.
pub struct FrameReader {
    partial: [u8; HEADER_BYTES + FRAME_BYTES_MAX],
    held: usize,
}

impl FrameReader {
    /// At the beginning of a stream.
    pub const fn new() -> FrameReader {
        FrameReader { partial: [0; HEADER_BYTES + FRAME_BYTES_MAX], held: 0 }
    }

    /// Takes the next bytes of the stream and shows `frame` each frame that they complete, in order. Empty frames are
    /// shown too.
    ///
    /// # Errors
    /// The stream is of no use any more; frames before the fault have been shown.
    pub fn read(&mut self, mut bytes: &[u8], mut frame: impl FnMut(&[u8])) -> Result<(), TooLong> {
        while !bytes.is_empty() {
            if self.held == 0
                && let Some((whole, rest)) = first_frame(bytes)?
            {
                frame(whole);
                bytes = rest;
                continue;
            }
            bytes = self.hold(bytes)?;
            if let Some((whole, _)) = first_frame(&self.partial[..self.held])? {
                frame(whole);
                self.held = 0;
            }
        }
        Ok(())
    }

    /// Whether a frame has begun and is not whole.
    pub fn is_amid_frame(&self) -> bool {
        self.held > 0
    }

    /// Moves what the frame in hand still lacks; gives the rest.
    fn hold<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], TooLong> {
        let wanted = match self.partial[..self.held] {
            [high, low, ..] => HEADER_BYTES + announced(high, low)?,
            _ => HEADER_BYTES,
        };
        let taken = (wanted - self.held).min(bytes.len());
        self.partial[self.held..self.held + taken].copy_from_slice(&bytes[..taken]);
        self.held += taken;
        Ok(&bytes[taken..])
    }
}

impl Default for FrameReader {
    fn default() -> Self {
        FrameReader::new()
    }
}

/// The length that stands in front of a datagram of `len` bytes; `None` if it is too long for any frame.
pub fn header(len: usize) -> Option<[u8; HEADER_BYTES]> {
    u16::try_from(len).ok().map(u16::to_be_bytes)
}

/// A frame and what follows it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// The frame at the beginning of `bytes` and what follows it, if it is whole.
fn first_frame(bytes: &[u8]) -> Result<Option<Split<'_>>, TooLong> {
    let [high, low, rest @ ..] = bytes else { return Ok(None) };
    Ok(rest.split_at_checked(announced(*high, *low)?))
}

fn announced(high: u8, low: u8) -> Result<usize, TooLong> {
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > FRAME_BYTES_MAX { Err(TooLong) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in frames {
            bytes.extend(header(frame.len()).expect("short"));
            bytes.extend(frame);
        }
        bytes
    }

    fn read_in_pieces(bytes: &[u8], cuts: &[usize]) -> (Vec<Vec<u8>>, Result<(), TooLong>, bool) {
        let mut reader = FrameReader::new();
        let mut frames = Vec::new();
        let mut rest = bytes;
        let mut cuts = cuts.iter().copied().cycle();
        while !rest.is_empty() {
            let cut = cuts.next().unwrap_or(1).clamp(1, rest.len());
            let (piece, after) = rest.split_at(cut);
            let read = reader.read(piece, |frame| frames.push(frame.to_vec()));
            if read.is_err() {
                return (frames, read, false);
            }
            rest = after;
        }
        (frames, Ok(()), reader.is_amid_frame())
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_the_stream_is_cut(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..=FRAME_BYTES_MAX), 0..6),
            cuts in proptest::collection::vec(1usize..2_000, 1..8),
        ) {
            let (read, result, amid) = read_in_pieces(&stream(&frames), &cuts);
            prop_assert_eq!((read, result, amid), (frames, Ok(()), false));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..4_000), cut in 1usize..500) {
            let _ = read_in_pieces(&bytes, &[cut]);
        }
    }

    #[test]
    fn a_frame_too_long_ends_the_stream_whether_its_length_comes_at_once_or_byte_by_byte() {
        let mut bytes = stream(&[vec![7; 3]]);
        bytes.extend([0x05, 0xDD]);
        for cuts in [&[100][..], &[1], &[6, 100]] {
            assert_eq!(read_in_pieces(&bytes, cuts), (vec![vec![7; 3]], Err(TooLong), false), "{cuts:?}");
        }
        let (_, longest, amid) = read_in_pieces(&[0x05, 0xDC], &[2]);
        assert_eq!((longest, amid), (Ok(()), true), "1,500 bytes are fine");
    }

    #[test]
    fn a_header_holds_sixteen_bits() {
        assert_eq!(header(0x1234), Some([0x12, 0x34]));
        assert_eq!(header(65_536), None);
    }
}

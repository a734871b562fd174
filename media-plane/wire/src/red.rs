//! Redundant audio (RFC 2198 §3): several encodings of past moments before the present one.

use core::ops::Range;

use crate::octets::{u8_at, u32_at};

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
    primary_at: usize,
}

impl<'a> Red<'a> {
    /// Check that all headers and blocks lie inside the payload.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let (mut at, mut blocks_len, mut count) = (0, 0, 1);
        while u8_at(payload, at).ok_or(Malformed::Headers)? & FOLLOWED != 0 {
            count += 1;
            if count > BLOCKS_MAX {
                return Err(Malformed::TooManyBlocks);
            }
            blocks_len += block_len(u32_at(payload, at).ok_or(Malformed::Headers)?);
            at += BLOCK_HEADER_LEN;
        }
        let headers_len = at + 1;
        let primary_at = headers_len + blocks_len;
        if primary_at > payload.len() {
            return Err(Malformed::Blocks);
        }
        Ok(Self { payload, headers_len, primary_at })
    }

    /// The blocks from the oldest to the primary one, which is last.
    pub fn blocks(&self) -> impl Iterator<Item = RedBlock> + Clone + 'a {
        let mut start = self.headers_len;
        let headers = self.payload.get(..self.headers_len - 1).unwrap_or_default();
        let older = headers.chunks_exact(BLOCK_HEADER_LEN).filter_map(move |header| {
            let word = u32_at(header, 0)?;
            let range = start..start + block_len(word);
            start = range.end;
            // 1 bit of "followed", 7 of payload type, 14 of offset, 10 of length.
            Some(RedBlock {
                payload_type: (word >> 24 & 0x7F) as u8,
                timestamp_offset: (word >> 10 & 0x3FFF) as u16,
                range,
            })
        });
        older.chain(core::iter::once(self.primary()))
    }

    /// The present encoding.
    pub fn primary(&self) -> RedBlock {
        let payload_type = u8_at(self.payload, self.headers_len - 1).unwrap_or(0) & 0x7F;
        RedBlock { payload_type, timestamp_offset: 0, range: self.primary_at..self.payload.len() }
    }
}

/// Write a payload: older blocks as (payload type, timestamp offset, data), oldest first, then the primary one. Its length; `None`
/// if there is no room, or a block does not fit its header.
pub fn write(out: &mut [u8], older: &[(u8, u16, &[u8])], payload_type: u8, primary: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        out.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
        at += bytes.len();
        Some(at)
    };
    for (payload_type, offset, data) in older {
        let fits = data.len() <= 0x3FF && *offset <= 0x3FFF;
        let len = u32::try_from(data.len()).ok().filter(|_| fits)?;
        let word = 1 << 31 | u32::from(payload_type & 0x7F) << 24 | u32::from(*offset) << 10 | len;
        put(&word.to_be_bytes())?;
    }
    put(&[payload_type & 0x7F])?;
    for (_, _, data) in older {
        put(data)?;
    }
    put(primary)
}

/// Set in a header that another one follows.
const FOLLOWED: u8 = 0x80;
/// All headers but the last, which has one byte.
const BLOCK_HEADER_LEN: usize = 4;

fn block_len(header: u32) -> usize {
    (header & 0x3FF) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn older_blocks_come_before_the_primary_one() {
        #[rustfmt::skip]
        let payload = [
            0x80 | 111, 0x0F, 0x00, 0x02, // 960 ticks ago, two bytes
            0x80 | 96, 0x07, 0x80, 0x01, // 480 ticks ago, one byte
            111, 1, 2, 3, 4, 5, 6,
        ];
        let red = Red::parse(&payload).unwrap();
        let expected = [
            RedBlock { payload_type: 111, timestamp_offset: 960, range: 9..11 },
            RedBlock { payload_type: 96, timestamp_offset: 480, range: 11..12 },
            RedBlock { payload_type: 111, timestamp_offset: 0, range: 12..15 },
        ];
        assert!(red.blocks().eq(expected.clone()));
        assert_eq!(red.primary(), expected[2]);
    }

    #[test]
    fn lengths_past_the_end_are_refused() {
        type Row = (&'static [u8], Result<Range<usize>, Malformed>);
        let rows: &[Row] = &[
            (&[], Err(Malformed::Headers)),
            (&[111], Ok(1..1)),
            (&[0x80 | 111], Err(Malformed::Headers)),
            (&[0x80 | 111, 0, 0, 0], Err(Malformed::Headers)),
            (&[0x80 | 111, 0, 0, 0, 111], Ok(5..5)),
            (&[0x80 | 111, 0, 0, 1, 111], Err(Malformed::Blocks)),
            (&[0x80 | 111, 0, 3, 0xFF, 111, 0], Err(Malformed::Blocks)),
            (&[0x80 | 111, 0, 0, 1, 111, 7], Ok(6..6)),
        ];
        for (payload, expected) in rows {
            assert_eq!(&Red::parse(payload).map(|red| red.primary().range), expected, "{payload:?}");
        }
        let mut nested = [0x80 | 111, 0, 0, 0].repeat(BLOCKS_MAX - 1);
        nested.push(111);
        assert_eq!(Red::parse(&nested).unwrap().blocks().count(), BLOCKS_MAX);
        let mut nested = [0x80 | 111, 0, 0, 0].repeat(BLOCKS_MAX);
        nested.push(111);
        assert_eq!(Red::parse(&nested), Err(Malformed::TooManyBlocks));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let older: [(u8, u16, &[u8]); 2] = [(111, 1_920, &[1, 2, 3]), (111, 960, &[4])];
        let mut out = [0; 64];
        let len = write(&mut out, &older, 111, &[5, 6]).unwrap();
        let red = Red::parse(&out[..len]).unwrap();
        let read: Vec<_> =
            red.blocks().map(|block| (block.timestamp_offset, out[block.range].to_vec())).collect();
        assert_eq!(read, [(1_920, vec![1, 2, 3]), (960, vec![4]), (0, vec![5, 6])]);
        assert_eq!(write(&mut out[..len - 1], &older, 111, &[5, 6]), None);
        assert_eq!(write(&mut out, &[(111, 0x4000, &[])], 111, &[5, 6]), None);
    }

    proptest! {
        #[test]
        fn blocks_of_any_payload_lie_side_by_side_to_its_end(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(red) = Red::parse(&payload) {
                let mut end = red.headers_len;
                for block in red.blocks() {
                    prop_assert_eq!(block.range.start, end);
                    end = block.range.end;
                }
                prop_assert_eq!(end, payload.len());
            }
        }
    }
}

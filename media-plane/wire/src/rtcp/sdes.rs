//! Source descriptions (RFC 3550 §6.5), of which only CNAME is of use to us.

use super::{packet_type, write_packet};
use crate::octets::{u8_at, u32_at};

const ITEM_END: u8 = 0;
const ITEM_CNAME: u8 = 1;

/// A received SDES packet.
#[derive(Clone, Copy, Debug)]
pub struct Sdes<'a> {
    chunks: &'a [u8],
    count: u8,
}

/// One stream described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The stream.
    pub ssrc: u32,
    /// Its CNAME as on the wire, if given.
    pub cname: Option<&'a [u8]>,
}

impl<'a> Sdes<'a> {
    /// The streams described.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk<'a>> + Clone + 'a {
        let mut rest = self.chunks;
        (0..self.count).map_while(move |_| {
            let (chunk, after) = split_chunk(rest)?;
            rest = after;
            Some(chunk)
        })
    }

    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let mut rest = body;
        for _ in 0..count {
            rest = split_chunk(rest)?.1;
        }
        Some(Self { chunks: body, count })
    }
}

/// Take the first chunk off; it ends on a whole word after at least one zero byte (RFC 3550 §6.5).
fn split_chunk(bytes: &[u8]) -> Option<(Chunk<'_>, &[u8])> {
    let mut chunk = Chunk { ssrc: u32_at(bytes, 0)?, cname: None };
    let mut at = 4;
    loop {
        let kind = u8_at(bytes, at)?;
        if kind == ITEM_END {
            return Some((chunk, bytes.get((at + 1).next_multiple_of(4)..)?));
        }
        let length = usize::from(u8_at(bytes, at + 1)?);
        let text = bytes.get(at + 2..at + 2 + length)?;
        if kind == ITEM_CNAME {
            chunk.cname.get_or_insert(text);
        }
        at += 2 + length;
    }
}

/// Write an SDES packet of one stream and its CNAME of at most 255 bytes; its length.
pub fn write(out: &mut [u8], ssrc: u32, cname: &str) -> Option<usize> {
    let length = u8::try_from(cname.len()).ok()?;
    write_packet(out, packet_type::SDES, 1, |output| {
        output.u32(ssrc)?;
        output.put(&[ITEM_CNAME, length])?;
        output.put(cname.as_bytes())?;
        output.u8(ITEM_END)
    })
}

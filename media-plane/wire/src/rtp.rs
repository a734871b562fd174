//! RTP packets (RFC 3550 §5.1): views of received ones and the header of those we send.

use crate::octets::{u16_at, u32_at};
use crate::rtp_extension::{self, Block, Elements};

/// The fixed part of an RTP header, in bytes.
pub const FIXED_HEADER_LEN: usize = 12;

/// Profile and length of an extension block (RFC 8285 §4), in bytes.
const EXTENSION_HEAD_LEN: usize = 4;

/// Why bytes are no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than the fixed header.
    Truncated,
    /// Not version 2.
    Version,
    /// The CSRC list runs past the end.
    Csrc,
    /// The header extension runs past the end.
    Extension,
    /// The padding is zero long or longer than the payload.
    Padding,
}

/// The header of a packet whose payload and padding are not looked at, as they may be encrypted (RFC 3711).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderPrefix<'a> {
    header: Header,
    padded: bool,
    header_len: usize,
    extension: Option<Block<'a>>,
}

impl<'a> HeaderPrefix<'a> {
    /// Read fixed header, CSRC list and extension bounds; all of them lie inside `datagram`.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let [first, second, ..] = *datagram else { return Err(Malformed::Truncated) };
        if first >> 6 != 2 {
            return Err(Malformed::Version);
        }
        let (Some(sequence), Some(timestamp), Some(ssrc)) =
            (u16_at(datagram, 2), u32_at(datagram, 4), u32_at(datagram, 8))
        else {
            return Err(Malformed::Truncated);
        };
        let header =
            Header { marker: second & 0x80 != 0, payload_type: second & 0x7F, sequence, timestamp, ssrc };
        let mut header_len = FIXED_HEADER_LEN + 4 * usize::from(first & 0x0F);
        if header_len > datagram.len() {
            return Err(Malformed::Csrc);
        }
        let mut extension = None;
        if first & 0x10 != 0 {
            let block = extension_block(datagram, header_len).ok_or(Malformed::Extension)?;
            header_len += 4 + block.data.len();
            extension = Some(block);
        }
        Ok(Self { header, padded: first & 0x20 != 0, header_len, extension })
    }

    /// The fixed fields.
    pub fn header(&self) -> Header {
        self.header
    }

    /// The stream that the packet belongs to.
    pub fn ssrc(&self) -> u32 {
        self.header.ssrc
    }

    /// The sequence number as on the wire.
    pub fn sequence(&self) -> u16 {
        self.header.sequence
    }

    /// 0..=127.
    pub fn payload_type(&self) -> u8 {
        self.header.payload_type
    }

    /// The media clock as on the wire.
    pub fn timestamp(&self) -> u32 {
        self.header.timestamp
    }

    /// The marker bit.
    pub fn marker(&self) -> bool {
        self.header.marker
    }

    /// Bytes before the payload: fixed header, CSRC list and extension. Never more than the datagram has.
    pub fn header_len(&self) -> usize {
        self.header_len
    }

    /// The extension block, if there is one.
    pub fn extension(&self) -> Option<Block<'a>> {
        self.extension
    }
}

/// A whole, decrypted packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    prefix: HeaderPrefix<'a>,
    payload: &'a [u8],
    padding_len: usize,
}

impl<'a> Packet<'a> {
    /// Read a packet. Padding may take the whole payload, not more (RFC 3550 A.1).
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let prefix = HeaderPrefix::parse(datagram)?;
        let body = datagram.get(prefix.header_len..).ok_or(Malformed::Truncated)?;
        if !prefix.padded {
            return Ok(Self { prefix, payload: body, padding_len: 0 });
        }
        let padding_len = body.last().map_or(0, |&last| usize::from(last));
        if padding_len == 0 {
            return Err(Malformed::Padding);
        }
        let payload_len = body.len().checked_sub(padding_len).ok_or(Malformed::Padding)?;
        let payload = body.get(..payload_len).ok_or(Malformed::Padding)?;
        Ok(Self { prefix, payload, padding_len })
    }

    /// The fixed fields.
    pub fn header(&self) -> Header {
        self.prefix.header
    }

    /// The marker bit.
    pub fn marker(&self) -> bool {
        self.prefix.header.marker
    }

    /// 0..=127.
    pub fn payload_type(&self) -> u8 {
        self.prefix.header.payload_type
    }

    /// The sequence number as on the wire.
    pub fn sequence(&self) -> u16 {
        self.prefix.header.sequence
    }

    /// The media clock as on the wire.
    pub fn timestamp(&self) -> u32 {
        self.prefix.header.timestamp
    }

    /// The stream that the packet belongs to.
    pub fn ssrc(&self) -> u32 {
        self.prefix.header.ssrc
    }

    /// Bytes before the payload: fixed header, CSRC list and extension.
    pub fn header_len(&self) -> usize {
        self.prefix.header_len
    }

    /// The payload without padding; empty in a padding-only packet.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Padding bytes after the payload, the count byte included.
    pub fn padding_len(&self) -> usize {
        self.padding_len
    }

    /// The extension block, if there is one.
    pub fn extension(&self) -> Option<Block<'a>> {
        self.prefix.extension
    }

    /// The extension elements in order; none without an extension block.
    pub fn extensions(&self) -> Elements<'a> {
        self.prefix.extension.unwrap_or(Block { profile: 0, data: &[] }).elements()
    }
}

/// The fields of the fixed header that we carry from packet to packet. CSRCs are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The marker bit.
    pub marker: bool,
    /// 0..=127; the top bit is ignored in writing.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The media clock.
    pub timestamp: u32,
    /// The stream.
    pub ssrc: u32,
}

impl Header {
    /// Write the header with these (id, data) elements to the start of `out`; the header's length, or `None` if `out`
    /// is shorter than [`FIXED_HEADER_LEN`].
    ///
    /// The one-byte form is used if every element allows it (ids 1..=14, 1..=16 bytes), else the two-byte form if
    /// `allow_two_byte`. Elements that the form or the room left in `out` cannot hold are left out, so that a packet
    /// loses an extension rather than its way; pass a shortened `out` to keep room for the payload.
    pub fn write(&self, out: &mut [u8], extensions: &[(u8, &[u8])], allow_two_byte: bool) -> Option<usize> {
        let (fixed, rest) = out.split_first_chunk_mut::<FIXED_HEADER_LEN>()?;
        let [timestamp, ssrc] = [self.timestamp, self.ssrc].map(u32::to_be_bytes);
        let [high, low] = self.sequence.to_be_bytes();
        *fixed =
            [0x80, u8::from(self.marker) << 7 | self.payload_type & 0x7F, high, low, 0, 0, 0, 0, 0, 0, 0, 0];
        fixed[4..8].copy_from_slice(&timestamp);
        fixed[8..].copy_from_slice(&ssrc);
        let one_byte = !allow_two_byte || extensions.iter().all(|(id, data)| fits_one_byte(*id, data));
        let Some(written) = write_extensions(rest, extensions, one_byte) else {
            return Some(FIXED_HEADER_LEN);
        };
        fixed[0] |= 0x10;
        Some(FIXED_HEADER_LEN + written)
    }
}

fn fits_one_byte(id: u8, data: &[u8]) -> bool {
    (1..=14).contains(&id) && (1..=16).contains(&data.len())
}

/// Write the extension block to the start of `out`; its length, or `None` if no element could be written.
fn write_extensions(out: &mut [u8], extensions: &[(u8, &[u8])], one_byte: bool) -> Option<usize> {
    if extensions.is_empty() {
        return None;
    }
    let (head, block) = out.split_first_chunk_mut::<EXTENSION_HEAD_LEN>()?;
    let room = block.len() & !3;
    let mut len = 0;
    for &(id, data) in extensions {
        let size = if one_byte { 1 } else { 2 } + data.len();
        let suits =
            if one_byte { fits_one_byte(id, data) } else { id != 0 && data.len() <= usize::from(u8::MAX) };
        // The block ends on a word: the padding must fit too.
        let Some(place) = block[..room].get_mut(len..len + size).filter(|_| suits) else { continue };
        let length = data.len() as u8;
        match (one_byte, place) {
            (true, [first, place @ ..]) => {
                *first = id << 4 | (length - 1);
                place.copy_from_slice(data);
            }
            (false, [first, second, place @ ..]) => {
                (*first, *second) = (id, length);
                place.copy_from_slice(data);
            }
            _ => continue,
        }
        len += size;
    }
    if len == 0 {
        return None;
    }
    let end = len.next_multiple_of(4);
    block[len..end].fill(0);
    let profile = if one_byte { rtp_extension::ONE_BYTE_PROFILE } else { rtp_extension::TWO_BYTE_PROFILE };
    let words = u16::try_from(end / 4).ok()?;
    let ([a, b], [c, d]) = (profile.to_be_bytes(), words.to_be_bytes());
    *head = [a, b, c, d];
    Some(EXTENSION_HEAD_LEN + end)
}

fn extension_block(datagram: &[u8], at: usize) -> Option<Block<'_>> {
    let profile = u16_at(datagram, at)?;
    let length = 4 * usize::from(u16_at(datagram, at + 2)?);
    Some(Block { profile, data: datagram.get(at + 4..at + 4 + length)? })
}

#[cfg(test)]
mod tests;

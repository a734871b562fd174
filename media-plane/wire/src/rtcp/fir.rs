//! Full intra requests (RFC 5104 §4.3.1).

use super::{format, packet_type, write_packet};
use crate::octets::{u8_at, u32_at};

const ENTRY_LEN: usize = 8;

/// One stream that shall send a key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The stream.
    pub ssrc: u32,
    /// Rises with each new request; a repeat keeps it.
    pub sequence: u8,
}

/// A received FIR.
#[derive(Clone, Copy, Debug)]
pub struct Fir<'a> {
    sender_ssrc: u32,
    items: &'a [u8],
}

impl<'a> Fir<'a> {
    /// Who asks.
    pub fn sender_ssrc(&self) -> u32 {
        self.sender_ssrc
    }

    /// The streams asked.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + Clone + 'a {
        self.items
            .chunks_exact(ENTRY_LEN)
            .filter_map(|item| Some(Entry { ssrc: u32_at(item, 0)?, sequence: u8_at(item, 4)? }))
    }

    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        // The media SSRC between is unused (RFC 5104 §4.3.1.2).
        let items = body.get(8..).filter(|items| items.len() >= ENTRY_LEN)?;
        Some(Self { sender_ssrc: u32_at(body, 0)?, items })
    }
}

/// Write a FIR; its length. `None` without entries.
pub fn write(out: &mut [u8], sender_ssrc: u32, entries: &[Entry]) -> Option<usize> {
    if entries.is_empty() {
        return None;
    }
    write_packet(out, packet_type::PAYLOAD_FEEDBACK, format::FIR, |output| {
        output.u32(sender_ssrc)?;
        output.u32(0)?;
        entries.iter().try_for_each(|entry| {
            output.u32(entry.ssrc)?;
            output.put(&[entry.sequence, 0, 0, 0])
        })
    })
}

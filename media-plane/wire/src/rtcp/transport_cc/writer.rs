//! Writing transport-wide feedback: the layout is chosen by walking the arrivals twice, so that nothing is stored.

use super::{LARGE, NOT_RECEIVED, RUN_MAX, SMALL, STATUSES_MAX, VECTOR_ONE_BIT, VECTOR_TWO_BIT};
use crate::octets::Output;
use crate::rtcp::{format, packet_type, write_packet};

/// Units of 250 µs in one of the reference time.
const TICKS_PER_REFERENCE: i64 = 256;
/// The common header and the fixed fields.
const PACKET_FIXED_LEN: usize = 20;

/// The fixed fields of a feedback to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// Ourselves.
    pub sender_ssrc: u32,
    /// Any stream of the transport.
    pub media_ssrc: u32,
    /// The first sequence number spoken of.
    pub base_sequence: u16,
    /// In units of 64 ms since the origin that the arrivals are counted from; its low 24 bits are written.
    pub reference_time: i64,
    /// Counts the feedbacks.
    pub feedback_count: u8,
}

/// What [`write()`] managed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the packet.
    pub len: usize,
    /// How many of the arrivals it covers; the caller starts its next feedback after them.
    pub statuses: usize,
}

/// Write a feedback. `arrivals[i]` is when the packet `base_sequence + i` arrived, in units of 250 µs since the origin
/// (256 of them are one unit of the reference time), or `None` if it did not.
///
/// It stops before a delta that does not fit into 16 bits and before the buffer is full. `None` if not even one status
/// can be written.
pub fn write(out: &mut [u8], feedback: &Feedback, arrivals: &[Option<i64>]) -> Option<Written> {
    // The packet ends on a word.
    let room = (out.len() - out.len() % 4).checked_sub(PACKET_FIXED_LEN)?;
    let walk = Walk::new(feedback, arrivals);
    let statuses = plan(walk.clone(), room);
    let status_count = u16::try_from(statuses).ok().filter(|&count| count > 0)?;
    let len = write_packet(out, packet_type::TRANSPORT_FEEDBACK, format::TRANSPORT_CC, |output| {
        output.u32(feedback.sender_ssrc)?;
        output.u32(feedback.media_ssrc)?;
        output.u16(feedback.base_sequence)?;
        output.u16(status_count)?;
        output.u24((feedback.reference_time & 0xFF_FFFF) as u32)?;
        output.u8(feedback.feedback_count)?;
        let mut chunks = walk.clone().limited(statuses);
        while chunks.left() > 0 {
            output.u16(next_chunk(&mut chunks).0)?;
        }
        walk.limited(statuses).try_for_each(|delta| put_delta(output, delta))
    })?;
    Some(Written { len, statuses })
}

/// The deltas of the arrivals, one after another; ends before one that does not fit into 16 bits.
#[derive(Clone)]
struct Walk<'a> {
    arrivals: &'a [Option<i64>],
    /// When the last packet arrived, in ticks.
    last: i64,
}

impl<'a> Walk<'a> {
    fn new(feedback: &Feedback, arrivals: &'a [Option<i64>]) -> Self {
        let last = feedback.reference_time.saturating_mul(TICKS_PER_REFERENCE);
        let arrivals = arrivals.get(..usize::from(STATUSES_MAX)).unwrap_or(arrivals);
        Self { arrivals, last }
    }

    fn limited(self, count: usize) -> Self {
        Self { arrivals: self.arrivals.get(..count).unwrap_or(self.arrivals), ..self }
    }

    fn left(&self) -> usize {
        self.arrivals.len()
    }
}

impl Iterator for Walk<'_> {
    type Item = Option<i16>;

    fn next(&mut self) -> Option<Option<i16>> {
        let (first, rest) = self.arrivals.split_first()?;
        let mut delta = None;
        if let Some(arrival) = *first {
            delta = Some(i16::try_from(arrival.checked_sub(self.last)?).ok()?);
            self.last = arrival;
        }
        self.arrivals = rest;
        Some(delta)
    }
}

/// How many statuses fit into `room` bytes of chunks and deltas.
///
/// Walks as the writing will; a chunk that does not fit with all its deltas is cut to what does.
fn plan(walk: Walk<'_>, room: usize) -> usize {
    let encodable = walk.clone().count();
    let mut ahead = walk.limited(encodable);
    let (mut used, mut statuses) = (0, 0);
    while ahead.left() > 0 {
        let before = ahead.clone();
        let (_, count) = next_chunk(&mut ahead);
        used += 2;
        for delta in before.take(count) {
            used += usize::from(symbol(delta));
            if used > room {
                return statuses;
            }
            statuses += 1;
        }
    }
    statuses
}

/// The chunk that says most of what comes next, and how many statuses it covers; the walk moves on past them.
fn next_chunk(walk: &mut Walk<'_>) -> (u16, usize) {
    let first = walk.clone().next().map_or(NOT_RECEIVED, symbol);
    let run = walk.clone().take(usize::from(RUN_MAX)).take_while(|&delta| symbol(delta) == first).count();
    let left = walk.left();
    if run >= usize::from(VECTOR_ONE_BIT)
        || run == left
        || (first == LARGE && run >= usize::from(VECTOR_TWO_BIT))
    {
        walk.by_ref().take(run).for_each(drop);
        // At most `RUN_MAX`.
        return (u16::from(first) << 13 | run as u16, run);
    }
    let next = walk.clone().take(usize::from(VECTOR_ONE_BIT));
    // A vector is full or the last: what it leaves open would be read as "not received".
    let (word, bits, most) = if next.clone().all(|delta| symbol(delta) != LARGE) {
        (0x8000, 1, VECTOR_ONE_BIT)
    } else {
        (0xC000, 2, VECTOR_TWO_BIT)
    };
    let count = left.min(usize::from(most));
    let vector = walk.by_ref().take(count).fold(0, |vector, delta| vector << bits | u16::from(symbol(delta)));
    // The first symbol stands at the top of the 14 bits.
    let unused = usize::from(most) - count;
    (word | vector << (unused * bits), count)
}

fn symbol(delta: Option<i16>) -> u8 {
    match delta {
        None => NOT_RECEIVED,
        Some(0..=255) => SMALL,
        Some(_) => LARGE,
    }
}

fn put_delta(output: &mut Output<'_>, delta: Option<i16>) -> Option<()> {
    match delta {
        None => Some(()),
        Some(small @ 0..=255) => output.u8(small as u8),
        Some(large) => output.u16(large.cast_unsigned()),
    }
}

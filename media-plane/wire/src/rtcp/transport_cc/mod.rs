//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

#[cfg(test)]
mod tests;
mod writer;

pub use writer::{Feedback, Written, write};

use crate::octets::{u8_at, u16_at, u24_at, u32_at};

/// Most packet statuses of one feedback that are read: over a second of the fastest endpoint. A run-length chunk of two
/// bytes can claim 8,191, so that without a bound a small packet could make us walk 65,535.
pub const STATUSES_MAX: u16 = 8_192;

/// One packet that the feedback speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its transport-wide sequence number.
    pub sequence: u16,
    /// If it arrived: how long after the one that arrived before it (the first: after the reference time), in units of
    /// 250 µs.
    pub delta: Option<i16>,
}

/// A received feedback; chunks and deltas have been checked.
#[derive(Clone, Copy, Debug)]
pub struct TransportCc<'a> {
    sender_ssrc: u32,
    media_ssrc: u32,
    base_sequence: u16,
    status_count: u16,
    reference_time: i32,
    feedback_count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> TransportCc<'a> {
    /// Who reports.
    pub fn sender_ssrc(&self) -> u32 {
        self.sender_ssrc
    }

    /// Any stream of the transport.
    pub fn media_ssrc(&self) -> u32 {
        self.media_ssrc
    }

    /// The first sequence number spoken of.
    pub fn base_sequence(&self) -> u16 {
        self.base_sequence
    }

    /// How many sequence numbers are spoken of, at most [`STATUSES_MAX`].
    pub fn status_count(&self) -> u16 {
        self.status_count
    }

    /// In units of 64 ms, 24 bits, signed; unwrap against the last one.
    pub fn reference_time(&self) -> i32 {
        self.reference_time
    }

    /// Counts the feedbacks.
    pub fn feedback_count(&self) -> u8 {
        self.feedback_count
    }

    /// Every sequence number spoken of, in order.
    pub fn statuses(&self) -> Statuses<'a> {
        Statuses {
            sequence: self.base_sequence,
            left: self.status_count,
            chunk: Chunk::default(),
            chunks: self.chunks,
            deltas: self.deltas,
        }
    }

    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let status_count = u16_at(body, 10).filter(|&count| count <= STATUSES_MAX)?;
        // 24 bits, sign-extended from the upper end of 32.
        let reference_time = (u24_at(body, 12)? << 8).cast_signed() >> 8;
        let after = body.get(FIXED_LEN..)?;
        let (mut chunks_len, mut deltas_len, mut left) = (0, 0, status_count);
        while left > 0 {
            let chunk = Chunk::read(after, chunks_len)?;
            let taken = left.min(chunk.left);
            deltas_len += chunk.deltas_len(taken)?;
            left -= taken;
            chunks_len += 2;
        }
        Some(Self {
            sender_ssrc: u32_at(body, 0)?,
            media_ssrc: u32_at(body, 4)?,
            base_sequence: u16_at(body, 8)?,
            status_count,
            reference_time,
            feedback_count: u8_at(body, 15)?,
            chunks: after.get(..chunks_len)?,
            deltas: after.get(chunks_len..chunks_len + deltas_len)?,
        })
    }
}

/// Iterator over the statuses of a feedback.
#[derive(Clone, Debug)]
pub struct Statuses<'a> {
    sequence: u16,
    left: u16,
    chunk: Chunk,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl Iterator for Statuses<'_> {
    type Item = Status;

    fn next(&mut self) -> Option<Status> {
        if self.left == 0 {
            return None;
        }
        if self.chunk.left == 0 {
            self.chunk = Chunk::read(self.chunks, 0)?;
            self.chunks = self.chunks.get(2..)?;
        }
        let (delta, size) = match self.chunk.next()? {
            SMALL => (Some(i16::from(u8_at(self.deltas, 0)?)), 1),
            LARGE => (Some(u16_at(self.deltas, 0)?.cast_signed()), 2),
            _ => (None, 0),
        };
        self.deltas = self.deltas.get(size..)?;
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        self.left -= 1;
        Some(Status { sequence, delta })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

/// Bytes of the body before the chunks.
const FIXED_LEN: usize = 16;

/// Symbols of two bits (§3.1.1). The fourth is reserved.
const NOT_RECEIVED: u8 = 0;
const SMALL: u8 = 1;
const LARGE: u8 = 2;

/// The symbols of a chunk that are still to come.
#[derive(Clone, Copy, Debug, Default)]
struct Chunk {
    left: u16,
    symbols: Symbols,
}

#[derive(Clone, Copy, Debug)]
enum Symbols {
    /// The same all along.
    Run(u8),
    /// From the top bit down; one bit each: not received or small.
    OneBit(u16),
    /// From the top bit down; two bits each.
    TwoBit(u16),
}

impl Default for Symbols {
    fn default() -> Self {
        Self::Run(NOT_RECEIVED)
    }
}

impl Chunk {
    /// Read the two bytes at `at`; `None` at the end and for a run of no length, which would not end the walk.
    fn read(data: &[u8], at: usize) -> Option<Self> {
        let word = u16_at(data, at)?;
        if word & 0x8000 == 0 {
            let left = word & 0x1FFF;
            let symbol = (word >> 13 & 3) as u8;
            return (left > 0).then_some(Self { left, symbols: Symbols::Run(symbol) });
        }
        if word & 0x4000 == 0 {
            return Some(Self { left: VECTOR_ONE_BIT, symbols: Symbols::OneBit(word << 2) });
        }
        Some(Self { left: VECTOR_TWO_BIT, symbols: Symbols::TwoBit(word << 2) })
    }

    fn next(&mut self) -> Option<u8> {
        self.left = self.left.checked_sub(1)?;
        Some(match &mut self.symbols {
            Symbols::Run(symbol) => *symbol,
            Symbols::OneBit(bits) => {
                let symbol = (*bits >> 15) as u8;
                *bits <<= 1;
                symbol
            }
            Symbols::TwoBit(bits) => {
                let symbol = (*bits >> 14) as u8;
                *bits <<= 2;
                symbol
            }
        })
    }

    /// The bytes of deltas that the next `count` symbols ask for; `None` if one of them is reserved.
    fn deltas_len(mut self, count: u16) -> Option<usize> {
        if let Symbols::Run(symbol) = self.symbols {
            return Some(usize::from(count) * delta_len(symbol)?);
        }
        let mut sum = 0;
        for _ in 0..count {
            sum += delta_len(self.next()?)?;
        }
        Some(sum)
    }
}

fn delta_len(symbol: u8) -> Option<usize> {
    (symbol <= LARGE).then_some(usize::from(symbol))
}

const VECTOR_ONE_BIT: u16 = 14;
const VECTOR_TWO_BIT: u16 = 7;
const RUN_MAX: u16 = 0x1FFF;

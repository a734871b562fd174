//! Transport-wide feedback on what the peer sends (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use core::time::Duration;

use arrayvec::ArrayVec;
use contract::Timestamp;
use wire::rtcp::transport_cc::{Feedback, write};
use wire::sequence::unwrap_u16;

/// Arrivals kept: half a second of an endpoint at its rate limit is 1,000.
const ARRIVALS_MAX: usize = 1_024;
/// Packets that one feedback speaks of at most; a longer stretch is split.
const STATUSES_MAX: usize = 256;
/// After this time a feedback goes out.
const INTERVAL: Duration = Duration::from_millis(100);
/// After this time it goes out if a frame just ended.
const INTERVAL_AT_MARKER: Duration = Duration::from_millis(20);
/// Unit of deltas.
const TICK_US: u64 = 250;
/// Ticks of one unit of the reference time, 64 ms.
const TICKS_PER_REFERENCE: i64 = 256;

/// When packets arrived, by their transport-wide number.
pub(crate) struct Arrivals {
    /// By number modulo the length; meaningful from `base` to `highest`.
    ring: Box<[Option<i64>]>,
    /// First number that was not spoken of yet.
    base: u64,
    highest: Option<u64>,
    /// When the last feedback went out, or the first packet came.
    since: Timestamp,
    due: Timestamp,
    media_ssrc: u32,
    count: u8,
}

impl Arrivals {
    pub(crate) fn new() -> Arrivals {
        Arrivals {
            ring: vec![None; ARRIVALS_MAX].into_boxed_slice(),
            base: 0,
            highest: None,
            since: Timestamp::ZERO,
            due: Timestamp::NEVER,
            media_ssrc: 0,
            count: 0,
        }
    }

    /// A packet with this number came.
    pub(crate) fn note(&mut self, sequence: u16, ssrc: u32, marker: bool, now: Timestamp) {
        // A span ahead, so that numbers from before the first one have a place.
        let reference = self.highest.unwrap_or(1 << 16 | u64::from(sequence));
        let number = unwrap_u16(reference, sequence);
        if self.highest.is_none() {
            (self.base, self.since) = (number, now);
        }
        if number < self.base {
            // Told as lost already; telling again would only confuse the estimator.
            return;
        }
        let next = self.highest.map_or(number, |highest| highest + 1);
        if number - self.base >= ARRIVALS_MAX as u64 {
            // A leap: what lies before it is not worth a feedback.
            self.base = number;
        } else {
            for between in next..number {
                self.ring[between as usize % ARRIVALS_MAX] = None;
            }
        }
        let slot = &mut self.ring[number as usize % ARRIVALS_MAX];
        if self.highest.is_some_and(|highest| number <= highest) && slot.is_some() {
            return;
        }
        *slot = Some((now.as_micros() / TICK_US) as i64);
        self.highest = Some(self.highest.map_or(number, |highest| highest.max(number)));
        self.media_ssrc = ssrc;
        let due = self.since + if marker { INTERVAL_AT_MARKER } else { INTERVAL };
        self.due = self.due.min(due);
    }

    /// When a feedback wants to go out.
    pub(crate) fn due(&self) -> Timestamp {
        self.due
    }

    /// Write one feedback; its length. `None` if there is nothing (more) to say or no room for it.
    pub(crate) fn write(&mut self, out: &mut [u8], sender_ssrc: u32, now: Timestamp) -> Option<usize> {
        let highest = self.highest.filter(|&highest| highest >= self.base)?;
        let end = highest.min(self.base + STATUSES_MAX as u64 - 1);
        let arrivals: ArrayVec<Option<i64>, STATUSES_MAX> =
            (self.base..=end).map(|number| self.ring[number as usize % ARRIVALS_MAX]).collect();
        let first = arrivals.iter().flatten().next().copied();
        let first = first.unwrap_or((now.as_micros() / TICK_US) as i64);
        let feedback = Feedback {
            sender_ssrc,
            media_ssrc: self.media_ssrc,
            base_sequence: self.base as u16,
            reference_time: first.div_euclid(TICKS_PER_REFERENCE),
            feedback_count: self.count,
        };
        let written = write(out, &feedback, &arrivals)?;
        self.base += written.statuses as u64;
        self.count = self.count.wrapping_add(1);
        self.since = now;
        self.due = if self.base <= highest { now } else { Timestamp::NEVER };
        Some(written.len)
    }
}

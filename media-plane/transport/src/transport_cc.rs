//! Transport-wide feedback on what the peer sends (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use core::time::Duration;

use arrayvec::ArrayVec;
use contract::Timestamp;
use wire::rtcp::transport_cc::{Feedback, write};
use wire::sequence::unwrap_u16;

/// Arrivals kept: half a second of an endpoint at its rate limit is 1,000.
const ARRIVALS_MAX: usize = 1_024;
/// A packet that comes later than so many numbers behind stays lost.
const OVERTAKEN_MAX: u64 = 128;
/// Packets that one feedback speaks of at most; a longer stretch is split.
const STATUSES_MAX: usize = 256;
/// After this time a feedback goes out.
const INTERVAL: Duration = Duration::from_millis(100);
/// After this time it goes along with whatever else goes to the peer, if a frame just ended: as part of a message that is
/// sent anyway it costs a fiftieth of a datagram of its own.
const INTERVAL_ALONG: Duration = Duration::from_millis(20);
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
    /// First number there was.
    first: u64,
    highest: Option<u64>,
    /// When the last feedback went out, or the first packet came.
    since: Timestamp,
    due: Timestamp,
    along: Timestamp,
    media_ssrc: u32,
    count: u8,
}

impl Arrivals {
    pub(crate) fn new() -> Arrivals {
        Arrivals {
            ring: vec![None; ARRIVALS_MAX].into_boxed_slice(),
            base: 0,
            first: 0,
            highest: None,
            since: Timestamp::ZERO,
            due: Timestamp::NEVER,
            along: Timestamp::NEVER,
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
            (self.base, self.first, self.since) = (number, number, now);
        }
        if number < self.base && !self.step_back(number) {
            return;
        }
        let next = self.highest.map_or(number, |highest| highest + 1);
        if number - self.base >= ARRIVALS_MAX as u64 {
            // A leap: what lies before it is not worth a feedback.
            (self.base, self.first) = (number, number);
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
        self.due = self.due.min(self.since + INTERVAL);
        let along = if marker { self.since + INTERVAL_ALONG } else { self.due };
        self.along = self.along.min(along);
    }

    /// A packet that was told as lost had only been overtaken: the next feedback begins with it once more. False if it is too old or was
    /// told as arrived.
    fn step_back(&mut self, number: u64) -> bool {
        let far = self.highest.is_none_or(|highest| highest - number >= OVERTAKEN_MAX);
        if far || number < self.first || self.ring[number as usize % ARRIVALS_MAX].is_some() {
            return false;
        }
        self.base = number;
        true
    }

    /// When a feedback wants to go out.
    pub(crate) fn due(&self) -> Timestamp {
        self.due
    }

    /// From when on it goes along with something else; never later than it is due.
    pub(crate) fn along(&self) -> Timestamp {
        self.along
    }

    /// Write one feedback; its length. `None` if there is nothing (more) to say or no room for it.
    pub(crate) fn write(&mut self, out: &mut [u8], sender_ssrc: u32, now: Timestamp) -> Option<usize> {
        let highest = self.highest.filter(|&highest| highest >= self.base)?;
        let end = highest.min(self.base + STATUSES_MAX as u64 - 1);
        // Filled where it stands: collected, all of its 4 KiB would be copied.
        let mut arrivals = ArrayVec::<Option<i64>, STATUSES_MAX>::new();
        arrivals.extend((self.base..=end).map(|number| self.ring[number as usize % ARRIVALS_MAX]));
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
        self.along = self.due;
        Some(written.len)
    }
}

#[cfg(test)]
mod tests {
    use wire::rtcp::compound::{Packet, iterate};

    use super::*;

    fn us(us: u64) -> Timestamp {
        Timestamp::from_micros(us)
    }

    /// (number, arrival in ticks of 250 µs or none) of everything that is due.
    fn told(arrivals: &mut Arrivals, now: Timestamp) -> Vec<(u16, Option<i64>)> {
        let mut told = Vec::new();
        let mut buffer = [0; 1_200];
        while let Some(len) = arrivals.write(&mut buffer, 1, now) {
            let Some(Ok(Packet::TransportCc(feedback))) = iterate(&buffer[..len]).next() else {
                panic!("not a feedback")
            };
            let mut tick = i64::from(feedback.reference_time()) * TICKS_PER_REFERENCE;
            for status in feedback.statuses() {
                let arrival = status.delta.map(|delta| {
                    tick += i64::from(delta);
                    tick
                });
                told.push((status.sequence, arrival));
            }
        }
        told
    }

    #[test]
    fn every_number_is_told_and_again_what_had_only_been_overtaken() {
        let mut arrivals = Arrivals::new();
        assert_eq!(told(&mut arrivals, us(0)), []);
        for (number, at) in [(65_534, 1_000), (65_535, 2_000), (2, 9_000), (0, 9_250), (2, 9_500)] {
            arrivals.note(number, 7, false, us(at));
        }
        let expected = [(65_534, Some(4)), (65_535, Some(8)), (0, Some(37)), (1, None), (2, Some(36))];
        assert_eq!(told(&mut arrivals, us(100_000)), expected);
        // 1 comes after it was told as lost, so that the feedback begins there again; 3 and 4 are new.
        for (number, at) in [(1, 101_000), (4, 102_000)] {
            arrivals.note(number, 7, false, us(at));
        }
        assert_eq!(
            told(&mut arrivals, us(200_000)),
            [(1, Some(404)), (2, Some(36)), (3, None), (4, Some(408))]
        );
    }

    #[test]
    fn a_feedback_is_due_after_100_ms_and_goes_along_20_after_the_last_one_when_a_frame_ends() {
        let mut arrivals = Arrivals::new();
        let times = |arrivals: &Arrivals| (arrivals.along(), arrivals.due());
        assert_eq!(times(&arrivals), (Timestamp::NEVER, Timestamp::NEVER));
        arrivals.note(1, 7, false, us(1_000_000));
        assert_eq!(times(&arrivals), (us(1_100_000), us(1_100_000)), "not at once");
        arrivals.note(2, 7, true, us(1_005_000));
        assert_eq!(times(&arrivals), (us(1_020_000), us(1_100_000)));
        told(&mut arrivals, us(1_020_000));
        assert_eq!(times(&arrivals), (Timestamp::NEVER, Timestamp::NEVER));
        arrivals.note(3, 7, true, us(1_050_000));
        assert_eq!(times(&arrivals), (us(1_040_000), us(1_120_000)), "with the next that goes");
    }

    #[test]
    fn a_long_stretch_is_split_and_a_leap_starts_anew() {
        let mut arrivals = Arrivals::new();
        for number in 0..900u16 {
            arrivals.note(number, 7, false, us(u64::from(number) * 1_000));
        }
        let all = told(&mut arrivals, us(1_000_000));
        assert_eq!(all.len(), 900);
        assert!(all.iter().enumerate().all(|(i, told)| *told == (i as u16, Some(4 * i as i64))));
        arrivals.note(900, 7, false, us(1_000_000));
        arrivals.note(20_000, 7, false, us(1_001_000));
        assert_eq!(told(&mut arrivals, us(2_000_000)), [(20_000, Some(4_004))]);
    }

    #[test]
    fn a_pause_longer_than_a_delta_holds_is_split() {
        let mut arrivals = Arrivals::new();
        arrivals.note(1, 7, false, us(0));
        arrivals.note(2, 7, false, us(60_000_000));
        assert_eq!(told(&mut arrivals, us(60_000_000)), [(1, Some(0)), (2, Some(240_000))]);
    }
}

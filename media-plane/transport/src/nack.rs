//! What to ask the peer for again (RFC 4585 §6.2.1): every hole of a video stream, after a moment for reordering.

use core::time::Duration;

use arrayvec::ArrayVec;
use contract::Timestamp;

/// From this gap on nothing is asked for: the stream began anew, or a key frame is cheaper.
const GAP_RESET: u64 = 100;
/// Holes remembered for one stream; the oldest gives way.
const MISSING_MAX: usize = 256;
/// Packets that merely changed order arrive within this time.
const REORDER_TOLERANCE: Duration = Duration::from_millis(10);
/// Between two requests for the same packet.
const REPEAT: Duration = Duration::from_millis(150);
/// Requests for the same packet.
const REQUESTS_MAX: u8 = 10;
/// Sequence numbers in one NACK packet of ours.
pub(crate) const SEQUENCES_MAX: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Missing {
    index: u64,
    due: Timestamp,
    requests: u8,
}

/// The holes of one stream.
#[derive(Debug, Default)]
pub(crate) struct Holes {
    highest: Option<u64>,
    missing: ArrayVec<Missing, MISSING_MAX>,
}

impl Holes {
    /// A packet came, directly or as a retransmission.
    pub(crate) fn arrived(&mut self, index: u64, now: Timestamp) {
        let Some(highest) = self.highest else {
            self.highest = Some(index);
            return;
        };
        if index <= highest {
            if let Some(at) = self.missing.iter().position(|missing| missing.index == index) {
                self.missing.remove(at);
            }
            return;
        }
        self.highest = Some(index);
        if index - highest > GAP_RESET {
            self.missing.clear();
            return;
        }
        for hole in highest + 1..index {
            if self.missing.is_full() {
                self.missing.remove(0);
            }
            self.missing.push(Missing { index: hole, due: now + REORDER_TOLERANCE, requests: 0 });
        }
    }

    /// When the next request is due.
    pub(crate) fn due(&self) -> Timestamp {
        self.missing.iter().map(|missing| missing.due).min().unwrap_or(Timestamp::NEVER)
    }

    /// The numbers to ask for now, ascending; they count as asked for.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> ArrayVec<u16, SEQUENCES_MAX> {
        let mut sequences = ArrayVec::new();
        for missing in self.missing.iter_mut().filter(|missing| missing.due <= now) {
            if sequences.try_push(missing.index as u16).is_err() {
                break;
            }
            missing.requests += 1;
            missing.due = now + REPEAT;
        }
        self.missing.retain(|missing| missing.requests < REQUESTS_MAX);
        sequences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn each_hole_is_asked_for_after_reordering_had_its_time() {
        // (time, packet that arrives or none, asked for then)
        let rows: &[(u64, Option<u64>, &[u16])] = &[
            (0, Some(10), &[]),
            (1, Some(12), &[]),
            (5, None, &[]),
            (6, Some(11), &[]),
            (11, None, &[]),
            (20, Some(15), &[]),
            (29, None, &[]),
            (30, None, &[13, 14]),
            (31, Some(13), &[]),
            (179, None, &[]),
            (180, None, &[14]),
            (181, Some(14), &[]),
            (400, None, &[]),
            (401, Some(115), &[]),
            (411, None, &[]),
        ];
        let mut holes = Holes::default();
        for &(at, packet, expected) in rows {
            if let Some(packet) = packet {
                holes.arrived(packet, ms(at));
            }
            let asked = holes.take_due(ms(at));
            if at == 411 {
                // A gap of 99: 16..=114, in two rounds of at most 64.
                assert_eq!(asked[..], (16..80).collect::<Vec<u16>>());
                assert_eq!(holes.take_due(ms(at))[..], (80..115).collect::<Vec<u16>>());
            } else {
                assert_eq!(asked[..], *expected, "{at} ms");
            }
        }
    }

    #[test]
    fn a_jump_of_a_hundred_forgets_everything() {
        let mut holes = Holes::default();
        holes.arrived(0, ms(0));
        holes.arrived(2, ms(0));
        holes.arrived(103, ms(1));
        assert_eq!(holes.due(), Timestamp::NEVER);
        holes.arrived(105, ms(2));
        assert_eq!(holes.take_due(ms(12))[..], [104]);
    }

    #[test]
    fn a_packet_is_asked_for_ten_times_and_then_given_up() {
        let mut holes = Holes::default();
        holes.arrived(0, ms(0));
        holes.arrived(2, ms(0));
        let asked: Vec<u64> = (0..5_000).filter(|&at| !holes.take_due(ms(at)).is_empty()).collect();
        assert_eq!(asked, (0..10).map(|i| 10 + 150 * i).collect::<Vec<u64>>());
        assert_eq!(holes.due(), Timestamp::NEVER);
    }

    #[test]
    fn no_loss_pattern_outgrows_the_table() {
        let mut holes = Holes::default();
        for i in 0..10_000u64 {
            holes.arrived(i * 90, ms(i));
            assert!(holes.take_due(ms(i)).len() <= SEQUENCES_MAX);
            assert!(holes.missing.len() <= MISSING_MAX);
        }
    }
}

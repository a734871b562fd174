//! Probes: for a few hundredths of a second more is sent than before, and the receiver says how fast it came. A probe is
//! media and retransmissions together, so its rate is that of everything sent meanwhile.

use contract::{Duration, Timestamp};

/// Length of a probe: long enough that shapers with a bucket of some packets do not let it pass at line rate, short enough that on a
/// link that carries half of it a queue of half as long remains.
const LENGTH: Duration = Duration::from_millis(60);
/// A probe has at least so many bytes: five full packets.
const BYTES_MIN: u64 = 6_000;
/// And at least this rate, in bits per second: at less it would have to last longer than half a second to have them.
const RATE_MIN: f64 = 100_000.0;
/// Shortest time between two packets of a probe: what a worker can be woken for at little cost.
const TICK: Duration = Duration::from_millis(1);
/// What comes back later than this after the round trip is not waited for.
const PATIENCE: Duration = Duration::from_millis(600);
/// Packets that must have arrived.
const PACKETS_MIN: u32 = 4;
/// Arriving slower than this, as a share of the rate sent, the link was full.
const SATURATED_BELOW: f64 = 0.9;
/// And the second half waits longer than the first by this, in microseconds.
const QUEUED_US: i64 = 4_000;
/// Arriving faster than this, times the rate sent, what the receiver says cannot be.
const FASTER_MAX: f64 = 2.0;

/// A probe under way, from its first packet to its last feedback.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster {
    pub(crate) id: u8,
    /// Bits per second.
    rate: f64,
    began: Timestamp,
    length: Duration,
    sent_bytes: u64,
    packets: u32,
    /// The highest number that belongs to it.
    last_number: Option<u64>,
    finished: bool,
    arrived: Arrived,
}

/// Of a probe, what came.
#[derive(Clone, Copy, Debug, Default)]
struct Arrived {
    packets: u32,
    bytes: u64,
    first_sent: u64,
    last_sent: u64,
    last_sent_bytes: u64,
    first_arrival: i64,
    last_arrival: i64,
    first_arrival_bytes: u64,
    /// Least time under way in the first and in the second half, on two clocks.
    least: [Option<i64>; 2],
}

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It came as fast as it was sent, in bits per second.
    Carried(f64),
    /// The link was full: it carries so much.
    Saturated(f64),
    /// Too little came back.
    Unanswered,
}

impl Cluster {
    pub(crate) fn begin(id: u8, rate: f64, now: Timestamp) -> Cluster {
        let rate = rate.max(RATE_MIN);
        let needed = Duration::from_secs_f64(BYTES_MIN as f64 * 8.0 / rate);
        Cluster {
            id,
            rate,
            began: now,
            length: needed.max(LENGTH),
            sent_bytes: 0,
            packets: 0,
            last_number: None,
            finished: false,
            arrived: Arrived::default(),
        }
    }

    /// From the first packet to the last.
    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    /// Bytes that ought to leave now, 0 if none; and when to ask again.
    pub(crate) fn due(&mut self, now: Timestamp) -> (u64, Timestamp) {
        let elapsed = now.since(self.began);
        if elapsed >= self.length {
            self.finished = true;
            return (0, Timestamp::NEVER);
        }
        let ought = (elapsed.as_secs_f64() * self.rate / 8.0) as u64;
        if self.sent_bytes <= ought {
            return (ought - self.sent_bytes + 1, now + TICK);
        }
        let wait = Duration::from_secs_f64((self.sent_bytes - ought) as f64 * 8.0 / self.rate);
        (0, (now + wait.max(TICK)).min(self.began + self.length))
    }

    /// Whether what is sent now belongs to it.
    pub(crate) fn is_sending(&self) -> bool {
        !self.finished
    }

    pub(crate) fn note_sent(&mut self, number: u64, bytes: u16) {
        self.sent_bytes += u64::from(bytes);
        self.packets += 1;
        self.last_number = Some(number);
    }

    pub(crate) fn note_arrived(&mut self, sent: Timestamp, arrival_us: i64, bytes: u16) {
        let late = usize::from(sent.since(self.began) > self.length / 2);
        let (sent, bytes, seen) = (sent.as_micros(), u64::from(bytes), &mut self.arrived);
        let under_way = arrival_us - sent as i64;
        seen.least[late] = Some(seen.least[late].map_or(under_way, |least| least.min(under_way)));
        if seen.packets == 0 || arrival_us < seen.first_arrival {
            (seen.first_arrival, seen.first_arrival_bytes) = (arrival_us, bytes);
        }
        seen.first_sent = if seen.packets == 0 { sent } else { seen.first_sent.min(sent) };
        if seen.packets == 0 || sent >= seen.last_sent {
            (seen.last_sent, seen.last_sent_bytes) = (sent, bytes);
        }
        seen.last_arrival = if seen.packets == 0 { arrival_us } else { seen.last_arrival.max(arrival_us) };
        seen.packets += 1;
        seen.bytes += bytes;
    }

    /// The outcome; delays differ by `noise_ms` anyhow. Once feedback spoke of `told` and all numbers before, or it is too late.
    pub(crate) fn outcome(
        &self,
        told: Option<u64>,
        round_trip: Duration,
        noise_ms: f64,
        now: Timestamp,
    ) -> Option<Outcome> {
        if !self.finished {
            return None;
        }
        let complete = self.last_number.is_none_or(|last| told.is_some_and(|told| told >= last));
        if !complete && now < self.began + self.length + round_trip + PATIENCE {
            return None;
        }
        Some(self.judge(noise_ms).unwrap_or(Outcome::Unanswered))
    }

    fn judge(&self, noise_ms: f64) -> Option<Outcome> {
        let seen = &self.arrived;
        let enough = seen.packets >= PACKETS_MIN && seen.packets * 2 >= self.packets;
        let sent_us = seen.last_sent.checked_sub(seen.first_sent).filter(|us| *us > 0)?;
        let arrived_us = u64::try_from(seen.last_arrival - seen.first_arrival).ok().filter(|us| *us > 0)?;
        let rate = |bytes: u64, us: u64| bytes as f64 * 8_000_000.0 / us as f64;
        let sent = rate(seen.bytes - seen.last_sent_bytes, sent_us);
        let arrived = rate(seen.bytes - seen.first_arrival_bytes, arrived_us);
        if !enough || arrived > sent * FASTER_MAX {
            return None;
        }
        // Media in bursts may have made more of it than was meant; that much was not asked for.
        let carried = sent.min(arrived).min(self.rate * 1.5);
        // Jitter alone slows the last packet down, but not the luckiest of the second half.
        let least = QUEUED_US + (noise_ms * 2_000.0) as i64;
        let queued = seen.least[0].zip(seen.least[1]).is_some_and(|(early, late)| late - early > least);
        Some(if queued && arrived < sent * SATURATED_BELOW {
            Outcome::Saturated(carried)
        } else {
            Outcome::Carried(carried)
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn probe(rate: f64, capacity: f64, lost: u64) -> Option<Outcome> {
        let (cluster, number, now) = sent_over(rate, capacity, lost);
        cluster.outcome(Some(number), Duration::from_millis(50), 0.0, now)
    }

    /// Packets of 1,000 bytes at `rate`, over a link of `capacity` that loses each `lost`th; the last number, and when it left.
    pub(crate) fn sent_over(rate: f64, capacity: f64, lost: u64) -> (Cluster, u64, Timestamp) {
        let mut cluster = Cluster::begin(1, rate, Timestamp::from_millis(100));
        let (mut now, mut number, mut free_at) = (Timestamp::from_millis(100), 0u64, 0.0f64);
        loop {
            let (bytes, next) = cluster.due(now);
            if bytes > 0 {
                number += 1;
                cluster.note_sent(number, 1_000);
                free_at = free_at.max(now.as_micros() as f64) + 8_000.0 * 1_000_000.0 / capacity;
                if lost == 0 || number % lost > 0 {
                    cluster.note_arrived(now, free_at as i64 - 9_000_000, 1_000);
                }
                continue;
            }
            if next == Timestamp::NEVER {
                break;
            }
            now = next;
        }
        (cluster, number, now)
    }

    #[test]
    fn the_rate_of_a_probe_is_found_and_so_is_the_capacity_below_it() {
        let Some(Outcome::Carried(rate)) = probe(2_000_000.0, 50_000_000.0, 0) else {
            panic!("it was carried")
        };
        assert!((1_800_000.0..2_300_000.0).contains(&rate), "{rate}");
        let Some(Outcome::Saturated(rate)) = probe(2_000_000.0, 700_000.0, 0) else {
            panic!("the link was full")
        };
        assert!((650_000.0..750_000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn a_probe_at_a_low_rate_has_packets_enough_to_tell() {
        for rate in [1_000.0, 60_000.0, 150_000.0] {
            let Some(Outcome::Carried(carried)) = probe(rate, 50_000_000.0, 0) else {
                panic!("{rate}: it was carried")
            };
            assert!(carried >= rate * 0.8, "{rate}: {carried}");
            let Some(Outcome::Saturated(carried)) = probe(rate, 40_000.0, 0) else {
                panic!("{rate}: the link was full")
            };
            assert!((35_000.0..45_000.0).contains(&carried), "{rate}: {carried}");
        }
    }

    #[test]
    fn random_loss_does_not_look_like_a_full_link() {
        let Some(Outcome::Carried(rate)) = probe(2_000_000.0, 50_000_000.0, 5) else {
            panic!("it was carried")
        };
        assert!((1_400_000.0..2_300_000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn a_probe_that_nobody_answers_ends_by_time() {
        let mut cluster = Cluster::begin(1, 1e6, Timestamp::ZERO);
        cluster.note_sent(7, 1_200);
        assert_eq!(cluster.due(Timestamp::from_millis(70)), (0, Timestamp::NEVER));
        let outcome = |ms| cluster.outcome(None, Duration::ZERO, 0.0, Timestamp::from_millis(ms));
        assert_eq!((outcome(100), outcome(2_000)), (None, Some(Outcome::Unanswered)));
    }

    #[test]
    fn a_probe_never_sends_more_than_its_rate_and_a_packet() {
        let mut cluster = Cluster::begin(1, 800_000.0, Timestamp::ZERO);
        let mut sent = 0;
        for us in (0..400_000).step_by(100) {
            if cluster.due(Timestamp::from_micros(us)).0 > 0 {
                cluster.note_sent(0, 1_200);
                sent += 1_200;
            }
        }
        assert!((6_000..=7_300).contains(&sent), "{sent}");
    }
}

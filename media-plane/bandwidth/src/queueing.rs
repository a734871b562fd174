//! How long packets wait on the way, beyond what they must: the one-way delay above the least one seen of late. The
//! clocks need not agree, only run alike.

use contract::{Duration, Timestamp};

/// The least delay is looked for in two halves of this length, so that it is forgotten in time: paths change and clocks
/// drift (100 ppm are 2 ms in 20 s).
const HALF: Duration = Duration::from_secs(10);
/// While much is lost, of this length: a queue that stays full must not be learnt as the path.
const HALF_LOSING: Duration = Duration::from_secs(60);

/// Feedbacks that the noise is smoothed over: longer than it takes a queue to grow.
const NOISE_OVER: f64 = 32.0;
/// Greater changes are no noise.
const CHANGE_MAX_US: u64 = 50_000;
/// A queue shorter than this is none.
const QUEUE_MIN_MS: f64 = 8.0;

/// Delays of one receiver's packets.
#[derive(Debug, Default)]
pub(crate) struct Queueing {
    /// Least differences of arrival and sending, in microseconds: of this half, and of the one before.
    now: Option<i64>,
    before: Option<i64>,
    since: Timestamp,
    queue_us: i64,
    last_us: Option<i64>,
    /// How much the least delay differs from feedback to feedback, smoothed, in microseconds.
    noise_us: f64,
}

impl Queueing {
    pub(crate) fn clear(&mut self) {
        *self = Queueing::default();
    }

    /// The least difference of arrival and sending in one feedback: what stands in the queue even between bursts.
    /// While much is lost, that is not forgotten so soon.
    pub(crate) fn note(&mut self, least_us: i64, losing: bool, now: Timestamp) {
        if now.since(self.since) > if losing { HALF_LOSING } else { HALF } {
            self.before = self.now.take();
            self.since = now;
        }
        self.now = Some(self.now.map_or(least_us, |known| known.min(least_us)));
        let base = self.now.into_iter().chain(self.before).min().unwrap_or(least_us);
        self.queue_us = least_us - base;
        if let Some(last) = self.last_us.replace(least_us) {
            let change = (least_us - last).unsigned_abs().min(CHANGE_MAX_US) as f64;
            self.noise_us += (change - self.noise_us) / NOISE_OVER;
        }
    }

    /// Milliseconds by which delays differ without any queue.
    pub(crate) fn noise_ms(&self) -> f64 {
        self.noise_us / 1_000.0
    }

    /// Whether something waits: more than delays differ by anyhow.
    pub(crate) fn is_queue(&self) -> bool {
        self.queue_ms() >= QUEUE_MIN_MS + 2.0 * self.noise_ms()
    }

    /// Milliseconds in the queue, by the last feedback.
    pub(crate) fn queue_ms(&self) -> f64 {
        self.queue_us as f64 / 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_no_queue() {
        let mut queueing = Queueing::default();
        let mut taken = 0;
        for number in 0..600u64 {
            queueing.note(
                [0, 14, 5, 11, 2, 9][number as usize % 6] * 1_000,
                false,
                Timestamp::from_millis(number * 50),
            );
            taken += usize::from(number > 100 && queueing.is_queue());
        }
        assert_eq!(taken, 0);
        queueing.note(60_000, false, Timestamp::from_millis(30_000));
        assert!(queueing.is_queue());
    }

    #[test]
    fn the_queue_is_what_exceeds_the_least_delay_and_a_longer_path_is_learnt() {
        let mut queueing = Queueing::default();
        let mut waits = Vec::new();
        for second in 0..60 {
            // From second 5 to 10 a queue of 80 ms; from 20 on a path that is 40 ms longer.
            let delay = -7_000_000
                + if (5..10).contains(&second) { 80_000 } else { 0 }
                + if second >= 20 { 40_000 } else { 0 };
            queueing.note(delay, false, Timestamp::from_millis(second * 1_000));
            waits.push(queueing.queue_ms());
        }
        assert_eq!((waits[4], waits[7], waits[11], waits[25]), (0.0, 80.0, 0.0, 40.0));
        assert_eq!(waits[45], 0.0);
    }

    #[test]
    fn a_queue_that_stays_full_is_not_taken_for_the_path() {
        let mut queueing = Queueing::default();
        for second in 0..50 {
            queueing.note(
                if second == 0 { 0 } else { 300_000 },
                true,
                Timestamp::from_millis(second * 1_000),
            );
        }
        assert_eq!(queueing.queue_ms(), 300.0);
    }
}

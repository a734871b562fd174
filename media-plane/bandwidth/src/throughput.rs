//! The rate at which packets arrived, by what the receiver says, and at which the same packets had been sent.

/// Arrivals remembered: half a second of 4 Mbit/s; beyond, the window is shorter, which does no harm at such rates.
const ARRIVALS_MAX: usize = 256;

/// The last arrivals.
#[derive(Debug)]
pub(crate) struct Throughput {
    /// A ring.
    arrivals: Box<[Arrival]>,
    next: usize,
    len: usize,
}

/// One packet: microseconds on the receiver's clock and on ours, bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Arrival {
    at: i64,
    sent: i64,
    bytes: u32,
}

/// Rates of the same packets, bits per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    pub(crate) arriving: f64,
    pub(crate) sent: f64,
    /// By how much longer they took to arrive than to be sent, in milliseconds.
    pub(crate) stretched_ms: f64,
}

impl Throughput {
    pub(crate) fn new() -> Throughput {
        Throughput { arrivals: vec![Arrival::default(); ARRIVALS_MAX].into_boxed_slice(), next: 0, len: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// A packet arrived; one that is told late counts as arrived with its predecessor.
    pub(crate) fn note(&mut self, arrival_us: i64, sent_us: i64, bytes: u16) {
        let at = self.newest().map_or(arrival_us, |newest| newest.max(arrival_us));
        self.arrivals[self.next] = Arrival { at, sent: sent_us, bytes: u32::from(bytes) };
        self.next = (self.next + 1) % ARRIVALS_MAX;
        self.len = (self.len + 1).min(ARRIVALS_MAX);
    }

    /// Rates over the last `window_us` before the newest arrival; `None` for too few to tell.
    pub(crate) fn over(&self, window_us: i64) -> Option<Rate> {
        let newest = self.newest()?;
        let (mut bits, mut oldest, mut count) = (0.0, newest, 0);
        let (mut last, mut sent) = (0.0, (i64::MAX, i64::MIN));
        for step in 1..=self.len {
            let arrival = self.arrivals[(self.next + ARRIVALS_MAX - step) % ARRIVALS_MAX];
            if newest - arrival.at > window_us {
                break;
            }
            bits += last;
            (last, oldest) = (f64::from(arrival.bytes) * 8.0, arrival.at);
            sent = (sent.0.min(arrival.sent), sent.1.max(arrival.sent));
            count += 1;
        }
        // The oldest packet only marks the beginning: its bits came before.
        let elapsed = newest - oldest;
        let rate = |us: i64| bits * 1_000_000.0 / us.max(1_000) as f64;
        let enough = count >= COUNT_MIN && elapsed >= window_us / 3;
        let stretched_ms = (elapsed - (sent.1 - sent.0)) as f64 / 1_000.0;
        enough.then(|| Rate { arriving: rate(elapsed), sent: rate(sent.1 - sent.0), stretched_ms })
    }

    fn newest(&self) -> Option<i64> {
        (self.len > 0).then(|| self.arrivals[(self.next + ARRIVALS_MAX - 1) % ARRIVALS_MAX].at)
    }
}

/// Fewer packets say nothing of a rate.
const COUNT_MIN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_window() {
        let mut throughput = Throughput::new();
        assert!(throughput.over(500_000).is_none());
        // A second at 1 Mbit/s, then half a second at 400 kbit/s.
        let mut at = 0;
        for (count, gap) in [(125, 8_000), (25, 20_000)] {
            for _ in 0..count {
                throughput.note(at, at * 4 / 5, 1_000);
                at += gap;
            }
        }
        for (window, expected) in [(400_000, 400_000.0), (200_000, 400_000.0), (1_400_000, 790_000.0)] {
            let Rate { arriving: rate, sent, .. } = throughput.over(window).unwrap();
            assert!((sent - rate * 1.25).abs() < rate * 0.01, "{sent} {rate}");
            assert!((rate - expected).abs() < expected * 0.05, "{window}: {rate}");
        }
        throughput.note(0, 0, 1_000);
        assert!(throughput.over(400_000).unwrap().arriving < 450_000.0, "told late");
    }
}

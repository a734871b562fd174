//! A token bucket.

use contract::Timestamp;

/// Admits `burst` at once and a number per second in the long run.
#[derive(Clone, Debug)]
pub struct RateLimit {
    interval_us: u64,
    credit_max_us: u64,
    credit_us: u64,
    last: Timestamp,
}

impl RateLimit {
    /// A full bucket.
    pub fn new(per_second: u32, burst: u32, now: Timestamp) -> RateLimit {
        let interval_us = 1_000_000 / u64::from(per_second.max(1));
        let credit_max_us = interval_us * u64::from(burst);
        RateLimit { interval_us, credit_max_us, credit_us: credit_max_us, last: now }
    }

    /// Takes one if there is one.
    pub fn admit(&mut self, now: Timestamp) -> bool {
        let elapsed = now.since(self.last).as_micros() as u64;
        self.last = self.last.max(now);
        self.credit_us = self.credit_us.saturating_add(elapsed).min(self.credit_max_us);
        match self.credit_us.checked_sub(self.interval_us) {
            Some(rest) => {
                self.credit_us = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_admitted_and_then_the_rate() {
        let mut limit = RateLimit::new(50, 100, Timestamp::ZERO);
        let admitted = |limit: &mut RateLimit, at| (0..1_000).filter(|_| limit.admit(at)).count();
        assert_eq!(admitted(&mut limit, Timestamp::ZERO), 100);
        assert_eq!(admitted(&mut limit, Timestamp::from_millis(1_000)), 50);
        assert_eq!(admitted(&mut limit, Timestamp::from_millis(500)), 0, "time going back gives nothing");
        assert_eq!(admitted(&mut limit, Timestamp::from_millis(3_600_000)), 100);
    }
}

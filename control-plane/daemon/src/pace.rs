//! A rate with a burst: how fast one client may keep the threads busy that all share.

use std::time::Duration;

use contract::Timestamp;

/// Admits events at a rate, saving up unused ones to a burst.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    cost_us: u64,
    credit_us: u64,
    full_us: u64,
    last: Timestamp,
}

impl Pace {
    /// `per_second` events a second, at most `burst` at once.
    pub(crate) const fn new(per_second: u64, burst: u64) -> Pace {
        let cost_us = 1_000_000 / per_second;
        Pace { cost_us, credit_us: burst * cost_us, full_us: burst * cost_us, last: Timestamp::ZERO }
    }

    /// Whether one more event may happen now; if so, it is counted.
    pub(crate) fn admit(&mut self, now: Timestamp) -> bool {
        self.delay(now) == Duration::ZERO && self.pay()
    }

    /// How long the next event has to wait.
    pub(crate) fn delay(&mut self, now: Timestamp) -> Duration {
        let passed = u64::try_from(now.since(self.last).as_micros()).unwrap_or(u64::MAX);
        self.last = self.last.max(now);
        self.credit_us = self.credit_us.saturating_add(passed).min(self.full_us);
        Duration::from_micros(self.cost_us.saturating_sub(self.credit_us))
    }

    /// Takes `count` events now, come what may: how long they have to wait.
    pub(crate) fn take(&mut self, count: u64, now: Timestamp) -> Duration {
        let _ = self.delay(now);
        let cost_us = self.cost_us.saturating_mul(count);
        let wait = Duration::from_micros(cost_us.saturating_sub(self.credit_us));
        self.credit_us = self.credit_us.saturating_sub(cost_us);
        // What was missing is earned while they wait.
        self.last = self.last.max(now).after(wait);
        wait
    }

    fn pay(&mut self) -> bool {
        self.credit_us = self.credit_us.saturating_sub(self.cost_us);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_a_burst_and_then_at_the_rate() {
        let mut pace = Pace::new(500, 200);
        let now = Timestamp::from_millis(5);
        let at_once = (0..10_000).filter(|_| pace.admit(now)).count();
        assert_eq!(at_once, 200);
        let mut later = 0;
        for ms in 0..1_000 {
            later += (0..10).filter(|_| pace.admit(now + Duration::from_millis(ms))).count();
        }
        assert!(later.abs_diff(500) <= 1, "{later}");
    }

    #[test]
    fn the_delay_is_what_is_missing() {
        let mut pace = Pace::new(10, 1);
        let now = Timestamp::from_millis(1);
        assert!(pace.admit(now));
        assert_eq!(pace.delay(now), Duration::from_millis(100));
        let later = now + Duration::from_millis(60);
        assert_eq!(pace.delay(later), Duration::from_millis(40));
        assert!(!pace.admit(later));
        assert!(pace.admit(now + Duration::from_millis(100)));
    }
}

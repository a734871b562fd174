//! The clock of a run: microseconds since its start, by which packets are stamped, and its offset to the kernel's stamps.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use contract::Timestamp;

/// Microseconds since the start. Copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts at zero.
    pub fn start() -> Clock {
        Clock { origin: Instant::now() }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.origin.elapsed().as_micros() as u64)
    }

    /// Now as the protocol crates want it.
    pub fn instant(&self, at: Timestamp) -> Instant {
        self.origin + Duration::from_micros(at.as_micros())
    }

    /// The first time at which `at` has passed.
    pub fn timestamp(&self, at: Instant) -> Timestamp {
        let since = at.saturating_duration_since(self.origin);
        Timestamp::from_micros(since.as_nanos().div_ceil(1_000) as u64)
    }

    /// What to subtract from the system's time of day, in microseconds, to get this clock. The closest of a few readings,
    /// as a preempted one would be off.
    pub fn wall_offset_us(&self) -> i64 {
        let reading = |_| {
            let before = self.origin.elapsed();
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let after = self.origin.elapsed();
            let middle = (before + after) / 2;
            (after - before, wall.as_micros() as i64 - middle.as_micros() as i64)
        };
        (0..5).map(reading).min_by_key(|(width, _)| *width).map_or(0, |(_, offset)| offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_s_time_less_the_offset_is_this_clock() {
        let clock = Clock::start();
        let offset = clock.wall_offset_us();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64;
        let difference = (wall - offset - clock.now().as_micros() as i64).abs();
        assert!(difference < 5_000, "{difference} us");
    }

    #[test]
    fn a_time_survives_the_way_there_and_back() {
        let clock = Clock::start();
        let at = Timestamp::from_micros(1_234_567);
        assert_eq!(clock.timestamp(clock.instant(at)), at);
    }
}

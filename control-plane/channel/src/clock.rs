//! Between the house's clock, which has a zero, and that of the protocol crates, which has none.

use std::sync::OnceLock;
use std::time::Instant;

use contract::Timestamp;

/// The instant that stands for [`Timestamp::ZERO`]. Which one does not matter: only differences are ever used.
fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// `now` as the protocol crates want it.
pub(crate) fn instant(now: Timestamp) -> Instant {
    let since_start = contract::Duration::from_micros(now.as_micros());
    // A sum that does not fit is centuries away; the origin then is as good as any.
    origin().checked_add(since_start).unwrap_or_else(origin)
}

/// The first house time at which `at` has passed.
pub(crate) fn timestamp(at: Instant) -> Timestamp {
    let since_start = at.saturating_duration_since(origin());
    // Rounded up, or a timer would be found not yet due again and again within its last microsecond.
    let us = since_start.as_nanos().div_ceil(1_000);
    Timestamp::from_micros(u64::try_from(us).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_the_way_there_and_back() {
        for us in [0, 1, 999, 1_000_000, 86_400_000_000] {
            let now = Timestamp::from_micros(us);
            assert_eq!(timestamp(instant(now)), now);
        }
    }
}

//! How often key frames may be asked for: they are large, and everybody wants one at the same time.

use contract::{Duration, Timestamp};

/// Least time between two requests that go to a sender for one SSRC, and between two of one requester.
pub(crate) const GAP: Duration = Duration::from_millis(200);

/// Requests of one requester for one SSRC within [`PERIOD`]: one whose decoder fails for ever must not starve the others of
/// bit rate.
const REQUESTS_PER_PERIOD: usize = 3;

const PERIOD: Duration = Duration::from_secs(10);

/// The last of them is kept for so much later: where two key frames one after the other did not help, the link is full, and a third at
/// once would fill it further.
const LAST_GAP: Duration = Duration::from_secs(2);

/// The requests that go to the sender for one SSRC, whoever asks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StreamLimit {
    last: Option<Timestamp>,
}

impl StreamLimit {
    /// Whether one may go now.
    pub(crate) fn allows(&self, now: Timestamp) -> bool {
        self.last.is_none_or(|last| now.since(last) >= GAP)
    }

    /// One went.
    pub(crate) fn note(&mut self, now: Timestamp) {
        self.last = Some(now);
    }
}

/// The requests of one receiver for one SSRC.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequesterLimit {
    /// Newest first.
    last: [Option<Timestamp>; REQUESTS_PER_PERIOD],
}

impl RequesterLimit {
    /// Whether one may go now.
    pub(crate) fn allows(&self, now: Timestamp) -> bool {
        // The last one of the period.
        let is_last = self.last[1].is_some_and(|before| now.since(before) < PERIOD);
        let gap = if is_last { LAST_GAP } else { GAP };
        let waited = self.last[0].is_none_or(|last| now.since(last) >= gap);
        waited && self.last[REQUESTS_PER_PERIOD - 1].is_none_or(|oldest| now.since(oldest) >= PERIOD)
    }

    /// One went.
    pub(crate) fn note(&mut self, now: Timestamp) {
        self.last.rotate_right(1);
        self.last[0] = Some(now);
    }
}

/// The requests of a projection that waits for a key frame: at once, then with gaps that double, for as long as it waits.
/// A sender may well have let the first ones pass: its encoder was busy, or had just stopped that layer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waiting {
    encoding: Option<u8>,
    gap: Duration,
    last: Option<Timestamp>,
}

impl Waiting {
    /// Whether one for `encoding` may go now.
    pub(crate) fn allows(&self, encoding: u8, now: Timestamp) -> bool {
        let gap = if self.encoding == Some(encoding) { self.gap } else { GAP };
        self.last.is_none_or(|last| now.since(last) >= gap)
    }

    /// One went.
    pub(crate) fn note(&mut self, encoding: u8, now: Timestamp) {
        let again = self.encoding == Some(encoding) && self.last.is_some();
        self.gap = if again { (self.gap * 2).min(WAITING_GAP_MAX) } else { GAP };
        self.encoding = Some(encoding);
        self.last = Some(now);
    }

    /// Nothing is waited for any more.
    pub(crate) fn satisfied(&mut self) {
        self.encoding = None;
    }
}

/// Longest gap between two requests of a projection that waits.
const WAITING_GAP_MAX: Duration = Duration::from_secs(2);

/// Whether a request may go to the sender of a stream now; if so it is counted. Without a `requester` the need is the stream's
/// own, or was judged elsewhere.
pub(crate) fn wanted(
    requester: Option<&mut RequesterLimit>,
    stream: &mut StreamLimit,
    now: Timestamp,
) -> bool {
    if !stream.allows(now) || requester.as_ref().is_some_and(|limit| !limit.allows(now)) {
        return false;
    }
    stream.note(now);
    if let Some(limit) = requester {
        limit.note(now);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requester_gets_three_in_ten_seconds_and_the_last_of_them_later() {
        let mut limit = RequesterLimit::default();
        let mut granted = Vec::new();
        for ms in (0..13_000).step_by(50) {
            let now = Timestamp::from_millis(ms);
            if limit.allows(now) {
                limit.note(now);
                granted.push(ms);
            }
        }
        assert_eq!(granted, [0, 200, 2_200, 10_000, 12_000]);
    }

    #[test]
    fn one_who_waits_asks_again_with_growing_gaps_and_at_once_for_another_encoding() {
        let mut waiting = Waiting::default();
        let mut granted = Vec::new();
        for ms in (0..9_000).step_by(50) {
            let encoding = if ms < 2_000 { 1 } else { 0 };
            if waiting.allows(encoding, Timestamp::from_millis(ms)) {
                waiting.note(encoding, Timestamp::from_millis(ms));
                granted.push(ms);
            }
        }
        assert_eq!(granted, [0, 200, 600, 1_400, 2_000, 2_200, 2_600, 3_400, 5_000, 7_000]);
    }

    #[test]
    fn a_stream_is_asked_five_times_a_second_at_most() {
        let mut limit = StreamLimit::default();
        let granted = (0..1_000).filter(|ms| {
            let now = Timestamp::from_millis(*ms);
            let allowed = limit.allows(now);
            if allowed {
                limit.note(now);
            }
            allowed
        });
        assert_eq!(granted.count(), 5);
    }
}

//! How fast one client may speak: by bytes and by kind of stanza, at the rates of the existing deployments. Who speaks faster is
//! heard later, never cut off.

use std::time::Duration;

use contract::Timestamp;

use crate::pace::Pace;

/// The paces of one client.
pub(crate) struct Throttle {
    bytes: Pace,
    frames: Pace,
    presences: Pace,
    messages: Pace,
}

impl Throttle {
    pub(crate) fn new() -> Throttle {
        Throttle {
            bytes: Pace::new(BYTES_PER_SECOND, BYTES_BURST),
            frames: Pace::new(FRAMES_PER_SECOND, FRAMES_BURST),
            presences: Pace::new(PRESENCES_PER_SECOND, PRESENCES_BURST),
            messages: Pace::new(MESSAGES_PER_SECOND, MESSAGES_BURST),
        }
    }

    /// Takes `frame` into account: how long it has to wait.
    pub(crate) fn take(&mut self, frame: &str, now: Timestamp) -> Duration {
        let of_kind = match frame.trim_start() {
            frame if frame.starts_with("<presence") => Some(&mut self.presences),
            frame if frame.starts_with("<message") => Some(&mut self.messages),
            _ => None,
        };
        let bytes = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        let by_kind = of_kind.map_or(Duration::ZERO, |pace| pace.take(1, now));
        self.bytes.take(bytes, now).max(self.frames.take(1, now)).max(by_kind)
    }
}

/// 10 kB a second is what others allow; session-accepts of many sources want a larger burst, not a higher rate.
const BYTES_PER_SECOND: u64 = 10_000;
const BYTES_BURST: u64 = 256 * 1_024;
/// Joining takes some twenty frames at once.
const FRAMES_PER_SECOND: u64 = 20;
const FRAMES_BURST: u64 = 400;
const PRESENCES_PER_SECOND: u64 = 4;
const PRESENCES_BURST: u64 = 20;
/// Three a second is what others allow. Keys of end-to-end encryption go to each other participant in a message.
const MESSAGES_PER_SECOND: u64 = 3;
const MESSAGES_BURST: u64 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    /// How long `count` such frames take that come at once.
    fn time_of(frame: &str, count: usize) -> u64 {
        let mut throttle = Throttle::new();
        let mut now = at(1_000);
        for _ in 0..count {
            now = now + throttle.take(frame, now);
        }
        now.as_millis() - 1_000
    }

    #[test]
    fn each_kind_has_its_burst_and_then_its_rate() {
        let long = format!("<iq>{}</iq>", "x".repeat(10_000 - 9));
        let rows = [
            ("<presence/>", 20, 0),
            ("<presence/>", 60, 10_000),
            ("<message/>", 300, 0),
            ("<message/>", 330, 10_000),
            ("<iq/>", 400, 0),
            ("<iq/>", 600, 10_000),
            (" <presence/>", 60, 10_000),
            (&long, 26, 0),
            (&long, 36, 9_786),
        ];
        for (frame, count, expected) in rows {
            let took = time_of(frame, count);
            assert!(took.abs_diff(expected) <= 5, "{count} {}: {took}", frame.get(..12).unwrap_or(frame));
        }
    }
}

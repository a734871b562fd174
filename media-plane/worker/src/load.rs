//! How busy a worker is: the share of the time that it spends in turns.

use contract::{Duration, Timestamp};

/// Busy time of windows of some milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    window: Timestamp,
    busy: Duration,
    /// Of the last whole window.
    percent: u8,
}

impl Load {
    /// A turn began at `began` and took so long.
    pub(crate) fn note(&mut self, began: Timestamp, took: Duration) {
        self.busy += took;
        let elapsed = (began + took).since(self.window);
        if elapsed >= WINDOW {
            self.percent = (self.busy.as_micros() * 100 / elapsed.as_micros()).min(100) as u8;
            (self.window, self.busy) = (began + took, Duration::ZERO);
        }
    }

    /// Whether it is `percent` or more; so it always is with 0, and never with more than 100.
    pub(crate) fn is_above(self, percent: u8) -> bool {
        self.percent >= percent
    }
}

/// Some frames of a busy worker, a few packets of an idle one.
const WINDOW: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_the_busy_share_of_the_last_window() {
        let mut load = Load::default();
        assert!(load.is_above(0) && !load.is_above(1));
        for (every_us, took_us, percent) in
            [(1_000, 600, 60), (1_000, 10, 1), (100, 100, 100), (50_000, 500, 1)]
        {
            let began = load.window;
            for turn in 0..400 {
                load.note(began + Duration::from_micros(turn * every_us), Duration::from_micros(took_us));
            }
            assert!(load.percent.abs_diff(percent) <= 4, "{} instead of {percent}", load.percent);
            assert!(!load.is_above(101));
        }
    }
}

//! How often the private pages are made, and how often they were not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use contract::Timestamp;

use crate::pace::Pace;

/// The pace of all who ask together.
pub(crate) struct Scrapes {
    pace: Mutex<Pace>,
    refused: AtomicU64,
}

impl Default for Scrapes {
    fn default() -> Scrapes {
        Scrapes { pace: Mutex::new(Pace::new(PER_SECOND, BURST)), refused: AtomicU64::new(0) }
    }
}

impl Scrapes {
    /// Whether a page may be made `uptime` after the start; counts if not.
    pub(crate) fn admit(&self, uptime: Duration) -> bool {
        let now = Timestamp::from_micros(u64::try_from(uptime.as_micros()).unwrap_or(u64::MAX));
        let admitted = self.pace.lock().unwrap_or_else(PoisonError::into_inner).admit(now);
        if !admitted {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// Pages that were not made.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Scrapers ask every few seconds, people and scripts that wait for something a few times a second.
const PER_SECOND: u64 = 20;
const BURST: u64 = 60;

//! What is known of the certificate in use.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// For metrics, and for who decides on HSTS.
#[derive(Default)]
pub(crate) struct TlsCounters {
    not_after: AtomicI64,
    real: AtomicBool,
    reloaded: AtomicU64,
    refused: AtomicU64,
}

impl TlsCounters {
    pub(crate) fn in_use(&self, not_after: i64, real: bool) {
        self.not_after.store(not_after, Ordering::Relaxed);
        self.real.store(real, Ordering::Relaxed);
    }

    pub(crate) fn reloaded(&self) {
        self.reloaded.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it is a configured one rather than our own.
    pub(crate) fn is_real(&self) -> bool {
        self.real.load(Ordering::Relaxed)
    }

    /// When it expires in seconds since 1970 (0: no HTTPS), how often it was changed, how often a change was refused.
    pub(crate) fn read(&self) -> (i64, u64, u64) {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (self.not_after.load(Ordering::Relaxed), of(&self.reloaded), of(&self.refused))
    }
}

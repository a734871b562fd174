//! What the ICE-TCP thread counts.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TcpEnding {
    /// By the client, or the network.
    Closed,
    /// What came was not ICE-TCP.
    Malformed,
    /// It proved nothing in time.
    Unproved,
    /// The client did not read.
    Slow,
    /// Nothing came for a minute.
    Silent,
}

impl TcpEnding {
    /// All, in the order of their discriminants.
    pub(crate) const ALL: [TcpEnding; 5] =
        [TcpEnding::Closed, TcpEnding::Malformed, TcpEnding::Unproved, TcpEnding::Slow, TcpEnding::Silent];

    /// The value of the metric's `reason` label.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            TcpEnding::Closed => "closed",
            TcpEnding::Malformed => "malformed",
            TcpEnding::Unproved => "unproved",
            TcpEnding::Slow => "slow",
            TcpEnding::Silent => "silent",
        }
    }
}

/// Counters of the thread.
#[derive(Default)]
pub(crate) struct TcpCounters {
    open: AtomicUsize,
    proved: AtomicU64,
    refused: AtomicU64,
    lost_inbound: AtomicU64,
    lost_outbound: AtomicU64,
    ended: [AtomicU64; TcpEnding::ALL.len()],
}

/// A reading of [`TcpCounters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcpReading {
    pub(crate) open: usize,
    /// Connections that a transport accepted, ever.
    pub(crate) proved: u64,
    pub(crate) refused: u64,
    /// Datagrams lost because a worker was behind.
    pub(crate) lost_inbound: u64,
    /// Datagrams lost because a client was slow or gone.
    pub(crate) lost_outbound: u64,
    /// In the order of [`TcpEnding::ALL`].
    pub(crate) ended: [u64; TcpEnding::ALL.len()],
}

impl TcpCounters {
    pub(crate) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn proved(&self) {
        self.proved.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lost_inbound(&self) {
        self.lost_inbound.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lost_outbound(&self) {
        self.lost_outbound.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, ending: TcpEnding) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.ended[ending as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> TcpReading {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TcpReading {
            open: self.open.load(Ordering::Relaxed),
            proved: of(&self.proved),
            refused: of(&self.refused),
            lost_inbound: of(&self.lost_inbound),
            lost_outbound: of(&self.lost_outbound),
            ended: self.ended.each_ref().map(of),
        }
    }
}

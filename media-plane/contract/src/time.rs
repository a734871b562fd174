//! The clock that is handed in. Cores never ask for the time; it is an argument.

pub use core::time::Duration;

/// Monotonic time in microseconds since the start of the process (or of the simulation).
///
/// It has a zero, unlike `std::time::Instant`, so that the simulator can start at one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The start of the process.
    pub const ZERO: Timestamp = Timestamp(0);
    /// Later than every real time; a timer set to it never fires.
    pub const NEVER: Timestamp = Timestamp(u64::MAX);

    /// `us` microseconds after the start of the process.
    pub const fn from_micros(us: u64) -> Timestamp {
        Timestamp(us)
    }

    /// `ms` milliseconds after the start of the process.
    pub const fn from_millis(ms: u64) -> Timestamp {
        Timestamp(ms * 1_000)
    }

    /// Microseconds since the start of the process.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Milliseconds since the start of the process, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// The time elapsed since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This time plus `by`; saturates at [`Timestamp::NEVER`].
    pub const fn after(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(by.as_micros() as u64))
    }
}

impl core::ops::Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, by: Duration) -> Timestamp {
        self.after(by)
    }
}

//! Waking a sleeping worker: an eventfd, written at most once per sleep.

use crate::primitive::{Arc, AtomicBool, Ordering, fence};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

/// Makes the two ends of a wake-up.
pub struct Wake;

/// The worker's end.
pub struct Sleeper {
    shared: Arc<Shared>,
}

/// Any other thread's end.
#[derive(Clone)]
pub struct Waker {
    shared: Arc<Shared>,
}

struct Shared {
    asleep: AtomicBool,
    eventfd: File,
}

impl Wake {
    /// A new eventfd, non-blocking and closed on exec, and its two ends.
    pub fn pair() -> io::Result<(Sleeper, Waker)> {
        // SAFETY: takes no pointer; the result is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just made, owned by nobody else.
        let eventfd = unsafe { File::from_raw_fd(fd) };
        let shared = Arc::new(Shared { asleep: AtomicBool::new(false), eventfd });
        Ok((Sleeper { shared: Arc::clone(&shared) }, Waker { shared }))
    }
}

impl Sleeper {
    /// Says that the worker is about to sleep. It must look at all its queues *after* this call and sleep only if all
    /// are empty; what is published later comes with a write of the eventfd.
    pub fn about_to_sleep(&self) {
        self.shared.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Says that the worker runs again: nobody needs to wake it.
    pub fn awake(&self) {
        self.shared.asleep.store(false, Ordering::Relaxed);
    }

    /// The eventfd, to watch. It stays open as long as an end exists.
    pub fn fd(&self) -> RawFd {
        self.shared.eventfd.as_raw_fd()
    }
}

impl Waker {
    /// Wakes the worker if it sleeps; call it after publishing. One system call per sleep, none while it runs.
    pub fn wake(&self) {
        if self.claim().is_some() {
            // A full counter means that a wake-up is pending: nothing is lost.
            let _ = (&self.shared.eventfd).write(&1u64.to_ne_bytes());
        }
    }

    /// If the worker sleeps and nobody has claimed its wake-up: the eventfd, which the caller then must write (through
    /// its ring). Call it after publishing.
    pub fn claim(&self) -> Option<RawFd> {
        fence(Ordering::SeqCst);
        if !self.shared.asleep.load(Ordering::Relaxed) {
            return None;
        }
        self.shared.asleep.swap(false, Ordering::Relaxed).then(|| self.shared.eventfd.as_raw_fd())
    }
}

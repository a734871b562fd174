//! Waking a sleeping worker: an eventfd, written at most once per sleep.
//!
//! Why no wake-up is lost. The worker: stores `asleep = true`, fences, then looks at its queues, and sleeps if they are
//! empty. The other thread: publishes to a queue, fences, then loads `asleep`. Both fences are sequentially consistent,
//! so one comes first. If the worker's does, the other thread's load sees `asleep` and the eventfd is written. If the
//! other thread's does, the worker's look sees what was published and it does not sleep. Neither thread can miss both.
//!
//! The eventfd keeps its count until it is seen, so a write between the worker's look and its sleep ends the sleep at
//! once. A write that comes late, after the worker woke by itself, costs one turn for nothing.

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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::io::Read;

    /// Writes that the eventfd has seen since it was last read.
    fn count(sleeper: &Sleeper) -> u64 {
        let mut bytes = [0; 8];
        match (&sleeper.shared.eventfd).read_exact(&mut bytes) {
            Ok(()) => u64::from_ne_bytes(bytes),
            Err(_) => 0,
        }
    }

    #[test]
    fn a_running_worker_costs_its_wakers_nothing_and_a_sleeping_one_a_single_write() {
        let (sleeper, waker) = Wake::pair().expect("an eventfd");
        waker.wake();
        assert_eq!(count(&sleeper), 0, "it runs");
        sleeper.about_to_sleep();
        waker.wake();
        waker.clone().wake();
        assert_eq!(count(&sleeper), 1, "once a sleep");
        sleeper.about_to_sleep();
        sleeper.awake();
        waker.wake();
        assert_eq!(count(&sleeper), 0, "it woke by itself");
        sleeper.about_to_sleep();
        assert_eq!(waker.claim(), Some(sleeper.fd()));
        assert_eq!((waker.claim(), count(&sleeper)), (None, 0), "claimed, to be written by the claimer");
    }

    #[test]
    fn no_record_waits_for_a_worker_that_sleeps_on() {
        let (sleeper, waker) = Wake::pair().expect("an eventfd");
        let (mut producer, mut consumer) = crate::spsc::ring::<u32>(1_024);
        const RECORDS: usize = 20_000;
        let thread = std::thread::spawn(move || {
            let (mut seen, mut sleeps) = (0, 0);
            while seen < RECORDS {
                seen += consumer.drain(1_024, |_| ());
                sleeper.about_to_sleep();
                if consumer.is_empty() && seen < RECORDS {
                    let mut watched = libc::pollfd { fd: sleeper.fd(), events: libc::POLLIN, revents: 0 };
                    // SAFETY: one entry, ours.
                    let ready = unsafe { libc::poll(&raw mut watched, 1, 10_000) };
                    assert_eq!(ready, 1, "slept on with {seen} seen");
                    sleeps += 1;
                }
                sleeper.awake();
                count(&sleeper);
            }
            sleeps
        });
        for number in 0..RECORDS {
            while producer.push_with(|record| *record = number as u32).is_err() {
                std::thread::yield_now();
            }
            producer.publish();
            waker.wake();
            if number % 16 == 0 {
                std::thread::yield_now();
            }
        }
        assert!(thread.join().expect("woken each time") > 0);
    }
}

/// Run with `RUSTFLAGS="--cfg loom" cargo test -p mesh --lib --release`.
#[cfg(all(test, loom))]
mod model {
    use super::*;

    #[test]
    fn the_worker_sees_the_record_or_the_waker_sees_the_sleeper() {
        loom::model(|| {
            let (sleeper, waker) = Wake::pair().expect("an eventfd");
            let (mut producer, consumer) = crate::spsc::ring::<u32>(2);
            let thread = loom::thread::spawn(move || {
                producer.push_with(|record| *record = 1).expect("room");
                producer.publish();
                waker.claim().is_some()
            });
            sleeper.about_to_sleep();
            let seen = !consumer.is_empty();
            let woken = thread.join().expect("joined");
            assert!(seen || woken, "asleep with a record in the queue");
        });
    }
}

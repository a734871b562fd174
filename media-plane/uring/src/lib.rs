//! Datagrams in and out of one thread: io_uring where the kernel allows it, `recvmmsg`/`sendmmsg` where not.
//!
//! Knows datagrams, addresses and segment runs; nothing of what is in them. One [`Io`] belongs to one worker thread.
//! A turn is: [`Io::receive`], read the datagrams, [`Io::recycle`], [`Io::send`] any number of times, and once
//! [`Io::submit_and_wait`].
#![allow(unsafe_code)]

mod options;
mod statistics;

pub use options::{Backend, Choice, Datagram, OpenError, Options, SOCKETS_MAX, SendFull, StartError};
pub use statistics::Statistics;

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::time::Duration;

/// The sockets of one worker and what moves datagrams through them.
pub struct Io {
    local: Vec<SocketAddr>,
    statistics: Statistics,
}

impl Io {
    /// Creates and binds one socket per local address and prepares the back end; no thread is bound yet, so the
    /// result may be moved to its worker.
    pub fn open(options: Options) -> Result<Io, OpenError> {
        if options.local.is_empty() {
            return Err(OpenError::NoAddress);
        }
        Ok(Io { local: options.local, statistics: Statistics::default() })
    }

    /// Makes the calling thread the only one that may use this value, and arms the receives. Nothing is allocated
    /// after it returns.
    pub fn start_on_this_thread(&mut self) -> Result<(), StartError> {
        Ok(())
    }

    /// Takes what has arrived into the batch and gives the number of datagrams in it.
    pub fn receive(&mut self) -> usize {
        0
    }

    /// Datagram `index` of the batch, below the number that [`Io::receive`] gave.
    pub fn datagram(&self, _index: usize) -> Datagram<'_> {
        Datagram { bytes: &[], peer: self.local[0], socket: 0, truncated: false }
    }

    /// All datagrams of the batch, in the order of their arrival.
    pub fn batch(&self) -> impl Iterator<Item = Datagram<'_>> {
        (0..0).map(|index| self.datagram(index))
    }

    /// Gives every datagram of the batch back to the kernel's use. Call it once a turn, before submitting.
    pub fn recycle(&mut self) {}

    /// Lets `write` put one datagram of at most `max_len` bytes into send memory, and queues it. It joins the message
    /// before it (UDP GSO) when socket and peer are the same and its length allows. 0 written bytes queue nothing.
    pub fn send(
        &mut self,
        _socket: u8,
        _peer: SocketAddr,
        _max_len: usize,
        _write: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<(), SendFull> {
        Err(SendFull)
    }

    /// Hands all that is queued to the kernel, without waiting.
    pub fn submit(&mut self) {}

    /// Hands all that is queued to the kernel and waits for an arrival, a wake-up or the timeout. `None` waits without
    /// limit, a zero timeout does not wait.
    pub fn submit_and_wait(&mut self, _timeout: Option<Duration>) {}

    /// Queues the write that wakes the thread behind this eventfd (see `mesh::wake::Waker::claim`).
    pub fn wake(&mut self, _eventfd: RawFd) {}

    /// Counters since the start.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The back end in use.
    pub fn backend(&self) -> Backend {
        Backend::Plain
    }

    /// Why the plain back end is in use although [`Choice::Auto`] would take io_uring; one line with the fix.
    pub fn fallback_reason(&self) -> Option<&str> {
        None
    }

    /// The address socket `socket` is bound to, its port included.
    pub fn local_address(&self, socket: u8) -> SocketAddr {
        self.local[usize::from(socket)]
    }

    /// Number of sockets: one per local address, in their order.
    pub fn sockets(&self) -> usize {
        self.local.len()
    }
}

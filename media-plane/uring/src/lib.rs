//! Datagrams in and out of one thread: io_uring where the kernel allows it, `recvmmsg`/`sendmmsg` where not.
//!
//! Knows datagrams, addresses and segment runs; nothing of what is in them. One [`Io`] belongs to one worker thread.
//! A turn is: [`Io::receive`], read the datagrams, [`Io::recycle`], [`Io::send`] any number of times, and once
//! [`Io::submit_and_wait`].
#![allow(unsafe_code)]

mod control_message;
mod options;
mod plain;
pub mod probe;
mod receive;
mod region;
mod restriction;
mod ring;
mod send;
mod socket;
mod statistics;

pub use options::{Backend, Choice, Datagram, OpenError, Options, SOCKETS_MAX, SendFull, StartError};
pub use socket::check_free;
pub use statistics::Statistics;

use plain::Plain;
use ring::{Ring, RingError};
use socket::Sockets;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::time::Duration;

/// The sockets of one worker and what moves datagrams through them.
pub struct Io {
    engine: Engine,
    fallback_reason: Option<String>,
}

/// The back ends: same methods, chosen once.
enum Engine {
    Ring(Box<Ring>),
    Plain(Box<Plain>),
}

/// Calls the same method of whichever back end it is.
macro_rules! engine {
    ($io:expr, $engine:ident => $call:expr) => {
        match $io {
            Engine::Ring($engine) => $call,
            Engine::Plain($engine) => $call,
        }
    };
}

impl Io {
    /// Creates and binds one socket per local address and prepares the back end; no thread is bound yet, so the
    /// result may be moved to its worker.
    pub fn open(options: Options) -> Result<Io, OpenError> {
        let sockets = Sockets::open(&options)?;
        if options.backend == Choice::Plain {
            return Io::open_plain(&options, sockets, None);
        }
        match Ring::open(&options, sockets) {
            Ok(ring) => Ok(Io { engine: Engine::Ring(Box::new(ring)), fallback_reason: None }),
            Err((_, RingError::Options(error))) => Err(error),
            Err((_, RingError::Kernel(finding))) if options.backend == Choice::IoUring => {
                Err(OpenError::IoUring(finding.to_string()))
            }
            Err((sockets, RingError::Kernel(finding))) => {
                Io::open_plain(&options, sockets, Some(finding.to_string()))
            }
        }
    }

    fn open_plain(options: &Options, sockets: Sockets, reason: Option<String>) -> Result<Io, OpenError> {
        let plain = Plain::open(options, sockets)?;
        Ok(Io { engine: Engine::Plain(Box::new(plain)), fallback_reason: reason })
    }

    /// Makes the calling thread the only one that may use this value, and arms the receives. Nothing is allocated
    /// after it returns. Until then nothing is received or sent.
    ///
    /// Drop the value on this same thread: on another one its memory cannot be taken back from the kernel and leaks.
    pub fn start_on_this_thread(&mut self) -> Result<(), StartError> {
        match &mut self.engine {
            Engine::Ring(ring) => ring.start(),
            Engine::Plain(_) => Ok(()),
        }
    }

    /// Takes what has arrived into the batch and gives the number of datagrams in it, those of earlier calls that were
    /// not recycled included. With io_uring, what has arrived is known after [`Io::submit`] or
    /// [`Io::submit_and_wait`].
    pub fn receive(&mut self) -> usize {
        engine!(&mut self.engine, engine => engine.receive())
    }

    /// Datagram `index` of the batch, below the number that [`Io::receive`] gave.
    #[inline]
    pub fn datagram(&self, index: usize) -> Datagram<'_> {
        engine!(&self.engine, engine => engine.datagram(index))
    }

    /// The bytes of datagram `index`, to open it in place.
    #[inline]
    pub fn datagram_mut(&mut self, index: usize) -> &mut [u8] {
        engine!(&mut self.engine, engine => engine.bytes_mut(index))
    }

    /// All datagrams of the batch, in the order of their arrival per socket.
    pub fn batch(&self) -> impl Iterator<Item = Datagram<'_>> {
        let shown = engine!(&self.engine, engine => engine.shown());
        (0..shown).map(|index| self.datagram(index))
    }

    /// Gives the buffers of the batch back to the kernel's use and ends the batch. Call it once a turn, before
    /// submitting.
    pub fn recycle(&mut self) {
        engine!(&mut self.engine, engine => engine.recycle());
    }

    /// Lets `write` put one datagram of at most `max_len` bytes into send memory, and queues it. 0 written bytes queue
    /// nothing.
    ///
    /// It joins the message before it (UDP GSO) when socket and peer are the same and its length is that of the
    /// message's segments, or less, which ends the message. Each 64 datagrams the kernel is given what is queued.
    /// A peer that the socket cannot reach (other address family, port 0) is counted as a send error.
    #[inline]
    pub fn send(
        &mut self,
        socket: u8,
        peer: SocketAddr,
        max_len: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<(), SendFull> {
        engine!(&mut self.engine, engine => engine.send(socket, peer, max_len, write))
    }

    /// Hands all that is queued to the kernel, without waiting.
    pub fn submit(&mut self) {
        engine!(&mut self.engine, engine => engine.submit());
    }

    /// Hands all that is queued to the kernel and waits for an arrival, a wake-up or the timeout; it may return for
    /// less. `None` waits without limit, a zero timeout does not wait.
    pub fn submit_and_wait(&mut self, timeout: Option<Duration>) {
        engine!(&mut self.engine, engine => engine.submit_and_wait(timeout));
    }

    /// Wakes the thread behind this eventfd (see `mesh::wake::Waker::claim`): with io_uring at the next submit,
    /// without a system call of its own.
    pub fn wake(&mut self, eventfd: RawFd) {
        engine!(&mut self.engine, engine => engine.wake(eventfd));
    }

    /// Counters since the start.
    pub fn statistics(&self) -> &Statistics {
        engine!(&self.engine, engine => engine.statistics())
    }

    /// Datagrams that the kernel dropped because a socket's receive buffer was full. Costs a system call per socket.
    pub fn kernel_drops(&self) -> u64 {
        self.sockets_open().kernel_drops()
    }

    /// The back end in use.
    pub fn backend(&self) -> Backend {
        match self.engine {
            Engine::Ring(_) => Backend::IoUring,
            Engine::Plain(_) => Backend::Plain,
        }
    }

    /// Why the plain back end is in use although [`Choice::Auto`] would take io_uring; one line with the remedy.
    pub fn fallback_reason(&self) -> Option<&str> {
        self.fallback_reason.as_deref()
    }

    /// The address socket `socket` is bound to, its port included.
    ///
    /// # Panics
    /// If there is no such socket.
    pub fn local_address(&self, socket: u8) -> SocketAddr {
        self.sockets_open().local()[usize::from(socket)]
    }

    /// Number of sockets: one per local address, in their order.
    pub fn sockets(&self) -> usize {
        self.sockets_open().len()
    }

    fn sockets_open(&self) -> &Sockets {
        engine!(&self.engine, engine => engine.sockets())
    }
}

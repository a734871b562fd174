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
mod twin;

pub use options::{Backend, Choice, Datagram, OpenError, Options, SOCKETS_MAX, SendFull, StartError};
pub use socket::check_free;
pub use statistics::Statistics;
pub use twin::Twin;

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

    /// Bytes that the next datagram may have to join the message of the one before it, if it goes to this peer: see
    /// [`Io::send`]. 0: it would begin a message.
    #[inline]
    pub fn room_along(&self, socket: u8, peer: &SocketAddr) -> usize {
        engine!(&self.engine, engine => engine.room_along(socket, peer))
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

    /// The same sockets for another thread.
    pub fn twin(&self) -> std::io::Result<Twin> {
        Ok(Twin::new(self.sockets_open().duplicate()?))
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

    /// Number of sockets: one per local address, in their order, then those without an address.
    pub fn sockets(&self) -> usize {
        self.sockets_open().len()
    }

    fn sockets_open(&self) -> &Sockets {
        engine!(&self.engine, engine => engine.sockets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    /// A kernel refuses segmentation on a socket that sends no checksums.
    fn send_no_checksums(socket: RawFd) {
        let value: libc::c_int = 1;
        let len = size_of_val(&value) as libc::socklen_t;
        // SAFETY: the value is ours and as long as said.
        let result = unsafe {
            libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, (&raw const value).cast(), len)
        };
        assert_eq!(result, 0);
    }

    #[test]
    fn what_the_kernel_will_not_segment_arrives_all_the_same_and_without_delay() {
        for backend in [Choice::IoUring, Choice::Plain] {
            let (sleeper, _waker) = mesh::Wake::pair().expect("an eventfd");
            let mut options = Options::new(vec![SocketAddr::from(([127, 0, 0, 1], 0))], sleeper.fd());
            options.backend = backend;
            let mut io = Io::open(options).expect("opened");
            io.start_on_this_thread().expect("started");
            send_no_checksums(io.sockets_open().fd(0));
            let sink = UdpSocket::bind("127.0.0.1:0").expect("bound");
            sink.set_nonblocking(true).expect("set");
            let to = sink.local_addr().expect("bound");
            for turn in 1..=20u64 {
                for value in 0..10u8 {
                    // Lengths differ from turn to turn, as a refusal holds for a length and all above.
                    let len = 1_300 - turn as usize;
                    io.send(0, to, 1_300, |buffer| {
                        buffer[..len].fill(value);
                        len
                    })
                    .expect("room");
                }
                io.submit();
                let mut buffer = [0; 2_048];
                for value in 0..10u8 {
                    let (len, _) = sink.recv_from(&mut buffer).expect("sent within the same turn");
                    assert_eq!((len, buffer[0]), (1_300 - turn as usize, value), "{backend:?}");
                }
                io.receive();
                assert_eq!(io.statistics().segments, 10 * turn);
            }
            let statistics = io.statistics();
            assert_eq!((statistics.gso_refused, statistics.gso_off), (8, 1), "{backend:?}");
            assert_eq!((statistics.send_errors, statistics.sends), (0, 200), "{backend:?}");
        }
    }

    /// Makes `io_uring_setup` fail with `errno` on the calling thread, as the filter of a container does.
    fn forbid_rings(errno: i32) {
        let statement = |code, jump_true, k| libc::sock_filter { code, jt: jump_true, jf: 0, k };
        let mut filter = [
            // Load the call's number; if it is the one, skip over the verdict for all others.
            statement((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0, 0),
            statement(
                (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
                1,
                libc::SYS_io_uring_setup as u32,
            ),
            statement((libc::BPF_RET | libc::BPF_K) as u16, 0, libc::SECCOMP_RET_ALLOW),
            statement((libc::BPF_RET | libc::BPF_K) as u16, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        ];
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: the program is ours, lives through the call, and is copied by the kernel.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            let mode = libc::SECCOMP_SET_MODE_FILTER;
            assert_eq!(libc::syscall(libc::SYS_seccomp, mode, 0, &raw const program), 0);
        }
    }

    #[test]
    fn without_io_uring_the_plain_back_end_serves_and_says_why() {
        for (errno, reason) in
            [(libc::EPERM, "filter"), (libc::ENOSYS, "CONFIG_IO_URING"), (libc::ENOMEM, "MEMLOCK")]
        {
            let thread = std::thread::spawn(move || {
                forbid_rings(errno);
                let (sleeper, _waker) = mesh::Wake::pair().expect("an eventfd");
                let mut options = Options::new(vec![SocketAddr::from(([127, 0, 0, 1], 0))], sleeper.fd());
                let io = Io::open(options.clone()).expect("opened");
                assert_eq!(io.backend(), Backend::Plain);
                assert!(io.fallback_reason().is_some_and(|text| text.contains(reason)));
                options.backend = Choice::IoUring;
                assert!(matches!(Io::open(options), Err(OpenError::IoUring(text)) if text.contains(reason)));
            });
            thread.join().expect("served");
        }
    }
}

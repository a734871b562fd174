//! What a turn needs of the outside: datagrams in, datagrams out. The worker runs on a ring, the simulator on its
//! own network; both by the same code.

use std::os::fd::RawFd;

use transport::{Outbox, Path};

/// Datagrams in and out of one worker.
pub trait DatagramIo {
    /// Take what has arrived; how many datagrams.
    fn receive(&mut self) -> usize;
    /// Datagram `index` of those.
    fn datagram(&self, index: usize) -> uring::Datagram<'_>;
    /// The datagrams have been dealt with.
    fn recycle(&mut self);
    /// Queue one datagram of at most `max_len` bytes; `write` says how many it used, 0 for none. False: no room.
    fn send(&mut self, path: Path, max_len: usize, write: impl FnOnce(&mut [u8]) -> usize) -> bool;
    /// Bytes that a datagram to `path` may have to go along with the one queued last, in the same message; 0: it would
    /// be sent on its own.
    fn room_along(&self, path: Path) -> usize;
    /// Wake the thread that sleeps on this eventfd, with the next submission.
    fn wake(&mut self, eventfd: RawFd);
}

impl DatagramIo for uring::Io {
    fn receive(&mut self) -> usize {
        uring::Io::receive(self)
    }

    fn datagram(&self, index: usize) -> uring::Datagram<'_> {
        uring::Io::datagram(self, index)
    }

    fn recycle(&mut self) {
        uring::Io::recycle(self);
    }

    fn send(&mut self, path: Path, max_len: usize, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        uring::Io::send(self, path.socket, path.peer, max_len, write).is_ok()
    }

    #[inline]
    fn room_along(&self, path: Path) -> usize {
        uring::Io::room_along(self, path.socket, &path.peer)
    }

    fn wake(&mut self, eventfd: RawFd) {
        uring::Io::wake(self, eventfd);
    }
}

/// The outbox of a transport, on the worker's I/O.
pub(crate) struct Mail<'a, I>(pub(crate) &'a mut I);

impl<I: DatagramIo> Outbox for Mail<'_, I> {
    fn datagram(&mut self, path: Path, max_len: usize, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        self.0.send(path, max_len, write)
    }
}

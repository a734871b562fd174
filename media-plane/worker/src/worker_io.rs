//! A worker's datagrams: those of its ring, and beside them those of ICE-TCP connections.

use std::os::fd::RawFd;
use std::time::Duration;

use transport::Path;
use uring::Io;

use crate::datagram_io::DatagramIo;
use crate::tcp::{TcpLine, is_tcp};

/// Both ways in and out. The worker sees one; the number of the socket tells them apart.
pub(crate) struct WorkerIo {
    udp: Io,
    tcp: TcpLine,
    /// Datagrams of the batch that came by UDP: the others follow.
    of_udp: usize,
}

impl WorkerIo {
    pub(crate) fn new(udp: Io, tcp: TcpLine) -> WorkerIo {
        WorkerIo { udp, tcp, of_udp: 0 }
    }

    pub(crate) fn start_on_this_thread(&mut self) -> Result<(), uring::StartError> {
        self.udp.start_on_this_thread()
    }

    /// Hand over what the turn sent.
    pub(crate) fn submit(&mut self) {
        self.wake_tcp();
        self.udp.submit();
    }

    pub(crate) fn submit_and_wait(&mut self, timeout: Option<Duration>) {
        self.wake_tcp();
        self.udp.submit_and_wait(timeout);
    }

    /// Whether nothing of TCP waits: what comes by UDP ends the sleep by itself.
    pub(crate) fn is_idle(&self) -> bool {
        self.tcp.is_idle()
    }

    /// Counters of both.
    pub(crate) fn statistics(&self) -> uring::Statistics {
        let mut both = *self.udp.statistics();
        both.sends += self.tcp.sent;
        both.segments += self.tcp.sent;
        both.bytes_sent += self.tcp.bytes_sent;
        both.segments_lost += self.tcp.lost;
        both
    }

    fn wake_tcp(&mut self) {
        if let Some(eventfd) = self.tcp.claim_wake() {
            self.udp.wake(eventfd);
        }
    }
}

impl DatagramIo for WorkerIo {
    fn receive(&mut self) -> usize {
        self.of_udp = self.udp.receive();
        self.of_udp + self.tcp.receive()
    }

    fn datagram(&self, index: usize) -> uring::Datagram<'_> {
        match index.checked_sub(self.of_udp) {
            None => self.udp.datagram(index),
            Some(index) => self.tcp.datagram(index),
        }
    }

    fn recycle(&mut self) {
        self.udp.recycle();
        self.tcp.recycle();
    }

    #[inline]
    fn send(&mut self, path: Path, max_len: usize, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        if is_tcp(path.socket) {
            return self.tcp.send(path, max_len, write);
        }
        self.udp.send(path.socket, path.peer, max_len, write).is_ok()
    }

    #[inline]
    fn room_along(&self, path: Path) -> usize {
        // Records on a connection share segments anyway.
        if is_tcp(path.socket) { usize::MAX } else { self.udp.room_along(path.socket, &path.peer) }
    }

    fn wake(&mut self, eventfd: RawFd) {
        self.udp.wake(eventfd);
    }
}

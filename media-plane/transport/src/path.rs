//! Where datagrams come from and go to.

use core::net::SocketAddr;

/// A peer's address as seen by one of our sockets: the 5-tuple that has to prove itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The peer's transport address.
    pub peer: SocketAddr,
    /// Index of our local socket: into [`crate::Config::sockets`].
    pub socket: u8,
}

/// Takes datagrams to send. The worker implements it on its send slots.
pub trait Outbox {
    /// Send one datagram on `path`: `write` fills at most `max_len` bytes and returns how many it used; 0 means none.
    /// `false` if there is no room; the datagram is then lost, which every protocol here survives.
    fn datagram(&mut self, path: Path, max_len: usize, write: impl FnOnce(&mut [u8]) -> usize) -> bool;
}

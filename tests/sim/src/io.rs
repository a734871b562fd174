//! A worker's datagrams in the simulation.

use std::net::SocketAddr;
use std::os::fd::RawFd;

use transport::Path;
use worker::DatagramIo;

/// What arrived for one worker, and what it sent.
#[derive(Debug, Default)]
pub struct SimulatedIo {
    pub(crate) arrived: Vec<(SocketAddr, Vec<u8>)>,
    batch: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) sent: Vec<(SocketAddr, Vec<u8>)>,
}

impl DatagramIo for SimulatedIo {
    fn receive(&mut self) -> usize {
        self.batch = std::mem::take(&mut self.arrived);
        self.batch.len()
    }

    fn datagram(&self, index: usize) -> uring::Datagram<'_> {
        let (peer, bytes) = &self.batch[index];
        uring::Datagram { bytes, peer: *peer, socket: 0, truncated: false }
    }

    fn recycle(&mut self) {
        self.batch.clear();
    }

    fn send(&mut self, path: Path, max_len: usize, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        let mut bytes = vec![0; max_len];
        let len = write(&mut bytes);
        bytes.truncate(len);
        if len > 0 {
            self.sent.push((path.peer, bytes));
        }
        true
    }

    fn wake(&mut self, _eventfd: RawFd) {}
}

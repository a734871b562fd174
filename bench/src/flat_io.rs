//! Datagrams without a kernel: the turn writes into memory of the size that the real back ends have, and that is all.

use std::net::SocketAddr;
use std::os::fd::RawFd;

use transport::Path;
use worker::DatagramIo;

use crate::production::{Ground, is_stun};

/// What is fed is received; what is sent is counted, and kept only if it is STUN.
pub struct FlatIo {
    peers: Vec<SocketAddr>,
    arrived: Vec<(usize, Vec<u8>)>,
    memory: Box<[u8]>,
    write: usize,
    stun: Vec<(SocketAddr, Vec<u8>)>,
    sent: u64,
    last_len: usize,
}

impl FlatIo {
    /// Clients by number, and where they are.
    pub fn new(peers: Vec<SocketAddr>) -> FlatIo {
        let memory = vec![0; SEND_BYTES].into_boxed_slice();
        FlatIo { peers, arrived: Vec::new(), memory, write: 0, stun: Vec::new(), sent: 0, last_len: 0 }
    }
}

impl DatagramIo for FlatIo {
    fn receive(&mut self) -> usize {
        self.arrived.len()
    }

    fn datagram(&self, index: usize) -> uring::Datagram<'_> {
        let (client, bytes) = &self.arrived[index];
        uring::Datagram { bytes, peer: self.peers[*client], socket: 0, truncated: false }
    }

    fn recycle(&mut self) {
        self.arrived.clear();
    }

    fn send(&mut self, path: Path, max_len: usize, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        if self.write + max_len > self.memory.len() {
            self.write = 0;
        }
        let room = &mut self.memory[self.write..self.write + max_len];
        let len = write(room);
        if len == 0 {
            return true;
        }
        if is_stun(room) {
            self.stun.push((path.peer, room[..len].to_vec()));
        }
        self.write += len;
        self.sent += 1;
        self.last_len = len;
        true
    }

    fn wake(&mut self, _eventfd: RawFd) {}
}

impl Ground for FlatIo {
    fn submit(&mut self) {}

    fn feed(&mut self, client: usize, datagram: &[u8]) -> Result<(), String> {
        self.arrived.push((client, datagram.to_vec()));
        Ok(())
    }

    fn collect(&mut self) -> Vec<(usize, Vec<u8>)> {
        let peers = &self.peers;
        let by_number =
            |(peer, bytes)| peers.iter().position(|known| *known == peer).map(|client| (client, bytes));
        self.stun.drain(..).filter_map(by_number).collect()
    }

    fn sends(&self) -> Option<(u64, u64)> {
        None
    }

    fn last_len(&self) -> Option<usize> {
        Some(self.last_len)
    }
}

/// As the back ends have by default.
const SEND_BYTES: usize = 1 << 20;

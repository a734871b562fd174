//! Datagrams without a kernel: the turn writes into memory of the size that the real back ends have, and that is all.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use transport::Path;
use worker::DatagramIo;

use crate::production::{Ground, is_stun};

/// What is fed is received; what is sent is grouped and counted as by the real back ends, and kept only if it is STUN.
pub struct FlatIo {
    peers: Vec<SocketAddr>,
    numbers: HashMap<SocketAddr, usize>,
    arrived: Vec<(usize, Vec<u8>)>,
    memory: Box<[u8]>,
    write: usize,
    stun: Vec<(SocketAddr, Vec<u8>)>,
    /// The message that is open: to whom, and the length of its segments.
    open: Option<(SocketAddr, usize)>,
    messages: u64,
    sent: u64,
}

impl FlatIo {
    /// Clients by number, and where they are.
    pub fn new(peers: Vec<SocketAddr>) -> FlatIo {
        let memory = vec![0; SEND_BYTES].into_boxed_slice();
        let numbers = peers.iter().enumerate().map(|(number, peer)| (*peer, number)).collect();
        let (open, messages) = (None, 0);
        FlatIo {
            peers,
            numbers,
            arrived: Vec::new(),
            memory,
            write: 0,
            stun: Vec::new(),
            open,
            messages,
            sent: 0,
        }
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
        match self.open {
            Some((peer, segment)) if peer == path.peer && len <= segment => {
                self.open = self.open.filter(|_| len == segment);
            }
            _ => {
                self.open = Some((path.peer, len));
                self.messages += 1;
            }
        }
        true
    }

    fn room_along(&self, path: Path) -> usize {
        self.open.filter(|(peer, _)| *peer == path.peer).map_or(0, |(_, segment)| segment)
    }

    fn wake(&mut self, _eventfd: RawFd) {}
}

impl Ground for FlatIo {
    fn submit(&mut self) {
        (self.open, self.write) = (None, 0);
    }

    fn feed(&mut self, client: usize, datagram: &[u8]) -> Result<(), String> {
        self.arrived.push((client, datagram.to_vec()));
        Ok(())
    }

    fn collect(&mut self) -> Vec<(usize, Vec<u8>)> {
        let numbers = &self.numbers;
        self.stun.drain(..).filter_map(|(peer, bytes)| Some((*numbers.get(&peer)?, bytes))).collect()
    }

    fn sends(&self) -> Option<(u64, u64)> {
        Some((self.messages, self.sent))
    }
}

/// What the back ends touch: they hand over each 64 datagrams, and an empty queue begins where it is warm.
const SEND_BYTES: usize = 64 * 1_536;

//! A worker's datagrams in the simulation. Within a turn it allocates nothing, so that what a turn allocates is the
//! worker's doing.

use std::net::SocketAddr;
use std::os::fd::RawFd;

use transport::Path;
use worker::DatagramIo;

/// What arrived for one worker, and what it sent.
#[derive(Debug)]
pub struct SimulatedIo {
    pub(crate) arrived: Vec<(SocketAddr, Vec<u8>)>,
    batch: Vec<(SocketAddr, Vec<u8>)>,
    memory: Box<[u8]>,
    /// What was sent: to whom, and where its bytes end in `memory`.
    sent: Vec<(SocketAddr, usize)>,
    /// Datagrams that found no room.
    pub(crate) refused: u64,
}

impl Default for SimulatedIo {
    fn default() -> Self {
        SimulatedIo {
            arrived: Vec::new(),
            batch: Vec::new(),
            memory: vec![0; SEND_BYTES].into_boxed_slice(),
            sent: Vec::with_capacity(SENDS),
            refused: 0,
        }
    }
}

impl SimulatedIo {
    /// What was sent since the last call.
    pub(crate) fn drain_sent(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut start = 0;
        let memory = &self.memory;
        let datagram = |(peer, end)| {
            let bytes = memory[start..end].to_vec();
            start = end;
            (peer, bytes)
        };
        self.sent.drain(..).map(datagram).collect()
    }
}

impl DatagramIo for SimulatedIo {
    fn receive(&mut self) -> usize {
        std::mem::swap(&mut self.batch, &mut self.arrived);
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
        let start = self.sent.last().map_or(0, |(_, end)| *end);
        let room = self.memory.get_mut(start..start + max_len).filter(|_| self.sent.len() < SENDS);
        let Some(room) = room else {
            self.refused += 1;
            return false;
        };
        let len = write(room);
        if len > 0 {
            self.sent.push((path.peer, start + len));
        }
        true
    }

    fn room_along(&self, path: Path) -> usize {
        if self.sent.last().is_some_and(|(peer, _)| *peer == path.peer) { ALONG_BYTES } else { 0 }
    }

    fn wake(&mut self, _eventfd: RawFd) {}
}

/// What goes along with a datagram to the same peer: the length of a full one.
const ALONG_BYTES: usize = 1_200;
/// Bytes that the workers may send before the network takes them over.
const SEND_BYTES: usize = 4 << 20;
/// Datagrams, likewise.
const SENDS: usize = 8_192;

//! DTLS datagrams between workers and handshake threads: fixed records in bounded queues, copied at either end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use contract::limits::DATAGRAM_BYTES_MAX;
use contract::{EndpointId, WorkerId};
use crossbeam::queue::ArrayQueue;
use mesh::wake::Waker;

/// One DTLS datagram of an endpoint, in either direction.
#[derive(Clone, Debug)]
pub struct DtlsDatagram {
    /// Whose.
    pub endpoint: EndpointId,
    seat: u32,
    len: u16,
    bytes: [u8; DATAGRAM_BYTES_MAX],
}

impl DtlsDatagram {
    pub(crate) fn new(endpoint: EndpointId, seat: u32, datagram: &[u8]) -> DtlsDatagram {
        let len = datagram.len().min(DATAGRAM_BYTES_MAX);
        let mut bytes = [0; DATAGRAM_BYTES_MAX];
        bytes[..len].copy_from_slice(&datagram[..len]);
        DtlsDatagram { endpoint, seat, len: len as u16, bytes }
    }

    pub(crate) fn seat(&self) -> u32 {
        self.seat
    }

    /// As it was on the wire.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Sends DTLS datagrams from handshake threads to clients; cheap to clone.
#[derive(Clone)]
pub struct DtlsSender {
    /// Known to the control plane alone: workers never touch this lock.
    pub(crate) seats: Arc<Mutex<HashMap<EndpointId, (WorkerId, u32)>>>,
    pub(crate) queues: Arc<[Arc<ArrayQueue<DtlsDatagram>>]>,
    pub(crate) wakers: Arc<[Waker]>,
}

impl DtlsSender {
    /// Send one datagram on the endpoint's current path. False: the endpoint is gone, or too many wait; DTLS will
    /// retransmit.
    pub fn send(&self, endpoint: EndpointId, datagram: &[u8]) -> bool {
        let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((worker, seat)) = seats.get(&endpoint).copied() else { return false };
        drop(seats);
        let worker = usize::from(worker.0);
        let sent = self.queues[worker].push(DtlsDatagram::new(endpoint, seat, datagram)).is_ok();
        self.wakers[worker].wake();
        sent
    }
}

/// Datagrams that may wait in one queue: some 3 MB, and a burst of 500 joins fits.
pub(crate) const DTLS_QUEUE: usize = 2_048;

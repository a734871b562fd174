//! Datagrams of ICE-TCP connections (RFC 6544) between the workers and the thread that holds the connections: fixed
//! records in bounded queues, copied at either end. To a worker they are datagrams of one socket more.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;

use contract::WorkerId;
use contract::limits::{DATAGRAM_BYTES_MAX, LOCAL_ADDRESSES_MAX};
use crossbeam::queue::ArrayQueue;
use mesh::wake::{Sleeper, Waker};
use transport::Path;
use transport::ice::SELF_TEST_UFRAG;
use wire::stun;

use crate::ufrag;

/// One datagram of an ICE-TCP connection, in either direction.
#[derive(Clone, Debug)]
pub struct TcpDatagram {
    path: Path,
    len: u16,
    bytes: [u8; DATAGRAM_BYTES_MAX],
}

impl TcpDatagram {
    /// Of the connection with `peer`; what exceeds [`DATAGRAM_BYTES_MAX`] is cut off, which no caller lets happen.
    pub fn new(peer: SocketAddr, datagram: &[u8]) -> TcpDatagram {
        let mut new = TcpDatagram::empty(Path { peer, socket: tcp_socket(peer) });
        let len = datagram.len().min(DATAGRAM_BYTES_MAX);
        new.bytes[..len].copy_from_slice(&datagram[..len]);
        new.len = len as u16;
        new
    }

    fn empty(path: Path) -> TcpDatagram {
        TcpDatagram { path, len: 0, bytes: [0; DATAGRAM_BYTES_MAX] }
    }

    /// The other end of the connection.
    pub fn peer(&self) -> SocketAddr {
        self.path.peer
    }

    /// As it is within its frame.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The end of the thread that holds the connections.
pub struct TcpEnd {
    inbound: Arc<[Arc<ArrayQueue<TcpDatagram>>]>,
    outbound: Arc<ArrayQueue<TcpDatagram>>,
    wakers: Arc<[Waker]>,
    sleeper: Sleeper,
}

impl TcpEnd {
    /// The worker that the first datagram of a connection claims to be for: it must be a connectivity check (RFC 8445
    /// §7.2.2) whose user name has our form. No proof: the worker's transport checks the credentials.
    pub fn claimed_worker(&self, datagram: &[u8]) -> Option<WorkerId> {
        let message = stun::Message::parse(datagram).ok()?;
        if !message.is_binding() || message.class() != stun::Class::Request {
            return None;
        }
        let worker = match ufrag::decode(message.username()?) {
            Some(owner) => owner.worker,
            // It is for nobody's endpoint: any worker answers it.
            None if message.local_ufrag() == Some(SELF_TEST_UFRAG) => WorkerId(0),
            None => return None,
        };
        (usize::from(worker.0) < self.inbound.len()).then_some(worker)
    }

    /// Pass on a datagram; [`TcpEnd::wake`] must follow. False: too many wait already, and it is lost.
    pub fn push(&self, worker: WorkerId, datagram: TcpDatagram) -> bool {
        self.inbound.get(usize::from(worker.0)).is_some_and(|queue| queue.push(datagram).is_ok())
    }

    /// Wake the worker after one or more datagrams for it.
    pub fn wake(&self, worker: WorkerId) {
        if let Some(waker) = self.wakers.get(usize::from(worker.0)) {
            waker.wake();
        }
    }

    /// The next datagram on its way out, of any worker.
    pub fn pop(&self) -> Option<TcpDatagram> {
        self.outbound.pop()
    }

    /// Becomes readable when a datagram waits and [`TcpEnd::about_to_wait`] was called before.
    pub fn wake_fd(&self) -> RawFd {
        self.sleeper.fd()
    }

    /// Ask to be woken; pop once more after this, then wait.
    pub fn about_to_wait(&self) {
        self.sleeper.about_to_sleep();
    }

    /// Popping again.
    pub fn waited(&self) {
        self.sleeper.awake();
    }
}

/// A worker's end.
pub(crate) struct TcpLine {
    inbound: Arc<ArrayQueue<TcpDatagram>>,
    outbound: Arc<ArrayQueue<TcpDatagram>>,
    waker: Waker,
    /// Of this turn. Its capacity is fixed.
    batch: Vec<TcpDatagram>,
    passed: bool,
    pub(crate) sent: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) lost: u64,
}

impl TcpLine {
    /// Take in what waits, at most a batch; how many there are in it.
    pub(crate) fn receive(&mut self) -> usize {
        while self.batch.len() < BATCH
            && let Some(datagram) = self.inbound.pop()
        {
            self.batch.push(datagram);
        }
        self.batch.len()
    }

    pub(crate) fn datagram(&self, index: usize) -> uring::Datagram<'_> {
        let TcpDatagram { path, .. } = self.batch[index];
        uring::Datagram {
            bytes: self.batch[index].bytes(),
            peer: path.peer,
            socket: path.socket,
            truncated: false,
        }
    }

    pub(crate) fn recycle(&mut self) {
        self.batch.clear();
    }

    /// Queue one datagram; see [`crate::DatagramIo::send`]. A full queue loses it, as a network would.
    pub(crate) fn send(
        &mut self,
        path: Path,
        max_len: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        if self.outbound.is_full() {
            self.lost += 1;
            return false;
        }
        let mut datagram = TcpDatagram::empty(path);
        let room = max_len.min(DATAGRAM_BYTES_MAX);
        let len = write(&mut datagram.bytes[..room]).min(room);
        if len == 0 {
            return true;
        }
        datagram.len = len as u16;
        if self.outbound.push(datagram).is_err() {
            self.lost += 1;
            return false;
        }
        self.passed = true;
        self.sent += 1;
        self.bytes_sent += len as u64;
        true
    }

    /// Whose eventfd is to be written, if anything was sent since the last call and nobody has woken them yet.
    pub(crate) fn claim_wake(&mut self) -> Option<RawFd> {
        std::mem::take(&mut self.passed).then(|| self.waker.claim()).flatten()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.inbound.is_empty()
    }
}

/// Both ends: the lines in the order of `wakers`, which wake the workers.
pub(crate) fn lines(wakers: &Arc<[Waker]>) -> std::io::Result<(TcpEnd, Vec<TcpLine>)> {
    let (sleeper, waker) = mesh::wake::Wake::pair()?;
    let inbound: Vec<_> = wakers.iter().map(|_| Arc::new(ArrayQueue::new(INBOUND))).collect();
    let outbound = Arc::new(ArrayQueue::new(OUTBOUND));
    let line = |inbound: &Arc<ArrayQueue<TcpDatagram>>| TcpLine {
        inbound: Arc::clone(inbound),
        outbound: Arc::clone(&outbound),
        waker: waker.clone(),
        batch: Vec::with_capacity(BATCH),
        passed: false,
        sent: 0,
        bytes_sent: 0,
        lost: 0,
    };
    let lines = inbound.iter().map(line).collect();
    let end = TcpEnd { inbound: inbound.into(), outbound, wakers: Arc::clone(wakers), sleeper };
    Ok((end, lines))
}

/// Whether datagrams of this socket go by an ICE-TCP connection.
pub(crate) fn is_tcp(socket: u8) -> bool {
    usize::from(socket) >= LOCAL_ADDRESSES_MAX
}

/// The number of the socket that stands for all connections of the peer's address family: behind all that UDP may have.
pub(crate) fn tcp_socket(peer: SocketAddr) -> u8 {
    LOCAL_ADDRESSES_MAX as u8 + u8::from(peer.is_ipv6())
}

/// Datagrams that may wait for one worker: 20 ms of fifty thousand a second, 1.5 MB when touched.
const INBOUND: usize = 1_024;
/// Datagrams of all workers that may wait for the connections' thread: 80 ms of fifty thousand a second.
const OUTBOUND: usize = 4_096;
/// Datagrams taken in by one turn; the rest waits for the next.
const BATCH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], number))
    }

    fn two_workers() -> (TcpEnd, Vec<TcpLine>, Vec<Sleeper>) {
        let (sleepers, wakers): (Vec<_>, Vec<_>) =
            (0..2).map(|_| mesh::wake::Wake::pair().expect("an eventfd")).unzip();
        let (end, lines) = lines(&wakers.into()).expect("an eventfd");
        (end, lines, sleepers)
    }

    fn check(ufrag: &str, class: stun::Class) -> Vec<u8> {
        let mut buffer = [0; 200];
        let len = stun::Writer::new(&mut buffer, class, [7; 12])
            .username(ufrag, "them")
            .fingerprint()
            .finish()
            .expect("room");
        buffer[..len].to_vec()
    }

    #[test]
    fn only_a_check_that_names_one_of_our_workers_opens_a_connection() {
        let (end, _lines, _sleepers) = two_workers();
        let of = |worker| ufrag::encode(ufrag::Owner { worker: WorkerId(worker), seat: 3 }, 99);
        assert_eq!(end.claimed_worker(&check(&of(1), stun::Class::Request)), Some(WorkerId(1)));
        assert_eq!(end.claimed_worker(&check(&of(2), stun::Class::Request)), None, "there are two workers");
        assert_eq!(end.claimed_worker(&check(&of(1), stun::Class::Success)), None);
        assert_eq!(end.claimed_worker(&check("somebody-elses", stun::Class::Request)), None);
        assert_eq!(end.claimed_worker(&check(SELF_TEST_UFRAG, stun::Class::Request)), Some(WorkerId(0)));
        for junk in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0x16, 3, 1, 0, 5], &[0; 20]] {
            assert_eq!(end.claimed_worker(junk), None, "{junk:?}");
        }
    }

    #[test]
    fn datagrams_pass_in_order_and_a_full_queue_loses_the_newest() {
        let (end, mut lines, _sleepers) = two_workers();
        let line = &mut lines[1];
        for number in 0..=INBOUND as u16 {
            let kept = end.push(WorkerId(1), TcpDatagram::new(peer(number), &number.to_be_bytes()));
            assert_eq!(kept, usize::from(number) < INBOUND, "{number}");
        }
        assert!(!line.is_idle());
        let mut seen = 0u16;
        while !line.is_idle() {
            for index in 0..line.receive() {
                let datagram = line.datagram(index);
                assert_eq!((datagram.bytes, datagram.peer), (&seen.to_be_bytes()[..], peer(seen)));
                assert!(is_tcp(datagram.socket));
                seen += 1;
            }
            line.recycle();
        }
        assert_eq!(usize::from(seen), INBOUND);

        let path = Path { peer: peer(5), socket: tcp_socket(peer(5)) };
        let sent = (0..OUTBOUND + 10)
            .filter(|_| {
                line.send(path, DATAGRAM_BYTES_MAX, |bytes| {
                    bytes[..2].copy_from_slice(b"hi");
                    2
                })
            })
            .count();
        assert_eq!((sent, line.sent, line.lost), (OUTBOUND, OUTBOUND as u64, 10));
        assert_eq!(
            end.pop().map(|datagram| (datagram.bytes().to_vec(), datagram.peer())),
            Some((b"hi".to_vec(), peer(5)))
        );
    }

    #[test]
    fn the_connections_thread_is_woken_once_for_a_turn_that_sent() {
        let (end, mut lines, _sleepers) = two_workers();
        end.about_to_wait();
        assert_eq!(lines[0].claim_wake(), None, "nothing was sent");
        let path = Path { peer: peer(5), socket: tcp_socket(peer(5)) };
        assert!(lines[0].send(path, 10, |_| 1));
        assert_eq!(lines[0].claim_wake(), Some(end.wake_fd()));
        assert_eq!(lines[0].claim_wake(), None);
    }
}

//! The tasks of the ICE-TCP thread: accept, read, write, distribute, sweep.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::WorkerId;
use wire::framing::FrameReader;
use worker::{TcpDatagram, TcpEnd};

use super::Limits;
use super::connection::Connection;
use super::counters::TcpEnding;
use super::stream::{Listener, Stream};
use crate::origin::origin;
use crate::pace::Pace;
use crate::signaling_loop::Clock;
use crate::status::Status;
use crate::wake::WakeUp;

/// What the tasks share; all on one thread.
pub(super) struct Acceptor {
    end: TcpEnd,
    limits: Limits,
    status: Arc<Status>,
    clock: Clock,
    /// By the client's address: it names the connection in both directions.
    connections: RefCell<HashMap<SocketAddr, Rc<Connection>>>,
    by_origin: RefCell<HashMap<IpAddr, usize>>,
    unproved: Cell<usize>,
    /// Bytes that wait for all writers together.
    waiting: Cell<usize>,
}

impl Acceptor {
    pub(super) fn new(end: TcpEnd, limits: Limits, status: Arc<Status>) -> Acceptor {
        Acceptor {
            end,
            limits,
            status,
            clock: Clock::new(),
            connections: RefCell::default(),
            by_origin: RefCell::default(),
            unproved: Cell::new(0),
            waiting: Cell::new(0),
        }
    }

    /// Takes in connections for ever.
    pub(super) async fn accept(self: Rc<Self>, listener: Listener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => {
                    // Out of descriptors, or the client was gone at once: not again before others had their turn.
                    tracing::debug!(%error, "ICE-TCP could not accept");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                }
            }
        }
    }

    fn admit(self: &Rc<Self>, stream: Stream, peer: SocketAddr) {
        let origin = origin(peer.ip());
        let here = origin.and_then(|origin| self.by_origin.borrow().get(&origin).copied()).unwrap_or(0);
        let total = self.connections.borrow().len();
        let known = self.connections.borrow().contains_key(&peer);
        let full = total >= self.limits.connections_max || here >= self.limits.per_address_max;
        if full || known || self.unproved.get() >= UNPROVED_MAX {
            self.status.tcp.refused();
            stream.shut_down();
            return;
        }
        let connection = Rc::new(Connection::new(stream, peer));
        self.connections.borrow_mut().insert(peer, Rc::clone(&connection));
        if let Some(origin) = origin {
            *self.by_origin.borrow_mut().entry(origin).or_default() += 1;
        }
        self.unproved.set(self.unproved.get() + 1);
        self.status.tcp.opened();
        drop(tokio::task::spawn_local(Rc::clone(self).read(Rc::clone(&connection))));
        drop(tokio::task::spawn_local(Rc::clone(self).write(connection)));
    }

    /// Moves frames from the connection to the worker until it ends.
    async fn read(self: Rc<Self>, connection: Rc<Connection>) {
        let mut reader = FrameReader::new();
        let mut buffer = Vec::with_capacity(READ_BYTES);
        let mut pace = STRANGER;
        let (mut worker, mut befriended) = (None, false);
        loop {
            buffer.clear();
            let (read, back) = connection.stream.read(buffer).await;
            buffer = back;
            let Some(count) = read.ok().filter(|count| *count > 0) else {
                connection.end(TcpEnding::Closed);
                break;
            };
            connection.heard();
            let frames = self.take(&connection, &mut reader, &buffer[..count], &mut worker);
            let Some(frames) = frames else {
                connection.end(TcpEnding::Malformed);
                break;
            };
            if connection.proved.get() && !befriended {
                (pace, befriended) = (FRIEND, true);
            }
            for _ in 0..frames {
                // A client that sends more is read more slowly, which TCP passes on to it.
                while !pace.admit(self.clock.now()) {
                    tokio::time::sleep(pace.delay(self.clock.now())).await;
                }
            }
        }
        self.forget(&connection);
    }

    /// Passes on the frames that `bytes` complete, and counts them; `None` if they are not what ICE-TCP carries.
    fn take(
        &self,
        connection: &Connection,
        reader: &mut FrameReader,
        bytes: &[u8],
        worker: &mut Option<WorkerId>,
    ) -> Option<u32> {
        let (mut frames, mut foreign) = (0, false);
        let read = reader.read(bytes, |frame| {
            frames += 1;
            let to = worker.or_else(|| self.end.claimed_worker(frame));
            let Some(to) = to.filter(|_| !foreign) else {
                foreign = true;
                return;
            };
            *worker = Some(to);
            connection.named.set(true);
            if !self.end.push(to, TcpDatagram::new(connection.peer, frame)) {
                self.status.tcp.lost_inbound();
            }
        });
        if let Some(worker) = *worker {
            self.end.wake(worker);
        }
        (read.is_ok() && !foreign).then_some(frames)
    }

    /// Writes what waits until the connection ends.
    async fn write(self: Rc<Self>, connection: Rc<Connection>) {
        let mut spare = Vec::new();
        while let Some(bytes) = connection.next_write(spare).await {
            let count = bytes.len();
            let (written, back) = connection.stream.write_all(bytes).await;
            self.waiting.set(self.waiting.get().saturating_sub(count));
            connection.written();
            if written.is_err() {
                connection.end(TcpEnding::Closed);
                break;
            }
            spare = back;
            spare.clear();
            spare.shrink_to(SPARE_BYTES_MAX);
        }
        self.waiting.set(self.waiting.get().saturating_sub(connection.waiting()));
    }

    /// Passes what the workers send to the connections, for ever.
    pub(super) async fn distribute(&self) {
        let wake = match WakeUp::new(self.end.wake_fd()) {
            Ok(wake) => wake,
            Err(error) => return tracing::error!(%error, "ICE-TCP cannot watch the media plane"),
        };
        loop {
            self.end.about_to_wait();
            let mut taken = 0;
            while taken < BATCH_MAX
                && let Some(datagram) = self.end.pop()
            {
                self.deliver(&datagram);
                taken += 1;
            }
            if taken == 0 {
                wake.woken().await;
            }
            self.end.waited();
            if taken > 0 {
                // The writers have their turn before the next batch.
                tokio::task::yield_now().await;
            }
        }
    }

    fn deliver(&self, datagram: &TcpDatagram) {
        let connections = self.connections.borrow();
        let connection =
            connections.get(&datagram.peer()).filter(|connection| connection.ending.get().is_none());
        let Some(connection) = connection else { return self.status.tcp.lost_outbound() };
        let before = (connection.waiting(), connection.proved.get());
        if self.waiting.get() >= WAITING_BYTES_MAX || !connection.push(datagram.bytes()) {
            return self.status.tcp.lost_outbound();
        }
        self.waiting.set(self.waiting.get() + connection.waiting() - before.0);
        if !before.1 && connection.proved.get() {
            self.unproved.set(self.unproved.get() - 1);
            self.status.tcp.proved();
        }
    }

    /// Gives up, once a second, what is overdue.
    pub(super) async fn sweep(self: Rc<Self>) {
        loop {
            // Nobody there, nothing to do: an idle server stays asleep.
            let every = if self.connections.borrow().is_empty() { IDLE_SWEEP_EVERY } else { SWEEP_EVERY };
            tokio::time::sleep(every).await;
            let now = Instant::now();
            for connection in self.connections.borrow().values() {
                if let Some(ending) = connection.overdue(now) {
                    connection.end(ending);
                }
            }
        }
    }

    fn forget(&self, connection: &Connection) {
        self.connections.borrow_mut().remove(&connection.peer);
        let origin = origin(connection.peer.ip());
        let mut by_origin = self.by_origin.borrow_mut();
        if let Some(origin) = origin
            && let Some(here) = by_origin.get_mut(&origin)
        {
            *here -= 1;
            if *here == 0 {
                by_origin.remove(&origin);
            }
        }
        if !connection.proved.get() {
            self.unproved.set(self.unproved.get() - 1);
        }
        self.status.tcp.ended(connection.ending.get().unwrap_or(TcpEnding::Closed));
    }
}

/// Before it proved anything a client sends checks and no more.
const STRANGER: Pace = Pace::new(50, 50);
/// Twice the packets that a transport takes of one client.
const FRIEND: Pace = Pace::new(4_000, 2_000);
/// Connections that have proved nothing yet, of all clients together.
const UNPROVED_MAX: usize = 500;
/// Some ten full frames, and the memory that each connection holds for reading.
const READ_BYTES: usize = 16 * 1_024;
/// Memory that a quiet connection keeps for writing.
const SPARE_BYTES_MAX: usize = 16 * 1_024;
/// Bytes that may wait for all clients together.
const WAITING_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// Datagrams distributed before the writers have their turn.
const BATCH_MAX: usize = 128;
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
const SWEEP_EVERY: Duration = Duration::from_secs(1);
const IDLE_SWEEP_EVERY: Duration = Duration::from_secs(5);

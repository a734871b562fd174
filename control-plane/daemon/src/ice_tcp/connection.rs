//! One ICE-TCP connection: what waits for it, and when it has to be given up.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use wire::first_byte::{Kind, classify};
use wire::framing;

use super::counters::TcpEnding;
use super::stream::Stream;

/// A connection, shared by its reader, its writer and the thread's other tasks.
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    pub(super) stream: Stream,
    opened: Instant,
    /// A frame that named a worker came.
    pub(super) named: Cell<bool>,
    /// The transport that it named has answered or asked: it knows our credentials.
    pub(super) proved: Cell<bool>,
    heard: Cell<Instant>,
    /// Since when the client has not taken what is being written.
    writing_since: Cell<Option<Instant>>,
    /// Frames that wait for the writer, one behind the other.
    outbox: RefCell<Vec<u8>>,
    pub(super) ending: Cell<Option<TcpEnding>>,
    changed: Notify,
}

impl Connection {
    pub(super) fn new(stream: Stream, peer: SocketAddr) -> Connection {
        let now = Instant::now();
        Connection {
            peer,
            stream,
            opened: now,
            named: Cell::new(false),
            proved: Cell::new(false),
            heard: Cell::new(now),
            writing_since: Cell::new(None),
            outbox: RefCell::new(Vec::new()),
            ending: Cell::new(None),
            changed: Notify::new(),
        }
    }

    /// Bytes came.
    pub(super) fn heard(&self) {
        self.heard.set(Instant::now());
    }

    /// Queues a datagram behind its length. False: the client is too slow, and it is lost.
    pub(super) fn push(&self, datagram: &[u8]) -> bool {
        let mut outbox = self.outbox.borrow_mut();
        let Some(header) = framing::header(datagram.len()) else { return false };
        if outbox.len() + header.len() + datagram.len() > OUTBOX_BYTES_MAX {
            return false;
        }
        outbox.extend_from_slice(&header);
        outbox.extend_from_slice(datagram);
        drop(outbox);
        if !self.proved.get() && proves(datagram) {
            self.proved.set(true);
        }
        self.changed.notify_one();
        true
    }

    /// Bytes that wait for the writer.
    pub(super) fn waiting(&self) -> usize {
        self.outbox.borrow().len()
    }

    /// What is to be written next, `spare` taking its place; `None` when the connection ends.
    pub(super) async fn next_write(&self, spare: Vec<u8>) -> Option<Vec<u8>> {
        loop {
            if self.ending.get().is_some() {
                return None;
            }
            if self.waiting() > 0 {
                self.writing_since.set(Some(Instant::now()));
                return Some(self.outbox.replace(spare));
            }
            self.changed.notified().await;
        }
    }

    pub(super) fn written(&self) {
        self.writing_since.set(None);
    }

    /// Ends it; the first reason stands.
    pub(super) fn end(&self, ending: TcpEnding) {
        if self.ending.get().is_none() {
            self.ending.set(Some(ending));
        }
        self.stream.shut_down();
        self.changed.notify_one();
    }

    /// Why it is to be given up by now, if it is.
    pub(super) fn overdue(&self, now: Instant) -> Option<TcpEnding> {
        let age = now.saturating_duration_since(self.opened);
        let silent = now.saturating_duration_since(self.heard.get());
        let stuck =
            self.writing_since.get().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if !self.named.get() && age >= FIRST_FRAME_WITHIN || !self.proved.get() && age >= PROVED_WITHIN {
            Some(TcpEnding::Unproved)
        } else if stuck >= STUCK_AFTER {
            Some(TcpEnding::Slow)
        } else if silent >= SILENT_AFTER {
            Some(TcpEnding::Silent)
        } else {
            None
        }
    }
}

/// Whether a transport sends this only to a peer that it knows: anything but an error answer.
fn proves(datagram: &[u8]) -> bool {
    classify(datagram) != Kind::Stun
        || datagram.first().is_some_and(|_| !matches!(datagram, [0x01, 0x11, ..]))
}

/// Frames that may wait for one client: most of a second at 2 Mbit/s. What is older is of no use to a call.
const OUTBOX_BYTES_MAX: usize = 192 * 1_024;
/// A client sends its first check as soon as it is connected.
const FIRST_FRAME_WITHIN: Duration = Duration::from_secs(5);
/// Checks repeat within a second or two.
const PROVED_WITHIN: Duration = Duration::from_secs(15);
/// One write is at most [`OUTBOX_BYTES_MAX`]: this is 150 kbit/s.
const STUCK_AFTER: Duration = Duration::from_secs(10);
/// Consent checks come every five seconds (RFC 7675 §5.1); without any for this long an endpoint expires.
const SILENT_AFTER: Duration = Duration::from_secs(60);

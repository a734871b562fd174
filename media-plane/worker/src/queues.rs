//! The bounded queues between the workers, the control thread and the handshake threads.

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::Arc;

use contract::Report;
use crossbeam::queue::ArrayQueue;
use mesh::wake::{Sleeper, Waker};

use crate::dtls::{DTLS_QUEUE, DtlsDatagram};
use crate::order::{Order, Return};

/// The control thread's end.
pub(crate) struct ControlEnd {
    lines: Vec<ControlLine>,
    reports: Arc<ArrayQueue<Report>>,
    pub(crate) sleeper: Sleeper,
}

/// To and from one worker.
struct ControlLine {
    orders: Arc<ArrayQueue<Order>>,
    /// Orders that found the queue full: kept, so that none is lost or overtaken.
    waiting: VecDeque<Order>,
    returns: Arc<ArrayQueue<Return>>,
    waker: Waker,
}

impl ControlEnd {
    pub(crate) fn workers(&self) -> usize {
        self.lines.len()
    }

    /// Give an order; the worker is woken.
    pub(crate) fn order(&mut self, worker: usize, order: Order) {
        let line = &mut self.lines[worker];
        line.waiting.push_back(order);
        line.flush();
    }

    /// Pass on what waits for room.
    pub(crate) fn flush(&mut self) {
        for line in &mut self.lines {
            line.flush();
        }
    }

    pub(crate) fn take_return(&mut self, worker: usize) -> Option<Return> {
        self.lines[worker].returns.pop()
    }

    pub(crate) fn take_report(&mut self) -> Option<Report> {
        self.reports.pop()
    }

    pub(crate) fn wakers(&self) -> impl Iterator<Item = &Waker> {
        self.lines.iter().map(|line| &line.waker)
    }
}

impl ControlLine {
    fn flush(&mut self) {
        let mut passed = false;
        while let Some(order) = self.waiting.pop_front() {
            match self.orders.push(order) {
                Ok(()) => passed = true,
                Err(order) => {
                    self.waiting.push_front(order);
                    break;
                }
            }
        }
        if passed {
            self.waker.wake();
        }
    }
}

/// A worker's end.
pub(crate) struct WorkerEnd {
    pub(crate) orders: Arc<ArrayQueue<Order>>,
    pub(crate) returns: Arc<ArrayQueue<Return>>,
    pub(crate) reports: Arc<ArrayQueue<Report>>,
    /// Wakes the control thread.
    pub(crate) control: Waker,
    pub(crate) handshakes: Vec<(Arc<ArrayQueue<DtlsDatagram>>, Waker)>,
    /// DTLS datagrams on their way out.
    pub(crate) dtls_out: Arc<ArrayQueue<DtlsDatagram>>,
}

/// A handshake thread's end: datagrams from clients.
pub struct HandshakeEnd {
    queue: Arc<ArrayQueue<DtlsDatagram>>,
    sleeper: Sleeper,
    waker: Waker,
}

impl HandshakeEnd {
    /// The next datagram.
    pub fn pop(&self) -> Option<DtlsDatagram> {
        self.queue.pop()
    }

    /// Becomes readable when a datagram waits and [`HandshakeEnd::about_to_wait`] was called before.
    pub fn wake_fd(&self) -> RawFd {
        self.sleeper.fd()
    }

    /// Ask to be woken; pop once more after this, then wait.
    pub fn about_to_wait(&self) {
        self.sleeper.about_to_sleep();
    }

    /// Popping again. The caller has read the descriptor.
    pub fn waited(&self) {
        self.sleeper.awake();
    }

    /// Wakes this thread from elsewhere, for example with work from signalling.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

/// All queues of a media plane.
pub(crate) struct Queues {
    pub(crate) control: ControlEnd,
    pub(crate) workers: Vec<(WorkerEnd, Sleeper)>,
    pub(crate) handshakes: Vec<HandshakeEnd>,
    /// By worker.
    pub(crate) dtls_out: Arc<[Arc<ArrayQueue<DtlsDatagram>>]>,
    /// By worker.
    pub(crate) wakers: Arc<[Waker]>,
}

impl Queues {
    pub(crate) fn new(workers: usize, handshake_threads: usize) -> std::io::Result<Queues> {
        let reports = Arc::new(ArrayQueue::new(REPORTS));
        let (control_sleeper, control_waker) = mesh::wake::Wake::pair()?;
        let mut handshakes = Vec::new();
        for _ in 0..handshake_threads.max(1) {
            let (sleeper, waker) = mesh::wake::Wake::pair()?;
            handshakes.push(HandshakeEnd { queue: Arc::new(ArrayQueue::new(DTLS_QUEUE)), sleeper, waker });
        }
        let mut lines = Vec::new();
        let mut ends = Vec::new();
        for _ in 0..workers {
            let (sleeper, waker) = mesh::wake::Wake::pair()?;
            let orders = Arc::new(ArrayQueue::new(ORDERS));
            let returns = Arc::new(ArrayQueue::new(RETURNS));
            let end = WorkerEnd {
                orders: Arc::clone(&orders),
                returns: Arc::clone(&returns),
                reports: Arc::clone(&reports),
                control: control_waker.clone(),
                handshakes: handshakes
                    .iter()
                    .map(|end| (Arc::clone(&end.queue), end.waker.clone()))
                    .collect(),
                dtls_out: Arc::new(ArrayQueue::new(DTLS_QUEUE)),
            };
            lines.push(ControlLine { orders, waiting: VecDeque::new(), returns, waker });
            ends.push((end, sleeper));
        }
        Ok(Queues {
            dtls_out: ends.iter().map(|(end, _)| Arc::clone(&end.dtls_out)).collect(),
            wakers: lines.iter().map(|line| line.waker.clone()).collect(),
            control: ControlEnd { lines, reports, sleeper: control_sleeper },
            workers: ends,
            handshakes,
        })
    }
}

/// Orders that may wait for a worker; more wait on the control thread.
const ORDERS: usize = 4_096;
/// Twice the orders: each gives one thing back, and seats come on top.
const RETURNS: usize = 8_192;
/// Reports of all workers that may wait for the control thread.
const REPORTS: usize = 16_384;

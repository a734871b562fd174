//! The bottleneck in front of a client: a rate, a queue that drops at its tail, loss, and somebody else's traffic.

use std::collections::VecDeque;

use contract::{Duration, Timestamp};

use crate::Chance;

/// What a link does.
#[derive(Clone, Copy, Debug)]
pub struct LinkSpec {
    /// Bits per second, IP headers included.
    pub rate: u64,
    /// Longest queue; what comes on top is dropped.
    pub queue: Duration,
    /// One way, after the queue.
    pub delay: Duration,
    /// Up to so much more, in order.
    pub jitter: Duration,
    /// Probability that a packet is lost behind the queue.
    pub loss: f64,
    /// Bits per second of a stranger's packets of 1,200 bytes through the same queue.
    pub cross: u64,
}

impl LinkSpec {
    /// A link of `rate` bits per second with 40 ms delay and a queue of 300 ms.
    pub fn of_rate(rate: u64) -> LinkSpec {
        LinkSpec {
            rate,
            queue: Duration::from_millis(300),
            delay: Duration::from_millis(40),
            jitter: Duration::ZERO,
            loss: 0.0,
            cross: 0,
        }
    }
}

/// What is seen of a link each time that something enters it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// How long the packet will wait.
    pub wait: Duration,
    /// On the link.
    pub bytes: u32,
    /// Not a stranger's.
    pub own: bool,
    /// It found no room, or was lost.
    pub dropped: bool,
}

/// A link with what waits in it.
#[derive(Debug)]
pub struct Link {
    spec: LinkSpec,
    waiting: VecDeque<Option<Vec<u8>>>,
    waiting_bytes: u64,
    /// When the first of those waiting has left.
    departs: Timestamp,
    last_arrival: Timestamp,
    next_cross: Timestamp,
    /// Everything that entered.
    pub entries: Vec<Entry>,
}

/// IP and UDP headers.
const HEADERS: u64 = 28;
/// A stranger's packet.
const CROSS_BYTES: u64 = 1_200;

impl Link {
    /// An empty link.
    pub fn new(spec: LinkSpec, now: Timestamp) -> Link {
        let next_cross = if spec.cross > 0 { now } else { Timestamp::NEVER };
        let (waiting, entries) = (VecDeque::new(), Vec::new());
        let (departs, last_arrival) = (Timestamp::NEVER, Timestamp::ZERO);
        Link { spec, waiting, waiting_bytes: 0, departs, last_arrival, next_cross, entries }
    }

    /// Another link from now on; what waits, waits on.
    pub fn set(&mut self, spec: LinkSpec, now: Timestamp) {
        self.spec = spec;
        self.next_cross =
            if spec.cross > 0 { self.next_cross.min(now.max(self.last_arrival)) } else { Timestamp::NEVER };
        if spec.cross > 0 && self.next_cross == Timestamp::NEVER {
            self.next_cross = now;
        }
    }

    /// What it is.
    pub fn spec(&self) -> LinkSpec {
        self.spec
    }

    /// When [`Link::advance`] has something to do.
    pub fn next(&self) -> Timestamp {
        self.departs.min(self.next_cross)
    }

    /// A packet enters.
    pub fn send(&mut self, bytes: Vec<u8>, now: Timestamp, chance: &mut Chance) {
        self.enter(Some(bytes), now, chance);
    }

    /// What has left the link by `now`: arrival and datagram.
    pub fn advance(&mut self, now: Timestamp, chance: &mut Chance) -> Vec<(Timestamp, Vec<u8>)> {
        while self.next_cross <= now {
            let at = self.next_cross;
            self.next_cross = at + Duration::from_micros(CROSS_BYTES * 8_000_000 / self.spec.cross.max(1));
            self.enter(None, at, chance);
        }
        let mut left = Vec::new();
        while self.departs <= now {
            let Some(datagram) = self.waiting.pop_front() else { break };
            self.waiting_bytes -= on_link(&datagram);
            let at = self.departs;
            self.departs = match self.waiting.front() {
                Some(next) => at + self.time_of(on_link(next)),
                None => Timestamp::NEVER,
            };
            if let Some(datagram) = datagram {
                let jitter = Duration::from_micros(chance.below(self.spec.jitter.as_micros() as u64 + 1));
                let arrival = (at + self.spec.delay + jitter).max(self.last_arrival);
                self.last_arrival = arrival;
                left.push((arrival, datagram));
            }
        }
        left
    }

    fn enter(&mut self, datagram: Option<Vec<u8>>, now: Timestamp, chance: &mut Chance) {
        let bytes = on_link(&datagram);
        let wait = self.time_of(self.waiting_bytes);
        let own = datagram.is_some();
        let dropped = wait > self.spec.queue || own && chance.happens(self.spec.loss);
        self.entries.push(Entry { at: now, wait, bytes: bytes as u32, own, dropped });
        if dropped {
            return;
        }
        if self.waiting.is_empty() {
            self.departs = now + self.time_of(bytes);
        }
        self.waiting_bytes += bytes;
        self.waiting.push_back(datagram);
    }

    fn time_of(&self, bytes: u64) -> Duration {
        Duration::from_micros(bytes * 8_000_000 / self.spec.rate.max(1))
    }
}

fn on_link(datagram: &Option<Vec<u8>>) -> u64 {
    datagram.as_ref().map_or(CROSS_BYTES, |bytes| bytes.len() as u64) + HEADERS
}

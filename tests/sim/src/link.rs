//! The bottleneck in front of a client: a rate, a queue that drops at its tail, delay, loss alone or in bursts, packets that
//! others overtake, come twice or with a wrong bit, and somebody else's traffic.

use std::collections::VecDeque;

use contract::{Duration, Timestamp};

use crate::Chance;
use crate::network::To;

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
    /// Share of packets that take `jitter` and as long again more, and are overtaken.
    pub reordered: f64,
    /// Share of packets that are lost behind the queue.
    pub loss: f64,
    /// How many are lost in a row, on average; 1 for each by itself.
    pub burst: f64,
    /// Share of packets that come twice.
    pub duplicated: f64,
    /// Share of packets of which one bit is wrong.
    pub corrupted: f64,
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
            reordered: 0.0,
            loss: 0.0,
            burst: 1.0,
            duplicated: 0.0,
            corrupted: 0.0,
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

/// A datagram and where it goes.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// Where.
    pub to: To,
    /// What.
    pub bytes: Vec<u8>,
}

/// A link with what waits in it.
#[derive(Debug)]
pub struct Link {
    spec: LinkSpec,
    waiting: VecDeque<Option<Parcel>>,
    waiting_bytes: u64,
    /// In a burst of losses.
    losing: bool,
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
        Link {
            spec,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            losing: false,
            departs: Timestamp::NEVER,
            last_arrival: Timestamp::ZERO,
            next_cross,
            entries: Vec::new(),
        }
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

    /// How long what waits in it will take to leave.
    pub fn backlog(&self) -> Duration {
        self.time_of(self.waiting_bytes)
    }

    /// When [`Link::advance`] has something to do.
    pub fn next(&self) -> Timestamp {
        self.departs.min(self.next_cross)
    }

    /// A packet enters.
    pub fn send(&mut self, parcel: Parcel, now: Timestamp, chance: &mut Chance) {
        self.enter(Some(parcel), now, chance);
    }

    /// What has left the link by `now`, with the time of its arrival.
    pub fn advance(&mut self, now: Timestamp, chance: &mut Chance) -> Vec<(Timestamp, Parcel)> {
        while self.next_cross <= now {
            let at = self.next_cross;
            self.next_cross = at + Duration::from_micros(CROSS_BYTES * 8_000_000 / self.spec.cross.max(1));
            self.enter(None, at, chance);
        }
        let mut left = Vec::new();
        while self.departs <= now {
            let Some(waited) = self.waiting.pop_front() else { break };
            self.waiting_bytes -= on_link(&waited);
            let at = self.departs;
            self.departs = match self.waiting.front() {
                Some(next) => at + self.time_of(on_link(next)),
                None => Timestamp::NEVER,
            };
            if let Some(parcel) = waited {
                self.travel(parcel, at, chance, &mut left);
            }
        }
        left
    }

    /// What becomes of a packet behind the queue, which it left at `at`.
    fn travel(
        &mut self,
        mut parcel: Parcel,
        at: Timestamp,
        chance: &mut Chance,
        left: &mut Vec<(Timestamp, Parcel)>,
    ) {
        let jitter = Duration::from_micros(chance.below(self.spec.jitter.as_micros() as u64 + 1));
        let arrival = if chance.happens(self.spec.reordered) {
            at + self.spec.delay + self.spec.jitter * 2
        } else {
            self.last_arrival = (at + self.spec.delay + jitter).max(self.last_arrival);
            self.last_arrival
        };
        if chance.happens(self.spec.corrupted) && !parcel.bytes.is_empty() {
            let byte = chance.below(parcel.bytes.len() as u64) as usize;
            parcel.bytes[byte] ^= 1 << chance.below(8);
        }
        if chance.happens(self.spec.duplicated) {
            left.push((arrival, parcel.clone()));
        }
        left.push((arrival, parcel));
    }

    fn enter(&mut self, parcel: Option<Parcel>, now: Timestamp, chance: &mut Chance) {
        let bytes = on_link(&parcel);
        let wait = self.backlog();
        let own = parcel.is_some();
        let dropped = wait > self.spec.queue || own && self.loses(chance);
        self.entries.push(Entry { at: now, wait, bytes: bytes as u32, own, dropped });
        if dropped {
            return;
        }
        if self.waiting.is_empty() {
            self.departs = now + self.time_of(bytes);
        }
        self.waiting_bytes += bytes;
        self.waiting.push_back(parcel);
    }

    /// Two states (Gilbert): a burst ends after `burst` packets on average, and begins as often as makes `loss` of all.
    fn loses(&mut self, chance: &mut Chance) -> bool {
        let LinkSpec { loss, burst, .. } = self.spec;
        if burst <= 1.0 || loss >= 1.0 {
            return chance.happens(loss);
        }
        self.losing = match self.losing {
            true => !chance.happens(1.0 / burst),
            false => chance.happens(loss / (burst * (1.0 - loss))),
        };
        self.losing
    }

    fn time_of(&self, bytes: u64) -> Duration {
        Duration::from_micros(bytes * 8_000_000 / self.spec.rate.max(1))
    }
}

fn on_link(parcel: &Option<Parcel>) -> u64 {
    parcel.as_ref().map_or(CROSS_BYTES, |parcel| parcel.bytes.len() as u64) + HEADERS
}

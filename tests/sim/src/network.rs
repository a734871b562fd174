//! Datagrams under way: delay, loss, reordering, duplication, corruption; all by a seed.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use contract::{Duration, Timestamp};

use crate::Chance;

/// What the network does to datagrams, each way.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// One way.
    pub delay: Duration,
    /// Up to so much more, each datagram for itself: this reorders.
    pub jitter: Duration,
    /// Probability that a datagram is lost.
    pub loss: f64,
    /// Probability that it comes twice.
    pub duplication: f64,
    /// Probability that a byte of it is wrong.
    pub corruption: f64,
}

impl Faults {
    /// A good line.
    pub const NONE: Faults = Faults {
        delay: Duration::from_millis(10),
        jitter: Duration::ZERO,
        loss: 0.0,
        duplication: 0.0,
        corruption: 0.0,
    };
}

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// From this client to the server.
    Server(SocketAddr),
    /// To this client.
    Client(SocketAddr),
}

/// The datagrams under way.
#[derive(Debug)]
pub struct Network {
    faults: Faults,
    under_way: BTreeMap<(Timestamp, u64), (To, Vec<u8>)>,
    number: u64,
}

impl Network {
    /// An empty network.
    pub fn new(faults: Faults) -> Network {
        Network { faults, under_way: BTreeMap::new(), number: 0 }
    }

    /// Other faults from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Put a datagram on its way.
    pub fn send(&mut self, to: To, bytes: Vec<u8>, now: Timestamp, chance: &mut Chance) {
        let copies = if chance.happens(self.faults.duplication) { 2 } else { 1 };
        for _ in 0..copies {
            if chance.happens(self.faults.loss) {
                continue;
            }
            let mut bytes = bytes.clone();
            if chance.happens(self.faults.corruption) && !bytes.is_empty() {
                let at = chance.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << chance.below(8);
            }
            let extra = Duration::from_micros(chance.below(self.faults.jitter.as_micros() as u64 + 1));
            self.number += 1;
            self.under_way.insert((now + self.faults.delay + extra, self.number), (to, bytes));
        }
    }

    /// When the next one arrives.
    pub fn next_arrival(&self) -> Timestamp {
        self.under_way.first_key_value().map_or(Timestamp::NEVER, |((time, _), _)| *time)
    }

    /// The next one that has arrived by now.
    pub fn arrived(&mut self, now: Timestamp) -> Option<(To, Vec<u8>)> {
        if self.next_arrival() > now {
            return None;
        }
        self.under_way.pop_first().map(|(_, datagram)| datagram)
    }
}

//! Datagrams under way: delay, loss, reordering, duplication, corruption; all by a seed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use contract::{Duration, Timestamp};

use crate::Chance;
use crate::link::{Link, LinkSpec, Parcel};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum To {
    /// From this client to the server.
    Server(SocketAddr),
    /// To this client.
    Client(SocketAddr),
}

/// Which way a link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the server.
    Down,
    /// To the server.
    Up,
}

impl To {
    /// The link that a datagram takes: of all sockets of a host the same.
    fn link(self) -> (IpAddr, Direction) {
        match self {
            To::Server(from) => (from.ip(), Direction::Up),
            To::Client(address) => (address.ip(), Direction::Down),
        }
    }
}

/// The datagrams under way.
#[derive(Debug)]
pub struct Network {
    faults: Faults,
    under_way: BTreeMap<(Timestamp, u64), (To, Vec<u8>)>,
    number: u64,
    digest: DefaultHasher,
    /// Between some hosts and the server; the faults do not apply there.
    links: BTreeMap<(IpAddr, Direction), Link>,
}

impl Network {
    /// An empty network.
    pub fn new(faults: Faults) -> Network {
        let (under_way, links, digest) = (BTreeMap::new(), BTreeMap::new(), DefaultHasher::new());
        Network { faults, under_way, number: 0, digest, links }
    }

    /// Other faults from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Put a link between a host and the server, or change it.
    pub fn set_link(&mut self, host: IpAddr, direction: Direction, spec: LinkSpec, now: Timestamp) {
        self.links.entry((host, direction)).or_insert_with(|| Link::new(spec, now)).set(spec, now);
    }

    /// The link from the server to a client.
    pub fn link(&self, client: SocketAddr) -> Option<&Link> {
        self.links.get(&(client.ip(), Direction::Down))
    }

    /// Every link.
    pub fn links_mut(&mut self) -> impl Iterator<Item = (IpAddr, Direction, &mut Link)> {
        self.links.iter_mut().map(|((host, direction), link)| (*host, *direction, link))
    }

    /// Of every datagram that was sent so far: where, when, each byte.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// Put a datagram on its way.
    pub fn send(&mut self, to: To, bytes: Vec<u8>, now: Timestamp, chance: &mut Chance) {
        (to, now.as_micros(), &bytes).hash(&mut self.digest);
        if let Some(link) = self.links.get_mut(&to.link()) {
            return link.send(Parcel { to, bytes }, now, chance);
        }
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
        let links = self.links.values().map(Link::next).min().unwrap_or(Timestamp::NEVER);
        self.under_way.first_key_value().map_or(Timestamp::NEVER, |((time, _), _)| *time).min(links)
    }

    /// Move on what has left the links by now.
    pub fn advance_links(&mut self, now: Timestamp, chance: &mut Chance) {
        for link in self.links.values_mut().filter(|link| link.next() <= now) {
            for (arrival, Parcel { to, bytes }) in link.advance(now, chance) {
                self.number += 1;
                self.under_way.insert((arrival, self.number), (to, bytes));
            }
        }
    }

    /// The next one that has arrived by now.
    pub fn arrived(&mut self, now: Timestamp) -> Option<(To, Vec<u8>)> {
        if self.under_way.first_key_value().is_none_or(|((time, _), _)| *time > now) {
            return None;
        }
        self.under_way.pop_first().map(|(_, datagram)| datagram)
    }
}

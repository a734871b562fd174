//! `shaper LISTEN SERVER`: a relay between hosts and the server's UDP port that does to datagrams what the links of the
//! simulation do, by the wall clock.
//!
//! Each socket of a host has a socket towards the server, so the server tells them apart; a host has one link each way
//! whatever its sockets. Standard input takes lines `set HOST down|up KEY=VALUE…` (rate in bits per second; queue, delay and
//! jitter in milliseconds; loss, reordered, duplicated, corrupted as shares; burst in packets; cross in bits per second) and
//! `rebind HOST` (its sockets reach the server from new ports). Every 100 ms it prints a JSON line for each link.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use contract::{Duration, Timestamp};
use sim::network::{Network, To};
use sim::{Chance, Direction, Faults, LinkSpec};

/// What the threads share.
struct Relay {
    state: Mutex<State>,
    /// Something entered: the pump may have to wake sooner.
    entered: Condvar,
    began: Instant,
    listener: UdpSocket,
    server: SocketAddr,
}

struct State {
    network: Network,
    chance: Chance,
    /// Towards the server, by the socket of the host.
    flows: HashMap<SocketAddr, Arc<UdpSocket>>,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [listen, server] = words.as_slice() else { panic!("usage: shaper LISTEN SERVER") };
    let listener = UdpSocket::bind(listen).expect("the address to listen on is free");
    // What has no link passes at once.
    let network = Network::new(Faults { delay: Duration::ZERO, ..Faults::NONE });
    let relay = Arc::new(Relay {
        state: Mutex::new(State { network, chance: Chance::new(1), flows: HashMap::new() }),
        entered: Condvar::new(),
        began: Instant::now(),
        listener,
        server: server.parse().expect("SERVER is ADDRESS:PORT"),
    });
    for work in [Relay::listen, Relay::pump, Relay::report] {
        let relay = Arc::clone(&relay);
        std::thread::spawn(move || work(&relay));
    }
    println!("{{\"ready\":true}}");
    // It ends with its input.
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if let Err(wrong) = relay.command(&line) {
            println!("{{\"error\":\"{wrong}\"}}");
        }
    }
}

impl Relay {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.began.elapsed().as_micros() as u64)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panicked")
    }

    fn enter(&self, to: To, bytes: &[u8]) {
        let now = self.now();
        let mut state = self.state();
        let State { network, chance, .. } = &mut *state;
        network.send(to, bytes.to_vec(), now, chance);
        self.entered.notify_one();
    }

    /// From hosts.
    fn listen(self: &Arc<Relay>) {
        let mut buffer = [0; 2_048];
        loop {
            let Ok((length, host)) = self.listener.recv_from(&mut buffer) else { continue };
            self.enter(To::Server(host), &buffer[..length]);
        }
    }

    /// From the server to one socket of a host, until it was rebound.
    fn answer(&self, host: SocketAddr, socket: &Arc<UdpSocket>) {
        let mut buffer = [0; 2_048];
        loop {
            let Ok(length) = socket.recv(&mut buffer) else { continue };
            let known = self.state().flows.get(&host).is_some_and(|known| Arc::ptr_eq(known, socket));
            if !known {
                return;
            }
            self.enter(To::Client(host), &buffer[..length]);
        }
    }

    /// Sends what has arrived at the end of its link.
    fn pump(self: &Arc<Relay>) {
        loop {
            let mut state = self.state();
            let now = self.now();
            let next = state.network.next_arrival();
            if next > now {
                // Bounded, for a link may be changed while it is empty.
                let wait = next.since(now).min(Duration::from_millis(50));
                drop(self.entered.wait_timeout(state, wait));
                continue;
            }
            let State { network, chance, .. } = &mut *state;
            network.advance_links(now, chance);
            let arrived: Vec<(To, Vec<u8>)> = std::iter::from_fn(|| network.arrived(now)).collect();
            drop(state);
            for (to, bytes) in arrived {
                // A full socket loses it: so does the network.
                let _ = match to {
                    To::Client(host) => self.listener.send_to(&bytes, host),
                    To::Server(host) => self.flow(host).send(&bytes),
                };
            }
        }
    }

    /// The socket towards the server that stands for a host's.
    fn flow(self: &Arc<Relay>, host: SocketAddr) -> Arc<UdpSocket> {
        if let Some(known) = self.state().flows.get(&host) {
            return Arc::clone(known);
        }
        let local: SocketAddr =
            if self.server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = Arc::new(UdpSocket::bind(local).expect("there are ports"));
        socket.connect(self.server).expect("the server's address has a route");
        self.state().flows.insert(host, Arc::clone(&socket));
        let (relay, reader) = (Arc::clone(self), Arc::clone(&socket));
        std::thread::spawn(move || relay.answer(host, &reader));
        socket
    }

    fn report(self: &Arc<Relay>) {
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let now = self.now();
            let mut lines = String::new();
            for (host, direction, link) in self.state().network.links_mut() {
                let entries = std::mem::take(&mut link.entries);
                let own = || entries.iter().filter(|entry| entry.own);
                let entered: u64 = own().map(|entry| u64::from(entry.bytes)).sum();
                let passed: u64 =
                    own().filter(|entry| !entry.dropped).map(|entry| u64::from(entry.bytes)).sum();
                let dropped = own().filter(|entry| entry.dropped).count();
                let wait =
                    entries.iter().map(|entry| entry.wait).max().unwrap_or_default().max(link.backlog());
                lines += &format!(
                    "{{\"at_ms\":{},\"host\":\"{host}\",\"direction\":\"{}\",\"entered\":{entered},\"passed\":{passed},\
                     \"dropped\":{dropped},\"queue_ms\":{:.1}}}\n",
                    now.as_millis(),
                    if direction == Direction::Down { "down" } else { "up" },
                    wait.as_secs_f64() * 1_000.0,
                );
            }
            let mut out = std::io::stdout().lock();
            if out.write_all(lines.as_bytes()).and_then(|()| out.flush()).is_err() {
                return;
            }
        }
    }

    fn command(&self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let host = |word: &str| word.parse::<IpAddr>().map_err(|_| format!("{word} is no address"));
        match words.as_slice() {
            [] => Ok(()),
            ["rebind", of] => {
                let of = host(of)?;
                self.state().flows.retain(|socket, _| socket.ip() != of);
                Ok(())
            }
            ["set", of, way, settings @ ..] => {
                let direction = match *way {
                    "down" => Direction::Down,
                    "up" => Direction::Up,
                    _ => return Err(format!("{way} is neither down nor up")),
                };
                let spec = parse(settings)?;
                let now = self.now();
                self.state().network.set_link(host(of)?, direction, spec, now);
                self.entered.notify_one();
                Ok(())
            }
            _ => Err("neither set nor rebind".to_owned()),
        }
    }
}

/// A link from `KEY=VALUE`; what is not said is a fast and faultless line.
fn parse(settings: &[&str]) -> Result<LinkSpec, String> {
    let mut spec = LinkSpec { delay: Duration::ZERO, ..LinkSpec::of_rate(1_000_000_000) };
    for setting in settings {
        let pair = setting.split_once('=').and_then(|(key, value)| Some((key, value.parse::<f64>().ok()?)));
        let Some((key, value)) = pair.filter(|(_, value)| *value >= 0.0) else {
            return Err(format!("{setting} is not KEY=NUMBER"));
        };
        let milliseconds = || Duration::from_secs_f64((value / 1_000.0).min(3_600.0));
        match key {
            "rate" => spec.rate = value as u64,
            "queue" => spec.queue = milliseconds(),
            "delay" => spec.delay = milliseconds(),
            "jitter" => spec.jitter = milliseconds(),
            "reordered" => spec.reordered = value,
            "loss" => spec.loss = value,
            "burst" => spec.burst = value,
            "duplicated" => spec.duplicated = value,
            "corrupted" => spec.corrupted = value,
            "cross" => spec.cross = value as u64,
            _ => return Err(format!("{key} is not a setting of a link")),
        }
    }
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_link_are_read_and_unknown_ones_refused() {
        let spec = parse(&["rate=600000", "queue=250", "loss=0.05", "burst=8"]).unwrap();
        assert_eq!((spec.rate, spec.queue), (600_000, Duration::from_millis(250)));
        assert_eq!((spec.loss, spec.burst, spec.delay), (0.05, 8.0, Duration::ZERO));
        for wrong in ["rat=1", "rate", "rate=x", "loss=-1"] {
            assert!(parse(&[wrong]).is_err(), "{wrong}");
        }
    }
}

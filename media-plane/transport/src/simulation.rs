//! Two transports and a link between them, in virtual time; for tests.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use arrayvec::ArrayVec;
use contract::session::{
    Candidate, CandidateKind, Codec, ExtensionIds, FeedbackSsrcs, PayloadType, SrtpKeys, SrtpProfile,
};
use contract::{DropReason, Duration, Ssrc, Timestamp};
use wire::first_byte::{Kind, classify};

use crate::chance::Chance;
use crate::config::{Config, KeyFrameMessage, LocalSocket, RateLimit};
use crate::ice::Event;
use crate::path::{Outbox, Path};
use crate::srtp::Session;
use crate::transport::Transport;

/// Collects what a transport sends.
#[derive(Default)]
pub(crate) struct Mail(pub(crate) Vec<(Path, Vec<u8>)>);

impl Outbox for Mail {
    fn datagram(&mut self, path: Path, max_len: usize, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        let mut buffer = vec![0; max_len];
        let len = write(&mut buffer);
        buffer.truncate(len);
        if len > 0 {
            self.0.push((path, buffer));
        }
        true
    }
}

pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

pub(crate) fn host(address: SocketAddr) -> Candidate {
    Candidate { address, kind: CandidateKind::Host, priority: 126 << 24 | 0xFFFF, related: None, tcp: false }
}

/// A configuration named by a letter; its one socket is bound to `address`.
pub(crate) fn config(name: char, controlling: bool, address: SocketAddr) -> Config {
    let video =
        |number, codec, rtx| PayloadType { number, codec, clock_rate: 90_000, rtx, transport_cc: true };
    let opus =
        PayloadType { number: 111, codec: Codec::Opus, clock_rate: 48_000, rtx: None, transport_cc: false };
    Config {
        ufrag: format!("ufrag{name}"),
        pwd: format!("password-of-32-letters-for-side{name}"),
        controlling,
        tie_breaker: u64::from(u32::from(name)),
        transaction_prefix: [0, 0, 0, name as u8],
        sockets: [LocalSocket { address, priority: 126 << 24 | 0xFFFF, tcp: false }].into_iter().collect(),
        allow_loopback: false,
        payload_types: [video(96, Codec::Vp8, Some(97)), video(98, Codec::Vp9, None), opus]
            .into_iter()
            .collect(),
        extensions: ExtensionIds {
            audio_level: Some(1),
            absolute_send_time: Some(3),
            transport_cc: Some(5),
            mid: Some(4),
            dependency_descriptor: Some(9),
            video_orientation: Some(11),
            allow_mixed: true,
            ..ExtensionIds::default()
        },
        feedback: FeedbackSsrcs { audio: Ssrc(0xA0), video: Ssrc(0xF0 + u32::from(name)) },
        ssrc_rewriting: true,
        key_frame_message: KeyFrameMessage::Pli,
        rate_limit: RateLimit { packets: 1_000_000, bits: 4_000_000_000 },
        bandwidth: bandwidth::Config::default(),
        cname: "sluice".into(),
        seed: u64::from(u32::from(name)) + 77,
    }
}

/// Sessions of two ends that talk to each other.
pub(crate) fn sessions(profile: SrtpProfile) -> (Box<Session>, Box<Session>) {
    let (key, salt) = profile.key_and_salt_bytes();
    let bytes = |seed: u8| -> ArrayVec<u8, 46> { (0..key + salt).map(|i| seed ^ i as u8).collect() };
    let (a, b) = (bytes(0x11), bytes(0x77));
    let keys = |inbound: &ArrayVec<u8, 46>, outbound: &ArrayVec<u8, 46>| SrtpKeys {
        profile,
        inbound: inbound.clone(),
        outbound: outbound.clone(),
    };
    (Session::new(&keys(&a, &b)).unwrap(), Session::new(&keys(&b, &a)).unwrap())
}

pub(crate) const SERVER: usize = 0;
pub(crate) const CLIENT: usize = 1;

/// A datagram as the link saw it.
pub(crate) struct Seen {
    pub(crate) at: Timestamp,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// A server and a client behind a NAT.
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) sides: [Box<Transport>; 2],
    /// As the other side sees it; what goes elsewhere is lost.
    pub(crate) addresses: [SocketAddr; 2],
    /// Lost of a thousand datagrams.
    pub(crate) loss: u64,
    pub(crate) delay: Duration,
    pub(crate) events: [Vec<(Timestamp, Event)>; 2],
    pub(crate) drops: Vec<(usize, DropReason)>,
    pub(crate) seen: Vec<Seen>,
    /// RTP and RTCP that arrived.
    pub(crate) media: Vec<(usize, Vec<u8>)>,
    flying: BTreeMap<(Timestamp, u64), (SocketAddr, SocketAddr, Vec<u8>)>,
    count: u64,
    chance: Chance,
}

impl World {
    pub(crate) fn server_address() -> SocketAddr {
        "192.0.2.1:10000".parse().unwrap()
    }

    pub(crate) fn client_address() -> SocketAddr {
        "198.51.100.7:40000".parse().unwrap()
    }

    /// The server controls; neither knows the other yet.
    pub(crate) fn new() -> World {
        let addresses = [World::server_address(), World::client_address()];
        World::with(&[config('S', true, addresses[SERVER]), config('C', false, addresses[CLIENT])])
    }

    pub(crate) fn with(configs: &[Config; 2]) -> World {
        World {
            now: at(1_000),
            sides: [Transport::new(&configs[0], at(1_000)), Transport::new(&configs[1], at(1_000))],
            addresses: [World::server_address(), World::client_address()],
            loss: 0,
            delay: Duration::from_millis(20),
            events: [Vec::new(), Vec::new()],
            drops: Vec::new(),
            seen: Vec::new(),
            media: Vec::new(),
            flying: BTreeMap::new(),
            count: 0,
            chance: Chance::new(4_711),
        }
    }

    /// Tell both sides the other's credentials; the server learns no candidates, the client the server's.
    pub(crate) fn signal(&mut self) {
        let candidate = host(self.addresses[SERVER]);
        let now = self.now;
        self.sides[SERVER].set_remote("ufragC", "password-of-32-letters-for-sideC", &[], now).unwrap();
        self.sides[CLIENT]
            .set_remote("ufragS", "password-of-32-letters-for-sideS", &[candidate], now)
            .unwrap();
    }

    /// Put a datagram on the link.
    pub(crate) fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.seen.push(Seen { at: self.now, from, to, bytes: bytes.clone() });
        if self.chance.between(0, 1_000) < self.loss {
            return;
        }
        self.count += 1;
        self.flying.insert((self.now + self.delay, self.count), (from, to, bytes));
    }

    /// Let time pass.
    pub(crate) fn run_until(&mut self, end: Timestamp) {
        let mut steps = 0;
        loop {
            let timeouts = self.sides[0].poll_timeout().min(self.sides[1].poll_timeout()).max(self.now);
            let arrival = self.flying.first_key_value().map_or(Timestamp::NEVER, |((at, _), _)| *at);
            let next = timeouts.min(arrival);
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            if arrival <= self.now {
                self.deliver();
            } else {
                for side in 0..2 {
                    self.timeout(side);
                }
            }
            steps += 1;
            assert!(steps < 1_000_000, "a timer that never ends");
        }
        self.now = end;
    }

    fn timeout(&mut self, side: usize) {
        if self.sides[side].poll_timeout() > self.now {
            return;
        }
        let mut mail = Mail::default();
        self.sides[side].handle_timeout(self.now, &mut mail);
        assert!(self.sides[side].poll_timeout() > self.now, "a timer that stays due");
        self.collect(side, mail);
    }

    fn deliver(&mut self) {
        let Some((_, (from, to, bytes))) = self.flying.pop_first() else { return };
        let Some(side) = self.addresses.iter().position(|&address| address == to) else { return };
        let path = Path { peer: from, socket: 0 };
        let mut mail = Mail::default();
        match classify(&bytes) {
            Kind::Stun => {
                if let Err(reason) = self.sides[side].stun(&bytes, path, self.now, &mut mail) {
                    self.drops.push((side, reason));
                }
            }
            _ if self.sides[side].proved(path) => self.media.push((side, bytes)),
            _ => self.drops.push((side, DropReason::UnknownPeer)),
        }
        self.collect(side, mail);
    }

    fn collect(&mut self, side: usize, mail: Mail) {
        while let Some(event) = self.sides[side].poll_event() {
            self.events[side].push((self.now, event));
        }
        for (path, bytes) in mail.0 {
            self.send(self.addresses[side], path.peer, bytes);
        }
    }

    pub(crate) fn count(&self, side: usize, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events[side].iter().filter(|(_, event)| wanted(event)).count()
    }

    pub(crate) fn selected(&self) -> [Option<SocketAddr>; 2] {
        [0, 1].map(|side| self.sides[side].selected().map(|path| path.peer))
    }
}

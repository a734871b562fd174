//! A million packets through the production turn: whatever happens meanwhile, a worker allocates nothing.

use std::alloc::System;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::atomic::AtomicU64;

use contract::session::{AudioSubscription, VideoType};
use contract::{Command, Duration, Metric, SourceId, Timestamp};
use mesh::steady::{self, Steady};
use sim::network::To;
use sim::{Chance, Faults, World};
use worker::{DatagramIo, HandshakeEnd};

#[global_allocator]
static ALLOCATOR: Steady<System> = Steady(System);

/// The simulator brackets each turn with `steady::begin` and `steady::end`; the rest of it may allocate.
#[test]
fn a_million_packets_pass_through_the_turn_without_an_allocation() {
    let mut meeting = Meeting::new();
    meeting.gather();
    let mut seconds = 0;
    while meeting.forwarded() < PACKETS {
        assert!(
            seconds < SECONDS_MAX,
            "after {seconds} s only {} packets were forwarded",
            meeting.forwarded()
        );
        meeting.disturb(seconds);
        meeting.world.run(Duration::from_secs(1));
        seconds += 1;
        let allocations = steady::allocations();
        assert_eq!(allocations, 0, "allocated in second {seconds}, after {} packets", meeting.forwarded());
    }
    let count = |metric| meeting.world.count(|statistics| statistics.counter(metric));
    for metric in [
        Metric::PacketsRetransmitted,
        Metric::NacksSent,
        Metric::KeyFrameRequests,
        Metric::PacketsFromMesh,
        Metric::DatagramsHandedOver,
        Metric::ChecksSent,
        Metric::CommandsApplied,
    ] {
        assert!(count(metric) > 100, "{}: {}: the meeting was too quiet", metric.label(), count(metric));
    }
    assert!(meeting.world.count(|statistics| statistics.dropped_total()) > 100, "nothing was ever refused");
    assert!(meeting.dtls_taken > 100, "DTLS passed");
    println!(
        "{} packets received, {} forwarded, {} retransmitted, {} orders, {} turns, {} s of meeting: {} allocations",
        count(Metric::DatagramsReceived),
        count(Metric::PacketsForwarded),
        count(Metric::PacketsRetransmitted),
        count(Metric::CommandsApplied),
        count(Metric::Turns),
        seconds,
        steady::allocations(),
    );
}

#[test]
fn an_allocation_within_a_turn_is_counted() {
    let now: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
    let config = worker::Config { local: vec![sim::world::server_address()], ..worker::Config::default() };
    let (_media_plane, mut workers) =
        worker::MediaPlane::simulate(&config, now, 1).expect("eventfds are to be had");
    steady::begin();
    workers[0].turn(Timestamp::ZERO, &mut Wasteful);
    steady::end();
    assert_eq!(steady::allocations(), 1);
}

/// A conference on two workers, bad lines, and things that happen.
struct Meeting {
    world: World,
    chance: Chance,
    handshakes: HandshakeEnd,
    dtls_taken: u64,
}

impl Meeting {
    fn new() -> Meeting {
        let faults = Faults {
            delay: Duration::from_millis(15),
            jitter: Duration::from_millis(10),
            loss: 0.01,
            duplication: 0.005,
            corruption: 0.002,
        };
        let mut world = World::new(2, faults, 7);
        let handshakes = world.media_plane.take_handshake_end(0).expect("the first one");
        Meeting { world, chance: Chance::new(8), handshakes, dtls_taken: 0 }
    }

    fn forwarded(&self) -> u64 {
        self.world.count(|statistics| statistics.counter(Metric::PacketsForwarded))
    }

    fn gather(&mut self) {
        for number in 0..8 {
            self.world.join(1, number < 6, 720, number % 2 == 0);
        }
        self.world.run(Duration::from_secs(2));
        assert!(self.world.clients.iter().all(|client| client.connected()), "everyone is connected");
    }

    /// What befalls the meeting in this second.
    fn disturb(&mut self, second: u64) {
        let client = self.someone();
        self.world.want(client, [0, 180, 360, 720][self.chance.below(4) as usize]);
        self.ask_for_a_key_frame(second);
        self.send_dtls(client);
        self.send_junk();
        if second % 4 == 1 {
            self.world.leave(client);
            self.world.join(1, true, 360, second.is_multiple_of(8));
        }
        if second % 6 == 2 {
            // A conference of its own: a room opens, and closes when they have left.
            let pair = [self.world.join(second, true, 720, true), self.world.join(second, true, 720, false)];
            self.world.run(Duration::from_millis(700));
            pair.into_iter().for_each(|client| self.world.leave(client));
        }
        if second % 5 == 3 {
            self.moderate(client, second);
        }
        if second == 9 {
            // Gone without a word: it expires by its silence.
            self.world.clients[client].alive = false;
            self.world.join(1, true, 720, true);
        }
        self.world.media_plane.request_statistics();
    }

    fn someone(&mut self) -> usize {
        loop {
            let at = self.chance.below(self.world.clients.len() as u64) as usize;
            if self.world.clients[at].alive {
                return at;
            }
        }
    }

    /// A decoder gave up: PLI from a receiver.
    fn ask_for_a_key_frame(&mut self, second: u64) {
        let (at, now) = (self.someone(), self.world.now());
        let client = &mut self.world.clients[at];
        let ssrcs: Vec<u32> = client.streams.keys().copied().collect();
        if let Some(ssrc) = ssrcs.get(second as usize % ssrcs.len().max(1)) {
            client.request_key_frame(*ssrc, now);
        }
    }

    fn moderate(&mut self, client: usize, second: u64) {
        let (endpoint, source) = {
            let client = &self.world.clients[client];
            (client.endpoint, client.sources.last().expect("everyone has a microphone").source)
        };
        let others = vec![SourceId(10), SourceId(20)];
        let deaf = AudioSubscription { all: true, include: Vec::new(), exclude: others };
        let video_type = if second.is_multiple_of(2) { VideoType::Desktop } else { VideoType::Camera };
        for command in [
            Command::SetForceMute { endpoint, audio: second.is_multiple_of(2), video: false },
            Command::SetVideoType { source, video_type },
            Command::SetAudioSubscription { endpoint, subscription: deaf },
        ] {
            self.world.media_plane.command(command).expect("only joining can be refused");
        }
    }

    /// Handshake datagrams, both ways.
    fn send_dtls(&mut self, client: usize) {
        let (endpoint, address) = (self.world.clients[client].endpoint, self.world.clients[client].address);
        let mut record = vec![22, 254, 253];
        record.resize(700, 0);
        self.world.media_plane.dtls_sender().send(endpoint, &record);
        let now = self.world.now();
        for _ in 0..4 {
            self.world.network.send(To::Server(address), record.clone(), now, &mut self.chance);
        }
        while self.handshakes.pop().is_some() {
            self.dtls_taken += 1;
        }
        self.handshakes.about_to_wait();
    }

    /// Datagrams from nobody: RTP, STUN, nonsense.
    fn send_junk(&mut self) {
        let now = self.world.now();
        for number in 0..20u16 {
            let from = SocketAddr::from(([203, 0, 113, 9], 1_000 + number));
            let mut junk: Vec<u8> = (0..60).map(|_| self.chance.bits() as u8).collect();
            junk[0] = [0, 1, 22, 128, 144, 200][usize::from(number) % 6];
            self.world.network.send(To::Server(from), junk, now, &mut self.chance);
        }
    }
}

/// I/O that allocates when asked what arrived.
struct Wasteful;

impl DatagramIo for Wasteful {
    fn receive(&mut self) -> usize {
        std::hint::black_box(Vec::<u8>::with_capacity(1)).len()
    }

    fn datagram(&self, _index: usize) -> uring::Datagram<'_> {
        let peer = SocketAddr::from(([0, 0, 0, 0], 0));
        uring::Datagram { bytes: &[], peer, socket: 0, truncated: true }
    }

    fn recycle(&mut self) {}

    fn send(
        &mut self,
        _path: transport::Path,
        _max_len: usize,
        _write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        false
    }

    fn room_along(&self, _path: transport::Path) -> usize {
        0
    }

    fn wake(&mut self, _eventfd: RawFd) {}
}

/// Forwarded ones; what was received comes on top.
const PACKETS: u64 = 1_000_000;
/// Three times what it takes.
const SECONDS_MAX: u64 = 900;

//! The stage: workers, clients and the network between them, stepped in the order of time.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use contract::session::{
    Codec, EndpointSpec, FeedbackSsrcs, ReceiverConstraints, RemoteTransport, SrtpProfile, VideoConstraint,
};
use contract::{Command, ConferenceId, Duration, EndpointId, Report, Ssrc, Timestamp};
use worker::{Config, MediaPlane, Worker};

use crate::Chance;
use crate::client::{self, Client};
use crate::io::SimulatedIo;
use crate::network::{Direction, Faults, Network, To};

/// A server with its workers, and its clients.
pub struct World {
    now: &'static AtomicU64,
    /// The control plane's handle.
    pub media_plane: MediaPlane,
    workers: Vec<Worker>,
    ios: Vec<SimulatedIo>,
    /// The participants.
    pub clients: Vec<Client>,
    /// Between them and the server.
    pub network: Network,
    /// Every report but those that go to clients.
    pub reports: Vec<Report>,
    /// Whether those who join from now on take redundant audio (RFC 2198).
    pub redundancy: bool,
    /// Whether turns are taken under the name of [`counted_turn`].
    pub count_turns: bool,
    chance: Chance,
}

impl World {
    /// A server with `workers` workers that spreads conferences over all of them.
    pub fn new(workers: usize, faults: Faults, seed: u64) -> World {
        // Frames are kept together as by a worker under load.
        let sending = worker::Sending { hold_above_percent: 0, ..worker::Sending::default() };
        let (workers, slots, spread_after) = (Some(workers), 4_096, 1);
        let config = Config { workers, slots, spread_after, sending, ..Config::default() };
        World::with_config(config, faults, seed)
    }

    /// A server as configured, but for its address.
    pub fn with_config(config: Config, faults: Faults, seed: u64) -> World {
        let now: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
        let config = Config { local: vec![server_address()], ..config };
        let (media_plane, workers) =
            MediaPlane::simulate(&config, now, seed).expect("eventfds are to be had");
        let ios = workers.iter().map(|_| SimulatedIo::default()).collect();
        World {
            now,
            media_plane,
            workers,
            ios,
            clients: Vec::new(),
            network: Network::new(faults),
            reports: Vec::new(),
            redundancy: true,
            count_turns: false,
            chance: Chance::new(seed),
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::Relaxed))
    }

    /// A client joins a conference and sends; it wants every video at `height` at most. Its index.
    pub fn join(&mut self, conference: u64, camera: bool, height: u16, ssrc_rewriting: bool) -> usize {
        let number = self.clients.len() as u64 + 1;
        let profile = [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80][number as usize % 2];
        let client = Client::new(number, server_address(), profile, camera, &mut self.chance);
        let endpoint = client.endpoint;
        let spec = EndpointSpec {
            conference: ConferenceId(conference),
            endpoint,
            payload_types: client::payload_types()
                .into_iter()
                .filter(|payload| self.redundancy || payload.codec != Codec::Red)
                .collect(),
            extensions: client::extensions(),
            ssrc_rewriting,
            visitor: false,
            feedback: FeedbackSsrcs { audio: Ssrc(1), video: Ssrc(2) },
        };
        self.tell(Command::CreateEndpoint(Box::new(spec)));
        self.clients.push(client);
        let at = self.clients.len() - 1;
        self.poll_reports();
        let (ufrag, pwd) = (format!("client{number:04}"), format!("client-password-{number:012}"));
        let remote = RemoteTransport { ufrag, pwd, candidates: Vec::new() };
        self.tell(Command::SetTransport { endpoint, remote });
        let keys = self.clients[at].keys_for_server.clone();
        self.tell(Command::SetKeys { endpoint, keys });
        let sources = self.clients[at].sources.clone();
        self.tell(Command::SetSources { endpoint, sources });
        self.want(at, height);
        if !ssrc_rewriting {
            self.announce_original_streams(at);
        }
        at
    }

    /// What a client wants of every video from now on.
    pub fn want(&mut self, client: usize, max_height: u16) {
        let constraints =
            ReceiverConstraints { default: VideoConstraint { max_height }, ..ReceiverConstraints::default() };
        self.tell(Command::SetConstraints { endpoint: self.clients[client].endpoint, constraints });
    }

    /// What a client wants from now on, in full.
    pub fn constrain(&mut self, client: usize, constraints: ReceiverConstraints) {
        self.tell(Command::SetConstraints { endpoint: self.clients[client].endpoint, constraints });
    }

    /// Another link in front of a client.
    pub fn set_link(&mut self, client: usize, spec: crate::LinkSpec) {
        let now = self.now();
        self.network.set_link(self.clients[client].address.ip(), Direction::Down, spec, now);
    }

    /// Another link behind a client.
    pub fn set_uplink(&mut self, client: usize, spec: crate::LinkSpec) {
        let now = self.now();
        self.network.set_link(self.clients[client].address.ip(), Direction::Up, spec, now);
    }

    /// A translator between a client and the server forgets it: its datagrams come from another port, unknown to itself.
    pub fn rebind(&mut self, client: usize) {
        let address = &mut self.clients[client].address;
        address.set_port(address.port() ^ 0x4000);
    }

    /// A client goes, as its signalling says.
    pub fn leave(&mut self, client: usize) {
        self.clients[client].alive = false;
        self.tell(Command::ExpireEndpoint { endpoint: self.clients[client].endpoint });
    }

    /// Let time pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now() + duration;
        while self.step(end) {}
    }

    /// Why a receiver is sent what it is sent: the decisions on its bandwidth, a line each.
    pub fn bandwidth_log(&mut self, client: usize) -> Vec<String> {
        self.media_plane.request_bandwidth(self.clients[client].endpoint);
        self.run(Duration::from_millis(100));
        self.media_plane.take_bandwidth().map_or_else(Vec::new, |state| state.lines())
    }

    /// Sum over workers.
    pub fn count(&self, read: impl Fn(&worker::Statistics) -> u64) -> u64 {
        self.workers.iter().map(|worker| read(worker.statistics())).sum()
    }

    /// Without rewriting, clients know each other's SSRCs by signalling: of each source its primary.
    fn announce_original_streams(&mut self, newcomer: usize) {
        let heard: Vec<(usize, contract::session::SourceSpec)> = self
            .clients
            .iter()
            .enumerate()
            .flat_map(|(at, client)| client.sources.iter().map(move |source| (at, source.clone())))
            .collect();
        for (owner, source) in heard {
            let primary = source.encodings[0];
            for at in 0..self.clients.len() {
                if at != owner && (at == newcomer || owner == newcomer) {
                    self.clients[at].expect(source.media, primary.ssrc.0, primary.rtx.map(|rtx| rtx.0));
                }
            }
        }
    }

    /// What the control plane orders.
    pub fn tell(&mut self, command: Command) {
        self.media_plane.command(command).expect("there is a seat");
    }

    /// To the next event at or before `end`; false when there is none.
    fn step(&mut self, end: Timestamp) -> bool {
        let now = self.now();
        let clients = self.clients.iter().map(Client::next).min().unwrap_or(Timestamp::NEVER);
        let workers = self.workers.iter().map(Worker::poll_timeout).min().unwrap_or(Timestamp::NEVER);
        let next = clients.min(workers).min(self.network.next_arrival()).max(now + Duration::from_micros(1));
        let due = next.min(end);
        self.now.store(due.as_micros(), Ordering::Relaxed);
        self.deliver(due);
        for at in 0..self.clients.len() {
            if self.clients[at].next() <= due {
                let sent = self.clients[at].handle_timeout(due);
                self.post(at, sent, due);
            }
        }
        self.turn_workers(due);
        self.poll_reports();
        due < end
    }

    fn deliver(&mut self, now: Timestamp) {
        self.network.advance_links(now, &mut self.chance);
        while let Some((to, bytes)) = self.network.arrived(now) {
            match to {
                // As the kernel does: by a hash of the address, the same worker each time, not always the owner.
                To::Server(from) => {
                    let worker = (u64::from(from.port()) * 7) % self.ios.len() as u64;
                    self.ios[worker as usize].arrived.push((from, bytes));
                }
                To::Client(address) => {
                    let client =
                        self.clients.iter().position(|client| client.address == address && client.alive);
                    if let Some(at) = client {
                        let answers = self.clients[at].receive(&bytes, now);
                        self.post(at, answers, now);
                    }
                }
            }
        }
    }

    fn post(&mut self, from: usize, datagrams: Vec<Vec<u8>>, now: Timestamp) {
        let address = self.clients[from].address;
        for bytes in datagrams {
            self.network.send(To::Server(address), bytes, now, &mut self.chance);
        }
    }

    fn turn_workers(&mut self, now: Timestamp) {
        // A worker may have something for one that has had its turn: go round until nobody moves, within reason.
        for _ in 0..8 {
            let first = self.chance.below(self.workers.len() as u64) as usize;
            let mut moved = false;
            for step in 0..self.workers.len() {
                let at = (first + step) % self.workers.len();
                // Under an allocator that counts, a turn that allocates is found out; under others this does nothing.
                mesh::steady::begin();
                let (worker, io) = (&mut self.workers[at], &mut self.ios[at]);
                moved |= if self.count_turns { counted_turn(worker, now, io) } else { worker.turn(now, io) };
                mesh::steady::end();
                assert!(self.workers[at].statistics().balanced(), "worker {at}: a datagram vanished");
            }
            if !moved {
                break;
            }
        }
        for at in 0..self.ios.len() {
            assert_eq!(
                self.ios[at].refused, 0,
                "worker {at}: the send memory of the simulation is too small"
            );
            for (peer, bytes) in self.ios[at].drain_sent() {
                self.network.send(To::Client(peer), bytes, now, &mut self.chance);
            }
        }
    }

    fn poll_reports(&mut self) {
        while let Some(report) = self.media_plane.poll_report() {
            match report {
                Report::EndpointReady { endpoint, transport } => {
                    let now = self.now();
                    if let Some(client) = self.client_of(endpoint) {
                        client.begin(&transport.ufrag, &transport.pwd, now);
                    }
                }
                Report::SourceMapped { endpoint, media, ssrc, rtx, .. } => {
                    if let Some(client) = self.client_of(endpoint) {
                        client.expect(media, ssrc.0, rtx.map(|rtx| rtx.0));
                    }
                }
                other => self.reports.push(other),
            }
        }
    }

    fn client_of(&mut self, endpoint: EndpointId) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.endpoint == endpoint)
    }
}

/// A turn under a name of its own: a profiler that counts only within it leaves the clients out, and everything before.
#[inline(never)]
pub fn counted_turn(worker: &mut Worker, now: Timestamp, io: &mut SimulatedIo) -> bool {
    worker.turn(now, io)
}

/// Where clients reach the server.
pub fn server_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 10_000))
}

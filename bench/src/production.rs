//! The production turn on a workload: rooms of clients who answer ICE and send media, and nothing else.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use contract::session::{
    EndpointSpec, FeedbackSsrcs, ReceiverConstraints, RemoteTransport, SrtpProfile, VideoConstraint,
};
use contract::{Command, ConferenceId, Duration, Metric, Report, Ssrc, Timestamp};
use mesh::wake::Sleeper;
use sim::{Chance, Client};
use transport::Path;
use worker::{CipherChoice, CipherProvider, DatagramIo, MediaPlane, Sending, Worker};

use crate::bare::open_io;
use crate::flat_io::FlatIo;
use crate::rounds::{Workload, thread_time};
use crate::scene::Scene;
use crate::senders::Sender;
use crate::sinks::Sinks;

/// What carries the datagrams of the turn, and the clients at its other end.
pub trait Ground: DatagramIo {
    /// What the worker's thread does after each turn.
    fn submit(&mut self);
    /// A client sends a datagram. Not measured.
    fn feed(&mut self, client: usize, datagram: &[u8]) -> Result<(), String>;
    /// The STUN messages that came for clients. Not measured.
    fn collect(&mut self) -> Vec<(usize, Vec<u8>)>;
    /// Send operations and datagrams so far, if there is a kernel.
    fn sends(&self) -> Option<(u64, u64)>;
}

/// What the product is set to.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// SRTP profile of all.
    pub profile: SrtpProfile,
    /// Library behind AES-GCM.
    pub provider: CipherProvider,
    /// How packets are grouped.
    pub sending: Sending,
    /// Segmentation offload.
    pub gso: bool,
    /// Packet slots of the worker.
    pub slots: u32,
}

impl Setting {
    /// As the product is by default, with AEAD_AES_128_GCM by this library.
    pub fn with_provider(provider: CipherProvider) -> Setting {
        let config = worker::Config::default();
        let profile = SrtpProfile::AeadAes128Gcm;
        Setting { profile, provider, sending: config.sending, gso: true, slots: config.slots }
    }
}

/// A worker with all of a workload's rooms.
pub struct Production<G> {
    name: String,
    scene: Scene,
    now: &'static AtomicU64,
    media_plane: MediaPlane,
    worker: Worker,
    ground: G,
    clients: Vec<Client>,
    senders: Vec<Option<Sender>>,
    passes: usize,
    warm: bool,
    served: Timestamp,
    /// Send operations and datagrams when the measuring began, and packets forwarded since.
    sent_before: (u64, u64),
}

impl Production<FlatIo> {
    /// Without a kernel.
    pub fn flat(scene: Scene, setting: Setting) -> Result<Self, String> {
        let peer = |number: usize| SocketAddr::from(([10, 1, (number >> 8) as u8, number as u8], 5_000));
        let ground = FlatIo::new((0..scene.clients()).map(peer).collect());
        let server = SocketAddr::from(([10, 2, 0, 1], 10_000));
        Production::new("memory", scene, setting, ground, server)
    }
}

impl Production<KernelIo> {
    /// On loopback, by a back end of the product.
    pub fn kernel(scene: Scene, setting: Setting, choice: uring::Choice) -> Result<Self, String> {
        let (io, sleeper) = open_io(choice, setting.gso)?;
        let server = io.local_address(0);
        let sinks = Sinks::open(scene.clients()).map_err(|error| error.to_string())?;
        let label = io.backend().label();
        let ground = KernelIo { io, sinks, server, _sleeper: sleeper };
        Production::new(label, scene, setting, ground, server)
    }
}

impl<G: Ground> Production<G> {
    fn new(
        carrier: &str,
        scene: Scene,
        setting: Setting,
        ground: G,
        server: SocketAddr,
    ) -> Result<Self, String> {
        let now: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
        let config = worker::Config {
            workers: Some(1),
            local: vec![server],
            receiver_budget: 1_000_000_000,
            cipher: CipherChoice::Fixed(setting.provider),
            sending: setting.sending,
            slots: setting.slots,
            initial_bandwidth: 1_000_000_000,
            ..worker::Config::default()
        };
        let (media_plane, mut workers) =
            MediaPlane::simulate(&config, now, 1).map_err(|error| error.to_string())?;
        let worker = workers.pop().ok_or("no worker")?;
        let mut chance = Chance::new(1);
        let clients: Vec<Client> = (0..scene.clients() as u64)
            .map(|number| Client::new(number + 1, server, setting.profile, false, &mut chance))
            .collect();
        let sender = |(number, client): (usize, &Client)| {
            let sends = scene.sends(number);
            sends.then(|| Sender::new(client.endpoint, &client.keys_for_server)).transpose()
        };
        let senders = clients.iter().enumerate().map(sender).collect::<Result<Vec<_>, String>>()?;
        let library = match setting.profile {
            SrtpProfile::Aes128CmHmacSha1_80 => "aws-lc sha1".to_owned(),
            _ => format!("{} gcm", setting.provider.name()),
        };
        let mut production = Production {
            name: format!("turn, {carrier}, {library}"),
            scene,
            now,
            media_plane,
            worker,
            ground,
            clients,
            senders,
            passes: 0,
            warm: false,
            served: Timestamp::ZERO,
            sent_before: (0, 0),
        };
        production.gather()?;
        production.warm_up()?;
        production.warm = true;
        production.sent_before = production.ground.sends().unwrap_or_default();
        Ok(production)
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::Relaxed))
    }

    fn advance(&mut self, by: Duration) -> Timestamp {
        let now = self.now() + by;
        self.now.store(now.as_micros(), Ordering::Relaxed);
        now
    }

    fn turn(&mut self) {
        self.ground.submit();
        let now = self.now();
        self.worker.turn(now, &mut self.ground);
    }

    /// Turns until so many packets have been forwarded since the start.
    #[inline(always)]
    fn turns(&mut self, wanted: u64) {
        for _ in 0..LOOKS_MAX {
            self.turn();
            if self.worker.statistics().counter(Metric::PacketsForwarded) >= wanted {
                break;
            }
        }
    }

    /// The same under a name of its own: a profiler that counts only within it leaves out the senders, and everything before
    /// the workload is warm.
    #[inline(never)]
    fn counted_turns(&mut self, wanted: u64) {
        self.turns(wanted);
    }

    /// Everyone joins and connects.
    fn gather(&mut self) -> Result<(), String> {
        for number in 0..self.clients.len() {
            self.join(number)?;
        }
        for _ in 0..STEPS_MAX {
            if self.clients.iter().all(Client::connected) {
                return Ok(());
            }
            self.advance(Duration::from_millis(20));
            self.serve()?;
        }
        Err("not all clients could connect".to_owned())
    }

    fn join(&mut self, number: usize) -> Result<(), String> {
        let endpoint = self.clients[number].endpoint;
        let spec = EndpointSpec {
            conference: ConferenceId(1 + (number / self.scene.people) as u64),
            endpoint,
            payload_types: sim::client::payload_types(),
            extensions: sim::client::extensions(),
            ssrc_rewriting: true,
            visitor: false,
            feedback: FeedbackSsrcs { audio: Ssrc(1), video: Ssrc(2) },
        };
        let client = endpoint.0;
        let (ufrag, pwd) = (format!("client{client:04}"), format!("client-password-{client:012}"));
        let constraint = VideoConstraint { max_height: 720 };
        let constraints = ReceiverConstraints { default: constraint, ..ReceiverConstraints::default() };
        let sources = self.senders[number].as_ref().map(Sender::sources).unwrap_or_default();
        for command in [
            Command::CreateEndpoint(Box::new(spec)),
            Command::SetTransport {
                endpoint,
                remote: RemoteTransport { ufrag, pwd, candidates: Vec::new() },
            },
            Command::SetKeys { endpoint, keys: self.clients[number].keys_for_server.clone() },
            Command::SetSources { endpoint, sources },
            Command::SetConstraints { endpoint, constraints },
        ] {
            self.media_plane.command(command).map_err(|_| "the worker is full".to_owned())?;
        }
        self.poll_reports();
        self.turn();
        Ok(())
    }

    fn poll_reports(&mut self) {
        let now = self.now();
        while let Some(report) = self.media_plane.poll_report() {
            if let Report::EndpointReady { endpoint, transport } = report
                && let Some(client) = self.clients.get_mut(endpoint.0 as usize - 1)
            {
                client.begin(&transport.ufrag, &transport.pwd, now);
            }
        }
    }

    /// Let the clients do what ICE asks of them; their media and reports stay at home.
    fn serve(&mut self) -> Result<(), String> {
        let now = self.now();
        self.served = now;
        for client in 0..self.clients.len() {
            let datagrams = self.clients[client].handle_timeout(now);
            self.feed_stun(client, &datagrams)?;
        }
        for _ in 0..3 {
            self.turn();
            self.ground.submit();
            for (client, datagram) in self.ground.collect() {
                let answers = self.clients[client].receive(&datagram, now);
                self.feed_stun(client, &answers)?;
            }
        }
        self.poll_reports();
        Ok(())
    }

    fn feed_stun(&mut self, client: usize, datagrams: &[Vec<u8>]) -> Result<(), String> {
        for datagram in datagrams.iter().filter(|datagram| is_stun(datagram)) {
            self.ground.feed(client, datagram)?;
        }
        Ok(())
    }

    /// Until every receiver gets every packet: the allocations have run and the first key frames were seen.
    fn warm_up(&mut self) -> Result<(), String> {
        for _ in 0..STEPS_MAX {
            self.senders.iter_mut().flatten().for_each(|sender| sender.key = true);
            let mut whole = true;
            for _ in 0..self.scene.cycle() {
                whole &= self.pass().is_ok();
            }
            if whole {
                self.senders.iter_mut().flatten().for_each(|sender| sender.key = false);
                return Ok(());
            }
        }
        let forwarded = self.worker.statistics().counter(Metric::PacketsForwarded);
        Err(format!("the receivers do not get every packet, but {forwarded} in all"))
    }
}

impl<G: Ground> Workload for Production<G> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn pass(&mut self) -> Result<(u64, u64), String> {
        let bursts = self.scene.bursts(self.passes);
        self.passes += 1;
        let now = self.advance(Duration::from_micros(self.scene.interval_us() as u64));
        if now.since(self.served) > SERVICE_INTERVAL {
            self.serve()?;
        }
        for burst in &bursts {
            let Some(sender) = &mut self.senders[burst.sender] else { continue };
            for datagram in sender.datagrams(burst) {
                self.ground.feed(burst.sender, &datagram)?;
            }
        }
        let forwarded = |worker: &Worker| worker.statistics().counter(Metric::PacketsForwarded);
        let sent = self.scene.sent(&bursts);
        let wanted = forwarded(&self.worker) + sent;
        let began = thread_time();
        if self.warm {
            self.counted_turns(wanted);
        } else {
            self.turns(wanted);
        }
        let spent = thread_time() - began;
        self.poll_reports();
        let missing = wanted.saturating_sub(forwarded(&self.worker));
        if missing > 0 {
            return Err(format!("{missing} of {sent} packets were not forwarded"));
        }
        Ok((sent, spent))
    }

    fn per_send(&self) -> Option<f64> {
        let (sends, datagrams) = self.ground.sends()?;
        let (sends, datagrams) = (sends - self.sent_before.0, datagrams - self.sent_before.1);
        (sends > 0).then(|| datagrams as f64 / sends as f64)
    }
}

/// A back end of the product, with sinks at the other end.
pub struct KernelIo {
    io: uring::Io,
    sinks: Sinks,
    server: SocketAddr,
    /// The back end waits on its descriptor.
    _sleeper: Sleeper,
}

impl DatagramIo for KernelIo {
    fn receive(&mut self) -> usize {
        self.io.receive()
    }

    fn datagram(&self, index: usize) -> uring::Datagram<'_> {
        self.io.datagram(index)
    }

    fn recycle(&mut self) {
        self.io.recycle();
    }

    fn send(&mut self, path: Path, max_len: usize, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        self.io.send(path.socket, path.peer, max_len, write).is_ok()
    }

    fn room_along(&self, path: Path) -> usize {
        self.io.room_along(path.socket, &path.peer)
    }

    fn wake(&mut self, eventfd: RawFd) {
        self.io.wake(eventfd);
    }
}

impl Ground for KernelIo {
    fn submit(&mut self) {
        self.io.submit();
    }

    fn feed(&mut self, client: usize, datagram: &[u8]) -> Result<(), String> {
        let sent = self.sinks.socket(client).send_to(datagram, self.server);
        sent.map(drop).map_err(|error| format!("a client could not send: {error}"))
    }

    fn collect(&mut self) -> Vec<(usize, Vec<u8>)> {
        let mut collected = Vec::new();
        let mut buffer = [0; 2_048];
        for client in 0..self.sinks.addresses().len() {
            while let Ok(len) = self.sinks.socket(client).recv(&mut buffer) {
                collected.push((client, buffer[..len].to_vec()));
            }
        }
        collected
    }

    fn sends(&self) -> Option<(u64, u64)> {
        let statistics = self.io.statistics();
        Some((statistics.sends, statistics.segments))
    }
}

/// RFC 7983: the first byte of STUN is below 4.
pub(crate) fn is_stun(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| *first < 4)
}

/// Of virtual time, between two looks at the clients.
const SERVICE_INTERVAL: Duration = Duration::from_millis(200);
/// Steps in which everyone must have connected, or have been sent a first key frame.
const STEPS_MAX: usize = 500;
/// Turns that a batch may take: on a ring, arrivals may be seen a submission later.
const LOOKS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_turn_forwards_every_packet_to_everyone() {
        for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80] {
            for scene in [Scene::big_room(4, 5, 1_000), Scene::B2, Scene::AUDIO, Scene::TWO_PERSON_FEW] {
                let setting = Setting { profile, ..Setting::with_provider(CipherProvider::Ring) };
                let mut flat = Production::flat(scene, setting).expect("a conference");
                let mut plain =
                    Production::kernel(scene, setting, uring::Choice::Plain).expect("a conference");
                for _ in 0..50 {
                    assert!(flat.pass().expect("forwarded").0 > 0);
                    assert!(plain.pass().expect("forwarded").0 > 0);
                }
            }
        }
    }
}

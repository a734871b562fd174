//! The production turn at a batch shape: one sender whose frames are B packets, N receivers that get each of them.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;
use contract::session::{
    Encoding, EndpointSpec, FeedbackSsrcs, Media, ReceiverConstraints, RemoteTransport, SourceSpec, SrtpKeys,
    SrtpProfile, VideoConstraint, VideoType,
};
use contract::{Command, ConferenceId, Duration, Metric, Report, SourceId, Ssrc, Timestamp};
use mesh::wake::Sleeper;
use sim::{Chance, Client};
use transport::Path;
use transport::srtp::Session;
use worker::{DatagramIo, MediaPlane, Worker};

use crate::bare::open_ring;
use crate::flat_io::FlatIo;
use crate::options::Shape;
use crate::rounds::{Workload, thread_time};
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
    /// Length of the last datagram sent, if that is known.
    fn last_len(&self) -> Option<usize>;
}

/// A conference on one worker.
pub struct Production<G> {
    name: &'static str,
    shape: Shape,
    profile: SrtpProfile,
    now: &'static AtomicU64,
    media_plane: MediaPlane,
    worker: Worker,
    ground: G,
    clients: Vec<Client>,
    camera: Camera,
    /// Between two batches: what the sender's rate limit allows.
    interval: Duration,
    served: Timestamp,
    /// Send operations and datagrams when the measuring began.
    sent_before: (u64, u64),
}

impl Production<FlatIo> {
    /// Without a kernel.
    pub fn flat(shape: Shape, profile: SrtpProfile) -> Result<Self, String> {
        let peer = |number: usize| SocketAddr::from(([10, 1, (number >> 8) as u8, number as u8], 5_000));
        let ground = FlatIo::new((0..=shape.receivers).map(peer).collect());
        let server = SocketAddr::from(([10, 2, 0, 1], 10_000));
        Production::new("turn, memory", shape, profile, ground, server)
    }
}

impl Production<KernelIo> {
    /// On loopback, by a back end of the product.
    pub fn kernel(shape: Shape, profile: SrtpProfile, choice: uring::Choice) -> Result<Self, String> {
        let (io, sleeper) = open_ring(choice)?;
        let server = io.local_address(0);
        let sinks = Sinks::open(shape.receivers + 1).map_err(|error| error.to_string())?;
        let name = match io.backend() {
            uring::Backend::IoUring => "turn, io_uring",
            uring::Backend::Plain => "turn, plain",
        };
        let ground = KernelIo { io, sinks, server, _sleeper: sleeper };
        Production::new(name, shape, profile, ground, server)
    }
}

impl<G: Ground> Production<G> {
    fn new(
        name: &'static str,
        shape: Shape,
        profile: SrtpProfile,
        ground: G,
        server: SocketAddr,
    ) -> Result<Self, String> {
        let now: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
        let config = worker::Config {
            workers: Some(1),
            local: vec![server],
            receiver_budget: 1_000_000_000,
            ..worker::Config::default()
        };
        let (media_plane, mut workers) =
            MediaPlane::simulate(&config, now).map_err(|error| error.to_string())?;
        let worker = workers.pop().ok_or("no worker")?;
        let mut chance = Chance::new(1);
        let clients: Vec<Client> = (0..=shape.receivers as u64)
            .map(|number| Client::new(number + 1, server, profile, false, &mut chance))
            .collect();
        let camera = Camera::new(&clients[0].keys_for_server, shape)?;
        let bits = shape.batch * shape.bytes * 8;
        let interval_us = (bits / BITS_PER_MICROSECOND).max(shape.batch * 1_000_000 / PACKETS_PER_SECOND);
        let mut production = Production {
            name,
            shape,
            profile,
            now,
            media_plane,
            worker,
            ground,
            clients,
            camera,
            interval: Duration::from_micros(interval_us as u64),
            served: Timestamp::ZERO,
            sent_before: (0, 0),
        };
        production.gather()?;
        production.warm_up()?;
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
            conference: ConferenceId(1),
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
        let sources = if number == 0 { vec![Camera::source(endpoint)] } else { Vec::new() };
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
                && let Some(client) = self.clients.iter_mut().find(|client| client.endpoint == endpoint)
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

    /// Until every receiver gets every packet: the allocation has run and the first key frame was seen.
    fn warm_up(&mut self) -> Result<(), String> {
        for _ in 0..STEPS_MAX {
            self.camera.key = true;
            if self.pass().is_ok() {
                self.camera.key = false;
                return match self.ground.last_len() {
                    Some(len) if len != self.shape.bytes => {
                        Err(format!("datagrams of {len} bytes instead of {}", self.shape.bytes))
                    }
                    _ => Ok(()),
                };
            }
        }
        let forwarded = self.worker.statistics().counter(Metric::PacketsForwarded);
        Err(format!("the receivers do not get every packet, but {forwarded} in all"))
    }
}

impl<G: Ground> Workload for Production<G> {
    fn name(&self) -> String {
        match self.profile {
            SrtpProfile::Aes128CmHmacSha1_80 => format!("{}, aws-lc sha1", self.name),
            _ => format!("{}, aws-lc gcm", self.name),
        }
    }

    fn pass(&mut self) -> Result<(u64, u64), String> {
        let now = self.advance(self.interval);
        if now.since(self.served) > SERVICE_INTERVAL {
            self.serve()?;
        }
        for datagram in self.camera.frame(self.shape) {
            self.ground.feed(0, datagram)?;
        }
        let forwarded = |worker: &Worker| worker.statistics().counter(Metric::PacketsForwarded);
        let wanted = forwarded(&self.worker) + self.shape.sent();
        let began = thread_time();
        for _ in 0..LOOKS_MAX {
            self.turn();
            if forwarded(&self.worker) >= wanted {
                break;
            }
        }
        let spent = thread_time() - began;
        self.poll_reports();
        let missing = wanted.saturating_sub(forwarded(&self.worker));
        if missing > 0 {
            return Err(format!("{missing} of {} packets were not forwarded", self.shape.sent()));
        }
        Ok((self.shape.sent(), spent))
    }

    fn per_send(&self) -> Option<f64> {
        let (sends, datagrams) = self.ground.sends()?;
        let (sends, datagrams) = (sends - self.sent_before.0, datagrams - self.sent_before.1);
        (sends > 0).then(|| datagrams as f64 / sends as f64)
    }
}

/// VP8 in one encoding, sealed as the sender does.
struct Camera {
    session: Box<Session>,
    index: u64,
    picture: u16,
    key: bool,
    datagrams: Vec<Vec<u8>>,
    payload_bytes: usize,
}

impl Camera {
    const SSRC: u32 = 77;

    /// The keys are the server's view: what it expects inbound is what we send.
    fn new(keys: &SrtpKeys, shape: Shape) -> Result<Camera, String> {
        let own = SrtpKeys {
            profile: keys.profile,
            inbound: keys.outbound.clone(),
            outbound: keys.inbound.clone(),
        };
        let session = Session::new(&own).map_err(|_| "keys of a wrong length")?;
        let payload_bytes = shape.bytes - HEADER - session.rtp_overhead();
        let datagrams = vec![Vec::new(); shape.batch];
        Ok(Camera { session, index: 0, picture: 0, key: true, datagrams, payload_bytes })
    }

    fn source(owner: contract::EndpointId) -> SourceSpec {
        let mut encodings = ArrayVec::new();
        encodings.push(Encoding { ssrc: Ssrc(Self::SSRC), rtx: Some(Ssrc(Self::SSRC + 1)) });
        let (source, media, video_type) = (SourceId(1), Media::Video, VideoType::Camera);
        SourceSpec { source, owner, media, video_type, encodings }
    }

    /// The packets of the next frame, with transport-wide numbers as browsers send them.
    fn frame(&mut self, shape: Shape) -> &[Vec<u8>] {
        self.picture = (self.picture + 1) & 0x7FFF;
        for at in 0..shape.batch {
            self.index += 1;
            let (first, last) = (at == 0, at + 1 == shape.batch);
            let sequence = (self.index as u16).to_be_bytes();
            let timestamp = (u32::from(self.picture) * 3_000).to_be_bytes();
            let datagram = &mut self.datagrams[at];
            datagram.clear();
            datagram.extend_from_slice(&[0x90, if last { 0x80 | 100 } else { 100 }]);
            datagram.extend_from_slice(&sequence);
            datagram.extend_from_slice(&timestamp);
            datagram.extend_from_slice(&Self::SSRC.to_be_bytes());
            datagram.extend_from_slice(&[0xBE, 0xDE, 0, 1, 5 << 4 | 1, sequence[0], sequence[1], 0]);
            // RFC 7741 §4.2: picture id, TL0PICIDX, TID; §4.3: frame tag, and with key frames the size.
            let [high, low] = self.picture.to_be_bytes();
            let begins = u8::from(first) << 4;
            datagram.extend_from_slice(&[0x80 | begins, 0xE0, 0x80 | high, low, self.picture as u8, 0x20]);
            if first {
                datagram.extend_from_slice(&[u8::from(!self.key) | 0x10, 0, 0]);
            }
            if first && self.key {
                datagram.extend_from_slice(&[0x9D, 0x01, 0x2A, 0x00, 0x05, 0xD0, 0x02]);
            }
            let len = HEADER + self.payload_bytes;
            datagram.resize(shape.bytes, 0xAB);
            let sealed = self.session.seal_rtp(Self::SSRC, self.index, datagram, HEADER, len);
            debug_assert_eq!(sealed, Some(shape.bytes), "the tag fits");
        }
        &self.datagrams
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

    fn last_len(&self) -> Option<usize> {
        None
    }
}

/// RFC 7983: the first byte of STUN is below 4.
pub(crate) fn is_stun(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| *first < 4)
}

/// Fixed header, and an extension block with a transport-wide number.
const HEADER: usize = 20;
/// Below the 20 Mbit/s and 2,000 packets a second that an endpoint may send.
const BITS_PER_MICROSECOND: usize = 18;
const PACKETS_PER_SECOND: usize = 1_800;
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
        let shape = Shape { batch: 4, receivers: 5, bytes: 1_000 };
        for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80] {
            let mut flat = Production::flat(shape, profile).expect("a conference");
            let mut plain = Production::kernel(shape, profile, uring::Choice::Plain).expect("a conference");
            for _ in 0..200 {
                assert_eq!(flat.pass().expect("forwarded").0, 20);
                assert_eq!(plain.pass().expect("forwarded").0, 20);
            }
        }
    }
}

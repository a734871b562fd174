//! A media plane with its threads, and the commands that signalling would give it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use channel::{Certificate, FailReason, Fingerprint};
use contract::session::{
    Candidate, CandidateKind, Codec, EndpointSpec, ExtensionIds, FeedbackSsrcs, LocalTransport, PayloadType,
    PayloadTypes, ReceiverConstraints, RemoteTransport, SourceSpec, SrtpProfile, VideoConstraint,
};
use contract::{Command, ConferenceId, DropReason, EndpointId, Metric, Report, Ssrc};
use worker::{Clock, Config, MediaPlane, Statistics};

use crate::call::Setting;
use crate::handshakes::{News, Order, Thread};

/// The server under test.
pub struct Server {
    media_plane: MediaPlane,
    orders: mpsc::Sender<Order>,
    news: mpsc::Receiver<News>,
    thread: Option<JoinHandle<()>>,
    fingerprint: Fingerprint,
    ready: HashMap<EndpointId, LocalTransport>,
    /// The SRTP profile of each finished handshake.
    pub profiles: HashMap<EndpointId, SrtpProfile>,
    /// Failed associations.
    pub failures: HashMap<EndpointId, FailReason>,
    /// Endpoints whose bridge channel is open.
    pub channels: Vec<EndpointId>,
    /// Messages from clients.
    pub texts: Vec<(EndpointId, String)>,
    /// Addresses that endpoints were connected from, in order.
    pub connected: Vec<(EndpointId, SocketAddr)>,
    /// Streams announced to receivers that have their SSRCs rewritten; the caller takes them.
    pub mapped: Vec<Report>,
}

/// What all workers counted, together.
pub struct Totals(Vec<Statistics>);

impl Server {
    /// Starts on a free port.
    pub fn start(setting: Setting) -> Server {
        let config = Config {
            workers: Some(setting.workers),
            pin: false,
            local: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            candidates: vec![host(SocketAddr::from(([127, 0, 0, 1], 0)))],
            io: setting.io,
            cipher: setting.cipher,
            slots: 4_096,
            spin_us: 0,
            spread_after: 1,
            ..Config::default()
        };
        let mut media_plane = MediaPlane::start(&config).expect("loopback sockets and threads are to be had");
        let certificate = Certificate::generate().expect("the crypto library works");
        let fingerprint = certificate.fingerprint().clone();
        let (orders, orders_in) = mpsc::channel();
        let (news_out, news) = mpsc::channel();
        let thread = Thread {
            end: media_plane.take_handshake_end(0).expect("nobody else takes it"),
            orders: orders_in,
            news: news_out,
            datagrams: media_plane.dtls_sender(),
            certificate,
            clock: Clock::start(),
        };
        let thread = std::thread::spawn(move || thread.run());
        Server {
            media_plane,
            orders,
            news,
            thread: Some(thread),
            fingerprint,
            ready: HashMap::new(),
            profiles: HashMap::new(),
            failures: HashMap::new(),
            channels: Vec::new(),
            texts: Vec::new(),
            connected: Vec::new(),
            mapped: Vec::new(),
        }
    }

    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.media_plane.local_addresses().next().expect("it is bound")
    }

    /// What moves the datagrams, by worker.
    pub fn backends(&self) -> Vec<worker::Backend> {
        self.media_plane.backends().iter().map(|(backend, _)| *backend).collect()
    }

    /// The certificate's fingerprint, SHA-256.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Seats an endpoint; what an offer would tell it.
    pub fn create(&mut self, endpoint: EndpointId, ssrc_rewriting: bool) -> LocalTransport {
        let spec = EndpointSpec {
            conference: ConferenceId(1),
            endpoint,
            payload_types: payload_types(),
            extensions: extensions(),
            ssrc_rewriting,
            visitor: false,
            feedback: FeedbackSsrcs { audio: Ssrc(0x5A01), video: Ssrc(0x5A02) },
        };
        self.tell(Command::CreateEndpoint(Box::new(spec)));
        let _ = self.orders.send(Order::Create(endpoint));
        self.poll();
        self.ready.remove(&endpoint).expect("a created endpoint is ready at once")
    }

    /// What an answer would tell; `passive` if the client is the DTLS server.
    pub fn answer(
        &mut self,
        endpoint: EndpointId,
        remote: RemoteTransport,
        fingerprint: Fingerprint,
        passive: bool,
    ) {
        self.tell(Command::SetTransport { endpoint, remote });
        let _ = self.orders.send(Order::SetRemote(endpoint, fingerprint, passive));
    }

    /// All sources of an endpoint.
    pub fn set_sources(&mut self, endpoint: EndpointId, sources: Vec<SourceSpec>) {
        self.tell(Command::SetSources { endpoint, sources });
    }

    /// The endpoint wants every video, up to this height.
    pub fn want(&mut self, endpoint: EndpointId, max_height: u16) {
        let constraints =
            ReceiverConstraints { default: VideoConstraint { max_height }, ..ReceiverConstraints::default() };
        self.tell(Command::SetConstraints { endpoint, constraints });
    }

    /// A message on the bridge channel.
    pub fn send_text(&mut self, endpoint: EndpointId, text: &str) {
        let _ = self.orders.send(Order::Send(endpoint, text.to_owned()));
    }

    /// Takes news from both sides.
    pub fn poll(&mut self) {
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Keys(endpoint, keys) => {
                    self.profiles.insert(endpoint, keys.profile);
                    self.tell(Command::SetKeys { endpoint, keys });
                }
                News::ChannelOpened(endpoint) => self.channels.push(endpoint),
                News::Text(endpoint, text) => self.texts.push((endpoint, text)),
                News::Failed(endpoint, reason) => {
                    self.failures.insert(endpoint, reason);
                }
            }
        }
        while let Some(report) = self.media_plane.poll_report() {
            match report {
                Report::EndpointReady { endpoint, transport } => {
                    self.ready.insert(endpoint, *transport);
                }
                Report::TransportConnected { endpoint, remote } => self.connected.push((endpoint, remote)),
                Report::SourceMapped { .. } => self.mapped.push(report),
                _ => {}
            }
        }
    }

    /// The counters of all workers as of now.
    pub fn totals(&mut self) -> Totals {
        let turns = |plane: &MediaPlane| -> Vec<u64> {
            plane.statistics().map(|s| s.map_or(0, |s| s.counter(Metric::CommandsApplied))).collect()
        };
        let before = turns(&self.media_plane);
        let deadline = Instant::now() + Duration::from_secs(5);
        self.media_plane.request_statistics();
        loop {
            self.poll();
            let after = turns(&self.media_plane);
            if before.iter().zip(&after).all(|(before, after)| after > before) || Instant::now() > deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Totals(self.media_plane.statistics().flatten().cloned().collect())
    }

    fn tell(&mut self, command: Command) {
        self.media_plane.command(command).expect("there is a seat");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; the test that ends here fails for want of its result.
            let _ = thread.join();
        }
    }
}

impl Totals {
    /// Sum of a counter.
    pub fn counter(&self, metric: Metric) -> u64 {
        self.0.iter().map(|worker| worker.counter(metric)).sum()
    }

    /// Sum of the drops for a reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.0.iter().map(|worker| worker.dropped(reason)).sum()
    }

    /// All drops that are not zero.
    pub fn drops(&self) -> Vec<(&'static str, u64)> {
        let counted = DropReason::ALL.iter().map(|reason| (reason.label(), self.dropped(*reason)));
        counted.filter(|(_, count)| *count > 0).collect()
    }

    /// Sum of all drops.
    pub fn dropped_total(&self) -> u64 {
        self.0.iter().map(Statistics::dropped_total).sum()
    }

    /// Endpoints on each worker.
    pub fn endpoints(&self) -> Vec<u64> {
        self.0.iter().map(|worker| worker.endpoints).collect()
    }

    /// On every worker each datagram ended in exactly one way.
    pub fn balanced(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(Statistics::balanced)
    }
}

/// A host candidate.
pub fn host(address: SocketAddr) -> Candidate {
    Candidate { address, kind: CandidateKind::Host, priority: 2_130_706_431, related: None, tcp: false }
}

/// The numbers that str0m gives its codecs.
fn payload_types() -> PayloadTypes {
    let of =
        |number, codec, clock_rate, rtx| PayloadType { number, codec, clock_rate, rtx, transport_cc: true };
    [
        of(111, Codec::Opus, 48_000, None),
        of(96, Codec::Vp8, 90_000, Some(97)),
        of(98, Codec::Vp9, 90_000, Some(99)),
        of(127, Codec::H264, 90_000, Some(121)),
        of(45, Codec::Av1, 90_000, Some(46)),
    ]
    .into_iter()
    .collect()
}

/// The ids that str0m gives its header extensions, and one for the dependency descriptor.
fn extensions() -> ExtensionIds {
    ExtensionIds {
        audio_level: Some(1),
        absolute_send_time: Some(2),
        transport_cc: Some(3),
        mid: Some(4),
        rid: Some(10),
        dependency_descriptor: Some(DEPENDENCY_DESCRIPTOR),
        video_orientation: Some(13),
        allow_mixed: true,
    }
}

/// Id of the dependency descriptor.
pub const DEPENDENCY_DESCRIPTOR: u8 = 8;

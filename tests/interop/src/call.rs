//! A server and its clients, driven by one thread.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::session::VideoConstraint;
use contract::{EndpointId, Report};
use str0m::config::DtlsVersion;
use worker::{BackendChoice, CipherChoice};

use crate::camera::Picture;
use crate::client::{Client, Making};
use crate::server::Server;

/// A call.
pub struct Call {
    /// The server under test.
    pub server: Server,
    /// Its clients.
    pub clients: Vec<Client>,
    _alone: MutexGuard<'static, ()>,
}

/// What a server is started with.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Media threads.
    pub workers: usize,
    /// System interface.
    pub io: BackendChoice,
    /// Library behind AES-GCM.
    pub cipher: CipherChoice,
}

/// How a client joins.
#[derive(Clone)]
pub struct Joining {
    /// How it is made.
    pub making: Making,
    /// Streams reach it on SSRCs of the server.
    pub ssrc_rewriting: bool,
    /// Its candidates are signalled.
    pub candidates: bool,
    /// It is the DTLS server.
    pub passive: bool,
    /// The server is told a fingerprint that is not its own.
    pub wrong_fingerprint: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Setting { workers: 1, io: BackendChoice::Auto, cipher: CipherChoice::Auto }
    }
}

impl Default for Joining {
    fn default() -> Self {
        let making =
            Making { version: DtlsVersion::Dtls12, picture: Picture::Vp8, estimates: false, crypto: None };
        Joining { making, ssrc_rewriting: false, candidates: true, passive: false, wrong_fingerprint: false }
    }
}

impl Call {
    /// A call without clients. Calls of one process take place one after the other: they live in real time.
    pub fn new(setting: Setting) -> Call {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Call { server: Server::start(setting), clients: Vec::new(), _alone: alone }
    }

    /// A call of `count` clients that join alike.
    pub fn of(count: usize, setting: Setting, joining: &Joining) -> Call {
        let mut call = Call::new(setting);
        for _ in 0..count {
            call.join(joining);
        }
        call
    }

    /// A client joins; its index.
    pub fn join(&mut self, joining: &Joining) -> usize {
        let at = self.clients.len();
        let mut client = Client::new(at as u64 + 1, &joining.making);
        let endpoint = client.endpoint;
        let offer = self.server.create(endpoint, joining.ssrc_rewriting);
        let (remote, mut fingerprint) = client.answer(joining.candidates);
        if joining.wrong_fingerprint {
            fingerprint.value[0] ^= 1;
        }
        self.server.answer(endpoint, remote, fingerprint, joining.passive);
        self.server.set_sources(endpoint, client.sources.clone());
        self.server.want(endpoint, VideoConstraint::UNLIMITED);
        client.begin(&offer, self.server.address(), self.server.fingerprint(), joining.passive);
        self.clients.push(client);
        if !joining.ssrc_rewriting {
            self.announce(at);
        }
        at
    }

    /// Let time pass.
    pub fn run(&mut self, duration: Duration) {
        self.run_until(duration, |_| false);
    }

    /// Let time pass until something is so; false if it never was.
    pub fn run_until(&mut self, limit: Duration, mut is_so: impl FnMut(&Call) -> bool) -> bool {
        let end = Instant::now() + limit;
        loop {
            let now = Instant::now();
            let mut moved = false;
            for client in &mut self.clients {
                moved |= client.poll(now);
            }
            self.server.poll();
            self.tell_mapped();
            if is_so(self) {
                return true;
            }
            if now >= end {
                return false;
            }
            if !moved {
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Run until each client has so many whole frames of each source of the others; on a busy machine that takes longer.
    pub fn run_for_frames(&mut self, frames: usize) {
        self.run_until(ENOUGH, |call| {
            call.clients.iter().all(|client| {
                let others = call.clients.iter().filter(|other| other.endpoint != client.endpoint);
                let expected: usize = others.map(|other| other.sources.len()).sum();
                let streams = &client.noticed.streams;
                streams.len() >= expected && streams.values().all(|stream| stream.complete_frames() >= frames)
            })
        });
        // What is on its way at this moment comes, and what is missing comes again.
        self.run(SETTLING);
    }

    /// Run until every client is connected.
    pub fn connect(&mut self) {
        let connected = self.run_until(CONNECTING, |call| call.clients.iter().all(|c| c.noticed.connected));
        let errors: Vec<_> = self.clients.iter().map(|client| &client.noticed.error).collect();
        assert!(connected, "not all clients connected: {errors:?}, {:?}", self.server.failures);
    }

    /// Each client hears and sees each other one, on one continuous stream a source, and nothing else.
    ///
    /// # Panics
    /// If it is not so. `frames` is the least that each video stream must have brought.
    pub fn assert_continuous(&self, frames: usize) {
        for (at, client) in self.clients.iter().enumerate() {
            assert_eq!(client.noticed.error, None, "client {at}");
            let mut expected: Vec<u64> = Vec::new();
            for other in self.clients.iter().filter(|other| other.endpoint != client.endpoint) {
                expected.extend(other.sources.iter().map(|source| source.source.0));
            }
            let mut heard = Vec::new();
            for (ssrc, stream) in &client.noticed.streams {
                let source = stream.last().expect("a stream has a packet").label.source;
                heard.push(source);
                assert_eq!(stream.breaches(), Vec::<String>::new(), "client {at}, {ssrc}, source {source}");
                let holes = client.noticed.holes(*ssrc);
                assert!(
                    holes.is_empty(),
                    "client {at}, {ssrc}, source {source} of {}: {holes:?}",
                    stream.len()
                );
                let complete = stream.complete_frames();
                assert!(complete >= frames, "client {at}: {complete} frames of source {source} on {ssrc}");
            }
            heard.sort_unstable();
            expected.sort_unstable();
            assert_eq!(heard, expected, "client {at} gets each source of the others on one stream");
        }
    }

    /// The highest encoding that a client last saw of a source.
    pub fn seen(&self, client: usize, source: u64) -> Option<u8> {
        let streams = self.clients[client].noticed.streams.values();
        streams.filter_map(|s| s.last()).find(|p| p.label.source == source).map(|p| p.label.encoding)
    }

    /// Without rewriting, clients know each other's SSRCs by signalling: of each source its primary.
    fn announce(&mut self, newcomer: usize) {
        let all: Vec<_> = self.clients.iter().map(|client| client.sources.clone()).collect();
        for (owner, sources) in all.iter().enumerate() {
            for source in sources {
                let primary = source.encodings[0];
                for at in 0..self.clients.len() {
                    if at != owner && (at == newcomer || owner == newcomer) {
                        let rtx = primary.rtx.map(|rtx| rtx.0);
                        self.clients[at].expect(source.media, primary.ssrc.0, rtx);
                    }
                }
            }
        }
    }

    fn tell_mapped(&mut self) {
        for report in std::mem::take(&mut self.server.mapped) {
            let Report::SourceMapped { endpoint, media, ssrc, rtx, .. } = report else { continue };
            if let Some(client) = self.client_of(endpoint) {
                client.expect(media, ssrc.0, rtx.map(|rtx| rtx.0));
            }
        }
    }

    fn client_of(&mut self, endpoint: EndpointId) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.endpoint == endpoint)
    }
}

/// Between two looks when nothing moves.
const PAUSE: Duration = Duration::from_micros(500);
/// After this a test fails for what it did not get.
const ENOUGH: Duration = Duration::from_secs(20);
/// Several rounds of NACKs.
const SETTLING: Duration = Duration::from_millis(200);
/// Long enough for a loaded machine.
const CONNECTING: Duration = Duration::from_secs(10);

//! Builds, on the control thread, the state that workers run on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use arrayvec::ArrayVec;
use conference::{Conference, Receiver, ReceiverIndex, ReceiverSpec, Source};
use contract::limits::{LOCAL_ADDRESSES_MAX, LOCAL_SOCKETS_MAX};
use contract::session::{Candidate, CandidateKind, EndpointSpec, Media, SourceSpec};
use contract::{Timestamp, WorkerId};
use transport::{LocalSocket, ReceiveStream, SendStream, StreamKind, Transport};

use crate::chance::Chance;
use crate::packet_cache::SourceCache;
use crate::seat::{Activity, Seat, SignalledStream, SignalledStreams, Spares};
use crate::ufrag;

/// What a transport needs to know of the process.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// By socket; the unspecified address where one has none yet.
    pub(crate) local: Vec<SocketAddr>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) allow_loopback: bool,
    pub(crate) handshake_threads: usize,
    pub(crate) bandwidth: bandwidth::Config,
}

/// The bounds of every receiver's bandwidth.
pub(crate) fn bandwidth(config: &crate::config::Config) -> bandwidth::Config {
    let (start, max) = (config.initial_bandwidth, config.receiver_budget);
    bandwidth::Config { start, max, ..bandwidth::Config::default() }
}

/// New ICE credentials for a seat.
pub(crate) fn credentials(worker: WorkerId, seat: u32, chance: &mut Chance) -> (String, String) {
    let ufrag = ufrag::encode(ufrag::Owner { worker, seat }, chance.bits());
    (ufrag, ufrag::password(chance.bytes()))
}

/// An endpoint's seat and receiving side.
pub(crate) fn seat(
    spec: &EndpointSpec,
    (worker, number): (WorkerId, u32),
    credentials: &(String, String),
    surroundings: &Surroundings,
    chance: &mut Chance,
    now: Timestamp,
) -> (Box<Seat>, Box<Receiver>) {
    let config = transport::Config {
        ufrag: credentials.0.clone(),
        pwd: credentials.1.clone(),
        controlling: true,
        transaction_prefix: ufrag::transaction_prefix(ufrag::Owner { worker, seat: number }),
        tie_breaker: chance.bits(),
        sockets: sockets(surroundings),
        allow_loopback: surroundings.allow_loopback,
        payload_types: spec.payload_types.clone(),
        extensions: spec.extensions,
        feedback: spec.feedback,
        ssrc_rewriting: spec.ssrc_rewriting,
        key_frame_message: transport::KeyFrameMessage::Pli,
        rate_limit: transport::RateLimit::default(),
        bandwidth: surroundings.bandwidth,
        cname: format!("{:016x}", chance.bits()),
        seed: chance.bits(),
    };
    let seat = Seat {
        index: number,
        endpoint: spec.endpoint,
        conference: spec.conference,
        transport: Transport::new(&config, now),
        payload_types: spec.payload_types.clone(),
        extensions: spec.extensions,
        signalled: Box::default(),
        spares: Spares::default(),
        unbegun: arrayvec::ArrayVec::new(),
        handshake_thread: spec.endpoint.0 as usize % surroundings.handshake_threads.max(1),
        force_mute_audio: false,
        force_mute_video: false,
        room: 0,
        receiver: ReceiverIndex(0),
        heard: now,
        activity: Activity::Awaited,
        padding: crate::grouping::PaddingBudget::default(),
        dtls_path: None,
        bandwidth_told: 0,
        protected_until: Timestamp::ZERO,
        full_until: Timestamp::ZERO,
        protection: &[],
        probes_counted: 0,
        unusable_counted: 0,
    };
    let receiver =
        ReceiverSpec { endpoint: spec.endpoint, ssrc_rewriting: spec.ssrc_rewriting, seed: chance.bits() };
    (Box::new(seat), Box::new(Receiver::new(receiver)))
}

/// The receiving state of everything that an endpoint signalled.
pub(crate) fn streams(sources: &[SourceSpec]) -> (Vec<Box<ReceiveStream>>, Box<SignalledStreams>) {
    let mut streams = Vec::new();
    let mut signalled = Box::<SignalledStreams>::default();
    for source in sources {
        let clock = clock_rate(source.media);
        for (number, encoding) in source.encodings.iter().enumerate() {
            let entry = SignalledStream {
                ssrc: encoding.ssrc.0,
                source: source.source,
                encoding: number as u8,
                media: source.media,
            };
            if signalled.try_push(entry).is_err() {
                return (streams, signalled);
            }
            streams.push(ReceiveStream::new(
                encoding.ssrc.0,
                StreamKind::Media { media: source.media, rtx: encoding.rtx.map(|rtx| rtx.0) },
                clock,
            ));
            if let Some(rtx) = encoding.rtx {
                streams.push(ReceiveStream::new(rtx.0, StreamKind::Rtx { primary: encoding.ssrc.0 }, clock));
            }
        }
    }
    (streams, signalled)
}

/// A source for one replica, and the place for its packets if any may be asked for again.
pub(crate) fn source(spec: &SourceSpec) -> (Box<Source>, Option<Box<SourceCache>>) {
    let cache = match spec.media {
        Media::Video => SourceCache::new(spec.encodings.len()),
        Media::Audio => SourceCache::of_audio(),
    };
    (Box::new(Source::new(spec)), Some(Box::new(cache)))
}

/// `audio` and `video` outgoing streams that have no SSRC yet.
pub(crate) fn send_streams(audio: usize, video: usize) -> Vec<Box<SendStream>> {
    let stream = |media| {
        let history = if media == Media::Video { SendStream::HISTORY_SMALL } else { 0 };
        SendStream::new(0, None, media, clock_rate(media), history)
    };
    (0..audio).map(|_| stream(Media::Audio)).chain((0..video).map(|_| stream(Media::Video))).collect()
}

/// An empty replica.
pub(crate) fn conference(
    id: contract::ConferenceId,
    budget: u64,
    loudest: Option<usize>,
    places: usize,
) -> Conference {
    let config = conference::Config { budget, loudest, ..conference::Config::default() };
    Conference::new(id, config, conference::Storage::with_capacity(SOURCES_PER_PLACE * places, places))
}

/// As ICE numbers them: those of UDP first, those of ICE-TCP at the end.
fn sockets(surroundings: &Surroundings) -> ArrayVec<LocalSocket, LOCAL_SOCKETS_MAX> {
    let passive = |candidate: Option<&Candidate>, any: IpAddr| LocalSocket {
        address: candidate.map_or(SocketAddr::new(any, 0), |candidate| candidate.address),
        priority: candidate.map_or(0, |candidate| candidate.priority),
        tcp: true,
    };
    let udp = surroundings.local.iter().map(|address| match address.ip().is_unspecified() {
        true => passive(None, address.ip()),
        false => local_socket(*address, &surroundings.candidates),
    });
    let best = |ipv4: bool| {
        let tcp = surroundings.candidates.iter().filter(|candidate| candidate.tcp);
        tcp.filter(|candidate| candidate.address.is_ipv4() == ipv4).max_by_key(|candidate| candidate.priority)
    };
    // Nothing ever comes in at the numbers that UDP leaves free, and a passive socket begins nothing.
    let unused = std::iter::repeat_n(passive(None, Ipv4Addr::UNSPECIFIED.into()), LOCAL_ADDRESSES_MAX);
    let tcp = [
        passive(best(true), Ipv4Addr::UNSPECIFIED.into()),
        passive(best(false), Ipv6Addr::UNSPECIFIED.into()),
    ];
    udp.chain(unused).take(LOCAL_ADDRESSES_MAX).chain(tcp).collect()
}

fn local_socket(address: SocketAddr, candidates: &[Candidate]) -> LocalSocket {
    let host = candidates.iter().find(|candidate| {
        candidate.kind == CandidateKind::Host && candidate.address == address && !candidate.tcp
    });
    LocalSocket { address, priority: host.map_or(HOST_PRIORITY, |candidate| candidate.priority), tcp: false }
}

fn clock_rate(media: Media) -> u32 {
    match media {
        Media::Audio => 48_000,
        Media::Video => 90_000,
    }
}

/// Sources counted on for each endpoint: microphone, camera, screen share.
pub(crate) const SOURCES_PER_PLACE: usize = 3;

/// RFC 8445 §5.1.2.1: type preference 126, the highest local preference, component 1.
const HOST_PRIORITY: u32 = (126 << 24) | (65_535 << 8) | 255;

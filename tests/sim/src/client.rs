//! A model client: ICE, SRTP and RTCP by the transport crate in the client's role, a microphone and a camera.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use arrayvec::ArrayVec;
use contract::session::{
    Codec, Encoding, ExtensionIds, FeedbackSsrcs, Media, PayloadType, PayloadTypes, SourceSpec, SrtpKeys,
    SrtpProfile, VideoType,
};
use contract::{Duration, EndpointId, SourceId, Ssrc, Timestamp};
use transport::{
    Feedback, LocalSocket, Outbox, Outgoing, Path, ReceiveStream, Repair, SendStream, StreamKind, Transport,
};
use wire::codec::Patch;
use wire::rtp::{Header, Packet as RtpPacket};

use crate::Chance;
use crate::received::{Packet, Stream, picture};
use crate::video::{Encoder, Label};

/// One participant.
pub struct Client {
    /// Its identity at the server.
    pub endpoint: EndpointId,
    /// Its address.
    pub address: SocketAddr,
    /// The server's address.
    pub server: SocketAddr,
    transport: Box<Transport>,
    /// Keys as the server is told them.
    pub keys_for_server: SrtpKeys,
    /// What it sends.
    pub sources: Vec<SourceSpec>,
    audio: Option<(u32, u16, u32)>,
    /// The encodings of its camera.
    pub camera: Vec<Encoder>,
    next_audio: Timestamp,
    next_video: Timestamp,
    /// What it received, by SSRC.
    pub streams: BTreeMap<u32, Stream>,
    known: Vec<(u32, StreamKind, u32)>,
    sent_payloads: BTreeMap<u64, Vec<u8>>,
    tokens: u64,
    /// Datagrams that could not be opened, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// How loud it is: 0 is the loudest, 127 silence (RFC 6464).
    pub level: u8,
    /// Audio frames that came as redundancy in later packets (RFC 2198): source and frame.
    pub recovered: Vec<(u64, u32)>,
    /// Sender reports that came: when, SSRC, NTP time, RTP timestamp.
    pub reports: Vec<(Timestamp, u32, u64, u32)>,
    /// What it says of the time at which packets arrive, by the true time and their count: a hostile client's clock.
    pub arrival_clock: Option<fn(Timestamp, u64) -> Timestamp>,
    arrivals: u64,
    /// Whether it asks for lost packets again, and for key frames when that did not help.
    pub repairs: bool,
    /// Whether its decoders ask for key frames when they are stuck.
    pub looks: bool,
    /// How long its decoders wait for a missing packet before they ask for a key frame.
    pub patience: Duration,
    next_look: Timestamp,
    /// It takes part; a vanished one neither sends nor hears.
    pub alive: bool,
}

/// Datagrams that a client wants to send.
#[derive(Default)]
pub struct ClientMail(pub Vec<Vec<u8>>);

impl Outbox for ClientMail {
    fn datagram(&mut self, _path: Path, max_len: usize, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        let mut bytes = vec![0; max_len];
        let len = write(&mut bytes);
        bytes.truncate(len);
        if len > 0 {
            self.0.push(bytes);
        }
        true
    }
}

impl Client {
    /// A client that sends audio and, with `camera`, simulcast video in three encodings.
    pub fn new(
        number: u64,
        server: SocketAddr,
        profile: SrtpProfile,
        camera: bool,
        chance: &mut Chance,
    ) -> Client {
        let address = SocketAddr::from(([10, 0, (number >> 8) as u8, number as u8], 40_000 + number as u16));
        let config = transport::Config {
            ufrag: format!("client{number:04}"),
            pwd: format!("client-password-{number:012}"),
            controlling: false,
            transaction_prefix: [0xC1; 4],
            tie_breaker: chance.bits(),
            sockets: [LocalSocket { address, priority: 2_130_706_431, tcp: false }].into_iter().collect(),
            allow_loopback: true,
            payload_types: payload_types(),
            extensions: extensions(),
            feedback: FeedbackSsrcs {
                audio: Ssrc(900_000 + number as u32),
                video: Ssrc(910_000 + number as u32),
            },
            ssrc_rewriting: false,
            key_frame_message: transport::KeyFrameMessage::Pli,
            rate_limit: transport::RateLimit { packets: 100_000, bits: 1_000_000_000 },
            bandwidth: bandwidth::Config::default(),
            cname: format!("client{number}"),
            seed: chance.bits(),
        };
        let mut transport = Transport::new(&config, Timestamp::ZERO);
        let (own, keys_for_server) = keys(profile, chance);
        let session = transport::srtp::Session::new(&own).expect("the lengths fit the profile");
        transport.set_keys(session, Timestamp::ZERO);
        let base = 1_000_000 + number as u32 * 100;
        let mut client = Client {
            endpoint: EndpointId(number),
            address,
            server,
            transport,
            keys_for_server,
            sources: Vec::new(),
            audio: Some((base, 60_000, 5)),
            camera: Vec::new(),
            next_audio: Timestamp::NEVER,
            next_video: Timestamp::NEVER,
            streams: BTreeMap::new(),
            known: Vec::new(),
            sent_payloads: BTreeMap::new(),
            tokens: 0,
            refused: BTreeMap::new(),
            level: 30,
            arrival_clock: None,
            arrivals: 0,
            recovered: Vec::new(),
            reports: Vec::new(),
            repairs: true,
            looks: false,
            patience: PATIENCE,
            next_look: Timestamp::ZERO,
            alive: true,
        };
        client.add_source(SourceId(number * 10), Media::Audio, &[(base, None)]);
        if camera {
            let ssrcs: Vec<(u32, Option<u32>)> =
                (0..3).map(|e| (base + 10 + e, Some(base + 20 + e))).collect();
            client.add_source(SourceId(number * 10 + 1), Media::Video, &ssrcs);
            client.camera = (0..3).map(|e| Encoder::new(base + 10 + e, e as u8, chance.bits())).collect();
        }
        client
    }

    fn add_source(&mut self, source: SourceId, media: Media, ssrcs: &[(u32, Option<u32>)]) {
        let clock = if media == Media::Audio { 48_000 } else { 90_000 };
        let mut encodings = ArrayVec::new();
        for (ssrc, rtx) in ssrcs {
            encodings.push(Encoding { ssrc: Ssrc(*ssrc), rtx: rtx.map(Ssrc) });
            let history = if media == Media::Video { SendStream::HISTORY } else { 0 };
            let stream = SendStream::new(*ssrc, *rtx, media, clock, history);
            assert!(self.transport.add_send_stream(stream).is_ok(), "a fresh transport has room");
        }
        let video_type = VideoType::Camera;
        self.sources.push(SourceSpec { source, owner: self.endpoint, media, video_type, encodings });
    }

    /// Take the server's half of the transport and begin.
    pub fn begin(&mut self, ufrag: &str, pwd: &str, now: Timestamp) {
        let candidate = contract::session::Candidate {
            address: self.server,
            kind: contract::session::CandidateKind::Host,
            priority: 2_130_706_431,
            related: None,
            tcp: false,
        };
        self.transport.set_remote(ufrag, pwd, &[candidate], now).expect("the server's credentials are legal");
        self.next_audio = now;
        self.next_video = now;
    }

    /// The server announced that a source reaches this client on `ssrc`.
    pub fn expect(&mut self, media: Media, ssrc: u32, rtx: Option<u32>) {
        if self.known.iter().any(|(known, _, _)| *known == ssrc) {
            return;
        }
        // Nobody asks for audio again: a client that repairs nothing treats video the same.
        let media = if self.repairs { media } else { Media::Audio };
        let clock = if media == Media::Audio { 48_000 } else { 90_000 };
        self.known.push((ssrc, StreamKind::Media { media, rtx }, clock));
        if let Some(rtx) = rtx {
            self.known.push((rtx, StreamKind::Rtx { primary: ssrc }, clock));
        }
        let streams =
            self.known.iter().map(|(ssrc, kind, clock)| ReceiveStream::new(*ssrc, *kind, *clock)).collect();
        self.transport.set_receive_streams(streams);
    }

    /// When it wants to be called.
    pub fn next(&self) -> Timestamp {
        if self.alive {
            let look = if self.looks { self.next_look } else { Timestamp::NEVER };
            self.transport.poll_timeout().min(self.next_audio).min(self.next_video).min(look)
        } else {
            Timestamp::NEVER
        }
    }

    /// Whether a path to the server is chosen.
    pub fn connected(&self) -> bool {
        self.transport.selected().is_some()
    }

    /// Ask for a key frame on `ssrc`, as a decoder does that cannot go on.
    pub fn request_key_frame(&mut self, ssrc: u32, now: Timestamp) {
        self.transport.request_key_frame(ssrc, now);
    }

    /// Do what is due; the datagrams to send.
    pub fn handle_timeout(&mut self, now: Timestamp) -> Vec<Vec<u8>> {
        let mut mail = ClientMail::default();
        if self.transport.poll_timeout() <= now {
            self.transport.handle_timeout(now, &mut mail);
            while self.transport.poll_event().is_some() {}
        }
        if self.next_look <= now {
            self.next_look = now + LOOK;
            self.ask_for_key_frames(now);
        }
        if self.next_audio <= now {
            self.next_audio = now + Duration::from_millis(20);
            self.send_audio(now, &mut mail);
        }
        if self.next_video <= now {
            self.next_video = now + Duration::from_millis(33);
            self.send_video(now, &mut mail);
        }
        mail.0
    }

    /// What a decoder does that waits too long for a packet.
    fn ask_for_key_frames(&mut self, now: Timestamp) {
        let stuck = self.streams.iter().filter(|(_, stream)| stream.waits(now) > self.patience);
        let stuck: Vec<u32> = stuck.map(|(ssrc, _)| *ssrc).collect();
        for ssrc in stuck {
            self.transport.request_key_frame(ssrc, now);
        }
    }

    /// A datagram from the server; what it answers.
    pub fn receive(&mut self, datagram: &[u8], now: Timestamp) -> Vec<Vec<u8>> {
        use wire::first_byte::{Kind, classify};
        let mut mail = ClientMail::default();
        let path = Path { peer: self.server, socket: 0 };
        match classify(datagram) {
            Kind::Stun => {
                let _ = self.transport.stun(datagram, path, now, &mut mail);
                while self.transport.poll_event().is_some() {}
            }
            Kind::Rtp => self.receive_rtp(datagram, now),
            Kind::Rtcp => self.receive_rtcp(datagram, now, &mut mail),
            Kind::Dtls | Kind::Unknown => {}
        }
        mail.0
    }

    fn receive_rtp(&mut self, datagram: &[u8], now: Timestamp) {
        let mut out = [0; 2_048];
        self.arrivals += 1;
        let told = self.arrival_clock.map_or(now, |clock| clock(now, self.arrivals));
        match self.transport.open_rtp(datagram, &mut out, told) {
            Ok(opened) => {
                let packet = RtpPacket::parse(&out[..opened.len]).expect("an opened packet is well formed");
                let mut payload = packet.payload();
                if opened.payload_type == RED {
                    let red = wire::red::Red::parse(payload).expect("redundancy is well formed");
                    let older = red.blocks().filter(|block| block.timestamp_offset > 0);
                    let labels = older.filter_map(|block| Label::read(&payload[block.range]));
                    self.recovered.extend(labels.map(|label| (label.source, label.frame)));
                    payload = &payload[red.primary().range];
                }
                let Some(label) = Label::read(payload) else { return };
                let packet = Packet {
                    at: now,
                    timestamp: opened.timestamp,
                    label,
                    picture: picture(packet.payload()).filter(|_| opened.payload_type == 100),
                };
                self.streams.entry(opened.ssrc).or_default().insert(opened.extended_sequence, packet);
            }
            Err(reason) => *self.refused.entry(reason.label()).or_default() += 1,
        }
    }

    fn receive_rtcp(&mut self, datagram: &[u8], now: Timestamp, mail: &mut ClientMail) {
        let mut scratch = [0; 2_048];
        let mut key_frames = Vec::new();
        let mut nacks = Vec::new();
        let opened = self.transport.open_rtcp(datagram, &mut scratch, now, |feedback| match feedback {
            Feedback::KeyFrameRequest { ssrc } => key_frames.push(ssrc),
            Feedback::Nack { ssrc, sequence } => nacks.push((ssrc, sequence)),
            Feedback::SenderReport { ssrc, ntp, rtp } => self.reports.push((now, ssrc, ntp, rtp)),
            _ => {}
        });
        if let Err(reason) = opened {
            *self.refused.entry(reason.label()).or_default() += 1;
        }
        for encoder in self.camera.iter_mut().filter(|encoder| key_frames.contains(&encoder.ssrc)) {
            encoder.key_frame_wanted = true;
        }
        for (ssrc, sequence) in nacks {
            self.resend(ssrc, sequence, now, mail);
        }
    }

    fn resend(&mut self, ssrc: u32, sequence: u16, now: Timestamp, mail: &mut ClientMail) {
        let Some(record) = self.transport.nacked(ssrc, sequence, now) else { return };
        let Some(payload) = self.sent_payloads.get(&record.token) else { return };
        let repair = Repair {
            payload,
            structure: None,
            audio_level: None,
            video_orientation: None,
            dependency_descriptor: None,
            mid: None,
        };
        let mut out = vec![0; 1_500];
        if let Some(sealed) = self.transport.seal_rtx(&record, &repair, now, &mut out) {
            out.truncate(sealed.len);
            mail.0.push(out);
        }
    }

    fn send_audio(&mut self, now: Timestamp, mail: &mut ClientMail) {
        let Some((ssrc, sequence, timestamp)) = &mut self.audio else { return };
        *sequence = sequence.wrapping_add(1);
        *timestamp = timestamp.wrapping_add(960);
        let header = Header {
            marker: false,
            payload_type: 111,
            sequence: *sequence,
            timestamp: *timestamp,
            ssrc: *ssrc,
        };
        let mut payload = Vec::new();
        let source = self.sources[0].source.0;
        Label {
            source,
            frame: *timestamp / 960,
            encoding: 0,
            temporal: 0,
            key: true,
            first: true,
            last: true,
        }
        .write(&mut payload);
        payload.resize(80, 0xCD);
        self.transport.sender_report(header.ssrc, ntp(now), header.timestamp, now);
        self.seal(header, payload, Some(0x80 | self.level), now, mail);
    }

    fn send_video(&mut self, now: Timestamp, mail: &mut ClientMail) {
        let Some(source) = self.sources.get(1).map(|source| source.source.0) else { return };
        let mut camera = std::mem::take(&mut self.camera);
        for encoder in camera.iter_mut().filter(|encoder| encoder.active) {
            for (header, payload) in encoder.frame(source) {
                self.transport.sender_report(header.ssrc, ntp(now), header.timestamp, now);
                self.seal(header, payload, None, now, mail);
            }
        }
        self.camera = camera;
    }

    fn seal(
        &mut self,
        header: Header,
        payload: Vec<u8>,
        audio_level: Option<u8>,
        now: Timestamp,
        mail: &mut ClientMail,
    ) {
        if self.transport.usable().is_none() {
            return;
        }
        let token = audio_level.is_none().then(|| {
            self.tokens += 1;
            self.tokens
        });
        let outgoing = Outgoing {
            header,
            payload: &payload,
            patch: Patch::None,
            structure: None,
            audio_level,
            video_orientation: None,
            dependency_descriptor: None,
            mid: None,
            padding: 0,
            retransmission_token: token,
        };
        let mut out = vec![0; 1_500];
        if let Some(sealed) = self.transport.seal_rtp(&outgoing, now, &mut out) {
            out.truncate(sealed.len);
            mail.0.push(out);
        }
        if let Some(token) = token {
            self.sent_payloads.insert(token, payload);
            self.sent_payloads.remove(&token.wrapping_sub(2_000));
        }
    }
}

/// NTP time (RFC 3550 §4) of a moment of the simulation.
pub fn ntp(now: Timestamp) -> u64 {
    ((u128::from(now.as_micros()) << 32) / 1_000_000) as u64
}

/// Payload type of redundant audio.
const RED: u8 = 112;

/// How often a client looks whether its decoders are stuck.
const LOOK: Duration = Duration::from_millis(100);
/// So long a decoder waits for a packet before it asks for a key frame instead.
pub const PATIENCE: Duration = Duration::from_millis(400);

/// The codecs of every model conference.
pub fn payload_types() -> PayloadTypes {
    let type_ =
        |number, codec, clock_rate, rtx| PayloadType { number, codec, clock_rate, rtx, transport_cc: true };
    let red = type_(RED, Codec::Red, 48_000, None);
    [type_(111, Codec::Opus, 48_000, None), red, type_(100, Codec::Vp8, 90_000, Some(96))]
        .into_iter()
        .collect()
}

/// The header extensions of every model conference.
pub fn extensions() -> ExtensionIds {
    ExtensionIds { audio_level: Some(1), transport_cc: Some(5), allow_mixed: true, ..ExtensionIds::default() }
}

/// A client's keys, and the same as the server sees them.
fn keys(profile: SrtpProfile, chance: &mut Chance) -> (SrtpKeys, SrtpKeys) {
    let (key, salt) = profile.key_and_salt_bytes();
    let mut direction = || (0..key + salt).map(|_| chance.bits() as u8).collect::<ArrayVec<u8, 46>>();
    let (to_server, to_client) = (direction(), direction());
    (
        SrtpKeys { profile, inbound: to_client.clone(), outbound: to_server.clone() },
        SrtpKeys { profile, inbound: to_server, outbound: to_client },
    )
}

//! A client: str0m, a socket, a microphone and a camera.

use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use contract::session::{Encoding, LocalTransport, Media, RemoteTransport, SourceSpec, VideoType};
use contract::{EndpointId, SourceId, Timestamp};
use sim::received::{Packet, Stream, picture};
use sim::video::Label;
use str0m::bwe::{Bitrate, BweKind};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::{CryptoProvider, DtlsVersion, Fingerprint};
use str0m::crypto::dtls::ProtocolVersion;
use str0m::ice::IceCreds;
use str0m::media::{KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::rtcp::Rtcp;
use str0m::rtp::{Extension, ExtensionSerializer, ExtensionValues, RawPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::camera::{Camera, Picture, Written};
use crate::server::DEPENDENCY_DESCRIPTOR;

/// One participant.
pub struct Client {
    /// Its identity at the server.
    pub endpoint: EndpointId,
    /// What it sends.
    pub sources: Vec<SourceSpec>,
    rtc: Rtc,
    socket: UdpSocket,
    /// As its ICE agent believes; behind a rebinding it is no longer the socket's.
    believed: SocketAddr,
    microphone: Microphone,
    camera: Camera,
    next_audio: Instant,
    next_video: Instant,
    timeout: Instant,
    medias: u32,
    channel: Option<ChannelId>,
    /// Media flows from it.
    pub sending: bool,
    /// Datagrams from the server that get lost: every so manieth RTP packet on this SSRC.
    pub loss: Option<(u32, u32)>,
    /// The same for what it sends.
    pub uplink_loss: Option<(u32, u32)>,
    /// How many were lost in these ways.
    pub lost: u32,
    /// What it noticed.
    pub noticed: Noticed,
}

/// All that a client noticed.
#[derive(Default)]
pub struct Noticed {
    /// ICE and DTLS are done.
    pub connected: bool,
    /// When they were.
    pub connected_at: Option<Instant>,
    /// When the first packet came on each SSRC.
    pub first: HashMap<u32, Instant>,
    /// Streams by SSRC.
    pub streams: HashMap<u32, Stream>,
    /// Packets that came on a retransmission payload type.
    pub retransmissions: u32,
    /// SSRCs whose key frames were asked for, with the time.
    pub key_frame_requests: Vec<(Instant, u32)>,
    /// Transport-wide feedback messages.
    pub transport_cc: u32,
    /// Packets that these messages told of.
    pub transport_cc_packets: u64,
    /// Bandwidth estimates.
    pub estimates: Vec<u64>,
    /// Sender reports.
    pub sender_reports: u32,
    /// The bridge channel is open.
    pub channel_open: bool,
    /// Messages on it.
    pub texts: Vec<String>,
    /// Why str0m gave up.
    pub error: Option<String>,
    /// The last RTP, RTCP and DTLS datagram that it sent, as on the wire.
    pub last_sent: [Vec<u8>; 3],
    /// Dependency descriptors by SSRC and extended sequence number.
    pub descriptors: BTreeMap<(u32, u64), Vec<u8>>,
    /// What was received on each SSRC, by extended sequence number.
    pub labels: HashMap<u32, BTreeMap<u64, Label>>,
    /// Packets that it sent again.
    pub resent: u32,
    /// RTP packets that it sent.
    pub rtp_sent: u64,
    /// Datagrams by kind that came in: STUN, DTLS, RTP and RTCP.
    pub arrived: [u32; 3],
}

/// How a client is made.
#[derive(Clone)]
pub struct Making {
    /// DTLS version.
    pub version: DtlsVersion,
    /// Its camera.
    pub picture: Picture,
    /// str0m estimates its bandwidth, paces and probes.
    pub estimates: bool,
    /// Another crypto provider than that of str0m.
    pub crypto: Option<Arc<CryptoProvider>>,
}

struct Microphone {
    ssrc: u32,
    sequence: u64,
    timestamp: u32,
}

impl Client {
    /// Client `number` with a socket of its own.
    pub fn new(number: u64, making: &Making) -> Client {
        let now = Instant::now();
        let socket = open_socket();
        let believed = socket.local_addr().expect("a bound socket has an address");
        let mut config = Rtc::builder()
            .set_rtp_mode(true)
            .enable_raw_packets(true)
            .set_dtls_version(making.version)
            .set_extension(
                DEPENDENCY_DESCRIPTOR,
                Extension::with_serializer(DESCRIPTOR_URI, DescriptorSerializer),
            );
        if making.estimates {
            config = config.enable_bwe(Some(Bitrate::kbps(1_000)));
        }
        if let Some(crypto) = &making.crypto {
            config = config.set_crypto_provider(Arc::clone(crypto));
        }
        let mut rtc = config.build(now);
        let base = 1_000_000 + number as u32 * 100;
        let camera = Camera::new(making.picture, number * 10 + 1, base + 10);
        let sources = declare(&mut rtc, EndpointId(number), base, &camera);
        if making.estimates {
            rtc.bwe().set_bitrate(Bitrate::kbps(500), Bitrate::kbps(5_000));
        }
        Client {
            endpoint: EndpointId(number),
            sources,
            rtc,
            socket,
            believed,
            microphone: Microphone { ssrc: base, sequence: 65_300, timestamp: u32::MAX - 48_000 },
            camera,
            next_audio: now,
            next_video: now,
            timeout: now,
            medias: 0,
            channel: None,
            sending: true,
            loss: None,
            uplink_loss: None,
            lost: 0,
            noticed: Noticed::default(),
        }
    }

    /// Its half of the transport; with `candidates`, or to be learnt from its checks.
    pub fn answer(&mut self, candidates: bool) -> (RemoteTransport, channel::Fingerprint) {
        let direct = self.rtc.direct_api();
        let IceCreds { ufrag, pass } = direct.local_ice_credentials();
        let own = direct.local_dtls_fingerprint();
        let fingerprint = channel::Fingerprint { hash: own.hash_func.clone(), value: own.bytes.clone() };
        let candidates = if candidates { vec![crate::server::host(self.believed)] } else { Vec::new() };
        (RemoteTransport { ufrag, pwd: pass, candidates }, fingerprint)
    }

    /// Take the server's half and begin: ICE controlled, DTLS client unless `passive`, SCTP client.
    pub fn begin(
        &mut self,
        server: &LocalTransport,
        address: SocketAddr,
        fingerprint: &channel::Fingerprint,
        passive: bool,
    ) {
        let mut direct = self.rtc.direct_api();
        direct.set_ice_controlling(false);
        direct.set_remote_ice_credentials(IceCreds { ufrag: server.ufrag.clone(), pass: server.pwd.clone() });
        let (hash_func, bytes) = (fingerprint.hash.clone(), fingerprint.value.clone());
        direct.set_remote_fingerprint(Fingerprint { hash_func, bytes });
        direct.start_dtls(!passive).expect("a fresh client can begin");
        direct.start_sctp(true);
        let config = ChannelConfig {
            label: "JVB data channel".to_owned(),
            protocol: "http://jitsi.org/protocols/colibri".to_owned(),
            ..ChannelConfig::default()
        };
        self.channel = Some(direct.create_data_channel(config));
        let own = Candidate::host(self.believed, "udp").expect("a loopback address is a candidate");
        self.rtc.add_local_candidate(own);
        self.rtc.add_remote_candidate(Candidate::host(address, "udp").expect("so is the server's"));
    }

    /// A stream will come.
    pub fn expect(&mut self, media: Media, ssrc: u32, rtx: Option<u32>) {
        self.medias += 1;
        let mid = Mid::from(format!("r{}", self.medias).as_str());
        let kind = if media == Media::Audio { MediaKind::Audio } else { MediaKind::Video };
        let mut direct = self.rtc.direct_api();
        direct.declare_media(mid, kind);
        direct.expect_stream_rx(ssrc.into(), rtx.map(Into::into), mid, None);
    }

    /// Ask the server for a key frame of a stream that it sends.
    pub fn request_key_frame(&mut self, ssrc: u32) {
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_rx(&ssrc.into()).expect("the stream was announced");
        stream.request_keyframe(KeyframeRequestKind::Pli);
    }

    /// A message on the bridge channel.
    pub fn send_text(&mut self, text: &str) {
        let channel = self.channel.and_then(|id| self.rtc.channel(id)).map(|mut channel| {
            channel.write(false, text.as_bytes()).expect("str0m takes a message on an open channel")
        });
        assert_eq!(channel, Some(true), "the channel is open and has room");
    }

    /// As behind a router that forgot its mapping: another port, of which the client itself knows nothing.
    pub fn rebind(&mut self) -> SocketAddr {
        self.socket = open_socket();
        self.socket.local_addr().expect("a bound socket has an address")
    }

    /// The version that was negotiated.
    pub fn version(&mut self) -> Option<ProtocolVersion> {
        self.rtc.direct_api().dtls_protocol_version()
    }

    /// Do what is due. True if there was anything.
    pub fn poll(&mut self, now: Instant) -> bool {
        if self.noticed.error.is_some() {
            return false;
        }
        let mut moved = self.receive(now);
        let written = self.sending && self.noticed.connected && self.write(now);
        if written || self.timeout <= now {
            moved = true;
            self.input(Input::Timeout(now));
        }
        moved
    }

    fn receive(&mut self, now: Instant) -> bool {
        let mut buffer = [0; 2_048];
        for count in 0..BATCH {
            let Ok((len, source)) = self.socket.recv_from(&mut buffer) else { return count > 0 };
            let datagram = &buffer[..len];
            self.noticed.arrived[kind(datagram)] += 1;
            if is_lost(self.loss, datagram) {
                self.lost += 1;
                continue;
            }
            let destination = self.believed;
            match Receive::new(Protocol::Udp, source, destination, datagram) {
                Ok(receive) => self.input(Input::Receive(now, receive)),
                Err(error) => self.noticed.error = Some(format!("str0m cannot read a datagram: {error}")),
            }
        }
        true
    }

    fn input(&mut self, input: Input<'_>) {
        if let Err(error) = self.rtc.handle_input(input) {
            self.noticed.error = Some(error.to_string());
        }
        for _ in 0..OUTPUTS_MAX {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = at;
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    let datagram: &[u8] = &transmit.contents;
                    self.noticed.sent(datagram);
                    if is_lost(self.uplink_loss, datagram) {
                        self.lost += 1;
                        continue;
                    }
                    // A full socket buffer is loss, as on any network.
                    let _ = self.socket.send_to(datagram, transmit.destination);
                }
                Ok(Output::Event(event)) => self.event(event),
                Err(error) => {
                    self.noticed.error = Some(error.to_string());
                    return;
                }
            }
        }
        panic!("str0m does not come to rest");
    }

    fn event(&mut self, event: Event) {
        let noticed = &mut self.noticed;
        match event {
            Event::Connected => {
                noticed.connected = true;
                noticed.connected_at = Some(Instant::now());
            }
            Event::ChannelOpen(..) => noticed.channel_open = true,
            Event::ChannelData(data) => noticed.texts.push(String::from_utf8_lossy(&data.data).into_owned()),
            Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. }) => {
                noticed.estimates.push(estimate.as_u64());
            }
            Event::RtpPacket(packet) => {
                let Some(label) = Label::read(&packet.payload) else { return };
                let is_vp8 = *packet.header.payload_type == Picture::Vp8.payload_type();
                let since_connected = noticed.connected_at.map_or(0, |at| at.elapsed().as_micros() as u64);
                let received = Packet {
                    at: Timestamp::from_micros(since_connected),
                    timestamp: packet.header.timestamp,
                    label,
                    picture: picture(&packet.payload).filter(|_| is_vp8),
                };
                noticed.first.entry(*packet.header.ssrc).or_insert_with(Instant::now);
                if let Some(DescriptorBytes(bytes)) = packet.header.ext_vals.user_values.get() {
                    noticed.descriptors.insert((*packet.header.ssrc, *packet.seq_no), bytes.clone());
                }
                noticed.labels.entry(*packet.header.ssrc).or_default().insert(*packet.seq_no, label);
                noticed.streams.entry(*packet.header.ssrc).or_default().insert(*packet.seq_no, received);
            }
            Event::RawPacket(packet) => self.raw(&packet),
            _ => {}
        }
    }

    fn raw(&mut self, packet: &RawPacket) {
        let noticed = &mut self.noticed;
        match packet {
            RawPacket::RtpRx(header, _) if RETRANSMISSIONS.contains(&*header.payload_type) => {
                noticed.retransmissions += 1;
            }
            RawPacket::RtpTx(header, _) => {
                noticed.rtp_sent += 1;
                noticed.resent += u32::from(RETRANSMISSIONS.contains(&*header.payload_type));
            }
            RawPacket::RtcpRx(Rtcp::Pli(pli)) => {
                noticed.key_frame_requests.push((Instant::now(), *pli.ssrc));
                self.camera.request_key_frame(*pli.ssrc);
            }
            RawPacket::RtcpRx(Rtcp::Twcc(feedback)) => {
                noticed.transport_cc += 1;
                noticed.transport_cc_packets += u64::from(feedback.status_count);
            }
            RawPacket::RtcpRx(Rtcp::SenderReport(_)) => noticed.sender_reports += 1,
            _ => {}
        }
    }

    fn write(&mut self, now: Instant) -> bool {
        let mut written = false;
        if self.next_audio <= now {
            self.next_audio = (self.next_audio + AUDIO_INTERVAL).max(now);
            self.write_audio(now);
            written = true;
        }
        if self.next_video <= now {
            self.next_video = (self.next_video + VIDEO_INTERVAL).max(now);
            for packet in self.camera.next_picture() {
                self.write_video(packet, now);
            }
            written = true;
        }
        written
    }

    fn write_audio(&mut self, now: Instant) {
        let Microphone { ssrc, sequence, timestamp } = &mut self.microphone;
        *sequence += 1;
        *timestamp = timestamp.wrapping_add(960);
        let label = Label {
            source: self.sources[0].source.0,
            frame: *sequence as u32,
            encoding: 0,
            temporal: 0,
            key: true,
            first: true,
            last: true,
        };
        let mut payload = vec![0xFC];
        label.write(&mut payload);
        payload.resize(80, 0xCD);
        let values = ExtensionValues {
            audio_level: Some(-30),
            voice_activity: Some(true),
            ..ExtensionValues::default()
        };
        let rtp = RtpWrite::new(OPUS.into(), (*sequence).into(), *timestamp, now, payload).ext_vals(values);
        let mut direct = self.rtc.direct_api();
        direct.stream_tx(&(*ssrc).into()).expect("it was declared").write_rtp(rtp);
    }

    fn write_video(&mut self, packet: Written, now: Instant) {
        let payload_type = self.camera.payload_type();
        let mut values = ExtensionValues::default();
        if let Some(descriptor) = packet.descriptor {
            values.user_values.set(DescriptorBytes(descriptor));
        }
        let rtp =
            RtpWrite::new(payload_type.into(), packet.sequence.into(), packet.timestamp, now, packet.payload)
                .marker(packet.marker)
                .nackable(true)
                .ext_vals(values);
        let mut direct = self.rtc.direct_api();
        direct.stream_tx(&packet.ssrc.into()).expect("it was declared").write_rtp(rtp);
    }
}

impl Noticed {
    /// From the end of the handshake to an event of this client.
    pub fn since_connected(&self, at: Instant) -> Duration {
        self.connected_at.map_or(Duration::ZERO, |connected| at.saturating_duration_since(connected))
    }

    /// Where sequence numbers are missing on a stream: what stands on either side. One that the server leaves free where it
    /// turns to another encoding in the middle of a frame is no hole: it stands for the rest of that frame, and nobody ever
    /// gets it.
    pub fn holes(&self, ssrc: u32) -> Vec<[(u64, Label); 2]> {
        let Some(labels) = self.labels.get(&ssrc) else { return Vec::new() };
        let pairs = labels.iter().zip(labels.iter().skip(1));
        pairs
            .filter(|((before, old), (at, new))| {
                let turns = !old.last
                    && new.first
                    && new.key
                    && (old.encoding, old.frame) != (new.encoding, new.frame);
                **at > **before + 1 + u64::from(turns)
            })
            .map(|((before, old), (at, new))| [(*before, *old), (*at, *new)])
            .collect()
    }

    fn sent(&mut self, datagram: &[u8]) {
        let slot = match datagram {
            [128..192, 192..224, ..] => 1,
            [128..192, ..] => 0,
            [20..64, ..] => 2,
            _ => return,
        };
        self.last_sent[slot] = datagram.to_vec();
    }
}

/// Tells str0m what will be sent; the same as signalling would say it.
fn declare(rtc: &mut Rtc, owner: EndpointId, base: u32, camera: &Camera) -> Vec<SourceSpec> {
    let mut direct = rtc.direct_api();
    let (audio, video) = (Mid::from("audio"), Mid::from("video"));
    direct.declare_media(audio, MediaKind::Audio);
    direct.declare_media(video, MediaKind::Video);
    direct.declare_stream_tx(base.into(), None, audio, None);
    let mut encodings = ArrayVec::new();
    let ssrcs = camera.ssrcs();
    for (number, ssrc) in ssrcs.iter().copied().enumerate() {
        let rtx = ssrc + 10;
        let rid = (ssrcs.len() > 1).then(|| format!("{number}").as_str().into());
        let stream = direct.declare_stream_tx(ssrc.into(), Some(rtx.into()), video, rid);
        // Every NACK is answered: without a cap on the share of retransmissions.
        stream.set_rtx_cache(1_024, Duration::from_secs(3), None);
        encodings.push(Encoding { ssrc: contract::Ssrc(ssrc), rtx: Some(contract::Ssrc(rtx)) });
    }
    let of = |source, media, encodings| SourceSpec {
        source: SourceId(source),
        owner,
        media,
        video_type: VideoType::Camera,
        encodings,
    };
    let microphone = [Encoding { ssrc: contract::Ssrc(base), rtx: None }].into_iter().collect();
    vec![of(owner.0 * 10, Media::Audio, microphone), of(owner.0 * 10 + 1, Media::Video, encodings)]
}

fn open_socket() -> UdpSocket {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("loopback has free ports");
    socket.set_nonblocking(true).expect("sockets can be non-blocking");
    socket
}

fn is_lost(loss: Option<(u32, u32)>, datagram: &[u8]) -> bool {
    let Some((every, ssrc)) = loss else { return false };
    let is_rtp = datagram.len() > 12 && datagram[0] >> 6 == 2 && !(192..224).contains(&datagram[1]);
    is_rtp
        && datagram[8..12] == ssrc.to_be_bytes()
        && u32::from(u16::from_be_bytes([datagram[2], datagram[3]])).is_multiple_of(every)
}

/// STUN, DTLS, or media.
fn kind(datagram: &[u8]) -> usize {
    match datagram.first() {
        Some(0..=3) => 0,
        Some(20..=63) => 1,
        _ => 2,
    }
}

/// A dependency descriptor on its way through str0m.
struct DescriptorBytes(Vec<u8>);

#[derive(Debug)]
struct DescriptorSerializer;

impl ExtensionSerializer for DescriptorSerializer {
    fn write_to(&self, buffer: &mut [u8], values: &ExtensionValues) -> usize {
        let Some(DescriptorBytes(bytes)) = values.user_values.get::<DescriptorBytes>() else { return 0 };
        buffer[..bytes.len()].copy_from_slice(bytes);
        bytes.len()
    }

    fn parse_value(&self, buffer: &[u8], values: &mut ExtensionValues) -> bool {
        values.user_values.set(DescriptorBytes(buffer.to_vec()));
        true
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }

    fn requires_two_byte_form(&self, values: &ExtensionValues) -> bool {
        values.user_values.get::<DescriptorBytes>().is_some_and(|bytes| bytes.0.len() > 3)
    }
}

const DESCRIPTOR_URI: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
const OPUS: u8 = 111;
/// RTX payload types of all video codecs.
const RETRANSMISSIONS: [u8; 4] = [97, 99, 121, 46];
const AUDIO_INTERVAL: Duration = Duration::from_millis(20);
const VIDEO_INTERVAL: Duration = Duration::from_millis(33);
/// Datagrams taken before others have their turn.
const BATCH: usize = 256;
/// Outputs after one input; far more than any input causes.
const OUTPUTS_MAX: usize = 100_000;

//! One endpoint's media: ICE and sealing by the transport crate in the client's role, its camera and microphone, and what
//! it receives.

use std::sync::Arc;

use contract::session::{Candidate, CandidateKind, Codec, FeedbackSsrcs, Media, SrtpKeys};
use contract::{Ssrc, Timestamp};
use tokio::sync::mpsc;
use transport::srtp::Session;
use transport::{LocalSocket, Outbox, Outgoing, Path, Repair, SendStream, Transport};
use wire::codec::Patch;
use wire::first_byte::{Kind, classify};
use wire::rtcp::compound::{Packet as Rtcp, iterate};

use crate::camera::{Camera, Microphone, Packet};
use crate::feedback::Reporter;
use crate::handshakes;
use crate::peer::{Event, Link, Remote, RemoteSource};
use crate::pump::{Opening, Scratch};
use crate::reception::{Reception, Times};
use crate::socket::Socket;
use crate::tally::{Count, Counters, Delays, note};

/// One endpoint, on its media thread.
pub struct Endpoint {
    /// Its socket.
    pub socket: Arc<Socket>,
    /// What it receives.
    pub reception: Reception,
    /// When its join began.
    pub started: Timestamp,
    /// ICE and DTLS are done since.
    pub connected: Option<Timestamp>,
    /// SRTP profile in use.
    pub profile: Option<contract::session::SrtpProfile>,
    /// Its place in the run.
    pub place: u32,
    connection: u32,
    path: Path,
    bare: bool,
    transport: Box<Transport>,
    session: Option<Box<Session>>,
    reporter: Reporter,
    microphone: Option<Microphone>,
    camera: Option<Camera>,
    transport_cc_id: Option<u8>,
    /// Share of received packets to lose on purpose, in 1/1000.
    loss_per_mille: u32,
    /// The rest of a frame that is being paced out.
    paced: std::collections::VecDeque<Packet>,
    tokens: u64,
    random: u64,
    dropped: u32,
    events: mpsc::UnboundedSender<Event>,
    pub(crate) next_audio: Timestamp,
    pub(crate) next_video: Timestamp,
    pub(crate) next_burst: Timestamp,
    /// When its entry for ICE and reports comes up.
    pub(crate) protocol_at: Timestamp,
}

/// Sends on a connected socket.
struct Mail<'a> {
    socket: &'a Socket,
    buffer: &'a mut [u8],
    refused: u64,
    rtcp: u64,
}

impl Outbox for Mail<'_> {
    fn datagram(&mut self, _path: Path, max_len: usize, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        let Some(buffer) = self.buffer.get_mut(..max_len) else { return false };
        let len = write(buffer);
        if len > 0 {
            self.rtcp += u64::from(classify(&buffer[..len]) == Kind::Rtcp);
            self.refused += u64::from(!self.socket.send(&buffer[..len]));
        }
        true
    }
}

impl Endpoint {
    /// From what the adapter found out. `room` are the places of its room, `sample` as in [`Reception`].
    ///
    /// # Errors
    /// If the other side's credentials are not legal.
    pub fn new(
        opening: &Opening,
        room: std::ops::Range<u32>,
        sample: u32,
        random: u64,
        now: Timestamp,
    ) -> Result<Endpoint, String> {
        let Opening { place, connection, plan, streams, remote, socket, .. } = opening;
        let config = transport_config(opening, random);
        let mut transport = Transport::new(&config, now);
        let path = Path { peer: remote.address, socket: 0 };
        let payload_type = |codec: Codec| {
            let known = remote.payload_types.iter().find(|known| known.codec == codec);
            known.map(|known| known.number)
        };
        let microphone = match (plan.audio, streams.audio, payload_type(Codec::Opus)) {
            (Some(plan), Some(ssrc), Some(number)) => Some(Microphone::new(plan, *place, ssrc, number)),
            _ => None,
        };
        let camera = plan.video.as_ref().and_then(|plan| {
            let ssrcs: Vec<u32> = streams.video.iter().map(|(ssrc, _)| *ssrc).collect();
            Some(Camera::new(plan, *place, &ssrcs, payload_type(plan.codec)?))
        });
        let audio = streams.audio.map(|ssrc| SendStream::new(ssrc, None, Media::Audio, 48_000, 0));
        let video = streams.video.iter().map(|(ssrc, rtx)| {
            SendStream::new(*ssrc, Some(*rtx), Media::Video, 90_000, SendStream::HISTORY_SMALL)
        });
        for stream in audio.into_iter().chain(video) {
            transport.add_send_stream(stream).map_err(|_| "an SSRC was given twice".to_owned())?;
        }
        let mut endpoint = Endpoint {
            socket: socket.clone(),
            reception: Reception::new(*place, room, sample),
            started: opening.started,
            connected: None,
            profile: None,
            place: *place,
            connection: *connection,
            path,
            bare: matches!(remote.link, Link::Bare(_)),
            transport,
            session: None,
            reporter: Reporter::new(REPORTER_SSRC | place, now),
            microphone,
            camera,
            transport_cc_id: remote.extensions.transport_cc,
            loss_per_mille: plan.loss_per_mille,
            paced: Default::default(),
            tokens: 0,
            random,
            dropped: 0,
            events: opening.events.clone(),
            next_audio: Timestamp::NEVER,
            next_video: Timestamp::NEVER,
            next_burst: Timestamp::NEVER,
            protocol_at: Timestamp::NEVER,
        };
        endpoint.begin(remote, opening.room_begins, now)?;
        Ok(endpoint)
    }

    fn begin(&mut self, remote: &Remote, room_begins: u32, now: Timestamp) -> Result<(), String> {
        match &remote.link {
            Link::Negotiated { ufrag, pwd, .. } => {
                let candidate = Candidate {
                    address: remote.address,
                    kind: CandidateKind::Host,
                    priority: PRIORITY,
                    related: None,
                    tcp: false,
                };
                let set = self.transport.set_remote(ufrag, pwd, &[candidate], now);
                set.map(drop).map_err(|_| "the ICE credentials of the other side are not legal".to_owned())
            }
            Link::Bare(keys) => {
                // The echo learns who is in which room.
                let mut hello = [crate::self_check::HELLO; 5];
                hello[1..].copy_from_slice(&room_begins.to_be_bytes());
                self.socket.send(&hello);
                self.set_keys(keys, now);
                Ok(())
            }
        }
    }

    /// DTLS is done: media may flow.
    pub fn set_keys(&mut self, keys: &SrtpKeys, now: Timestamp) {
        let (Ok(sends), Ok(own)) = (Session::new(keys), Session::new(keys)) else { return };
        self.transport.set_keys(sends, now);
        self.session = Some(own);
        self.profile = Some(keys.profile);
        if self.connected.replace(now).is_none() {
            // Spread, or all endpoints of a run would send at once.
            let spread =
                |random: u64, interval: u64| std::time::Duration::from_micros(random % interval.max(1));
            let random = self.random();
            if let Some(microphone) = &self.microphone {
                self.next_audio = now + spread(random, microphone.interval_us());
                self.note_clocks(microphone.ssrc(), microphone.ssrc(), now);
            }
            if let Some(camera) = &self.camera {
                self.next_video = now + spread(random >> 20, camera.interval_us());
                let ssrcs: Vec<u32> = camera.streams.iter().map(|stream| stream.ssrc).collect();
                ssrcs.into_iter().for_each(|ssrc| self.note_clocks(ssrc, ssrc, now));
            }
            let _ = self.events.send(Event::Connected);
        }
    }

    /// From now on sender reports tell these clocks.
    fn note_clocks(&mut self, ssrc: u32, rtp: u32, now: Timestamp) {
        let (seconds, micros) = (now.as_micros() / 1_000_000, now.as_micros() % 1_000_000);
        let ntp = (seconds << 32) | ((micros << 32) / 1_000_000);
        self.transport.sender_report(ssrc, ntp, rtp, now);
    }

    /// Its place, if this is the first or only connection of its endpoint.
    pub fn first_of(&self) -> Option<u32> {
        (self.connection == self.place).then_some(self.place)
    }

    /// Signalling told who sends what.
    pub fn sources(&mut self, sources: Vec<(RemoteSource, Option<u32>)>, now: Timestamp) {
        for (source, owner) in sources {
            self.reception.announce(source.ssrc, source.rtx, source.media, owner, now);
        }
    }

    /// See [`Camera::limit`].
    pub fn limit_camera(&mut self, max_height: i32) {
        if let Some(camera) = &mut self.camera {
            camera.limit(max_height);
        }
    }

    /// Stops sending media; reports and consent go on.
    pub fn hush(&mut self) {
        (self.next_audio, self.next_video, self.next_burst) =
            (Timestamp::NEVER, Timestamp::NEVER, Timestamp::NEVER);
        self.paced.clear();
    }

    /// When it wants to be called for ICE and reports.
    pub fn poll_timeout(&self) -> Timestamp {
        let reports = if self.session.is_some() { self.reporter.due() } else { Timestamp::NEVER };
        let transport = if self.bare { Timestamp::NEVER } else { self.transport.poll_timeout() };
        transport.min(reports)
    }

    /// ICE, consent, reports.
    pub fn handle_timeout(
        &mut self,
        now: Timestamp,
        scratch: &mut Scratch,
        counters: &mut Counters,
    ) -> Vec<transport::Event> {
        let Endpoint { socket, transport, .. } = self;
        if !self.bare && transport.poll_timeout() <= now {
            let mut mail = Mail { socket, buffer: &mut scratch.datagram, refused: 0, rtcp: 0 };
            transport.handle_timeout(now, &mut mail);
            counters[Count::SendRefused] += mail.refused;
            counters[Count::RtcpSent] += mail.rtcp;
        }
        if let Some(session) = &self.session {
            let (reception, socket) = (&mut self.reception, &self.socket);
            self.reporter.send(reception, session, now, counters, |datagram| socket.send(datagram));
        }
        self.ice_events()
    }

    /// A datagram came.
    pub fn receive(
        &mut self,
        datagram: &[u8],
        times: Times,
        scratch: &mut Scratch,
        handshakes: &handshakes::Handle,
        counters: &mut Counters,
        delays: &mut Delays,
    ) -> Vec<transport::Event> {
        match classify(datagram) {
            Kind::Rtp => self.receive_rtp(datagram, times, scratch, counters, delays),
            Kind::Rtcp => self.receive_rtcp(datagram, times.now, scratch, counters),
            Kind::Dtls => handshakes.tell(handshakes::Order::Datagram(self.connection, datagram.to_vec())),
            Kind::Stun => {
                let mut mail =
                    Mail { socket: &self.socket, buffer: &mut scratch.datagram, refused: 0, rtcp: 0 };
                let _ = self.transport.stun(datagram, self.path, times.now, &mut mail);
                counters[Count::SendRefused] += mail.refused;
                return self.ice_events();
            }
            Kind::Unknown => counters[Count::AuthFailures] += 1,
        }
        Vec::new()
    }

    /// Its own sockets lost datagrams for want of room: how many since it was last said.
    pub fn note_dropped(&mut self, dropped: u32) -> u64 {
        let since = dropped.wrapping_sub(std::mem::replace(&mut self.dropped, dropped));
        u64::from(since)
    }

    /// Tells the adapter.
    pub fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    fn ice_events(&mut self) -> Vec<transport::Event> {
        std::iter::from_fn(|| self.transport.poll_event()).collect()
    }

    fn receive_rtp(
        &mut self,
        datagram: &[u8],
        times: Times,
        scratch: &mut Scratch,
        counters: &mut Counters,
        delays: &mut Delays,
    ) {
        let Some(session) = &self.session else { return };
        if self.loss_per_mille > 0 {
            self.random = next_random(self.random);
            if (self.random >> 33) % 1_000 < u64::from(self.loss_per_mille) {
                counters[Count::DroppedOnPurpose] += 1;
                return;
            }
        }
        if let Some(id) = self.transport_cc_id
            && let Ok(prefix) = wire::rtp::HeaderPrefix::parse(datagram)
            && let Some(number) = prefix.extension().and_then(|block| block.find(id))
            && let Some(number) = wire::rtp_extension::transport_cc(number)
        {
            self.reporter.arrived(number, times.arrived);
        }
        self.reception.packet(datagram, session, &mut scratch.datagram, times, counters, delays);
    }

    fn receive_rtcp(
        &mut self,
        datagram: &[u8],
        now: Timestamp,
        scratch: &mut Scratch,
        counters: &mut Counters,
    ) {
        let Some(session) = &self.session else { return };
        counters[Count::RtcpReceived] += 1;
        let Ok(len) = session.open_rtcp(datagram, &mut scratch.datagram) else {
            counters[Count::AuthFailures] += 1;
            return;
        };
        let mut nacked: Vec<(u32, u16)> = Vec::new();
        for packet in iterate(&scratch.datagram[..len]).flatten() {
            match packet {
                Rtcp::Pli(pli) => {
                    counters[Count::KeyFrameRequests] += 1;
                    self.camera.iter_mut().for_each(|camera| camera.request_key_frame(pli.media_ssrc));
                }
                Rtcp::Fir(fir) => {
                    counters[Count::KeyFrameRequests] += 1;
                    for entry in fir.entries() {
                        self.camera.iter_mut().for_each(|camera| camera.request_key_frame(entry.ssrc));
                    }
                }
                Rtcp::Nack(nack) => nacked.extend(nack.sequences().map(|number| (nack.media_ssrc(), number))),
                Rtcp::SenderReport(report) => {
                    let info = report.info();
                    if let Some(stream) = self.reception.streams.get_mut(&info.ssrc) {
                        stream.report.sender_report = Some(((info.ntp_time >> 16) as u32, now));
                    }
                }
                _ => {}
            }
        }
        nacked.into_iter().for_each(|(ssrc, number)| self.resend(ssrc, number, now, scratch, counters));
    }

    fn resend(
        &mut self,
        ssrc: u32,
        number: u16,
        now: Timestamp,
        scratch: &mut Scratch,
        counters: &mut Counters,
    ) {
        let Some(record) = self.transport.nacked(ssrc, number, now) else { return };
        let Some(packet) = self.camera.as_ref().and_then(|camera| camera.kept(ssrc, record.token)) else {
            return;
        };
        let len = packet.write(&mut scratch.payload);
        let repair = Repair {
            payload: &scratch.payload[..len],
            structure: None,
            audio_level: None,
            video_orientation: None,
            dependency_descriptor: packet.piece.descriptor.as_deref(),
            mid: None,
        };
        if let Some(sealed) = self.transport.seal_rtx(&record, &repair, now, &mut scratch.datagram) {
            counters[Count::Resent] += 1;
            counters[Count::SendRefused] += u64::from(!self.socket.send(&scratch.datagram[..sealed.len]));
        }
    }

    /// The microphone's packet that is due.
    pub fn send_audio(
        &mut self,
        now: Timestamp,
        scratch: &mut Scratch,
        counters: &mut Counters,
        delays: &mut Delays,
    ) {
        let Some(microphone) = &mut self.microphone else { return };
        note(&mut delays.late, now.since(self.next_audio).as_micros() as u64);
        self.next_audio = next_due(self.next_audio, microphone.interval_us(), now);
        let level = microphone.level();
        let packet = microphone.next_packet();
        self.send(vec![packet], Some(level), now, scratch, counters);
    }

    /// The camera's frame that is due: its first burst at once, the rest paced.
    pub fn send_video(
        &mut self,
        now: Timestamp,
        scratch: &mut Scratch,
        counters: &mut Counters,
        delays: &mut Delays,
    ) {
        let Some(camera) = &mut self.camera else { return };
        note(&mut delays.late, now.since(self.next_video).as_micros() as u64);
        self.next_video = next_due(self.next_video, camera.interval_us(), now);
        let mut random = self.random;
        let mut packets = Vec::new();
        camera.next_frame(
            &mut || {
                random = next_random(random);
                random >> 33
            },
            &mut packets,
        );
        self.random = random;
        self.paced.extend(packets);
        self.send_burst(now, scratch, counters);
    }

    /// Up to a burst of what is paced.
    pub fn send_burst(&mut self, now: Timestamp, scratch: &mut Scratch, counters: &mut Counters) {
        let count = self.paced.len().min(BURST_PACKETS);
        let burst: Vec<Packet> = self.paced.drain(..count).collect();
        self.next_burst = if self.paced.is_empty() { Timestamp::NEVER } else { now + BURST_SPACING };
        self.send(burst, None, now, scratch, counters);
    }

    /// Seals packets one after another and sends runs of equal length in one call each.
    fn send(
        &mut self,
        packets: Vec<Packet>,
        audio_level: Option<u8>,
        now: Timestamp,
        scratch: &mut Scratch,
        counters: &mut Counters,
    ) {
        let (mut len, mut run_begins, mut segment) = (0, 0, 0);
        for mut packet in packets {
            packet.label.sent_us = now.as_micros();
            let payload_len = packet.write(&mut scratch.payload);
            let token = audio_level.is_none().then_some(self.tokens);
            let outgoing = Outgoing {
                header: packet.header,
                payload: &scratch.payload[..payload_len],
                patch: Patch::None,
                structure: None,
                audio_level,
                video_orientation: None,
                dependency_descriptor: packet.piece.descriptor.as_deref(),
                mid: None,
                padding: 0,
                retransmission_token: token,
            };
            let Some(out) = scratch.run.get_mut(len..) else { break };
            let Some(sealed) = self.transport.seal_rtp(&outgoing, now, out) else { continue };
            counters[Count::Sent] += 1;
            counters[Count::SentBytes] += sealed.len as u64;
            if token.is_some()
                && let Some(camera) = &mut self.camera
            {
                camera.keep(self.tokens, packet);
                self.tokens += 1;
            }
            // A run has equal lengths, its last packet may be shorter.
            let closed = segment > 0 && (sealed.len > segment || !(len - run_begins).is_multiple_of(segment));
            if closed {
                flush(&self.socket, &scratch.run[run_begins..len], segment, counters);
                (run_begins, segment) = (len, 0);
            }
            segment = if segment == 0 { sealed.len } else { segment };
            len += sealed.len;
        }
        flush(&self.socket, &scratch.run[run_begins..len], segment, counters);
    }
}

fn flush(socket: &Socket, run: &[u8], segment: usize, counters: &mut Counters) {
    let (calls, refused) = socket.send_run(run, segment);
    counters[Count::Sends] += calls;
    counters[Count::SendRefused] += refused;
}

/// The next time in step; after a long pause the steps missed are not made up for.
fn next_due(due: Timestamp, interval_us: u64, now: Timestamp) -> Timestamp {
    let interval = std::time::Duration::from_micros(interval_us);
    if now.since(due) > interval * 5 { now + interval } else { due + interval }
}

/// splitmix64's state step with a multiplier: good enough for sizes and losses.
pub(crate) fn next_random(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

impl Endpoint {
    fn random(&mut self) -> u64 {
        self.random = next_random(self.random);
        self.random >> 16
    }
}

fn transport_config(opening: &Opening, random: u64) -> transport::Config {
    let Opening { place, connection, local, remote, socket, .. } = opening;
    let controlling = matches!(remote.link, Link::Negotiated { ice_controlling: true, .. });
    transport::Config {
        ufrag: local.ufrag.clone(),
        pwd: local.pwd.clone(),
        controlling,
        tie_breaker: next_random(random),
        transaction_prefix: connection.to_be_bytes(),
        sockets: [LocalSocket { address: socket.local(), priority: PRIORITY, tcp: false }]
            .into_iter()
            .collect(),
        allow_loopback: true,
        payload_types: remote.payload_types.clone(),
        extensions: remote.extensions,
        feedback: FeedbackSsrcs { audio: Ssrc(SENDER_SSRC | place), video: Ssrc(SENDER_SSRC | place) },
        // Of a client's transport this decides only how many retired SSRCs it can hold.
        ssrc_rewriting: true,
        key_frame_message: transport::KeyFrameMessage::Pli,
        rate_limit: transport::RateLimit::default(),
        bandwidth: bandwidth::Config::default(),
        cname: format!("load{place}"),
        seed: next_random(random ^ 0x5DEE_CE66),
    }
}

/// RFC 8445 §5.1.2 of a host candidate.
const PRIORITY: u32 = 2_130_706_431;
/// SSRCs of RTCP, apart from those of media: they index nonces.
const REPORTER_SSRC: u32 = 0x1000_0000;
const SENDER_SSRC: u32 = 0x2000_0000;
/// Packets of a frame that leave at once, as a browser's pacer lets a delta frame pass (limits: within 0.3 ms).
const BURST_PACKETS: usize = 10;
/// Between bursts of one frame.
const BURST_SPACING: std::time::Duration = std::time::Duration::from_millis(2);

//! The SCTP association inside DTLS (RFC 8261): passive, port 5000, one data channel used (RFC 8831).

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sctp_proto::{
    AssociationHandle, DatagramEvent, Endpoint, EndpointConfig, Event, Payload, PayloadProtocolIdentifier,
    ReliabilityType, ServerConfig, StreamEvent, TransportConfig,
};

use crate::association::{Counters, SendError};
use crate::certificate::MTU;
use crate::dcep;

/// What SCTP wants done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// One SCTP packet for one DTLS record.
    Packet(Vec<u8>),
    /// The client opened the bridge channel.
    Opened,
    /// A text message.
    Text(String),
    /// The bridge channel, or all of SCTP, ended. The client may open another.
    Closed,
}

/// One endpoint's SCTP.
pub(crate) struct Sctp {
    endpoint: Endpoint,
    live: Option<Live>,
    outputs: VecDeque<Output>,
}

/// The association, once the client has sent INIT.
struct Live {
    handle: AssociationHandle,
    association: sctp_proto::Association,
    initiate_tag: [u8; 4],
    channel: Option<u16>,
}

impl Sctp {
    pub(crate) fn new() -> Sctp {
        Sctp { endpoint: new_endpoint(), live: None, outputs: VecDeque::new() }
    }

    /// Takes the contents of one DTLS record.
    pub(crate) fn packet(&mut self, packet: Bytes, now: Instant, counters: &mut Counters) {
        if let Some(tag) = initiate_tag(&packet)
            && !self.admit_init(tag)
        {
            counters.sctp_rejected += 1;
            return;
        }

        let tag = initiate_tag(&packet);
        match self.endpoint.handle(now, PEER, None, None, packet) {
            None => counters.sctp_rejected += 1,
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                let Some(initiate_tag) = tag else { return };
                self.live = Some(Live { handle, association, initiate_tag, channel: None });
            }
            Some((handle, DatagramEvent::AssociationEvent(event))) => {
                if let Some(live) = self.live.as_mut().filter(|live| live.handle == handle) {
                    live.association.handle_event(event);
                }
            }
        }
        self.drive(now, counters);
    }

    /// Advances timers.
    pub(crate) fn handle_timeout(&mut self, now: Instant, counters: &mut Counters) {
        let Some(live) = &mut self.live else { return };
        live.association.handle_timeout(now);
        self.drive(now, counters);
    }

    /// When [`Sctp::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.live.as_ref().and_then(|live| live.association.poll_timeout())
    }

    /// What to do next.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Queues a text message on the bridge channel.
    pub(crate) fn send_text(
        &mut self,
        text: &str,
        now: Instant,
        counters: &mut Counters,
    ) -> Result<(), SendError> {
        if text.len() > MESSAGE_BYTES_MAX {
            return Err(SendError::TooLong);
        }
        let live = self.live.as_mut().ok_or(SendError::NotOpen)?;
        let channel = live.channel.ok_or(SendError::NotOpen)?;
        let mut stream = live.association.stream(channel).map_err(|_| SendError::NotOpen)?;
        let waiting = stream.buffered_amount().unwrap_or(0);
        if waiting + text.len() > SEND_BYTES_MAX {
            return Err(SendError::Full);
        }

        // An empty message has a payload type of its own (RFC 8831 §6.6); nobody sends one.
        stream
            .write_with_ppi(text.as_bytes(), PayloadProtocolIdentifier::String)
            .map_err(|_| SendError::NotOpen)?;
        self.drive(now, counters);
        Ok(())
    }

    /// Whether an INIT may go in. One association lives at a time; a repeated INIT is that of the live one, and only when that
    /// one is over may a new one begin, in a fresh endpoint, so that a flood of INITs leaves nothing behind.
    fn admit_init(&mut self, tag: [u8; 4]) -> bool {
        let Some(live) = &self.live else { return true };
        if live.initiate_tag == tag {
            return true;
        }
        if !live.association.is_closed() {
            return false;
        }
        self.live = None;
        self.endpoint = new_endpoint();
        true
    }

    /// Moves everything that became ready to the outputs.
    fn drive(&mut self, now: Instant, counters: &mut Counters) {
        let Some(live) = &mut self.live else { return };

        // Reading can free the window and so make new packets; a second round picks them up. More is never needed.
        for _ in 0..2 {
            while let Some(event) = live.association.poll() {
                live.event(event, &mut self.outputs, counters);
            }
            while let Some(transmit) = live.association.poll_transmit(now) {
                if let Payload::RawEncode(packets) = transmit.payload {
                    self.outputs.extend(packets.into_iter().map(|packet| Output::Packet(packet.to_vec())));
                }
            }
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            if let Payload::RawEncode(packets) = transmit.payload {
                self.outputs.extend(packets.into_iter().map(|packet| Output::Packet(packet.to_vec())));
            }
        }
        while let Some(event) = live.association.poll_endpoint_event() {
            if let Some(answer) = self.endpoint.handle_event(live.handle, event) {
                live.association.handle_event(answer);
            }
        }
    }
}

impl Live {
    fn event(&mut self, event: Event, outputs: &mut VecDeque<Output>, counters: &mut Counters) {
        match event {
            Event::Stream(StreamEvent::Opened { id } | StreamEvent::Readable { id }) => {
                self.read(id, outputs, counters);
            }
            Event::Stream(StreamEvent::Finished { id } | StreamEvent::Stopped { id, .. })
                if self.channel == Some(id) =>
            {
                self.channel = None;
                outputs.push_back(Output::Closed);
            }
            Event::AssociationLost { .. } | Event::HandshakeFailed { .. }
                if self.channel.take().is_some() =>
            {
                outputs.push_back(Output::Closed);
            }
            _ => {}
        }
    }

    /// Reads all whole messages of a stream. Those of streams that are not the bridge channel are read too, or they would
    /// hold the window.
    fn read(&mut self, id: u16, outputs: &mut VecDeque<Output>, counters: &mut Counters) {
        loop {
            let Ok(mut stream) = self.association.stream(id) else { return };
            let Ok(Some(message)) = stream.read_sctp() else { return };
            if message.len() > MESSAGE_BYTES_MAX {
                counters.messages_rejected += 1;
                continue;
            }

            let mut bytes = vec![0; message.len()];
            if message.read(&mut bytes).is_err() {
                counters.messages_rejected += 1;
                continue;
            }
            match message.ppi {
                PayloadProtocolIdentifier::Dcep => self.dcep(id, &bytes, outputs, counters),
                PayloadProtocolIdentifier::String if self.channel == Some(id) => {
                    match String::from_utf8(bytes) {
                        Ok(text) => outputs.push_back(Output::Text(text)),
                        Err(_) => counters.messages_rejected += 1,
                    }
                }
                _ => counters.messages_rejected += 1,
            }
        }
    }

    /// Answers an OPEN. The first opens the bridge channel; more are left unanswered.
    fn dcep(&mut self, id: u16, message: &[u8], outputs: &mut VecDeque<Output>, counters: &mut Counters) {
        if dcep::parse_open(message).is_err() {
            counters.dcep_rejected += 1;
            return;
        }
        if self.channel.is_some() {
            counters.channels_ignored += 1;
            return;
        }

        let Ok(mut stream) = self.association.stream(id) else { return };
        let acknowledged = stream
            .set_reliability_params(false, ReliabilityType::Reliable, 0)
            .and_then(|()| stream.write_with_ppi(&dcep::ACK_MESSAGE, PayloadProtocolIdentifier::Dcep));
        if acknowledged.is_err() {
            counters.dcep_rejected += 1;
            return;
        }
        self.channel = Some(id);
        outputs.push_back(Output::Opened);
    }
}

fn new_endpoint() -> Endpoint {
    let transport = TransportConfig::default()
        .with_max_receive_buffer_size(RECEIVE_WINDOW_BYTES)
        .with_max_receive_message_size(MESSAGE_BYTES_MAX as u32)
        .with_max_send_message_size(MESSAGE_BYTES_MAX as u32)
        .with_max_num_inbound_streams(STREAMS_MAX)
        .with_max_num_outbound_streams(STREAMS_MAX)
        .with_max_init_retransmits(None)
        .with_max_data_retransmits(None)
        .with_rto_initial_ms(RTO_INITIAL_MS)
        .with_rto_min_ms(RTO_MIN_MS)
        .with_rto_max_ms(RTO_MAX_MS);
    let mut server = ServerConfig::new();
    server.transport = Arc::new(transport);
    let mut config = EndpointConfig::new();
    config.max_payload_size(PAYLOAD_BYTES_MAX);
    Endpoint::new(Arc::new(config), Some(Arc::new(server)))
}

/// The initiate tag if the first chunk is an INIT (RFC 9260 §3.3.2).
fn initiate_tag(packet: &[u8]) -> Option<[u8; 4]> {
    let chunk = packet.get(12..)?;
    if chunk.first() != Some(&CHUNK_INIT) {
        return None;
    }
    chunk.get(4..8)?.try_into().ok()
}

/// Largest message either way: the largest that every WebRTC stack takes (RFC 8841 §6.1).
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1_024;

/// The window offered to the client: a few of the largest messages.
const RECEIVE_WINDOW_BYTES: u32 = 256 * 1_024;

/// What may wait for a client that does not read.
const SEND_BYTES_MAX: usize = 256 * 1_024;

/// Streams each way. One is used; the ids that clients choose are small.
const STREAMS_MAX: u16 = 16;

/// A DTLS 1.2 record adds 37 bytes, SCTP common and DATA header 28; a multiple of four, as chunks are padded to it.
const PAYLOAD_BYTES_MAX: u32 = ((MTU - 37 - 28) / 4 * 4) as u32;

/// Retransmission time-outs of the bridge clients already know, which backs off to 3 s at most.
const RTO_INITIAL_MS: u64 = 500;
const RTO_MIN_MS: u64 = 200;
const RTO_MAX_MS: u64 = 3_000;

const CHUNK_INIT: u8 = 1;

/// SCTP inside DTLS has no addresses, but the crate wants one; the port is the usual one.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5_000);

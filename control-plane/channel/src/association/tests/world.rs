//! A foreign client and the network between it and an association.

use std::sync::Arc;
use std::time::Duration;

use sctp_proto::{
    ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload, PayloadProtocolIdentifier,
    StreamEvent,
};

use super::super::*;

/// How the foreign client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Only12,
    Only13,
    Both,
}

/// A browser's half: the same DTLS and SCTP crates in the client role.
pub(super) struct Client {
    pub(super) dtls: Dtls,
    pub(super) timeout: Option<Instant>,
    pub(super) material: Option<(Vec<u8>, dimpl::SrtpProfile)>,
    pub(super) sctp: Option<(Endpoint, sctp_proto::AssociationHandle, sctp_proto::Association)>,
    pub(super) texts: Vec<String>,
    pub(super) acknowledged: bool,
    pub(super) stream: u16,
    pub(super) closed: bool,
}

pub(super) struct World {
    pub(super) server: Association,
    pub(super) client: Client,
    pub(super) client_fingerprint: Fingerprint,
    pub(super) now: Timestamp,
    pub(super) to_server: Vec<Vec<u8>>,
    pub(super) to_client: Vec<Vec<u8>>,
    pub(super) outputs: Vec<Output>,
}

pub(super) type Network<'a> = &'a mut dyn FnMut(&'static str, Vec<Vec<u8>>) -> Vec<Vec<u8>>;

pub(super) fn perfect(_: &'static str, datagrams: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    datagrams
}

impl World {
    pub(super) fn new(dialect: Dialect, mtu: usize) -> World {
        let certificate = Certificate::generate().unwrap();
        let own = dimpl::certificate::generate_self_signed_certificate().unwrap();
        let client_fingerprint = Fingerprint { hash: "sha-256".into(), value: own.fingerprint() };
        let now = Timestamp::from_millis(5);
        let config = Arc::new(
            dimpl::Config::builder()
                .mtu(mtu)
                .flight_start_rto(Duration::from_millis(50))
                .flight_retries(9)
                .build()
                .unwrap(),
        );
        let mut dtls = match dialect {
            Dialect::Only12 => Dtls::new_12(config, own, instant(now)),
            Dialect::Only13 => Dtls::new_13(config, own, instant(now)),
            Dialect::Both => Dtls::new_auto(config, own, instant(now)),
        };
        dtls.set_active(true);
        dtls.handle_timeout(instant(now)).unwrap();
        let client = Client {
            dtls,
            timeout: None,
            material: None,
            sctp: None,
            texts: Vec::new(),
            acknowledged: false,
            stream: 0,
            closed: false,
        };
        let server = Association::new(EndpointId(7), &certificate, now);
        let mut world = World {
            server,
            client,
            client_fingerprint,
            now,
            to_server: vec![],
            to_client: vec![],
            outputs: vec![],
        };
        world.collect();
        world
    }

    /// A world whose handshake went through, SCTP included, channel open.
    pub(super) fn open(dialect: Dialect) -> World {
        let mut world = World::new(dialect, 1_150);
        let fingerprint = world.client_fingerprint.clone();
        world.server.set_remote_fingerprints(&[fingerprint], world.now);
        world.run(&mut perfect, 50);
        world.client.connect_sctp();
        world.run(&mut perfect, 50);
        world.client.open_channel(0, b"JVB data channel", b"http://jitsi.org/protocols/colibri");
        world.run(&mut perfect, 50);
        assert!(world.client.acknowledged);
        assert!(world.outputs.contains(&Output::ChannelOpened));
        world
    }

    pub(super) fn keys(&self) -> Option<&SrtpKeys> {
        self.outputs.iter().find_map(|output| match output {
            Output::Keys(keys) => Some(keys),
            _ => None,
        })
    }

    pub(super) fn texts(&self) -> Vec<&str> {
        fn text(output: &Output) -> Option<&str> {
            match output {
                Output::Text(text) => Some(text.as_str()),
                _ => None,
            }
        }
        self.outputs.iter().filter_map(text).collect()
    }

    pub(super) fn failure(&self) -> Option<&FailReason> {
        self.outputs.iter().find_map(|output| match output {
            Output::Failed(reason) => Some(reason),
            _ => None,
        })
    }

    pub(super) fn collect(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Datagram(datagram) => {
                    assert!(datagram.len() <= 1_200, "a datagram of {} bytes", datagram.len());
                    self.to_client.push(datagram);
                }
                other => self.outputs.push(other),
            }
        }
        self.client.drain(self.now, &mut self.to_server);
    }

    /// Exchanges datagrams, letting time pass where nothing is under way, until nothing happens or `steps` are over.
    pub(super) fn run(&mut self, network: Network<'_>, steps: usize) {
        for _ in 0..steps {
            self.collect();
            if self.to_server.is_empty() && self.to_client.is_empty() {
                let next = self.server.poll_timeout().min(self.client.timeout());
                if next > self.now + Duration::from_secs(40) {
                    return;
                }
                self.now = self.now.max(next);
                self.server.handle_timeout(self.now);
                self.client.handle_timeout(self.now);
                continue;
            }
            self.now = self.now + Duration::from_millis(1);
            for datagram in network("to server", core::mem::take(&mut self.to_server)) {
                self.server.datagram(&datagram, self.now);
            }
            for datagram in network("to client", core::mem::take(&mut self.to_client)) {
                self.client.datagram(&datagram, self.now);
                self.client.drain(self.now, &mut self.to_server);
            }
        }
    }
}

impl Client {
    pub(super) fn timeout(&self) -> Timestamp {
        let sctp = self.sctp.as_ref().and_then(|(_, _, association)| association.poll_timeout());
        self.timeout.into_iter().chain(sctp).min().map_or(Timestamp::NEVER, timestamp)
    }

    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        if self.dtls.handle_timeout(instant(now)).is_err() {
            self.timeout = None;
            self.closed = true;
        }
        if let Some((_, _, association)) = &mut self.sctp {
            association.handle_timeout(instant(now));
        }
    }

    pub(super) fn datagram(&mut self, datagram: &[u8], now: Timestamp) {
        if self.closed || self.dtls.handle_timeout(instant(now)).is_err() {
            return;
        }
        self.closed |= self.dtls.handle_packet(datagram).is_err();
    }

    pub(super) fn connect_sctp(&mut self) {
        let mut config = EndpointConfig::new();
        config.max_payload_size(1_000);
        let mut endpoint = Endpoint::new(Arc::new(config), None);
        let (handle, association) =
            endpoint.connect(ClientConfig::new(), "127.0.0.1:5000".parse().unwrap()).unwrap();
        self.sctp = Some((endpoint, handle, association));
    }

    pub(super) fn open_channel(&mut self, id: u16, label: &[u8], protocol: &[u8]) {
        let mut open = vec![0x03, 0, 0, 0, 0, 0, 0, 0];
        open.extend_from_slice(&(label.len() as u16).to_be_bytes());
        open.extend_from_slice(&(protocol.len() as u16).to_be_bytes());
        open.extend_from_slice(label);
        open.extend_from_slice(protocol);
        let (_, _, association) = self.sctp.as_mut().unwrap();
        association.open_stream(id, PayloadProtocolIdentifier::String).unwrap();
        self.write(id, &open, PayloadProtocolIdentifier::Dcep);
    }

    pub(super) fn write(&mut self, id: u16, message: &[u8], ppi: PayloadProtocolIdentifier) {
        let (_, _, association) = self.sctp.as_mut().unwrap();
        association.stream(id).unwrap().write_with_ppi(message, ppi).unwrap();
    }

    pub(super) fn drain(&mut self, now: Timestamp, out: &mut Vec<Vec<u8>>) {
        if self.closed {
            return;
        }
        self.drain_dtls(now, out);
        let mut packets = Vec::new();
        if let Some((_, _, association)) = &mut self.sctp {
            while let Some(transmit) = association.poll_transmit(instant(now)) {
                if let Payload::RawEncode(contents) = transmit.payload {
                    packets.extend(contents);
                }
            }
        }
        for packet in packets {
            self.dtls.send_application_data(&packet).unwrap();
            self.drain_dtls(now, out);
        }
    }

    pub(super) fn drain_dtls(&mut self, now: Timestamp, out: &mut Vec<Vec<u8>>) {
        let mut buffer = vec![0; 4_096];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                dimpl::Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return;
                }
                dimpl::Output::Packet(packet) => out.push(packet.to_vec()),
                dimpl::Output::KeyingMaterial(material, profile) => {
                    self.material = Some((material.to_vec(), profile))
                }
                dimpl::Output::ApplicationData(data) => {
                    let data = Bytes::copy_from_slice(data);
                    self.sctp_packet(data, now);
                }
                dimpl::Output::BufferTooSmall { .. } => panic!("4 KiB hold any record"),
                _ => {}
            }
        }
    }

    pub(super) fn sctp_packet(&mut self, packet: Bytes, now: Timestamp) {
        let Some((endpoint, _, association)) = &mut self.sctp else { return };
        let from = "127.0.0.1:5000".parse().unwrap();
        if let Some((_, DatagramEvent::AssociationEvent(event))) =
            endpoint.handle(instant(now), from, None, None, packet)
        {
            association.handle_event(event);
        }
        while let Some(event) = association.poll() {
            let Event::Stream(StreamEvent::Readable { id }) = event else { continue };
            while let Ok(Some(message)) = association.stream(id).unwrap().read_sctp() {
                let mut bytes = vec![0; message.len()];
                message.read(&mut bytes).unwrap();
                match message.ppi {
                    PayloadProtocolIdentifier::Dcep => self.acknowledged = bytes == [0x02],
                    PayloadProtocolIdentifier::String => self.texts.push(String::from_utf8(bytes).unwrap()),
                    other => panic!("the bridge sends no {other}"),
                }
                self.stream = id;
            }
        }
    }
}

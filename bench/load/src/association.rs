//! DTLS (RFC 5764) and the data channel inside it (RFC 8831, 8832), in the client's role.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use aws_lc_rs::digest;
use bytes::Bytes;
use contract::session::{SrtpKeys, SrtpProfile};
use dimpl::Dtls;
use sctp_proto::{
    AssociationHandle, ClientConfig, DatagramEvent, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier, StreamEvent, TransportConfig,
};

/// A certificate that all endpoints of a run share.
#[derive(Clone)]
pub struct Certificate {
    certificate: dimpl::DtlsCertificate,
    config: Arc<dimpl::Config>,
}

impl Certificate {
    /// Makes a key and a self-signed certificate.
    ///
    /// # Errors
    /// If the crypto library refuses, in its words.
    pub fn generate() -> Result<Certificate, String> {
        let certificate =
            dimpl::certificate::generate_self_signed_certificate().map_err(|error| error.to_string())?;
        let config = dimpl::Config::builder()
            .mtu(MTU)
            .max_queue_rx(128)
            .require_client_certificate(true)
            .handshake_timeout(HANDSHAKE_TIMEOUT)
            .flight_start_rto(FLIGHT_START_RTO)
            .flight_retries(FLIGHT_RETRIES)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Certificate { certificate, config: Arc::new(config) })
    }

    /// SHA-256 as pairs of digits with colons (RFC 8122 §5).
    pub fn fingerprint(&self) -> String {
        fingerprint("sha-256", &self.certificate.certificate).unwrap_or_default()
    }
}

/// What an association wants done.
#[derive(Debug)]
pub enum Output {
    /// Send this.
    Datagram(Vec<u8>),
    /// The handshake is over and the certificate is the signalled one.
    Keys(SrtpKeys),
    /// The data channel is open.
    ChannelOpened,
    /// A message on it.
    Text(String),
    /// It is of no more use.
    Failed(String),
}

/// One endpoint's association.
pub struct Association {
    dtls: Dtls,
    active: bool,
    fingerprints: Vec<(String, String)>,
    certificate: Option<Vec<u8>>,
    established: bool,
    dtls_timeout: Option<Instant>,
    channel: Option<Channel>,
    scratch: Vec<u8>,
    outputs: Vec<Output>,
}

/// SCTP with its one data channel.
struct Channel {
    endpoint: sctp_proto::Endpoint,
    live: Option<(AssociationHandle, sctp_proto::Association)>,
    label: String,
    protocol: String,
    open: bool,
}

impl Association {
    /// An association that is yet to begin. `fingerprints` are of the other side; `active` = we send the ClientHello;
    /// `channel` = label and protocol of the data channel to open.
    pub fn new(
        certificate: &Certificate,
        fingerprints: Vec<(String, String)>,
        active: bool,
        channel: Option<(String, String)>,
        now: Instant,
    ) -> Association {
        let mut dtls = Dtls::new_auto(certificate.config.clone(), certificate.certificate.clone(), now);
        dtls.set_active(active);
        let channel = channel.map(|(label, protocol)| Channel {
            endpoint: sctp_proto::Endpoint::new(Arc::new(EndpointConfig::new()), None),
            live: None,
            label,
            protocol,
            open: false,
        });
        Association {
            dtls,
            active,
            fingerprints,
            certificate: None,
            established: false,
            dtls_timeout: None,
            channel,
            scratch: vec![0; 2_048],
            outputs: Vec::new(),
        }
    }

    /// Takes a datagram.
    pub fn datagram(&mut self, datagram: &[u8], now: Instant) {
        if let Err(error) = self.dtls.handle_packet(datagram) {
            self.outputs.push(Output::Failed(format!("DTLS: {error}")));
            return;
        }
        self.drain(now);
    }

    /// Advances timers; the first call begins.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Err(error) = self.dtls.handle_timeout(now) {
            self.outputs.push(Output::Failed(format!("DTLS: {error}")));
            return;
        }
        if let Some((_, association)) = self.channel.as_mut().and_then(|channel| channel.live.as_mut()) {
            association.handle_timeout(now);
        }
        self.drain(now);
    }

    /// When [`Association::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let live = self.channel.as_ref().and_then(|channel| channel.live.as_ref());
        let sctp = live.and_then(|(_, association)| association.poll_timeout());
        self.dtls_timeout.into_iter().chain(sctp).min()
    }

    /// Sends a message on the data channel; before it is open it is lost, as the adapter waits for that.
    pub fn send_text(&mut self, text: &str, now: Instant) {
        if let Some((_, association)) = self.channel.as_mut().and_then(|channel| channel.live.as_mut())
            && let Ok(mut stream) = association.stream(CHANNEL)
        {
            let _ = stream.write_with_ppi(text.as_bytes(), PayloadProtocolIdentifier::String);
        }
        self.drain(now);
    }

    /// What to do.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    fn drain(&mut self, now: Instant) {
        self.drain_dtls(now);
        self.drain_channel(now);
    }

    fn drain_dtls(&mut self, now: Instant) {
        let mut begun = false;
        loop {
            match self.dtls.poll_output(&mut self.scratch) {
                dimpl::Output::Timeout(at) => {
                    self.dtls_timeout = Some(at);
                    break;
                }
                dimpl::Output::BufferTooSmall { needed } => self.scratch.resize(needed, 0),
                dimpl::Output::Packet(packet) => self.outputs.push(Output::Datagram(packet.to_vec())),
                dimpl::Output::PeerCert(der) => self.certificate = Some(der.to_vec()),
                dimpl::Output::KeyingMaterial(material, profile) => {
                    let keys = split_keys(&material, profile, self.active);
                    let proved =
                        self.certificate.as_deref().is_some_and(|der| matches(der, &self.fingerprints));
                    self.outputs.push(match keys {
                        _ if !proved => Output::Failed("DTLS: another certificate than signalled".into()),
                        Some(keys) => {
                            self.established = true;
                            begun = true;
                            Output::Keys(keys)
                        }
                        None => Output::Failed("DTLS: an SRTP profile that we do not know".into()),
                    });
                }
                dimpl::Output::ApplicationData(data) => {
                    let data = Bytes::copy_from_slice(data);
                    if let Some(channel) = &mut self.channel {
                        channel.packet(data, now);
                    }
                }
                dimpl::Output::CloseNotify => {
                    self.outputs.push(Output::Failed("DTLS: closed by the other side".into()));
                }
                _ => {}
            }
        }
        if begun && let Some(channel) = &mut self.channel {
            channel.connect();
        }
    }

    fn drain_channel(&mut self, now: Instant) {
        let (true, Some(channel)) = (self.established, &mut self.channel) else { return };
        channel.drive(&mut self.outputs);
        let packets = channel.packets(now);
        for packet in packets {
            if self.dtls.send_application_data(&packet).is_err() {
                self.outputs.push(Output::Failed("DTLS: data cannot be sent".into()));
                return;
            }
            // Its queue is short.
            self.drain_dtls(now);
        }
    }
}

impl Channel {
    fn connect(&mut self) {
        let transport = TransportConfig::default()
            .with_max_receive_message_size(MESSAGE_BYTES_MAX)
            .with_max_send_message_size(MESSAGE_BYTES_MAX)
            .with_rto_initial_ms(500)
            .with_rto_min_ms(200)
            .with_rto_max_ms(3_000);
        let mut config = ClientConfig::new();
        config.transport = Arc::new(transport);
        self.live = self.endpoint.connect(config, OTHER).ok();
    }

    fn packet(&mut self, packet: Bytes, now: Instant) {
        let Some((handle, association)) = &mut self.live else { return };
        if let Some((at, DatagramEvent::AssociationEvent(event))) =
            self.endpoint.handle(now, OTHER, None, None, packet)
            && at == *handle
        {
            association.handle_event(event);
        }
    }

    fn drive(&mut self, outputs: &mut Vec<Output>) {
        let Some((handle, association)) = &mut self.live else { return };
        while let Some(event) = association.poll() {
            match event {
                Event::Connected => {
                    if let Ok(mut stream) =
                        association.open_stream(CHANNEL, PayloadProtocolIdentifier::String)
                    {
                        let open = open_message(&self.label, &self.protocol);
                        let _ = stream.write_with_ppi(&open, PayloadProtocolIdentifier::Dcep);
                    }
                }
                Event::Stream(StreamEvent::Readable { .. } | StreamEvent::Opened { .. }) => {}
                Event::HandshakeFailed { .. } | Event::AssociationLost { .. } => {
                    outputs.push(Output::Failed("SCTP: the association was lost".into()));
                }
                _ => {}
            }
        }
        while let Ok(mut stream) = association.stream(CHANNEL)
            && let Ok(Some(message)) = stream.read_sctp()
        {
            let mut bytes = vec![0; message.len()];
            if message.read(&mut bytes).is_err() {
                continue;
            }
            match message.ppi {
                PayloadProtocolIdentifier::Dcep if !self.open => {
                    self.open = true;
                    outputs.push(Output::ChannelOpened);
                }
                PayloadProtocolIdentifier::String => {
                    outputs.extend(String::from_utf8(bytes).ok().map(Output::Text));
                }
                _ => {}
            }
        }
        while let Some(event) = association.poll_endpoint_event() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                association.handle_event(event);
            }
        }
    }

    fn packets(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let Some((_, association)) = &mut self.live else { return Vec::new() };
        let mut packets = Vec::new();
        while let Some(transmit) = association.poll_transmit(now) {
            if let Payload::RawEncode(parts) = transmit.payload {
                packets.extend(parts.into_iter().map(|part| part.to_vec()));
            }
        }
        packets
    }
}

/// RFC 8832 §5.1: reliable, ordered.
fn open_message(label: &str, protocol: &str) -> Vec<u8> {
    let mut message = vec![0x03, 0x00, 0x00, 0x00, 0, 0, 0, 0];
    message.extend_from_slice(&(label.len() as u16).to_be_bytes());
    message.extend_from_slice(&(protocol.len() as u16).to_be_bytes());
    message.extend_from_slice(label.as_bytes());
    message.extend_from_slice(protocol.as_bytes());
    message
}

fn matches(der: &[u8], fingerprints: &[(String, String)]) -> bool {
    fingerprints.iter().any(|(hash, digits)| {
        fingerprint(hash, der).is_some_and(|own| own.eq_ignore_ascii_case(digits.trim()))
    })
}

fn fingerprint(hash: &str, der: &[u8]) -> Option<String> {
    let algorithm = match hash.to_ascii_lowercase().as_str() {
        "sha-256" => &digest::SHA256,
        "sha-384" => &digest::SHA384,
        "sha-512" => &digest::SHA512,
        _ => return None,
    };
    let digest = digest::digest(algorithm, der);
    Some(digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
}

/// RFC 5764 §4.2: client key, server key, client salt, server salt.
fn split_keys(material: &[u8], profile: dimpl::SrtpProfile, client: bool) -> Option<SrtpKeys> {
    let profile = match profile {
        dimpl::SrtpProfile::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
        dimpl::SrtpProfile::AEAD_AES_256_GCM => SrtpProfile::AeadAes256Gcm,
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => SrtpProfile::Aes128CmHmacSha1_80,
        _ => return None,
    };
    let (key, salt) = profile.key_and_salt_bytes();
    let part = |at: usize, len: usize| material.get(at..at + len);
    let of = |who: usize| -> Option<ArrayVec<u8, 46>> {
        Some(part(who * key, key)?.iter().chain(part(2 * key + who * salt, salt)?).copied().collect())
    };
    let (by_client, by_server) = (of(0)?, of(1)?);
    let (inbound, outbound) = if client { (by_server, by_client) } else { (by_client, by_server) };
    Some(SrtpKeys { profile, inbound, outbound })
}

/// What browsers assume of every path.
const MTU: usize = 1_200;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// As browsers do: a unit that makes its DTLS state once ICE is done drops the ClientHello that overtakes it.
const FLIGHT_START_RTO: Duration = Duration::from_millis(50);
/// Doubling from there, the handshake's limit strikes first.
const FLIGHT_RETRIES: usize = 10;
/// RFC 8831 §6.5: the DTLS client has even ids; one is used.
const CHANNEL: u16 = 0;
const MESSAGE_BYTES_MAX: u32 = 256 * 1_024;
/// SCTP inside DTLS has no addresses, but the crate wants one.
const OTHER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5_000);

#[cfg(test)]
mod tests {
    use contract::{EndpointId, Timestamp};

    use super::*;

    /// Our association against the one of the server, over a wire that loses nothing.
    struct World {
        ours: Association,
        theirs: channel::Association,
        now: Instant,
        now_us: u64,
        said: Vec<Output>,
        heard: Vec<channel::Output>,
    }

    fn world(change: impl FnOnce(&mut Vec<(String, String)>)) -> World {
        let certificate = Certificate::generate().unwrap();
        let other = channel::Certificate::generate().unwrap();
        let mut fingerprints = vec![("sha-256".to_owned(), other.fingerprint().to_text())];
        change(&mut fingerprints);
        let channel = Some(("JVB data channel".to_owned(), "http://jitsi.org/protocols/colibri".to_owned()));
        let now = Instant::now();
        let mut theirs = channel::Association::new(EndpointId(1), &other, Timestamp::ZERO);
        let value = digest::digest(&digest::SHA256, &certificate.certificate.certificate).as_ref().to_vec();
        let own = channel::Fingerprint { hash: "sha-256".into(), value };
        theirs.set_remote_fingerprints(&[own], Timestamp::ZERO);
        let mut ours = Association::new(&certificate, fingerprints, true, channel, now);
        ours.handle_timeout(now);
        World { ours, theirs, now, now_us: 0, said: Vec::new(), heard: Vec::new() }
    }

    impl World {
        fn run(&mut self) {
            for _ in 0..200 {
                self.now += Duration::from_millis(5);
                self.now_us += 5_000;
                let at = Timestamp::from_micros(self.now_us);
                for output in self.ours.take_outputs() {
                    match output {
                        Output::Datagram(datagram) => self.theirs.datagram(&datagram, at),
                        other => self.said.push(other),
                    }
                }
                while let Some(output) = self.theirs.poll_output() {
                    match output {
                        channel::Output::Datagram(datagram) => self.ours.datagram(&datagram, self.now),
                        other => self.heard.push(other),
                    }
                }
                if self.theirs.poll_timeout() <= at {
                    self.theirs.handle_timeout(at);
                }
                if self.ours.poll_timeout().is_some_and(|due| due <= self.now) {
                    self.ours.handle_timeout(self.now);
                }
            }
        }

        fn says(&self, what: impl Fn(&Output) -> bool) -> bool {
            self.said.iter().any(what)
        }
    }

    #[test]
    fn both_sides_get_the_same_keys_and_talk_on_the_channel() {
        let mut world = world(|_| {});
        world.run();
        let ours = world.said.iter().find_map(|output| match output {
            Output::Keys(keys) => Some(keys.clone()),
            _ => None,
        });
        let theirs = world.heard.iter().find_map(|output| match output {
            channel::Output::Keys(keys) => Some(keys.clone()),
            _ => None,
        });
        let (ours, theirs) = (ours.expect("keys"), theirs.expect("keys"));
        assert!(ours.inbound == theirs.outbound && ours.outbound == theirs.inbound);
        assert!(world.says(|output| matches!(output, Output::ChannelOpened)), "{:?}", world.said);
        assert!(world.heard.contains(&channel::Output::ChannelOpened));
        world.ours.send_text("to the bridge", world.now);
        world.theirs.send_text("to the client", Timestamp::from_micros(world.now_us)).unwrap();
        world.run();
        assert!(world.heard.contains(&channel::Output::Text("to the bridge".into())));
        assert!(world.says(|output| matches!(output, Output::Text(text) if text == "to the client")));
    }

    #[test]
    fn another_certificate_than_signalled_is_refused() {
        let mut world = world(|fingerprints| fingerprints[0].1.replace_range(..2, "00"));
        world.run();
        assert!(
            world.says(|output| matches!(output, Output::Failed(why) if why.contains("another certificate")))
        );
        assert!(!world.says(|output| matches!(output, Output::Keys(_))));
    }
}

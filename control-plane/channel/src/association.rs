//! One endpoint's DTLS association (RFC 5764) from first datagram to last message.

use std::collections::VecDeque;
use std::time::Instant;

use arrayvec::ArrayVec;
use bytes::Bytes;
use contract::limits::HANDSHAKE_TIMEOUT;
use contract::session::{SrtpKeys, SrtpProfile};
use contract::{EndpointId, Timestamp};
use dimpl::Dtls;

use crate::certificate::Certificate;
use crate::client_hello::{FirstFlight, Progress, Version};
use crate::clock::{instant, timestamp};
use crate::fingerprint::{self, Fingerprint, Mismatch};
use crate::sctp::{self, Sctp};

/// What an association wants done. Drain with [`Association::poll_output`] after every call.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to the client, at most 1,200 bytes.
    Datagram(Vec<u8>),
    /// The handshake is over and the certificate is the signalled one: media may flow. Once.
    Keys(SrtpKeys),
    /// The client opened the bridge channel; send the initial burst.
    ChannelOpened,
    /// A message on the bridge channel.
    Text(String),
    /// The bridge channel ended, the association did not; the client may open another.
    ChannelClosed,
    /// The client ended the association in order. Nothing follows.
    Closed,
    /// The association is of no more use. Nothing follows.
    Failed(FailReason),
}

/// Why an association failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailReason {
    /// The handshake took longer than [`HANDSHAKE_TIMEOUT`].
    #[error("handshake timed out")]
    Timeout,
    /// The certificate is not that of the signalled peer.
    #[error("{0}")]
    Fingerprint(Mismatch),
    /// The client offers no version, cipher suite or SRTP profile that we accept, or no `use_srtp` at all.
    #[error("no acceptable version, cipher suite or SRTP profile offered")]
    Policy,
    /// The DTLS library gave up.
    #[error("{0}")]
    Protocol(String),
}

/// Why a message cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no bridge channel.
    #[error("no channel is open")]
    NotOpen,
    /// Longer than 64 KiB.
    #[error("message too long")]
    TooLong,
    /// The client does not read: too much waits already.
    #[error("too much waits to be sent")]
    Full,
}

/// What was refused and went no further. All rise for the life of the association.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams before the handshake that were no ClientHello.
    pub noise: u64,
    /// Records with data before the certificate was verified, beyond those that are kept.
    pub early_dropped: u64,
    /// SCTP packets that begin or belong to no association of ours.
    pub sctp_rejected: u64,
    /// Malformed channel openings.
    pub dcep_rejected: u64,
    /// Well-formed openings of a second channel.
    pub channels_ignored: u64,
    /// Messages that were binary, too long, not UTF-8, or on another channel.
    pub messages_rejected: u64,
}

/// A DTLS association. We are the server unless told otherwise: the server picks the SRTP profile.
pub struct Association {
    endpoint: EndpointId,
    certificate: Certificate,
    phase: Phase,
    dtls_timeout: Option<Instant>,
    remote: Option<Vec<Fingerprint>>,
    peer_certificate: Option<Vec<u8>>,
    material: Option<(dimpl::KeyingMaterial, dimpl::SrtpProfile)>,
    early: Vec<Bytes>,
    sctp: Sctp,
    outputs: VecDeque<Output>,
    scratch: Vec<u8>,
    counters: Counters,
}

/// How far it has come.
enum Phase {
    /// Waiting for a whole ClientHello; `since` is when its first part came.
    FirstFlight { flight: FirstFlight, since: Option<Timestamp> },
    /// Handshaking.
    Handshake { dtls: Box<Dtls>, client: bool },
    /// Handshake over, fingerprints not yet signalled.
    Unverified { dtls: Box<Dtls>, client: bool },
    /// In use.
    Established { dtls: Box<Dtls> },
    /// Closed or failed.
    Over,
}

impl Phase {
    fn dtls(&mut self) -> Option<&mut Dtls> {
        match self {
            Phase::Handshake { dtls, .. } | Phase::Unverified { dtls, .. } | Phase::Established { dtls } => {
                Some(dtls)
            }
            Phase::FirstFlight { .. } | Phase::Over => None,
        }
    }
}

impl Association {
    /// A server waiting for the client's first flight.
    pub fn new(endpoint: EndpointId, certificate: &Certificate, _now: Timestamp) -> Association {
        Association {
            endpoint,
            certificate: certificate.clone(),
            phase: Phase::FirstFlight { flight: FirstFlight::default(), since: None },
            dtls_timeout: None,
            remote: None,
            peer_certificate: None,
            material: None,
            early: Vec::new(),
            sctp: Sctp::new(),
            outputs: VecDeque::new(),
            scratch: vec![0; SCRATCH_BYTES],
            counters: Counters::default(),
        }
    }

    /// Whose association this is.
    pub fn endpoint(&self) -> EndpointId {
        self.endpoint
    }

    /// What was refused so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether keys were given out and the association still stands.
    pub fn is_established(&self) -> bool {
        matches!(self.phase, Phase::Established { .. })
    }

    /// The client answered `passive`: become the DTLS client and send our hello. Does nothing once the client has begun.
    pub fn connect(&mut self, now: Timestamp) {
        if !matches!(self.phase, Phase::FirstFlight { since: None, .. }) {
            return;
        }
        let Certificate { config, dtls, .. } = &self.certificate;
        let mut dtls = Box::new(Dtls::new_auto(config.clone(), dtls.clone(), instant(now)));
        dtls.set_active(true);
        self.phase = Phase::Handshake { dtls, client: true };
        self.handle_timeout(now);
    }

    /// The certificate fingerprints that signalling told. If the handshake is over already, keys come out now.
    pub fn set_remote_fingerprints(&mut self, fingerprints: &[Fingerprint], now: Timestamp) {
        self.remote = Some(fingerprints.iter().take(FINGERPRINTS_MAX).cloned().collect());
        self.verify();
        self.transmit(now);
    }

    /// Takes a datagram from the client. Noise is dropped.
    pub fn datagram(&mut self, datagram: &[u8], now: Timestamp) {
        if let Phase::FirstFlight { flight, since } = &mut self.phase {
            match flight.datagram(datagram) {
                Progress::Ignored => self.counters.noise += 1,
                Progress::Incomplete => *since = since.or(Some(now)),
                Progress::Refused => self.fail(FailReason::Policy),
                Progress::Complete(version, datagrams) => self.begin(version, &datagrams, now),
            }
            return;
        }

        self.feed(datagram, now);
    }

    /// Sends a message on the bridge channel.
    ///
    /// # Errors
    /// If there is no channel, the message is over 64 KiB, or 256 KiB wait already.
    pub fn send_text(&mut self, text: &str, now: Timestamp) -> Result<(), SendError> {
        if !self.is_established() {
            return Err(SendError::NotOpen);
        }
        self.sctp.send_text(text, instant(now), &mut self.counters)?;
        self.transmit(now);
        Ok(())
    }

    /// Ends the association with a close_notify.
    pub fn close(&mut self, now: Timestamp) {
        if let Some(dtls) = self.phase.dtls()
            && dtls.close().is_ok()
        {
            self.drain(now);
        }
        self.phase = Phase::Over;
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Association::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Timestamp {
        let sctp = || self.sctp.poll_timeout();
        let first = match &self.phase {
            Phase::Over => return Timestamp::NEVER,
            Phase::FirstFlight { since, .. } => {
                return since.map_or(Timestamp::NEVER, |since| since + HANDSHAKE_TIMEOUT);
            }
            Phase::Handshake { .. } | Phase::Unverified { .. } => self.dtls_timeout,
            Phase::Established { .. } => self.dtls_timeout.into_iter().chain(sctp()).min(),
        };
        first.map_or(Timestamp::NEVER, timestamp)
    }

    /// Advances timers.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if let Phase::FirstFlight { since: Some(since), .. } = &self.phase {
            if now >= *since + HANDSHAKE_TIMEOUT {
                self.fail(FailReason::Timeout);
            }
            return;
        }
        if !self.advance(now) {
            return;
        }
        if self.is_established() {
            self.sctp.handle_timeout(instant(now), &mut self.counters);
        }
        self.drain(now);
    }

    /// The ClientHello is whole: start the server it asks for and play the first flight to it.
    fn begin(&mut self, version: Version, datagrams: &[Vec<u8>], now: Timestamp) {
        let Certificate { config, dtls, .. } = &self.certificate;
        let (config, own, at) = (config.clone(), dtls.clone(), instant(now));
        let dtls = Box::new(match version {
            Version::Dtls12 => Dtls::new_12(config, own, at),
            Version::Dtls13 => Dtls::new_13(config, own, at),
        });
        self.phase = Phase::Handshake { dtls, client: false };
        for datagram in datagrams {
            self.feed(datagram, now);
        }
    }

    fn feed(&mut self, datagram: &[u8], now: Timestamp) {
        if !self.advance(now) {
            return;
        }
        let result = self.phase.dtls().map(|dtls| dtls.handle_packet(datagram));
        if let Some(Err(error)) = result {
            self.fail(FailReason::from(error));
            return;
        }
        self.drain(now);
    }

    /// Tells DTLS the time; false if there is no DTLS, or none any more.
    fn advance(&mut self, now: Timestamp) -> bool {
        match self.phase.dtls().map(|dtls| dtls.handle_timeout(instant(now))) {
            None => false,
            Some(Ok(())) => true,
            Some(Err(error)) => {
                self.fail(FailReason::from(error));
                false
            }
        }
    }

    /// Collects what DTLS has ready, then what SCTP makes of it.
    fn drain(&mut self, now: Timestamp) {
        self.drain_dtls(now);
        self.transmit(now);
    }

    fn drain_dtls(&mut self, now: Timestamp) {
        let mut connected = false;
        let mut closed = false;
        while let Some(dtls) = self.phase.dtls() {
            match dtls.poll_output(&mut self.scratch) {
                dimpl::Output::Timeout(at) => {
                    self.dtls_timeout = Some(at);
                    break;
                }
                dimpl::Output::BufferTooSmall { needed } => self.scratch.resize(needed, 0),
                dimpl::Output::Packet(packet) => self.outputs.push_back(Output::Datagram(packet.to_vec())),
                dimpl::Output::Connected => connected = true,
                dimpl::Output::PeerCert(der) => self.peer_certificate = Some(der.to_vec()),
                dimpl::Output::KeyingMaterial(material, profile) => self.material = Some((material, profile)),
                dimpl::Output::CloseNotify => closed = true,
                dimpl::Output::ApplicationData(data) => {
                    let data = Bytes::copy_from_slice(data);
                    if matches!(self.phase, Phase::Established { .. }) {
                        self.sctp.packet(data, instant(now), &mut self.counters);
                    } else if self.early.len() < EARLY_PACKETS_MAX {
                        self.early.push(data);
                    } else {
                        self.counters.early_dropped += 1;
                    }
                }
                _ => {}
            }
        }

        if connected
            && let Phase::Handshake { dtls, client } = core::mem::replace(&mut self.phase, Phase::Over)
        {
            self.phase = Phase::Unverified { dtls, client };
            self.verify();
        }
        if closed {
            self.phase = Phase::Over;
            self.outputs.push_back(Output::Closed);
        }
    }

    /// Gives out the keys if the handshake is over and the certificate is the signalled one.
    fn verify(&mut self) {
        let (Phase::Unverified { client, .. }, Some(remote)) = (&self.phase, &self.remote) else { return };
        let client = *client;
        let Some(certificate) = self.peer_certificate.as_deref() else {
            self.fail(FailReason::Fingerprint(Mismatch::Different));
            return;
        };
        if let Err(mismatch) = fingerprint::verify(certificate, remote) {
            self.fail(FailReason::Fingerprint(mismatch));
            return;
        }
        let keys =
            self.material.take().and_then(|(material, profile)| split_keys(&material, profile, client));
        let Some(keys) = keys else {
            self.fail(FailReason::Policy);
            return;
        };

        if let Phase::Unverified { dtls, .. } = core::mem::replace(&mut self.phase, Phase::Over) {
            self.phase = Phase::Established { dtls };
        }
        self.peer_certificate = None;
        // Ahead of our last flight: the client sends media as soon as it has that, and keys have the longer way.
        self.outputs.push_front(Output::Keys(keys));
    }

    /// Wraps what SCTP has ready into records. DTLS is drained after each: its queue is short and overflowing it is fatal.
    fn transmit(&mut self, now: Timestamp) {
        if !self.is_established() {
            return;
        }
        for packet in core::mem::take(&mut self.early) {
            self.sctp.packet(packet, instant(now), &mut self.counters);
        }
        while let Some(output) = self.sctp.poll_output() {
            match output {
                sctp::Output::Opened => self.outputs.push_back(Output::ChannelOpened),
                sctp::Output::Text(text) => self.outputs.push_back(Output::Text(text)),
                sctp::Output::Closed => self.outputs.push_back(Output::ChannelClosed),
                sctp::Output::Packet(packet) => {
                    let result = self.phase.dtls().map(|dtls| dtls.send_application_data(&packet));
                    if let Some(Err(error)) = result {
                        self.fail(FailReason::from(error));
                        return;
                    }
                    self.drain_dtls(now);
                }
            }
        }
    }

    fn fail(&mut self, reason: FailReason) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        self.phase = Phase::Over;
        self.early = Vec::new();
        self.material = None;
        self.outputs.push_back(Output::Failed(reason));
    }
}

impl From<dimpl::Error> for FailReason {
    fn from(error: dimpl::Error) -> FailReason {
        match error {
            dimpl::Error::Timeout(_) => FailReason::Timeout,
            dimpl::Error::SecurityError(_) => FailReason::Policy,
            other => FailReason::Protocol(other.to_string()),
        }
    }
}

/// Splits exported keying material: client key, server key, client salt, server salt (RFC 5764 §4.2).
fn split_keys(material: &[u8], profile: dimpl::SrtpProfile, client: bool) -> Option<SrtpKeys> {
    let profile = match profile {
        dimpl::SrtpProfile::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
        dimpl::SrtpProfile::AEAD_AES_256_GCM => SrtpProfile::AeadAes256Gcm,
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => SrtpProfile::Aes128CmHmacSha1_80,
        _ => return None,
    };
    let (key_bytes, salt_bytes) = profile.key_and_salt_bytes();
    let (client_key, rest) = material.split_at_checked(key_bytes)?;
    let (server_key, rest) = rest.split_at_checked(key_bytes)?;
    let (client_salt, rest) = rest.split_at_checked(salt_bytes)?;
    let server_salt = rest.get(..salt_bytes)?;

    let joined = |key: &[u8], salt: &[u8]| key.iter().chain(salt).copied().collect::<ArrayVec<u8, 46>>();
    let (by_client, by_server) = (joined(client_key, client_salt), joined(server_key, server_salt));
    let (inbound, outbound) = if client { (by_server, by_client) } else { (by_client, by_server) };
    Some(SrtpKeys { profile, inbound, outbound })
}

/// SCTP packets kept while the certificate is not yet verified; as many as the bridge that clients know keeps.
const EARLY_PACKETS_MAX: usize = 100;

/// Fingerprints of one description that are looked at.
const FINGERPRINTS_MAX: usize = 16;

/// Room for any one record; grows if the library asks.
const SCRATCH_BYTES: usize = 2_048;

#[cfg(test)]
mod tests;

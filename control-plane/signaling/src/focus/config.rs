//! What the focus is configured with.

use std::time::Duration;

use xmpp::jid::FullJid;

use crate::association::Fingerprint;
use crate::colibri2::model::BridgeConfig;
use crate::jingle::description::CodecConfig;

/// What the focus is configured with. Build it by [`FocusConfig::new`] and change what differs.
#[derive(Clone, Debug)]
pub struct FocusConfig {
    /// Full address of the focus user, such as `focus@auth.meet.example/focus`.
    pub focus_jid: FullJid,
    /// Our DTLS certificate.
    pub fingerprint: Fingerprint,
    /// Public prefix of bridge-channel WebSockets, such as `wss://meet.example/colibri-ws/default`; `None` offers none.
    pub colibri_ws_base: Option<String>,
    /// Whether data channels are offered. Clients prefer them to the WebSocket.
    pub sctp: bool,
    /// What is offered.
    pub codecs: CodecConfig,
    /// Whether clients that can are told sources over the bridge channel only.
    pub ssrc_rewriting: bool,
    /// Whether other clients are told only the lowest simulcast layer, which is all that they understand.
    pub strip_simulcast: bool,
    /// Whether clients may restart ICE in place.
    pub ice_restart: bool,
    /// Whether the first occupant is made an owner while there is no other.
    pub auto_owner: bool,
    /// With fewer occupants there are no sessions.
    pub participants_min: usize,
    /// A conference that nobody joins ends after this.
    pub initial_timeout: Duration,
    /// Sessions end when fewer than [`FocusConfig::participants_min`] occupants were there for this long.
    pub single_participant_timeout: Duration,
    /// Occupants of this domain are recorders and the like: never owners.
    pub hidden_domain: Option<String>,
    /// Shown to clients as the server's region.
    pub region: Option<String>,
    /// Endpoints that may send audio in one conference.
    pub audio_senders_max: usize,
    /// Endpoints that may send video in one conference.
    pub video_senders_max: usize,
    /// Conferences at a time.
    pub conferences_max: usize,
    /// Told on the bridge channel, if at all.
    pub version: Option<String>,
    /// Largest bandwidth that a client may have assumed for it; `None` ignores such wishes.
    pub assumed_bandwidth_max: Option<u64>,
}

impl FocusConfig {
    /// The defaults of the existing focus.
    pub fn new(focus_jid: FullJid, fingerprint: Fingerprint) -> FocusConfig {
        FocusConfig {
            focus_jid,
            fingerprint,
            colibri_ws_base: None,
            sctp: true,
            codecs: CodecConfig::default(),
            ssrc_rewriting: true,
            strip_simulcast: true,
            ice_restart: true,
            auto_owner: true,
            participants_min: 2,
            initial_timeout: Duration::from_secs(15),
            single_participant_timeout: Duration::from_secs(20),
            hidden_domain: None,
            region: None,
            audio_senders_max: SENDERS_MAX,
            video_senders_max: SENDERS_MAX,
            conferences_max: crate::colibri2::bridge::CONFERENCES_MAX,
            version: None,
            assumed_bandwidth_max: None,
        }
    }

    pub(super) fn bridge(&self) -> BridgeConfig {
        BridgeConfig {
            fingerprint: self.fingerprint.clone(),
            web_socket_base: self.colibri_ws_base.clone(),
            sctp: self.sctp,
            version: self.version.clone(),
            assumed_bandwidth_max: self.assumed_bandwidth_max,
        }
    }
}

/// In effect no limit, as in the existing focus.
const SENDERS_MAX: usize = 999_999;

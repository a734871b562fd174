//! The values of colibri2: what is asked of a bridge for a conference and what it answers.

use contract::session::{Media, VideoType};

use crate::association::Fingerprint;
use crate::jingle::description::{HeaderExtension, PayloadType};
use crate::jingle::transport::Transport;
use crate::source_map::SsrcGroup;
use crate::stanza_error::Condition;

/// A change to one conference on one bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConferenceModify {
    /// Key of the conference, made by the focus.
    pub meeting_id: String,
    /// Address of the room.
    pub name: Option<String>,
    /// The conference is new to the bridge.
    pub create: bool,
    /// The conference is over.
    pub expire: bool,
    /// Changes to endpoints.
    pub endpoints: Vec<EndpointModify>,
    /// Changes to relays.
    pub relays: Vec<RelayModify>,
}

/// A change to one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointModify {
    /// The occupant's nickname.
    pub id: String,
    /// The endpoint is new to the bridge.
    pub create: bool,
    /// The endpoint is over.
    pub expire: bool,
    /// Nickname for statistics.
    pub stats_id: Option<String>,
    /// Receives only.
    pub visitor: bool,
    /// What the client can do.
    pub capabilities: Vec<Capability>,
    /// Codecs and extensions; they accumulate.
    pub media: Vec<MediaModify>,
    /// Required at creation.
    pub transport: Option<TransportModify>,
    /// All sources; replaces the former.
    pub sources: Option<Vec<MediaSource>>,
    /// Discard what it sends.
    pub force_mute: Option<ForceMute>,
    /// Last-n until the client's first constraints; −1 = no limit.
    pub initial_last_n: Option<i32>,
    /// Its answer leaves out the redundant audio (RFC 2198) that it was offered. colibri2 has no word for it.
    pub leaves_out_redundancy: bool,
}

/// A change to a relay, which is a bridge as a peer of a bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayModify {
    /// Unique per bridge.
    pub id: String,
    /// New to the bridge.
    pub create: bool,
    /// Over.
    pub expire: bool,
    /// The mesh that it is in.
    pub mesh_id: Option<String>,
}

/// What an endpoint's client can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capability {
    /// Knows sources by name; required.
    SourceNames,
    /// Learns remote sources over the bridge channel.
    SsrcRewriting,
    /// May be told private addresses.
    PrivateAddressConnectivity,
    /// Demultiplexes by MID.
    RtpMidDemux,
}

/// Codecs and header extensions of one media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaModify {
    /// Which.
    pub media: Media,
    /// Signalled.
    pub payload_types: Vec<PayloadType>,
    /// Signalled.
    pub extensions: Vec<HeaderExtension>,
    /// One- and two-byte extension headers may be mixed.
    pub allow_mixed: bool,
}

/// A change to a transport.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportModify {
    /// The bridge controls (RFC 8445 §2.3); only at creation.
    pub ice_controlling: bool,
    /// Not the shared port; only at creation.
    pub use_unique_port: bool,
    /// Make new credentials next to the live ones.
    pub ice_restart: bool,
    /// The client's half.
    pub ice: Option<Transport>,
    /// A data channel may be opened.
    pub sctp: Option<Sctp>,
}

/// The SCTP half of a transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sctp {
    /// Who connects; the bridge is the server unless said otherwise.
    pub role: Option<SctpRole>,
    /// 5000 unless said otherwise.
    pub port: Option<u16>,
}

/// Who starts an SCTP association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SctpRole {
    /// The bridge connects.
    Client,
    /// The bridge waits.
    Server,
}

/// One named source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSource {
    /// Audio or video.
    pub media: Media,
    /// The source's name.
    pub id: String,
    /// Made by the bridge itself.
    pub synthetic: bool,
    /// What it shows at first.
    pub video_type: VideoType,
    /// Its SSRCs, those for repair included.
    pub ssrcs: Vec<u32>,
    /// What the SSRCs are to each other.
    pub groups: Vec<SsrcGroup>,
}

/// What of an endpoint is discarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForceMute {
    /// Its audio.
    pub audio: bool,
    /// Its video.
    pub video: bool,
}

/// The answer to a [`ConferenceModify`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConferenceModified {
    /// One per endpoint of the request, in its order.
    pub endpoints: Vec<EndpointModified>,
    /// The bridge's own sources, if the request created anything.
    pub sources: Vec<MediaSource>,
}

/// The answer about one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointModified {
    /// Which.
    pub id: String,
    /// The request expired it.
    pub expire: bool,
    /// The bridge's half, after a creation or an ICE restart.
    pub transport: Option<TransportModified>,
}

/// The bridge's half of a transport.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportModified {
    /// Credentials, candidates, fingerprints, WebSockets.
    pub ice: Transport,
    /// If asked for.
    pub sctp: Option<Sctp>,
}

/// A refusal. The condition decides how far the damage goes, so it is always the narrowest that is true.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ModifyError {
    /// Of the stanza error.
    pub condition: Condition,
    /// Tells the focus that a bridge speaks, and why.
    pub reason: Reason,
    /// The endpoint that is to blame.
    pub endpoint: Option<String>,
    /// For people.
    pub text: &'static str,
}

/// Why a bridge refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// An update of a conference that the bridge does not have.
    ConferenceNotFound,
    /// A creation of a conference that it has.
    ConferenceAlreadyExists,
    /// It takes nothing new.
    GracefulShutdown,
    /// An update of an endpoint that it does not have.
    UnknownEndpoint,
    /// Not built.
    FeatureNotImplemented,
    /// Anything else.
    Unspecified,
}

impl Reason {
    /// The value of the `reason` attribute.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::ConferenceNotFound => "conference_not_found",
            Reason::ConferenceAlreadyExists => "conference_already_exists",
            Reason::GracefulShutdown => "graceful_shutdown",
            Reason::UnknownEndpoint => "unknown_endpoint",
            Reason::FeatureNotImplemented => "feature_not_implemented",
            Reason::Unspecified => "unspecified",
        }
    }
}

/// What a bridge says of itself in every transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeConfig {
    /// Its DTLS certificate.
    pub fingerprint: Fingerprint,
    /// Public prefix of bridge-channel WebSockets; `None` offers none.
    pub web_socket_base: Option<String>,
    /// Whether data channels are served.
    pub sctp: bool,
    /// Told in `ServerHello`, if at all.
    pub version: Option<String>,
    /// Largest bandwidth that a client may have assumed for it; `None` ignores such wishes.
    pub assumed_bandwidth_max: Option<u64>,
}

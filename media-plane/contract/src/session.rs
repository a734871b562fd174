//! What is agreed about one endpoint: codecs, header extensions, transport, sources, keys.

use core::net::SocketAddr;

use arrayvec::ArrayVec;

use crate::ids::{ConferenceId, EndpointId, SourceId, Ssrc};
use crate::limits::{ENCODINGS_PER_SOURCE_MAX, PAYLOAD_TYPES_MAX};

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Media {
    /// Audio.
    Audio,
    /// Video.
    Video,
}

/// The codecs the forwarder knows. A closed set: each video codec has its own projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// RFC 2198, of Opus.
    Red,
    /// RFC 4733.
    TelephoneEvent,
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184.
    H264,
    /// AV1 RTP payload specification, with dependency descriptor.
    Av1,
}

impl Codec {
    /// Whether the codec carries audio or video.
    pub const fn media(self) -> Media {
        match self {
            Codec::Opus | Codec::Red | Codec::TelephoneEvent => Media::Audio,
            Codec::Vp8 | Codec::Vp9 | Codec::H264 | Codec::Av1 => Media::Video,
        }
    }
}

/// One signalled payload type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadType {
    /// The number on the wire, 0..=127.
    pub number: u8,
    /// What it carries.
    pub codec: Codec,
    /// RTP clock in Hz.
    pub clock_rate: u32,
    /// Payload type of its RTX stream (RFC 4588), if negotiated.
    pub rtx: Option<u8>,
    /// `a=rtcp-fb … transport-cc` was signalled.
    pub transport_cc: bool,
}

/// The payload types of an endpoint.
pub type PayloadTypes = ArrayVec<PayloadType, PAYLOAD_TYPES_MAX>;

/// Header extension ids (RFC 8285) signalled for an endpoint; `None` where not negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464).
    pub audio_level: Option<u8>,
    /// `abs-send-time`.
    pub absolute_send_time: Option<u8>,
    /// `transport-wide-cc-extensions-01`.
    pub transport_cc: Option<u8>,
    /// `urn:ietf:params:rtp-hdrext:sdes:mid` (RFC 9143).
    pub mid: Option<u8>,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id` (RFC 8852).
    pub rid: Option<u8>,
    /// AV1 dependency descriptor.
    pub dependency_descriptor: Option<u8>,
    /// `urn:3gpp:video-orientation`.
    pub video_orientation: Option<u8>,
    /// `a=extmap-allow-mixed`: two-byte headers may be used.
    pub allow_mixed: bool,
}

/// What an endpoint is created from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSpec {
    /// The conference it joins; created with its first endpoint.
    pub conference: ConferenceId,
    /// Its identity.
    pub endpoint: EndpointId,
    /// The codecs offered to it.
    pub payload_types: PayloadTypes,
    /// The extensions offered to it.
    pub extensions: ExtensionIds,
    /// Whether streams reach it on SSRCs of ours (slots), announced by [`crate::Report::SourceMapped`], instead of the
    /// senders' own.
    pub ssrc_rewriting: bool,
    /// Receive only: its sources are refused, it is not announced.
    pub visitor: bool,
    /// SSRCs that the bridge itself uses towards this conference: RTCP sender and padding.
    pub feedback: FeedbackSsrcs,
}

/// The bridge's own SSRCs, one per media type, the same for all endpoints of a conference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedbackSsrcs {
    /// `jvb-a0`.
    pub audio: Ssrc,
    /// `jvb-v0`.
    pub video: Ssrc,
}

/// An ICE candidate (RFC 8445 §5.1), UDP unless `tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Transport address.
    pub address: SocketAddr,
    /// Type.
    pub kind: CandidateKind,
    /// RFC 8445 §5.1.2.
    pub priority: u32,
    /// Base of a reflexive candidate.
    pub related: Option<SocketAddr>,
    /// Passive ICE-TCP (RFC 6544).
    pub tcp: bool,
}

/// RFC 8445 §5.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CandidateKind {
    /// Host.
    Host,
    /// Server reflexive: for us, a configured public mapping of a host address.
    ServerReflexive,
    /// Peer reflexive: learnt from a check.
    PeerReflexive,
    /// Relayed: only ever remote.
    Relayed,
}

/// Our half of the transport, told to the client in the offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTransport {
    /// ICE user fragment; unique in this process, carries the owner for demultiplexing.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// All candidates: there is no trickling out.
    pub candidates: Vec<Candidate>,
}

/// The client's half of the transport as far as the media plane needs it. Fingerprints stay with the DTLS association.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteTransport {
    /// ICE user fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// Candidates known so far, possibly none: the client is then learnt from its checks.
    pub candidates: Vec<Candidate>,
}

/// Kind of picture a video source carries; decides allocation and oversending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VideoType {
    /// A camera.
    #[default]
    Camera,
    /// A screen share, few frames.
    Desktop,
    /// A screen share with motion.
    DesktopHighFps,
    /// Muted: nothing is sent.
    Disabled,
}

impl VideoType {
    /// Whether packets may be expected.
    pub const fn enabled(self) -> bool {
        !matches!(self, VideoType::Disabled)
    }
}

/// One SSRC of a source with the RTX SSRC that repairs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The media SSRC.
    pub ssrc: Ssrc,
    /// Its RTX SSRC (RFC 4588), if signalled by an FID group.
    pub rtx: Option<Ssrc>,
}

/// A source as signalled. Encodings are in simulcast order, lowest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSpec {
    /// Its identity.
    pub source: SourceId,
    /// Who sends it.
    pub owner: EndpointId,
    /// Audio or video.
    pub media: Media,
    /// What a video source shows.
    pub video_type: VideoType,
    /// One for audio, SVC and non-simulcast video; up to three with simulcast.
    pub encodings: ArrayVec<Encoding, ENCODINGS_PER_SOURCE_MAX>,
}

/// SRTP protection profiles (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    /// AEAD_AES_128_GCM: 16 B key, 12 B salt, 16 B tag.
    AeadAes128Gcm,
    /// AEAD_AES_256_GCM: 32 B key, 12 B salt, 16 B tag.
    AeadAes256Gcm,
    /// AES128_CM_HMAC_SHA1_80: 16 B key, 14 B salt, 10 B tag.
    Aes128CmHmacSha1_80,
}

impl SrtpProfile {
    /// Bytes of master key and of master salt.
    pub const fn key_and_salt_bytes(self) -> (usize, usize) {
        match self {
            SrtpProfile::AeadAes128Gcm => (16, 12),
            SrtpProfile::AeadAes256Gcm => (32, 12),
            SrtpProfile::Aes128CmHmacSha1_80 => (16, 14),
        }
    }

    /// The name by RFC, for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            SrtpProfile::AeadAes128Gcm => "AEAD_AES_128_GCM",
            SrtpProfile::AeadAes256Gcm => "AEAD_AES_256_GCM",
            SrtpProfile::Aes128CmHmacSha1_80 => "AES128_CM_HMAC_SHA1_80",
        }
    }
}

/// Master keys of one transport, both directions (RFC 5764 §4.2). Prints nothing of them.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKeys {
    /// The negotiated profile.
    pub profile: SrtpProfile,
    /// Key then salt for what we receive.
    pub inbound: ArrayVec<u8, 46>,
    /// Key then salt for what we send.
    pub outbound: ArrayVec<u8, 46>,
}

impl core::fmt::Debug for SrtpKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SrtpKeys({})", self.profile.name())
    }
}

/// What a receiver asks of one video source, or of all others by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoConstraint {
    /// Largest picture height wanted in pixels; 0 = nothing, [`VideoConstraint::UNLIMITED`] = no limit.
    pub max_height: u16,
}

impl VideoConstraint {
    /// No limit on the height (`-1` on the bridge channel).
    pub const UNLIMITED: u16 = u16::MAX;
    /// Nothing is wanted.
    pub const NONE: VideoConstraint = VideoConstraint { max_height: 0 };
}

/// All that a receiver asks. Always whole: the control plane merges partial updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverConstraints {
    /// At most this many video sources; `None` = no limit.
    pub last_n: Option<u16>,
    /// Shown large, in order of importance; first in line for bandwidth.
    pub on_stage: Vec<SourceId>,
    /// Selected by the user, in order; second in line.
    pub selected: Vec<SourceId>,
    /// For every source not named in `sources`.
    pub default: VideoConstraint,
    /// Per source.
    pub sources: Vec<(SourceId, VideoConstraint)>,
    /// Overrides the bandwidth estimate, bits per second.
    pub assumed_bandwidth: Option<u64>,
}

impl Default for ReceiverConstraints {
    /// Before a receiver has said anything it gets no video (`initial-max-height-px` 0 of the existing bridge).
    fn default() -> Self {
        ReceiverConstraints {
            last_n: None,
            on_stage: Vec::new(),
            selected: Vec::new(),
            default: VideoConstraint::NONE,
            sources: Vec::new(),
            assumed_bandwidth: None,
        }
    }
}

/// Which audio sources a receiver hears: exclude beats include beats all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioSubscription {
    /// All but the excluded.
    pub all: bool,
    /// Wanted by name.
    pub include: Vec<SourceId>,
    /// Unwanted by name.
    pub exclude: Vec<SourceId>,
}

impl Default for AudioSubscription {
    fn default() -> Self {
        AudioSubscription { all: true, include: Vec::new(), exclude: Vec::new() }
    }
}

//! What a client can do, as it says by service discovery (XEP-0030, XEP-0115).

use xmpp::{Element, ns};

/// The features that shape an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Receives audio.
    pub audio: bool,
    /// Receives video.
    pub video: bool,
    /// Opens data channels.
    pub sctp: bool,
    /// RTX (RFC 4588).
    pub rtx: bool,
    /// Transport-wide congestion control feedback.
    pub transport_cc: bool,
    /// REMB feedback.
    pub remb: bool,
    /// RED for Opus.
    pub opus_red: bool,
    /// Reads sources as JSON; otherwise as XML.
    pub json_sources: bool,
    /// Learns remote sources from the bridge channel only.
    pub ssrc_rewriting: bool,
    /// Demultiplexes by MID.
    pub mid_demux: bool,
    /// Is a telephone gateway that obeys mute requests.
    pub audio_mute: bool,
}

impl Default for Features {
    /// What is assumed of a client that does not tell.
    fn default() -> Self {
        Features {
            audio: true,
            video: true,
            sctp: true,
            rtx: false,
            transport_cc: false,
            remb: false,
            opus_red: false,
            json_sources: false,
            ssrc_rewriting: false,
            mid_demux: false,
            audio_mute: false,
        }
    }
}

impl Features {
    /// Reads the `<feature var/>` of a disco#info answer's `<query/>`.
    pub fn from_query(query: &Element) -> Features {
        let has = |name: &str| {
            query.children_named("feature", ns::DISCO_INFO).any(|child| child.attribute("var") == Some(name))
        };
        Features {
            audio: has("urn:xmpp:jingle:apps:rtp:audio"),
            video: has("urn:xmpp:jingle:apps:rtp:video"),
            sctp: has("urn:xmpp:jingle:transports:dtls-sctp:1"),
            rtx: has("urn:ietf:rfc:4588"),
            transport_cc: has("http://jitsi.org/tcc"),
            remb: has("http://jitsi.org/remb"),
            opus_red: has("http://jitsi.org/opus-red"),
            json_sources: has("http://jitsi.org/json-encoded-sources"),
            ssrc_rewriting: has("http://jitsi.org/ssrc-rewriting-1"),
            mid_demux: has("http://jitsi.org/rtp-mid-demux"),
            audio_mute: has("http://jitsi.org/protocol/audio-mute"),
        }
    }
}

//! Namespace names of Jingle and of Jitsi's additions to it.

/// Jingle (XEP-0166).
pub const JINGLE: &str = "urn:xmpp:jingle:1";
/// RTP sessions (XEP-0167).
pub const RTP: &str = "urn:xmpp:jingle:apps:rtp:1";
/// RTP feedback (XEP-0293).
pub const RTCP_FB: &str = "urn:xmpp:jingle:apps:rtp:rtcp-fb:0";
/// RTP header extensions (XEP-0294).
pub const RTP_HDREXT: &str = "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0";
/// Source-specific attributes (XEP-0339).
pub const SSMA: &str = "urn:xmpp:jingle:apps:rtp:ssma:0";
/// Grouping (XEP-0338).
pub const GROUPING: &str = "urn:xmpp:jingle:apps:grouping:0";
/// ICE-UDP transport (XEP-0176).
pub const ICE_UDP: &str = "urn:xmpp:jingle:transports:ice-udp:1";
/// DTLS-SRTP fingerprints (XEP-0320).
pub const DTLS: &str = "urn:xmpp:jingle:apps:dtls:0";
/// Data channels (XEP-0343).
pub const DTLS_SCTP: &str = "urn:xmpp:jingle:transports:dtls-sctp:1";
/// Bridge-channel WebSockets in a transport.
pub const COLIBRI: &str = "http://jitsi.org/protocol/colibri";
/// The initial last-n in an answer.
pub const COLIBRI2: &str = "jitsi:colibri2";
/// Start-muted hint in an offer.
pub const START_MUTED: &str = "http://jitsi.org/jitmeet/start-muted";
/// Mute requests for microphones.
pub const MUTE_AUDIO: &str = "http://jitsi.org/jitmeet/audio";
/// Mute requests for cameras.
pub const MUTE_VIDEO: &str = "http://jitsi.org/jitmeet/video";
/// Mute requests for screen shares.
pub const MUTE_DESKTOP: &str = "http://jitsi.org/jitmeet/desktop";

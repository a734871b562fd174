//! Every maximum of the media plane, with its reason. What is bounded here is bounded everywhere.

use core::time::Duration;

/// Largest UDP payload that is accepted or produced. Path MTU on the open internet is 1,500 B with headers; browsers
/// send at most about 1,250. Anything longer is dropped at the door.
pub const DATAGRAM_BYTES_MAX: usize = 1_500;

/// Bytes of one packet slot: a datagram, rounded up so that slots start on a cache line and there is headroom.
pub const SLOT_BYTES: usize = 2_048;

/// Media workers of one process. The local ufrag carries the worker in one base-32 digit pair.
pub const WORKERS_MAX: usize = 128;

/// Encodings of one source: three simulcast layers, as libwebrtc sends at most.
pub const ENCODINGS_PER_SOURCE_MAX: usize = 3;

/// Signalled SSRCs of one endpoint, RTX included. The default of the existing focus.
pub const SSRCS_PER_ENDPOINT_MAX: usize = 20;

/// Sources of one endpoint: each has at least one SSRC.
pub const SOURCES_PER_ENDPOINT_MAX: usize = SSRCS_PER_ENDPOINT_MAX;

/// Video streams that one receiver is sent at a time; with SSRC rewriting the number of its video slots.
pub const VIDEO_SLOTS_MAX: usize = 50;

/// Audio streams that one receiver is sent at a time; with SSRC rewriting the number of its audio slots.
pub const AUDIO_SLOTS_MAX: usize = 50;

/// Endpoints of one conference on this process.
pub const ENDPOINTS_PER_CONFERENCE_MAX: usize = 2_000;

/// Entries of one receiver's constraints message (selected, on stage, per source).
pub const CONSTRAINTS_MAX: usize = 200;

/// Previous speakers told to clients, newest first.
pub const PREVIOUS_SPEAKERS_MAX: usize = 10;

/// Remote ICE candidates kept per endpoint; the oldest unselected goes first.
pub const REMOTE_CANDIDATES_MAX: usize = 32;

/// Addresses that may be live for one endpoint at a time.
pub const TUPLES_PER_ENDPOINT_MAX: usize = 8;

/// Local addresses that media sockets are bound to.
pub const LOCAL_ADDRESSES_MAX: usize = 8;

/// Local sockets as ICE sees them: those of UDP, and one of ICE-TCP (RFC 6544) for each address family.
pub const LOCAL_SOCKETS_MAX: usize = LOCAL_ADDRESSES_MAX + 2;

/// Payload types signalled to one endpoint.
pub const PAYLOAD_TYPES_MAX: usize = 32;

/// Age at which a cached packet is no longer retransmitted.
pub const RETRANSMISSION_AGE: Duration = Duration::from_secs(1);

/// RFC 7675 §5.1: without an authenticated answer for this long, sending stops.
pub const CONSENT_TIMEOUT: Duration = Duration::from_secs(30);

/// An endpoint from which nothing came for this long is expired.
pub const ENDPOINT_TIMEOUT: Duration = Duration::from_secs(60);

/// Whole time of a DTLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

const _: () = assert!(DATAGRAM_BYTES_MAX < SLOT_BYTES);
const _: () = assert!(WORKERS_MAX <= 32 * 32);
const _: () = assert!(SOURCES_PER_ENDPOINT_MAX <= CONSTRAINTS_MAX);

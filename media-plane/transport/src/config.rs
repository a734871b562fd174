//! What a transport is built from. Built off the worker; strings are copied into fixed storage.

use core::net::SocketAddr;

use arrayvec::ArrayVec;
use contract::limits::LOCAL_SOCKETS_MAX;
use contract::session::{ExtensionIds, FeedbackSsrcs, PayloadTypes};

/// One of our sockets, as an ICE base (RFC 8445 §5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalSocket {
    /// What it is bound to; its family decides which remote candidates it can reach.
    pub address: SocketAddr,
    /// Priority of its host candidate, as told to the client (RFC 8445 §5.1.2).
    pub priority: u32,
    /// A passive ICE-TCP socket (RFC 6544): learns peers from their checks, starts none.
    pub tcp: bool,
}

/// How senders are asked for a key frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyFrameMessage {
    /// Picture loss indication (RFC 4585 §6.3.1).
    #[default]
    Pli,
    /// Full intra request (RFC 5104 §4.3.1), for clients that did not negotiate PLI.
    Fir,
}

/// The most that an endpoint may send, by token bucket of a second's worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// RTP packets per second.
    pub packets: u32,
    /// Bits of RTP packets per second, headers and tags included.
    pub bits: u32,
}

impl Default for RateLimit {
    /// Ten times what a client with camera and screen share at full quality sends.
    fn default() -> Self {
        RateLimit { packets: 2_000, bits: 20_000_000 }
    }
}

/// Everything agreed about one endpoint's transport.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our ICE user fragment, 4..=256 bytes (RFC 8445 §5.3).
    pub ufrag: String,
    /// Our ICE password, 22..=256 bytes.
    pub pwd: String,
    /// Our role: true for all endpoints; false where a relay called us.
    pub controlling: bool,
    /// RFC 8445 §16.1, from the system's generator.
    pub tie_breaker: u64,
    /// The first bytes of the transaction id of every check that we send ([`crate::ice`] draws the other eight by
    /// chance): the worker finds the transport by them when an answer comes from an address that has not proved itself.
    pub transaction_prefix: [u8; 4],
    /// Our sockets, in the order of [`crate::Path::socket`].
    pub sockets: ArrayVec<LocalSocket, LOCAL_SOCKETS_MAX>,
    /// Accept loopback candidates: tests, and servers tried out on the same machine.
    pub allow_loopback: bool,
    /// Codecs as signalled.
    pub payload_types: PayloadTypes,
    /// Header extensions as signalled.
    pub extensions: ExtensionIds,
    /// SSRCs that RTCP of ours carries as sender.
    pub feedback: FeedbackSsrcs,
    /// Whether streams reach the endpoint on SSRCs of ours.
    pub ssrc_rewriting: bool,
    /// How its key frames are asked for.
    pub key_frame_message: KeyFrameMessage,
    /// The most that it may send.
    pub rate_limit: RateLimit,
    /// What the peer may be sent, until its feedback says otherwise.
    pub bandwidth: bandwidth::Config,
    /// RTCP CNAME (RFC 7022), at most [`Config::CNAME_BYTES_MAX`] bytes; longer ones are cut.
    pub cname: String,
    /// Chance: transaction ids and intervals. From the system's generator.
    pub seed: u64,
}

impl Config {
    /// Enough for 96 random bits in base 64, as RFC 7022 recommends.
    pub const CNAME_BYTES_MAX: usize = 32;
}

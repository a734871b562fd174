//! What a transport counts, as one value to copy out.

use contract::session::SrtpProfile;

/// Counters rise for the life of the transport; the rest is as of now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Of the installed keys.
    pub profile: Option<SrtpProfile>,
    /// Round trip in microseconds: from report blocks, else from consent checks; `None` before the first.
    pub round_trip_us: Option<u32>,
    /// Share that the peer lost of what we sent, 0..=1, over the latest report of each stream.
    pub loss_outbound: f32,
    /// Share that we lost of what the peer sent, 0..=1, over the last report interval.
    pub loss_inbound: f32,
    /// Largest interarrival jitter of the peer's streams, in microseconds (RFC 3550 §6.4.1).
    pub jitter_us: u32,
    /// RTP packets opened, retransmissions and padding included.
    pub packets_received: u64,
    /// Their bytes on the wire.
    pub bytes_received: u64,
    /// RTP packets sealed, retransmissions included.
    pub packets_sent: u64,
    /// Their bytes on the wire.
    pub bytes_sent: u64,
    /// Of those sent, on a NACK.
    pub packets_retransmitted: u64,
    /// Sequence numbers asked for again by the peer.
    pub nacks_received: u64,
    /// Sequence numbers that we asked for again.
    pub nacks_sent: u64,
    /// Asked for again, not there, too often or beyond the budget.
    pub retransmissions_refused: u64,
    /// PLI and FIR that we sent.
    pub key_frame_requests_sent: u64,
    /// RTCP datagrams sent.
    pub rtcp_sent: u64,
    /// Connectivity and consent checks sent.
    pub checks_sent: u64,
    /// Round trips by consent checks lost in a row.
    pub checks_unanswered: u32,
    /// Datagrams that found no room in the outbox.
    pub outbox_full: u64,
}

//! Received RTCP, ended here (RFC 3550 §6, RFC 4585): what is left goes on as [`Feedback`].

use wire::rtcp::transport_cc::TransportCc;

/// What a peer's RTCP means to the conference. Only about streams that were really sent to it, or that it sends.
#[derive(Clone, Copy, Debug)]
pub enum Feedback<'a> {
    /// PLI or FIR for an outgoing stream.
    KeyFrameRequest {
        /// Ours, as sent to this endpoint.
        ssrc: u32,
    },
    /// One lost packet of an outgoing stream: ask [`crate::Transport::nacked`].
    Nack {
        /// Ours, as sent to this endpoint.
        ssrc: u32,
        /// Of the media stream.
        sequence: u16,
    },
    /// Clocks of a source of this endpoint.
    SenderReport {
        /// Its media SSRC.
        ssrc: u32,
        /// Sender's wall clock, NTP format 32.32.
        ntp: u64,
        /// The same moment in its media clock.
        rtp: u32,
    },
    /// Arrivals of what we numbered by [`crate::Sealed::transport_cc`].
    TransportCc(TransportCc<'a>),
    /// The peer's own estimate of what it can receive.
    Remb {
        /// Bits per second, not clamped.
        bits_per_second: u64,
    },
    /// How an outgoing stream arrives (a report block).
    ReceiverLoss {
        /// Ours, as sent to this endpoint.
        ssrc: u32,
        /// Lost since the previous report, in 1/256.
        fraction: u8,
        /// The round trip that this block shows, in microseconds.
        round_trip_us: Option<u32>,
    },
    /// The peer ends a source.
    Bye {
        /// Its media SSRC.
        ssrc: u32,
    },
}

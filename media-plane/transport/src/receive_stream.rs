//! One incoming stream: replay protection (RFC 3711 §3.3), arrivals, loss and jitter (RFC 3550 §6.4.1, A.8).

use contract::session::Media;

/// What an SSRC carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Media.
    Media {
        /// Audio or video; only video is asked for again.
        media: Media,
        /// The SSRC of its retransmissions.
        rtx: Option<u32>,
    },
    /// Retransmissions (RFC 4588).
    Rtx {
        /// The stream that they repair.
        primary: u32,
    },
}

/// A packet opened: the plaintext is at the start of the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Of the media stream, also if it came as a retransmission.
    pub ssrc: u32,
    /// Of the media stream; the low 16 bits are in the packet.
    pub extended_sequence: u64,
    /// Bytes of the plaintext packet: header and payload, padding removed.
    pub len: usize,
    /// Bytes before the payload.
    pub header_len: usize,
    /// Of the media stream.
    pub payload_type: u8,
    /// The marker bit.
    pub marker: bool,
    /// Media clock.
    pub timestamp: u32,
    /// It came on the retransmission stream.
    pub retransmitted: bool,
}

/// A sequence number that carried nothing but padding: no loss, nothing to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaddingOnly {
    /// Media stream.
    pub ssrc: u32,
    /// Its number.
    pub extended_sequence: u64,
}

/// One incoming stream. Made off the worker; [`crate::Transport::set_receive_streams`] moves it in.
#[derive(Debug)]
pub struct ReceiveStream {
    ssrc: u32,
    kind: StreamKind,
    clock_rate: u32,
}

impl ReceiveStream {
    /// `clock_rate` in Hz.
    pub fn new(ssrc: u32, kind: StreamKind, clock_rate: u32) -> Box<ReceiveStream> {
        Box::new(ReceiveStream { ssrc, kind, clock_rate })
    }

    /// Its SSRC.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// What it carries.
    pub fn kind(&self) -> StreamKind {
        self.kind
    }

    /// Hz.
    pub fn clock_rate(&self) -> u32 {
        self.clock_rate
    }
}

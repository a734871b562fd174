//! One outgoing stream: numbers that never repeat, counts for reports, records for retransmission.

use contract::session::Media;
use wire::codec::Patch;
use wire::rtp::Header;

/// A packet to write, extend and seal.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Final: SSRC, sequence number, timestamp, payload type, marker as the receiver shall see them.
    pub header: Header,
    /// Plaintext without padding.
    pub payload: &'a [u8],
    /// Applied to the copy of the payload and of the dependency descriptor.
    pub patch: Patch,
    /// Needed by a patch that sets a mask in the dependency descriptor.
    pub structure: Option<&'a wire::codec::av1_descriptor::Structure>,
    /// Raw byte of RFC 6464.
    pub audio_level: Option<u8>,
    /// Raw byte of 3GPP TS 26.114.
    pub video_orientation: Option<u8>,
    /// Raw data, before the patch.
    pub dependency_descriptor: Option<&'a [u8]>,
    /// Media section (RFC 9143), at most 16 bytes.
    pub mid: Option<&'a str>,
    /// Bytes of RTP padding to add (RFC 3550 §5.1), 0 for none.
    pub padding: u8,
    /// Where the caller finds payload and extensions again; `None`: never retransmitted (audio).
    pub retransmission_token: Option<u64>,
}

/// What the source's cache holds of a packet to retransmit: the same as in its [`Outgoing`].
#[derive(Clone, Copy, Debug)]
pub struct Repair<'a> {
    /// As in [`Outgoing`].
    pub payload: &'a [u8],
    /// As in [`Outgoing`].
    pub structure: Option<&'a wire::codec::av1_descriptor::Structure>,
    /// As in [`Outgoing`].
    pub audio_level: Option<u8>,
    /// As in [`Outgoing`].
    pub video_orientation: Option<u8>,
    /// As in [`Outgoing`].
    pub dependency_descriptor: Option<&'a [u8]>,
    /// As in [`Outgoing`].
    pub mid: Option<&'a str>,
}

/// A packet ready to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Bytes at the start of the buffer.
    pub len: usize,
    /// The transport-wide number it carries, extended; a plain resend repeats the first one's and says `None`.
    pub transport_cc: Option<u64>,
}

/// One outgoing stream. Made off the worker; adding it to a transport moves it in.
#[derive(Debug)]
pub struct SendStream {
    ssrc: u32,
    rtx: Option<u32>,
    media: Media,
    clock_rate: u32,
}

impl SendStream {
    /// Packets that a video stream remembers for retransmission: a second of 8 Mbit/s.
    pub const HISTORY: usize = 1_024;

    /// `history` is rounded up to a power of two; 0 for none (audio). Each record takes about 100 bytes.
    pub fn new(
        ssrc: u32,
        rtx: Option<u32>,
        media: Media,
        clock_rate: u32,
        history: usize,
    ) -> Box<SendStream> {
        let _ = history;
        Box::new(SendStream { ssrc, rtx, media, clock_rate })
    }

    /// Give a fresh stream the SSRCs that it is to be used for. The worker keeps spare streams that were made before
    /// their SSRC was known; never call it on one that has been used.
    pub fn assign(&mut self, ssrc: u32, rtx: Option<u32>) {
        self.ssrc = ssrc;
        self.rtx = rtx;
    }

    /// The media SSRC.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The SSRC of its retransmissions, if negotiated.
    pub fn rtx(&self) -> Option<u32> {
        self.rtx
    }

    /// Audio or video.
    pub fn media(&self) -> Media {
        self.media
    }

    /// Hz.
    pub fn clock_rate(&self) -> u32 {
        self.clock_rate
    }
}

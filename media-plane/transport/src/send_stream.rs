//! One outgoing stream: numbers that never repeat, counts for reports, records for retransmission.

use core::time::Duration;

use arrayvec::ArrayVec;
use contract::Timestamp;
use contract::session::Media;
use wire::codec::Patch;
use wire::codec::av1_descriptor::Structure;
use wire::rtcp::sender_report::{ReportBlock, SenderInfo};
use wire::rtp::Header;

use crate::retransmission::History;
use crate::srtp::{ReplayWindow, Verdict, estimate};

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
    pub structure: Option<&'a Structure>,
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
    pub structure: Option<&'a Structure>,
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

/// One outgoing stream. Made off the worker; [`crate::Transport::add_send_stream`] moves it in.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct SendStream {
    // What every packet touches comes first, so that it lies in few lines (`repr(C)`).
    ssrc: u32,
    media: Media,
    packets: u32,
    octets: u32,
    pub(crate) history: History,
    /// SRTP indices used: none is ever used for another packet.
    pub(crate) used: ReplayWindow,

    // Now and then.
    rtx: Option<u32>,
    clock_rate: u32,
    /// Next SRTP index of the retransmission stream; starts at 1 as in existing bridges.
    pub(crate) next_rtx: u64,
    packets_at_report: u32,
    /// The source's clocks, translated: (NTP time, RTP timestamp, when they came).
    clocks: Option<(u64, u32, Timestamp)>,
    /// Our last reports: middle 32 bits of the NTP time, and when they went out.
    reports: ArrayVec<(u32, Timestamp), REPORTS_MAX>,
    /// What the peer last said it lost, in 1/256.
    pub(crate) fraction_lost: u8,
}

/// Sender reports that a report block may still answer.
const REPORTS_MAX: usize = 4;

impl SendStream {
    /// Packets that a video stream may usefully remember: a second of 8 Mbit/s, beyond which nothing is sent again. A
    /// record takes 64 bytes, so streams of less than 2 Mbit/s should get [`SendStream::HISTORY_SMALL`].
    pub const HISTORY: usize = 1_024;

    /// A second of 2 Mbit/s: enough for a thumbnail or a stream of middle size.
    pub const HISTORY_SMALL: usize = 256;

    /// `history` packets are remembered, rounded up to a power of two; 0 for none (audio).
    pub fn new(
        ssrc: u32,
        rtx: Option<u32>,
        media: Media,
        clock_rate: u32,
        history: usize,
    ) -> Box<SendStream> {
        Box::new(SendStream {
            ssrc,
            rtx,
            media,
            clock_rate,
            used: ReplayWindow::default(),
            next_rtx: 1,
            history: History::new(history),
            packets: 0,
            octets: 0,
            packets_at_report: 0,
            clocks: None,
            reports: ArrayVec::new(),
            fraction_lost: 0,
        })
    }

    /// Begin anew under other SSRCs: for spare streams that were made before their SSRC was known, and used ones that
    /// were taken out of their transport, which remembers the numbers used. Media, clock and history stay.
    pub fn assign(&mut self, ssrc: u32, rtx: Option<u32>) {
        (self.ssrc, self.rtx) = (ssrc, rtx);
        self.restart();
        self.next_rtx = 1;
        (self.packets, self.octets, self.packets_at_report) = (0, 0, 0);
        (self.clocks, self.fraction_lost) = (None, 0);
        self.reports.clear();
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

    /// The SRTP index that a packet with this sequence number gets; `None` if it was used or is too old to tell.
    pub(crate) fn index_for(&self, sequence: u16) -> Option<u64> {
        let index = estimate(self.used.highest(), sequence)?;
        (self.used.check(index) == Verdict::Fresh).then_some(index)
    }

    /// A packet was sealed.
    pub(crate) fn note_sent(&mut self, index: u64, payload_len: usize) {
        self.used.mark(index);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload_len as u32);
    }

    /// New keys: indices start again, and what was sealed under the old ones cannot be sent again.
    pub(crate) fn restart(&mut self) {
        self.used = ReplayWindow::default();
        self.next_rtx &= 0xFFFF;
        self.history.clear();
    }

    pub(crate) fn note_clocks(&mut self, ntp: u64, rtp_timestamp: u32, now: Timestamp) {
        self.clocks = Some((ntp, rtp_timestamp, now));
    }

    /// The source behind the stream changed or the stream is new: without its clocks there is no report.
    pub(crate) fn report_wanted(&self) -> bool {
        self.clocks.is_some() && self.packets != self.packets_at_report
    }

    /// Our report as of now (RFC 3550 §6.4.1): the source's clocks, moved on by the time since.
    pub(crate) fn report(&mut self, now: Timestamp) -> Option<SenderInfo> {
        let (ntp, rtp_timestamp, at) = self.clocks?;
        let elapsed_us = u128::from((now.since(at).as_micros() as u64).min(ELAPSED_MAX_US));
        let ntp_time = ntp.wrapping_add(((elapsed_us << 32) / 1_000_000) as u64);
        let ticks = (elapsed_us * u128::from(self.clock_rate) / 1_000_000) as u32;
        self.packets_at_report = self.packets;
        if self.reports.is_full() {
            self.reports.remove(0);
        }
        self.reports.push(((ntp_time >> 16) as u32, now));
        Some(SenderInfo {
            ssrc: self.ssrc,
            ntp_time,
            rtp_timestamp: rtp_timestamp.wrapping_add(ticks),
            packet_count: self.packets,
            octet_count: self.octets,
        })
    }

    /// The round trip that a report block shows, in microseconds.
    pub(crate) fn round_trip_us(&self, block: &ReportBlock, now: Timestamp) -> Option<u32> {
        let (_, sent) = self.reports.iter().rev().find(|(ntp, _)| *ntp == block.last_sender_report)?;
        let delay = Duration::from_micros(u64::from(block.delay_since_last) * 1_000_000 / 65_536);
        let round_trip = now.since(*sent).checked_sub(delay)?;
        if round_trip > ROUND_TRIP_MAX {
            return None;
        }
        u32::try_from(round_trip.as_micros()).ok()
    }
}

/// Clocks older than this are no better than none: a day.
const ELAPSED_MAX_US: u64 = 86_400_000_000;
/// Longer round trips are errors of the peer.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(7);

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Box<SendStream> {
        SendStream::new(1, Some(2), Media::Video, 90_000, 16)
    }

    #[test]
    fn an_index_is_given_once() {
        let mut stream = stream();
        for (sequence, expected) in [
            (65_534, Some(65_534)),
            (65_534, None),
            (0, Some(65_536)),
            (65_535, Some(65_535)),
            (65_535, None),
            (1_500, Some(67_036)),
            (0, None),
            (1, None),
            (1_499, Some(67_035)),
        ] {
            assert_eq!(stream.index_for(sequence), expected, "{sequence}");
            if let Some(index) = expected {
                stream.note_sent(index, 10);
            }
        }
    }

    #[test]
    fn a_report_moves_the_clocks_of_the_source_on() {
        let mut stream = stream();
        assert!(stream.report(Timestamp::ZERO).is_none());
        stream.note_sent(5, 100);
        assert!(!stream.report_wanted());
        stream.note_clocks(10 << 32, 1_000, Timestamp::from_millis(200));
        assert!(stream.report_wanted());
        let info = stream.report(Timestamp::from_millis(700)).unwrap();
        assert_eq!(info.ntp_time, (10 << 32) + (1 << 31));
        assert_eq!(info.rtp_timestamp, 1_000 + 45_000);
        assert_eq!((info.packet_count, info.octet_count), (1, 100));
        assert!(!stream.report_wanted(), "nothing sent since");
    }

    #[test]
    fn the_round_trip_is_what_the_peer_did_not_hold() {
        let mut stream = stream();
        stream.note_clocks(0x1234_5678_9ABC_DEF0, 0, Timestamp::from_millis(0));
        stream.report(Timestamp::from_millis(0)).unwrap();
        let block = |last, delay| ReportBlock {
            last_sender_report: last,
            delay_since_last: delay,
            ..ReportBlock::default()
        };
        let now = Timestamp::from_millis(550);
        for (last, delay, expected) in [
            (0x5678_9ABC, 32_768, Some(50_000)),
            (0x5678_9ABC, 65_536, None),
            (0x5678_9ABD, 32_768, None),
            (0, 0, None),
        ] {
            assert_eq!(stream.round_trip_us(&block(last, delay), now), expected);
        }
    }
}

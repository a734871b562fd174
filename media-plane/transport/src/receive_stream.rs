//! One incoming stream: replay protection (RFC 3711 §3.3), arrivals, loss and jitter (RFC 3550 §6.4.1, A.3, A.8).

use contract::Timestamp;
use contract::session::Media;
use wire::rtcp::sender_report::ReportBlock;

use crate::nack::Holes;
use crate::srtp::ReplayWindow;

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
    /// Bytes of its header.
    pub header_len: usize,
    /// Of the media stream.
    pub payload_type: u8,
}

/// One incoming stream. Made off the worker; [`crate::Transport::set_receive_streams`] moves it in.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct ReceiveStream {
    // What every packet touches comes first, so that it lies in few lines (`repr(C)`).
    ssrc: u32,
    kind: StreamKind,
    clock_rate: u32,
    pub(crate) holes: Option<Box<Holes>>,
    /// SRTP indices that authenticated.
    pub(crate) authentic: ReplayWindow,
    /// Media packets whose content came, directly or repaired. Its numbers go on when keys change.
    pub(crate) delivered: ReplayWindow,
    pub(crate) reception: Reception,

    // Now and then.
    /// Middle 32 bits of the last sender report's NTP time, and when it came.
    pub(crate) sender_report: Option<(u32, Timestamp)>,
    pub(crate) key_frame_wanted: bool,
    pub(crate) fir_sequence: u8,
}

impl ReceiveStream {
    /// `clock_rate` in Hz.
    pub fn new(ssrc: u32, kind: StreamKind, clock_rate: u32) -> Box<ReceiveStream> {
        let asked_for_again = matches!(kind, StreamKind::Media { media: Media::Video, .. });
        Box::new(ReceiveStream {
            ssrc,
            kind,
            clock_rate,
            authentic: ReplayWindow::default(),
            delivered: ReplayWindow::default(),
            holes: asked_for_again.then(Box::default),
            reception: Reception::default(),
            sender_report: None,
            key_frame_wanted: false,
            fir_sequence: 0,
        })
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

    /// Take on the description of `new`, keep the state.
    pub(crate) fn describe(&mut self, new: &mut ReceiveStream) {
        (self.kind, self.clock_rate) = (new.kind, new.clock_rate);
        if self.holes.is_some() != new.holes.is_some() {
            core::mem::swap(&mut self.holes, &mut new.holes);
        }
    }

    /// New keys: indices start again. What was delivered stays delivered.
    pub(crate) fn restart(&mut self) {
        self.authentic = ReplayWindow::default();
        self.reception.restart();
    }

    /// An authentic packet of this SSRC came.
    pub(crate) fn note_arrival(&mut self, index: u64, timestamp: u32, now: Timestamp) {
        self.authentic.mark(index);
        self.reception.arrived(index, timestamp, self.clock_rate, now);
    }

    /// The report block since the last one; `None` if nothing came since.
    pub(crate) fn report(&mut self, now: Timestamp) -> Option<ReportBlock> {
        let (fraction_lost, cumulative_lost, highest_sequence) = self.reception.report()?;
        let (last_sender_report, delay_since_last) = match self.sender_report {
            None => (0, 0),
            Some((report, at)) => (report, (now.since(at).as_micros() * 65_536 / 1_000_000) as u32),
        };
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost,
            cumulative_lost,
            highest_sequence,
            jitter: self.reception.jitter(),
            last_sender_report,
            delay_since_last,
        })
    }

    /// Jitter in microseconds.
    pub(crate) fn jitter_us(&self) -> u32 {
        let us = u64::from(self.reception.jitter()) * 1_000_000 / u64::from(self.clock_rate.max(1));
        u32::try_from(us).unwrap_or(u32::MAX)
    }
}

/// Counts of one stream (RFC 3550 A.3) and its jitter (A.8).
#[derive(Debug, Default)]
pub(crate) struct Reception {
    first: Option<u64>,
    highest: u64,
    received: u64,
    expected_before: u64,
    received_before: u64,
    /// Arrival minus media clock, in clock units, of the last packet.
    transit: Option<u32>,
    /// Sixteen times the jitter.
    jitter_16: u32,
}

impl Reception {
    fn arrived(&mut self, index: u64, timestamp: u32, clock_rate: u32, now: Timestamp) {
        if self.first.is_none() {
            (self.first, self.highest) = (Some(index), index);
        }
        self.highest = self.highest.max(index);
        // Late packets from before the first would make more received than expected.
        self.first = self.first.map(|first| first.min(index));
        self.received += 1;
        let arrival = (u128::from(now.as_micros()) * u128::from(clock_rate) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let change = (transit.wrapping_sub(before) as i32).unsigned_abs();
            // A source that changes its clock is no jitter; ten seconds of it would stay visible for long.
            if change < clock_rate.saturating_mul(10) {
                self.jitter_16 =
                    self.jitter_16.saturating_add(change) - ((self.jitter_16.saturating_add(8)) >> 4);
            }
        }
    }

    /// Numbers start again: the keys changed.
    fn restart(&mut self) {
        *self = Reception { jitter_16: self.jitter_16, ..Reception::default() };
    }

    fn jitter(&self) -> u32 {
        self.jitter_16 >> 4
    }

    /// (fraction lost, cumulative lost, extended highest sequence number) since the last call; `None` if nothing came.
    fn report(&mut self) -> Option<(u8, i32, u32)> {
        let expected = self.highest - self.first? + 1;
        let expected_now = expected.saturating_sub(self.expected_before);
        let received_now = self.received - self.received_before;
        if received_now == 0 {
            return None;
        }
        (self.expected_before, self.received_before) = (expected, self.received);
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction = (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8;
        let lost = expected as i64 - self.received as i64;
        let lost = lost.clamp(-0x80_0000, 0x7F_FFFF) as i32;
        Some((fraction, lost, self.highest as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_reported_by_interval_and_in_all() {
        let mut stream = ReceiveStream::new(1, StreamKind::Media { media: Media::Video, rtx: None }, 90_000);
        assert!(stream.report(Timestamp::ZERO).is_none());
        for index in (65_530..65_550).filter(|index| index % 2 == 0) {
            stream.note_arrival(index, 0, Timestamp::ZERO);
        }
        let block = stream.report(Timestamp::ZERO).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), ((9 * 256 / 19) as u8, 9));
        assert_eq!(block.highest_sequence, 65_548, "one cycle, sequence number 12");
        assert!(stream.report(Timestamp::ZERO).is_none(), "nothing new");
        for index in 65_549..65_559 {
            stream.note_arrival(index, 0, Timestamp::ZERO);
        }
        let block = stream.report(Timestamp::ZERO).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 9));
    }

    #[test]
    fn a_late_packet_makes_loss_shrink_but_never_negative_by_interval() {
        let mut stream = ReceiveStream::new(1, StreamKind::Media { media: Media::Video, rtx: None }, 90_000);
        for index in [10, 13] {
            stream.note_arrival(index, 0, Timestamp::ZERO);
        }
        assert_eq!(stream.report(Timestamp::ZERO).unwrap().cumulative_lost, 2);
        for index in [11, 12] {
            stream.note_arrival(index, 0, Timestamp::ZERO);
        }
        let block = stream.report(Timestamp::ZERO).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 0));
    }

    #[test]
    fn jitter_follows_rfc_3550_a_8() {
        let mut steady = Reception::default();
        let mut shaky = Reception::default();
        for i in 0..1_000u64 {
            let timestamp = (i * 960) as u32;
            steady.arrived(i, timestamp, 48_000, Timestamp::from_millis(i * 20));
            shaky.arrived(i, timestamp, 48_000, Timestamp::from_millis(i * 20 + i % 2 * 10));
        }
        assert_eq!(steady.jitter(), 0);
        // Each packet is 10 ms off the one before: 480 units.
        assert!((475..=480).contains(&shaky.jitter()), "{}", shaky.jitter());
    }

    #[test]
    fn the_delay_since_the_last_sender_report_is_in_65536ths() {
        let mut stream = ReceiveStream::new(1, StreamKind::Media { media: Media::Audio, rtx: None }, 48_000);
        stream.note_arrival(1, 0, Timestamp::ZERO);
        stream.sender_report = Some((0xABCD_EF01, Timestamp::from_millis(1_000)));
        let block = stream.report(Timestamp::from_millis(1_500)).unwrap();
        assert_eq!((block.last_sender_report, block.delay_since_last), (0xABCD_EF01, 32_768));
    }
}

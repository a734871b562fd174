//! Received RTCP, ended here (RFC 3550 §6, RFC 4585): what is left goes on as [`Feedback`].

use bandwidth::FeedbackHead;
use contract::{DropReason, Timestamp};
use wire::rtcp::compound::{self, Packet};
use wire::rtcp::sender_report::ReportBlock;
use wire::rtcp::transport_cc::TransportCc;

use crate::receive_stream::{ReceiveStream, StreamKind};
use crate::srtp::{ReplayWindow, Verdict};
use crate::transport::Transport;

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
    /// Arrivals of what we numbered by [`crate::Sealed::transport_cc`]; [`crate::Transport::bandwidth`] knows them already.
    TransportCc(TransportCc<'a>),
    /// The peer's own estimate of what it can receive; [`crate::Transport::bandwidth`] knows it already.
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

/// Senders of RTCP whose replay windows are kept: one for each signalled SSRC, and a few.
const REPLAY_WINDOWS_MAX: usize = 32;
/// Sequence numbers that one datagram may ask for again; a burst of loss is a few dozen.
const NACKS_MAX: usize = 1_024;

/// Replay protection of SRTCP (RFC 3711 §3.3.2), a window for each sender SSRC; the longest unused gives way.
#[derive(Default)]
pub(crate) struct RtcpReplay {
    /// Allocated once.
    windows: Vec<Sender>,
    uses: u64,
}

struct Sender {
    ssrc: u32,
    window: ReplayWindow,
    used: u64,
}

impl RtcpReplay {
    pub(crate) fn new() -> RtcpReplay {
        RtcpReplay { windows: Vec::with_capacity(REPLAY_WINDOWS_MAX), uses: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.windows.clear();
    }

    fn fresh(&self, ssrc: u32, index: u32) -> bool {
        let known = self.windows.iter().find(|sender| sender.ssrc == ssrc);
        known.is_none_or(|sender| sender.window.check(u64::from(index)) == Verdict::Fresh)
    }

    /// Only after the packet proved authentic.
    fn mark(&mut self, ssrc: u32, index: u32) {
        self.uses += 1;
        if let Some(sender) = self.windows.iter_mut().find(|sender| sender.ssrc == ssrc) {
            sender.used = self.uses;
            return sender.window.mark(u64::from(index));
        }
        if self.windows.len() >= REPLAY_WINDOWS_MAX {
            let oldest = (0..self.windows.len()).min_by_key(|&i| self.windows[i].used).unwrap_or(0);
            self.windows.swap_remove(oldest);
        }
        let mut window = ReplayWindow::default();
        window.mark(u64::from(index));
        self.windows.push(Sender { ssrc, window, used: self.uses });
    }
}

impl Transport {
    /// Open an RTCP datagram from a proved path, with `scratch` for the plaintext. What speaks of streams that are not
    /// sent to this peer, or of sources that are not its own, is passed over.
    pub fn open_rtcp(
        &mut self,
        datagram: &[u8],
        scratch: &mut [u8],
        now: Timestamp,
        mut each: impl FnMut(Feedback<'_>),
    ) -> Result<(), DropReason> {
        let session = self.session.as_deref().ok_or(DropReason::NoKeys)?;
        let (ssrc, index) = session.peek_rtcp(datagram)?;
        if !self.rtcp_replay.fresh(ssrc, index) {
            return Err(DropReason::SrtpReplay);
        }
        let len = session.open_rtcp(datagram, scratch)?;
        self.rtcp_replay.mark(ssrc, index);
        let (mut read, mut malformed) = (0u32, 0u32);
        let mut nacks_left = NACKS_MAX;
        for packet in compound::iterate(&scratch[..len]) {
            match packet {
                Ok(packet) => {
                    read += 1;
                    self.note_packet(packet, &mut nacks_left, now, &mut each);
                }
                Err(_) => malformed += 1,
            }
        }
        if read == 0 && malformed > 0 { Err(DropReason::RtcpMalformed) } else { Ok(()) }
    }

    fn note_packet(
        &mut self,
        packet: Packet<'_>,
        nacks_left: &mut usize,
        now: Timestamp,
        each: &mut impl FnMut(Feedback<'_>),
    ) {
        match packet {
            Packet::SenderReport(report) => {
                let info = report.info();
                if let Some(stream) = self.own_source(info.ssrc) {
                    stream.sender_report = Some(((info.ntp_time >> 16) as u32, now));
                    let (ntp, rtp) = (info.ntp_time, info.rtp_timestamp);
                    each(Feedback::SenderReport { ssrc: info.ssrc, ntp, rtp });
                }
                report.report_blocks().for_each(|block| self.note_block(&block, now, each));
            }
            Packet::ReceiverReport(report) => {
                report.report_blocks().for_each(|block| self.note_block(&block, now, each));
            }
            Packet::Nack(nack) if self.send_position(nack.media_ssrc()).is_some() => {
                for sequence in nack.sequences().take(*nacks_left) {
                    *nacks_left -= 1;
                    self.statistics.nacks_received += 1;
                    each(Feedback::Nack { ssrc: nack.media_ssrc(), sequence });
                }
            }
            Packet::Pli(pli) if self.send_position(pli.media_ssrc).is_some() => {
                each(Feedback::KeyFrameRequest { ssrc: pli.media_ssrc });
            }
            Packet::Fir(fir) => {
                let ours = fir.entries().filter(|entry| self.send_position(entry.ssrc).is_some());
                ours.for_each(|entry| each(Feedback::KeyFrameRequest { ssrc: entry.ssrc }));
            }
            Packet::TransportCc(feedback) if self.extensions.transport_cc.is_some() => {
                let head = FeedbackHead {
                    base_sequence: feedback.base_sequence(),
                    reference_time: feedback.reference_time(),
                };
                let statuses = feedback.statuses().map(|status| (status.sequence, status.delta));
                // What cannot be used is counted there.
                let _ = self.bandwidth.feedback(head, statuses, now);
                if !self.bandwidth.can_probe() && self.padding_position().is_some() {
                    self.bandwidth.allow_probes(now);
                }
                each(Feedback::TransportCc(feedback));
            }
            Packet::Remb(remb) => {
                self.bandwidth.remb(remb.bitrate_bps(), now);
                each(Feedback::Remb { bits_per_second: remb.bitrate_bps() });
            }
            Packet::Bye(bye) => {
                let own = bye.ssrcs().filter(|&ssrc| self.own_source(ssrc).is_some());
                own.for_each(|ssrc| each(Feedback::Bye { ssrc }));
            }
            Packet::Sdes(_)
            | Packet::Unknown { .. }
            | Packet::Nack(_)
            | Packet::Pli(_)
            | Packet::TransportCc(_) => {}
        }
    }

    fn note_block(&mut self, block: &ReportBlock, now: Timestamp, each: &mut impl FnMut(Feedback<'_>)) {
        let Some(at) = self.send_position(block.ssrc) else { return };
        let stream = &mut self.send[at];
        stream.fraction_lost = block.fraction_lost;
        let round_trip_us = stream.round_trip_us(block, now);
        if let Some(sample) = round_trip_us {
            let smooth = |old: u32| ((u64::from(old) * 7 + u64::from(sample)) / 8) as u32;
            self.report_round_trip_us = Some(self.report_round_trip_us.map_or(sample, smooth));
        }
        each(Feedback::ReceiverLoss { ssrc: block.ssrc, fraction: block.fraction_lost, round_trip_us });
    }

    /// A media stream that this peer signalled.
    fn own_source(&mut self, ssrc: u32) -> Option<&mut ReceiveStream> {
        let media = |stream: &&mut Box<ReceiveStream>| {
            stream.ssrc() == ssrc && matches!(stream.kind(), StreamKind::Media { .. })
        };
        self.receive.iter_mut().find(media).map(|stream| &mut **stream)
    }
}

//! What probes are made of: packets sent before, once more on the retransmission stream (RFC 4588), or padding there
//! (RFC 3550 §5.1). Receivers drop both before any decoder, and tell when they came.

use contract::Timestamp;
use contract::session::Media;
use wire::codec::Patch;
use wire::rtp::Header;

use crate::header_extension::numbered;
use crate::retransmission::Record;
use crate::send_stream::{Outgoing, Sealed};
use crate::sending::Plan;
use crate::transport::Transport;

/// Of the packets sent last, so many take turns in probes.
const REPEATED: u64 = 8;
/// Shorter packets are not worth repeating: padding is as good.
const REPEATED_BYTES_MIN: u16 = 300;
/// What one packet can be padded by.
const PADDING: u8 = 255;

impl Transport {
    /// Bytes that a bandwidth probe wants sent now, 0 for none. Answer by [`Transport::probe_record`] and
    /// [`Transport::seal_rtx`], or by [`Transport::seal_padding`], and ask again.
    pub fn probe_due(&mut self, now: Timestamp) -> usize {
        if self.session.is_none() || self.selected().is_none() {
            return 0;
        }
        self.bandwidth.probe_due(now)
    }

    /// A packet to repeat in a probe: one of the last sent on the stream that was sent on last.
    pub fn probe_record(&mut self) -> Option<Record> {
        let stream = &self.send[self.padding_position()?];
        let highest = stream.used.highest()?;
        self.probe_turn = (self.probe_turn + 1) % REPEATED;
        let record = stream.history.get(stream.ssrc(), highest.checked_sub(self.probe_turn)?)?;
        (record.len >= REPEATED_BYTES_MIN).then_some(record)
    }

    /// Seal a packet of nothing but padding on a retransmission stream.
    pub fn seal_padding(&mut self, now: Timestamp, out: &mut [u8]) -> Option<Sealed> {
        let at = self.padding_position()?;
        let session = self.session.as_deref()?;
        let stream = &mut self.send[at];
        let highest = stream.used.highest()?;
        let last = stream.history.get(stream.ssrc(), highest)?;
        let payload_type = self.payload_types.rtx_of(last.header.payload_type)?;
        let number = numbered(&self.extensions, Media::Video).then_some(self.next_transport_cc)?;
        let index = stream.next_rtx;
        let header = Header {
            ssrc: stream.rtx()?,
            payload_type,
            sequence: index as u16,
            marker: false,
            timestamp: last.header.timestamp,
        };
        let plan = Plan {
            header,
            original_sequence: None,
            padding: PADDING,
            transport_cc: Some(number as u16),
            stamped: now,
            index,
        };
        let packet = Outgoing {
            header,
            payload: &[],
            patch: Patch::None,
            structure: None,
            audio_level: None,
            video_orientation: None,
            dependency_descriptor: None,
            mid: None,
            padding: PADDING,
            retransmission_token: None,
        };
        let (len, _) = plan.write(session, &self.extensions, &packet, out)?;
        stream.next_rtx += 1;
        Some(self.note_sealed(len, Some(number), now))
    }

    /// The video stream with retransmissions that was sent on last.
    pub(crate) fn padding_position(&self) -> Option<usize> {
        self.extensions.transport_cc?;
        let sent_at = |at: &usize| {
            let stream = &self.send[*at];
            stream.rtx()?;
            Some(stream.history.get(stream.ssrc(), stream.used.highest()?)?.sealed)
        };
        (0..self.send.len()).filter(|at| sent_at(at).is_some()).max_by_key(|at| sent_at(at))
    }
}

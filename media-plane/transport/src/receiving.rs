//! From a protected datagram to a plaintext packet of a known stream.

use contract::{DropReason, Timestamp};
use wire::rtp::HeaderPrefix;
use wire::rtp_extension;

use crate::receive_stream::{Opened, PaddingOnly, ReceiveStream, StreamKind};
use crate::srtp::{Verdict, estimate};
use crate::transport::Transport;

/// Streams received at a time; more than an endpoint may signal, for relays.
pub(crate) const RECEIVE_STREAMS_MAX: usize = 64;
/// Bytes of an original sequence number (RFC 4588 §4).
const OSN_BYTES: usize = wire::rtx::HEADER_LEN;
const PADDING_FLAG: u8 = 0x20;

impl Transport {
    /// Replace the list of incoming streams; of more than 64 the rest is not listened to. A stream that was there
    /// before by SSRC keeps its state. What is no longer needed comes back, to be freed elsewhere.
    pub fn set_receive_streams(&mut self, mut streams: Vec<Box<ReceiveStream>>) -> Vec<Box<ReceiveStream>> {
        for stream in &mut streams {
            let Some(known) = self.receive.iter_mut().find(|known| known.ssrc() == stream.ssrc()) else {
                continue;
            };
            known.describe(stream);
            core::mem::swap(known, stream);
        }
        self.requests_due = Timestamp::ZERO;
        self.receive_ssrcs = streams.iter().map(|stream| stream.ssrc()).take(RECEIVE_STREAMS_MAX).collect();
        core::mem::replace(&mut self.receive, streams)
    }

    /// Open an RTP datagram from a proved path into `out`. A retransmission comes out as the packet that it repairs.
    ///
    /// `Err(Duplicate)`: authentic, but its content came before. `Err(PaddingOnly)`: authentic, see
    /// [`Transport::padding_only`]. All other errors changed nothing but counters.
    pub fn open_rtp(
        &mut self,
        datagram: &[u8],
        out: &mut [u8],
        now: Timestamp,
    ) -> Result<Opened, DropReason> {
        self.padding_only = None;
        let prefix = HeaderPrefix::parse(datagram).map_err(|_| DropReason::RtpMalformed)?;
        let session = self.session.as_deref().ok_or(DropReason::NoKeys)?;
        if !self.rate.admit(datagram.len(), now) {
            return Err(DropReason::EndpointRate);
        }
        let at = self.receive_position(prefix.ssrc()).ok_or(DropReason::UnknownSource)?;
        let stream = &mut self.receive[at];
        let payload_type = match stream.kind() {
            StreamKind::Media { .. } => self.payload_types.media(prefix.payload_type()),
            StreamKind::Rtx { .. } => self.payload_types.repaired_by(prefix.payload_type()),
        };
        let payload_type = payload_type.ok_or(DropReason::UnknownPayloadType)?;
        let index = estimate(stream.authentic.highest(), prefix.sequence()).ok_or(DropReason::SrtpReplay)?;
        if stream.authentic.check(index) != Verdict::Fresh {
            return Err(DropReason::SrtpReplay);
        }
        // A retransmission's payload lands two bytes early, so that behind its original sequence number it stands in
        // its place; the header is written over that number afterwards.
        let early = if matches!(stream.kind(), StreamKind::Rtx { .. }) { OSN_BYTES } else { 0 };
        let header_len = prefix.header_len();
        let start = header_len - early;
        let body = out.get_mut(start..).ok_or(DropReason::Oversize)?;
        let body_len = session.open_rtp(prefix.ssrc(), index, datagram, header_len, body)?;

        stream.note_arrival(index, prefix.timestamp(), now);
        self.note_numbers(&prefix, now);
        self.statistics.packets_received += 1;
        self.statistics.bytes_received += datagram.len() as u64;

        let body = &out[start..start + body_len];
        let body_len = without_padding(datagram, body)?;
        let original = if early == 0 { prefix.sequence() } else { original_sequence(&body[..body_len])? };
        out[..header_len].copy_from_slice(&datagram[..header_len]);
        let packet = Plain { at, original, payload_type, header_len, len: start + body_len };
        self.deliver(&prefix, packet, out, now)
    }

    /// The packet of the last `Err(DropReason::PaddingOnly)`, so that a projection can close the gap: its header stands in
    /// the buffer that [`Transport::open_rtp`] was given. `None` if it came on a retransmission stream.
    pub fn padding_only(&mut self) -> Option<PaddingOnly> {
        self.padding_only.take()
    }

    fn receive_position(&self, ssrc: u32) -> Option<usize> {
        self.receive_ssrcs.iter().position(|&known| known == ssrc)
    }

    /// Note the transport-wide number for feedback.
    fn note_numbers(&mut self, prefix: &HeaderPrefix<'_>, now: Timestamp) {
        let Some(id) = self.extensions.transport_cc else { return };
        let number =
            prefix.extension().and_then(|block| block.find(id)).and_then(rtp_extension::transport_cc);
        if let Some(number) = number {
            self.arrivals.note(number, prefix.ssrc(), prefix.marker(), now);
            self.rtcp_due = self.rtcp_due.min(self.arrivals.due());
        }
    }

    /// Give an authentic packet its place in its media stream.
    fn deliver(
        &mut self,
        prefix: &HeaderPrefix<'_>,
        packet: Plain,
        out: &mut [u8],
        now: Timestamp,
    ) -> Result<Opened, DropReason> {
        let (media_at, retransmitted) = match self.receive[packet.at].kind() {
            StreamKind::Media { .. } => (packet.at, false),
            StreamKind::Rtx { primary } => (self.receive_position(primary).ok_or(DropReason::Rtx)?, true),
        };
        let stream = &mut self.receive[media_at];
        if retransmitted && stream.delivered.highest().is_none() {
            // Of a stream that has not begun nothing can be missing.
            return Err(DropReason::Rtx);
        }
        let extended_sequence =
            estimate(stream.delivered.highest(), packet.original).ok_or(DropReason::Duplicate)?;
        if stream.delivered.check(extended_sequence) != Verdict::Fresh {
            return Err(DropReason::Duplicate);
        }
        stream.delivered.mark(extended_sequence);
        if let Some(holes) = &mut stream.holes {
            holes.arrived(extended_sequence, now);
            self.requests_due = self.requests_due.min(holes.due());
            self.rtcp_due = self.rtcp_due.min(self.requests_due);
        }
        let ssrc = stream.ssrc();
        let marker = prefix.marker();
        out[0] &= !PADDING_FLAG;
        out[1] = u8::from(marker) << 7 | packet.payload_type;
        out[2..4].copy_from_slice(&packet.original.to_be_bytes());
        out[8..12].copy_from_slice(&ssrc.to_be_bytes());
        if packet.len == packet.header_len {
            self.padding_only = Some(PaddingOnly {
                ssrc,
                extended_sequence,
                header_len: packet.header_len,
                payload_type: packet.payload_type,
            });
            return Err(DropReason::PaddingOnly);
        }
        Ok(Opened {
            ssrc,
            extended_sequence,
            len: packet.len,
            header_len: packet.header_len,
            payload_type: packet.payload_type,
            marker,
            timestamp: prefix.timestamp(),
            retransmitted,
        })
    }
}

/// A packet just decrypted.
struct Plain {
    /// Position of the stream that it came on.
    at: usize,
    /// Sequence number on the media stream.
    original: u16,
    /// Of the media stream.
    payload_type: u8,
    header_len: usize,
    /// Header and payload, padding removed.
    len: usize,
}

/// The length of a decrypted body without its padding (RFC 3550 A.1).
fn without_padding(datagram: &[u8], body: &[u8]) -> Result<usize, DropReason> {
    if datagram.first().is_none_or(|first| first & PADDING_FLAG == 0) {
        return Ok(body.len());
    }
    let count = body.last().map_or(0, |&count| usize::from(count));
    if count == 0 {
        return Err(DropReason::RtpMalformed);
    }
    body.len().checked_sub(count).ok_or(DropReason::RtpMalformed)
}

/// The number that stands before the payload of a retransmission (RFC 4588 §4).
fn original_sequence(body: &[u8]) -> Result<u16, DropReason> {
    match body {
        [] => Err(DropReason::PaddingOnly),
        body => wire::rtx::parse(body).map(|rtx| rtx.original_sequence).ok_or(DropReason::Rtx),
    }
}

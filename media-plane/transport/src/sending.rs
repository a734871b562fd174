//! From a projected packet to a protected datagram, and from a NACK to a retransmission.

use contract::Timestamp;
use contract::limits::DATAGRAM_BYTES_MAX;
use contract::session::ExtensionIds;
use wire::codec::Patch;
use wire::rtp::Header;
use wire::rtx;

use crate::header_extension::{DESCRIPTOR_BYTES_MAX, Stamps, header_len, numbered};
use crate::retransmission::Record;
use crate::send_stream::{Outgoing, Repair, Sealed, SendStream};
use crate::srtp::Session;
use crate::transport::Transport;

/// Bit of the padding flag in the first byte (RFC 3550 §5.1).
const PADDING_FLAG: u8 = 0x20;

impl Transport {
    /// Move an outgoing stream in. `Err` gives it back: one of its SSRCs is in use, or there is no room. `Ok(Some(n))`:
    /// the SSRC was used before under these keys up to the extended sequence number `n`; go on after it.
    pub fn add_send_stream(&mut self, mut stream: Box<SendStream>) -> Result<Option<u64>, Box<SendStream>> {
        let mut ours = core::iter::once(stream.ssrc()).chain(stream.rtx());
        let in_use =
            ours.any(|ssrc| self.send.iter().any(|other| other.ssrc() == ssrc || other.rtx() == Some(ssrc)));
        if in_use || self.send.len() >= SEND_STREAMS_MAX {
            return Err(stream);
        }
        let Ok(used) = self.retired.resume(&mut stream) else { return Err(stream) };
        self.send_ssrcs.push(stream.ssrc());
        self.send.push(stream);
        Ok(used)
    }

    /// Take an outgoing stream out, to be freed elsewhere. Its numbers stay used.
    pub fn remove_send_stream(&mut self, ssrc: u32) -> Option<Box<SendStream>> {
        let at = self.send_position(ssrc)?;
        self.send_ssrcs.swap_remove(at);
        let stream = self.send.swap_remove(at);
        self.retired.retire(&stream);
        Some(stream)
    }

    /// The exact length that [`Transport::seal_rtp`] will give this packet, padding included, as long as that is at
    /// most [`DATAGRAM_BYTES_MAX`] (beyond it extensions are left out). `None` without keys or stream.
    pub fn sealed_len(&self, packet: &Outgoing<'_>) -> Option<usize> {
        let stream = &self.send[self.send_position(packet.header.ssrc)?];
        let stamps = Stamps::default();
        let numbered = numbered(&self.extensions, stream.media());
        let elements = stamps.elements(&self.extensions, packet, packet.dependency_descriptor, numbered);
        let header = header_len(&elements, self.extensions.allow_mixed);
        let overhead = self.session.as_ref()?.rtp_overhead();
        Some(header + packet.payload.len() + usize::from(packet.padding) + overhead)
    }

    /// Write header, extensions, patched payload and padding to `out` and seal them. `None` without keys or stream, if
    /// the sequence number was used before or is too old, if it does not fit, or if a patch fails.
    pub fn seal_rtp(&mut self, packet: &Outgoing<'_>, now: Timestamp, out: &mut [u8]) -> Option<Sealed> {
        let at = self.send_position(packet.header.ssrc)?;
        let session = self.session.as_deref()?;
        let stream = &mut self.send[at];
        let index = stream.index_for(packet.header.sequence)?;
        let number = numbered(&self.extensions, stream.media()).then_some(self.next_transport_cc);
        let plan = Plan {
            header: packet.header,
            original_sequence: None,
            padding: packet.padding,
            transport_cc: number.map(|number| number as u16),
            stamped: now,
            index,
        };
        let (len, tag) = plan.write(session, &self.extensions, packet, out)?;
        stream.note_sent(index, packet.payload.len());
        if let Some(token) = packet.retransmission_token {
            stream.history.insert(&Record {
                token,
                header: packet.header,
                patch: packet.patch,
                index,
                padding: packet.padding,
                transport_cc: plan.transport_cc,
                tag,
                sealed: now,
                len: len as u16,
            });
        }
        self.budget.earn(len);
        Some(self.note_sealed(len, number, now))
    }

    /// The record of a packet that the peer misses, if it may be sent again now: at most once a round trip, four times
    /// in all, a second back, and within a fifth of the rate. It counts as sent; follow with [`Transport::seal_rtx`].
    pub fn nacked(&mut self, ssrc: u32, sequence: u16, now: Timestamp) -> Option<Record> {
        let at = self.send_position(ssrc)?;
        let round_trip_us = self.round_trip_us();
        self.budget.limit(self.bandwidth.target());
        let stream = &mut self.send[at];
        let highest = stream.used.highest()?;
        // Half a span around the highest; what lies ahead of it was never sent.
        let index = wire::sequence::unwrap_u16(highest, sequence);
        let record = stream.history.take(ssrc, index, round_trip_us, &mut self.budget, now);
        self.statistics.retransmissions_refused += u64::from(record.is_none());
        record
    }

    /// A key frame goes out on `ssrc` next, with this sequence number first: of what was sent before nothing is sent again, and what is
    /// lost of it goes before all else.
    pub fn begin_anew(&mut self, ssrc: u32, sequence: u16, timestamp: u32) {
        let Some(at) = self.send_position(ssrc) else { return };
        let stream = &mut self.send[at];
        if let Some(first) = stream.index_for(sequence) {
            stream.history.begin_anew(first, timestamp);
        }
    }

    /// Whether a packet that the peer misses belongs to the last key frame and cannot be sent again: another one is due. Says so once.
    pub fn key_frame_lost(&mut self, ssrc: u32, sequence: u16, now: Timestamp) -> bool {
        let Some(at) = self.send_position(ssrc) else { return false };
        let round_trip_us = self.round_trip_us();
        let stream = &mut self.send[at];
        let Some(highest) = stream.used.highest() else { return false };
        let index = wire::sequence::unwrap_u16(highest, sequence);
        stream.history.give_up_key_frame(index, round_trip_us, now)
    }

    /// Bits per second that retransmissions took of late: the link carries so much less of anything new.
    pub fn repair_rate(&self, now: Timestamp) -> u64 {
        self.budget.rate(now)
    }

    /// Seal a retransmission: on the RTX stream if negotiated (RFC 4588), else the very same datagram again, which is
    /// refused if it would differ from the first one by a single bit (it would repeat a nonce).
    pub fn seal_rtx(
        &mut self,
        record: &Record,
        packet: &Repair<'_>,
        now: Timestamp,
        out: &mut [u8],
    ) -> Option<Sealed> {
        let at = self.send_position(record.header.ssrc)?;
        let session = self.session.as_deref()?;
        let stream = &mut self.send[at];
        let outgoing = packet.outgoing(record);
        let rtx_type = self.payload_types.rtx_of(record.header.payload_type);
        let (plan, number) = match (stream.rtx(), rtx_type) {
            (Some(ssrc), Some(payload_type)) => {
                let number = numbered(&self.extensions, stream.media()).then_some(self.next_transport_cc);
                let index = stream.next_rtx;
                let header = Header { ssrc, payload_type, sequence: index as u16, ..record.header };
                let plan = Plan {
                    header,
                    original_sequence: Some(record.header.sequence),
                    padding: 0,
                    transport_cc: number.map(|number| number as u16),
                    stamped: now,
                    index,
                };
                (plan, number)
            }
            _ => {
                let plan = Plan {
                    header: record.header,
                    original_sequence: None,
                    padding: record.padding,
                    transport_cc: record.transport_cc,
                    stamped: record.sealed,
                    index: record.index,
                };
                (plan, None)
            }
        };
        let (len, tag) = plan.write(session, &self.extensions, &outgoing, out)?;
        if plan.original_sequence.is_some() {
            stream.next_rtx += 1;
        } else if tag != record.tag {
            // Not the datagram of then: it must not leave. Nothing of it may be read from `out` either.
            out.fill(0);
            return None;
        }
        self.statistics.packets_retransmitted += 1;
        Some(self.note_sealed(len, number, now))
    }

    /// Note the clocks of what `ssrc` carries now, translated to the outgoing stream: our reports carry them on.
    pub fn sender_report(&mut self, ssrc: u32, ntp: u64, rtp_timestamp: u32, now: Timestamp) {
        if let Some(at) = self.send_position(ssrc) {
            self.send[at].note_clocks(ntp, rtp_timestamp, now);
        }
    }

    pub(crate) fn send_position(&self, ssrc: u32) -> Option<usize> {
        self.send_ssrcs.iter().position(|&known| known == ssrc)
    }

    pub(crate) fn note_sealed(&mut self, len: usize, number: Option<u64>, now: Timestamp) -> Sealed {
        if let Some(number) = number {
            self.next_transport_cc += 1;
            self.bandwidth.note_sent(number, len, now);
            self.answers_due = self.bandwidth.poll_timeout();
        }
        self.statistics.packets_sent += 1;
        self.statistics.bytes_sent += len as u64;
        Sealed { len, transport_cc: number }
    }
}

impl<'a> Repair<'a> {
    fn outgoing(&self, record: &Record) -> Outgoing<'a> {
        Outgoing {
            header: record.header,
            payload: self.payload,
            patch: record.patch,
            structure: self.structure,
            audio_level: self.audio_level,
            video_orientation: self.video_orientation,
            dependency_descriptor: self.dependency_descriptor,
            mid: self.mid,
            padding: 0,
            retransmission_token: None,
        }
    }
}

/// The numbers of one datagram to write.
pub(crate) struct Plan {
    pub(crate) header: Header,
    /// On the RTX stream: what goes before the payload.
    pub(crate) original_sequence: Option<u16>,
    pub(crate) padding: u8,
    pub(crate) transport_cc: Option<u16>,
    /// The absolute send time.
    pub(crate) stamped: Timestamp,
    pub(crate) index: u64,
}

impl Plan {
    /// Length and first four tag bytes of the protected packet at the start of `out`.
    pub(crate) fn write(
        &self,
        session: &Session,
        ids: &ExtensionIds,
        packet: &Outgoing<'_>,
        out: &mut [u8],
    ) -> Option<(usize, [u8; 4])> {
        let room = out.len().min(DATAGRAM_BYTES_MAX);
        let out = &mut out[..room];
        let prefix_len = if self.original_sequence.is_some() { rtx::HEADER_LEN } else { 0 };
        let body_len = prefix_len + packet.payload.len() + usize::from(self.padding);
        let header_room = room.checked_sub(body_len + session.rtp_overhead())?;
        let header_len = self.write_header(ids, packet, &mut out[..header_room])?;
        if self.padding > 0 {
            out[0] |= PADDING_FLAG;
        }
        let (ssrc, index) = (self.header.ssrc, self.index);
        if prefix_len == 0 && !packet.patch.changes_payload() {
            let sealed_len =
                session.seal_rtp_from(ssrc, index, header_len, packet.payload, self.padding, out)?;
            return Some((sealed_len, *out.get(header_len + body_len..)?.first_chunk()?));
        }

        let (prefix, rest) = out.get_mut(header_len..header_len + body_len)?.split_at_mut(prefix_len);
        if let Some(sequence) = self.original_sequence {
            rtx::write(prefix, sequence)?;
        }
        let (payload, padding) = rest.split_at_mut(packet.payload.len());
        payload.copy_from_slice(packet.payload);
        packet.patch.apply_payload(payload).ok()?;
        if let Some((count, zeros)) = padding.split_last_mut() {
            zeros.fill(0);
            *count = self.padding;
        }
        let len = header_len + body_len;
        let sealed_len = session.seal_rtp(ssrc, index, out, header_len, len)?;
        Some((sealed_len, *out.get(len..)?.first_chunk()?))
    }

    fn write_header(&self, ids: &ExtensionIds, packet: &Outgoing<'_>, out: &mut [u8]) -> Option<usize> {
        let mut patched = [0; DESCRIPTOR_BYTES_MAX];
        let descriptor = match packet.dependency_descriptor {
            Some(raw) if ids.dependency_descriptor.is_some() && matches!(packet.patch, Patch::Av1 { .. }) => {
                let patched = patched.get_mut(..raw.len())?;
                patched.copy_from_slice(raw);
                packet.patch.apply_descriptor(patched, packet.structure).ok()?;
                Some(&*patched)
            }
            unchanged => unchanged,
        };
        let stamps = Stamps::new(packet, self.transport_cc, self.stamped);
        let elements = stamps.elements(ids, packet, descriptor, self.transport_cc.is_some());
        self.header.write(out, &elements, ids.allow_mixed)
    }
}

/// Streams sent at a time: every video and audio slot of a receiver, and a few on their way in or out.
pub(crate) const SEND_STREAMS_MAX: usize =
    contract::limits::VIDEO_SLOTS_MAX + contract::limits::AUDIO_SLOTS_MAX + 28;

/// SSRCs sent on under the present keys and given up since: their indices stay used (RFC 3711 §9.1, RFC 7714 §8.1).
pub(crate) struct Retired {
    /// Allocated once.
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    ssrc: u32,
    rtx: Option<u32>,
    highest: Option<u64>,
    next_rtx: u64,
}

/// The SSRC cannot be used under these keys any more.
pub(crate) struct Exhausted;

impl Retired {
    /// With SSRC rewriting the SSRCs are slots of ours that come back.
    const ENTRIES_WITH_REWRITING: usize = 256;
    /// Without it every SSRC that ever was in the conference may pass by. When that many have, no new ones are taken
    /// until the keys change: forgetting one could repeat a nonce.
    const ENTRIES: usize = 2_048;

    pub(crate) fn new(ssrc_rewriting: bool) -> Retired {
        let entries = if ssrc_rewriting { Self::ENTRIES_WITH_REWRITING } else { Self::ENTRIES };
        Retired { entries: Vec::with_capacity(entries) }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Let a stream go on where its SSRCs were left; the highest index used. A retired entry is taken out again.
    fn resume(&mut self, stream: &mut SendStream) -> Result<Option<u64>, Exhausted> {
        // A media SSRC that was someone's RTX SSRC, or the reverse, has its numbers in the wrong counter.
        let crossed = |entry: &Entry| {
            entry.rtx == Some(stream.ssrc()) || (stream.rtx().is_some() && stream.rtx() == Some(entry.ssrc))
        };
        let other_pair =
            |entry: &Entry| entry.rtx.is_some() && entry.rtx == stream.rtx() && entry.ssrc != stream.ssrc();
        if self.entries.iter().any(|entry| crossed(entry) || other_pair(entry)) {
            return Err(Exhausted);
        }
        let Some(at) = self.entries.iter().position(|entry| entry.ssrc == stream.ssrc()) else {
            // Its own entry must find room when it goes.
            let reserved = self.entries.len() + SEND_STREAMS_MAX;
            return if reserved > self.entries.capacity() { Err(Exhausted) } else { Ok(None) };
        };
        let entry = self.entries[at];
        if entry.rtx.is_some() && entry.rtx != stream.rtx() {
            return Err(Exhausted);
        }
        self.entries.swap_remove(at);
        stream.next_rtx = entry.next_rtx;
        if let Some(highest) = entry.highest {
            stream.used.close_up_to(highest);
        }
        Ok(entry.highest)
    }

    fn retire(&mut self, stream: &SendStream) {
        if self.entries.len() < self.entries.capacity() {
            let (highest, next_rtx) = (stream.used.highest(), stream.next_rtx);
            self.entries.push(Entry { ssrc: stream.ssrc(), rtx: stream.rtx(), highest, next_rtx });
        }
    }
}

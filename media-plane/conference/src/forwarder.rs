//! The way of a packet through a replica: described once, noted by all, projected for each receiver; and the way of feedback
//! back.

use contract::session::{Codec, ExtensionIds, Media};
use contract::{DropReason, EndpointId, SourceId, Timestamp};
use wire::codec::Patch;
use wire::rtp::{Header, Packet};
use wire::rtp_extension::audio_level;

use crate::conference::{Conference, Projected, SourceSet};
use crate::endpoint::{Receiver, ReceiverIndex};
use crate::key_frame::{Waiting, wanted};
use crate::packet::{Frame, MediaPacket};
use crate::slots::Tenant;
use crate::source::{Source, SourceIndex};

impl Conference {
    /// On the sender's worker: read what an authenticated packet says of itself. Stateful per encoding (numbers are
    /// unwrapped, AV1 structures are kept), so each packet goes through here once, in the order of arrival.
    ///
    /// A packet with nothing but padding is described too, with `payload_bytes` 0: its number must be taken out of the
    /// outgoing streams.
    #[allow(clippy::too_many_arguments)]
    pub fn describe(
        &mut self,
        source: SourceIndex,
        encoding: u8,
        packet: &Packet<'_>,
        sequence: u64,
        extensions: &ExtensionIds,
        codec: Codec,
        retransmitted: bool,
        now: Timestamp,
    ) -> Result<MediaPacket, DropReason> {
        let seat = self.storage.sources.get_mut(usize::from(source.0));
        let state = seat.and_then(Option::as_deref_mut).ok_or(DropReason::UnknownSource)?;
        let ssrc = state.encodings.get(usize::from(encoding)).ok_or(DropReason::UnknownSource)?.ssrc;
        if codec.media() != state.media {
            return Err(DropReason::UnknownPayloadType);
        }
        let payload_bytes = u16::try_from(packet.payload().len()).map_err(|_| DropReason::Oversize)?;
        let id = state.id;
        let mut frame = Frame::default();
        let mut level = None;
        if state.media == Media::Audio {
            let element = extensions.audio_level.and_then(|id| packet.extension()?.find(id));
            level = element.and_then(audio_level);
        } else {
            let describer =
                state.describers.get_mut(usize::from(encoding)).ok_or(DropReason::UnknownSource)?;
            let read = describer.frame(packet, extensions, codec, now);
            if core::mem::take(&mut describer.key_frame_due) {
                ask(None, state, source.0, encoding, &mut self.source_news, now);
            }
            frame = read?;
        }
        Ok(MediaPacket {
            source: id,
            sequence,
            arrival: now,
            ssrc,
            timestamp: packet.timestamp(),
            payload_bytes,
            encoding,
            payload_type: packet.payload_type(),
            codec,
            marker: packet.marker(),
            retransmitted,
            audio_level: level,
            frame,
        })
    }

    /// On every replica, once a packet and before it is projected: rates, heights, speech. Returns where the source
    /// sits here, or `None` if it is not known (any more).
    pub fn note(&mut self, packet: &MediaPacket) -> Option<SourceIndex> {
        let index = self.source_index(packet.source)?;
        let now = packet.arrival;
        let silence = self.config.silence_packets;
        let source = self.storage.sources.get_mut(usize::from(index.0))?.as_deref_mut()?;
        if source.media == Media::Video {
            if source.note_video(packet) {
                self.schedule.note_layers(now);
            }
            return Some(index);
        }
        let mut heard = true;
        if let (Some(places), Some(level)) = (self.config.loudest, packet.audio_level) {
            let is_loud = self.loudest.admit(index.0, level.level, places, now);
            heard = is_loud || source.named || self.speech.dominant() == Some(index.0);
        }
        let kept = source.note_audio(packet, heard, silence);
        if let Some(level) = packet.audio_level {
            source.speaker.note(level.level, now);
            self.speech.wake(now);
        }
        if kept && core::mem::take(&mut source.slots_missing) {
            self.lend_audio(index.0, now);
        }
        Some(index)
    }

    /// Whether a packet is for a receiver, and as what. `source` is what [`Conference::note`] returned for it.
    pub fn project(
        &mut self,
        receiver: ReceiverIndex,
        source: SourceIndex,
        packet: &MediaPacket,
    ) -> Option<Projected> {
        let state = self.storage.sources.get_mut(usize::from(source.0))?.as_deref_mut()?;
        if !state.interested.contains(receiver.0) || state.id != packet.source {
            return None;
        }
        let seat = self.storage.receivers.get_mut(usize::from(receiver.0))?.as_deref_mut()?;
        match state.media {
            Media::Audio => project_audio(seat, state, source.0, packet),
            Media::Video => project_video(seat, state, source.0, packet, &mut self.source_news),
        }
    }

    /// A sender report (RFC 3550 §6.4.1) of `ssrc`, as the receiver must see it: (outgoing SSRC, NTP, RTP timestamp). `None`
    /// unless `ssrc` is the encoding that the receiver is being sent.
    pub fn translate_sender_report(
        &mut self,
        receiver: ReceiverIndex,
        source: SourceIndex,
        ssrc: u32,
        ntp: u64,
        rtp: u32,
    ) -> Option<(u32, u64, u32)> {
        let state = self.storage.sources.get_mut(usize::from(source.0))?.as_deref_mut()?;
        let encoding = state.encoding_of(ssrc)?;
        if let Some(encoding) = state.encodings.get_mut(usize::from(encoding)) {
            encoding.clocks = Some((ntp, rtp));
        }
        let seat = self.storage.receivers.get(usize::from(receiver.0))?.as_deref()?;
        let (out, offset) = match state.media {
            Media::Audio => {
                let slot = seat.audio.of_source(source.0)?;
                (slot.ssrc, slot.projection.timestamp_offset()?)
            }
            Media::Video => {
                let slot = seat.video.of_source(source.0)?;
                if slot.projection.current() != Some(encoding) {
                    return None;
                }
                (slot.ssrc, slot.projection.timestamp_offset())
            }
        };
        Some((out, ntp, rtp.wrapping_add(offset)))
    }

    /// Whose video stream a receiver means by `ssrc`: the source, and the original SSRC to ask (the encoding that it is to be
    /// sent).
    pub fn source_of_feedback(&self, receiver: ReceiverIndex, ssrc: u32) -> Option<(SourceId, u32)> {
        let seat = self.storage.receivers.get(usize::from(receiver.0))?.as_deref()?;
        let slot = seat.video.of_ssrc(ssrc)?;
        let source = self.source(SourceIndex(slot.tenant?.index))?;
        let target = slot.projection.target().map(|target| target.encoding);
        let encoding = target.or(slot.projection.current()).unwrap_or(0);
        Some((source.id, source.encodings.get(usize::from(encoding))?.ssrc))
    }

    /// Whether a key-frame request may go to the sender now, and if so counts it. `requester` is who wants it. One that lives elsewhere
    /// has to be judged by its own replica first, and then by that of the sender, where only the limit of the stream applies.
    pub fn key_frame_wanted(
        &mut self,
        source: SourceId,
        ssrc: u32,
        requester: EndpointId,
        now: Timestamp,
    ) -> bool {
        let Some(index) = self.source_index(source) else { return false };
        let requester = self.receiver_index(requester);
        let Some(state) = self.storage.sources.get_mut(usize::from(index.0)).and_then(Option::as_deref_mut)
        else {
            return false;
        };
        let Some(encoding) = state.encoding_of(ssrc).and_then(|at| state.encodings.get_mut(usize::from(at)))
        else {
            return false;
        };
        let seat = requester.and_then(|at| self.storage.receivers.get_mut(usize::from(at.0))?.as_deref_mut());
        let slot = seat.and_then(|seat| seat.video.of_source_mut(index.0));
        wanted(slot.map(|slot| &mut slot.requests), &mut encoding.requests, now)
    }

    /// Give slots for an audio source to the interested who have none.
    fn lend_audio(&mut self, index: u16, now: Timestamp) {
        let Some(source) = self.storage.sources.get_mut(usize::from(index)).and_then(Option::as_deref_mut)
        else {
            return;
        };
        let tenant = tenant(source, index);
        let mut from = source.interested.next_from(0);
        while let Some(at) = from {
            from = source.interested.next_from(at + 1);
            let seat = self.storage.receivers.get_mut(usize::from(at)).and_then(Option::as_deref_mut);
            let Some(receiver) = seat.filter(|receiver| receiver.audio.of_source(index).is_none()) else {
                continue;
            };
            receiver.audio.lend(tenant, now, |_| false);
            self.receiver_news.insert(at);
        }
    }
}

/// The source as a slot knows it.
pub(crate) fn tenant(source: &Source, index: u16) -> Tenant {
    Tenant { index, id: source.id, ssrcs: source.primary() }
}

/// Have a key frame asked for, within the limits of the stream and the patience of the projection that waits for it.
pub(crate) fn ask(
    waiting: Option<&mut Waiting>,
    source: &mut Source,
    index: u16,
    encoding: u8,
    news: &mut SourceSet,
    now: Timestamp,
) {
    let Some(state) = source.encodings.get_mut(usize::from(encoding)) else { return };
    if waiting.as_ref().is_some_and(|waiting| !waiting.allows(encoding, now)) {
        return;
    }
    if wanted(None, &mut state.requests, now) {
        state.key_frame_due = true;
        news.insert(index);
        if let Some(waiting) = waiting {
            waiting.note(encoding, now);
        }
    }
}

fn project_audio(
    receiver: &mut Receiver,
    source: &mut Source,
    index: u16,
    packet: &MediaPacket,
) -> Option<Projected> {
    let removed = source.silence_before(packet.sequence)?;
    let Some(slot) = receiver.audio.of_source_mut(index) else {
        // Another source took the slot over.
        source.slots_missing = true;
        return None;
    };
    if slot.is_new {
        return None;
    }
    let (sequence, timestamp) = slot.projection.project(packet, removed)?;
    slot.used = packet.arrival;
    let header = header(packet, slot.ssrc, sequence, timestamp, packet.marker);
    Some(Projected { sequence, header, patch: Patch::None, media: Media::Audio, replay: false, anew: false })
}

fn project_video(
    receiver: &mut Receiver,
    source: &mut Source,
    index: u16,
    packet: &MediaPacket,
    news: &mut SourceSet,
) -> Option<Projected> {
    let slot = receiver.video.of_source_mut(index)?;
    if slot.is_new {
        return None;
    }
    if packet.frame.key_frame && packet.frame.start_of_frame {
        let current = slot.projection.current().filter(|current| *current != packet.encoding);
        slot.projection.ticks_between =
            current.and_then(|current| source.ticks_between(current, packet.encoding));
    }
    let output = slot.projection.project(packet);
    if let Some(encoding) = slot.projection.key_frame_wanted() {
        ask(Some(&mut slot.waiting), source, index, encoding, news, packet.arrival);
    } else {
        slot.waiting.satisfied();
    }
    let output = output?;
    slot.used = packet.arrival;
    let header = header(packet, slot.ssrc, output.sequence, output.timestamp, output.marker);
    let crate::projection::Output { sequence, patch, replay, anew, .. } = output;
    Some(Projected { sequence, header, patch, media: Media::Video, replay, anew })
}

fn header(packet: &MediaPacket, ssrc: u32, sequence: u64, timestamp: u32, marker: bool) -> Header {
    Header { marker, payload_type: packet.payload_type, sequence: sequence as u16, timestamp, ssrc }
}

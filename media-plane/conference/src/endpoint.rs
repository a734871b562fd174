//! An endpoint as a receiver: what it asked for, what it is allotted, and the streams that go to it.

use arrayvec::ArrayVec;
use contract::limits::{AUDIO_SLOTS_MAX, VIDEO_SLOTS_MAX};
use contract::session::{AudioSubscription, Media, ReceiverConstraints};
use contract::{EndpointId, SourceId};

use crate::constraints::Wanted;
use crate::event::Event;
use crate::heights::Heights;
use crate::projection::VideoProjection;
use crate::projection::audio::AudioProjection;
use crate::slots::{Slot, Slots};

/// RTP clock of all video (RFC 3551 §5).
const VIDEO_CLOCK: u32 = 90_000;

/// RTP clock of Opus (RFC 7587 §4.1), and of what travels on its SSRC.
const AUDIO_CLOCK: u32 = 48_000;

/// Where a receiver sits in this replica; valid until it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReceiverIndex(pub u16);

/// What a [`Receiver`] is made from.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverSpec {
    /// Who.
    pub endpoint: EndpointId,
    /// Streams go out on SSRCs of ours, announced as they are assigned.
    pub ssrc_rewriting: bool,
    /// Chance, for SSRCs and first sequence numbers.
    pub seed: u64,
}

/// A receiving endpoint, built off the worker.
#[derive(Debug)]
pub struct Receiver {
    pub(crate) endpoint: EndpointId,
    pub(crate) rewriting: bool,
    pub(crate) constraints: Box<ReceiverConstraints>,
    pub(crate) subscription: Box<AudioSubscription>,
    pub(crate) video: Slots<VideoProjection>,
    pub(crate) audio: Slots<AudioProjection>,
    /// What it effectively wants, the most important first.
    pub(crate) wanted: ArrayVec<Wanted, VIDEO_SLOTS_MAX>,
    /// Bits per second that its link carries, by its feedback.
    pub(crate) bandwidth: Option<u64>,
    /// The bandwidth when it was allotted last, and what the outcome takes of it.
    pub(crate) allotted: Allotted,
    /// How many videos it is allotted, by height.
    pub(crate) heights: Heights,
    /// What everything that it wants would take, as told.
    ideal_told: u64,
    /// The set of forwarded sources is another than was told.
    pub(crate) forwarded_changed: bool,
}

/// What an allocation was made from and came to, in bits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allotted {
    /// What there was.
    pub(crate) budget: u64,
    /// What the chosen layers take.
    pub(crate) spent: u64,
    /// What the best layer of everything wanted would take.
    pub(crate) ideal: u64,
}

impl Receiver {
    /// A receiver that is sent all audio and no video until it says what it wants.
    pub fn new(spec: ReceiverSpec) -> Receiver {
        let mut taken = Vec::new();
        let rewriting = spec.ssrc_rewriting;
        Receiver {
            endpoint: spec.endpoint,
            rewriting,
            constraints: Box::default(),
            subscription: Box::default(),
            video: Slots::new(VIDEO_SLOTS_MAX, rewriting, true, spec.seed, &mut taken),
            audio: Slots::new(AUDIO_SLOTS_MAX, rewriting, false, !spec.seed, &mut taken),
            wanted: ArrayVec::new(),
            bandwidth: None,
            allotted: Allotted::default(),
            heights: Heights::default(),
            ideal_told: 0,
            forwarded_changed: false,
        }
    }

    /// Who it is.
    pub fn endpoint(&self) -> EndpointId {
        self.endpoint
    }

    /// Whether it has anything to say.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        let receiver = self.endpoint;
        if let Some(ssrc) = self.video.take_ended().or_else(|| self.audio.take_ended()) {
            return Some(Event::StreamEnded { receiver, ssrc });
        }
        for slot in self.video.iter_mut() {
            if let Some(event) = slot_event(slot, receiver, Media::Video) {
                return Some(event);
            }
        }
        for slot in self.audio.iter_mut() {
            if let Some(event) = slot_event(slot, receiver, Media::Audio) {
                return Some(event);
            }
        }
        let ideal = self.allotted.ideal;
        if ideal.abs_diff(self.ideal_told) > self.ideal_told / 32 {
            self.ideal_told = ideal;
            return Some(Event::Ideal { receiver, bits_per_second: ideal });
        }
        if !core::mem::take(&mut self.forwarded_changed) {
            return None;
        }
        Some(Event::Forwarded { receiver, sources: self.forwarded() })
    }

    /// The video sources with a target, the most important first.
    fn forwarded(&self) -> ArrayVec<SourceId, VIDEO_SLOTS_MAX> {
        let slots = self.wanted.iter().filter_map(|wanted| self.video.of_source(wanted.source));
        let active = slots.filter(|slot| slot.projection.target().is_some());
        active.filter_map(|slot| slot.tenant.map(|tenant| tenant.id)).take(VIDEO_SLOTS_MAX).collect()
    }
}

/// What the transport and then the receiver must know of a slot.
fn slot_event<P>(slot: &mut Slot<P>, receiver: EndpointId, media: Media) -> Option<Event> {
    let tenant = slot.tenant?;
    let (ssrc, rtx) = (slot.ssrc, slot.rtx);
    if core::mem::take(&mut slot.is_new) {
        let clock = if media == Media::Video { VIDEO_CLOCK } else { AUDIO_CLOCK };
        return Some(Event::SendStream { receiver, ssrc, rtx, media, clock });
    }
    let remapped = core::mem::take(&mut slot.is_remapped);
    remapped.then_some(Event::Mapped { receiver, source: tenant.id, media, ssrc, rtx })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::Continuity;
    use crate::projection::audio::AudioContinuity;

    #[test]
    fn a_receiver_is_small() {
        let slots = VIDEO_SLOTS_MAX * size_of::<Slot<VideoProjection>>()
            + AUDIO_SLOTS_MAX * size_of::<Slot<AudioProjection>>();
        let total = size_of::<Receiver>() + slots;
        println!("receiver {} + slots {slots} = {total} bytes", size_of::<Receiver>());
        println!("source {} bytes", size_of::<crate::source::Source>());
        println!("describer {} bytes", size_of::<crate::describe::Describer>());
        println!("media packet {} bytes", size_of::<crate::packet::MediaPacket>());
        println!("projected {} bytes", size_of::<crate::conference::Projected>());
        let remembered = 512 * (size_of::<(u32, Continuity)>() + size_of::<(u32, AudioContinuity)>());
        println!("without rewriting {remembered} bytes more");
        assert!(total + remembered <= 110_000, "{total} {remembered}");
        assert!(size_of::<crate::source::Source>() <= 10_000);
    }
}

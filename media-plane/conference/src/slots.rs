//! The outgoing streams of one receiver: a fixed number of slots, each with its SSRCs, lent to sources.
//!
//! With SSRC rewriting a slot keeps its SSRCs for life, and a source that takes one over continues the stream. Slots of
//! sources that are gone go first, then unused ones, then the least recently used. Without rewriting a slot carries the source's
//! own SSRC, and what was sent on an SSRC is remembered when its slot is lent to another source.

use contract::{Duration, SourceId, Timestamp};

use crate::key_frame::{RequesterLimit, Waiting};
use crate::projection::audio::{AudioContinuity, AudioProjection};
use crate::projection::{Continuity, VideoProjection};

/// Buckets of the look-up table: at least twice the slots.
const BUCKETS: usize = 128;

/// Without rewriting: SSRCs of one media type that a receiver can be sent in its life. What was sent on each is remembered, as a
/// sequence number that came again would repeat a nonce (RFC 3711 §9.1). Beyond, new sources are not sent.
const SSRCS_MAX: usize = 512;

/// A projection that a slot can hold.
pub(crate) trait Projection {
    /// What a successor needs to continue.
    type Continuity: Copy + core::fmt::Debug;
    fn beginning(chance: u64) -> Self::Continuity;
    fn continuing(continuity: Self::Continuity) -> Self;
    fn continuity(&self) -> Self::Continuity;
    fn reset(&mut self);
}

impl Projection for VideoProjection {
    type Continuity = Continuity;
    fn beginning(chance: u64) -> Continuity {
        Continuity::new(chance)
    }
    fn continuing(continuity: Continuity) -> Self {
        VideoProjection::new(continuity)
    }
    fn continuity(&self) -> Continuity {
        self.continuity
    }
    fn reset(&mut self) {
        VideoProjection::reset(self);
    }
}

impl Projection for AudioProjection {
    type Continuity = AudioContinuity;
    fn beginning(chance: u64) -> AudioContinuity {
        AudioContinuity::new(chance)
    }
    fn continuing(continuity: AudioContinuity) -> Self {
        AudioProjection::new(continuity)
    }
    fn continuity(&self) -> AudioContinuity {
        self.continuity
    }
    fn reset(&mut self) {
        AudioProjection::reset(self);
    }
}

/// The source that a slot is lent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tenant {
    /// Its index in the replica.
    pub(crate) index: u16,
    pub(crate) id: SourceId,
    /// Its own SSRCs, media and RTX.
    pub(crate) ssrcs: (u32, Option<u32>),
}

/// One outgoing stream. What every packet touches comes first, so that it lies in few lines (`repr(C)`).
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct Slot<P> {
    pub(crate) ssrc: u32,
    pub(crate) rtx: Option<u32>,
    /// The transport has not been told of the stream; nothing is sent before.
    pub(crate) is_new: bool,
    /// Something was sent on its SSRC before (without rewriting).
    is_resumed: bool,
    /// The receiver has not been told of the tenant.
    pub(crate) is_remapped: bool,
    was_lent: bool,
    pub(crate) used: Timestamp,
    /// What the projection itself asks for.
    pub(crate) waiting: Waiting,
    pub(crate) projection: P,

    // Now and then.
    pub(crate) tenant: Option<Tenant>,
    /// Requests for key frames of the tenant.
    pub(crate) requests: RequesterLimit,
    /// When the allocation last lowered the tenant for lack of budget.
    pub(crate) lowered: Option<Timestamp>,
    /// When it last raised it, and how long it will not after lowering it.
    pub(crate) raised: Option<Timestamp>,
    pub(crate) dwell: Duration,
    /// The budget that lowered it, bits per second.
    pub(crate) lowered_by: u64,
    /// What was asked when the tenant was allotted last.
    pub(crate) max_height: u16,
}

/// An SSRC that was sent on and is not now.
#[derive(Clone, Copy, Debug)]
struct Retired<C> {
    ssrc: u32,
    continuity: C,
    /// The transport knows that the stream has ended.
    told: bool,
}

/// The slots of one media type.
#[derive(Debug)]
pub(crate) struct Slots<P: Projection> {
    slots: Vec<Slot<P>>,
    at: Lookup,
    rewriting: bool,
    /// What was sent on SSRCs that have no slot now; within its capacity.
    retired: Vec<Retired<P::Continuity>>,
    /// Those of them that the transport was not told of.
    untold: usize,
    chance: Chance,
}

impl<P: Projection> Slots<P> {
    /// `count` free slots. With `rewriting` each has SSRCs that are not in `taken`, which they are added to.
    pub(crate) fn new(
        count: usize,
        rewriting: bool,
        with_rtx: bool,
        seed: u64,
        taken: &mut Vec<u32>,
    ) -> Self {
        let mut chance = Chance(seed);
        let slots = (0..count).map(|_| {
            let (ssrc, rtx) = match rewriting {
                true => (chance.ssrc(taken), with_rtx.then(|| chance.ssrc(taken))),
                false => (0, None),
            };
            Slot {
                ssrc,
                rtx,
                tenant: None,
                projection: P::continuing(P::beginning(chance.next())),
                requests: RequesterLimit::default(),
                waiting: Waiting::default(),
                lowered: None,
                raised: None,
                dwell: Duration::ZERO,
                lowered_by: 0,
                max_height: 0,
                is_new: true,
                is_resumed: false,
                is_remapped: false,
                was_lent: false,
                used: Timestamp::ZERO,
            }
        });
        let slots = slots.collect();
        let retired = Vec::with_capacity(if rewriting { 0 } else { SSRCS_MAX });
        Slots { slots, at: Lookup::default(), rewriting, retired, untold: 0, chance }
    }

    pub(crate) fn of_source(&self, source: u16) -> Option<&Slot<P>> {
        self.slots.get(self.at.get(source)?)
    }

    pub(crate) fn of_source_mut(&mut self, source: u16) -> Option<&mut Slot<P>> {
        self.slots.get_mut(self.at.get(source)?)
    }

    /// The slot with this outgoing SSRC, if it is lent.
    pub(crate) fn of_ssrc(&self, ssrc: u32) -> Option<&Slot<P>> {
        self.slots.iter().find(|slot| slot.tenant.is_some() && slot.ssrc == ssrc)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot<P>> {
        self.slots.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot<P>> {
        self.slots.iter_mut()
    }

    /// A slot for a source, which it may have already. `keep` says which sources must not lose theirs. Returns whether one was
    /// found, and the source that had to go.
    pub(crate) fn lend(
        &mut self,
        tenant: Tenant,
        now: Timestamp,
        keep: impl Fn(u16) -> bool,
    ) -> (bool, Option<u16>) {
        if let Some(slot) = self.of_source_mut(tenant.index) {
            slot.used = now;
            return (true, None);
        }
        if !self.rewriting && !self.may_begin(tenant.ssrcs.0) {
            return (false, None);
        }
        // Gone sources' slots, then unused ones, then the least recently used.
        let rank = |slot: &Slot<P>| match slot.tenant {
            None => Some((!slot.was_lent as u8, Timestamp::ZERO)),
            Some(held) if keep(held.index) => None,
            Some(_) => Some((2, slot.used)),
        };
        let found = self.slots.iter().enumerate().filter_map(|(at, slot)| Some((rank(slot)?, at))).min();
        let Some((_, at)) = found else { return (false, None) };
        let evicted = self.slots.get(at).and_then(|slot| slot.tenant).map(|held| held.index);
        self.vacate(at);
        self.occupy(at, tenant, now);
        self.rebuild();
        (true, evicted)
    }

    /// Take the slot away from a source.
    pub(crate) fn release(&mut self, source: u16) {
        if let Some(at) = self.at.get(source) {
            self.vacate(at);
            self.rebuild();
        }
    }

    fn vacate(&mut self, at: usize) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        if slot.tenant.take().is_none() {
            return;
        }
        slot.projection.reset();
        slot.is_remapped = false;
        // Nothing was sent on an SSRC that was never announced.
        if self.rewriting || slot.is_new && !slot.is_resumed {
            return;
        }
        self.retired.push(Retired {
            ssrc: slot.ssrc,
            continuity: slot.projection.continuity(),
            // One that was to begin again had ended before.
            told: slot.is_new,
        });
        self.untold += usize::from(!slot.is_new);
    }

    /// An SSRC that nothing will be sent on for now; each once.
    pub(crate) fn take_ended(&mut self) -> Option<u32> {
        if self.untold == 0 {
            return None;
        }
        let ended = self.retired.iter_mut().find(|retired| !retired.told)?;
        ended.told = true;
        self.untold -= 1;
        Some(ended.ssrc)
    }

    /// Whether a source may be sent on its own SSRC: nobody else is using it, and it will be possible to remember it.
    fn may_begin(&self, ssrc: u32) -> bool {
        let lent = self.slots.iter().filter(|slot| slot.tenant.is_some());
        let known = self.retired.iter().any(|retired| retired.ssrc == ssrc);
        let is_taken = lent.clone().any(|slot| slot.ssrc == ssrc);
        !is_taken && (known || self.retired.len() + lent.count() < SSRCS_MAX)
    }

    fn occupy(&mut self, at: usize, tenant: Tenant, now: Timestamp) {
        let chance = self.chance.next();
        let Some(slot) = self.slots.get_mut(at) else { return };
        if self.rewriting {
            slot.is_remapped = true;
        } else {
            (slot.ssrc, slot.rtx) = tenant.ssrcs;
            let known = self.retired.iter().position(|retired| retired.ssrc == slot.ssrc);
            let known = known.map(|known| self.retired.swap_remove(known));
            // The transport remembers the numbers used, and goes on after them. It may never have been told of the end.
            slot.is_resumed = known.is_some();
            slot.is_new = known.is_none_or(|known| known.told);
            self.untold -= usize::from(known.is_some_and(|known| !known.told));
            let continuity = known.map_or_else(|| P::beginning(chance), |known| known.continuity);
            slot.projection = P::continuing(continuity);
        }
        slot.tenant = Some(tenant);
        slot.requests = RequesterLimit::default();
        slot.waiting = Waiting::default();
        (slot.lowered, slot.raised) = (None, None);
        slot.max_height = 0;
        slot.was_lent = true;
        slot.used = now;
    }

    fn rebuild(&mut self) {
        self.at = Lookup::default();
        for (at, slot) in self.slots.iter().enumerate() {
            if let Some(tenant) = slot.tenant {
                self.at.insert(tenant.index, at);
            }
        }
    }
}

/// From source index to slot: open addressing in a fixed table, rebuilt when a slot changes hands.
#[derive(Clone, Debug)]
struct Lookup([(u16, u8); BUCKETS]);

/// Marks a free bucket; no slot has this number.
const FREE: u8 = u8::MAX;

impl Default for Lookup {
    fn default() -> Self {
        Lookup([(0, FREE); BUCKETS])
    }
}

impl Lookup {
    fn get(&self, source: u16) -> Option<usize> {
        for step in 0..BUCKETS {
            let (key, slot) = self.0[(usize::from(source) + step) % BUCKETS];
            if slot == FREE {
                return None;
            }
            if key == source {
                return Some(usize::from(slot));
            }
        }
        None
    }

    fn insert(&mut self, source: u16, slot: usize) {
        for step in 0..BUCKETS {
            let bucket = &mut self.0[(usize::from(source) + step) % BUCKETS];
            if bucket.1 == FREE {
                *bucket = (source, slot as u8);
                return;
            }
        }
    }
}

const _: () = assert!(contract::limits::VIDEO_SLOTS_MAX * 2 <= BUCKETS);
const _: () = assert!(contract::limits::AUDIO_SLOTS_MAX * 2 <= BUCKETS);

/// Chance from a seed (SplitMix64): not secret, only spread out.
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// An SSRC that is not 0 and not taken yet; with 200 of 2^32 taken the loop ends at once.
    fn ssrc(&mut self, taken: &mut Vec<u32>) -> u32 {
        loop {
            let ssrc = self.next() as u32;
            if ssrc != 0 && !taken.contains(&ssrc) {
                taken.push(ssrc);
                return ssrc;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::tests::{audio, video};
    use crate::projection::Target;
    use crate::source::EVERYTHING;
    use proptest::prelude::*;

    fn tenant(index: u16) -> Tenant {
        Tenant { index, id: SourceId(u64::from(index)), ssrcs: (1_000 + u32::from(index), None) }
    }

    fn slots(count: usize, rewriting: bool) -> Slots<AudioProjection> {
        Slots::new(count, rewriting, false, 7, &mut Vec::new())
    }

    fn send(slots: &mut Slots<AudioProjection>, source: u16, sequence: u64) -> (u32, u64, u32) {
        let slot = slots.of_source_mut(source).unwrap();
        slot.is_new = false;
        let (out, timestamp) = slot.projection.project(&audio(sequence, 20), 0).unwrap();
        (slot.ssrc, out, timestamp)
    }

    fn lend(slots: &mut Slots<AudioProjection>, source: u16, ms: u64) -> Option<u16> {
        let (found, evicted) = slots.lend(tenant(source), Timestamp::from_millis(ms), |_| false);
        assert!(found);
        evicted
    }

    #[test]
    fn the_least_recently_used_gives_way_and_its_stream_goes_on() {
        let mut slots = slots(2, true);
        lend(&mut slots, 1, 0);
        lend(&mut slots, 2, 10);
        let (ssrc, sequence, timestamp) = send(&mut slots, 1, 100);
        assert_eq!(lend(&mut slots, 3, 20), Some(1));
        let (ssrc3, sequence3, timestamp3) = send(&mut slots, 3, 9_000);
        assert_eq!((ssrc3, sequence3), (ssrc, sequence + 1));
        assert!(timestamp3.wrapping_sub(timestamp) < 1 << 31);
        assert!(slots.of_source(1).is_none() && slots.of_source(2).is_some());
    }

    #[test]
    fn a_gone_sources_slot_is_lent_before_an_unused_one() {
        let mut slots = slots(3, true);
        lend(&mut slots, 1, 0);
        let ssrc = send(&mut slots, 1, 1).0;
        slots.release(1);
        lend(&mut slots, 2, 1);
        assert_eq!(slots.of_source(2).unwrap().ssrc, ssrc);
        assert!(slots.of_source(2).unwrap().is_remapped);
    }

    #[test]
    fn sources_to_keep_keep_their_slots() {
        let mut slots = slots(2, true);
        lend(&mut slots, 1, 0);
        lend(&mut slots, 2, 5);
        assert_eq!(slots.lend(tenant(3), Timestamp::from_millis(9), |held| held == 1), (true, Some(2)));
        assert_eq!(slots.lend(tenant(4), Timestamp::from_millis(9), |_| true), (false, None));
    }

    #[test]
    fn without_rewriting_a_source_keeps_its_ssrc_and_its_numbering_over_an_eviction() {
        let mut slots = slots(1, false);
        lend(&mut slots, 1, 0);
        let (ssrc, sequence, _) = send(&mut slots, 1, 50);
        assert_eq!(ssrc, 1_001);
        lend(&mut slots, 2, 5);
        assert_eq!(send(&mut slots, 2, 50).0, 1_002);
        lend(&mut slots, 1, 6);
        let (ssrc, next, _) = send(&mut slots, 1, 80);
        assert_eq!((ssrc, next), (1_001, sequence + 1));
    }

    #[test]
    fn without_rewriting_no_ssrc_begins_twice_however_many_there_are() {
        let mut slots = slots(2, false);
        let mut begun = std::collections::HashMap::new();
        for round in 0..2u64 {
            for source in 0..600u16 {
                let (found, _) = slots.lend(tenant(source), Timestamp::from_millis(round * 600), |_| false);
                assert_eq!(found, usize::from(source) < SSRCS_MAX, "{source}");
                if found {
                    let (ssrc, sequence, _) = send(&mut slots, source, 10 + round);
                    let former = begun.insert(ssrc, sequence);
                    assert_eq!(former.map(|former| former + 1), (round > 0).then_some(sequence));
                }
                if source.is_multiple_of(3) {
                    slots.release(source);
                }
            }
        }
        let twin = Tenant { index: 700, ..tenant(511) };
        assert!(slots.of_source(511).is_some());
        assert_eq!(slots.lend(twin, Timestamp::ZERO, |_| false), (false, None), "the SSRC is in use");
    }

    #[test]
    fn all_ssrcs_of_a_receiver_differ() {
        let mut taken = Vec::new();
        Slots::<AudioProjection>::new(50, true, false, 3, &mut taken);
        Slots::<VideoProjection>::new(50, true, true, 3, &mut taken);
        assert_eq!(taken.len(), 150);
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), 150);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

        /// Eight sources take turns on three slots: each outgoing stream is one stream, whoever feeds it.
        #[test]
        fn streams_go_on_over_every_change_of_tenant(seed: u64, rewriting: bool) {
            let mut chance = Chance(seed);
            let mut slots = Slots::<VideoProjection>::new(3, rewriting, true, chance.next(), &mut Vec::new());
            let mut sequences: [u64; 8] = core::array::from_fn(|_| chance.next() % 100_000);
            let starts: [u32; 8] = core::array::from_fn(|_| chance.next() as u32);
            let mut last = std::collections::HashMap::<u32, (u64, u32)>::new();
            let mut live = std::collections::HashSet::<u32>::new();
            for step in 0..2_000u64 {
                let source = (chance.next() % 8) as u16;
                let at = usize::from(source);
                let now = Timestamp::from_millis(step * 33);
                while let Some(ended) = slots.take_ended() {
                    prop_assert!(live.remove(&ended), "ended, and never announced");
                }
                if chance.next().is_multiple_of(4) {
                    slots.lend(tenant(source), now, |_| false);
                }
                sequences[at] += 1;
                let Some(slot) = slots.of_source_mut(source) else { continue };
                let announced = core::mem::take(&mut slot.is_new);
                prop_assert!(!announced || !live.contains(&slot.ssrc), "announced twice");
                if announced {
                    live.insert(slot.ssrc);
                }
                if slot.projection.target().is_none() {
                    slot.projection.set_target(Some(Target { encoding: 0, layer: EVERYTHING }));
                }
                let mut packet = video(sequences[at], now);
                packet.timestamp = starts[at].wrapping_add((step * 3_000) as u32);
                packet.frame.key_frame = chance.next().is_multiple_of(3);
                let Some(output) = slot.projection.project(&packet) else { continue };
                if let Some((sequence, timestamp)) = last.insert(slot.ssrc, (output.sequence, output.timestamp)) {
                    prop_assert_eq!(output.sequence, sequence + 1);
                    prop_assert!(output.timestamp.wrapping_sub(timestamp) < 1 << 31);
                }
            }
            prop_assert_eq!(last.len(), if rewriting { 3 } else { 8 });
            while let Some(ended) = slots.take_ended() {
                live.remove(&ended);
            }
            prop_assert!(live.len() <= 3, "streams that nobody sends on are ended");
        }
    }
}

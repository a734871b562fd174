//! When allocations are made and what follows from them: targets, slots, interest and demand.

use arrayvec::ArrayVec;
use contract::limits::VIDEO_SLOTS_MAX;
use contract::session::Media;
use contract::{Duration, SourceId, Timestamp};

use crate::allocation::{Plan, settle};
use crate::conference::{Conference, Config, SourceSet, Storage};
use crate::endpoint::{Allotted, Receiver};
use crate::forwarder::{ask, tenant};
use crate::heights::Heights;
use crate::prioritize::{Candidate, Priorities, prioritize};
use crate::projection::{Target, VideoProjection};
use crate::shedding::Shedding;
use crate::slots::Slot;
use crate::source::{ReceiverSet, Source};

/// Every receiver is allotted anew at least so often, as rates drift.
const INTERVAL: Duration = Duration::from_secs(5);

/// Time between two looks at which layers stopped.
const LAYER_INTERVAL: Duration = Duration::from_millis(250);

/// What changes within this time is worked off at once: layers of a source start packet by packet.
const COALESCE: Duration = Duration::from_millis(20);

/// Receivers allotted in one call: some hundred microseconds of work.
const RECEIVERS_PER_CALL: usize = 32;

/// A layer lowered for lack of budget is not raised again before this, lest it flaps. Where it was lowered soon after it had been raised
/// there was no room for it, nor for another in its place: nothing is raised for longer, and each time for twice as long.
const DWELL: Duration = Duration::from_secs(2);
const DWELL_FLAPPED: Duration = Duration::from_secs(16);
const DWELL_MAX: Duration = Duration::from_secs(60);
/// Where there is no picture at all it is tried so many times sooner.
const DARK_SOONER: u32 = 4;

/// The part that a bandwidth must exceed all rates by, so that the best layers are begun, settled for and kept: room for a key frame (an
/// eighth), and the changes of rates that are not told (a 32nd) or not probed for (a fiftieth). With less, a receiver whose bandwidth falls
/// short by a hair would neither be raised nor probed.
const HEADROOM: u64 = 5;

/// So soon.
const FLAP: Duration = Duration::from_secs(15);

/// What is due when.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// The receivers to allot.
    due: ReceiverSet,
    /// When to allot them.
    at: Timestamp,
    full_at: Timestamp,
    layers_at: Timestamp,
    demand_at: Timestamp,
    pub(crate) order_is_stale: bool,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            due: ReceiverSet::default(),
            at: Timestamp::NEVER,
            full_at: Timestamp::ZERO,
            layers_at: Timestamp::NEVER,
            demand_at: Timestamp::NEVER,
            order_is_stale: false,
        }
    }
}

impl Schedule {
    /// When something is due. Without receivers there is no more to say than that nobody wants anything.
    pub(crate) fn timeout(&self, has_receivers: bool) -> Timestamp {
        if !has_receivers {
            return self.demand_at;
        }
        self.at.min(self.layers_at).min(self.demand_at)
    }

    /// A receiver is gone.
    pub(crate) fn forget(&mut self, receiver: u16) {
        self.due.remove(receiver);
    }

    /// Some layer began or changed its height: look soon.
    pub(crate) fn note_layers(&mut self, now: Timestamp) {
        self.layers_at = self.layers_at.min(now.after(COALESCE));
    }

    /// Somebody wants other heights than before.
    pub(crate) fn note_demand(&mut self, now: Timestamp) {
        self.demand_at = self.demand_at.min(now);
    }
}

impl Conference {
    /// Allot one receiver soon.
    pub(crate) fn schedule_one(&mut self, receiver: u16, now: Timestamp) {
        self.schedule.due.insert(receiver);
        self.schedule.at = self.schedule.at.min(now);
    }

    /// Allot all receivers soon.
    pub(crate) fn schedule_all(&mut self, now: Timestamp) {
        for (at, seat) in self.storage.receivers.iter().enumerate() {
            if seat.is_some() {
                self.schedule.due.insert(at as u16);
            }
        }
        self.schedule.at = self.schedule.at.min(now.after(COALESCE));
    }

    /// Do what is due by now, for so many receivers at most.
    pub(crate) fn allot(&mut self, now: Timestamp) {
        if self.schedule.layers_at <= now {
            self.look_at_layers(now);
        }
        if self.schedule.at <= now {
            self.allot_due(now);
        }
        if self.schedule.demand_at <= now {
            self.schedule.demand_at = Timestamp::NEVER;
            self.count_demand();
        }
    }

    /// Layers that appeared or vanished concern whoever may be sent them; and once in a while everything is looked at.
    fn look_at_layers(&mut self, now: Timestamp) {
        let mut changed = self.schedule.full_at <= now;
        if changed {
            self.schedule.full_at = now.after(INTERVAL);
        }
        let mut any = false;
        for source in self.storage.sources.iter_mut().flatten().filter(|source| source.media == Media::Video)
        {
            changed |= source.take_layer_change(now);
            any = true;
        }
        self.schedule.layers_at = if any { now.after(LAYER_INTERVAL) } else { Timestamp::NEVER };
        if changed {
            self.schedule_all(now);
            self.schedule.at = now;
        }
    }

    fn allot_due(&mut self, now: Timestamp) {
        if core::mem::take(&mut self.schedule.order_is_stale) {
            self.storage.sort_order();
        }
        for _ in 0..RECEIVERS_PER_CALL {
            let Some(index) = self.schedule.due.next_from(0) else { break };
            self.schedule.due.remove(index);
            self.allot_receiver(index, now);
        }
        self.schedule.at = if self.schedule.due.is_empty() { Timestamp::NEVER } else { now };
        self.schedule.layers_at = self.schedule.layers_at.min(now.after(LAYER_INTERVAL));
    }

    fn allot_receiver(&mut self, index: u16, now: Timestamp) {
        let Some(priorities) = self.priorities(index) else { return };
        let Storage { sources, receivers, .. } = &mut self.storage;
        let Some(receiver) = receivers.get_mut(usize::from(index)).and_then(Option::as_deref_mut) else {
            return;
        };
        let lost = lend_slots(receiver, index, sources, &priorities, now);
        let mut plans = Plans::new();
        let allotted =
            make_plans(&self.config, self.shedding, receiver, sources, &priorities, now, &mut plans);
        receiver.allotted = allotted;
        let (changed, held) = apply(receiver, index, sources, &plans, &mut self.source_news, now);
        receiver.forwarded_changed |= changed || lost;
        self.schedule.full_at = self.schedule.full_at.min(held);
        if receiver.wanted != priorities.wanted {
            receiver.wanted = priorities.wanted;
            self.schedule.note_demand(now);
        }
        self.receiver_news.insert(index);
    }

    fn priorities(&self, index: u16) -> Option<Priorities> {
        let receiver = self.storage.receivers.get(usize::from(index))?.as_deref()?;
        let candidate = |at: u16| {
            let source = self.storage.sources.get(usize::from(at))?.as_deref()?;
            (source.media == Media::Video).then_some(Candidate {
                source: at,
                id: source.id,
                enabled: source.is_enabled(),
                own: source.owner == receiver.endpoint,
            })
        };
        let find = |id: SourceId| candidate(self.source_index(id)?.0);
        let rest = self.storage.order.iter().filter_map(|at| candidate(*at));
        Some(prioritize(&receiver.constraints, self.config.last_n, find, rest))
    }

    /// The largest height wanted of each source by anybody here.
    fn count_demand(&mut self) {
        for source in self.storage.sources.iter_mut().flatten() {
            source.demand = 0;
        }
        for receiver in self.storage.receivers.iter().flatten() {
            for wanted in &receiver.wanted {
                let seat = self.storage.sources.get_mut(usize::from(wanted.source));
                if let Some(source) = seat.and_then(Option::as_deref_mut) {
                    source.demand = source.demand.max(wanted.max_height);
                }
            }
        }
        for (at, source) in self.storage.sources.iter().enumerate() {
            if source.as_ref().is_some_and(|source| source.demand != source.demand_told) {
                self.source_news.insert(at as u16);
            }
        }
    }
}

impl Storage {
    /// Video that is on before video that is off, recent speakers first, then in the order of joining.
    fn sort_order(&mut self) {
        self.order.clear();
        for (at, seat) in self.sources.iter().enumerate() {
            let is_video = seat.as_ref().is_some_and(|source| source.media == Media::Video);
            if is_video && self.order.len() < self.order.capacity() {
                self.order.push(at as u16);
            }
        }
        let sources = &self.sources;
        self.order.sort_unstable_by_key(|at| {
            let source = sources.get(usize::from(*at)).and_then(Option::as_deref);
            source.map(|source| (!source.is_enabled(), u64::MAX - source.spoke, source.id))
        });
    }
}

/// Slots for all that is wanted and, with SSRC rewriting, for what may be wanted next. Returns whether a source that was being
/// forwarded lost its slot.
fn lend_slots(
    receiver: &mut Receiver,
    index: u16,
    sources: &mut [Option<Box<Source>>],
    priorities: &Priorities,
    now: Timestamp,
) -> bool {
    let rewriting = receiver.rewriting;
    let wanted = priorities.wanted.iter().map(|wanted| wanted.source);
    let spare = priorities.spare.iter().copied().filter(|_| rewriting);
    let keep = |at: u16| {
        priorities.spare.contains(&at) || priorities.wanted.iter().any(|wanted| wanted.source == at)
    };
    let mut lost = false;
    for at in wanted.chain(spare) {
        let Some(source) = sources.get(usize::from(at)).and_then(Option::as_deref) else { continue };
        let (_, evicted) = receiver.video.lend(tenant(source, at), now, keep);
        let evicted = evicted.and_then(|at| sources.get_mut(usize::from(at))?.as_deref_mut());
        if let Some(evicted) = evicted {
            lost |= evicted.interested.contains(index);
            evicted.interested.remove(index);
        }
    }
    lost
}

/// Some 50 KiB, mostly empty: filled where it stands, as to move it would empty the caches.
type Plans = ArrayVec<Plan, VIDEO_SLOTS_MAX>;

fn make_plans(
    config: &Config,
    shedding: Shedding,
    receiver: &Receiver,
    sources: &mut [Option<Box<Source>>],
    priorities: &Priorities,
    now: Timestamp,
    plans: &mut Plans,
) -> Allotted {
    for wanted in &priorities.wanted {
        if let Some(source) = sources.get_mut(usize::from(wanted.source)).and_then(Option::as_deref_mut) {
            source.refresh(config, now);
            let mut plan = Plan::new(*wanted, source.video_type, &source.choices);
            shedding.limit(&mut plan);
            let slot = receiver.video.of_source(wanted.source);
            plan.former = slot.and_then(|slot| plan.step_of(slot.projection.target()?));
            plans.push(plan);
        }
    }
    let budget = receiver.constraints.assumed_bandwidth.or(receiver.bandwidth).unwrap_or(config.budget);
    settle(plans, budget, config.oversend);
    let spent = plans.iter().map(Plan::rate).sum();
    let ideal: u64 = plans.iter().filter_map(|plan| plan.steps.last()).map(|step| step.rate).sum();
    // With what it takes to be sure that everything fits; one picture begins at a time.
    let bursts = plans.iter().filter_map(|plan| plan.steps.last()).map(|step| step.extra_room()).max();
    let ideal = ideal + ideal / HEADROOM + bursts.unwrap_or(0);
    Allotted { budget, spent, ideal }
}

/// Turn the outcome into targets. Returns whether the set of forwarded sources changed, and when a layer that is held back may rise.
fn apply(
    receiver: &mut Receiver,
    index: u16,
    sources: &mut [Option<Box<Source>>],
    plans: &[Plan],
    news: &mut SourceSet,
    now: Timestamp,
) -> (bool, Timestamp) {
    let (mut changed, mut held) = (false, Timestamp::NEVER);
    let budget = receiver.allotted.budget;
    let flapped = receiver.video.iter().filter(|slot| slot.dwell >= DWELL_FLAPPED && same_link(slot, budget));
    let no_room_until =
        flapped.filter_map(|slot| Some(slot.lowered?.after(slot.dwell))).max().unwrap_or_default();
    receiver.heights = Heights::default();
    for slot in receiver.video.iter_mut() {
        let Some(tenant) = slot.tenant else { continue };
        let Some(source) = sources.get_mut(usize::from(tenant.index)).and_then(Option::as_deref_mut) else {
            continue;
        };
        let plan = plans.iter().find(|plan| plan.wanted.source == tenant.index);
        let target = plan.and_then(|plan| dwell(slot, plan, budget, no_room_until, now));
        if plan.is_some_and(|plan| plan.target() != target) {
            let own = slot.lowered.map(|lowered| lowered.after(slot.dwell));
            held = held.min(own.unwrap_or_default().max(no_room_until));
        }
        if let Some(height) = plan.zip(target).and_then(|(plan, target)| plan.height_of(target)) {
            receiver.heights.count(height);
        }
        slot.max_height = plan.map_or(0, |plan| plan.wanted.max_height);
        let former = slot.projection.target();
        if target == former {
            continue;
        }
        changed |= target.is_some() != former.is_some();
        slot.projection.set_target(target);
        source.interested.set(index, target.is_some());
        if let Some(encoding) = slot.projection.key_frame_wanted() {
            ask(Some(&mut slot.waiting), source, tenant.index, encoding, news, now);
        }
    }
    (changed, held)
}

/// The target of a plan, held back for a while after the budget had it lowered: staying low costs less, so that the budget holds.
fn dwell(
    slot: &mut Slot<VideoProjection>,
    plan: &Plan,
    budget: u64,
    no_room_until: Timestamp,
    now: Timestamp,
) -> Option<Target> {
    let wanted = plan.target();
    let former = slot.projection.target();
    let same_wish = slot.max_height == plan.wanted.max_height;
    let step_of = |target: Option<Target>| {
        target.map(|target| plan.steps.iter().position(|step| step.target == target))
    };
    let former_step = step_of(former);
    // A layer that is not there any more says nothing.
    if !same_wish || former_step == Some(None) {
        slot.lowered = None;
        return wanted;
    }
    let (before, after) = (former_step.flatten(), plan.chosen);
    if after < before {
        // Unless the link fell since, so that what was raised is far too much for it: that says nothing of the raise.
        let rate = before.and_then(|at| plan.steps.get(at)).map_or(0, |step| step.rate);
        let soon = rate / 2 < budget && slot.raised.is_some_and(|raised| now.since(raised) < FLAP);
        slot.dwell = if soon { (slot.dwell * 2).clamp(DWELL_FLAPPED, DWELL_MAX) } else { DWELL };
        (slot.lowered, slot.lowered_by) = (Some(now), budget);
        return wanted;
    }
    if after > before {
        // Any picture is better than none: it may be tried soon, but a voice suffers each time.
        let dwell = if former.is_some() { slot.dwell } else { (slot.dwell / DARK_SOONER).max(DWELL) };
        let own = slot.lowered.is_some_and(|lowered| now.since(lowered) < dwell);
        if own && same_link(slot, budget) || now < no_room_until && former.is_some() {
            return former;
        }
        // On a link that has become much wider the first try may err; it proves nothing of the next.
        let wider = slot.lowered.is_some() && !same_link(slot, budget);
        slot.raised = Some(now).filter(|_| !wider);
    }
    wanted
}

/// On a link that carries twice as much, nothing holds of what was learnt when a layer was lowered.
fn same_link(slot: &Slot<VideoProjection>, budget: u64) -> bool {
    budget / 2 < slot.lowered_by
}

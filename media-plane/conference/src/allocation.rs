//! The third phase: which layer of each wanted source fits into the budget.

use core::cmp::Ordering;

use arrayvec::ArrayVec;
use contract::limits::VIDEO_SLOTS_MAX;
use contract::session::VideoType;

use crate::constraints::Wanted;
use crate::layer::{CHOICES_MAX, Choice};
use crate::projection::Target;

/// Height in pixels up to which resolution is preferred over all else for a source asked for larger than a thumbnail.
const PREFERRED_HEIGHT: u16 = 360;

/// Largest height in pixels of a thumbnail: for these no frame rate is preferred.
const THUMBNAIL_HEIGHT: u16 = 180;

/// A layer that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) target: Target,
    /// Bits per second; more than those of the step before.
    pub(crate) rate: u64,
    /// Bits per second that its busiest seconds take beyond that.
    burst: u64,
    height: u16,
}

impl Step {
    /// What has to be free beside its rate, bits per second.
    fn room(&self) -> u64 {
        self.burst.min(self.rate / BURST_ROOM_MAX).max(self.rate / KEY_FRAME_ROOM)
    }

    /// What must be to be had beside its rate before it is begun, bits per second, as far as its bursts make that more.
    pub(crate) fn extra_room(&self) -> u64 {
        self.room() - self.rate / KEY_FRAME_ROOM
    }
}

/// The layers of one wanted source, the cheapest first, and the one chosen.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) wanted: Wanted,
    pub(crate) steps: ArrayVec<Step, CHOICES_MAX>,
    /// The step that stage sources get before anybody else gets anything.
    preferred: usize,
    /// The step up to which the budget may be exceeded.
    oversend: Option<usize>,
    /// Index of the chosen step.
    pub(crate) chosen: Option<usize>,
    /// Index of the step that is being sent.
    pub(crate) former: Option<usize>,
    /// No step beyond this one may be chosen.
    ceiling: usize,
}

impl Plan {
    /// The layers of `choices` (poorest first) that suit what is wanted.
    pub(crate) fn new(wanted: Wanted, video_type: VideoType, choices: &[Choice]) -> Plan {
        let lowest = choices.iter().map(|choice| choice.height).min().unwrap_or(0);
        let camera = matches!(video_type, VideoType::Camera);
        let suits = |choice: &Choice| {
            let fits = choice.height <= wanted.max_height;
            if !camera || wanted.max_height <= THUMBNAIL_HEIGHT {
                return fits || choice.height == lowest;
            }
            let halvings_max = match choice.height.cmp(&PREFERRED_HEIGHT) {
                Ordering::Less => u8::MAX,
                // Seven or fifteen good pictures a second are more than thirty of a quarter of the size.
                Ordering::Equal => 1,
                Ordering::Greater => 0,
            };
            fits && choice.halvings <= halvings_max || choice.height == lowest
        };
        let mut steps = ArrayVec::<Step, CHOICES_MAX>::new();
        for choice in choices.iter().filter(|choice| suits(choice)) {
            // A layer that a richer one undercuts is never the right one.
            while steps.last().is_some_and(|step| step.rate >= choice.rate) {
                steps.pop();
            }
            let target = Target { encoding: choice.encoding, layer: choice.layer };
            steps.push(Step { target, rate: choice.rate, burst: choice.burst, height: choice.height });
        }
        let last = steps.len().saturating_sub(1);
        let preferred_height =
            if camera && wanted.max_height > THUMBNAIL_HEIGHT { PREFERRED_HEIGHT } else { 0 };
        let preferred = match camera {
            true => steps.iter().rposition(|step| step.height <= preferred_height.max(lowest)).unwrap_or(0),
            false => last,
        };
        let top = steps.last().map(|step| step.height);
        let oversend = steps.iter().position(|step| Some(step.height) == top);
        let oversend = oversend.filter(|_| wanted.on_stage && !camera);
        Plan { wanted, steps, preferred, oversend, chosen: None, former: None, ceiling: usize::MAX }
    }

    /// What the choice costs, in bits per second.
    pub(crate) fn rate(&self) -> u64 {
        self.chosen.and_then(|at| self.steps.get(at)).map_or(0, |step| step.rate)
    }

    /// The chosen layer.
    pub(crate) fn target(&self) -> Option<Target> {
        self.chosen.and_then(|at| self.steps.get(at)).map(|step| step.target)
    }

    /// After steps were taken out: what was preferred is the last one left at most.
    pub(crate) fn bound_preferences(&mut self) {
        let last = self.steps.len().saturating_sub(1);
        self.preferred = self.preferred.min(last);
        self.oversend = self.oversend.map(|at| at.min(last)).filter(|_| !self.steps.is_empty());
    }

    /// The step that is this layer.
    pub(crate) fn step_of(&self, target: Target) -> Option<usize> {
        self.steps.iter().position(|step| step.target == target)
    }

    /// Pixels of the layer that `target` is.
    pub(crate) fn height_of(&self, target: Target) -> Option<u16> {
        self.step_of(target).and_then(|at| self.steps.get(at)).map(|step| step.height)
    }

    /// The part of the rate that is being sent already.
    fn kept_rate(&self) -> u64 {
        let former = self.former.and_then(|at| self.steps.get(at)).map_or(0, |step| step.rate);
        former.min(self.rate())
    }

    /// What has to remain free for a step to begin: another picture begins with a key frame, and where that does not leave
    /// the link within a second or two, the queue that it makes takes the picture down again. So do busiest seconds.
    fn needs_free(&self, step: &Step) -> u64 {
        let former = self.former.and_then(|at| self.steps.get(at));
        let (Some(former), Some(lowest), None) = (former, self.steps.first(), self.oversend) else {
            return 0;
        };
        match step.height.cmp(&former.height) {
            Ordering::Greater => step.room(),
            Ordering::Equal if step.rate > former.rate => step.burst,
            // What the link carries now is not known well, and the queue has to drain.
            Ordering::Less if step.height > lowest.height => step.rate,
            _ => 0,
        }
    }

    /// Whether the chosen step has too little room to begin, with `others` of the budget taken by what is kept of the other plans.
    fn is_tight(&self, budget: u64, others: u64) -> bool {
        self.chosen.is_some_and(|chosen| !self.begins(chosen, budget, others))
    }

    fn begins(&self, at: usize, budget: u64, others: u64) -> bool {
        self.steps.get(at).is_some_and(|step| {
            let needs_free = self.needs_free(step);
            needs_free == 0 || others + step.rate + needs_free <= budget
        })
    }

    /// Choose no step beyond the best that has room to begin.
    fn bound_to_room(&mut self, budget: u64, others: u64) {
        let chosen = self.chosen.unwrap_or(0);
        self.ceiling = (0..chosen).rev().find(|at| self.begins(*at, budget, others)).unwrap_or(0);
    }

    fn has_preferred(&self) -> bool {
        let within = self.preferred.min(self.ceiling);
        self.steps.is_empty() || self.chosen.is_some_and(|chosen| chosen >= within)
    }

    /// Go up as far as this turn allows. Returns whether anything changed; `left` is what remains of the budget.
    fn improve(&mut self, left: &mut u64, oversend: u64) -> bool {
        let before = (self.chosen, self.rate());
        let max = left.saturating_add(before.1);
        let fits = |plan: &Plan, at: usize| {
            at <= plan.ceiling && plan.steps.get(at).is_some_and(|step| step.rate <= max)
        };
        let mut next = self.chosen.map_or(0, |chosen| chosen + 1);
        let until = if self.chosen.is_none() && self.wanted.on_stage { self.preferred } else { next };
        while next <= until && fits(self, next) {
            self.chosen = Some(next);
            next += 1;
        }
        let over = self.oversend.filter(|at| self.chosen.is_none_or(|chosen| *at > chosen));
        if let Some(at) = over
            && oversend > 0
            && self.steps.get(at).is_some_and(|step| step.rate <= max.saturating_add(oversend))
        {
            self.chosen = Some(at);
        }
        *left = max.saturating_sub(self.rate());
        self.chosen != before.0
    }
}

/// Share out `budget` bits per second among the plans, which come in the order of importance. The first, if it is a screen
/// share on stage, may exceed it by `oversend`. Ends after as many rounds as there are steps, at most.
pub(crate) fn allocate(plans: &mut [Plan], budget: u64, oversend: u64) {
    let mut left = budget;
    loop {
        let mut improved = false;
        for (at, plan) in plans.iter_mut().enumerate() {
            improved |= plan.improve(&mut left, if at == 0 { oversend } else { 0 });
            if plan.wanted.on_stage && !plan.has_preferred() {
                break;
            }
        }
        if !improved {
            return;
        }
    }
}

/// [`allocate`], but what is being sent is kept where rates and estimates only tremble: a layer is raised if there is room to
/// spare, a larger picture only with room for its key frame, and lowered if the budget is exceeded by more than trembling.
pub(crate) fn settle(plans: &mut [Plan], budget: u64, oversend: u64) {
    if plans.iter().all(|plan| plan.former.is_none()) {
        return allocate(plans, budget, oversend);
    }
    plans.iter_mut().for_each(|plan| plan.ceiling = usize::MAX);
    keep_or_move(plans, budget, oversend);
    // The last in importance gives way first, and what it leaves may be room for others.
    for _ in 0..RAISES_REFUSED_MAX {
        // What others gain by the same look can wait for the key frame.
        let kept: u64 = plans.iter().map(Plan::kept_rate).sum();
        let others = |plan: &Plan| kept - plan.kept_rate();
        let tight = |plan: &&mut Plan| plan.is_tight(budget, others(plan));
        let Some(plan) = plans.iter_mut().rev().find(tight) else { return };
        plan.bound_to_room(budget, others(plan));
        keep_or_move(plans, budget, oversend);
    }
}

fn keep_or_move(plans: &mut [Plan], budget: u64, oversend: u64) {
    let mut chosen_for = |budget: u64| {
        plans.iter_mut().for_each(|plan| plan.chosen = None);
        allocate(plans, budget, oversend);
        plans.iter().map(|plan| plan.chosen).collect::<ArrayVec<_, VIDEO_SLOTS_MAX>>()
    };
    let most = budget + budget / TREMBLE;
    let (poor, rich) = (chosen_for(budget - budget / TREMBLE), chosen_for(most));
    let plain = chosen_for(budget);
    for (at, plan) in plans.iter_mut().enumerate().filter(|(_, plan)| plan.former.is_some()) {
        let (poor, rich) = (poor.get(at).copied().flatten(), rich.get(at).copied().flatten());
        if poor <= rich {
            plan.chosen = plan.former.max(poor).min(rich);
        }
    }
    if plans.iter().map(Plan::rate).sum::<u64>() > most {
        plans.iter_mut().zip(plain).for_each(|(plan, chosen)| plan.chosen = chosen);
    }
}

/// The part of a budget that rates tremble by.
const TREMBLE: u64 = 20;

/// The part of a layer's rate that is left free when it begins: a key frame is a quarter of a second's bits, and drains in two.
const KEY_FRAME_ROOM: u64 = 8;

/// The part of a layer's rate that is left free for its bursts at most.
const BURST_ROOM_MAX: u64 = 3;

/// Larger pictures that one look at a receiver's plans puts off, at most; the next one comes within seconds.
const RAISES_REFUSED_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Layer;
    use proptest::prelude::*;

    fn choice(encoding: u8, temporal: u8, rate: u64, height: u16, halvings: u8) -> Choice {
        Choice { encoding, layer: Layer { spatial: 0, temporal }, rate, burst: 0, height, halvings }
    }

    /// Simulcast of a camera, three encodings by three temporal layers.
    fn camera() -> Vec<Choice> {
        let mut choices = Vec::new();
        for (encoding, (height, kbps)) in [(180, 200), (360, 500), (720, 2_500)].into_iter().enumerate() {
            for (temporal, share) in [40, 60, 100].into_iter().enumerate() {
                let rate = kbps * share * 10;
                choices.push(choice(encoding as u8, temporal as u8, rate, height, 2 - temporal as u8));
            }
        }
        choices
    }

    fn plan(source: u16, max_height: u16, on_stage: bool) -> Plan {
        Plan::new(Wanted { source, max_height, on_stage }, VideoType::Camera, &camera())
    }

    fn chosen(plans: &[Plan]) -> Vec<Option<(u8, u8)>> {
        let of = |target: Target| (target.encoding, target.layer.temporal);
        plans.iter().map(|plan| plan.target().map(of)).collect()
    }

    #[test]
    fn the_budget_goes_to_the_stage_first_then_around() {
        let rows = [
            (70_000, [None, None, None]),
            (100_000, [Some((0, 0)), None, None]),
            (299_000, [Some((0, 2)), None, None]),
            (499_000, [Some((1, 1)), None, None]),
            (500_000, [Some((1, 2)), None, None]),
            (660_000, [Some((1, 2)), Some((0, 0)), Some((0, 0))]),
            (900_000, [Some((1, 2)), Some((0, 2)), Some((0, 2))]),
            (2_900_000, [Some((2, 2)), Some((0, 2)), Some((0, 2))]),
        ];
        for (budget, expected) in rows {
            let mut plans = [plan(1, 720, true), plan(2, 180, false), plan(3, 180, false)];
            allocate(&mut plans, budget, 0);
            assert_eq!(chosen(&plans), expected, "{budget}");
        }
    }

    #[test]
    fn the_larger_the_picture_the_less_its_frame_rate_gives_way() {
        let targets: Vec<_> = plan(1, 720, true).steps.iter().map(|step| step.target).collect();
        let pairs: Vec<_> = targets.iter().map(|target| (target.encoding, target.layer.temporal)).collect();
        assert_eq!(pairs, [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]);
    }

    #[test]
    fn a_richer_layer_that_costs_no_more_is_taken() {
        let choices = [choice(0, 0, 300, 180, 0), choice(1, 0, 200, 360, 0), choice(2, 0, 200, 720, 0)];
        let wanted = Wanted { source: 1, max_height: 720, on_stage: false };
        let mut plans = [Plan::new(wanted, VideoType::Camera, &choices)];
        allocate(&mut plans, 250, 0);
        assert_eq!(chosen(&plans), [Some((2, 0))]);
    }

    #[test]
    fn what_is_smaller_than_asked_is_better_than_nothing_and_nothing_is_larger() {
        let heights = |max_height| {
            let plan = plan(1, max_height, false);
            plan.steps.iter().map(|step| step.height).max()
        };
        assert_eq!([90, 180, 200, 400, 1_080].map(heights), [180, 180, 180, 360, 720].map(Some));
    }

    #[test]
    fn a_screen_share_on_stage_may_exceed_the_budget_once() {
        let choices = [choice(0, 0, 1_000_000, 1_080, 1), choice(0, 1, 2_000_000, 1_080, 0)];
        for (budget, oversend, expected) in [
            (600_000, 0, None),
            (600_000, 500_000, Some((0, 0))),
            (400_000, 500_000, None),
            (1_600_000, 500_000, Some((0, 0))),
        ] {
            let wanted = Wanted { source: 1, max_height: 1_080, on_stage: true };
            let mut plans = [Plan::new(wanted, VideoType::Desktop, &choices), plan(2, 180, false)];
            allocate(&mut plans, budget, oversend);
            assert_eq!(chosen(&plans)[0], expected, "{budget} {oversend}");
        }
    }

    #[test]
    fn what_is_sent_is_kept_while_the_budget_only_trembles() {
        let mut plans = [plan(1, 180, false), plan(2, 180, false)];
        let mut sent = Vec::new();
        for budget in [300_000, 325_000, 315_000, 310_000, 340_000, 322_000, 308_000, 290_000, 320_000] {
            settle(&mut plans, budget, 0);
            plans.iter_mut().for_each(|plan| plan.former = plan.chosen);
            sent.push(plans.iter().map(Plan::rate).sum::<u64>() / 1_000);
        }
        assert_eq!(sent, [240, 240, 240, 240, 320, 320, 320, 240, 240]);
    }

    #[test]
    fn a_larger_picture_begins_only_where_its_key_frame_finds_room() {
        let sent_after = |first: u64, then: u64| {
            let mut plans = [plan(1, 720, true), plan(2, 180, false)];
            settle(&mut plans[..1], first, 0);
            plans.iter_mut().for_each(|plan| plan.former = plan.chosen);
            settle(&mut plans, then, 0);
            chosen(&plans)
        };
        let rows = [
            // What is refused to the first is left to the second.
            (250_000, 330_000, [Some((0, 2)), Some((0, 1))]),
            (250_000, 420_000, [Some((1, 1)), None]),
            // Its half frame rate may find room where the full one does not.
            (250_000, 560_000, [Some((1, 1)), Some((0, 2))]),
            (250_000, 600_000, [Some((1, 2)), Some((0, 0))]),
            // Nothing of that holds for the first picture, nor for one that is kept.
            (520_000, 520_000, [Some((1, 2)), None]),
        ];
        for (first, then, expected) in rows {
            assert_eq!(sent_after(first, then), expected, "{first} {then}");
        }
    }

    #[test]
    fn a_frame_rate_rises_with_room_for_bursts_and_a_picture_shrinks_to_what_fits_twice() {
        let rows = [
            (300_000, 600_000, (1, 1)),
            (300_000, 700_000, (1, 2)),
            (2_500_000, 500_000, (0, 2)),
            (2_500_000, 700_000, (1, 1)),
            (2_500_000, 1_100_000, (1, 2)),
            // Nothing is smaller than the smallest.
            (500_000, 90_000, (0, 0)),
        ];
        for (former, budget, expected) in rows {
            let mut plan = plan(1, 720, true);
            plan.steps.iter_mut().for_each(|step| step.burst = 150_000);
            plan.former = plan.steps.iter().position(|step| step.rate == former);
            let mut plans = [plan];
            settle(&mut plans, budget, 0);
            assert_eq!(chosen(&plans), [Some(expected)], "{former} {budget}");
        }
    }

    fn any_plan() -> impl Strategy<Value = Plan> {
        let choices = prop::collection::vec((0u8..3, 0u8..3, 0u64..3_000, 0u16..1_200, 0u8..3), 0..12);
        (choices, any::<bool>(), 1u16..1_200, any::<bool>()).prop_map(
            |(choices, on_stage, max_height, desktop)| {
                let choices: Vec<_> = choices
                    .into_iter()
                    .map(|(encoding, temporal, rate, height, halvings)| {
                        choice(encoding, temporal, rate, height, halvings)
                    })
                    .collect();
                let kind = if desktop { VideoType::Desktop } else { VideoType::Camera };
                Plan::new(Wanted { source: 0, max_height, on_stage }, kind, &choices)
            },
        )
    }

    proptest! {
        /// It ends, never exceeds the budget, and more budget is never less used.
        #[test]
        fn keeping_what_is_sent_exceeds_the_budget_by_little(
            plans in prop::collection::vec(any_plan(), 0..20),
            budgets in prop::collection::vec(0u64..20_000, 1..6),
        ) {
            let mut plans = plans;
            for budget in budgets {
                settle(&mut plans, budget, 0);
                let spent = plans.iter().map(Plan::rate).sum::<u64>();
                prop_assert!(spent <= budget + budget / TREMBLE, "{spent} of {budget}");
                plans.iter_mut().for_each(|plan| plan.former = plan.chosen);
            }
        }

        #[test]
        fn the_budget_holds_and_more_of_it_buys_no_less(
            plans in prop::collection::vec(any_plan(), 0..20),
            budget in 0u64..20_000,
            more in 0u64..5_000,
        ) {
            let spent = |budget: u64| {
                let mut plans = plans.clone();
                allocate(&mut plans, budget, 0);
                plans.iter().map(Plan::rate).sum::<u64>()
            };
            let (poor, rich) = (spent(budget), spent(budget + more));
            prop_assert!(poor <= budget && rich <= budget + more);
            prop_assert!(poor <= rich, "{poor} {rich}");
        }
    }
}

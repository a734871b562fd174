//! The second phase: the sources a receiver wants, the most important first, cut to what it may have.

use arrayvec::ArrayVec;
use contract::SourceId;
use contract::limits::VIDEO_SLOTS_MAX;
use contract::session::ReceiverConstraints;

use crate::constraints::{Wanted, max_height};

/// What the phase needs to know of a video source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) source: u16,
    pub(crate) id: SourceId,
    /// It is not switched off.
    pub(crate) enabled: bool,
    /// The receiver sends it itself.
    pub(crate) own: bool,
}

/// The outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Priorities {
    /// To be sent, the most important first.
    pub(crate) wanted: ArrayVec<Wanted, VIDEO_SLOTS_MAX>,
    /// Enabled but not wanted now: they may have slots that nobody else needs.
    pub(crate) spare: ArrayVec<u16, VIDEO_SLOTS_MAX>,
}

/// On stage first, then selected, in the order given; then the rest in the order of the conference. A source asked for with
/// height 0, one that is switched off and the receiver's own do not count towards `last_n`.
pub(crate) fn prioritize(
    constraints: &ReceiverConstraints,
    last_n: Option<u16>,
    find: impl Fn(SourceId) -> Option<Candidate>,
    rest: impl Iterator<Item = Candidate>,
) -> Priorities {
    let mut priorities = Priorities::default();
    let limit = [constraints.last_n, last_n].into_iter().flatten().min().map_or(usize::MAX, usize::from);
    let limit = limit.min(VIDEO_SLOTS_MAX);
    let stage = constraints.on_stage.iter().map(|id| (*id, true));
    let named = stage.chain(constraints.selected.iter().map(|id| (*id, false)));
    for (id, on_stage) in named {
        if let Some(candidate) = find(id) {
            priorities.consider(constraints, candidate, on_stage, limit);
        }
    }
    for candidate in rest {
        if priorities.wanted.len() >= limit && priorities.is_full() {
            break;
        }
        priorities.consider(constraints, candidate, false, limit);
    }
    priorities
}

impl Priorities {
    fn consider(
        &mut self,
        constraints: &ReceiverConstraints,
        candidate: Candidate,
        on_stage: bool,
        limit: usize,
    ) {
        let known = self.wanted.iter().any(|wanted| wanted.source == candidate.source)
            || self.spare.contains(&candidate.source);
        if candidate.own || !candidate.enabled || known {
            return;
        }
        let max_height = max_height(constraints, candidate.id);
        if max_height > 0 && self.wanted.len() < limit {
            self.wanted.push(Wanted { source: candidate.source, max_height, on_stage });
            // Spare slots are what is left over.
            self.spare.truncate(VIDEO_SLOTS_MAX - self.wanted.len());
        } else if !self.is_full() {
            self.spare.push(candidate.source);
        }
    }

    fn is_full(&self) -> bool {
        self.wanted.len() + self.spare.len() >= VIDEO_SLOTS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::session::VideoConstraint;

    fn candidate(source: u16) -> Candidate {
        Candidate { source, id: SourceId(u64::from(source)), enabled: source != 8, own: source == 9 }
    }

    fn run(constraints: &ReceiverConstraints, last_n: Option<u16>) -> Priorities {
        let find = |id: SourceId| (id.0 < 20).then(|| candidate(id.0 as u16));
        prioritize(constraints, last_n, find, (0..12).map(candidate))
    }

    fn sources(priorities: &Priorities) -> Vec<u16> {
        priorities.wanted.iter().map(|wanted| wanted.source).collect()
    }

    fn ids(list: &[u64]) -> Vec<SourceId> {
        list.iter().map(|id| SourceId(*id)).collect()
    }

    #[test]
    fn stage_then_selected_then_the_rest_without_own_and_disabled() {
        let constraints = ReceiverConstraints {
            on_stage: ids(&[5, 9]),
            selected: ids(&[7, 5, 8, 77]),
            default: VideoConstraint { max_height: 180 },
            ..ReceiverConstraints::default()
        };
        let priorities = run(&constraints, None);
        assert_eq!(sources(&priorities), [5, 7, 0, 1, 2, 3, 4, 6, 10, 11]);
        assert!(priorities.wanted[0].on_stage && !priorities.wanted[1].on_stage);
    }

    #[test]
    fn a_source_with_zero_constraint_does_not_use_up_last_n() {
        let constraints = ReceiverConstraints {
            last_n: Some(3),
            on_stage: ids(&[5]),
            default: VideoConstraint { max_height: 180 },
            sources: vec![(SourceId(0), VideoConstraint::NONE), (SourceId(1), VideoConstraint::NONE)],
            ..ReceiverConstraints::default()
        };
        let priorities = run(&constraints, Some(20));
        assert_eq!(sources(&priorities), [5, 2, 3]);
        assert_eq!(priorities.spare[..3], [0, 1, 4]);
        assert_eq!(sources(&run(&constraints, Some(1))), [5], "the smaller limit counts");
    }

    #[test]
    fn without_constraints_nothing_is_wanted() {
        let priorities = run(&ReceiverConstraints::default(), None);
        assert!(priorities.wanted.is_empty());
        assert_eq!(priorities.spare.len(), 10);
    }
}

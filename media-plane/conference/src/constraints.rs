//! The first phase: what a receiver asked, made quick to look up.

use contract::SourceId;
use contract::limits::CONSTRAINTS_MAX;
use contract::session::{AudioSubscription, ReceiverConstraints};

/// What a receiver effectively wants of one video source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Index of the source.
    pub(crate) source: u16,
    /// Pixels, not 0.
    pub(crate) max_height: u16,
    pub(crate) on_stage: bool,
}

/// Sort for look-up and cut to the bounds. Of several entries for one source the last counts.
pub(crate) fn prepare_constraints(constraints: &mut ReceiverConstraints) {
    constraints.on_stage.truncate(CONSTRAINTS_MAX);
    constraints.selected.truncate(CONSTRAINTS_MAX);
    let sources = &mut constraints.sources;
    sources.truncate(CONSTRAINTS_MAX);
    // At most CONSTRAINTS_MAX entries: an insertion sort is stable and asks for no memory.
    for at in 1..sources.len() {
        let mut to = at;
        while to > 0 && sources[to - 1].0 > sources[to].0 {
            sources.swap(to - 1, to);
            to -= 1;
        }
    }
    let mut kept = 0;
    for at in 0..sources.len() {
        if kept > 0 && sources[kept - 1].0 == sources[at].0 {
            sources[kept - 1] = sources[at];
        } else {
            sources[kept] = sources[at];
            kept += 1;
        }
    }
    sources.truncate(kept);
}

/// Sort for look-up.
pub(crate) fn prepare_subscription(subscription: &mut AudioSubscription) {
    subscription.include.sort_unstable();
    subscription.exclude.sort_unstable();
}

/// The height asked of a source, by name or by default; of prepared constraints.
pub(crate) fn max_height(constraints: &ReceiverConstraints, source: SourceId) -> u16 {
    let named = constraints.sources.binary_search_by_key(&source, |entry| entry.0);
    named.map_or(constraints.default, |at| constraints.sources[at].1).max_height
}

/// Whether a source is to be heard: exclude beats include beats all; of a prepared subscription.
pub(crate) fn is_heard(subscription: &AudioSubscription, source: SourceId) -> bool {
    let among = |list: &[SourceId]| list.binary_search(&source).is_ok();
    !among(&subscription.exclude) && (subscription.all || among(&subscription.include))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::session::VideoConstraint;

    #[test]
    fn a_named_constraint_beats_the_default_and_the_last_of_a_name_counts() {
        let height = |max_height| VideoConstraint { max_height };
        let mut constraints = ReceiverConstraints {
            default: height(180),
            sources: vec![
                (SourceId(9), height(90)),
                (SourceId(3), height(360)),
                (SourceId(9), height(720)),
                (SourceId(5), height(0)),
            ],
            ..ReceiverConstraints::default()
        };
        prepare_constraints(&mut constraints);
        let asked = [3, 4, 5, 9].map(|id| max_height(&constraints, SourceId(id)));
        assert_eq!(asked, [360, 180, 0, 720]);
    }

    #[test]
    fn exclude_beats_include_beats_all() {
        let heard = |all, include: &[u64], exclude: &[u64]| {
            let ids = |list: &[u64]| list.iter().map(|id| SourceId(*id)).collect();
            let mut subscription = AudioSubscription { all, include: ids(include), exclude: ids(exclude) };
            prepare_subscription(&mut subscription);
            is_heard(&subscription, SourceId(7))
        };
        assert!(heard(true, &[], &[]));
        assert!(!heard(false, &[8], &[]));
        assert!(heard(false, &[9, 7], &[]));
        assert!(!heard(true, &[7], &[9, 7]));
    }
}

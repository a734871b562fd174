//! Whatever a receiver says, the target stays within its bounds, time passes, and nothing panics.

use bandwidth::{Config, Estimator, FeedbackHead, Unusable};
use contract::{Duration, Timestamp};
use proptest::prelude::*;

/// What happens to an estimator.
#[derive(Clone, Debug)]
enum Step {
    Send {
        packets: u8,
        bytes: u16,
    },
    Wait {
        ms: u16,
    },
    Feedback {
        base: u16,
        reference: i32,
        deltas: Vec<Option<i16>>,
    },
    /// As an honest receiver would: the last numbers, in order.
    Honest {
        lost_each: u8,
    },
    Wanted {
        bits: u64,
        possible: bool,
    },
    Remb {
        bits: u64,
    },
    Restart,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (any::<u8>(), 1u16..1_500).prop_map(|(packets, bytes)| Step::Send { packets, bytes }),
        (0u16..3_000).prop_map(|ms| Step::Wait { ms }),
        (any::<u16>(), -(1i32 << 23)..(1 << 23), prop::collection::vec(any::<Option<i16>>(), 0..40))
            .prop_map(|(base, reference, deltas)| Step::Feedback { base, reference, deltas }),
        any::<u8>().prop_map(|lost_each| Step::Honest { lost_each }),
        (any::<u64>(), any::<bool>()).prop_map(|(bits, possible)| Step::Wanted { bits, possible }),
        any::<u64>().prop_map(|bits| Step::Remb { bits }),
        Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_said_the_target_keeps_its_bounds(steps in prop::collection::vec(any_step(), 1..80)) {
        let config = Config { start: 500_000, min: 30_000, max: 5_000_000 };
        let mut now = Timestamp::from_millis(1_000);
        let mut estimator = Estimator::new(config, now);
        let (mut number, mut told) = (1u64, 1u64);
        for step in steps {
            match step {
                Step::Send { packets, bytes } => {
                    for _ in 0..packets {
                        estimator.note_sent(number, usize::from(bytes), now);
                        number += 1;
                    }
                }
                Step::Wait { ms } => now = now + Duration::from_millis(u64::from(ms)),
                Step::Feedback { base, reference, deltas } => {
                    let statuses = deltas.into_iter().enumerate();
                    let statuses = statuses.map(|(at, delta)| (base.wrapping_add(at as u16), delta));
                    let head = FeedbackHead { base_sequence: base, reference_time: reference };
                    let _ = estimator.feedback(head, statuses, now);
                }
                Step::Honest { lost_each } => {
                    let reference_time = (now.as_millis() / 64) as i32 & 0x7F_FFFF;
                    let head = FeedbackHead { base_sequence: told as u16, reference_time };
                    let lost = |number: u64| lost_each > 0 && number.is_multiple_of(u64::from(lost_each));
                    let statuses = (told..number).map(|number| (number as u16, (!lost(number)).then_some(4)));
                    let _ = estimator.feedback(head, statuses, now);
                    told = number;
                }
                Step::Wanted { bits, possible } => estimator.set_wanted(bits, possible, now),
                Step::Remb { bits } => estimator.remb(bits, now),
                Step::Restart => estimator.restart(now),
            }
            if estimator.poll_timeout() <= now {
                estimator.handle_timeout(now);
            }
            for _ in 0..8 {
                if estimator.probe_due(now) == 0 {
                    break;
                }
                estimator.note_sent(number, 1_200, now);
                number += 1;
            }
            prop_assert!((30_000..=5_000_000).contains(&estimator.target()), "{}", estimator.target());
            prop_assert!((0.0..=1.0).contains(&estimator.loss()));
        }
    }
}

#[test]
fn feedback_on_nothing_and_too_much_of_it_is_counted_and_changes_nothing() {
    let now = Timestamp::from_millis(1_000);
    let mut estimator = Estimator::new(Config::default(), now);
    let head = FeedbackHead { base_sequence: 7, reference_time: 16 };
    let statuses = || (7..20u16).map(|sequence| (sequence, Some(4)));
    let before = estimator.target();
    assert_eq!(estimator.feedback(head, statuses(), now), Err(Unusable::NothingSent));
    estimator.note_sent(7, 1_000, now);
    let outcomes: Vec<_> = (0..500).map(|_| estimator.feedback(head, statuses(), now)).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(Unusable::TooMany)).count(), 301);
    assert_eq!(estimator.target(), before);
    assert_eq!(estimator.statistics.unusable + estimator.statistics.feedbacks, 501);
}

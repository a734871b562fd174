//! When to probe: while more is wanted than is known to fit, soon after what was carried, more seldom after what was not.

use contract::{Duration, Timestamp};

use crate::decision::Reason;
use crate::estimator::{Estimator, ROUND_TRIP_UNKNOWN, SILENCE};
use crate::probe::{Cluster, Outcome};
use crate::trendline::{Trendline, Usage};

/// When and how to probe.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Probing {
    // What every packet touches comes first, so that it lies in few lines (`repr(C)`).
    pub(crate) wake: Timestamp,
    pub(crate) cluster: Option<Cluster>,

    // Now and then.
    pub(crate) next_id: u8,
    /// Not before.
    pub(crate) at: Timestamp,
    /// The last one changed nothing: the pause before the next.
    pub(crate) pause: Duration,
    /// Something can be sent as a probe.
    pub(crate) possible: bool,
    /// What everything that is asked for would take, bits per second.
    pub(crate) wanted: f64,
    /// Until then delay is the probe's own doing.
    pub(crate) shadow: Timestamp,
}

impl Estimator {
    /// Where nothing is sent nothing is heard, of no queue that drains and of no loss that ends: after a while both are over.
    pub(crate) fn mind_rest(&mut self, now: Timestamp) {
        if self.rests_at() > now {
            return;
        }
        self.hearing.await_nothing();
        self.trendline = Trendline::new();
        self.loss_limit = None;
        if self.capacity.rest() {
            self.capacity.target = self.bounded(self.capacity.target);
            self.decide(Reason::Drained, now);
        }
    }

    /// When what was learnt of a queue or of loss is void, unless something is sent until then.
    fn rests_at(&self) -> Timestamp {
        let held_back =
            self.capacity.is_draining() || self.trendline.usage() == Usage::Over || self.loss_limit.is_some();
        match self.hearing.last {
            Some(heard) if held_back => heard.max(self.hearing.sent_last) + REST,
            _ => Timestamp::NEVER,
        }
    }

    pub(crate) fn begin_probe(&mut self, now: Timestamp) {
        let target = self.target() as f64;
        let Probing { cluster: None, possible: true, at, wanted, .. } = self.probing else { return };
        let heard = self.hearing.last.is_some() || self.hearing.waiting_since.is_some();
        let busy = self.capacity.is_draining() || self.trendline.usage() == Usage::Over || !heard;
        let too_lossy = self.loss_limit.is_some_and(|limit| limit < self.capacity.target * 0.9);
        if now < at || wanted <= target * WORTH_A_PROBE || busy || too_lossy || self.hearing.deaf {
            return;
        }
        let leap = if self.statistics.probes == 0 { LEAP_FIRST } else { LEAP };
        let rate = (target * leap).min(wanted * 1.1).min(self.config.max as f64);
        let id = self.probing.next_id;
        self.probing.next_id = if id == u8::MAX { 1 } else { id + 1 };
        let cluster = Cluster::begin(id, rate, now);
        self.probing.shadow =
            now + SHADOW.max(cluster.length()) + self.hearing.round_trip.unwrap_or(ROUND_TRIP_UNKNOWN);
        self.probing.cluster = Some(cluster);
        self.statistics.probes += 1;
    }

    pub(crate) fn end_probe(&mut self, now: Timestamp) {
        let Some(cluster) = &mut self.probing.cluster else { return };
        cluster.due(now);
        let round_trip = self.hearing.round_trip.unwrap_or(ROUND_TRIP_UNKNOWN);
        let Some(outcome) = cluster.outcome(self.hearing.told, round_trip, self.queueing.noise_ms(), now)
        else {
            return;
        };
        self.probing.cluster = None;
        let before = self.capacity.target;
        let reason = self.capacity.probed(outcome, now);
        self.capacity.target = self.bounded(self.capacity.target);
        if let (Outcome::Carried(_), Some(limit)) = (outcome, &mut self.loss_limit) {
            *limit = limit.max(self.capacity.target * 0.9);
        }
        // Where jitter hides the queue that a probe makes, a full link seems to carry it, at a rate that is no news.
        let news = matches!(outcome, Outcome::Carried(_))
            && (self.capacity.target > before * WORTH_A_PROBE || self.capacity.is_surprised());
        self.probing.pause = if news { PAUSE_FIRST } else { (self.probing.pause * 2).min(PAUSE_MAX) };
        let pause = if news { PAUSE_CARRIED } else { self.probing.pause };
        self.probing.at = now + pause;
        self.decide(reason, now);
    }

    pub(crate) fn plan_wake(&mut self, now: Timestamp) {
        let probing = &mut self.probing;
        let probe = match &mut probing.cluster {
            Some(cluster) if cluster.is_sending() => cluster.due(now).1.min(now + SILENCE),
            Some(_) => now + PATIENCE_STEP,
            None if probing.possible && probing.wanted > self.capacity.target * WORTH_A_PROBE => {
                probing.at.max(now + PATIENCE_STEP)
            }
            None => Timestamp::NEVER,
        };
        let silence = match self.hearing.waiting_since {
            Some(since) if !self.hearing.deaf => (since + SILENCE).max(now + PATIENCE_STEP * 3),
            _ => Timestamp::NEVER,
        };
        self.probing.wake = probe.min(silence).min(self.rests_at());
    }
}

/// More must be wanted than the target by this factor before it is probed for.
const WORTH_A_PROBE: f64 = 1.02;
/// A probe tries so many times the target; the first one more, as nothing is known yet.
const LEAP: f64 = 2.0;
const LEAP_FIRST: f64 = 3.0;
/// Between probes: after one that was carried, and doubling from the first to the last after others.
const PAUSE_CARRIED: Duration = Duration::from_millis(100);
pub(crate) const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// After a fall, before it is looked whether it lasts.
pub(crate) const PAUSE_AFTER_FALL: Duration = Duration::from_secs(2);
/// Delay after a probe began is its own doing for so long and a round trip, if the queue is no longer than this.
const SHADOW: Duration = Duration::from_millis(500);
pub(crate) const SHADOW_QUEUE_MS: f64 = 150.0;
/// So long after the last packet and the last word of any: longer than a queue takes to drain.
const REST: Duration = Duration::from_secs(2);
/// How often a probe that waits for its answer is looked at.
const PATIENCE_STEP: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimator::{Config, FeedbackHead};
    use crate::probe::tests::sent_over;

    fn estimator() -> Estimator {
        let mut estimator = Estimator::new(Config::default(), Timestamp::ZERO);
        estimator.set_wanted(5_000_000, true, Timestamp::ZERO);
        estimator
    }

    /// 1 Mbit/s over a link of 100 kbit/s, told of each packet as it arrives, until the queue that it makes is to drain.
    fn over_a_full_link() -> (Estimator, Timestamp) {
        let mut estimator = estimator();
        let mut told = 0;
        for ms in 0..5_000u64 {
            let now = Timestamp::from_millis(ms);
            if ms % 8 == 0 {
                estimator.note_sent(1 + ms / 8, 972, now);
            }
            if ms % 80 == 79 {
                told += 1;
                let head = FeedbackHead { base_sequence: told, reference_time: (ms / 64) as i32 };
                let since = (ms % 64 * 4) as i16;
                estimator.feedback(head, [(told, Some(since))].into_iter(), now).expect("it is sound");
            }
            if estimator.capacity.is_draining() {
                return (estimator, now);
            }
        }
        panic!("the queue was not noticed");
    }

    #[test]
    fn a_link_on_which_nothing_is_sent_any_more_is_probed_again() {
        // Whether the last packets were lost or told of.
        for lost in [false, true] {
            let (mut estimator, stopped) = over_a_full_link();
            if !lost {
                estimator.hearing.await_nothing();
            }
            let tenths = (1..100).map(|tenth| stopped + Duration::from_millis(tenth * 100));
            let probed = tenths.into_iter().find(|now| {
                estimator.handle_timeout(*now);
                estimator.probe_due(*now) > 0
            });
            let after = probed.map(|at| at.since(stopped));
            assert!(after.is_some_and(|after| after < Duration::from_secs(5)), "{lost}: {after:?}");
        }
    }

    #[test]
    fn after_a_probe_that_found_nothing_new_the_next_one_waits_longer() {
        let mut estimator = estimator();
        estimator.capacity.probed(Outcome::Saturated(500_000.0), Timestamp::ZERO);
        let rows = [
            (500_000.0, 2_000),
            (500_000.0, 4_000),
            (500_000.0, 5_000),
            // Much more has to be found twice.
            (1_500_000.0, 100),
            (1_500_000.0, 100),
            (500_000.0, 2_000),
        ];
        for (rate, pause_ms) in rows {
            let (cluster, number, now) = sent_over(rate, 50_000_000.0, 0);
            estimator.probing.cluster = Some(cluster);
            estimator.hearing.told = Some(number);
            estimator.end_probe(now);
            assert_eq!(estimator.probing.at.since(now), Duration::from_millis(pause_ms), "{rate}");
        }
    }
}

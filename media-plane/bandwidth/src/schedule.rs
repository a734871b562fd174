//! When to probe: while more is wanted than is known to fit, soon after what was carried, more seldom after what was not.

use contract::{Duration, Timestamp};

use crate::estimator::{Estimator, ROUND_TRIP_UNKNOWN, SILENCE};
use crate::probe::{Cluster, Outcome};
use crate::trendline::Usage;

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
        let reason = self.capacity.probed(outcome, now);
        self.capacity.target = self.bounded(self.capacity.target);
        if let (Outcome::Carried(_), Some(limit)) = (outcome, &mut self.loss_limit) {
            *limit = limit.max(self.capacity.target * 0.9);
        }
        self.probing.pause = match outcome {
            Outcome::Carried(_) => PAUSE_FIRST,
            Outcome::Saturated(_) | Outcome::Unanswered => (self.probing.pause * 2).min(PAUSE_MAX),
        };
        let pause = if matches!(outcome, Outcome::Carried(_)) { PAUSE_CARRIED } else { self.probing.pause };
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
        self.probing.wake = probe.min(silence);
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
/// How often a probe that waits for its answer is looked at.
const PATIENCE_STEP: Duration = Duration::from_millis(100);

//! What the loss says: a limit by the likeliest explanation of what was lost, in the manner of libwebrtc's second
//! loss-based estimator. Loss is taken to have two causes: the link loses a share of everything, and it loses what
//! exceeds its capacity. Which of the two explains the last observations best decides; so a radio link that loses every
//! tenth packet is not mistaken for a narrow one.

use arrayvec::ArrayVec;
use contract::{Duration, Timestamp};

/// Observations weighed.
const OBSERVATIONS: usize = 20;
/// Fewer say nothing.
const OBSERVATIONS_MIN: usize = 3;
/// Shortest observation.
const OBSERVATION: Duration = Duration::from_millis(250);
/// Weight of an observation against the next newer one.
const AGEING: f64 = 0.9;
/// What is tried, times the limit so far.
const CANDIDATES: [f64; 3] = [1.02, 1.0, 0.95];
/// Of two explanations that do equally well the one with more bandwidth is taken, by this much: linear, logarithmic.
const PREFERENCE: (f64, f64) = (0.000_2, 0.02);
/// The preference fades, and turns, around this share lost.
const PREFERENCE_TURNS_AT: f64 = 0.2;
const PREFERENCE_SMOOTHING: f64 = 0.002;
/// Bounds of the share that a link is taken to lose of everything: at most this, and more on a narrow one.
const INHERENT_MIN: f64 = 0.001;
const INHERENT_OFFSET: f64 = 0.05;
const INHERENT_BALANCE: f64 = 100_000.0;
/// Much loss, and the bits per second that are left at so much more. A radio link that loses every tenth packet by chance loses
/// every eighth within a second or two, and is not to be taken for a narrow one; at a fifth a small picture is left.
const MUCH_LOSS: f64 = 0.08;
const MUCH_LOSS_BALANCE: f64 = 80_000.0;
/// Of what came through under much loss, this much is sent on.
const THROUGH: f64 = 0.9;
/// While the loss limits, no more than this much of what arrives is believed in.
const RISE_OVER_ARRIVING: f64 = 1.3;
/// A step up after half a second without loss.
const CLEAN: f64 = 1.08;
/// Part of a Newton step taken.
const STEP: f64 = 0.75;

/// A quarter of a second or more.
#[derive(Clone, Copy, Debug, Default)]
struct Observation {
    /// Packets and kilobytes that were told of, and those of them lost.
    packets: f64,
    kilobytes: f64,
    lost: f64,
    /// Bits per second sent.
    rate: f64,
}

/// The estimator.
#[derive(Debug)]
pub(crate) struct Loss {
    observations: ArrayVec<Observation, OBSERVATIONS>,
    partial: Observation,
    /// When the first packet of the partial observation was sent.
    partial_since: Option<Timestamp>,
    partial_until: Timestamp,
    inherent: f64,
    limit: Option<f64>,
    /// Share lost, of bytes, newer observations weighing more.
    average: f64,
}

impl Loss {
    pub(crate) fn new() -> Loss {
        Loss {
            observations: ArrayVec::new(),
            partial: Observation::default(),
            partial_since: None,
            partial_until: Timestamp::ZERO,
            inherent: 0.01,
            limit: None,
            average: 0.0,
        }
    }

    /// Share lost of late, 0..=1.
    pub(crate) fn average(&self) -> f64 {
        self.average
    }

    /// A packet that the receiver spoke of for the first time.
    pub(crate) fn note(&mut self, bytes: u16, arrived: bool, sent: Timestamp) {
        let since = *self.partial_since.get_or_insert(sent);
        self.partial_since = Some(since.min(sent));
        self.partial_until = self.partial_until.max(sent);
        let kilobytes = f64::from(bytes) / 1_000.0;
        self.partial.packets += 1.0;
        self.partial.kilobytes += kilobytes;
        self.partial.lost += if arrived { 0.0 } else { kilobytes };
    }

    /// A packet that was taken for lost had only been overtaken.
    pub(crate) fn forgive(&mut self, bytes: u16) {
        let mut kilobytes = f64::from(bytes) / 1_000.0;
        let newest = self.observations.iter_mut().rev().take(2);
        for observation in core::iter::once(&mut self.partial).chain(newest) {
            let part = kilobytes.min(observation.lost);
            observation.lost -= part;
            kilobytes -= part;
        }
    }

    /// Close the observation if it is long enough, and look again. `target` is what the delay allows, `arriving` what
    /// arrives, both in bits per second. The limit; `None` while the loss does not limit.
    pub(crate) fn update(&mut self, target: f64, arriving: Option<f64>) -> Option<f64> {
        let since = self.partial_since?;
        let elapsed = self.partial_until.since(since);
        if elapsed < OBSERVATION {
            return self.limit;
        }
        let mut closed = core::mem::take(&mut self.partial);
        self.partial_since = None;
        closed.rate = closed.kilobytes * 8_000.0 / elapsed.as_secs_f64();
        if self.observations.is_full() {
            self.observations.remove(0);
        }
        self.observations.push(closed);
        self.average = self.average_loss();
        if self.observations.len() >= OBSERVATIONS_MIN {
            self.look(target, arriving);
        }
        self.limit
    }

    /// Another path or clock: what was lost on the old one says nothing.
    pub(crate) fn clear(&mut self) {
        *self = Loss::new();
    }

    fn look(&mut self, target: f64, arriving: Option<f64>) {
        if self.limit.is_none() && self.average < LOSS_WORTH_A_LOOK {
            return;
        }
        let current = self.limit.unwrap_or(target).min(target);
        let mut best = (f64::NEG_INFINITY, current, self.inherent);
        let others = arriving.into_iter().chain([target]);
        // Nothing lost of late: back soon.
        let clean = self.observations.iter().rev().take(2).all(|seen| seen.lost == 0.0);
        let faster = clean.then_some(current * CLEAN);
        for bandwidth in CANDIDATES.iter().map(|factor| factor * current).chain(others).chain(faster) {
            if bandwidth <= 0.0 {
                continue;
            }
            let inherent = self.inherent_for(bandwidth);
            let objective = self.objective(bandwidth, inherent);
            if objective > best.0 {
                best = (objective, bandwidth, inherent);
            }
        }
        let (_, mut bandwidth, inherent) = best;
        self.inherent = inherent;
        if bandwidth > current && inherent < self.average && !clean {
            // More, though not all of the loss is explained by the link: wait.
            bandwidth = current;
        }
        if self.average > MUCH_LOSS {
            // Much loss: less at once, though not less than what came through.
            let through = arriving.map_or(0.0, |arriving| arriving * THROUGH);
            bandwidth = bandwidth.min((MUCH_LOSS_BALANCE / (self.average - MUCH_LOSS)).max(through));
        }
        if let Some(arriving) = arriving {
            let step = if clean { CLEAN } else { CANDIDATES[0] };
            bandwidth = bandwidth.min((current * step).max(arriving * RISE_OVER_ARRIVING));
        }
        self.limit = (bandwidth < target).then_some(bandwidth);
    }

    /// The share that the link loses of everything, if this is its capacity: one Newton step.
    fn inherent_for(&self, bandwidth: f64) -> f64 {
        let (mut first, mut second) = (0.0, 0.0);
        for (weight, seen) in self.weighted() {
            let loss = loss_probability(self.inherent, bandwidth, seen.rate);
            let share = if seen.rate > bandwidth { bandwidth / seen.rate } else { 1.0 };
            let received = seen.kilobytes - seen.lost;
            first += weight * (seen.lost / loss - received / (1.0 - loss)) * share;
            second -= weight
                * (seen.lost / (loss * loss) + received / ((1.0 - loss) * (1.0 - loss)))
                * share
                * share;
        }
        let stepped = if second < 0.0 { self.inherent - STEP * first / second } else { self.inherent };
        let most = (INHERENT_OFFSET + INHERENT_BALANCE / bandwidth).min(1.0 - PROBABILITY_MIN);
        stepped.clamp(INHERENT_MIN, most.max(INHERENT_MIN))
    }

    /// How well a capacity and an inherent loss explain what was seen: a log-likelihood, with the preference for more.
    fn objective(&self, bandwidth: f64, inherent: f64) -> f64 {
        let kilobits = bandwidth / 1_000.0;
        let distance = PREFERENCE_TURNS_AT - self.average;
        let bias = distance / (PREFERENCE_SMOOTHING + distance.abs());
        let preference = bias * (PREFERENCE.0 * kilobits + PREFERENCE.1 * (1.0 + kilobits).ln());
        let explained = |(weight, seen): (f64, &Observation)| {
            let loss = loss_probability(inherent, bandwidth, seen.rate);
            let received = seen.kilobytes - seen.lost;
            weight * (seen.lost * loss.ln() + received * (1.0 - loss).ln() + preference * seen.kilobytes)
        };
        self.weighted().map(explained).sum()
    }

    fn average_loss(&self) -> f64 {
        let sum = |of: fn(&Observation) -> f64| {
            self.weighted().map(|(weight, seen)| weight * of(seen)).sum::<f64>()
        };
        let all = sum(|seen| seen.kilobytes);
        if all > 0.0 { sum(|seen| seen.lost) / all } else { 0.0 }
    }

    /// Newest first, with their weights.
    fn weighted(&self) -> impl Iterator<Item = (f64, &Observation)> {
        self.observations.iter().rev().scan(1.0, |weight, seen| {
            let own = *weight;
            *weight *= AGEING;
            Some((own, seen))
        })
    }
}

/// Of a packet, at a rate of sending.
fn loss_probability(inherent: f64, bandwidth: f64, rate: f64) -> f64 {
    let excess = if rate > bandwidth { (1.0 - inherent) * (rate - bandwidth) / rate } else { 0.0 };
    (inherent + excess).clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN)
}

/// Logarithms stay finite.
const PROBABILITY_MIN: f64 = 1e-6;
/// Below this share nothing is computed while nothing limits.
const LOSS_WORTH_A_LOOK: f64 = 0.005;

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty seconds of feedback each 250 ms; what is sent obeys the limit, down to a floor.
    fn run(target: f64, lost_at: impl Fn(f64) -> f64) -> (f64, f64) {
        let mut loss = Loss::new();
        let (mut at, mut chance) = (0u64, 0.0);
        let mut limit = None;
        for _ in 0..80 {
            let rate: f64 = limit.unwrap_or(target).max(50_000.0);
            let packets = (rate / 4.0 / 8_000.0).max(1.0) as u64;
            for number in 0..packets {
                let sent = Timestamp::from_micros(at + number * 260_000 / packets);
                chance += lost_at(rate);
                let lost = chance >= 1.0;
                chance -= if lost { 1.0 } else { 0.0 };
                loss.note(1_000, !lost, sent);
            }
            loss.note(100, true, Timestamp::from_micros(at + 260_000));
            at += 260_000;
            limit = loss.update(target, Some(rate * (1.0 - lost_at(rate))));
        }
        (limit.unwrap_or(target), loss.average())
    }

    /// As [`run`], with losses by chance, for a minute: the limit's mean over the second half, as a share of what the delay allows.
    fn share_left_by_chance(target: f64, lost: f64, seed: u64) -> f64 {
        let (mut loss, mut state) = (Loss::new(), seed);
        let (mut limit, mut sum) = (None, 0.0);
        for look in 0..240u64 {
            let rate: f64 = limit.unwrap_or(target);
            let packets = (rate / 4.0 / 8_000.0) as u64;
            let mut arrived = 0.0;
            for number in 0..=packets {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let arrives = (state >> 11) as f64 / (1u64 << 53) as f64 >= lost;
                arrived += if arrives { 8_000.0 / 0.25 } else { 0.0 };
                let sent = Timestamp::from_micros(look * 250_000 + number * 250_000 / packets.max(1));
                loss.note(1_000, arrives, sent);
            }
            limit = loss.update(target, Some(arrived));
            sum += if look >= 120 { limit.unwrap_or(target) } else { 0.0 };
        }
        sum / 120.0 / target
    }

    #[test]
    fn what_a_radio_link_loses_by_chance_does_not_make_it_a_narrow_one() {
        for (lost, least) in [(0.02, 0.99), (0.05, 0.99), (0.1, 0.95)] {
            for target in [500_000.0, 1_000_000.0, 2_000_000.0] {
                let shares = [1, 2, 3].map(|seed| share_left_by_chance(target, lost, seed));
                let share = shares.iter().sum::<f64>() / 3.0;
                assert!(share >= least, "{lost} of {target}: {shares:?}");
            }
        }
    }

    #[test]
    fn whatever_is_dropped_above_a_rate_is_found_out_at_every_rate() {
        for capacity in [300_000.0, 800_000.0, 1_500_000.0] {
            let (limit, average) = run(2_500_000.0, |rate| (1.0 - capacity / rate).max(0.0));
            assert!((0.75 * capacity..1.2 * capacity).contains(&limit), "{capacity}: {limit}");
            assert!(average < 0.15, "{capacity}: {average}");
        }
    }

    #[test]
    fn a_little_loss_limits_nothing() {
        for share in [0.0, 0.01, 0.04] {
            let (limit, _) = run(2_000_000.0, |_| share);
            assert!(limit > 1_700_000.0, "{share}: {limit}");
        }
    }

    #[test]
    fn a_link_that_loses_what_exceeds_its_capacity_is_found_out() {
        let capacity = 800_000.0;
        let (limit, _) = run(2_000_000.0, |rate| (1.0 - capacity / rate).max(0.0));
        assert!((600_000.0..950_000.0).contains(&limit), "{limit}");
    }

    #[test]
    fn much_random_loss_leaves_a_small_picture() {
        let (limit, average) = run(2_000_000.0, |_| 0.2);
        assert!((300_000.0..700_000.0).contains(&limit), "{limit}");
        assert!((average - 0.2).abs() < 0.03, "{average}");
    }

    #[test]
    fn what_was_overtaken_is_not_lost() {
        let mut loss = Loss::new();
        for number in 0..100u64 {
            loss.note(1_000, number % 2 == 0, Timestamp::from_millis(number * 10));
        }
        (0..50).for_each(|_| loss.forgive(1_000));
        loss.update(1_000_000.0, None);
        assert_eq!(loss.average(), 0.0);
    }
}

//! What the delay says: the target follows what was proved, falls when the queue grows, and remembers what the link carried then
//! (after draft-ietf-rmcat-gcc-02 §5.5).

use contract::{Duration, Timestamp};

use crate::decision::Reason;
use crate::probe::Outcome;
use crate::throughput::Rate;

/// Share of the capacity that is aimed at: the rest pays for what encoders exceed their rate by.
const AIM: f64 = 0.92;
/// Up to so many times the known capacity a single probe does not prove that there is more.
const NEAR: f64 = 1.2;
/// And so soon a second one must find the same.
const SURPRISED_FOR: Duration = Duration::from_secs(5);
/// Below this share of the known capacity, what arrives under overuse shows that the capacity fell.
const FELL: f64 = 0.85;
/// A queue of this length is not borne for more than an instant, in milliseconds.
const QUEUE_HIGH_MS: f64 = 120.0;
/// With a queue of this length more than a little less must be sent, in milliseconds.
const QUEUE_LONG_MS: f64 = 200.0;
/// What that is, of what is aimed at.
const A_LITTLE_LESS: f64 = 0.95;
/// Growing delay at a rate that the link is known to carry is borne for so long: a key frame, somebody else's burst. Three times as
/// long if everything arrives about as fast as it is sent.
const BURST: Duration = Duration::from_millis(700);
/// What is cut at least, and at most: with a queue of a second nothing would be sent.
const CUT_MAX: f64 = 0.9;
const CUT_MIN: f64 = 0.4;
/// Arriving slower than this share of what was sent, the link is full.
const FULL_BELOW: f64 = 0.9;
/// The queue counts as drained, in milliseconds.
const DRAINED_MS: f64 = 25.0;
/// Draining is given up after this: the delay must have another cause.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// Growth by media alone, a second; above a known capacity only where nothing can be probed.
const GROWTH: f64 = 0.08;
const GROWTH_UNPROBED: f64 = 0.02;
/// Media alone proves no more than this much of itself.
const GROWTH_OVER_ARRIVING: f64 = 1.5;

/// The delay-based part.
#[derive(Debug)]
pub(crate) struct Capacity {
    /// Bits per second.
    pub(crate) target: f64,
    /// What the link carried when it was full.
    known: Option<f64>,
    /// What a probe found that is much more than is known, and when.
    surprise: Option<(f64, Timestamp)>,
    /// What was aimed at before nothing was heard any more.
    unheard: Option<f64>,
    decreased: Option<Timestamp>,
    draining: Option<Timestamp>,
    over_since: Option<Timestamp>,
    over_last: Timestamp,
    grown: Timestamp,
}

/// What was seen lately.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Over a short time: what arrives now, and how that was sent.
    pub(crate) short: Option<Rate>,
    /// Bits per second arriving, over a longer time.
    pub(crate) arriving: Option<f64>,
    pub(crate) queue_ms: f64,
    /// By which delays differ without any queue.
    pub(crate) noise_ms: f64,
    pub(crate) round_trip: Duration,
    pub(crate) can_probe: bool,
}

impl Capacity {
    pub(crate) fn new(start: f64, now: Timestamp) -> Capacity {
        Capacity {
            target: start,
            known: None,
            surprise: None,
            unheard: None,
            decreased: None,
            draining: None,
            over_since: None,
            over_last: Timestamp::ZERO,
            grown: now,
        }
    }

    /// Whether less than can be carried is sent on purpose, until a queue is gone.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// Whether the last probe found much more than is known, which the next one may confirm.
    pub(crate) fn is_surprised(&self) -> bool {
        self.surprise.is_some()
    }

    /// The queue grows.
    pub(crate) fn over(&mut self, seen: &Seen, now: Timestamp) -> Option<Reason> {
        self.grown = now;
        if now.since(self.over_last) > OVERUSE_GAP {
            self.over_since = None;
        }
        self.over_last = now;
        let since = *self.over_since.get_or_insert(now);
        let Rate { arriving, sent, stretched_ms } = seen.short?;
        let spacing = (seen.round_trip + Duration::from_millis(100)).clamp(SPACING_MIN, SPACING_MAX);
        if self.decreased.is_some_and(|at| now.since(at) < spacing) {
            return None;
        }
        let as_known = self.known.is_some_and(|known| arriving >= known * FELL);
        let as_sent = arriving >= sent * FULL_BELOW || stretched_ms < seen.noise_ms * 4.0;
        let patience = if as_sent { BURST * 3 } else { BURST };
        let high = seen.queue_ms >= QUEUE_HIGH_MS || now.since(since) >= patience;
        if !high && (as_known || as_sent) {
            let moved = self.aim_at_most();
            return Some(if moved { Reason::Overuse } else { Reason::Burst });
        }
        self.known = Some(match self.known {
            Some(known) if as_known && arriving < known * 1.2 => 0.7 * known + 0.3 * arriving,
            _ => arriving,
        });
        self.draining = Some(now);
        if as_known && seen.queue_ms < QUEUE_LONG_MS {
            // The media exceeded its rate for a while: a little less will do.
            let known = self.known.unwrap_or(arriving);
            return self.decrease(known * AIM * A_LITTLE_LESS, now);
        }
        let cut = (1.0 - seen.queue_ms / 1_000.0).clamp(CUT_MIN, CUT_MAX);
        self.decrease(arriving * cut, now)
    }

    /// The queue does not grow: drain to the end, or grow by what arrives.
    pub(crate) fn calm(&mut self, seen: &Seen, now: Timestamp) -> Option<Reason> {
        let elapsed = now.since(core::mem::replace(&mut self.grown, now)).min(GROWTH_STEP_MAX).as_secs_f64();
        if let Some(since) = self.draining {
            if seen.queue_ms > DRAINED_MS && now.since(since) < DRAIN_MAX {
                return None;
            }
            self.rest();
            return Some(Reason::Drained);
        }
        if self.unheard.is_some() && seen.queue_ms <= DRAINED_MS + 2.0 * seen.noise_ms {
            return self.hear_again();
        }
        let arriving = seen.arriving?;
        if arriving < self.target * 0.85 || now.since(self.over_last) < Duration::from_secs(1) {
            return None;
        }
        let most = match self.known {
            None => self.target * (1.0 + GROWTH * elapsed),
            Some(known) if self.target < known * AIM => {
                (self.target * (1.0 + GROWTH * elapsed)).min(known * AIM)
            }
            Some(known) if !seen.can_probe => {
                self.known = Some(known * (1.0 + GROWTH_UNPROBED * elapsed));
                self.target * (1.0 + GROWTH_UNPROBED * elapsed)
            }
            Some(_) => return None,
        };
        let grown = most.min(arriving * GROWTH_OVER_ARRIVING + 10_000.0);
        if grown <= self.target {
            return None;
        }
        self.target = grown;
        Some(Reason::Growth)
    }

    /// The queue is gone: up to what the link carried when it was full. Whether that was waited for.
    pub(crate) fn rest(&mut self) -> bool {
        if let Some(known) = self.known.filter(|_| self.draining.is_some()) {
            self.target = self.target.max(known * AIM);
        }
        self.draining.take().is_some()
    }

    /// A probe has come back.
    pub(crate) fn probed(&mut self, outcome: Outcome, now: Timestamp) -> Reason {
        match outcome {
            // Of few packets, and beside audio that is not counted, one probe may well seem to find some percent more than there is.
            Outcome::Carried(rate) if self.known.is_some_and(|known| rate < known * NEAR) => {
                let known = self.known.map_or(rate, |known| known.max(0.7 * known + 0.3 * rate));
                (self.known, self.surprise) = (Some(known), None);
                self.target = self.target.max(known.min(rate) * AIM);
                self.grown = now;
                Reason::ProbeCarried
            }
            Outcome::Carried(rate) => {
                let proved = self.proved(rate, now);
                if proved.is_some() {
                    (self.known, self.surprise) = (None, None);
                }
                let known = self.known.map(|known| known * AIM);
                self.target = self.target.max(proved.or(known).unwrap_or(rate));
                self.grown = now;
                Reason::ProbeCarried
            }
            Outcome::Saturated(rate) => {
                // Single measurements err by some percent: near what is known they only correct it.
                let known = self.known.filter(|known| (rate / known - 1.0).abs() < 0.15);
                let known = known.map_or(rate, |known| 0.7 * known + 0.3 * rate);
                (self.known, self.surprise) = (Some(known), None);
                let aim = known * AIM;
                if aim > self.target || aim < self.target * 0.97 {
                    self.target = aim;
                }
                Reason::ProbeSaturated
            }
            Outcome::Unanswered => Reason::ProbeLost,
        }
    }

    /// What a probe proves that was carried. Where packets wait for each other on the way, or for a receiver that stood still, they
    /// come as fast as on any link: that much more than is known is carried has to be seen twice in a row.
    fn proved(&mut self, rate: f64, now: Timestamp) -> Option<f64> {
        if self.known.is_none() {
            return Some(rate);
        }
        let (before, _) =
            self.surprise.replace((rate, now)).filter(|(_, at)| now.since(*at) < SURPRISED_FOR)?;
        Some(rate.min(before))
    }

    /// Nothing is heard any more.
    pub(crate) fn halve(&mut self) {
        self.unheard.get_or_insert(self.target);
        self.target /= 2.0;
    }

    /// The silence is over, and no queue came of it: a browser that stood still, or a path that was gone for a while. What was aimed
    /// at before was proved, and holds again, unless the link was seen to be full since.
    fn hear_again(&mut self) -> Option<Reason> {
        let before = self.unheard.take()?;
        let most = self.known.map_or(before, |known| before.min(known * AIM));
        if most <= self.target {
            return None;
        }
        self.target = most;
        Some(Reason::Heard)
    }

    fn aim_at_most(&mut self) -> bool {
        let aim = self.known.map_or(self.target, |known| known * AIM);
        let above = self.target > aim * 1.02;
        self.target = self.target.min(aim);
        above
    }

    fn decrease(&mut self, to: f64, now: Timestamp) -> Option<Reason> {
        if to >= self.target {
            return None;
        }
        self.target = to;
        self.decreased = Some(now);
        Some(Reason::Overuse)
    }
}

/// Overuse that pauses for longer than this begins anew.
const OVERUSE_GAP: Duration = Duration::from_millis(500);
/// Between two cuts: what the first one did must be seen before the second.
const SPACING_MIN: Duration = Duration::from_millis(150);
const SPACING_MAX: Duration = Duration::from_millis(600);
/// Longest time that growth is reckoned for at once.
const GROWTH_STEP_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn seen(arriving: f64, queue_ms: f64) -> Seen {
        Seen {
            short: Some(Rate { arriving, sent: arriving * 1.5, stretched_ms: 60.0 }),
            arriving: Some(arriving),
            queue_ms,
            noise_ms: 1.0,
            round_trip: Duration::from_millis(50),
            can_probe: true,
        }
    }

    #[test]
    fn the_longer_the_queue_the_more_is_cut_and_then_what_the_link_carried_is_aimed_at() {
        for (queue_ms, expected) in [(20.0, 540_000.0), (300.0, 420_000.0), (2_000.0, 240_000.0)] {
            let mut capacity = Capacity::new(2_500_000.0, ms(0));
            assert_eq!(capacity.over(&seen(1_000_000.0, 200.0), ms(1_000)), Some(Reason::Overuse));
            assert_eq!(capacity.over(&seen(600_000.0, queue_ms), ms(1_050)), None, "too soon");
            capacity.over(&seen(600_000.0, queue_ms), ms(1_200));
            assert!((capacity.target - expected).abs() < 1.0, "{queue_ms}: {}", capacity.target);
            assert_eq!(capacity.calm(&seen(500_000.0, 60.0), ms(1_400)), None);
            assert_eq!(capacity.calm(&seen(500_000.0, 10.0), ms(1_600)), Some(Reason::Drained));
            assert!((capacity.target - 552_000.0).abs() < 1_000.0, "{}", capacity.target);
        }
    }

    #[test]
    fn a_burst_at_a_rate_that_is_known_to_be_carried_changes_nothing_unless_it_lasts() {
        let mut capacity = Capacity::new(900_000.0, ms(0));
        capacity.probed(Outcome::Saturated(1_000_000.0), ms(0));
        for at in [0, 100, 600] {
            assert_eq!(capacity.over(&seen(980_000.0, 60.0), ms(5_000 + at)), Some(Reason::Burst), "{at}");
        }
        assert_eq!(capacity.target, 920_000.0);
        assert_eq!(capacity.over(&seen(980_000.0, 60.0), ms(5_900)), Some(Reason::Overuse));
        assert!(capacity.target < 920_000.0);
    }

    #[test]
    fn after_a_silence_what_was_proved_before_holds_again_once_nothing_waits() {
        let after = |queue_ms: f64, full_at: Option<f64>| {
            let mut capacity = Capacity::new(900_000.0, ms(0));
            (0..4).for_each(|_| capacity.halve());
            if let Some(rate) = full_at {
                capacity.probed(Outcome::Saturated(rate), ms(5_000));
            }
            let reason = capacity.calm(&seen(40_000.0, queue_ms), ms(5_100));
            (reason, capacity.target.round())
        };
        assert_eq!(after(60.0, None), (None, 56_250.0), "a queue says that the path is not as it was");
        assert_eq!(after(0.0, None), (Some(Reason::Heard), 900_000.0));
        assert_eq!(after(0.0, Some(200_000.0)), (None, 184_000.0), "known to be full");
    }

    #[test]
    fn a_probe_that_finds_a_little_more_than_is_known_corrects_that_and_proves_nothing() {
        let mut capacity = Capacity::new(500_000.0, ms(0));
        capacity.probed(Outcome::Saturated(580_000.0), ms(0));
        assert_eq!(capacity.probed(Outcome::Carried(670_000.0), ms(100)), Reason::ProbeCarried);
        assert!((capacity.target - 607_000.0 * AIM).abs() < 1.0, "{}", capacity.target);
        capacity.probed(Outcome::Carried(500_000.0), ms(200));
        assert!((capacity.target - 607_000.0 * AIM).abs() < 1.0, "less than is known is no news");
        let aim = capacity.target;
        for (rate, at, expected) in [
            (1_700_000.0, 300, aim),
            (600_000.0, 600, aim),
            (1_700_000.0, 900, aim),
            (1_400_000.0, 7_000, aim),
            (1_500_000.0, 7_300, 1_400_000.0),
        ] {
            capacity.probed(Outcome::Carried(rate), ms(at));
            assert_eq!(capacity.target, expected, "{rate} at {at}");
        }
    }

    #[test]
    fn above_what_the_link_carried_only_a_probe_leads() {
        let mut capacity = Capacity::new(900_000.0, ms(0));
        capacity.probed(Outcome::Saturated(1_000_000.0), ms(0));
        for at in 1..100 {
            capacity.calm(&seen(940_000.0, 0.0), ms(5_000 + at * 100));
        }
        assert_eq!(capacity.target, 920_000.0);
        capacity.probed(Outcome::Carried(1_800_000.0), ms(20_000));
        assert_eq!(capacity.target, 920_000.0, "once may be chance");
        capacity.probed(Outcome::Carried(1_900_000.0), ms(20_300));
        assert_eq!(capacity.target, 1_800_000.0);
    }
}

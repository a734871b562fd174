//! Whether the delay rises: a line through the smoothed delays of the last groups, against a threshold that adapts
//! (draft-ietf-rmcat-gcc-02 §5.3 to §5.5, with a line in place of the filter as libwebrtc has it).

use arrayvec::ArrayVec;

use crate::grouping::Step;

/// Groups that the line goes through.
const WINDOW: usize = 20;
/// Weight of the past in the smoothed delay.
const SMOOTHING: f64 = 0.9;
/// What the slope is multiplied by before it is compared, with the number of groups seen.
const GAIN: f64 = 4.0;
/// No more groups than this count for the comparison.
const GROUPS_MAX: u32 = 60;
/// The threshold, in milliseconds: where it starts, and its bounds.
const THRESHOLD_START: f64 = 12.5;
const THRESHOLD_MIN: f64 = 6.0;
const THRESHOLD_MAX: f64 = 600.0;
/// Gains of the threshold per millisecond, upwards and downwards.
const THRESHOLD_UP: f64 = 0.008_7;
const THRESHOLD_DOWN: f64 = 0.039;
/// A trend so far beyond the threshold does not move it: a sudden drop of capacity must not be learnt as normal.
const ADAPT_MAX: f64 = 15.0;
/// Longest time between two groups that the threshold adapts for.
const ADAPT_MS_MAX: f64 = 100.0;
/// Overuse must last so long.
const OVERUSE_MS: f64 = 10.0;

/// What the link is taken to suffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Usage {
    #[default]
    Normal,
    /// The queue grows.
    Over,
    /// It drains.
    Under,
}

/// The detector.
#[derive(Debug)]
pub(crate) struct Trendline {
    /// (arrival, smoothed delay) in milliseconds from the first arrival.
    points: ArrayVec<(f64, f64), WINDOW>,
    first_arrival_ms: Option<f64>,
    accumulated: f64,
    smoothed: f64,
    groups: u32,
    threshold: f64,
    previous_trend: f64,
    over_ms: f64,
    over_count: u32,
    last_arrival_ms: f64,
    usage: Usage,
}

impl Trendline {
    pub(crate) fn new() -> Trendline {
        Trendline {
            points: ArrayVec::new(),
            first_arrival_ms: None,
            accumulated: 0.0,
            smoothed: 0.0,
            groups: 0,
            threshold: THRESHOLD_START,
            previous_trend: 0.0,
            over_ms: 0.0,
            over_count: 0,
            last_arrival_ms: 0.0,
            usage: Usage::Normal,
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    pub(crate) fn note(&mut self, step: &Step) {
        let first = *self.first_arrival_ms.get_or_insert(step.arrival_ms);
        self.groups = (self.groups + 1).min(GROUPS_MAX);
        self.accumulated += step.arrived_ms - step.sent_ms;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        if self.points.is_full() {
            self.points.remove(0);
        }
        self.points.push((step.arrival_ms - first, self.smoothed));
        if let Some(slope) = self.slope() {
            self.judge(slope, step);
        }
    }

    /// Of the least-squares line; `None` until the window is full.
    fn slope(&self) -> Option<f64> {
        if !self.points.is_full() {
            return None;
        }
        let count = self.points.len() as f64;
        let (sum_x, sum_y) =
            self.points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        let (mean_x, mean_y) = (sum_x / count, sum_y / count);
        let (mut numerator, mut denominator) = (0.0, 0.0);
        for (x, y) in &self.points {
            numerator += (x - mean_x) * (y - mean_y);
            denominator += (x - mean_x) * (x - mean_x);
        }
        (denominator > 0.0).then(|| numerator / denominator)
    }

    fn judge(&mut self, slope: f64, step: &Step) {
        let trend = f64::from(self.groups) * slope * GAIN;
        if trend > self.threshold {
            self.over_ms += step.sent_ms;
            self.over_count += 1;
            if self.over_ms > OVERUSE_MS && self.over_count > 1 && slope >= self.previous_trend {
                (self.over_ms, self.over_count) = (0.0, 0);
                self.usage = Usage::Over;
            }
        } else {
            (self.over_ms, self.over_count) = (0.0, 0);
            self.usage = if trend < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.previous_trend = slope;
        self.adapt(trend, step.arrival_ms);
    }

    fn adapt(&mut self, trend: f64, arrival_ms: f64) {
        let elapsed = (arrival_ms - self.last_arrival_ms).clamp(0.0, ADAPT_MS_MAX);
        self.last_arrival_ms = arrival_ms;
        if trend.abs() > self.threshold + ADAPT_MAX {
            return;
        }
        let gain = if trend.abs() < self.threshold { THRESHOLD_DOWN } else { THRESHOLD_UP };
        self.threshold += gain * (trend.abs() - self.threshold) * elapsed;
        self.threshold = self.threshold.clamp(THRESHOLD_MIN, THRESHOLD_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups each 20 ms whose delay changes by `change_ms` each.
    fn run(trendline: &mut Trendline, from: &mut f64, groups: usize, change_ms: f64) -> Vec<Usage> {
        (0..groups)
            .map(|_| {
                *from += 20.0 + change_ms;
                trendline.note(&Step { sent_ms: 20.0, arrived_ms: 20.0 + change_ms, arrival_ms: *from });
                trendline.usage()
            })
            .collect()
    }

    #[test]
    fn a_rising_delay_is_overuse_and_a_falling_one_underuse() {
        let mut trendline = Trendline::new();
        let mut at = 0.0;
        assert!(run(&mut trendline, &mut at, 100, 0.0).iter().all(|usage| *usage == Usage::Normal));
        let rising = run(&mut trendline, &mut at, 30, 4.0);
        let after = rising.iter().position(|usage| *usage == Usage::Over).expect("seen");
        assert!(after <= 10, "{after} groups");
        let falling = run(&mut trendline, &mut at, 60, -4.0);
        assert!(falling.contains(&Usage::Under));
        assert_eq!(run(&mut trendline, &mut at, 60, 0.0).last(), Some(&Usage::Normal));
    }

    #[test]
    fn jitter_without_a_trend_is_normal() {
        let mut trendline = Trendline::new();
        let mut at = 0.0;
        for round in 0..200 {
            let change = [3.0, -5.0, 6.0, -4.0][round % 4];
            let usage = run(&mut trendline, &mut at, 1, change);
            assert_ne!(usage[0], Usage::Over, "round {round}");
        }
    }
}

//! All plans under some seeds as one object, with what is asked of them and does not hold.

use serde_json::{Value, json};

use crate::plans::{self, Lossy, Mixed, Slow, Steady, StepDown};
use crate::seen;

/// Links of [`plans::slow_link`], kilobits per second. The first carries no picture at all beside the voice.
const SLOW_LINKS: [u64; 4] = [150, 200, 250, 300];
/// Changes of layer over which sound and picture are to stay together.
const SWITCHES: usize = 20;

/// What is asked and does not hold, a line each.
#[derive(Default)]
struct Breaches(Vec<String>);

impl Breaches {
    fn at_most(&mut self, seed: u64, what: &str, value: f64, most: f64) {
        if value > most {
            self.0.push(format!("seed {seed}: {what} {value:.2} exceeds {most}"));
        }
    }

    fn at_least(&mut self, seed: u64, what: &str, value: f64, least: f64) {
        if value < least {
            self.0.push(format!("seed {seed}: {what} {value:.2} is below {least}"));
        }
    }
}

/// All figures as the object that `scripts/bench quality --json` writes: medians over the seeds, and of what must not happen the
/// worst.
pub fn all(seeds: &[u64], quick: bool) -> Value {
    let seconds = if quick { 60 } else { 180 };
    let breaches = &mut Breaches::default();
    let loss: serde_json::Map<String, Value> = [(5.0, 0.1), (10.0, 0.5), (20.0, 3.0)]
        .into_iter()
        .map(|(percent, most)| (format!("{percent:.0}"), loss(percent, most, seeds, seconds, breaches)))
        .collect();
    json!({
        "step_down": step_down(seeds, breaches),
        "steady": steady(seeds, seconds, breaches),
        "loss": loss,
        "mixed_links": mixed_links(seeds, breaches),
        "slow_links": slow_links(seeds, breaches),
        "lip_sync_drift_ms_max": lip_sync(seeds, breaches),
        "beside_liars": beside_liars(seeds, breaches),
        "seeds": seeds,
        "breaches": breaches.0,
    })
}

fn step_down(seeds: &[u64], breaches: &mut Breaches) -> Value {
    let runs: Vec<StepDown> = seeds.iter().map(|seed| plans::step_down(*seed)).collect();
    for (run, seed) in runs.iter().zip(seeds) {
        breaches.at_most(*seed, "queue below 100 ms after s", run.queue_drained_after_s, 2.0);
        // The picture that a link of 600 kbit/s carries beside a voice.
        breaches.at_least(*seed, "encoding on the low link", step_encoding(run), 1.0);
        breaches.at_most(*seed, "overshoot %", run.overshoot_pct, 20.0);
        breaches.at_most(*seed, "full layer again after s", run.full_layer_again_after_s, 10.0);
    }
    let (drained, over, full): (Of<StepDown>, Of<StepDown>, Of<StepDown>) =
        (|run| run.queue_drained_after_s, |run| run.overshoot_pct, |run| run.full_layer_again_after_s);
    json!({
        "queue_below_100ms_after_s": median(&runs, drained),
        "queue_below_100ms_after_s_worst": worst(&runs, drained),
        "overshoot_pct": median(&runs, over),
        "overshoot_pct_worst": worst(&runs, over),
        "queue_last_above_100ms_s": median(&runs, |run| run.queue_last_above_100ms_s),
        "low_utilisation_pct": median(&runs, |run| run.low_utilisation_pct),
        "full_layer_again_after_s": median(&runs, full),
        "full_layer_again_after_s_worst": worst(&runs, full),
    })
}

fn step_encoding(run: &StepDown) -> f64 {
    run.low_encoding.map_or(-1.0, f64::from)
}

fn steady(seeds: &[u64], seconds: u32, breaches: &mut Breaches) -> Value {
    let runs: Vec<Steady> = seeds.iter().map(|seed| plans::steady(*seed, seconds)).collect();
    for (run, seed) in runs.iter().zip(seeds) {
        breaches.at_least(*seed, "steady: used %", run.utilisation_pct, 85.0);
        breaches.at_most(*seed, "steady: layer changes a minute", run.layer_changes_per_minute, 1.0);
        breaches.at_most(*seed, "steady: freezes", run.freezes as f64, 0.0);
    }
    json!({
        "utilisation_pct": median(&runs, |run| run.utilisation_pct),
        "utilisation_pct_worst": runs.iter().map(|run| run.utilisation_pct).fold(f64::INFINITY, f64::min),
        "layer_changes_per_minute": median(&runs, |run| run.layer_changes_per_minute),
        "layer_changes_per_minute_worst": worst(&runs, |run| run.layer_changes_per_minute),
        "freezes": runs.iter().map(|run| run.freezes).max(),
    })
}

/// The same seeds with repair and without.
fn loss(percent: f64, most: f64, seeds: &[u64], seconds: u32, breaches: &mut Breaches) -> Value {
    let runs = |repairs| -> Vec<Lossy> {
        seeds.iter().map(|seed| plans::lossy(*seed, percent, repairs, seconds)).collect()
    };
    let (repaired, bare) = (runs(true), runs(false));
    for (run, seed) in repaired.iter().zip(seeds) {
        breaches.at_most(*seed, &format!("{percent}% lost: audio lost %"), run.audio_lost_pct, most);
    }
    json!({
        "audio_lost_pct": median(&repaired, |run| run.audio_lost_pct),
        "audio_lost_pct_worst": worst(&repaired, |run| run.audio_lost_pct),
        "video_freezes_per_minute": median(&repaired, |run| run.video_freezes_per_minute),
        "longest_freeze_s": median(&repaired, |run| run.longest_freeze_s),
        "longest_freeze_s_worst": worst(&repaired, |run| run.longest_freeze_s),
        "frozen_pct": median(&repaired, |run| run.frozen_pct),
        "frozen_pct_without_repair": median(&bare, |run| run.frozen_pct),
        "audio_lost_pct_without_repair": median(&bare, |run| run.audio_lost_pct),
        "video_freezes_per_minute_without_repair": median(&bare, |run| run.video_freezes_per_minute),
        "longest_freeze_s_without_repair": median(&bare, |run| run.longest_freeze_s),
    })
}

/// A row for each link: what it got under the first seed, and the least under any.
fn mixed_links(seeds: &[u64], breaches: &mut Breaches) -> Value {
    let runs: Vec<Vec<Mixed>> = seeds.iter().map(|seed| plans::mixed_links(*seed)).collect();
    for (run, seed) in runs.iter().zip(seeds) {
        for row in run {
            let what = format!("height over {} kbit/s", row.link_kbps);
            breaches.at_least(*seed, &what, f64::from(row.got_height), f64::from(row.best_possible_height));
        }
    }
    let rows = runs[0].iter().enumerate().map(|(at, row)| {
        json!({
            "link_kbps": row.link_kbps,
            "tile_height": row.tile_height,
            "got_height": row.got_height,
            "got_height_least": runs.iter().map(|run| run[at].got_height).min(),
            "best_possible_height": row.best_possible_height,
        })
    });
    Value::Array(rows.collect())
}

fn slow_links(seeds: &[u64], breaches: &mut Breaches) -> Value {
    let row = |kbps: u64| {
        let runs: Vec<Slow> = seeds.iter().map(|seed| plans::slow_link(*seed, kbps)).collect();
        for (run, seed) in runs.iter().zip(seeds) {
            let what = |quantity: &str| format!("{kbps} kbit/s: {quantity}");
            if kbps > SLOW_LINKS[0] {
                breaches.at_most(*seed, &what("frozen %"), run.frozen_pct, 5.0);
                breaches.at_most(*seed, &what("audio lost %"), run.audio_lost_pct, 1.0);
            }
        }
        json!({
            "link_kbps": kbps,
            "frozen_pct": median(&runs, |run| run.frozen_pct),
            "frozen_pct_worst": worst(&runs, |run| run.frozen_pct),
            "audio_lost_pct": median(&runs, |run| run.audio_lost_pct),
            "audio_lost_pct_worst": worst(&runs, |run| run.audio_lost_pct),
        })
    };
    SLOW_LINKS.into_iter().map(row).collect()
}

fn lip_sync(seeds: &[u64], breaches: &mut Breaches) -> f64 {
    let drift = |seed: &u64| {
        let drift = plans::lip_sync(*seed, SWITCHES);
        breaches.at_most(*seed, "lip-sync drift ms", drift, 40.0);
        drift
    };
    seeds.iter().map(drift).fold(0.0, f64::max)
}

/// What an honest receiver has beside each liar: full height, and no freeze.
fn beside_liars(seeds: &[u64], breaches: &mut Breaches) -> Value {
    let mut row = |(number, clock)| {
        let (mut least, mut most, mut counted) = (u16::MAX, 0, 0);
        for seed in seeds {
            let (shown, freezes, unusable) = plans::beside_a_liar(*seed, clock);
            let height = shown.map_or(0, |encoding| 180 << encoding);
            breaches.at_least(*seed, "height beside a liar", f64::from(height), 720.0);
            breaches.at_most(*seed, "freezes beside a liar", freezes as f64, 0.0);
            (least, most, counted) = (least.min(height), most.max(freezes), counted.max(unusable));
        }
        json!({ "clock": number, "height_least": least, "freezes": most, "unusable_feedback": counted })
    };
    plans::CLOCKS.into_iter().enumerate().map(&mut row).collect()
}

type Of<T> = fn(&T) -> f64;

fn median<T>(runs: &[T], of: Of<T>) -> Option<f64> {
    seen::median(runs.iter().map(of))
}

fn worst<T>(runs: &[T], of: Of<T>) -> f64 {
    runs.iter().map(of).fold(0.0, f64::max)
}

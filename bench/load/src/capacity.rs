//! How many seats a host carries: a workload grows until packets are lost or late, then the edge is searched.

use serde_json::{Value, json};

use crate::peer::PeerError;
use crate::profile::Shape;
use crate::progress::Progress;
use crate::run::Outcome;
use crate::tally::Count;

/// When a step has failed.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Highest 99th percentile of the delay, µs.
    pub p99_us: u64,
    /// Highest share of packets lost, in percent.
    pub loss_percent: f64,
}

/// Why a step was not passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was.
    Carried,
    /// The server is over its bounds.
    Over(String),
    /// The generator was: nothing is known of the server.
    Limited(String),
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Rooms or participants.
    pub size: usize,
    /// Endpoints.
    pub seats: usize,
    /// What came of it.
    pub verdict: Verdict,
    /// Its figures, unless nobody got in.
    pub outcome: Option<Outcome>,
}

/// Judges a run.
pub fn judge(outcome: &Outcome, bounds: Bounds) -> Verdict {
    if !outcome.limited.is_empty() {
        return Verdict::Limited(outcome.limited.join("; "));
    }
    if outcome.connected < outcome.endpoints {
        return Verdict::Over(format!("{} endpoints did not get in", outcome.endpoints - outcome.connected));
    }
    let counters = &outcome.counters;
    let expected = (counters[Count::Received] + counters[Count::Lost]).max(1);
    let loss = counters[Count::Lost] as f64 * 100.0 / expected as f64;
    if loss > bounds.loss_percent {
        return Verdict::Over(format!("{loss:.3}% lost"));
    }
    let p99 = outcome.delays.experienced().value_at_quantile(0.99);
    if p99 > bounds.p99_us {
        return Verdict::Over(format!("99th percentile of the delay {p99} us"));
    }
    let missing: u64 = outcome.streams.iter().map(|(live, expected)| expected.saturating_sub(*live)).sum();
    if missing > 0 {
        return Verdict::Over(format!("{missing} streams did not flow"));
    }
    Verdict::Carried
}

/// Doubles from `from` until a step fails, then halves the gap until it is a tenth. All steps, in order.
///
/// # Errors
/// If the first step fails for another reason than load.
pub fn search(
    shape: &Shape,
    from: usize,
    progress: &mut Progress,
    mut step: impl FnMut(&Shape, &mut Progress) -> Result<(Verdict, Option<Outcome>), PeerError>,
) -> Result<Vec<Step>, PeerError> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut carried, mut failed): (usize, Option<usize>) = (0, None);
    let mut size = from.max(1);
    while steps.len() < STEPS_MAX && !crate::run::INTERRUPTED.load(std::sync::atomic::Ordering::Relaxed) {
        let sized = shape.sized(size);
        let seats = sized.rooms * sized.participants;
        let (verdict, outcome) = match step(&sized, progress) {
            Ok(result) => result,
            Err(error) if carried == 0 => return Err(error),
            Err(error) => (Verdict::Over(error.0), None),
        };
        progress.say(&format!("{seats:6} seats: {}", said(&verdict, outcome.as_ref())));
        let over = verdict != Verdict::Carried;
        steps.push(Step { size, seats, verdict, outcome });
        if over {
            failed = Some(size);
        } else {
            carried = size;
        }
        size = match failed {
            None => size * 2,
            Some(failed) if failed <= carried + (carried / 10).max(1) => break,
            Some(failed) if carried == 0 => match failed / 2 {
                0 => break,
                half => half,
            },
            Some(failed) => (carried + failed) / 2,
        };
        if shape.grows == crate::profile::Grows::Participants && size < 2 {
            break;
        }
    }
    Ok(steps)
}

fn said(verdict: &Verdict, outcome: Option<&Outcome>) -> String {
    let figures = outcome.map_or(String::new(), |outcome| {
        let counters = &outcome.counters;
        let server = outcome.server.map_or(0.0, |(_, usage)| usage.cpu_seconds / outcome.seconds.max(0.001));
        format!(
            " ({:.1} kpps forwarded, p99 {} us, server {:.2} cores)",
            counters[Count::Received] as f64 / outcome.seconds.max(0.001) / 1e3,
            outcome.delays.experienced().value_at_quantile(0.99),
            server
        )
    });
    match verdict {
        Verdict::Carried => format!("carried{figures}"),
        Verdict::Over(why) => format!("over: {why}{figures}"),
        Verdict::Limited(why) => format!("the GENERATOR was the bottleneck: {why}{figures}"),
    }
}

/// The result in a sentence.
pub fn summary(shape: &Shape, steps: &[Step]) -> String {
    let best = steps.iter().filter(|step| step.verdict == Verdict::Carried).max_by_key(|step| step.seats);
    let next = steps.iter().filter(|step| step.verdict != Verdict::Carried).min_by_key(|step| step.seats);
    let carried = match best {
        Some(step) => format!("{}: {} seats", shape.name, step.seats),
        None => format!("{}: not even the first step was carried", shape.name),
    };
    match next {
        Some(Step { seats, verdict: Verdict::Limited(why), .. }) => format!(
            "{carried} AT LEAST: at {seats} the generator was the bottleneck ({why}); give it more cores (--threads, --cores)"
        ),
        Some(Step { seats, verdict: Verdict::Over(why), .. }) => format!("{carried}; at {seats}: {why}"),
        _ => format!("{carried} at least; the search ended there"),
    }
}

/// All steps for programs.
pub fn json(shape: &Shape, steps: &[Step]) -> Value {
    let best = steps.iter().filter(|step| step.verdict == Verdict::Carried).map(|step| step.seats).max();
    json!({
        "profile": shape.name,
        "seats": best,
        "steps": steps.iter().map(|step| {
            let (verdict, reason) = match &step.verdict {
                Verdict::Carried => ("carried", None),
                Verdict::Over(why) => ("over", Some(why)),
                Verdict::Limited(why) => ("generator", Some(why)),
            };
            json!({ "size": step.size, "seats": step.seats, "verdict": verdict, "reason": reason,
                "run": step.outcome.as_ref().map(crate::report::json) })
        }).collect::<Vec<_>>(),
    })
}

/// Enough for any doubling and its search.
const STEPS_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(limit: usize, from: usize) -> (Vec<usize>, String) {
        let shape = Shape::named("B2").unwrap();
        let steps = search(&shape, from, &mut Progress::new(true), |shape, _| {
            let over = shape.rooms > limit;
            Ok((if over { Verdict::Over("lost".into()) } else { Verdict::Carried }, None))
        });
        let steps = steps.unwrap();
        (steps.iter().map(|step| step.size).collect(), summary(&shape, &steps))
    }

    #[test]
    fn the_edge_is_found_to_a_tenth() {
        for limit in [1, 7, 100, 1_234] {
            for from in [1, 12, 64] {
                let (sizes, _) = found(limit, from);
                let best = sizes.iter().copied().filter(|size| *size <= limit).max().unwrap_or(0);
                let worst = sizes.iter().copied().filter(|size| *size > limit).min().unwrap();
                assert!(worst - best <= (best / 10).max(1), "{limit} from {from}: {sizes:?}");
            }
        }
        assert!(found(100, 12).1.contains("seats; at"));
    }

    #[test]
    fn a_generator_at_its_end_is_not_taken_for_the_server() {
        let shape = Shape::named("B2").unwrap();
        let steps = search(&shape, 2, &mut Progress::new(true), |shape, _| {
            let limited = Verdict::Limited("busy".into());
            Ok((if shape.rooms > 4 { limited } else { Verdict::Carried }, None))
        });
        let summary = summary(&shape, &steps.unwrap());
        assert!(summary.contains("20 seats AT LEAST"), "{summary}");
    }
}

//! Our estimator beside a foreign one (str0m's, in the lineage of libwebrtc's) on the same links: in both cases a sender whose
//! encoder follows the estimate, and a receiver that gives transport-wide feedback.

mod ours;
mod theirs;

use contract::{Duration, Timestamp};
use serde_json::{Value, json};
use sim::link::{Link, Parcel};
use sim::network::To;
use sim::{Chance, LinkSpec};

/// Bits per second that the encoder makes at most.
pub const WANTED: u64 = 2_500_000;

/// A sender and its receiver, with everything between them but the link.
pub trait Pair {
    /// Bits per second that the sender may send by its estimate.
    fn target(&self) -> u64;
    /// The encoder made a packet.
    fn write(&mut self, bytes: usize, now: Timestamp);
    /// Let the sender and the receiver do what is due; datagrams for the link.
    fn step(&mut self, now: Timestamp) -> Vec<Vec<u8>>;
    /// A datagram came over the link. Bytes of the encoder's that it brought, neither padding nor repeated.
    fn arrive(&mut self, datagram: &[u8], now: Timestamp) -> usize;
    /// Media may flow.
    fn is_ready(&self) -> bool;
}

/// What happens to a link.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Its name.
    pub name: &'static str,
    /// From these seconds on.
    pub phases: Vec<(u64, LinkSpec)>,
    /// Seconds.
    pub length: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The encoder's bytes that arrived, of what link and encoder allow, from second 5 on, per cent.
    pub utilisation_pct: f64,
    /// Of the packets that entered the link from second 5 on.
    pub queue_p95_ms: f64,
    /// Seconds from the first fall of capacity until the queue stayed below 100 ms for a whole second.
    pub drained_after_s: Option<f64>,
    /// Seconds from the last rise of capacity to the first second with 85% of what is possible; infinite for never.
    pub recovered_after_s: Option<f64>,
}

/// The links that both are put on.
pub fn traces() -> Vec<Trace> {
    let of = LinkSpec::of_rate;
    let lossy = |loss| LinkSpec { loss, ..of(2_000_000) };
    let jitter = Duration::from_millis(60);
    vec![
        Trace {
            name: "2.5, 0.6, 2.5 Mbit/s",
            phases: vec![(0, of(2_500_000)), (20, of(600_000)), (50, of(2_500_000))],
            length: 80,
        },
        Trace {
            name: "1.0, 2.5, 0.6, 1.0 Mbit/s (N7)",
            phases: vec![(0, of(1_000_000)), (40, of(2_500_000)), (60, of(600_000)), (80, of(1_000_000))],
            length: 110,
        },
        Trace { name: "1 Mbit/s", phases: vec![(0, of(1_000_000))], length: 60 },
        Trace { name: "200 kbit/s", phases: vec![(0, of(200_000))], length: 60 },
        Trace {
            name: "2.5 Mbit/s, 1.5 of it a stranger's for 30 s",
            phases: vec![
                (0, of(2_500_000)),
                (20, LinkSpec { cross: 1_500_000, ..of(2_500_000) }),
                (50, of(2_500_000)),
            ],
            length: 80,
        },
        Trace { name: "2 Mbit/s, 5% lost", phases: vec![(0, lossy(0.05))], length: 60 },
        Trace { name: "2 Mbit/s, 10% lost", phases: vec![(0, lossy(0.10))], length: 60 },
        Trace {
            name: "2 Mbit/s, 0 to 60 ms of jitter",
            phases: vec![(0, LinkSpec { jitter, delay: Duration::from_millis(20), ..of(2_000_000) })],
            length: 60,
        },
    ]
}

/// Ours and theirs on one trace.
pub fn compare(trace: &Trace, seed: u64) -> [(&'static str, Outcome); 2] {
    [
        ("ours", run(&mut ours::Ours::new(), trace, seed)),
        ("str0m", run(&mut theirs::Theirs::new(), trace, seed)),
    ]
}

/// Medians over seeds, a row for each trace and estimator.
pub fn all(seeds: &[u64]) -> Value {
    let mut rows = Vec::new();
    for trace in traces() {
        let runs: Vec<_> = seeds.iter().map(|seed| compare(&trace, *seed)).collect();
        for which in 0..2 {
            let median = |of: &dyn Fn(&Outcome) -> Option<f64>| {
                crate::seen::median(runs.iter().filter_map(|pair| of(&pair[which].1)))
            };
            rows.push(json!({
                "trace": trace.name,
                "estimator": runs[0][which].0,
                "utilisation_pct": median(&|run| Some(run.utilisation_pct)),
                "queue_p95_ms": median(&|run| Some(run.queue_p95_ms)),
                "drained_after_s": median(&|run| run.drained_after_s),
                "recovered_after_s": median(&|run| run.recovered_after_s),
            }));
        }
    }
    Value::Array(rows)
}

/// A pair on a trace.
pub fn run(pair: &mut dyn Pair, trace: &Trace, seed: u64) -> Outcome {
    let mut chance = Chance::new(seed);
    let mut now = Timestamp::from_millis(1_000);
    let to = To::Client(([10, 0, 0, 2], 2).into());
    // Until they are connected the link is not there.
    while !pair.is_ready() {
        now = now + STEP;
        for datagram in pair.step(now) {
            pair.arrive(&datagram, now);
        }
        assert!(now < Timestamp::from_millis(60_000), "they do not connect");
    }
    let began = now;
    let mut link = Link::new(trace.phases[0].1, now);
    let mut under_way = std::collections::BTreeMap::new();
    let (mut number, mut next_frame) = (0u64, now);
    let mut arrived = Vec::new();
    let at = |seconds: u64| began + Duration::from_secs(seconds);
    let mut coming = trace.phases[1..].iter();
    let mut next_phase = coming.next();
    while now < at(trace.length) {
        now = now + STEP;
        if let Some((second, spec)) = next_phase.filter(|(second, _)| at(*second) <= now) {
            let _ = second;
            link.set(*spec, now);
            next_phase = coming.next();
        }
        if next_frame <= now {
            next_frame = next_frame + FRAME;
            for bytes in frame(pair.target(), &mut chance) {
                pair.write(bytes, now);
            }
        }
        for bytes in pair.step(now) {
            link.send(Parcel { to, bytes }, now, &mut chance);
        }
        for (arrival, parcel) in link.advance(now, &mut chance) {
            number += 1;
            under_way.insert((arrival, number), parcel.bytes);
        }
        while let Some(first) = under_way.first_entry().filter(|first| first.key().0 <= now) {
            let bytes = pair.arrive(&first.remove(), now);
            arrived.push((now, bytes));
        }
    }
    outcome(trace, began, &link, &arrived)
}

/// Packets of the next frame, of an encoder that keeps a little below what it may.
fn frame(target: u64, chance: &mut Chance) -> Vec<usize> {
    let rate = (target as f64 * 0.95).min(WANTED as f64);
    let noise = 0.75 + chance.below(1_000) as f64 / 2_000.0;
    let bytes = (rate / 8.0 * FRAME.as_secs_f64() * noise) as usize;
    let packets = bytes.div_ceil(1_100).max(1);
    vec![(bytes / packets).max(60); packets]
}

fn outcome(trace: &Trace, began: Timestamp, link: &Link, arrived: &[(Timestamp, usize)]) -> Outcome {
    let second = |at: Timestamp| at.since(began).as_secs_f64();
    let possible = |spec: &LinkSpec| {
        let free = spec.rate.saturating_sub(spec.cross) as f64 * (1.0 - spec.loss);
        free.min(WANTED as f64)
    };
    let (mut allowed, mut waits) = (0.0, Vec::new());
    for whole in SETTLED..trace.length {
        let spec = trace.phases.iter().rev().find(|(from, _)| *from <= whole).map(|(_, spec)| spec);
        allowed += possible(spec.expect("the first phase begins at 0"));
    }
    let got: usize =
        arrived.iter().filter(|(at, _)| second(*at) >= SETTLED as f64).map(|(_, bytes)| *bytes).sum();
    let own = || link.entries.iter().filter(|entry| entry.own);
    waits.extend(own().filter(|entry| second(entry.at) >= SETTLED as f64).map(|entry| entry.wait));
    waits.sort_unstable();
    let p95 = waits.get(waits.len() * 95 / 100).copied().unwrap_or_default();
    let changes: Vec<(u64, u64, bool)> = trace
        .phases
        .windows(2)
        .enumerate()
        .map(|(number, pair)| {
            let end = trace.phases.get(number + 2).map_or(trace.length, |next| next.0);
            (pair[1].0, end, possible(&pair[1].1) < possible(&pair[0].1))
        })
        .collect();
    let drained = changes.iter().find(|(_, _, falls)| *falls).map(|(from, end, _)| {
        let late: Vec<f64> = own()
            .filter(|entry| entry.wait > Duration::from_millis(100))
            .map(|entry| second(entry.at) - *from as f64)
            .filter(|at| (0.0..(end - from) as f64).contains(at))
            .collect();
        crate::seen::drained_after_s(late)
    });
    let recovered = changes.iter().rev().find(|(_, _, falls)| !*falls).map(|(from, end, _)| {
        let spec = &trace.phases.iter().find(|(at, _)| at == from).expect("it is one of them").1;
        let wanted = possible(spec) / 8.0 * 0.85;
        let full = (*from * 10..*end * 10).map(|tenth| tenth as f64 / 10.0).find(|from| {
            let inside = arrived.iter().filter(|(at, _)| (*from..*from + 1.0).contains(&second(*at)));
            inside.map(|(_, bytes)| *bytes).sum::<usize>() as f64 >= wanted
        });
        full.map_or(f64::INFINITY, |at| at - *from as f64)
    });
    Outcome {
        utilisation_pct: 100.0 * got as f64 * 8.0 / allowed,
        queue_p95_ms: p95.as_secs_f64() * 1_000.0,
        drained_after_s: drained,
        recovered_after_s: recovered,
    }
}

/// The clock goes on by this much.
const STEP: Duration = Duration::from_micros(500);
/// Between two frames.
const FRAME: Duration = Duration::from_micros(33_333);
/// Seconds that both have to find their feet.
const SETTLED: u64 = 5;
/// One way back, with the feedback.
const BACK: Duration = Duration::from_millis(40);

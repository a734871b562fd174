//! Networks N0 to N11 by name (hardening profiles): one sender on stage, one receiver behind each network, and what must hold.

use contract::{Duration, Report, Timestamp};
use serde_json::{Value, json};
use sim::LinkSpec;

use crate::meeting::{CAMERA, Meeting};
use crate::seen;

/// What came of one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Per cent of audio frames that came neither themselves nor by redundancy.
    pub audio_lost_pct: f64,
    /// Per cent of the time in which the picture stood for more than half a second.
    pub frozen_pct: f64,
    /// Seconds.
    pub longest_freeze_s: f64,
    /// Seconds after a fall of capacity until the queue stayed below 100 ms for a second; the worst of all falls.
    pub queue_below_100ms_after_s: f64,
    /// What is sent of what the link carries, from ten seconds after each change on, the busiest phase, per cent.
    pub sent_of_capacity_pct: f64,
    /// Seconds from the end of an outage to the next picture; the worst of all.
    pub picture_after_outage_s: f64,
    /// Endpoints that were given up.
    pub lost_endpoints: usize,
}

/// All of them with their names, in order.
pub const NAMES: [&str; 12] = ["N0", "N1", "N2", "N3", "N4", "N5", "N6", "N7", "N8", "N9", "N10", "N11"];

/// A profile under a seed.
pub fn run(name: &str, seed: u64) -> Figures {
    let ms = Duration::from_millis;
    let fast = LinkSpec { delay: ms(10), ..LinkSpec::of_rate(10_000_000) };
    let lossy = |loss, round_trip: u64| LinkSpec { loss, delay: ms(round_trip / 2), ..fast };
    match name {
        "N0" => steady(fast, seed),
        "N1" => steady(lossy(0.01, 40), seed),
        "N2" => steady(lossy(0.05, 100), seed),
        "N3" => steady(lossy(0.10, 100), seed),
        "N4" => steady(lossy(0.20, 200), seed),
        "N5" => steady(LinkSpec { burst: 8.0, ..lossy(0.05, 100) }, seed),
        "N6" => steady(LinkSpec { delay: ms(0), jitter: ms(60), reordered: 0.05, ..fast }, seed),
        "N7" => capacities(&[(0, 1_000_000), (40, 2_500_000), (60, 600_000), (80, 1_000_000)], 100, seed),
        "N8" => capacities(&[(0, 10_000_000), (10, 500_000)], 60, seed),
        "N9" => outages(&[0.5, 3.0, 10.0, 25.0], seed),
        "N10" => steady(LinkSpec { duplicated: 0.01, corrupted: 0.001, ..fast }, seed),
        "N11" => rebindings(fast, seed),
        _ => unreachable!("{name} is not one of NAMES"),
    }
}

/// What is asked of a profile and does not hold, a line each.
pub fn breaches(name: &str, figures: &Figures) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut hold = |what: &str, value: f64, most: f64| {
        if value > most {
            breaches.push(format!("{name}: {what} {value:.2} exceeds {most}"));
        }
    };
    match name {
        "N0" | "N1" | "N2" => {
            hold("audio lost %", figures.audio_lost_pct, 0.1);
            hold("longest freeze s", figures.longest_freeze_s, 0.5);
        }
        "N3" | "N5" | "N6" => {
            hold("audio lost %", figures.audio_lost_pct, 1.0);
            hold("frozen %", figures.frozen_pct, 1.0);
        }
        "N4" => hold("audio lost %", figures.audio_lost_pct, 5.0),
        "N7" | "N8" => {
            hold("sent of capacity %", figures.sent_of_capacity_pct, 100.0);
            hold("queue below 100 ms after s", figures.queue_below_100ms_after_s, 5.0);
        }
        _ => {}
    }
    hold("endpoints lost", figures.lost_endpoints as f64, 0.0);
    breaches
}

/// Medians over seeds, a row for each profile, and how many seeds broke what is asked.
pub fn all(seeds: &[u64]) -> Value {
    let row = |name: &&str| {
        let runs: Vec<Figures> = seeds.iter().map(|seed| run(name, *seed)).collect();
        let median = |of: fn(&Figures) -> f64| seen::median(runs.iter().map(of));
        let broken: Vec<String> = runs.iter().flat_map(|figures| breaches(name, figures)).collect();
        json!({
            "profile": name,
            "audio_lost_pct": median(|run| run.audio_lost_pct),
            "frozen_pct": median(|run| run.frozen_pct),
            "longest_freeze_s": median(|run| run.longest_freeze_s),
            "queue_below_100ms_after_s": median(|run| run.queue_below_100ms_after_s),
            "sent_of_capacity_pct": median(|run| run.sent_of_capacity_pct),
            "picture_after_outage_s": median(|run| run.picture_after_outage_s),
            "breaches": broken,
        })
    };
    Value::Array(NAMES.iter().map(row).collect())
}

/// A network that stays as it is for a minute.
fn steady(link: LinkSpec, seed: u64) -> Figures {
    let (mut meeting, receiver) = staged(link, seed);
    meeting.run(SETTLING_S);
    let start = meeting.world.now();
    meeting.run(60.0);
    figures(&meeting, receiver, start)
}

/// Capacities from these seconds on, each way.
fn capacities(phases: &[(u64, u64)], length: u64, seed: u64) -> Figures {
    let of = |rate| LinkSpec { delay: Duration::from_millis(50), ..LinkSpec::of_rate(rate) };
    let (mut meeting, receiver) = staged(of(phases[0].1), seed);
    meeting.world.set_uplink(receiver, of(phases[0].1));
    let began = meeting.world.now();
    let mut changes = vec![began];
    for pair in phases.windows(2) {
        meeting.run((pair[1].0 - pair[0].0) as f64);
        changes.push(meeting.world.now());
        meeting.world.set_link(receiver, of(pair[1].1));
        meeting.world.set_uplink(receiver, of(pair[1].1));
    }
    meeting.run((length - phases.last().expect("there are phases").0) as f64);
    changes.push(meeting.world.now());
    let mut figures = figures(&meeting, receiver, began + Duration::from_secs_f64(SETTLING_S));
    for (number, (_, rate)) in phases.iter().enumerate() {
        let (from, end) = (changes[number], changes[number + 1]);
        let (sent, _) = seen::link_rates(&meeting.world, receiver, &(from + Duration::from_secs(10)..end));
        figures.sent_of_capacity_pct = figures.sent_of_capacity_pct.max(100.0 * sent / *rate as f64);
        if number > 0 && *rate < phases[number - 1].1 {
            let limit = Duration::from_millis(100);
            let until = seen::queue_drained_after_s(&meeting.world, receiver, &(from..end), limit);
            figures.queue_below_100ms_after_s = figures.queue_below_100ms_after_s.max(until);
        }
    }
    figures
}

/// Nothing passes either way for so long, with half a minute between.
fn outages(seconds: &[f64], seed: u64) -> Figures {
    let link = LinkSpec::of_rate(10_000_000);
    let (mut meeting, receiver) = staged(link, seed);
    meeting.world.set_uplink(receiver, link);
    meeting.run(SETTLING_S);
    let (start, mut longest) = (meeting.world.now(), 0.0f64);
    for outage in seconds {
        let dead = LinkSpec { loss: 1.0, ..link };
        meeting.world.set_link(receiver, dead);
        meeting.world.set_uplink(receiver, dead);
        meeting.run(*outage);
        meeting.world.set_link(receiver, link);
        meeting.world.set_uplink(receiver, link);
        let back = meeting.world.now();
        meeting.run(30.0);
        longest = longest.max(seen::picture_after_s(&meeting.world.clients[receiver], STAGED, back));
    }
    Figures { picture_after_outage_s: longest, ..figures(&meeting, receiver, start) }
}

/// The translator in front of the receiver forgets it three times.
fn rebindings(link: LinkSpec, seed: u64) -> Figures {
    let (mut meeting, receiver) = staged(link, seed);
    meeting.run(SETTLING_S);
    let (start, mut longest) = (meeting.world.now(), 0.0f64);
    for _ in 0..3 {
        let at = meeting.world.now();
        meeting.world.rebind(receiver);
        meeting.run(30.0);
        // What was under way still arrives.
        let from = at + Duration::from_millis(100);
        longest = longest.max(seen::picture_after_s(&meeting.world.clients[receiver], STAGED, from));
    }
    Figures { picture_after_outage_s: longest, ..figures(&meeting, receiver, start) }
}

fn staged(link: LinkSpec, seed: u64) -> (Meeting, usize) {
    let mut meeting = Meeting::new(1, CAMERA, seed);
    let receiver = meeting.add_receiver(link, 0, true);
    meeting.stage(receiver, 0, 720);
    (meeting, receiver)
}

fn figures(meeting: &Meeting, receiver: usize, start: Timestamp) -> Figures {
    let span = start..meeting.world.now();
    let client = &meeting.world.clients[receiver];
    let failed =
        meeting.world.reports.iter().filter(|report| matches!(report, Report::TransportFailed { .. }));
    Figures {
        audio_lost_pct: seen::audio_lost(client, VOICE, &span),
        frozen_pct: seen::frozen_pct(client, STAGED, &span),
        longest_freeze_s: seen::freezes(client, &span).1,
        lost_endpoints: failed.count(),
        ..Figures::default()
    }
}

/// The first sender's sources.
const VOICE: u64 = 10;
const STAGED: u64 = 11;
/// Before anything is measured.
const SETTLING_S: f64 = 10.0;

//! What our server takes before anybody speaks: the time from its start to the first accepted join, the memory of the idle
//! process, and that of each endpoint, which receives only or sends too.
//!
//! Memory of an endpoint is the difference between two servers with the same rooms, in which all rooms but for the endpoints
//! in question are alike, divided by their number. Each figure has a server of its own, so that nothing is left of others.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::options::raise_open_files;
use crate::peer::PeerError;
use crate::peers::launch::{Ports, Programs, Server, System};
use crate::profile::Shape;
use crate::progress::Progress;
use crate::run::{INTERRUPTED, Outcome, Settings, run};
use crate::socket::SocketOptions;

/// How it is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where our program is.
    pub programs: Programs,
    /// First of the ports.
    pub ports: Ports,
    /// Starts of which the median is told.
    pub starts: usize,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Footprint {
    /// Milliseconds from executing the program to the first `session-initiate` at a client, of each start, sorted.
    pub start_ms: Vec<f64>,
    /// Resident memory when nobody has come yet.
    pub idle_bytes: u64,
    /// Of endpoints that receive 720p and sound of another and send nothing.
    pub receiving: Growth,
    /// Of endpoints that send 720p simulcast and sound, and receive that of two others.
    pub sending: Growth,
}

/// Memory with fewer and with more endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Endpoints.
    pub endpoints: [usize; 2],
    /// Resident memory.
    pub rss_bytes: [u64; 2],
}

impl Growth {
    /// Bytes that each further endpoint takes.
    pub fn each(&self) -> u64 {
        let more = self.endpoints[1].saturating_sub(self.endpoints[0]).max(1) as u64;
        self.rss_bytes[1].saturating_sub(self.rss_bytes[0]) / more
    }
}

/// Measures.
///
/// # Errors
/// If the server does not start, or not all endpoints get in.
pub fn measure(plan: &Plan, progress: &mut Progress) -> Result<Footprint, PeerError> {
    let mut start_ms = Vec::new();
    for start in 1..=plan.starts.max(1) {
        let took = first_join(plan)?.as_secs_f64() * 1e3;
        progress.say(&format!("start {start}: first accepted join after {took:.1} ms"));
        start_ms.push(took);
    }
    start_ms.sort_unstable_by(f64::total_cmp);
    let idle_bytes = idle(plan)?;
    progress.say(&format!("idle: {:.1} MB", idle_bytes as f64 / 1e6));
    let receiving = growth(plan, ["malleus(10,5,1,1)", "malleus(10,15,1,1)"], progress)?;
    let sending = growth(plan, ["malleus(10,3,3,3)", "malleus(20,3,3,3)"], progress)?;
    Ok(Footprint { start_ms, idle_bytes, receiving, sending })
}

/// From executing the program until one of the first two participants of a room is offered a session.
fn first_join(plan: &Plan) -> Result<Duration, PeerError> {
    let shape = Shape { join_rate: AT_ONCE, ..Shape::named("custom").map_err(PeerError)? };
    let settings = Settings { seconds: 0.1, warm_up: Duration::ZERO, ..settings() };
    let mut server = None;
    let outcome = run(&shape.scenario(), &settings, &mut Progress::new(true), async || {
        let mut started = System::Sluice.execute(&plan.programs, plan.ports, &all_cores())?;
        let peer = started.peer_once_ready().await?;
        server = Some(started);
        Ok(peer)
    })?;
    let (executed, offered) = (server.map(|server| server.executed), outcome.first_offer);
    let took = executed.zip(offered).map(|(executed, offered)| offered.duration_since(executed));
    took.ok_or_else(|| PeerError("no session was offered".into()))
}

fn idle(plan: &Plan) -> Result<u64, PeerError> {
    let server = start(plan)?;
    std::thread::sleep(SETTLE);
    let usage = server.process().usage();
    usage.map(|usage| usage.rss_bytes).ok_or_else(|| PeerError("the idle server ended".into()))
}

fn growth(plan: &Plan, names: [&str; 2], progress: &mut Progress) -> Result<Growth, PeerError> {
    let mut growth = Growth { endpoints: [0; 2], rss_bytes: [0; 2] };
    for (at, name) in names.into_iter().enumerate() {
        let shape = Shape { join_rate: JOIN_RATE, ..Shape::named(name).map_err(PeerError)? };
        let outcome = loaded(plan, &shape)?;
        growth.endpoints[at] = outcome.endpoints;
        growth.rss_bytes[at] = outcome.server.map_or(0, |(_, usage)| usage.rss_bytes);
        let (endpoints, megabytes) = (outcome.endpoints, growth.rss_bytes[at] as f64 / 1e6);
        progress.say(&format!("{name}: {endpoints} endpoints, {megabytes:.1} MB"));
    }
    Ok(growth)
}

/// A server of its own under a workload, all endpoints in and media flowing for a while.
fn loaded(plan: &Plan, shape: &Shape) -> Result<Outcome, PeerError> {
    let scenario = shape.scenario();
    raise_open_files(&scenario).map_err(PeerError)?;
    let server = start(plan)?;
    let settings = Settings { server: Some(server.process()), ..settings() };
    let outcome = run(&scenario, &settings, &mut Progress::new(true), async || server.peer().await)?;
    if outcome.partial || INTERRUPTED.load(Ordering::Relaxed) {
        return Err(PeerError("interrupted".into()));
    }
    if outcome.connected < outcome.endpoints {
        let why: Vec<&str> = outcome.failures.keys().map(String::as_str).collect();
        let (in_it, all) = (outcome.connected, outcome.endpoints);
        return Err(PeerError(format!("{}: {in_it} of {all} got in: {}", shape.name, why.join("; "))));
    }
    Ok(outcome)
}

fn start(plan: &Plan) -> Result<Server, PeerError> {
    System::Sluice.start(&plan.programs, plan.ports, &all_cores())
}

/// The server has all: one media thread on each, as it comes.
fn all_cores() -> Vec<core_affinity::CoreId> {
    core_affinity::get_core_ids().unwrap_or_default()
}

fn settings() -> Settings {
    Settings {
        seconds: 1.0,
        warm_up: SETTLE,
        threads: 1,
        cores: Vec::new(),
        sample: 8,
        spin: false,
        sockets: SocketOptions::default(),
        server: None,
    }
}

/// A quantity beside what is to be kept and what is aimed at.
struct Line {
    name: &'static str,
    value: f64,
    unit: &'static str,
    floor: f64,
    goal: f64,
}

impl Footprint {
    fn lines(&self) -> [Line; 4] {
        let median = self.start_ms[self.start_ms.len() / 2];
        let line = |name, value, unit, floor, goal| Line { name, value, unit, floor, goal };
        [
            line("start to first accepted join", median, "ms", 1_000.0, 50.0),
            line("idle", self.idle_bytes as f64 / 1e6, "MB", 100.0, 25.0),
            line("receive-only endpoint", self.receiving.each() as f64 / 1e3, "kB", 512.0, 100.0),
            line("sending endpoint", self.sending.each() as f64 / 1e3, "kB", 3_000.0, 750.0),
        ]
    }

    /// Whether all floors are kept.
    pub fn is_kept(&self) -> bool {
        self.lines().iter().all(|line| line.value <= line.floor)
    }

    /// For people: a table.
    pub fn table(&self) -> String {
        let mut out = format!("{:30} {:>10} {:>10} {:>10}\n", "", "measured", "floor", "goal");
        for Line { name, value, unit, floor, goal } in self.lines() {
            let verdict = if value > floor { "  MISSED" } else { "" };
            let _ = writeln!(
                out,
                "{name:30} {value:>7.1} {unit} {floor:>7.0} {unit} {goal:>7.0} {unit}{verdict}"
            );
        }
        out
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let growth = |growth: &Growth| json!({ "endpoints": growth.endpoints, "rss_bytes": growth.rss_bytes, "bytes_each": growth.each() });
        json!({
            "start_to_first_join_ms": { "median": self.start_ms[self.start_ms.len() / 2], "all": self.start_ms },
            "idle_rss_bytes": self.idle_bytes,
            "receiving": growth(&self.receiving),
            "sending": growth(&self.sending),
            "floors_kept": self.is_kept(),
        })
    }
}

/// Caches of packets are full by then.
const SETTLE: Duration = Duration::from_secs(4);
const JOIN_RATE: f64 = 40.0;
/// Both of the first join within a millisecond.
const AT_ONCE: f64 = 10_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_takes_what_more_of_them_add() {
        let growth = |bytes: [u64; 2]| Growth { endpoints: [50, 150], rss_bytes: bytes };
        assert_eq!(growth([40_000_000, 90_000_000]).each(), 500_000);
        assert_eq!(growth([40_000_000, 39_000_000]).each(), 0, "an allocator may give back");
        let footprint = |sending: u64| Footprint {
            start_ms: vec![20.0, 30.0, 2_000.0],
            idle_bytes: 30_000_000,
            receiving: growth([40_000_000, 50_000_000]),
            sending: growth([0, sending]),
        };
        assert!(footprint(300_000_000).is_kept(), "the median counts, not the worst start");
        let missed = footprint(400_000_000);
        assert!(!missed.is_kept() && missed.table().matches("MISSED").count() == 1, "{}", missed.table());
        assert_eq!(missed.json()["sending"]["bytes_each"], 4_000_000);
    }

    #[test]
    fn the_larger_servers_differ_in_the_endpoints_in_question() {
        let plans = |name: &str| Shape::named(name).unwrap().scenario();
        let senders = |name: &str| {
            let rooms = plans(name).rooms;
            rooms.iter().flat_map(|room| &room.endpoints).filter(|plan| plan.video.is_some()).count()
        };
        assert_eq!((senders("malleus(10,5,1,1)"), senders("malleus(10,15,1,1)")), (10, 10));
        assert_eq!((senders("malleus(10,3,3,3)"), senders("malleus(20,3,3,3)")), (30, 60));
        assert_eq!(
            (plans("malleus(10,5,1,1)").endpoints(), plans("malleus(10,15,1,1)").endpoints()),
            (50, 150)
        );
    }
}

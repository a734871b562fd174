//! One run: endpoints join, settle, are measured, leave.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use contract::Timestamp;
use contract::session::SrtpProfile;
use core_affinity::CoreId;
use tokio::sync::mpsc::UnboundedSender;

use crate::association::Certificate;
use crate::clock::Clock;
use crate::handshakes;
use crate::peer::{Event, Peer, PeerError, Roster, Seat, Shared};
use crate::progress::Progress;
use crate::pump::{self, News, Order, PumpOptions};
use crate::scenario::Scenario;
use crate::server_process::{ServerProcess, Usage, machine};
use crate::socket::SocketOptions;
use crate::tally::{Count, Counters, Delays, Interval, Micros, micros, note};

/// How a run is done.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Seconds of measurement.
    pub seconds: f64,
    /// Between the last join and the measurement.
    pub warm_up: Duration,
    /// Media threads.
    pub threads: usize,
    /// Cores for all threads, round about; empty = wherever the system puts them.
    pub cores: Vec<CoreId>,
    /// One frame in so many is opened.
    pub sample: u32,
    /// Media threads never wait.
    pub spin: bool,
    /// How sockets are opened.
    pub sockets: SocketOptions,
    /// The process under load, if it is on this machine.
    pub server: Option<ServerProcess>,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Workload.
    pub profile: String,
    /// Seconds measured.
    pub seconds: f64,
    /// Endpoints of the scenario.
    pub endpoints: usize,
    /// Endpoints that were connected when the measurement began.
    pub connected: usize,
    /// Reasons of failed joins and sessions that ended early, with their number.
    pub failures: BTreeMap<String, u64>,
    /// Counts of the measurement.
    pub counters: Counters,
    /// Delays of the measurement.
    pub delays: Delays,
    /// When the first endpoint was offered a session.
    pub first_offer: Option<Instant>,
    /// Milliseconds from the beginning of a join, or from when the first other sender was there, to the first media.
    pub first_media_ms: Micros,
    /// Second by second.
    pub seconds_of_it: Vec<Second>,
    /// CPU of the generator in the measurement, seconds.
    pub generator_cpu_seconds: f64,
    /// Highest share of a second in which a media thread was not waiting.
    pub busiest: f64,
    /// Usage of the server within the measurement, and at its end.
    pub server: Option<(ServerProcess, Usage)>,
    /// Cores of this machine that other programs used meanwhile, of how many.
    pub others: Option<(f64, usize)>,
    /// SRTP profiles and how many connections have each.
    pub ciphers: BTreeMap<&'static str, u64>,
    /// Streams (audio, video) that flowed at the end, of all endpoints; and as many as there should be.
    pub streams: [(u64, u64); 2],
    /// It was ended before its time.
    pub partial: bool,
    /// Why the generator itself was the bottleneck, if it was.
    pub limited: Vec<String>,
    /// Coalesced runs were received, and sent.
    pub sockets: SocketOptions,
}

/// One second of the measurement.
#[derive(Clone, Debug)]
pub struct Second {
    /// Counts.
    pub counters: Counters,
    /// 50th, 99th, 99.9th percentile and maximum of audio packets and frame completions, µs.
    pub delay_us: [u64; 4],
    /// CPU of the generator and of the server, in cores.
    pub cpu: [f64; 2],
}

/// Set by Ctrl-C: the run ends and says what it has.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Does a run.
///
/// # Errors
/// If nothing could be begun, or no endpoint joined; the reason.
pub fn run(
    scenario: &Scenario,
    settings: &Settings,
    progress: &mut Progress,
    peer: impl AsyncFnOnce() -> Result<Arc<dyn Peer>, PeerError>,
) -> Result<Outcome, PeerError> {
    let mut stage = Stage::build(scenario, settings)?;
    let peer = stage.runtime.block_on(peer())?;
    let result = stage.play(scenario, settings, progress, &peer);
    stage.leave();
    result
}

/// Threads and endpoints of a run.
struct Stage {
    runtime: tokio::runtime::Runtime,
    shared: Arc<Shared>,
    news: Receiver<News>,
    stop: Arc<AtomicBool>,
    media_threads: Vec<std::thread::JoinHandle<()>>,
    done_in: mpsc::Sender<(u32, Result<(), PeerError>)>,
    done: Receiver<(u32, Result<(), PeerError>)>,
    seats: Vec<UnboundedSender<Event>>,
    rooms: Vec<std::ops::Range<u32>>,
    connected: HashMap<u32, Timestamp>,
    ciphers: BTreeMap<&'static str, u64>,
    first_media: Vec<(u32, Timestamp, Timestamp)>,
    failures: BTreeMap<String, u64>,
    ended: usize,
    /// Endpoints that have left.
    left: usize,
    intervals: Vec<Interval>,
    live: (u64, u64),
}

impl Stage {
    fn build(scenario: &Scenario, settings: &Settings) -> Result<Stage, PeerError> {
        let failed = |error: &dyn std::fmt::Display| PeerError::new("starting", error);
        let rooms = places(scenario);
        let core = |at: usize| settings.cores.get(at % settings.cores.len().max(1)).copied();
        let certificate = Certificate::generate().map_err(|error| failed(&error))?;
        let fingerprint = certificate.fingerprint();
        let (handshakes, _) =
            handshakes::start(certificate, core(settings.threads)).map_err(|error| failed(&error))?;
        let clock = Clock::start();
        let (news_in, news) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let (mut pumps, mut media_threads) = (Vec::new(), Vec::new());
        for at in 0..settings.threads {
            let options = PumpOptions {
                core: core(at),
                sample: settings.sample,
                spin: settings.spin,
                room_ends: rooms.iter().map(|room| room.end).collect(),
            };
            let (handle, queue) = pump::queue();
            let started =
                pump::start(queue, options, clock, handshakes.clone(), news_in.clone(), stop.clone());
            media_threads.push(started.map_err(|error| failed(&error))?);
            pumps.push(handle);
        }
        let signalling_core = core(settings.threads + 1);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .on_thread_start(move || {
                if let Some(core) = signalling_core {
                    core_affinity::set_for_current(core);
                }
            })
            .enable_all()
            .build()
            .map_err(|error| failed(&error))?;
        let (done_in, done) = mpsc::channel();
        let shared = Shared {
            roster: Roster::default(),
            clock,
            pumps,
            connections: AtomicU32::new(scenario.endpoints() as u32),
            handshakes,
            sockets: settings.sockets,
            fingerprint,
            first_offer: OnceLock::new(),
        };
        Ok(Stage {
            runtime,
            shared: Arc::new(shared),
            news,
            stop,
            media_threads,
            done_in,
            done,
            seats: Vec::new(),
            rooms,
            connected: HashMap::new(),
            ciphers: BTreeMap::new(),
            first_media: Vec::new(),
            failures: BTreeMap::new(),
            ended: 0,
            left: 0,
            intervals: Vec::new(),
            live: (0, 0),
        })
    }

    fn play(
        &mut self,
        scenario: &Scenario,
        settings: &Settings,
        progress: &mut Progress,
        peer: &Arc<dyn Peer>,
    ) -> Result<Outcome, PeerError> {
        self.join(scenario, progress, peer);
        if self.connected.is_empty() {
            let reason = self.failures.keys().next().cloned();
            return Err(PeerError(reason.unwrap_or_else(|| "no endpoint could join".into())));
        }
        let settled = Instant::now() + settings.warm_up;
        while Instant::now() < settled && !interrupted() {
            progress.status(&format!("{} endpoints connected, settling", self.connected.len()));
            self.look(TICK);
        }
        let measured = self.measure(settings, progress);
        Ok(self.outcome(scenario, settings, measured))
    }

    /// Joins endpoints at the rate of the scenario, and waits for those under way.
    fn join(&mut self, scenario: &Scenario, progress: &mut Progress, peer: &Arc<dyn Peer>) {
        let all = scenario.endpoints();
        let began = Instant::now();
        let mut patience = Instant::now() + JOIN_PATIENCE;
        let mut joining = scenario.rooms.iter().enumerate().flat_map(|(room, plan)| {
            plan.endpoints.iter().map(move |endpoint| (room, plan.name.as_str(), endpoint))
        });
        while !interrupted() {
            let due = ((began.elapsed().as_secs_f64() * scenario.join_rate) as usize + 1).min(all);
            while self.seats.len() < due {
                let Some((room, name, plan)) = joining.next() else { break };
                let place = self.seats.len() as u32;
                let begins = self.rooms[room].start;
                let (seat, events) = Seat::new(place, name, begins, plan.clone(), &self.shared);
                let (peer, done) = (peer.clone(), self.done_in.clone());
                self.runtime.spawn(async move {
                    let _ = done.send((place, peer.stay(seat).await));
                });
                self.seats.push(events);
                patience = Instant::now() + JOIN_PATIENCE;
            }
            let before = self.connected.len();
            self.look(JOIN_TICK.min(Duration::from_secs_f64(1.0 / scenario.join_rate)));
            if self.connected.len() > before {
                patience = Instant::now() + JOIN_PATIENCE;
            }
            let failed: u64 = self.failures.values().sum();
            progress
                .status(&format!("joining: {} of {all} connected, {failed} failed", self.connected.len()));
            let over = self.seats.len() == all && self.connected.len() as u64 + failed >= all as u64;
            if over || Instant::now() > patience {
                break;
            }
        }
        let missing = all.saturating_sub(self.connected.len());
        if missing > 0 {
            let why: Vec<String> =
                self.failures.iter().map(|(why, count)| format!("{count} x {why}")).collect();
            progress.warn(&format!("{missing} of {all} endpoints did not get in: {}", why.join("; ")));
        }
    }

    fn measure(&mut self, settings: &Settings, progress: &mut Progress) -> Measured {
        let (cpu_before, server_before) = (own_cpu(), settings.server.and_then(|server| server.usage()));
        let machine_before = machine();
        self.tell(|| Order::Begin);
        let began = Instant::now();
        let mut cpu = vec![(0.0, cpu_before, server_before)];
        let mut next = 1.0;
        while began.elapsed().as_secs_f64() < settings.seconds && !interrupted() {
            let left = settings.seconds - began.elapsed().as_secs_f64();
            self.look(TICK.min(Duration::from_secs_f64(left.max(0.001))));
            let elapsed = began.elapsed().as_secs_f64();
            if elapsed >= next {
                next += 1.0;
                cpu.push((elapsed, own_cpu(), settings.server.and_then(|server| server.usage())));
                progress.status(&self.line(elapsed, settings, &cpu));
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        let (cpu_after, server_after) = (own_cpu(), settings.server.and_then(|server| server.usage()));
        let machine_after = machine();
        self.tell(|| Order::Hush);
        let drained = Instant::now() + DRAIN;
        while Instant::now() < drained {
            self.look(TICK);
        }
        self.tell(|| Order::End);
        let patience = Instant::now() + Duration::from_secs(2);
        while self.ended < settings.threads && Instant::now() < patience {
            self.look(TICK);
        }
        let server = match (settings.server, server_before, server_after) {
            (Some(process), Some(before), Some(after)) => Some((
                process,
                Usage {
                    cpu_seconds: after.cpu_seconds - before.cpu_seconds,
                    softirq_seconds: after.softirq_seconds - before.softirq_seconds,
                    rss_bytes: after.rss_bytes,
                },
            )),
            _ => None,
        };
        let ours = cpu_after - cpu_before
            + server.map_or(0.0, |(_, usage): (_, Usage)| usage.cpu_seconds + usage.softirq_seconds);
        let others = machine_before.zip(machine_after).map(|((before, _), (after, cores))| {
            (((after - before - ours) / seconds.max(0.001)).max(0.0), cores)
        });
        Measured { seconds, cpu_seconds: cpu_after - cpu_before, server, others, cpu, partial: interrupted() }
    }

    /// One line of how it goes.
    fn line(&self, elapsed: f64, settings: &Settings, cpu: &[(f64, f64, Option<Usage>)]) -> String {
        let recent = self.intervals.len().saturating_sub(settings.threads);
        let (mut counters, mut delays) = (Counters::default(), Delays::default());
        for interval in &self.intervals[recent..] {
            counters.add(&interval.counters);
            delays.add(&interval.delays);
        }
        let lost: u64 = self.intervals.iter().map(|interval| interval.counters[Count::Lost]).sum();
        let busy = self.intervals[recent..].iter().map(|interval| interval.busy).fold(0.0, f64::max);
        let experienced = delays.experienced();
        let cores = cores_of(cpu);
        let server = cores.last().map_or(0.0, |cores| cores[1]);
        format!(
            "{elapsed:4.0} s of {:.0}: {:6.1} kpps out, {:7.1} kpps in, lost {lost}, delay p50 {} p99 {} us, server {:.0}%, \
             generator {:.0}% busy",
            settings.seconds,
            counters[Count::Sent] as f64 / 1e3,
            counters[Count::Received] as f64 / 1e3,
            experienced.value_at_quantile(0.5),
            experienced.value_at_quantile(0.99),
            server * 100.0,
            busy * 100.0
        )
    }

    /// Takes news until `wait` is over.
    fn look(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        while let Ok((place, result)) = self.done.try_recv() {
            self.left += 1;
            let reason = match result {
                Ok(()) => continue,
                Err(error) => error.0,
            };
            let after = if self.connected.contains_key(&place) { "after connecting: " } else { "" };
            *self.failures.entry(format!("{after}{reason}")).or_default() += 1;
        }
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.news.recv_timeout(left) {
                Ok(news) => self.heard(news),
                Err(_) => return,
            }
        }
    }

    fn heard(&mut self, news: News) {
        match news {
            News::Interval(interval) if interval.measured => self.intervals.push(*interval),
            News::Interval(_) => {}
            News::Connected(place, profile) => self.note_connected(place, profile),
            News::FirstMedia { place, started, at, .. } => self.first_media.push((place, started, at)),
            News::Live(audio, video) => self.live = (self.live.0 + audio, self.live.1 + video),
            News::Ended => self.ended += 1,
        }
    }

    fn note_connected(&mut self, place: Option<u32>, profile: SrtpProfile) {
        if let Some(place) = place {
            self.connected.entry(place).or_insert_with(|| self.shared.clock.now());
        }
        *self.ciphers.entry(profile.name()).or_default() += 1;
    }

    /// When the first sender of the room other than `place` was there.
    fn first_other_sender(&self, scenario: &Scenario, place: u32) -> Option<Timestamp> {
        let room = self.rooms.partition_point(|room| room.end <= place);
        let (range, plans) = (self.rooms.get(room)?.clone(), &scenario.rooms.get(room)?.endpoints);
        let senders =
            range.clone().zip(plans).filter(|(_, plan)| plan.audio.is_some() || plan.video.is_some());
        let others = senders.take(SENDERS_LOOKED_AT).filter(|(other, _)| *other != place);
        others.filter_map(|(other, _)| self.connected.get(&other).copied()).min()
    }

    fn outcome(&self, scenario: &Scenario, settings: &Settings, measured: Measured) -> Outcome {
        let (mut counters, mut delays, mut busiest) = (Counters::default(), Delays::default(), 0.0f64);
        for interval in &self.intervals {
            counters.add(&interval.counters);
            delays.add(&interval.delays);
            busiest = busiest.max(interval.busy);
        }
        let mut first_media_ms = micros();
        for (place, started, at) in &self.first_media {
            let Some(other) = self.first_other_sender(scenario, *place) else { continue };
            note(&mut first_media_ms, at.since((*started).max(other)).as_millis() as u64);
        }
        let mut streams = [(self.live.0, 0), (self.live.1, 0)];
        for room in &scenario.rooms {
            for at in 0..room.endpoints.len() {
                let (audio, video) = room.streams_for(at);
                streams[0].1 += audio as u64;
                streams[1].1 += video as u64;
            }
        }
        let mut outcome = Outcome {
            profile: scenario.profile.clone(),
            seconds: measured.seconds,
            endpoints: scenario.endpoints(),
            connected: self.connected.len(),
            failures: self.failures.clone(),
            counters,
            delays,
            first_offer: self.shared.first_offer.get().copied(),
            first_media_ms,
            seconds_of_it: self.seconds(settings, &measured.cpu),
            generator_cpu_seconds: measured.cpu_seconds,
            busiest,
            server: measured.server,
            others: measured.others,
            ciphers: self.ciphers.clone(),
            streams,
            partial: measured.partial,
            limited: Vec::new(),
            sockets: settings.sockets,
        };
        outcome.limited = limits(&outcome);
        outcome
    }

    /// Intervals of all threads, second by second.
    fn seconds(&self, settings: &Settings, cpu: &[(f64, f64, Option<Usage>)]) -> Vec<Second> {
        let cores = cores_of(cpu);
        let seconds = self.intervals.chunks(settings.threads).enumerate().map(|(at, threads)| {
            let (mut counters, mut delays) = (Counters::default(), Delays::default());
            for interval in threads {
                counters.add(&interval.counters);
                delays.add(&interval.delays);
            }
            let both = delays.experienced();
            let delay_us = [0.5, 0.99, 0.999, 1.0].map(|quantile| both.value_at_quantile(quantile));
            Second { counters, delay_us, cpu: cores.get(at).copied().unwrap_or_default() }
        });
        // The last ones are the draining.
        seconds.take(cores.len()).collect()
    }

    fn tell(&self, order: impl Fn() -> Order) {
        self.shared.pumps.iter().for_each(|pump| pump.tell(order()));
    }

    /// Everybody leaves as the product wants it, then threads end.
    fn leave(mut self) {
        for seat in &self.seats {
            let _ = seat.send(Event::Leave);
        }
        let until = Instant::now() + LEAVE_WITHIN;
        while self.left < self.seats.len() {
            match self.done.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(_) => self.left += 1,
                Err(_) => break,
            }
        }
        self.runtime.shutdown_timeout(Duration::from_millis(500));
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.media_threads {
            let _ = thread.join();
        }
    }
}

/// The places of each room's endpoints in the run.
fn places(scenario: &Scenario) -> Vec<std::ops::Range<u32>> {
    let mut end = 0;
    let of = |room: &crate::scenario::Room| {
        let begin = end;
        end += room.endpoints.len() as u32;
        begin..end
    };
    scenario.rooms.iter().map(of).collect()
}

struct Measured {
    seconds: f64,
    cpu_seconds: f64,
    server: Option<(ServerProcess, Usage)>,
    others: Option<(f64, usize)>,
    cpu: Vec<(f64, f64, Option<Usage>)>,
    partial: bool,
}

/// Cores used between readings, by the generator and by the server.
fn cores_of(cpu: &[(f64, f64, Option<Usage>)]) -> Vec<[f64; 2]> {
    let pairs = cpu.windows(2);
    pairs
        .map(|pair| {
            let lasted = (pair[1].0 - pair[0].0).max(0.001);
            let server = match (pair[0].2, pair[1].2) {
                (Some(before), Some(after)) => after.cpu_seconds - before.cpu_seconds,
                _ => 0.0,
            };
            [(pair[1].1 - pair[0].1) / lasted, server / lasted]
        })
        .collect()
}

/// What shows that the generator, not the server, was at its end.
fn limits(outcome: &Outcome) -> Vec<String> {
    let mut reasons = Vec::new();
    let late = outcome.delays.late.value_at_quantile(0.99);
    if late > LATE_MAX_US {
        reasons.push(format!("packets left {late} us after their time (99th percentile)"));
    }
    let [socket_drops, send_refused] =
        [Count::SocketDrops, Count::SendRefused].map(|count| outcome.counters[count]);
    if socket_drops > 0 {
        reasons.push(format!("our own sockets had no room for {socket_drops} datagrams that came"));
    }
    if send_refused > 0 {
        reasons.push(format!("our own sockets refused {send_refused} datagrams"));
    }
    if outcome.busiest > BUSY_MAX {
        reasons.push(format!("a media thread was busy {:.0}% of a second", outcome.busiest * 100.0));
    }
    reasons
}

/// CPU of this process, seconds.
fn own_cpu() -> f64 {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    getrusage(UsageWho::RUSAGE_SELF).map_or(0.0, |usage| {
        (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
    })
}

fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

const TICK: Duration = Duration::from_millis(50);
const JOIN_TICK: Duration = Duration::from_millis(5);
/// Nobody new connected for so long: those who are not in will not come.
const JOIN_PATIENCE: Duration = Duration::from_secs(20);
/// What is on its way at the end comes within this, retransmissions too.
const DRAIN: Duration = Duration::from_millis(600);
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// Beyond this, delays say more of the generator than of the server.
const LATE_MAX_US: u64 = 5_000;
const BUSY_MAX: f64 = 0.97;
/// In a large room the first few senders tell as well as all.
const SENDERS_LOOKED_AT: usize = 64;

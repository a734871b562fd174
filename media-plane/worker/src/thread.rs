//! The only place where a worker meets its ring, its core and the clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use contract::{Duration, Metric, Timestamp};
use mesh::Mesh;
use mesh::wake::Sleeper;
use uring::Io;

use crate::chance::Chance;
use crate::cipher::{Cipher, CipherChoice};
use crate::config::Config;
use crate::dtls::DtlsSender;
use crate::media_plane::{MediaPlane, Parts};
use crate::queues::Queues;
use crate::seating::Surroundings;
use crate::tcp;
use crate::worker::{Worker, WorkerParts};
use crate::worker_io::WorkerIo;

/// Time since the start of the media plane.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The time that passes.
    Real(Instant),
    /// The time that a simulation says it is, in microseconds.
    Simulated(&'static AtomicU64),
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Clock {
        Clock::Real(Instant::now())
    }

    /// Microseconds since its start.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::Real(start) => Timestamp::from_micros(start.elapsed().as_micros() as u64),
            Clock::Simulated(now) => Timestamp::from_micros(now.load(Ordering::Relaxed)),
        }
    }
}

/// Why the media plane could not start.
#[derive(Debug)]
pub enum StartError {
    /// Sockets or rings.
    Open(uring::OpenError),
    /// A ring could not be taken over by its thread.
    Begin(uring::StartError),
    /// Threads or eventfds.
    System(std::io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Open(error) => write!(f, "{error}"),
            StartError::Begin(error) => write!(f, "{error}"),
            StartError::System(error) => write!(f, "the system refused a thread or an eventfd: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// The threads of the workers.
#[derive(Default)]
pub(crate) struct Threads {
    handles: Vec<JoinHandle<()>>,
    pub(crate) backends: Vec<(uring::Backend, Option<String>)>,
    /// When each worker last moved, microseconds on its clock.
    pub(crate) beats: Vec<Arc<AtomicU64>>,
    /// The sockets of each.
    pub(crate) twins: Vec<uring::Twin>,
}

impl Threads {
    /// Wait until all have left their loops.
    pub(crate) fn join(&mut self) {
        for handle in self.handles.drain(..) {
            // A worker that panicked has already said so on standard error.
            let _ = handle.join();
        }
    }
}

impl MediaPlane {
    /// Bind the sockets and start the workers.
    pub fn start(config: &Config) -> Result<MediaPlane, StartError> {
        let clock = Clock::start();
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let workers = config.workers.unwrap_or(cores.len()).clamp(1, contract::limits::WORKERS_MAX);
        wait_until_free(&config.local)?;
        let queues = Queues::new(workers, config.handshake_threads).map_err(StartError::System)?;
        let (mut ios, mut twins) = (Vec::new(), Vec::new());
        let mut local: Vec<SocketAddr> = config.local.clone();
        for (_, sleeper) in &queues.workers {
            let bound = local.iter().copied().filter(|address| !address.ip().is_unspecified());
            let mut options = uring::Options::new(bound.collect(), sleeper.fd());
            options.backend = config.io;
            options.spares = if config.io == uring::Choice::Plain { 0 } else { SPARE_SOCKETS };
            let io = Io::open(options).map_err(StartError::Open)?;
            // With port 0 the first worker picks, and the others share.
            local = (0..io.sockets()).map(|socket| io.local_address(socket as u8)).collect();
            twins.push(io.twin().map_err(StartError::System)?);
            ios.push(io);
        }
        let backends = ios.iter().map(|io| (io.backend(), io.fallback_reason().map(str::to_owned))).collect();
        let surroundings = Surroundings {
            candidates: with_ports(config, &local),
            local,
            allow_loopback: config.allow_loopback,
            handshake_threads: config.handshake_threads,
            bandwidth: crate::seating::bandwidth(config),
        };
        let peers = Arc::clone(&queues.wakers);
        let (tcp, lines) = tcp::lines(&queues.wakers).map_err(StartError::System)?;
        let ios = ios.into_iter().zip(lines).map(|(udp, tcp)| WorkerIo::new(udp, tcp));
        let ports = Mesh::ports(workers, MESH_RECORDS);
        let mut threads = Threads { handles: Vec::new(), backends, beats: Vec::new(), twins };
        let started = queues.workers.into_iter().zip(ports).zip(ios).enumerate();
        for (number, (((end, sleeper), port), io)) in started {
            let id = contract::WorkerId(number as u16);
            let worker = Worker::new(WorkerParts {
                id,
                slots: config.slots,
                sending: config.sending,
                port,
                end,
                peers: Arc::clone(&peers),
            });
            let beat = Arc::new(AtomicU64::new(clock.now().as_micros()));
            threads.beats.push(Arc::clone(&beat));
            let spin = Duration::from_micros(config.spin_us);
            let core = config.pin.then(|| cores.get(number % cores.len().max(1)).copied()).flatten();
            let life = Life { worker, io, sleeper, clock, spin, beat };
            let builder = std::thread::Builder::new().name(format!("media-{number}"));
            let handle = builder.spawn(move || life.run(core)).map_err(StartError::System)?;
            threads.handles.push(handle);
        }
        Ok(MediaPlane::new(Parts {
            clock,
            chance: Chance::System,
            control: queues.control,
            handshakes: queues.handshakes,
            dtls: DtlsSender { seats: Arc::default(), queues: queues.dtls_out, wakers: queues.wakers },
            surroundings,
            cipher: Cipher::settle(config.cipher),
            receiver_budget: config.receiver_budget,
            loudest: config.loudest,
            spread_after: config.spread_after,
            tcp: Some(tcp),
            threads,
        }))
    }
}

impl MediaPlane {
    /// The same without threads, sockets and clock: the caller turns the workers, in an order of its choosing, and
    /// sets the time. `config.local` must name a port. What is left to chance follows from `seed`.
    pub fn simulate(
        config: &Config,
        now: &'static AtomicU64,
        seed: u64,
    ) -> std::io::Result<(MediaPlane, Vec<Worker>)> {
        let clock = Clock::Simulated(now);
        let workers = config.workers.unwrap_or(1).clamp(1, contract::limits::WORKERS_MAX);
        let queues = Queues::new(workers, config.handshake_threads)?;
        let surroundings = Surroundings {
            candidates: with_ports(config, &config.local),
            local: config.local.clone(),
            allow_loopback: config.allow_loopback,
            handshake_threads: config.handshake_threads,
            bandwidth: crate::seating::bandwidth(config),
        };
        let peers = Arc::clone(&queues.wakers);
        let ports = Mesh::ports(workers, MESH_RECORDS);
        let ends = queues.workers.into_iter().zip(ports).enumerate();
        let workers = ends
            .map(|(number, ((end, _), port))| {
                let id = contract::WorkerId(number as u16);
                let (slots, sending, peers) = (config.slots, config.sending, Arc::clone(&peers));
                Worker::new(WorkerParts { id, slots, sending, port, end, peers })
            })
            .collect();
        let media_plane = MediaPlane::new(Parts {
            clock,
            chance: Chance::Seeded(seed),
            control: queues.control,
            handshakes: queues.handshakes,
            dtls: DtlsSender { seats: Arc::default(), queues: queues.dtls_out, wakers: queues.wakers },
            surroundings,
            cipher: Cipher::settle(without_trial(config.cipher)),
            receiver_budget: config.receiver_budget,
            loudest: config.loudest,
            spread_after: config.spread_after,
            tcp: None,
            threads: Threads::default(),
        });
        Ok((media_plane, workers))
    }
}

/// Sockets of each worker and address family for addresses that come later. The plain back end has none: it pays for each at each
/// turn.
const SPARE_SOCKETS: usize = 2;

/// A worker on its thread.
struct Life {
    worker: Worker,
    io: WorkerIo,
    sleeper: Sleeper,
    clock: Clock,
    spin: Duration,
    beat: Arc<AtomicU64>,
}

impl Life {
    fn run(mut self, core: Option<core_affinity::CoreId>) {
        if let Some(core) = core {
            // Refused in some sandboxes: then the scheduler places the thread.
            core_affinity::set_for_current(core);
        }
        // The calling thread alone, as process 0 means to Linux. Where it is refused, the packets wait their turn like all else.
        let _ = rustix::process::setpriority_process(None, NICE);
        if let Err(error) = self.io.start_on_this_thread() {
            // Nothing can be served without it, and nobody is there yet to be told otherwise.
            eprintln!("error: worker {}: {error}", self.worker.id());
            std::process::exit(71);
        }
        let mut last_work = Timestamp::ZERO;
        mesh::steady::begin();
        while !self.worker.is_stopping() {
            let began = self.clock.now();
            self.beat.store(began.as_micros(), Ordering::Relaxed);
            if self.worker.turn(began, &mut self.io) {
                self.io.submit();
                self.record(began);
                last_work = began;
            } else if began.since(last_work) < self.spin {
                self.io.submit_and_wait(Some(Duration::ZERO));
            } else {
                self.sleep(began);
            }
        }
        mesh::steady::end();
    }

    /// Wait for an arrival, a wake-up or the next timer.
    fn sleep(&mut self, now: Timestamp) {
        self.sleeper.about_to_sleep();
        if self.worker.is_idle() && self.io.is_idle() {
            let until = self.worker.poll_timeout();
            let timeout = until.since(now).min(LONGEST_SLEEP);
            self.io.submit_and_wait(Some(timeout));
        }
        self.sleeper.awake();
    }

    fn record(&mut self, began: Timestamp) {
        let took = self.clock.now().since(began);
        self.worker.load.note(began, took);
        let io = self.io.statistics();
        self.worker.record_turn(took.as_micros() as u64, &io);
    }
}

impl Worker {
    /// Note how long a turn took and what its I/O has done so far.
    fn record_turn(&mut self, took_us: u64, io: &uring::Statistics) {
        let statistics = &mut self.statistics;
        statistics.turn_us.saturating_record(took_us);
        statistics.add(Metric::TurnMicroseconds, took_us);
        statistics.set(Metric::DatagramsSent, io.segments);
        statistics.set(Metric::BytesSent, io.bytes_sent);
        statistics.set(Metric::Sends, io.sends);
        statistics.set(Metric::SendErrors, io.send_errors);
        statistics.set(Metric::ReceiveRearmed, io.rearmed);
        statistics.set(Metric::ReceiveNoBuffer, io.no_buffer);
        statistics.set(Metric::Allocations, mesh::steady::allocations());
        let received = statistics.counter(Metric::DatagramsReceived);
        let fresh = received - std::mem::replace(&mut statistics.received_at_last_turn, received);
        statistics.box_delay_us.saturating_record_n(took_us.max(1), fresh);
    }
}

/// The kernel frees the sockets of a ring some tens of milliseconds after their process has ended: a restart must not
/// stumble over its predecessor.
fn wait_until_free(local: &[SocketAddr]) -> Result<(), StartError> {
    let given_up = Instant::now() + PREDECESSOR_GONE_WITHIN;
    loop {
        match uring::check_free(local) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= given_up => return Err(StartError::Open(error)),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    }
}

/// Configured candidates, with the port that was bound where they name none.
fn with_ports(config: &Config, local: &[SocketAddr]) -> Vec<contract::session::Candidate> {
    let port = local.first().map_or(0, SocketAddr::port);
    let mut candidates = config.candidates.clone();
    for candidate in &mut candidates {
        if candidate.address.port() == 0 {
            candidate.address.set_port(port);
        }
        if let Some(related) = candidate.related.as_mut().filter(|related| related.port() == 0) {
            related.set_port(port);
        }
    }
    candidates
}

/// A simulation is the same each time.
fn without_trial(choice: CipherChoice) -> CipherChoice {
    match choice {
        CipherChoice::Auto => CipherChoice::Fixed(transport::srtp::Provider::default()),
        fixed => fixed,
    }
}

/// Of media threads: above all that is usual, below what the kernel itself and audio servers take. `LimitNICE=` of the unit allows it.
const NICE: i32 = -11;

/// Ten times what was measured.
const PREDECESSOR_GONE_WITHIN: std::time::Duration = std::time::Duration::from_millis(400);
/// Records of each ring between two workers: 10 ms of 200,000 packets a second.
const MESH_RECORDS: usize = 2_048;
/// A worker looks around at least this often, so that health checks can tell it from a dead one.
const LONGEST_SLEEP: Duration = Duration::from_millis(1_000);

//! `sluice-load`: thousands of endpoints against a conference server.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use clap::Parser;
use load::capacity::{self, Bounds};
use load::footprint::{self, Plan};
use load::options::{
    CapacityOptions, Command, CommandLine, FootprintOptions, Host, PeersOptions, RUN_SECONDS, RunOptions,
    STEP_SECONDS, SelfCheckOptions, TargetOptions, raise_open_files,
};
use load::peer::{Peer, PeerError};
use load::peers::comparison;
use load::peers::launch::{Ports, Programs, System};
use load::profile::{NAMES, SUITE, Shape};
use load::progress::Progress;
use load::report;
use load::run::{INTERRUPTED, Outcome, Settings, run};
use load::scenario::Scenario;
use load::self_check::Echo;
use load::server_process::ServerProcess;
use load::sluice::{Server, Sluice};
use load::tally::Count;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let line = CommandLine::parse();
    end_on_interrupt();
    let done = match &line.command {
        None if line.run.profiles => {
            NAMES.iter().for_each(|(name, what)| println!("{name:20} {what}"));
            let (first, count) = (SUITE[..3].join(", "), SUITE.len());
            println!("lk-suite             {count} workloads one after another: {first} …");
            Ok(ExitCode::SUCCESS)
        }
        None => single(&line.run),
        Some(Command::Capacity(options)) => grow(options),
        Some(Command::SelfCheck(options)) => self_check(options),
        Some(Command::Peers(options)) => peers(options),
        Some(Command::Footprint(options)) => footprint(options),
    };
    done.unwrap_or_else(|error| {
        eprintln!("sluice-load: {}", error.0);
        ExitCode::from(error.1)
    })
}

/// What went wrong, and the exit status.
struct Failure(String, u8);

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Failure {
        Failure(error.0, CANNOT)
    }
}

fn impossible(reason: String) -> Failure {
    Failure(reason, IMPOSSIBLE)
}

fn single(options: &RunOptions) -> Result<ExitCode, Failure> {
    let RunOptions { target, load, .. } = options;
    let settings = load.host.settings(RUN_SECONDS).map_err(impossible)?;
    let mut progress = Progress::new(load.host.quiet);
    let shapes = load.workload.shapes().map_err(impossible)?;
    shapes.iter().try_for_each(|shape| target.takes(shape)).map_err(impossible)?;
    let mut outcomes = Vec::new();
    for shape in shapes {
        let scenario = shape.scenario();
        raise_open_files(&scenario).map_err(impossible)?;
        let outcome = run_against(target, &scenario, &settings, &load.host, &mut progress)?;
        tell(&outcome, load.json.as_deref(), &mut progress);
        let partial = outcome.partial;
        outcomes.push(outcome);
        if partial {
            break;
        }
    }
    write_json(&outcomes, load.json.as_deref(), load.workload.is_suite())?;
    if let Some(path) = &options.report {
        write(path, &outcomes.iter().map(report::page).collect::<String>())?;
    }
    Ok(ExitCode::from(outcomes.iter().map(status).max().unwrap_or(CANNOT)))
}

/// A run against the server under load.
fn run_against(
    target: &TargetOptions,
    scenario: &Scenario,
    settings: &Settings,
    host: &Host,
    progress: &mut Progress,
) -> Result<Outcome, PeerError> {
    let (sent, forwarded) = scenario.packet_rates();
    progress.say(&format!(
        "{}: {} rooms, {} endpoints, about {:.1} kpps in and {:.1} kpps out of {}",
        scenario.profile,
        scenario.rooms.len(),
        scenario.endpoints(),
        sent / 1e3,
        forwarded / 1e3,
        target.url
    ));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| PeerError::new("starting", error))?;
    let server = runtime.block_on(Server::at(&target.url, target.insecure))?;
    let process = host.server_pid.map(|pid| ServerProcess { pid }).or_else(|| {
        let address = server.socket_address();
        ServerProcess::listening_on(address.ip(), address.port())
    });
    let settings = Settings { server: process, ..settings.clone() };
    let rewriting = !target.no_rewriting;
    run(scenario, &settings, progress, async move || {
        Ok(Arc::new(Sluice::find(server, rewriting).await?) as Arc<dyn Peer>)
    })
}

fn grow(options: &CapacityOptions) -> Result<ExitCode, Failure> {
    let CapacityOptions { target, load, .. } = options;
    let shape = load.workload.shape().map_err(impossible)?;
    target.takes(&shape).map_err(impossible)?;
    let shape = match load.workload.join_rate {
        Some(_) => shape,
        None => Shape { join_rate: shape.join_rate.max(STEP_JOIN_RATE), ..shape },
    };
    let settings = load.host.settings(STEP_SECONDS).map_err(impossible)?;
    let bounds = Bounds { p99_us: options.p99_us, loss_percent: options.loss_percent };
    let mut progress = Progress::new(load.host.quiet);
    let from = options.from.unwrap_or_else(|| shape.size());
    let steps = capacity::search(&shape, from, &mut progress, |shape, progress| {
        target.takes(shape).map_err(PeerError)?;
        let scenario = shape.scenario();
        raise_open_files(&scenario).map_err(PeerError)?;
        let outcome = run_against(target, &scenario, &settings, &load.host, progress)?;
        Ok((capacity::judge(&outcome, bounds), Some(outcome)))
    })?;
    println!("{}", capacity::summary(&shape, &steps));
    if let Some(path) = &load.json {
        write(path, &format!("{:#}\n", capacity::json(&shape, &steps)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn self_check(SelfCheckOptions { load }: &SelfCheckOptions) -> Result<ExitCode, Failure> {
    let scenario = load.workload.shape().map_err(impossible)?.scenario();
    let settings = load.host.settings(RUN_SECONDS).map_err(impossible)?;
    raise_open_files(&scenario).map_err(impossible)?;
    let mut progress = Progress::new(load.host.quiet);
    // The echo has the cores that the generator has not.
    let core = other_cores(&settings).first().copied();
    let coalesce = settings.sockets.gro;
    let mut outcome = run(&scenario, &settings, &mut progress, async move || {
        let echo = Echo::start(core, coalesce).map_err(|error| PeerError::new("starting the echo", error))?;
        Ok(Arc::new(echo) as Arc<dyn Peer>)
    })?;
    outcome.profile = format!("self-check of {}", outcome.profile);
    tell(&outcome, load.json.as_deref(), &mut progress);
    write_json(std::slice::from_ref(&outcome), load.json.as_deref(), false)?;
    Ok(ExitCode::from(status(&outcome)))
}

fn peers(options: &PeersOptions) -> Result<ExitCode, Failure> {
    let mut settings = options.host.settings(RUN_SECONDS).map_err(impossible)?;
    let (systems, shapes) = (options.systems().map_err(impossible)?, options.shapes().map_err(impossible)?);
    shapes.iter().try_for_each(|shape| raise_open_files(&shape.scenario())).map_err(impossible)?;
    let mut rounds = options.rounds.max(1);
    if options.quick {
        (settings.seconds, settings.warm_up, rounds) = (2.0, std::time::Duration::from_secs(2), 1);
    }
    let (mut progress, programs) = (Progress::new(options.host.quiet), options.programs());
    let (mut servers, cores) = (Vec::new(), other_cores(&settings));
    for system in systems {
        if let Some(missing) = system.missing(&programs) {
            progress.warn(&missing);
            continue;
        }
        match system.start(&programs, Ports(options.port), &cores) {
            Ok(server) => {
                progress.say(&format!("{} {} is up", system.name(), server.version));
                servers.push(server);
            }
            Err(error) => progress.warn(&error.0),
        }
    }
    if servers.is_empty() {
        return Err(Failure("there is nothing to compare".into(), CANNOT));
    }
    let rows = comparison::compare(&servers, &shapes, rounds, &settings, &mut progress);
    drop(servers);
    if options.json.as_deref().is_none_or(|path| path.as_os_str() != "-") {
        print!("{}", comparison::table(&rows));
    }
    if let Some(path) = &options.json {
        write(path, &format!("{:#}\n", comparison::json(&rows)))?;
    }
    Ok(ExitCode::from(comparison::status(&rows).map_or(CANNOT, |flawed| if flawed { FLAWED } else { 0 })))
}

fn footprint(options: &FootprintOptions) -> Result<ExitCode, Failure> {
    let programs = Programs {
        sluice: options.sluice.clone(),
        jvb: None,
        janus: PathBuf::new(),
        livekit: PathBuf::new(),
    };
    if let Some(missing) = System::Sluice.missing(&programs) {
        return Err(Failure(missing, CANNOT));
    }
    let plan = Plan { programs, ports: Ports(options.port), starts: options.starts };
    let footprint = footprint::measure(&plan, &mut Progress::new(options.quiet))?;
    if options.json.as_deref().is_none_or(|path| path.as_os_str() != "-") {
        print!("{}", footprint.table());
    }
    if let Some(path) = &options.json {
        write(path, &format!("{:#}\n", footprint.json()))?;
    }
    Ok(ExitCode::from(if footprint.is_kept() { 0 } else { FLAWED }))
}

/// Cores that the generator leaves; none if it has no place of its own.
fn other_cores(settings: &Settings) -> Vec<core_affinity::CoreId> {
    if settings.cores.is_empty() {
        return Vec::new();
    }
    let known = core_affinity::get_core_ids().unwrap_or_default();
    known.into_iter().filter(|core| !settings.cores.contains(core)).collect()
}

/// Text to people, unless standard output is for JSON.
fn tell(outcome: &Outcome, json: Option<&Path>, progress: &mut Progress) {
    if json.is_none_or(|path| path.as_os_str() != "-") {
        progress.say("");
        print!("{}", report::text(outcome));
    }
    for warning in report::warnings(outcome) {
        progress.warn(&warning);
    }
}

/// One object, or an array of them for a suite.
fn write_json(outcomes: &[Outcome], path: Option<&Path>, suite: bool) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let all: Vec<serde_json::Value> = outcomes.iter().map(report::json).collect();
    match (suite, all.as_slice()) {
        (false, [one]) => write(path, &format!("{one:#}\n")),
        _ => write(path, &format!("{:#}\n", serde_json::Value::Array(all))),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let written = match path.as_os_str() == "-" {
        true => std::io::stdout().write_all(text.as_bytes()),
        false => std::fs::write(path, text),
    };
    written.map_err(|error| Failure(format!("{}: {error}", path.display()), CANNOT))
}

fn status(outcome: &Outcome) -> u8 {
    let counters = &outcome.counters;
    if !outcome.limited.is_empty() {
        return LIMITED;
    }
    let wrong = counters[Count::Lost] + counters[Count::AuthFailures] + counters[Count::WrongSource];
    if wrong > 0 || outcome.connected < outcome.endpoints { FLAWED } else { 0 }
}

/// The first Ctrl-C ends the run with a report, the second ends everything.
fn end_on_interrupt() {
    let waiting = std::thread::Builder::new().name("signals".into()).spawn(|| {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let mut before = false;
            loop {
                let mut terminate =
                    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                        Ok(terminate) => terminate,
                        Err(_) => return,
                    };
                tokio::select! {
                    result = tokio::signal::ctrl_c() => if result.is_err() { return },
                    _ = terminate.recv() => {}
                }
                if before {
                    std::process::exit(INTERRUPTED_TWICE);
                }
                before = true;
                INTERRUPTED.store(true, Ordering::Relaxed);
            }
        });
    });
    if let Err(error) = waiting {
        eprintln!("sluice-load: Ctrl-C will give no report: {error}");
    }
}

/// Joins a second of a search for the capacity, which joins everybody anew at each step.
const STEP_JOIN_RATE: f64 = 50.0;
const CANNOT: u8 = 1;
const IMPOSSIBLE: u8 = 2;
const FLAWED: u8 = 3;
const LIMITED: u8 = 4;
const INTERRUPTED_TWICE: i32 = 130;

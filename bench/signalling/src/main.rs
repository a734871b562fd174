//! What a join costs in a large room: clients join one after the other at a fixed rate and stay; the server's CPU time,
//! read from the kernel, is divided by the joins.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use bench_signalling::client::Client;
use bench_signalling::usage::{Usage, usage};
use clap::Parser;
use serde_json::{Value, json};

/// Joins one room of a running server at a rate, in steps.
#[derive(Parser, Debug)]
struct Options {
    /// Process id of the server.
    #[arg(long)]
    pid: u32,
    /// Its plain HTTP address.
    #[arg(long, default_value = "127.0.0.1:8080")]
    address: String,
    /// Its `xmpp.domain`.
    #[arg(long, default_value = "meet.sluice")]
    domain: String,
    /// Room.
    #[arg(long, default_value = "bench")]
    room: String,
    /// Occupants at the end of each step.
    #[arg(long, value_delimiter = ',', default_value = "50,100,200,400")]
    steps: Vec<usize>,
    /// Joins per second.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Clients end the session that they are offered and stay in the room: what an occupant costs without its media seat.
    #[arg(long)]
    without_media: bool,
    /// Where to write the result as JSON.
    #[arg(long)]
    json: Option<String>,
}

/// What one step showed.
#[derive(Debug)]
struct Step {
    occupants: usize,
    joins: usize,
    failures: usize,
    wall: Duration,
    cpu: Duration,
    signalling: Duration,
    /// By name of thread.
    threads: BTreeMap<String, Duration>,
    memory: u64,
    /// What the server grew by in this step.
    grown: u64,
    initiate_ms: Vec<u128>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let idle = usage(options.pid)?;
    let mut steps = Vec::new();
    let mut before = 0;
    let mut staying = Vec::new();
    for occupants in &options.steps {
        let step = step(&options, *occupants, occupants.saturating_sub(before), &mut staying).await?;
        print_step(&step, &idle, steps.is_empty());
        steps.push(step);
        before = *occupants;
    }
    print_threads(&steps);
    print_memory(&steps, &idle, options.without_media);
    if let Some(path) = &options.json {
        let told: Vec<Value> = steps.iter().map(|step| told(step, &idle)).collect();
        std::fs::write(path, serde_json::to_string_pretty(&json!({ "rate": options.rate, "steps": told }))?)?;
    }
    Ok(())
}

/// Lets `joins` clients in at the rate; they stay behind in tasks of their own.
async fn step(
    options: &Options,
    occupants: usize,
    joins: usize,
    staying: &mut Vec<tokio::task::JoinHandle<()>>,
) -> Result<Step> {
    let (before, began) = (usage(options.pid)?, Instant::now());
    let (sender, mut results) = tokio::sync::mpsc::unbounded_channel::<Option<Duration>>();
    for number in 0..joins {
        let due = began + Duration::from_secs_f64(number as f64 / options.rate);
        tokio::time::sleep_until(due.into()).await;
        let (address, domain, room) = (options.address.clone(), options.domain.clone(), options.room.clone());
        let (sender, declines) = (sender.clone(), options.without_media);
        staying.push(tokio::spawn(async move {
            let mut client = match Client::open(&address, &domain, &room).await {
                Ok(client) => client,
                Err(error) => {
                    eprintln!("open: {error:#}");
                    let _ = sender.send(None);
                    return;
                }
            };
            if declines {
                client.decline();
            }
            match client.join(&domain).await {
                Ok(took) => {
                    let _ = sender.send(Some(took));
                    drop(sender);
                    let _ = client.stay(Instant::now() + STAY).await;
                }
                Err(error) => {
                    eprintln!("join: {error:#}");
                    let _ = sender.send(None);
                }
            }
        }));
    }
    drop(sender);
    let mut initiate_ms = Vec::new();
    let mut failures = 0;
    while let Some(result) = results.recv().await {
        match result {
            Some(took) => initiate_ms.push(took.as_millis()),
            None => failures += 1,
        }
    }
    let wall = began.elapsed();
    // Until what a join left behind has been taken away.
    tokio::time::sleep(SETTLE).await;
    let after = usage(options.pid)?;
    initiate_ms.sort_unstable();
    Ok(Step {
        occupants,
        joins,
        failures,
        wall,
        cpu: after.cpu.saturating_sub(before.cpu),
        signalling: after.of("signaling").saturating_sub(before.of("signaling")),
        threads: after.since(&before),
        memory: after.memory,
        grown: after.memory.saturating_sub(before.memory),
        initiate_ms,
    })
}

fn percentile(sorted: &[u128], share: f64) -> u128 {
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or_default()
}

fn told(step: &Step, idle: &Usage) -> Value {
    let joins = step.joins.max(1) as f64;
    let people = step.occupants.max(1) as u64;
    json!({
        "occupants": step.occupants, "joins": step.joins, "failures": step.failures,
        "seconds": step.wall.as_secs_f64(),
        "cpu_us_per_join": step.cpu.as_micros() as f64 / joins,
        "signalling_us_per_join": step.signalling.as_micros() as f64 / joins,
        "cpu_share_of_a_core": step.cpu.as_secs_f64() / step.wall.as_secs_f64(),
        "signalling_share_of_a_core": step.signalling.as_secs_f64() / step.wall.as_secs_f64(),
        "cpu_ms_by_thread": step.threads.iter().map(|(name, cpu)| (name.clone(), cpu.as_millis() as u64)).collect::<BTreeMap<_, _>>(),
        "initiate_ms_p50": percentile(&step.initiate_ms, 0.5),
        "initiate_ms_p99": percentile(&step.initiate_ms, 0.99),
        "bytes_per_further_occupant": step.grown / step.joins.max(1) as u64,
        "bytes_per_occupant": step.memory.saturating_sub(idle.memory) / people,
    })
}

fn print_step(step: &Step, idle: &Usage, is_first: bool) {
    if is_first {
        println!(
            "occupants  joins  failed  cpu ms/join  signalling ms/join  cpu % of a core  signalling %  initiate p50 ms  p99 ms  kB/occupant  kB/further occupant"
        );
    }
    let told = told(step, idle);
    let number = |key: &str| told[key].as_f64().unwrap_or_default();
    println!(
        "{:>9}  {:>5}  {:>6}  {:>11.2}  {:>18.2}  {:>15.1}  {:>12.1}  {:>15}  {:>6}  {:>11.1}  {:>19.1}",
        step.occupants,
        step.joins,
        step.failures,
        number("cpu_us_per_join") / 1_000.0,
        number("signalling_us_per_join") / 1_000.0,
        number("cpu_share_of_a_core") * 100.0,
        number("signalling_share_of_a_core") * 100.0,
        number("initiate_ms_p50"),
        number("initiate_ms_p99"),
        number("bytes_per_occupant") / 1_024.0,
        number("bytes_per_further_occupant") / 1_024.0,
    );
}

/// How the CPU time of each step is parted between the threads, those of one name together.
fn print_threads(steps: &[Step]) {
    println!("CPU by thread:");
    for step in steps {
        let all: Duration = step.threads.values().sum();
        let mut threads: Vec<(&String, &Duration)> = step.threads.iter().collect();
        threads.sort_by_key(|(_, cpu)| std::cmp::Reverse(**cpu));
        let told = threads.iter().take(THREADS_SHOWN).map(|(name, cpu)| {
            let share = 100.0 * cpu.as_secs_f64() / all.as_secs_f64().max(f64::MIN_POSITIVE);
            format!("{name} {:.2} s ({share:.0}%)", cpu.as_secs_f64())
        });
        println!("  to {} occupants: {}", step.occupants, told.collect::<Vec<_>>().join(", "));
    }
}

/// What an occupant holds: on average with all that the server took once, and at the margin without it.
fn print_memory(steps: &[Step], idle: &Usage, without_media: bool) {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return };
    let kb = |bytes: u64, people: usize| bytes as f64 / 1_024.0 / people.max(1) as f64;
    let what = if without_media { "without its media seat" } else { "with its media seat" };
    println!("memory of an occupant {what}:");
    let all = kb(last.memory.saturating_sub(idle.memory), last.occupants);
    println!("  {all:.1} kB on average over {} occupants, what was taken once included", last.occupants);
    let further = last.occupants.saturating_sub(first.occupants);
    if further > 0 {
        let grown = kb(last.memory.saturating_sub(first.memory), further);
        println!("  {grown:.1} kB each from {} to {} occupants", first.occupants, last.occupants);
    }
}

/// The rest is of housekeeping.
const THREADS_SHOWN: usize = 6;
/// How long clients stay at most after they joined.
const STAY: Duration = Duration::from_secs(170);
/// Servers free what ended at their next look.
const SETTLE: Duration = Duration::from_secs(2);

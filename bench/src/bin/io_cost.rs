//! Ways through the kernel side by side: io_uring and plain, segmentation on and off, both cipher libraries, and sockets
//! connected to some receivers with what they cost everyone else.

use std::process::ExitCode;

use bench::connected::{ConnectedSend, Stray};
use bench::options::{Run, finish};
use bench::production::{Production, Setting};
use bench::rounds::{Cost, Effort, Workload, measure};
use bench::scene::Scene;
use clap::Parser;
use serde_json::{Value, json};
use worker::CipherProvider;

/// Measure the production turn of one sender and 50 receivers over each way through the kernel; connected sockets, which
/// the product does not use, by sending alone. CPU time of one thread, all taking turns.
#[derive(Parser, Debug)]
#[command(name = "io_cost")]
struct Arguments {
    /// Packets that arrive together
    #[arg(long, value_delimiter = ',', default_value = "1,8", value_name = "B,…")]
    batch: Vec<usize>,
    #[command(flatten)]
    run: Run,
}

fn main() -> ExitCode {
    finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let effort = arguments.run.effort();
    let mut rows = Vec::new();
    println!("ns of CPU per datagram: median (least..most) of the rounds");
    for &batch in &arguments.batch {
        if !(1..=32).contains(&batch) {
            return Err(format!("a batch of {batch}: between 1 and 32"));
        }
        turns(batch, effort, &mut rows)?;
        connected(batch, effort, &mut rows)?;
    }
    let mut strays: Vec<Box<dyn Workload>> = Vec::new();
    for count in [0, 16, 100, 1_000] {
        strays.push(Box::new(Stray::new(count)?));
    }
    for (cost, count) in measure(&mut strays, effort)?.iter().zip([0, 16, 100, 1_000]) {
        print("stray", cost);
        rows.push(
            json!({ "workload": "stray", "connected_sockets": count, "cpu_ns_per_packet": cost.median }),
        );
    }
    arguments.run.write(&Value::Array(rows))
}

/// The production turn in all combinations.
fn turns(batch: usize, effort: Effort, rows: &mut Vec<Value>) -> Result<(), String> {
    let scene = Scene::big_room(batch, RECEIVERS, BYTES);
    let mut loops: Vec<Box<dyn Workload>> = Vec::new();
    let mut settings = Vec::new();
    for choice in [uring::Choice::IoUring, uring::Choice::Plain] {
        for gso in [true, false] {
            for provider in CipherProvider::ALL {
                let setting = Setting { gso, ..Setting::with_provider(provider) };
                loops.push(Box::new(Production::kernel(scene, setting, choice)?));
                settings.push((choice, gso, provider));
            }
        }
    }
    for (cost, (choice, gso, provider)) in measure(&mut loops, effort)?.iter().zip(settings) {
        print(&format!("B={batch}, gso {}", if gso { "on" } else { "off" }), cost);
        rows.push(json!({
            "workload": format!("big-room-{batch}"),
            "forwarded_packets": cost.sent,
            "cpu_ns_per_packet": cost.median,
            "segments_per_send": cost.per_send,
            "io": if choice == uring::Choice::IoUring { "io_uring" } else { "plain" },
            "gso": gso,
            "connected": false,
            "provider": provider.name(),
        }));
    }
    Ok(())
}

/// Sending alone, by connected sockets or not.
fn connected(batch: usize, effort: Effort, rows: &mut Vec<Value>) -> Result<(), String> {
    let mut loops: Vec<Box<dyn Workload>> = Vec::new();
    for count in [0, CONNECTED, RECEIVERS] {
        loops.push(Box::new(ConnectedSend::new(batch, RECEIVERS, BYTES, count)?));
    }
    for (cost, count) in measure(&mut loops, effort)?.iter().zip([0, CONNECTED, RECEIVERS]) {
        print(&format!("B={batch}"), cost);
        rows.push(json!({
            "workload": format!("send-{batch}"),
            "forwarded_packets": cost.sent,
            "cpu_ns_per_packet": cost.median,
            "io": "sendmsg",
            "gso": batch > 1,
            "connected": count > 0,
            "connected_sockets": count,
            "provider": "none",
        }));
    }
    Ok(())
}

fn print(of: &str, cost: &Cost) {
    let range = format!("{:.0}..{:.0}", cost.least, cost.most);
    let sends = cost.per_send.map_or(String::new(), |sends| format!("  {sends:.1} a send"));
    println!("{of:<15} {:<34} {:>7.0}  {range:>15}{sends}", cost.name, cost.median);
}

const RECEIVERS: usize = 50;
/// A capped number of them.
const CONNECTED: usize = 16;
const BYTES: usize = 1_216;

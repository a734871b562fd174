//! The production turn against the bare loop of the same workload, in one run.

use std::process::ExitCode;

use bench::bare_scene::BareScene;
use bench::cipher::Provider;
use bench::options::{Run, finish};
use bench::production::{Production, Setting};
use bench::rounds::{Cost, Effort, Workload, measure};
use bench::scene::Scene;
use clap::{Parser, ValueEnum};
use contract::session::SrtpProfile;
use serde_json::{Value, json};
use worker::{CipherProvider, Sending};

/// That of the product: where it puts the state of endpoints is a part of what a packet costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure what the production turn costs per forwarded packet, and its ratio to the bare loop on the same workload,
/// carried the same way. Clients answer ICE and send media, nothing else. CPU time of one thread, kernel included.
#[derive(Parser, Debug)]
#[command(name = "turn_cost")]
struct Arguments {
    /// By name; all by default
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    workload: Vec<String>,
    /// What carries the datagrams
    #[arg(long, value_enum, value_delimiter = ',', default_value = "io-uring")]
    io: Vec<Way>,
    /// SRTP profile of all
    #[arg(long, value_enum, default_value = "gcm")]
    profile: Profile,
    /// Library behind AES-GCM, of the turn and of the bare loop
    #[arg(long, value_enum, value_delimiter = ',', default_value = "auto")]
    provider: Vec<Library>,
    /// Segmentation offload
    #[arg(long, value_delimiter = ',', default_value = "true", value_name = "BOOL,…")]
    gso: Vec<bool>,
    /// Thousandths of bytes that may be padding
    #[arg(long, default_value_t = Sending::default().padding_permille)]
    padding_permille: u16,
    /// Packet slots of the worker
    #[arg(long, default_value_t = worker::Config::default().slots)]
    slots: u32,
    /// Instead of the usual workloads one sender and so many receivers, with --batch
    #[arg(long, value_name = "N")]
    receivers: Option<usize>,
    /// Packets that arrive together, with --receivers
    #[arg(long, value_name = "B", default_value_t = 8)]
    batch: usize,
    /// Bytes of each datagram, with --receivers
    #[arg(long, default_value_t = 1_216)]
    bytes: usize,
    /// Leave the bare loop out: for profiles
    #[arg(long)]
    turn_only: bool,
    /// One round of so many passes, none before it: for counting instructions, with --turn-only
    #[arg(long, value_name = "COUNT")]
    passes: Option<usize>,
    #[command(flatten)]
    run: Run,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Profile {
    /// AEAD_AES_128_GCM
    Gcm,
    /// AES128_CM_HMAC_SHA1_80
    Sha1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Library {
    /// The faster one here
    Auto,
    /// aws-lc-rs
    AwsLc,
    /// ring
    Ring,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// No kernel
    Memory,
    /// The io_uring back end
    #[value(name = "io-uring")]
    Ring,
    /// The plain back end
    Plain,
}

fn main() -> ExitCode {
    finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let effort = match arguments.passes {
        Some(passes) => Effort { rounds: 0, nanoseconds: 0, passes: Some(passes) },
        None => arguments.run.effort(),
    };
    let mut rows = Vec::new();
    println!("ns of CPU per datagram sent: median (least..most) of the rounds");
    for scene in scenes(arguments)? {
        for &io in &arguments.io {
            for library in libraries(arguments) {
                for &gso in &arguments.gso {
                    let costs = measure(&mut loops(arguments, scene, io, library, gso)?, effort)?;
                    rows.push(row(scene, io, library, gso, &costs));
                }
            }
        }
    }
    arguments.run.write(&Value::Array(rows))
}

fn scenes(arguments: &Arguments) -> Result<Vec<Scene>, String> {
    if let Some(receivers) = arguments.receivers {
        if !(1..=200).contains(&receivers) || !(1..=32).contains(&arguments.batch) {
            return Err("1 to 200 receivers, 1 to 32 packets at once".to_owned());
        }
        if !(120..=1_400).contains(&arguments.bytes) {
            return Err("120 to 1,400 bytes".to_owned());
        }
        return Ok(vec![Scene::big_room(arguments.batch, receivers, arguments.bytes)]);
    }
    if arguments.workload.is_empty() {
        return Ok(Scene::ALL.to_vec());
    }
    let names: Vec<&str> = Scene::ALL.iter().map(|scene| scene.name).collect();
    let by_name = |name: &String| {
        let scene = Scene::ALL.into_iter().find(|scene| scene.name == name);
        scene.ok_or(format!("no workload {name}; there are {}", names.join(", ")))
    };
    arguments.workload.iter().map(by_name).collect()
}

fn libraries(arguments: &Arguments) -> Vec<CipherProvider> {
    let began = std::time::Instant::now();
    let faster = || {
        let measured = transport::srtp::measure::measure(|| began.elapsed());
        measured.map_or(CipherProvider::default(), |measured| measured.faster())
    };
    let library = |library: &Library| match library {
        Library::Auto => faster(),
        Library::AwsLc => CipherProvider::AwsLc,
        Library::Ring => CipherProvider::Ring,
    };
    arguments.provider.iter().map(library).collect()
}

/// The turn, and the bare loop.
fn loops(
    arguments: &Arguments,
    scene: Scene,
    io: Way,
    library: CipherProvider,
    gso: bool,
) -> Result<Vec<Box<dyn Workload>>, String> {
    let (cipher, profile) = match (arguments.profile, library) {
        (Profile::Gcm, CipherProvider::AwsLc) => (Provider::AwsLcGcm, SrtpProfile::AeadAes128Gcm),
        (Profile::Gcm, CipherProvider::Ring) => (Provider::RingGcm, SrtpProfile::AeadAes128Gcm),
        (Profile::Sha1, _) => (Provider::AwsLcSha1, SrtpProfile::Aes128CmHmacSha1_80),
    };
    let sending = Sending { padding_permille: arguments.padding_permille, ..Sending::default() };
    let setting = Setting { profile, provider: library, sending, gso, slots: arguments.slots };
    let choice = match io {
        Way::Memory => None,
        Way::Ring => Some(uring::Choice::IoUring),
        Way::Plain => Some(uring::Choice::Plain),
    };
    let turn: Box<dyn Workload> = match choice {
        None => Box::new(Production::flat(scene, setting)?),
        Some(choice) => Box::new(Production::kernel(scene, setting, choice)?),
    };
    if arguments.turn_only {
        return Ok(vec![turn]);
    }
    Ok(vec![turn, Box::new(BareScene::new(scene, cipher, choice, gso)?)])
}

/// Print a line, and make one of JSON.
fn row(scene: Scene, io: Way, library: CipherProvider, gso: bool, costs: &[Cost]) -> Value {
    for cost in costs {
        let range = format!("{:.0}..{:.0}", cost.least, cost.most);
        let sends = cost.per_send.map_or(String::new(), |sends| format!("  {sends:.1} a send"));
        println!("{:<15} {:<30} {:>7.0}  {range:>15}{sends}", scene.name, cost.name, cost.median);
    }
    let (turn, bare) = (&costs[0], costs.get(1));
    let ratio = bare.map(|bare| turn.median / bare.median);
    if let Some(ratio) = ratio {
        println!("{:<15} ratio {ratio:.2}", scene.name);
    }
    let io = match io {
        Way::Memory => "memory",
        Way::Ring => "io_uring",
        Way::Plain => "plain",
    };
    json!({
        "workload": scene.name,
        "forwarded_packets": turn.sent,
        "cpu_ns_per_packet": turn.median,
        "bare_loop_ns_per_packet": bare.map(|bare| bare.median),
        "ratio": ratio,
        "segments_per_send": turn.per_send,
        "io": io,
        "gso": gso,
        "connected": false,
        "provider": library.name(),
    })
}

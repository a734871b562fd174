//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use contract::session::Codec;
use core_affinity::CoreId;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::peers::comparison::{self, WORKLOADS};
use crate::peers::launch::{Programs, System};
use crate::profile::{Changes, SUITE, Shape};
use crate::run::Settings;
use crate::scenario::Scenario;
use crate::socket::SocketOptions;

/// Load a conference server with thousands of endpoints: real signalling, ICE, DTLS and SRTP; and measure what comes back.
#[derive(Debug, Parser)]
#[command(name = "sluice-load", version, args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub struct CommandLine {
    /// What else than a single run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// A single run.
    #[command(flatten)]
    pub run: RunOptions,
}

/// What else there is.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Grow a workload until packets are lost or late, and say how many seats this host carries.
    Capacity(CapacityOptions),
    /// Replace the server by a bare echo: the loss and lateness of the generator itself.
    SelfCheck(SelfCheckOptions),
    /// Start other units (JVB, Janus, LiveKit) beside ours, load all in turns, and compare.
    Peers(PeersOptions),
    /// Start our server several times: time to the first accepted join, and memory, idle and for each endpoint.
    Footprint(FootprintOptions),
}

/// Options of a single run.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// Where.
    #[command(flatten)]
    pub target: TargetOptions,
    /// List the workloads and end.
    #[arg(long)]
    pub profiles: bool,
    /// Write a page with plots (HTML with SVG) to this file.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// What and how.
    #[command(flatten)]
    pub load: LoadOptions,
}

/// Options of `capacity`.
#[derive(Debug, Args)]
pub struct CapacityOptions {
    /// Where.
    #[command(flatten)]
    pub target: TargetOptions,
    /// Highest 99th percentile of the delay, in microseconds.
    #[arg(long, default_value_t = 5_000)]
    pub p99_us: u64,
    /// Highest share of packets lost, in percent.
    #[arg(long, default_value_t = 0.0)]
    pub loss_percent: f64,
    /// Rooms, or participants of the one room, to begin with.
    #[arg(long)]
    pub from: Option<usize>,
    /// What and how.
    #[command(flatten)]
    pub load: LoadOptions,
}

/// Options of `self-check`.
#[derive(Debug, Args)]
pub struct SelfCheckOptions {
    /// What and how.
    #[command(flatten)]
    pub load: LoadOptions,
}

/// Options of `peers`.
#[derive(Debug, Args)]
pub struct PeersOptions {
    /// Fewer and shorter rounds, to see that it works: no figures to quote.
    #[arg(long)]
    pub quick: bool,
    /// Compare only these, by name: sluice, jvb, janus, livekit.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Only these workloads: B2, pairs, big-ln8; larger: B2-N (N rooms of 5), big-N (one room of N, three send).
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub workload: Vec<String>,
    /// Times that each has its turn, after one that does not count; the median is told.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Our server's program.
    #[arg(long, value_name = "PROGRAM", env = "SLUICE", default_value = "sluice")]
    pub sluice: PathBuf,
    /// The unpacked folder of Jitsi Videobridge.
    #[arg(long, value_name = "FOLDER", env = "JVB")]
    pub jvb: Option<PathBuf>,
    /// Janus's program.
    #[arg(long, value_name = "PROGRAM", env = "JANUS", default_value = "janus")]
    pub janus: PathBuf,
    /// LiveKit's server program.
    #[arg(long, value_name = "PROGRAM", env = "LIVEKIT", default_value = "livekit-server")]
    pub livekit: PathBuf,
    /// First of the ports that the servers take.
    #[arg(long, default_value_t = 23_000)]
    pub port: u16,
    /// Write the figures to this file as JSON; "-" = standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// How to run.
    #[command(flatten)]
    pub host: Host,
}

/// Options of `footprint`.
#[derive(Debug, Args)]
pub struct FootprintOptions {
    /// Our server's program.
    #[arg(long, value_name = "PROGRAM", env = "SLUICE", default_value = "sluice")]
    pub sluice: PathBuf,
    /// Starts of which the median is told.
    #[arg(long, default_value_t = 5)]
    pub starts: usize,
    /// First of the ports that the server takes.
    #[arg(long, default_value_t = 23_000)]
    pub port: u16,
    /// Write the figures to this file as JSON; "-" = standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Say nothing but the result.
    #[arg(long, short)]
    pub quiet: bool,
}

/// The server under load.
#[derive(Debug, Args)]
pub struct TargetOptions {
    /// Where the server is, as in a browser.
    #[arg(long, default_value = "http://localhost:8080")]
    pub url: String,
    /// Take any TLS certificate (on loopback this is so anyway).
    #[arg(long)]
    pub insecure: bool,
    /// Do not ask for SSRC rewriting: streams come on the SSRCs of their senders.
    #[arg(long)]
    pub no_rewriting: bool,
    /// Participants that the server takes in a room (Sluice: conference.occupants_max); larger workloads are refused.
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub room_limit: usize,
}

/// What every way of loading has.
#[derive(Debug, Args)]
pub struct LoadOptions {
    /// Write the figures to this file as JSON; "-" = standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// What to send.
    #[command(flatten)]
    pub workload: Workload,
    /// How to run.
    #[command(flatten)]
    pub host: Host,
}

/// What is sent and received.
#[derive(Debug, Args)]
#[command(next_help_heading = "Workload")]
pub struct Workload {
    /// A named workload; --profiles lists them. Options below change it.
    #[arg(long, default_value = "B2")]
    pub profile: String,
    /// Rooms.
    #[arg(long)]
    pub rooms: Option<usize>,
    /// Participants of each room.
    #[arg(long)]
    pub participants: Option<usize>,
    /// How many of them send.
    #[arg(long)]
    pub senders: Option<usize>,
    /// Bits per second of the highest video layer.
    #[arg(long)]
    pub bitrate: Option<u32>,
    /// Simulcast encodings (VP8, H264, AV1) or spatial layers (VP9), 1 to 3; 0 = no video.
    #[arg(long)]
    pub layers: Option<usize>,
    /// Codec of the cameras.
    #[arg(long, value_enum)]
    pub codec: Option<VideoCodec>,
    /// Videos that each receives at most; -1 = all.
    #[arg(long, allow_negative_numbers = true)]
    pub last_n: Option<i32>,
    /// Height that each asks for; -1 = any, 0 = no video.
    #[arg(long, allow_negative_numbers = true)]
    pub max_height: Option<i32>,
    /// Joins per second.
    #[arg(long)]
    pub join_rate: Option<f64>,
}

/// A video codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VideoCodec {
    /// VP8, simulcast, three temporal layers.
    Vp8,
    /// VP9, spatial layers on one stream.
    Vp9,
    /// H264, simulcast.
    H264,
    /// AV1, simulcast, dependency descriptors.
    Av1,
}

/// How the generator runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Generator")]
pub struct Host {
    /// Seconds to measure; default: 20, of each step of a search for the capacity 6.
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Seconds between the last join and the measurement.
    #[arg(long, default_value_t = 3.0)]
    pub warm_up: f64,
    /// Media threads.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Cores of the generator, such as 1 or 2,3; "any" = wherever the system puts it. Default: the last core.
    #[arg(long, value_name = "LIST")]
    pub cores: Option<String>,
    /// Open one frame in so many and look into it; 1 = all.
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub sample: u32,
    /// Media threads poll and never wait.
    #[arg(long)]
    pub spin: bool,
    /// Receive one datagram a call (no UDP_GRO).
    #[arg(long)]
    pub no_gro: bool,
    /// Send one datagram a call (no UDP_SEGMENT).
    #[arg(long)]
    pub no_gso: bool,
    /// The server's process. Default: whoever listens on the port of the URL, if that is this machine.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Say nothing but the result.
    #[arg(long, short)]
    pub quiet: bool,
}

impl TargetOptions {
    /// Whether the server takes rooms of this size.
    ///
    /// # Errors
    /// If not, with what to change.
    pub fn takes(&self, shape: &Shape) -> Result<(), String> {
        let (needed, limit) = (shape.participants, self.room_limit);
        if needed <= limit {
            return Ok(());
        }
        Err(format!(
            "{}: rooms of {needed}, but the server takes {limit} (--room-limit): set conference.occupants_max = {needed} at the \
             server and give --room-limit {needed}, or take fewer (--participants)",
            shape.name
        ))
    }
}

impl PeersOptions {
    /// The units to compare, in the order of their turns.
    ///
    /// # Errors
    /// If a name is unknown.
    pub fn systems(&self) -> Result<Vec<System>, String> {
        if let Some(unknown) =
            self.only.iter().find(|name| System::ALL.iter().all(|system| system.name() != **name))
        {
            let names = System::ALL.map(System::name).join(", ");
            return Err(format!("--only {unknown}: none of {names}"));
        }
        let wanted =
            |system: &System| self.only.is_empty() || self.only.iter().any(|name| name == system.name());
        Ok(System::ALL.into_iter().filter(wanted).collect())
    }

    /// The workloads to compare under.
    ///
    /// # Errors
    /// If a name is unknown.
    pub fn shapes(&self) -> Result<Vec<Shape>, String> {
        if self.workload.is_empty() {
            return WORKLOADS.iter().map(|(name, _)| comparison::workload(name)).collect();
        }
        self.workload.iter().map(|name| comparison::workload(name)).collect()
    }

    /// Where the programs are.
    pub fn programs(&self) -> Programs {
        let PeersOptions { sluice, jvb, janus, livekit, .. } = self;
        Programs { sluice: sluice.clone(), jvb: jvb.clone(), janus: janus.clone(), livekit: livekit.clone() }
    }
}

impl Workload {
    /// Whether several workloads run one after another.
    pub fn is_suite(&self) -> bool {
        self.profile == "lk-suite"
    }

    /// The workloads as asked for.
    ///
    /// # Errors
    /// If one is unknown or impossible, with the reason.
    pub fn shapes(&self) -> Result<Vec<Shape>, String> {
        if !self.is_suite() {
            return Ok(vec![self.shape()?]);
        }
        SUITE.iter().map(|name| self.shape_of(name)).collect()
    }

    /// The workload as asked for.
    ///
    /// # Errors
    /// If it is unknown or impossible, with the reason.
    pub fn shape(&self) -> Result<Shape, String> {
        self.shape_of(&self.profile)
    }

    fn shape_of(&self, profile: &str) -> Result<Shape, String> {
        let codec = self.codec.map(|codec| match codec {
            VideoCodec::Vp8 => Codec::Vp8,
            VideoCodec::Vp9 => Codec::Vp9,
            VideoCodec::H264 => Codec::H264,
            VideoCodec::Av1 => Codec::Av1,
        });
        Shape::named(profile)?.changed(&Changes {
            rooms: self.rooms,
            participants: self.participants,
            senders: self.senders,
            bitrate: self.bitrate,
            layers: self.layers,
            codec,
            last_n: self.last_n,
            max_height: self.max_height,
            join_rate: self.join_rate,
        })
    }
}

impl Host {
    /// Settings of a run, which lasts `seconds` unless told.
    ///
    /// # Errors
    /// If something is impossible, with the reason.
    pub fn settings(&self, seconds: f64) -> Result<Settings, String> {
        let seconds = self.seconds.unwrap_or(seconds);
        if !(1.0..=SECONDS_MAX).contains(&seconds) {
            return Err(format!("--seconds {seconds}: 1 to {SECONDS_MAX}"));
        }
        if !(self.warm_up >= 0.0 && self.warm_up <= SECONDS_MAX) {
            return Err(format!("--warm-up {}: 0 to {SECONDS_MAX}", self.warm_up));
        }
        if self.threads == 0 || self.threads > THREADS_MAX {
            return Err(format!("--threads {}: 1 to {THREADS_MAX}", self.threads));
        }
        if self.sample == 0 {
            return Err("--sample 0: at least one frame in so many must be opened; 1 opens all".into());
        }
        Ok(Settings {
            seconds,
            warm_up: Duration::from_secs_f64(self.warm_up),
            threads: self.threads,
            cores: self.core_ids()?,
            sample: self.sample,
            spin: self.spin,
            sockets: SocketOptions { gro: !self.no_gro, gso: !self.no_gso, ..SocketOptions::default() },
            server: None,
        })
    }

    fn core_ids(&self) -> Result<Vec<CoreId>, String> {
        let known = core_affinity::get_core_ids().unwrap_or_default();
        let Some(list) = &self.cores else {
            // The last ones; with a single core there is nothing to choose.
            let count = self.threads.min(known.len().saturating_sub(1));
            return Ok(known[known.len() - count..].to_vec());
        };
        if list == "any" {
            return Ok(Vec::new());
        }
        let core = |text: &str| {
            let id = text.trim().parse::<usize>().ok().map(|id| CoreId { id });
            id.filter(|id| known.contains(id)).ok_or_else(|| {
                let known: Vec<String> = known.iter().map(|core| core.id.to_string()).collect();
                format!("--cores {list}: `{text}` is none of {}", known.join(", "))
            })
        };
        list.split(',').map(core).collect()
    }
}

/// Raises the limit of open files as far as it goes, and says if that is too few for a scenario.
///
/// # Errors
/// If it is.
pub fn raise_open_files(scenario: &Scenario) -> Result<(), String> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| error.to_string())?;
    let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    let needed = scenario.endpoints() as u64 * FILES_PER_ENDPOINT + FILES_BESIDES;
    if needed > most {
        return Err(format!(
            "{} endpoints need {needed} open files, the limit is {most}: raise it (`ulimit -n`) or take fewer",
            scenario.endpoints()
        ));
    }
    Ok(())
}

/// Of a run.
pub const RUN_SECONDS: f64 = 20.0;
/// Of a step of a search for the capacity: some ten of them are done within minutes.
pub const STEP_SECONDS: f64 = 6.0;
const SECONDS_MAX: f64 = 86_400.0;
const THREADS_MAX: usize = 64;
/// Signalling and media, which some products have on two connections.
const FILES_PER_ENDPOINT: u64 = 3;
const FILES_BESIDES: u64 = 64;

const AFTER_HELP: &str = "\
A run joins endpoints, lets them settle, measures for --seconds, and leaves. Ctrl-C ends it early with the figures so far.
Delays are from sending to the kernel's arrival stamp, by one clock: run the generator on one machine.

Examples:
  sluice-load --url http://localhost:8080 --profile B2 --seconds 30 --json b2.json --report b2.html
  sluice-load --profile custom --rooms 4 --participants 10 --layers 3 --codec vp9 --last-n 5
  sluice-load capacity --profile B2
  sluice-load self-check --profile B2

Exit status: 0 = done; 1 = could not run, or nobody got in; 2 = impossible settings; 3 = done, but packets were lost, not
authentic or of a wrong source; 4 = done, but the generator itself was the bottleneck.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
        let line = CommandLine::try_parse_from(["sluice-load", "--last-n", "-1", "--layers", "2"]).unwrap();
        assert_eq!((line.run.load.workload.last_n, line.run.load.workload.layers), (Some(-1), Some(2)));
        assert!(CommandLine::try_parse_from(["sluice-load", "capacity", "--profile", "B2"]).is_ok());
    }

    #[test]
    fn rooms_that_the_server_does_not_take_are_refused_before_anybody_joins() {
        let line = |arguments: &[&str]| {
            CommandLine::try_parse_from(["sluice-load"].iter().chain(arguments)).expect("legal").run
        };
        let suite = line(&["--profile", "lk-suite"]);
        let refused: Vec<String> = suite
            .load
            .workload
            .shapes()
            .unwrap()
            .iter()
            .filter_map(|shape| suite.target.takes(shape).err())
            .collect();
        assert_eq!(refused.len(), 4, "{refused:?}");
        assert!(refused[0].contains("conference.occupants_max = 510"), "{refused:?}");
        let raised = line(&["--profile", "lk-suite", "--room-limit", "1010"]);
        assert!(
            raised.load.workload.shapes().unwrap().iter().all(|shape| raised.target.takes(shape).is_ok())
        );
    }

    #[test]
    fn units_and_workloads_are_chosen_by_name() {
        let peers = |arguments: &[&str]| {
            let line =
                CommandLine::try_parse_from(["sluice-load", "peers"].iter().chain(arguments)).expect("legal");
            let Some(Command::Peers(options)) = line.command else { panic!("peers") };
            options
        };
        assert_eq!(peers(&[]).systems().unwrap(), System::ALL);
        assert_eq!(peers(&["--only", "jvb,sluice"]).systems().unwrap(), [System::Sluice, System::Jvb]);
        assert!(peers(&["--only", "zoom"]).systems().unwrap_err().contains("sluice, jvb, janus, livekit"));
        assert_eq!(peers(&["--workload", "pairs"]).shapes().unwrap().len(), 1);
        assert!(peers(&["--workload", "x"]).shapes().is_err());
    }

    #[test]
    fn impossible_settings_are_refused_with_the_reason() {
        for (arguments, why) in [
            (["--seconds", "0"], "1 to"),
            (["--threads", "0"], "1 to 64"),
            (["--sample", "0"], "1 opens all"),
            (["--cores", "999"], "none of"),
            (["--warm-up", "inf"], "0 to"),
        ] {
            let line = CommandLine::try_parse_from(["sluice-load"].into_iter().chain(arguments)).unwrap();
            let error = line.run.load.host.settings(RUN_SECONDS).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}

//! The production turn against the bare loop of the same batch shape, in one run.

use std::process::ExitCode;

use bench::bare::{Bare, Carrier};
use bench::cipher::Provider;
use bench::options::{Options, Shape};
use bench::production::Production;
use bench::rounds::{Cost, Workload, measure};
use bench::table::{self, Line};
use clap::{Parser, ValueEnum};
use contract::session::SrtpProfile;

/// Measure what the production turn costs per forwarded packet, without a kernel and through the back ends, and its
/// ratio to the bare loop that carries datagrams the same way. One sender, N receivers that get each of its B packets;
/// receivers answer ICE and send nothing else. CPU time of one thread.
#[derive(Parser, Debug)]
#[command(name = "turn_cost")]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// SRTP profile of all
    #[arg(long, value_enum, default_value = "gcm")]
    profile: Profile,
    /// What carries the datagrams; plain is compared with the bare loop on recvmmsg and sendmmsg
    #[arg(long, value_enum, value_delimiter = ',', default_value = "memory,io-uring,plain")]
    io: Vec<Way>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Profile {
    /// AEAD_AES_128_GCM
    Gcm,
    /// AES128_CM_HMAC_SHA1_80
    Sha1,
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
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let options = &arguments.options;
    let shapes = options.shapes()?;
    let mut lines = Vec::new();
    table::print_head();
    for shape in shapes {
        let mut workloads: Vec<Box<dyn Workload>> = Vec::new();
        for &io in &arguments.io {
            workloads.extend(pair(shape, arguments.profile, io)?);
        }
        let costs = measure(&mut workloads, options.effort())?;
        for line in compared(shape, &arguments.io, &costs) {
            table::print(&line);
            lines.push(line);
        }
    }
    match &options.json {
        Some(path) => table::write(path, "turn_cost", options.quick, &lines),
        None => Ok(()),
    }
}

/// The bare loop and the turn.
fn pair(shape: Shape, profile: Profile, io: Way) -> Result<[Box<dyn Workload>; 2], String> {
    let (provider, profile) = match profile {
        Profile::Gcm => (Provider::AwsLcGcm, SrtpProfile::AeadAes128Gcm),
        Profile::Sha1 => (Provider::AwsLcSha1, SrtpProfile::Aes128CmHmacSha1_80),
    };
    let bare = |carrier| Bare::new(shape, provider, carrier).map(Box::new);
    Ok(match io {
        Way::Memory => [bare(Carrier::Memory)?, Box::new(Production::flat(shape, profile)?)],
        Way::Ring => {
            let turn = Production::kernel(shape, profile, uring::Choice::IoUring)?;
            [bare(Carrier::IoUring)?, Box::new(turn)]
        }
        Way::Plain => {
            let turn = Production::kernel(shape, profile, uring::Choice::Plain)?;
            [bare(Carrier::Mmsg)?, Box::new(turn)]
        }
    })
}

/// Each turn against its bare loop; io_uring against plain where both were measured.
fn compared(shape: Shape, ways: &[Way], costs: &[Cost]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (pair, io) in costs.chunks(2).zip(ways) {
        let [bare, turn] = pair else { continue };
        let mut ratios = vec![(bare.name.clone(), turn.median / bare.median)];
        let plain = ways.iter().position(|other| *other == Way::Plain).filter(|_| *io == Way::Ring);
        if let Some(plain) = plain.and_then(|at| costs.get(2 * at + 1)) {
            ratios.push((plain.name.clone(), turn.median / plain.median));
        }
        lines.push(Line { shape, cost: bare.clone(), ratios: Vec::new() });
        lines.push(Line { shape, cost: turn.clone(), ratios });
    }
    lines
}

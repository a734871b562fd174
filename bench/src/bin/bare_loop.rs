//! The bare fan-out loop by batch shape, library and way through the kernel.

use std::process::ExitCode;

use bench::bare::{Bare, Carrier};
use bench::cipher::Provider;
use bench::options::{Options, finish};
use bench::rounds::{Workload, measure};
use bench::table::{self, Line};
use clap::Parser;

/// Measure what forwarding costs at least: receive a burst of B packets, open each once, seal each for N receivers, send
/// what goes to one receiver as one segmented message to sockets on loopback that drop it. CPU time of one thread.
#[derive(Parser, Debug)]
#[command(name = "bare_loop")]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// SRTP profile and library
    #[arg(long, value_enum, value_delimiter = ',', default_value = "aws-lc-gcm,ring-gcm,aws-lc-sha1,none")]
    provider: Vec<Provider>,
    /// Way through the kernel
    #[arg(long, value_enum, value_delimiter = ',', default_value = "memory,mmsg,io-uring")]
    carrier: Vec<Carrier>,
}

fn main() -> ExitCode {
    finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let options = &arguments.options;
    let shapes = options.shapes()?;
    let mut lines = Vec::new();
    table::print_head();
    for shape in shapes {
        let mut workloads: Vec<Box<dyn Workload>> = Vec::new();
        for &carrier in &arguments.carrier {
            for &provider in &arguments.provider {
                workloads.push(Box::new(Bare::new(shape, provider, carrier)?));
            }
        }
        for cost in measure(&mut workloads, options.run.effort())? {
            let line = Line { shape, cost, ratios: Vec::new() };
            table::print(&line);
            lines.push(line);
        }
    }
    table::write(&options.run, "bare_loop", &lines)
}

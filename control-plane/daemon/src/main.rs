//! `sluice`: a whole video conference server in one process.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

mod accounts_file;
mod bandwidth_queries;
mod bosh;
mod branding;
mod candidates;
mod challenges;
mod channels;
mod check_config;
mod client_config;
mod command_line;
mod conference_request;
mod config;
mod connections;
mod controls;
mod doctor;
mod entrance;
mod guesses;
mod handshake;
mod http;
mod ice_tcp;
mod inherited;
mod limiter;
mod log;
mod metrics_page;
mod origin;
mod outbox;
mod pace;
mod private_http;
mod prompt;
mod refusals;
mod reload;
mod room_services;
mod scrapes;
mod self_test;
mod servers;
mod signaling_loop;
mod stats_page;
mod status;
mod supervise;
mod throttle;
mod tls;
mod token;
mod top;
mod tune;
mod user;
mod wake;
mod web_root;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match command_line::CommandLine::parse().command {
        command_line::Command::Serve(arguments) => supervise::serve(&arguments),
        command_line::Command::CheckConfig(arguments) => check_config::check(&arguments),
        command_line::Command::User(command) => user::user(&command),
        command_line::Command::Doctor(arguments) => doctor::examine(&arguments),
        command_line::Command::Tune(command) => match command {
            command_line::Tune::Check(arguments) => tune::check(&arguments),
            command_line::Tune::Apply(arguments) => tune::apply(&arguments),
            command_line::Tune::Revert(arguments) => tune::revert(&arguments),
        },
        command_line::Command::Top(arguments) => top::top(&arguments),
    }
}

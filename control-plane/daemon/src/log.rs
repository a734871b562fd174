//! The log: one line an event to standard error, for people or for machines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::Log;

/// Starts logging. Later calls change nothing.
pub(crate) fn start(config: &Log) {
    // The level was checked with the settings; should it not parse all the same, `info` stands.
    let filter =
        EnvFilter::try_new(format!("{QUIETER},{}", config.level)).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    let _ = if config.json { builder.json().try_init() } else { builder.with_target(false).try_init() };
}

/// Libraries whose routine is no news; a setting that names them wins.
const QUIETER: &str = "memory_serve=warn,dimpl=warn,sctp_proto=warn";

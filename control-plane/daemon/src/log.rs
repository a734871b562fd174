//! The log: one line an event to standard error, for people or for machines; its level may change while running.

use std::io::IsTerminal;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::EnvFilter;

use crate::config::Log;

/// Starts logging. Later calls change nothing.
pub(crate) fn start(config: &Log) {
    // The level was checked with the settings; should it not parse all the same, `info` stands.
    let filter = filter(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    let change: Change = if config.json {
        let builder = builder.json().with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
    } else {
        let builder = builder.with_target(false).with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
    };
    let _ = RUNNING.set(Running { level: Mutex::new(config.level.clone()), change });
}

/// Changes the level: a word, or directives such as "info,signaling=debug".
///
/// # Errors
/// What is wrong with it; the former stays.
pub(crate) fn set_level(level: &str) -> Result<(), String> {
    let filter = filter(level)?;
    let running = RUNNING.get().ok_or("the log has not been started")?;
    (running.change)(filter)?;
    level.clone_into(&mut running.level.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(())
}

/// The level in use.
pub(crate) fn level() -> String {
    RUNNING
        .get()
        .map(|running| running.level.lock().unwrap_or_else(PoisonError::into_inner).clone())
        .unwrap_or_default()
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    // An empty filter is one that lets errors through, and nobody means that.
    if level.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    EnvFilter::try_new(format!("{QUIETER},{level}")).map_err(|error| error.to_string())
}

type Change = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

struct Running {
    level: Mutex<String>,
    change: Change,
}

static RUNNING: OnceLock<Running> = OnceLock::new();

/// Libraries whose routine is no news; a setting that names them wins.
const QUIETER: &str = "memory_serve=warn,dimpl=warn,sctp_proto=warn";

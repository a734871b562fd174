//! `sluice doctor`: what stands between this server and a meeting that works, each thing in one sentence with its cause and its fix.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::check_config;
use crate::command_line::{Doctor, EXIT_CONFIG};
use crate::config::Config;

use self::host::{Host, ThisHost};

mod addresses;
mod host;
mod machine;
mod names;
mod reach;
mod socket_holder;

/// Looks at everything and says what is wrong.
pub(crate) fn examine(arguments: &Doctor) -> ExitCode {
    let installed = Some(Path::new(INSTALLED)).filter(|path| path.exists());
    let config = match Config::load(arguments.config.as_deref().or(installed), std::env::vars()) {
        Ok(config) => config,
        Err(problems) => {
            check_config::report(&problems);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let findings = all(&config, &ThisHost);
    let text = if arguments.json { json(&findings) } else { text(&findings, &config) };
    // Whoever closes the pipe early has read enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if sound(&findings) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the server looks at before it starts: the checks that need no network and no running server.
pub(crate) fn at_start(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    names::certificate(config, &ThisHost, &mut findings);
    machine::at_start(config, &ThisHost, &mut findings);
    findings.retain(|finding| finding.level > Level::Note);
    findings
}

/// One thing that is wrong or could be better.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Which check: a name from a closed set.
    pub(crate) check: &'static str,
    pub(crate) level: Level,
    /// What is the matter and what comes of it.
    pub(crate) cause: String,
    /// What to do.
    pub(crate) fix: String,
}

/// How bad it is, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Good to know.
    Note,
    /// It works, and will not or not well for somebody.
    Warning,
    /// Something does not work.
    Fault,
}

impl Finding {
    fn new(check: &'static str, level: Level, cause: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { check, level, cause: cause.into(), fix: fix.into() }
    }

    fn fault(check: &'static str, cause: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding::new(check, Level::Fault, cause, fix)
    }

    fn warning(check: &'static str, cause: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding::new(check, Level::Warning, cause, fix)
    }

    fn note(check: &'static str, cause: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding::new(check, Level::Note, cause, fix)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Fault => "FAULT",
        };
        write!(f, "{level}: {}: {}; {}", self.check, self.cause, self.fix)
    }
}

/// All checks, the worst first.
fn all(config: &Config, host: &impl Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    names::dns(config, host, &mut findings);
    names::certificate(config, host, &mut findings);
    addresses::check(config, host, &mut findings);
    reach::check(config, host, &mut findings);
    machine::check(config, host, &mut findings);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    findings
}

fn sound(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level < Level::Fault)
}

fn json(findings: &[Finding]) -> String {
    format!("{}\n", serde_json::json!({ "sound": sound(findings), "findings": findings }))
}

fn text(findings: &[Finding], config: &Config) -> String {
    let mut text: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (faults, warnings, notes) = (count(Level::Fault), count(Level::Warning), count(Level::Note));
    text.push_str(&match (faults, warnings) {
        (0, 0) => format!("Nothing is wrong ({}).", counted(notes, "note")),
        _ => format!(
            "{}, {}, {}.",
            counted(faults, "fault"),
            counted(warnings, "warning"),
            counted(notes, "note")
        ),
    });
    let page = config.http.public_url.as_deref().unwrap_or("https://ADDRESS");
    text.push_str(&format!(
        " Whether others reach it, only others can tell: open {page}/selftest from their network.\n"
    ));
    text
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The settings of the service.
const INSTALLED: &str = "/etc/sluice/sluice.toml";

#[cfg(test)]
mod tests;

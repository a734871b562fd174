//! `sluice tune check`: what of the host's settings is off. Reads only.

use std::io::Write;
use std::process::ExitCode;

use tuning::{Current, Finding, HOST, Weight};

use crate::command_line::TuneCheck;

/// Looks and prints.
pub(crate) fn check(arguments: &TuneCheck) -> ExitCode {
    let findings = tuning::check(|path| std::fs::read_to_string(format!("/proc/sys/{path}")));
    let text = if arguments.json { json(&findings) } else { report(&findings) };
    // Whoever closes the pipe early has read enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if passes(&findings) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether nothing that matters is off. What matters and is unknown does not pass.
fn passes(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.weight < Weight::Matters)
}

fn json(findings: &[Finding]) -> String {
    let object =
        serde_json::json!({ "passes": passes(findings), "checked": HOST.len(), "findings": findings });
    format!("{object}\n")
}

/// One line a finding, and one that sums up.
fn report(findings: &[Finding]) -> String {
    let mut text: String =
        findings.iter().map(|finding| format!("{}: {finding}\n", label(finding.weight))).collect();
    let unknown = findings.iter().filter(|finding| matches!(finding.current, Current::Unknown(_))).count();
    let off = findings.len() - unknown;
    let fine = HOST.len() - findings.len();
    text.push_str(&format!("{} settings: {fine} as wanted, {off} off, {unknown} unknown.", HOST.len()));
    text.push_str(if passes(findings) { " Nothing that matters is off.\n" } else { "\n" });
    text
}

fn label(weight: Weight) -> &'static str {
    match weight {
        Weight::Matters => "warning",
        Weight::Helps => "advice",
        Weight::Informs => "note",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    /// Findings on a host as wanted but for the file `path`, which reads `text`.
    fn findings(path: &str, text: &str) -> Vec<Finding> {
        let fine = |key: &str| match key {
            "kernel/osrelease" => "6.12.0",
            "kernel/io_uring_disabled" | "net/core/busy_poll" => "0",
            "net/ipv4/udp_mem" => "1000000 1000000 1000000",
            _ => "9000000",
        };
        tuning::check(|key| Ok(if key == path { text } else { fine(key) }.to_owned()))
    }

    #[test]
    fn only_what_matters_fails_the_check() {
        let table = [
            ("", "", true),
            ("net/core/rmem_max", "212992", false),
            ("kernel/io_uring_disabled", "2", false),
            ("net/core/rmem_max", "?", false),
            ("net/core/netdev_budget", "300", true),
            ("net/core/busy_poll", "50", true),
        ];
        for (path, text, expected) in table {
            assert_eq!(passes(&findings(path, text)), expected, "{path} {text}");
        }
    }

    #[test]
    fn each_finding_is_one_line_and_the_last_line_counts_them() {
        let text = report(&findings("net/core/rmem_max", "212992"));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].starts_with("warning: net.core.rmem_max is 212992"), "{text}");
        assert_eq!(lines[1], "11 settings: 10 as wanted, 1 off, 0 unknown.");

        let hidden = tuning::check(|_| Err(Error::from(ErrorKind::NotFound)));
        let text = report(&hidden);
        assert!(text.ends_with("11 settings: 0 as wanted, 0 off, 11 unknown.\n"), "{text}");
    }

    #[test]
    fn machines_read_one_object_with_every_part_of_a_finding() {
        let text = json(&findings("net/core/wmem_max", "4096"));
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((object["passes"].as_bool(), object["checked"].as_u64()), (Some(false), Some(11)));
        let finding = &object["findings"][0];
        assert_eq!(finding["current"]["value"], "4096");
        for part in ["setting", "wanted", "unit", "weight", "reason", "fix"] {
            assert!(finding[part].is_string(), "{part}: {text}");
        }
    }
}

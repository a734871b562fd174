//! The built server against what the unit promises of it: ready, watchdog, stop, exit status, and the sandbox. Needs
//! `SLUICE_BINARY`; the sandbox also `strace` and `systemd-analyze`. Without them the tests say that they were skipped.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use appliance::service::Service;
use appliance::{directives, program, server, skipped, unit_path};

/// The server's command, or `None` after saying that `what` is skipped.
fn binary_for(what: &str) -> Option<PathBuf> {
    let binary = server();
    if binary.is_none() {
        skipped(what, "SLUICE_BINARY does not name a built server");
    }
    binary
}

#[test]
fn the_server_says_ready_feeds_the_watchdog_and_stops_cleanly_when_asked() {
    let Some(binary) = binary_for("ready, watchdog, stop") else { return };
    let mut command = Command::new(binary);
    command.arg("serve");
    let mut service = Service::start("notify", command);
    assert!(service.wait_for("READY=1").is_empty(), "ready is the first that it says");
    assert!(service.healthy(), "who says ready answers");
    service.wait_for("WATCHDOG=1");
    service.wait_for("WATCHDOG=1");
    service.terminate();
    service.wait_for("STOPPING=1");
    assert_eq!(service.ended().code(), Some(0));
}

#[test]
fn settings_that_are_missing_or_wrong_end_with_78_an_empty_file_is_valid() {
    let Some(binary) = binary_for("exit status of wrong settings") else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (wrong, empty) = (folder.join("wrong.toml"), folder.join("empty.toml"));
    fs::write(&wrong, "[http]\nlissten = ''\n").expect("written");
    fs::write(&empty, "").expect("written");
    let table = [
        ("serve", folder.join("missing.toml"), 78, "missing.toml"),
        ("serve", wrong, 78, "http.lissten"),
        ("check-config", empty, 0, ""),
    ];
    for (command, file, code, said) in table {
        let output = Command::new(&binary).arg(command).arg("--config").arg(&file).output().expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{command} {}: {errors}", file.display());
        assert!(errors.contains(said), "{errors}");
    }
}

#[test]
fn a_start_and_a_stop_keep_to_the_sandbox_of_the_unit() {
    let what = "system calls against the sandbox";
    let Some(binary) = binary_for(what) else { return };
    let (Some(strace), Some(_)) = (program("strace"), program("systemd-analyze")) else {
        return skipped(what, "strace or systemd-analyze is not installed");
    };
    let trace = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trace");
    let _ = fs::remove_file(&trace);
    let mut command = Command::new(strace);
    // -D: the server, not the tracer, is our child.
    command.args(["-D", "-f", "-qq", "-o"]).arg(&trace).arg(binary).arg("serve");
    let mut service = Service::start("trace", command);
    service.wait_for("READY=1");
    assert!(service.healthy());
    // A tracer makes it slow: by the second beat it listens for signals.
    service.wait_for("WATCHDOG=1");
    service.wait_for("WATCHDOG=1");
    service.terminate();
    service.wait_for("STOPPING=1");
    assert_eq!(service.ended().code(), Some(0));

    let text = fs::read_to_string(&trace).expect("the tracer wrote");
    let called = calls(&text);
    for expected in ["execve", "sched_setaffinity", "setpriority", "socket"] {
        assert!(called.contains(expected), "the trace is not of a whole start: {called:?}");
    }
    let allowed = allowed_calls();
    let refused: Vec<&String> = called.difference(&allowed).collect();
    assert!(refused.is_empty(), "SystemCallFilter= refuses {refused:?}");

    let families = value("RestrictAddressFamilies");
    for line in text.lines().filter(|line| line.contains(" socket(")) {
        let family = line.split("socket(").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or_default();
        assert!(
            families.split(' ').any(|allowed| allowed == family),
            "RestrictAddressFamilies= refuses {line}"
        );
    }
    for line in text.lines().filter(|line| line.contains(" mmap(") || line.contains(" mprotect(")) {
        let both = line.contains("PROT_WRITE") && line.contains("PROT_EXEC");
        assert!(!both, "MemoryDenyWriteExecute= refuses {line}");
    }
}

/// The system calls that a trace names.
fn calls(trace: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let name = line.split_whitespace().nth(1)?.split_once('(')?.0;
        (!name.is_empty() && !name.starts_with('<')).then(|| name.to_owned())
    };
    trace.lines().filter_map(name).collect()
}

/// What the filter lines of the unit let through, read as systemd does: each adds or, with `~`, takes away.
fn allowed_calls() -> BTreeSet<String> {
    let mut allowed = members("@default");
    let unit = directives(&fs::read_to_string(unit_path()).expect("the unit is there")).expect("well formed");
    for line in unit.iter().filter(|directive| directive.name == "SystemCallFilter") {
        let (away, names) =
            line.value.strip_prefix('~').map_or((false, line.value.as_str()), |rest| (true, rest));
        for call in names.split(' ').flat_map(members) {
            if away {
                allowed.remove(&call);
            } else {
                allowed.insert(call);
            }
        }
    }
    allowed
}

/// The calls of a set, sets within it included; a call is itself.
fn members(name: &str) -> BTreeSet<String> {
    if !name.starts_with('@') {
        return BTreeSet::from([name.to_owned()]);
    }
    let output = Command::new("systemd-analyze").args(["syscall-filter", name]).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let inner = text.lines().filter(|line| line.starts_with(' ')).map(str::trim);
    inner.filter(|line| !line.starts_with('#')).flat_map(members).collect()
}

fn value(name: &str) -> String {
    let unit = directives(&fs::read_to_string(unit_path()).expect("the unit is there")).expect("well formed");
    unit.into_iter().find(|directive| directive.name == name).expect("the unit has it").value
}

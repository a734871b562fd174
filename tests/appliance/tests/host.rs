//! The profile of the host against what media asks of it.

use std::process::Command;

use appliance::{directives, root, server, skipped};
use tuning::{HOST, Wanted, Weight};

#[test]
fn the_host_is_asked_for_the_socket_buffers_that_media_asks_for() {
    let options = uring::Options::new(Vec::new(), 0);
    let asked = [
        ("net.core.rmem_max", options.socket_receive_bytes),
        ("net.core.wmem_max", options.socket_send_bytes),
    ];
    for (key, bytes) in asked {
        let setting = HOST.iter().find(|setting| setting.key == key).expect("it is looked at");
        assert_eq!(setting.wanted, Wanted::AtLeast(u64::from(bytes)), "{key}");
    }
}

#[test]
fn the_profile_in_the_repository_has_one_line_with_a_reason_for_each_setting_it_sets() {
    let text = std::fs::read_to_string(root().join("systemd/30-sluice.conf")).expect("the profile is there");
    assert_eq!(text, tuning::render());
    let lines = directives(&text).expect("the form of a unit file, without sections");
    assert_eq!(lines.len(), HOST.iter().filter(|setting| setting.in_profile).count());
    for line in lines {
        assert!(line.comment.is_some(), "{}", line.name);
    }
}

#[test]
fn the_command_says_of_this_host_what_the_library_finds() {
    let Some(binary) = server() else {
        return skipped("sluice tune check on this host", "SLUICE_BINARY does not name a built server");
    };
    let findings = tuning::check(|path| std::fs::read_to_string(format!("/proc/sys/{path}")));
    for arguments in [&["tune", "check"][..], &["tune", "check", "--json"]] {
        let output = Command::new(&binary).args(arguments).output().expect("it runs");
        let matters = findings.iter().any(|finding| finding.weight == Weight::Matters);
        assert!(!matters || output.status.code() == Some(1), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        for setting in HOST {
            let found = findings.iter().any(|finding| finding.setting == setting.key);
            let named = said.contains(&format!("{} is ", setting.key))
                || said.contains(&format!("\"{}\"", setting.key));
            assert_eq!(named, found, "{}: {said}", setting.key);
        }
    }
}

#[test]
fn a_dry_run_changes_nothing_and_what_is_applied_is_reverted() {
    let Some(binary) = server() else {
        return skipped("sluice tune apply on this host", "SLUICE_BINARY does not name a built server");
    };
    let state = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("tune/changes.json");
    let run = |verb: &str, flag: &str| {
        let mut command = Command::new(&binary);
        command.args(["tune", verb, "--json", "--state"]).arg(&state);
        if !flag.is_empty() {
            command.arg(flag);
        }
        let output = command.output().expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let budget = || std::fs::read_to_string("/proc/sys/net/core/netdev_budget").unwrap_or_default();
    let before = budget();
    let (fine, said) = run("apply", "--dry-run");
    assert!(fine && said.contains("\"outcome\""), "{said}");
    assert_eq!(budget(), before);
    assert!(!state.exists(), "a dry run notes nothing");
    let (fine, said) = run("revert", "");
    assert!(fine && said.contains("put back"), "with nothing applied there is nothing to put back: {said}");
}

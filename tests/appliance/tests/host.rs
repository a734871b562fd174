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
fn the_command_says_of_this_host_what_the_library_finds_and_has_no_other_verb() {
    let Some(binary) = server() else {
        return skipped("sluice tune check on this host", "SLUICE_BINARY does not name a built server");
    };
    let findings = tuning::check(|path| std::fs::read_to_string(format!("/proc/sys/{path}")));
    let weighty = findings.iter().any(|finding| finding.weight == Weight::Matters);
    for arguments in [&["tune", "check"][..], &["tune", "check", "--json"]] {
        let output = Command::new(&binary).args(arguments).output().expect("it runs");
        assert_eq!(output.status.code(), Some(i32::from(weighty)), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        for setting in HOST {
            let found = findings.iter().any(|finding| finding.setting == setting.key);
            let named = said.contains(&format!("{} is ", setting.key))
                || said.contains(&format!("\"{}\"", setting.key));
            assert_eq!(named, found, "{}: {said}", setting.key);
        }
    }
    // What only reads today promises no more.
    let help = Command::new(&binary).args(["tune", "--help"]).output().expect("it runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.contains("check") && !help.contains("apply") && !help.contains("revert"), "{help}");
}

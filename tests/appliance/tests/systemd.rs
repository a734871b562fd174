//! What systemd itself says of the unit. Needs `systemd-analyze`; without it the tests say that they were skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use appliance::{program, skipped, unit_path};

/// Ten times the highest exposure that passes. The scale ends at 10.
const EXPOSURE_MAX: &str = "15";

fn analyze(arguments: &[&str], unit: &Path) -> Option<Output> {
    let Some(program) = program("systemd-analyze") else {
        skipped("what systemd says of the unit", "systemd-analyze is not installed");
        return None;
    };
    Some(
        Command::new(program)
            .args(arguments)
            .arg("--no-pager")
            .arg(unit)
            .output()
            .expect("systemd-analyze runs"),
    )
}

/// The unit with `change` applied, in a folder of its own: systemd goes by the file's name.
fn changed(folder: &str, change: impl Fn(&str) -> String) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    fs::create_dir_all(&folder).expect("a folder for tests");
    // What the unit requires is looked for beside it.
    for socket in ["sluice-http.socket", "sluice-https.socket"] {
        fs::copy(unit_path().with_file_name(socket), folder.join(socket)).expect("the socket unit is there");
    }
    let unit = folder.join("sluice.service");
    fs::write(&unit, change(&fs::read_to_string(unit_path()).expect("the unit is there"))).expect("written");
    unit
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    // Whether the server is installed here is another question: a program that surely is stands in for it.
    let unit = changed("verify", |text| text.replace("ExecStart=/usr/bin/sluice", "ExecStart=/bin/sh"));
    let Some(output) = analyze(&["verify"], &unit) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn systemd_would_speak_up_if_a_line_were_wrong() {
    let unit = changed("misspelt", |text| {
        text.replace("ExecStart=/usr/bin/sluice", "ExecStart=/bin/sh")
            .replace("ProtectHome=", "ProtectHomes=")
    });
    let Some(output) = analyze(&["verify"], &unit) else { return };
    assert!(String::from_utf8_lossy(&output.stderr).contains("ProtectHomes"));
}

#[test]
fn the_exposure_of_the_service_is_low() {
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let Some(output) = analyze(&["security", "--offline=true", &threshold], &unit_path()) else { return };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Overall exposure level"), "{said}");
}

#[test]
fn the_exposure_would_fail_the_test_without_the_sandbox() {
    let unit = changed("open", |text| {
        text.lines().filter(|line| !line.starts_with("SystemCallFilter=")).collect::<Vec<_>>().join("\n")
    });
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let Some(output) = analyze(&["security", "--offline=true", &threshold], &unit) else { return };
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

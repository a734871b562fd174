//! The program as a user runs it: exit statuses and messages of `check-config` and of a start that cannot work.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};

fn sluice(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(arguments).env_remove("SLUICE_CONFIG");
    command.output().expect("the program was built")
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the folder for tests is writable");
    path
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_command_has_help() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["check-config", "--help"]] {
        let output = sluice(arguments);
        assert!(output.status.success(), "{arguments:?}");
        assert!(text(&output.stdout).contains("Usage: sluice"), "{arguments:?}");
    }
}

#[test]
fn valid_settings_exit_0() {
    let output = sluice(&["check-config"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let path = file("valid.toml", "[media]\nport = 20000\n");
    let output = sluice(&["check-config", "--config", path.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout).trim(), r#"{"problems":[],"valid":true}"#);
}

#[test]
fn a_typo_exits_78_and_names_key_line_and_the_right_key() {
    let path = file("typo.toml", "[media]\n\nwrokers = 2\n");
    for command in ["check-config", "serve"] {
        let output = sluice(&[command, "--config", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(78), "{command}");
        let error = text(&output.stderr);
        for part in ["line 3", "media.wrokers", "`media.workers`"] {
            assert!(error.contains(part), "{command}: {error}");
        }
    }
    let output = sluice(&["check-config", "--config", path.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stdout).contains(r#""line":3"#));
}

#[test]
fn a_missing_file_exits_78_and_names_it() {
    let output = sluice(&["check-config", "--config", "/nowhere/sluice.toml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("/nowhere/sluice.toml"));
}

#[test]
fn the_printed_reference_is_itself_valid() {
    let output = sluice(&["check-config", "--print-reference"]);
    assert!(output.status.success());
    let path = file("reference.toml", &text(&output.stdout));
    let output = sluice(&["check-config", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn a_port_in_use_is_one_line_that_names_port_and_fix() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken.local_addr().unwrap();
    let path = file("taken.toml", &format!("[http]\nlisten = '{address}'\nlisten_tls = ''\n"));
    let output = sluice(&["serve", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(69));
    let error = text(&output.stderr);
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains(&address.port().to_string()) && error.contains("http.listen"), "{error}");
}

//! What can be said of the unit from its text alone.

use std::fs;

use appliance::{Directive, directives, root, unit_path};

fn unit() -> Vec<Directive> {
    directives(&fs::read_to_string(unit_path()).expect("the unit is there")).expect("the unit is well formed")
}

/// All values of one directive, in their order.
fn values(name: &str) -> Vec<String> {
    unit().into_iter().filter(|found| found.name == name).map(|found| found.value).collect()
}

#[test]
fn every_directive_has_its_reason_above_it() {
    for directive in unit() {
        let words = directive.comment.as_deref().unwrap_or_default().split_whitespace().count();
        assert!(words >= 2, "line {}: {}= says not why", directive.line, directive.name);
    }
}

#[test]
fn no_directive_stands_twice_but_the_parts_of_the_system_call_filter() {
    let unit = unit();
    for (index, directive) in unit.iter().enumerate() {
        let again = unit[index + 1..].iter().any(|later| later.name == directive.name);
        assert!(!again || directive.name == "SystemCallFilter", "{}= stands twice", directive.name);
    }
}

#[test]
fn the_service_has_no_capability() {
    for name in ["CapabilityBoundingSet", "AmbientCapabilities"] {
        assert_eq!(values(name), [""], "{name}");
    }
    assert_eq!(values("NoNewPrivileges"), ["yes"]);
}

#[test]
fn the_sandbox_is_closed() {
    let table = [
        ("User", "sluice"),
        ("StateDirectory", "sluice"),
        ("StateDirectoryMode", "0700"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("PrivateUsers", "yes"),
        ("PrivateIPC", "yes"),
        ("PrivateMounts", "yes"),
        ("ProtectHostname", "yes"),
        ("ProtectClock", "yes"),
        ("ProtectKernelTunables", "yes"),
        ("ProtectKernelModules", "yes"),
        ("ProtectKernelLogs", "yes"),
        ("ProtectControlGroups", "yes"),
        ("ProtectProc", "invisible"),
        ("RestrictNamespaces", "yes"),
        ("RestrictRealtime", "yes"),
        ("RestrictSUIDSGID", "yes"),
        ("RemoveIPC", "yes"),
        ("LockPersonality", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("SystemCallArchitectures", "native"),
        ("SystemCallErrorNumber", "EPERM"),
        ("DevicePolicy", "closed"),
        ("NoExecPaths", "/"),
        ("KeyringMode", "private"),
        ("UMask", "0077"),
        ("LimitCORE", "0"),
        ("LimitNICE", "-11"),
    ];
    for (name, value) in table {
        assert_eq!(values(name), [value], "{name}");
    }
    let filter = [
        "@system-service",
        "~@privileged @resources @chown @keyring @setuid",
        "sched_setaffinity setpriority",
    ];
    assert_eq!(values("SystemCallFilter"), filter);
}

#[test]
fn what_the_server_needs_is_let_through() {
    let families = values("RestrictAddressFamilies").join(" ");
    // Netlink is how the C library lists the addresses of the machine.
    for family in ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"] {
        assert!(families.split(' ').any(|allowed| allowed == family), "{family}");
    }
    // The kernel's release and its switch for io_uring are not in the smaller view of /proc.
    assert!(values("ProcSubset").is_empty());
    assert!(values("ExecPaths").join(" ").split(' ').any(|path| path == "/usr/bin/sluice"));
    let bytes = values("LimitMEMLOCK").join("");
    let mebibytes: u64 = bytes.strip_suffix('M').and_then(|number| number.parse().ok()).expect("in MiB");
    assert!(mebibytes >= 64, "the media ring asks for 64 MiB and more");
}

#[test]
fn it_starts_the_server_waits_for_it_watches_it_and_does_not_repeat_a_wrong_configuration() {
    let table = [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("ExecStart", "/usr/bin/sluice serve --config /etc/sluice/sluice.toml"),
        ("EnvironmentFile", "-/etc/sluice/environment"),
        ("Requires", "sluice-http.socket sluice-https.socket"),
        ("Sockets", "sluice-http.socket sluice-https.socket"),
        ("Also", "sluice-http.socket sluice-https.socket"),
        ("Restart", "on-failure"),
        ("RestartSec", "500ms"),
        ("RestartPreventExitStatus", "78"),
        ("StartLimitIntervalSec", "300"),
        ("StartLimitBurst", "10"),
        ("OOMPolicy", "stop"),
        ("WantedBy", "multi-user.target"),
    ];
    for (name, value) in table {
        assert_eq!(values(name), [value], "{name}");
    }
    for name in ["WatchdogSec", "TimeoutStartSec", "TimeoutStopSec"] {
        let seconds: u32 = values(name).join("").parse().expect("in seconds");
        assert!((1..=30).contains(&seconds), "{name}={seconds}");
    }
}

#[test]
fn there_are_files_enough_for_the_connections_of_the_reference_settings() {
    let reference =
        fs::read_to_string(root().join("control-plane/daemon/src/reference.toml")).expect("it is there");
    let connections = reference.lines().find_map(|line| line.strip_prefix("connections_max = "));
    let connections: u64 = connections.and_then(|number| number.parse().ok()).expect("a number");
    let files: u64 = values("LimitNOFILE").join("").parse().expect("a number");
    assert!(files >= 2 * connections, "{files} files, {connections} connections");
}

#[test]
fn the_unit_names_no_port() {
    for directive in unit() {
        for port in ["8080", "8443", "10000", "443"] {
            assert!(!directive.value.contains(port), "{}={}", directive.name, directive.value);
        }
    }
}

#[test]
fn every_other_unit_says_why_too() {
    for name in ["sluice-http.socket", "sluice-https.socket", "sluice-tune.service"] {
        let text = fs::read_to_string(root().join("systemd").join(name)).expect("the unit is there");
        for directive in directives(&text).expect("the unit is well formed") {
            let words = directive.comment.as_deref().unwrap_or_default().split_whitespace().count();
            assert!(words >= 2, "{name} line {}: {}= says not why", directive.line, directive.name);
        }
    }
}

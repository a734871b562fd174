//! The machine: clock, kernel, socket buffers, memory, limits, disk, network cards.

use super::host::Host;
use super::{Finding, Level};
use crate::config::{Config, DatagramIo};

/// Everything.
pub(super) fn check(config: &Config, host: &impl Host, findings: &mut Vec<Finding>) {
    clock(config, host, findings);
    at_start(config, host, findings);
    cards(host, findings);
    for (name, mtu) in host.mtus() {
        if mtu < MTU_MIN {
            findings.push(Finding::warning(
                "mtu",
                format!("{name} carries packets of {mtu} bytes only, and media packets have up to 1,250: they are cut in pieces, which many networks drop"),
                format!("set the MTU of {name} to {MTU_MIN} or more, or that of the tunnel behind it"),
            ));
        }
    }
}

/// What can be seen before the server runs and without the network.
pub(super) fn at_start(config: &Config, host: &impl Host, findings: &mut Vec<Finding>) {
    kernel(config, host, findings);
    socket_buffers(host, findings);
    memory(config, host, findings);
    limits(config, host, findings);
    disk(host, findings);
}

fn clock(config: &Config, host: &impl Host, findings: &mut Vec<Finding>) {
    let server = config.doctor.ntp_server.as_str();
    let fix = "turn time synchronisation on: timedatectl set-ntp true (package systemd-timesyncd or chrony)";
    if !server.is_empty() {
        return match host.clock_ahead(server) {
            Err(error) => findings.push(Finding::warning(
                "clock",
                format!("the time server {server} gives no answer: {error}"),
                "correct doctor.ntp_server, or let UDP 123 out",
            )),
            Ok(ahead) if ahead.abs() > CLOCK_OFF_S => {
                let direction = if ahead > 0.0 { "ahead of" } else { "behind" };
                findings.push(Finding::fault(
                    "clock",
                    format!("the clock is {:.0} s {direction} that of {server}: certificates and tokens look expired or not yet valid", ahead.abs()),
                    fix,
                ));
            }
            Ok(_) => {}
        };
    }
    let kept = SYNCHRONISED.iter().any(|path| host.exists(path));
    if !kept {
        findings.push(Finding::note(
            "clock",
            "nothing on this machine seems to keep the clock right; a clock that is off makes certificates and tokens invalid",
            fix,
        ));
    }
}

fn kernel(config: &Config, host: &impl Host, findings: &mut Vec<Finding>) {
    if config.media.io != DatagramIo::Plain {
        for lack in host.ring_findings() {
            findings.push(Finding::warning(
                "kernel",
                format!("media cannot use io_uring and costs more CPU by the plain back end: {lack}"),
                "mend that, or set media.io = \"plain\" to have it so on purpose",
            ));
        }
    }
    if !host.segmentation() {
        findings.push(Finding::warning(
            "kernel",
            "the kernel does not take several packets in one send (UDP GSO): sending costs up to three times the CPU",
            "use a kernel of 4.18 or newer",
        ));
    }
}

/// Asks for what media asks for, and sees what the kernel grants: that is true inside containers too.
fn socket_buffers(host: &impl Host, findings: &mut Vec<Finding>) {
    let Ok(granted) = host.receive_buffer(SOCKET_BYTES) else { return };
    if granted < SOCKET_BYTES {
        findings.push(Finding::warning(
            "socket-buffers",
            format!("the kernel cuts the receive buffer of media to {} KiB of {}: bursts are dropped before anybody sees them", granted / 1_024, SOCKET_BYTES / 1_024),
            format!("run: sudo sysctl -w net.core.rmem_max={SOCKET_BYTES} net.core.wmem_max={SOCKET_BYTES}, or sudo sluice tune apply; then restart"),
        ));
    }
}

fn memory(config: &Config, host: &impl Host, findings: &mut Vec<Finding>) {
    let Ok(text) = host.read("/proc/meminfo") else { return };
    let kibibytes = |name: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
    };
    let (Some(total), Some(available)) = (kibibytes("MemTotal:"), kibibytes("MemAvailable:")) else { return };
    let workers = config
        .media
        .workers
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    let slots = u64::from(config.media.slots) * 2 * workers as u64;
    if slots > total / 2 {
        findings.push(Finding::warning(
            "memory",
            format!("packet buffers may take {} MiB of this machine's {}", slots / 1_024, total / 1_024),
            "lower media.slots or media.workers",
        ));
    }
    if available < MEMORY_KIB_MIN {
        findings.push(Finding::warning(
            "memory",
            format!(
                "{} MiB of memory are left: the server may be ended by the kernel in the middle of a meeting",
                available / 1_024
            ),
            "end what else runs here, or give the machine more",
        ));
    }
}

/// The limits of the running server, or else of whoever asks.
fn limits(config: &Config, host: &impl Host, findings: &mut Vec<Finding>) {
    let process = host
        .holder(super::host::Kind::Udp, config.media.port)
        .map_or("self".to_owned(), |(id, _)| id.to_string());
    let Ok(text) = host.read(&format!("/proc/{process}/limits")) else { return };
    // "Max locked memory  SOFT  HARD  bytes"; the server raises its soft limit on files by itself.
    let hard = |name: &str| -> Option<u64> {
        let words = text.lines().find_map(|line| line.strip_prefix(name))?;
        let hard = words.split_whitespace().nth(1)?;
        if hard == "unlimited" { Some(u64::MAX) } else { hard.parse().ok() }
    };
    if config.media.io != DatagramIo::Plain
        && hard("Max locked memory").is_some_and(|bytes| bytes < MEMLOCK_BYTES_MIN)
    {
        let bytes = hard("Max locked memory").unwrap_or_default();
        findings.push(Finding::warning(
            "memlock",
            format!("only {} KiB of memory may be locked: the media ring may be refused, and media costs more CPU by the plain back end", bytes / 1_024),
            "set LimitMEMLOCK=512M (systemctl edit sluice), or ulimit -l unlimited in a shell",
        ));
    }
    let wanted = config.http.connections_max as u64 + 1_000;
    if let Some(files) = hard("Max open files").filter(|files| *files < wanted) {
        findings.push(Finding::warning(
            "nofile",
            format!("{files} files may be open, and http.connections_max = {} needs {wanted}: connections beyond are refused", config.http.connections_max),
            "set LimitNOFILE=65536 (systemctl edit sluice), or lower http.connections_max",
        ));
    }
}

fn disk(host: &impl Host, findings: &mut Vec<Finding>) {
    let mut seen = Vec::new();
    for path in ["/var/lib/sluice", "/var/log", "/var", "/tmp"] {
        let Ok(space) = host.space(path) else { continue };
        // Several of them are on one file system as a rule.
        if seen.contains(&space) || space.total == 0 {
            continue;
        }
        seen.push(space);
        let level = match space.free {
            free if free < DISK_FULL_BYTES => Level::Fault,
            free if free < DISK_LOW_BYTES => Level::Warning,
            _ => continue,
        };
        findings.push(Finding::new(
            "disk",
            level,
            format!("the disk of {path} is full ({} MiB left): logs stop, and accounts and certificates cannot be saved", space.free >> 20),
            "make room: journalctl --vacuum-size=500M, apt-get clean",
        ));
    }
}

/// What `sluice tune check` finds of network cards: offloads first of all.
fn cards(host: &impl Host, findings: &mut Vec<Finding>) {
    let looked = host.tuning();
    for step in looked.devices().filter(|step| step.weight == tuning::Weight::Matters) {
        findings.push(Finding::warning(
            "card",
            format!("{} is {}: {}", step.target.name(), step.before, step.reason),
            "run: sudo sluice tune apply",
        ));
    }
    for advice in &looked.plan.advice {
        let level = if advice.weight == tuning::Weight::Matters { Level::Warning } else { Level::Note };
        findings.push(Finding::new("card", level, advice.reason.clone(), advice.fix.clone()));
    }
}

/// What a media socket asks for; tests/appliance holds it to the media plane.
const SOCKET_BYTES: usize = 4 << 20;

/// 1,200 of payload, SRTP, UDP and IPv6 around it.
const MTU_MIN: u32 = 1_280;

/// Tokens and tickets are given minutes; a second is what synchronised clocks never differ by.
const CLOCK_OFF_S: f64 = 2.0;

const MEMORY_KIB_MIN: u64 = 128 * 1_024;
const MEMLOCK_BYTES_MIN: u64 = 64 << 20;
const DISK_FULL_BYTES: u64 = 16 << 20;
const DISK_LOW_BYTES: u64 = 200 << 20;

/// Files that stand while a program keeps the clock.
const SYNCHRONISED: [&str; 5] = [
    "/run/systemd/timesync/synchronized",
    "/run/chrony/chronyd.pid",
    "/var/run/chronyd.pid",
    "/run/ntpd.pid",
    // A guest of these hosts has its clock kept from outside.
    "/dev/ptp0",
];

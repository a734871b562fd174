//! Whether media gets in: ports free or served, answers of the media plane, firewall, and what the running server sees of its participants.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use super::Finding;
use super::host::{Host, Kind};
use crate::candidates;
use crate::config::Config;

/// By whether the server runs: what it answers, or what would keep it from starting.
pub(super) fn check(config: &Config, host: &impl Host, findings: &mut Vec<Finding>) {
    match host.page(config.http.private, "/about/health") {
        Ok(health) if health.trim() == "healthy" => {
            answers(config, host, findings);
            participants(config, host, findings);
        }
        Ok(reason) => findings.push(Finding::fault(
            "server",
            format!("the server says that it does not do its work: {}", reason.trim()),
            "see journalctl -u sluice; a restart may help: systemctl restart sluice",
        )),
        Err(_) => ports(config, host, findings),
    }
    firewall(config, host, findings);
}

/// The server does not run: could it have its ports?
fn ports(config: &Config, host: &impl Host, findings: &mut Vec<Finding>) {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let media = SocketAddr::new(config.media.addresses.first().copied().unwrap_or(any), config.media.port);
    let wanted = [
        (Kind::Udp, Some(media), "media.port"),
        (Kind::Tcp, config.media.tcp_port.map(|port| SocketAddr::new(any, port)), "media.tcp_port"),
        (Kind::Tcp, config.http.listen, "http.listen"),
        (Kind::Tcp, config.http.listen_tls, "http.listen_tls"),
        (Kind::Tcp, Some(config.http.private), "http.private"),
    ];
    let mut taken = false;
    for (kind, address, key) in wanted {
        let Some(address) = address else { continue };
        let Err(error) = host.bindable(kind, address) else { continue };
        if error.kind() != std::io::ErrorKind::AddrInUse {
            continue;
        }
        taken = true;
        let protocol = if kind == Kind::Udp { "UDP" } else { "TCP" };
        let holder = host.holder(kind, address.port());
        let holder = holder
            .map_or_else(|| "another program".to_owned(), |(id, name)| format!("{name} (process {id})"));
        findings.push(Finding::fault(
            "ports",
            format!("{protocol} port {} is taken by {holder}: the server cannot start", address.port()),
            format!("stop that program, or choose another port with {key}"),
        ));
    }
    if !taken {
        findings.push(Finding::note(
            "server",
            format!("the server does not run here (nothing answers on {})", config.http.private),
            "start it: systemctl start sluice",
        ));
    }
}

/// The media plane answers a self-test on each of its addresses, or something on this machine is in the way.
fn answers(config: &Config, host: &impl Host, findings: &mut Vec<Finding>) {
    let gathered = candidates::gather(&config.media, &host.addresses());
    for local in &gathered.local {
        if let Err(error) = host.media_answers(Kind::Udp, *local) {
            findings.push(Finding::fault(
                "udp",
                format!(
                    "media does not answer on UDP {local} ({error}): a firewall on this machine drops it, and nobody gets audio or video from a third participant on"
                ),
                format!("let UDP {} in: nft add rule inet filter input udp dport {0} accept, or ufw allow {0}/udp", local.port()),
            ));
        }
        let Some(port) = config.media.tcp_port else { continue };
        if let Err(error) = host.media_answers(Kind::Tcp, SocketAddr::new(local.ip(), port)) {
            findings.push(Finding::warning(
                "tcp",
                format!("nothing answers on TCP {}:{port} ({error}): networks that let no UDP out get no audio or video", local.ip()),
                format!("let TCP {port} in, or set media.tcp_port to one that is free"),
            ));
        }
    }
}

/// Participants who signed in and have no path for media, while the server sits and waits for them: the sign of a bridge that is
/// unreachable, which two people do not notice as they talk to each other directly.
fn participants(config: &Config, host: &impl Host, findings: &mut Vec<Finding>) {
    let Some(first) = without_media(config, host) else { return };
    if first.0 < PARTICIPANTS_MIN || first.1 * 2 < first.0 {
        return;
    }
    // Those who come in just now have no path yet: look again.
    host.pause(SETTLE);
    let Some((endpoints, without)) = without_media(config, host) else { return };
    if endpoints < PARTICIPANTS_MIN || without * 2 < endpoints {
        return;
    }
    findings.push(Finding::fault(
        "works-with-two-dies-with-three",
        format!(
            "{without} of {endpoints} participants signed in and no media of theirs reaches this server; two people may hear each other directly, the third breaks it"
        ),
        format!(
            "open UDP {} in front of this server and check media.public_addresses; then open /selftest from where they are",
            config.media.port
        ),
    ));
}

/// Endpoints, and those of them that no datagram of a handshake came from.
fn without_media(config: &Config, host: &impl Host) -> Option<(u64, u64)> {
    let page: Value = serde_json::from_str(&host.page(config.http.private, "/debug").ok()?).ok()?;
    let endpoints = page["workers"]
        .as_array()?
        .iter()
        .filter_map(|worker| worker["statistics"]["endpoints"].as_u64())
        .sum();
    let reached = page["dtls"]["reached"].as_u64()?;
    Some((endpoints, u64::saturating_sub(endpoints, reached)))
}

/// Rules that drop what they do not name, or name the media port to drop it.
fn firewall(config: &Config, host: &impl Host, findings: &mut Vec<Finding>) {
    // Without the right to read them, or without nftables, the other checks have to do.
    let Ok(rules) = host.firewall() else { return };
    let port = config.media.port.to_string();
    let names_port =
        |line: &str| line.split(|letter: char| !letter.is_ascii_digit()).any(|number| number == port);
    let mut blocked = None;
    let mut drops_by_default = false;
    let mut in_input = false;
    for line in rules.lines().map(str::trim) {
        if line.starts_with("chain ") {
            in_input = false;
        }
        if line.contains("hook input") {
            in_input = true;
            drops_by_default |= line.contains("policy drop");
        }
        let refuses = line.ends_with("drop") || line.contains("reject");
        if names_port(line) && refuses && line.contains("udp") {
            blocked = Some(line.to_owned());
        }
        // A chain that ends in a bare `drop` is as good as a policy.
        drops_by_default |= in_input && (line == "drop" || line.starts_with("reject"));
    }
    if let Some(rule) = blocked {
        findings.push(Finding::fault(
            "firewall",
            format!("a rule of this machine's firewall drops media: {rule}"),
            format!("remove it, or let UDP {port} in before it"),
        ));
    } else if drops_by_default && !rules.lines().any(|line| names_port(line) && line.contains("accept")) {
        findings.push(Finding::warning(
            "firewall",
            format!("the firewall of this machine drops what no rule names, and none names UDP {port}"),
            format!("let UDP {port} in, and TCP 80 and 443"),
        ));
    }
}

/// One alone waits for others, and media of one is nobody's loss.
const PARTICIPANTS_MIN: u64 = 2;

/// A join takes a second or two from signing in to the first datagram of its handshake.
const SETTLE: Duration = Duration::from_secs(4);

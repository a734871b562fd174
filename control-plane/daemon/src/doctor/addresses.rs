//! What participants are told of where media is, against where it is; and what stands between.

use std::net::{IpAddr, SocketAddr};

use super::Finding;
use super::host::Host;
use super::names::is_public;
use crate::candidates;
use crate::config::Config;

/// Configured, local and reflexive addresses.
pub(super) fn check(config: &Config, host: &impl Host, findings: &mut Vec<Finding>) {
    let of_machine = host.addresses();
    for ip in config.media.addresses.iter().filter(|ip| !of_machine.contains(ip)) {
        findings.push(Finding::fault(
            "addresses",
            format!("media.addresses has {ip}, which this machine does not have: the server cannot start"),
            format!("use one of {}", join(&of_machine)),
        ));
    }
    for mapping in &config.media.public_addresses {
        let ip = mapping.public;
        if !is_public(&ip) {
            findings.push(Finding::warning(
                "addresses",
                format!("media.public_addresses has {ip}, an address of a local network: participants elsewhere cannot reach it"),
                "name the address that the internet sees",
            ));
        }
        if let Some(local) = mapping.local.filter(|local| !of_machine.contains(local)) {
            findings.push(Finding::fault(
                "addresses",
                format!("media.public_addresses maps {ip} to {local}, which this machine does not have"),
                format!("map it to one of {}", join(&of_machine)),
            ));
        }
    }
    let told: Vec<IpAddr> = candidates::gather(&config.media, &of_machine)
        .candidates
        .iter()
        .map(|candidate| candidate.address.ip())
        .collect();
    reflexive(config, host, &of_machine, &told, findings);
}

/// What STUN servers see of us (RFC 8489), if any are configured.
fn reflexive(
    config: &Config,
    host: &impl Host,
    of_machine: &[IpAddr],
    told: &[IpAddr],
    findings: &mut Vec<Finding>,
) {
    let servers = &config.doctor.stun_servers;
    if servers.is_empty() {
        if !told.iter().any(is_public) {
            findings.push(Finding::warning(
                "addresses",
                format!("participants are told addresses of a local network only ({}): others get no audio or video", join(told)),
                "if a router or cloud forwards a public address to this machine, name it in media.public_addresses",
            ));
        }
        return;
    }
    let (port, answers) = host.stun(servers);
    let mut seen: Vec<SocketAddr> = Vec::new();
    for (server, answer) in servers.iter().zip(answers) {
        match answer {
            Ok(address) => seen.push(address),
            Err(error) => findings.push(Finding::warning(
                "addresses",
                format!("the STUN server {server} gives no answer ({error}): UDP does not get out, or the server is wrong"),
                "let UDP out through the firewall, or correct doctor.stun_servers",
            )),
        }
    }
    let Some(first) = seen.first().copied() else { return };
    if !told.contains(&first.ip()) {
        let instead: Vec<IpAddr> =
            config.media.public_addresses.iter().map(|mapping| mapping.public).collect();
        let cause = if instead.is_empty() {
            format!(
                "the internet sees this machine as {}, and participants are told only {}",
                first.ip(),
                join(told)
            )
        } else {
            format!(
                "the internet sees this machine as {}, but media.public_addresses says {}",
                first.ip(),
                join(&instead)
            )
        };
        findings.push(Finding::fault(
            "addresses",
            format!("{cause}: whoever is elsewhere gets no audio or video from a third participant on"),
            format!("set media.public_addresses = [\"{}\"]", first.ip()),
        ));
    }
    nat(of_machine, port, &seen, findings);
}

/// The kind of translation, as far as two servers show it (RFC 4787 §4.1).
fn nat(of_machine: &[IpAddr], port: u16, seen: &[SocketAddr], findings: &mut Vec<Finding>) {
    let [first, rest @ ..] = seen else { return };
    if of_machine.contains(&first.ip()) {
        return;
    }
    let depends = rest.iter().any(|other| other != first);
    if depends {
        findings.push(Finding::warning(
            "nat",
            format!("the network translates addresses anew for each destination ({}): media reaches us only through a fixed forwarding", join_sockets(seen)),
            "forward UDP 10000 (media.port) on the router to this machine, with the port unchanged",
        ));
    } else {
        let kept = if first.port() == port { "keeps" } else { "changes" };
        findings.push(Finding::note(
            "nat",
            format!("this machine is behind a translation of addresses that {kept} the port"),
            "the router must forward media.port (UDP) and media.tcp_port (TCP) to it",
        ));
    }
}

fn join(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

fn join_sockets(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
}

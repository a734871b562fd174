//! Which local addresses media uses and what clients are told of them (RFC 8445 §5.1.1).

use std::net::{IpAddr, SocketAddr};

use contract::limits::LOCAL_ADDRESSES_MAX;
use contract::session::{Candidate, CandidateKind};

use crate::config::{Media, PublicAddress};

/// Addresses to bind and candidates to advertise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) local: Vec<SocketAddr>,
    pub(crate) candidates: Vec<Candidate>,
    /// Addresses of this machine that exceed [`LOCAL_ADDRESSES_MAX`] and are not used.
    pub(crate) left_out: Vec<IpAddr>,
}

/// Applies the settings to the addresses of this machine.
pub(crate) fn gather(config: &Media, of_machine: &[IpAddr]) -> Addresses {
    let chosen: Vec<IpAddr> =
        if config.addresses.is_empty() { discovered(config, of_machine) } else { config.addresses.clone() };
    let used = chosen.len().min(LOCAL_ADDRESSES_MAX);
    let (used, left_out) = chosen.split_at(used);

    let mut addresses = Addresses { left_out: left_out.to_vec(), ..Addresses::default() };
    for (rank, ip) in used.iter().enumerate() {
        let local = SocketAddr::new(*ip, config.port);
        addresses.local.push(local);
        addresses.candidates.push(Candidate {
            address: local,
            kind: CandidateKind::Host,
            priority: priority(HOST_PREFERENCE, rank),
            related: None,
            tcp: false,
        });
        // Where the machine has the public address itself, it is a candidate already.
        let mapped = config.public_addresses.iter();
        let mapped = mapped.filter(|mapping| covers(mapping, *ip) && mapping.public != *ip);
        addresses.candidates.extend(mapped.map(|mapping| Candidate {
            address: SocketAddr::new(mapping.public, config.port),
            kind: CandidateKind::ServerReflexive,
            priority: priority(REFLEXIVE_PREFERENCE, rank),
            related: Some(local),
            tcp: false,
        }));
    }
    addresses
}

impl Addresses {
    /// Adds to each candidate one for TCP (RFC 6544 §4.5) on `port`, less wanted than any for UDP.
    pub(crate) fn offer_tcp(&mut self, port: u16) {
        let tcp: Vec<Candidate> = self
            .candidates
            .iter()
            .enumerate()
            .map(|(rank, udp)| Candidate {
                address: SocketAddr::new(udp.address.ip(), port),
                priority: priority(TCP_PREFERENCE, PASSIVE_RANK + rank),
                related: udp.related.map(|related| SocketAddr::new(related.ip(), port)),
                tcp: true,
                ..*udp
            })
            .collect();
        self.candidates.extend(tcp);
    }
}

/// What may be told of a machine whose addresses have changed since media was started, where it has sockets on `bound`; and those of
/// its addresses that have none.
pub(crate) fn present(
    config: &Media,
    bound: &[SocketAddr],
    tcp: Option<u16>,
    of_machine: &[IpAddr],
) -> (Vec<Candidate>, Vec<IpAddr>) {
    let mut now = gather(config, of_machine);
    let is_bound = |address: &SocketAddr| bound.contains(address);
    let new = now.local.iter().filter(|address| !is_bound(address)).map(SocketAddr::ip).collect();
    now.candidates.retain(|candidate| is_bound(&candidate.related.unwrap_or(candidate.address)));
    if let Some(port) = tcp {
        now.offer_tcp(port);
    }
    (now.candidates, new)
}

/// The addresses of all interfaces that are up.
pub(crate) fn of_machine() -> std::io::Result<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for interface in nix::ifaddrs::getifaddrs()? {
        let up = interface.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP);
        let Some(address) = interface.address.filter(|_| up) else { continue };
        if let Some(v4) = address.as_sockaddr_in() {
            addresses.push(IpAddr::V4(v4.ip()));
        } else if let Some(v6) = address.as_sockaddr_in6() {
            addresses.push(IpAddr::V6(v6.ip()));
        }
    }
    Ok(addresses)
}

/// Those of this machine that clients could reach: global ones first, loopback last and only if wanted.
fn discovered(config: &Media, of_machine: &[IpAddr]) -> Vec<IpAddr> {
    let usable = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_link_local() && !v4.is_multicast(),
        // The scope of a link-local address cannot be told to a client, and ::1 adds nothing to 127.0.0.1.
        IpAddr::V6(v6) => {
            !v6.is_unspecified() && !v6.is_loopback() && !v6.is_unicast_link_local() && !v6.is_multicast()
        }
    };
    let mut addresses: Vec<IpAddr> = of_machine.iter().copied().filter(usable).collect();
    addresses.retain(|ip| config.loopback || !ip.is_loopback());
    addresses.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
    addresses.dedup();
    // If there are too many, loopback must not be what is lost: local browsers and tests depend on it.
    let last = addresses.len().saturating_sub(1);
    if last >= LOCAL_ADDRESSES_MAX && addresses[last].is_loopback() {
        addresses.swap(LOCAL_ADDRESSES_MAX - 1, last);
    }
    addresses
}

fn covers(mapping: &PublicAddress, local: IpAddr) -> bool {
    match mapping.local {
        Some(mapped) => mapped == local,
        None => mapping.public.is_ipv4() == local.is_ipv4() && !local.is_loopback(),
    }
}

/// RFC 8445 §5.1.2.1, for the one component there is.
fn priority(type_preference: u32, rank: usize) -> u32 {
    let local_preference = 65_535 - rank as u32;
    (type_preference << 24) | (local_preference << 8) | 255
}

/// RFC 8445 §5.1.2.2.
const HOST_PREFERENCE: u32 = 126;
/// RFC 8445 §5.1.2.2.
const REFLEXIVE_PREFERENCE: u32 = 100;
/// Below every candidate for UDP, as RFC 6544 §4.2 asks where UDP is better.
const TCP_PREFERENCE: u32 = 90;
/// RFC 6544 §4.2: the upper three bits of the local preference are 4 for passive candidates.
const PASSIVE_RANK: usize = 65_535 - ((4 << 13) + 8_191);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn media(text: &str) -> Media {
        Config::parse(&format!("[media]\n{text}"), []).unwrap().media
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn locals(addresses: &Addresses) -> Vec<String> {
        addresses.local.iter().map(|address| address.ip().to_string()).collect()
    }

    const MACHINE: [&str; 7] =
        ["127.0.0.1", "10.0.0.5", "169.254.3.3", "::1", "fe80::1", "2001:db8::5", "203.0.113.7"];

    #[test]
    fn all_reachable_addresses_are_used_and_loopback_comes_last() {
        let machine = ips(&MACHINE);
        let table: [(&str, &[&str]); 3] = [
            ("", &["10.0.0.5", "203.0.113.7", "2001:db8::5", "127.0.0.1"]),
            ("loopback = false", &["10.0.0.5", "203.0.113.7", "2001:db8::5"]),
            ("addresses = ['192.0.2.1', '127.0.0.1']", &["192.0.2.1", "127.0.0.1"]),
        ];
        for (text, expected) in table {
            assert_eq!(locals(&gather(&media(text), &machine)), expected, "{text}");
        }
    }

    #[test]
    fn loopback_survives_the_limit() {
        let mut machine = ips(&["127.0.0.1"]);
        machine.extend((1..20).map(|n| IpAddr::from([10, 0, 0, n])));
        let addresses = gather(&media(""), &machine);
        assert_eq!(addresses.local.len(), LOCAL_ADDRESSES_MAX);
        assert!(addresses.local.iter().any(|address| address.ip().is_loopback()));
        assert_eq!(addresses.left_out.len(), 12);
    }

    #[test]
    fn public_addresses_become_reflexive_candidates_of_their_local_ones() {
        let machine = ips(&["127.0.0.1", "10.0.0.5", "10.0.0.6", "2001:db8::5"]);
        let table: [(&str, &[(&str, &str)]); 4] = [
            ("public_addresses = ['10.0.0.5=10.0.0.5']", &[]),
            (
                "public_addresses = ['203.0.113.9']",
                &[("203.0.113.9", "10.0.0.5"), ("203.0.113.9", "10.0.0.6")],
            ),
            ("public_addresses = ['10.0.0.6=203.0.113.9']", &[("203.0.113.9", "10.0.0.6")]),
            ("public_addresses = ['2001:db8::9']", &[("2001:db8::9", "2001:db8::5")]),
        ];
        for (text, expected) in table {
            let addresses = gather(&media(text), &machine);
            let reflexive = addresses.candidates.iter().filter(|c| c.kind == CandidateKind::ServerReflexive);
            let found: Vec<(String, String)> = reflexive
                .map(|c| (c.address.ip().to_string(), c.related.unwrap().ip().to_string()))
                .collect();
            let expected: Vec<(String, String)> =
                expected.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_machine_that_loses_an_address_withdraws_it_and_one_that_gains_one_says_so() {
        let config = media("public_addresses = ['10.0.0.5=203.0.113.9']");
        let before = ips(&["127.0.0.1", "10.0.0.5", "10.0.0.6"]);
        let bound = gather(&config, &before).local;
        let told = |of_machine: &[&str]| {
            let (candidates, new) = present(&config, &bound, Some(4_443), &ips(of_machine));
            let told: Vec<String> = candidates
                .iter()
                .filter(|candidate| !candidate.tcp && !candidate.address.ip().is_loopback())
                .map(|candidate| candidate.address.ip().to_string())
                .collect();
            assert_eq!(candidates.len() % 2, 0, "each has one for TCP");
            (told, new)
        };
        let all = ["10.0.0.5", "203.0.113.9", "10.0.0.6"].map(str::to_owned).to_vec();
        assert_eq!(told(&["127.0.0.1", "10.0.0.5", "10.0.0.6"]), (all.clone(), vec![]));
        assert_eq!(told(&["127.0.0.1", "10.0.0.6"]), (all[2..].to_vec(), vec![]), "its mapping goes with it");
        let gained = told(&["127.0.0.1", "10.0.0.5", "10.0.0.6", "10.0.0.7"]);
        assert_eq!(gained, (all, ips(&["10.0.0.7"])), "known, but there is no socket for it");
    }

    #[test]
    fn candidates_for_tcp_come_after_all_others() {
        let mut addresses = gather(&media("public_addresses = ['203.0.113.9']"), &ips(&MACHINE));
        let udp = addresses.candidates.len();
        addresses.offer_tcp(4_443);
        let (udp, tcp) = addresses.candidates.split_at(udp);
        assert_eq!(tcp.len(), udp.len());
        let least = udp.iter().map(|candidate| candidate.priority).min().unwrap();
        for (candidate, of) in tcp.iter().zip(udp) {
            assert!(candidate.tcp && candidate.address == SocketAddr::new(of.address.ip(), 4_443));
            assert!(candidate.priority < least, "{candidate:?}");
            assert_eq!((candidate.priority >> 8) >> 13 & 7, 4, "direction preference of a passive candidate");
        }
    }

    #[test]
    fn priorities_fall_and_hosts_beat_reflexive() {
        let addresses = gather(&media("public_addresses = ['203.0.113.9']"), &ips(&MACHINE));
        let of = |kind| addresses.candidates.iter().filter(move |c| c.kind == kind).map(|c| c.priority);
        let hosts: Vec<u32> = of(CandidateKind::Host).collect();
        assert!(hosts.is_sorted_by(|a, b| a > b));
        assert_eq!(hosts[0], 2_130_706_431, "the value of RFC 8445's formula for one host address");
        assert!(of(CandidateKind::ServerReflexive).max() < hosts.last().copied());
    }
}

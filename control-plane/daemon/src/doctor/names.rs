//! The name that people type and the certificate that their browsers see.

use std::net::IpAddr;

use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::X509Certificate;

use super::Finding;
use super::host::Host;
use crate::config::Config;

/// Whether the host of `http.public_url` leads here.
pub(super) fn dns(config: &Config, host: &impl Host, findings: &mut Vec<Finding>) {
    let Some(name) = public_host(config) else { return };
    let ours = our_addresses(config, host);
    if let Ok(address) = name.parse::<IpAddr>() {
        if !ours.contains(&address) {
            findings.push(Finding::warning(
                "dns",
                format!("http.public_url names {address}, which is neither this machine's nor in media.public_addresses"),
                "name the address that leads here, or add it to media.public_addresses",
            ));
        }
        return;
    }
    let expected = ours.iter().find(|ip| is_public(ip)).or(ours.first());
    let expected = expected.map_or_else(|| "this server's address".to_owned(), IpAddr::to_string);
    match host.resolve(&name) {
        Err(error) => findings.push(Finding::fault(
            "dns",
            format!("{name} has no address ({error}), so nobody finds the server by it"),
            format!("add an A record for {name} with {expected}, or correct http.public_url"),
        )),
        Ok(found) if found.is_empty() => findings.push(Finding::fault(
            "dns",
            format!("{name} has no address, so nobody finds the server by it"),
            format!("add an A record for {name} with {expected}, or correct http.public_url"),
        )),
        Ok(found) => {
            let strange: Vec<String> =
                found.iter().filter(|ip| !ours.contains(ip)).map(IpAddr::to_string).collect();
            if strange.len() == found.len() {
                findings.push(Finding::warning(
                    "dns",
                    format!(
                        "{name} leads to {}, which is neither this machine's nor in media.public_addresses: page and media go different ways",
                        strange.join(", ")
                    ),
                    format!("point {name} to {expected}; or, if that address is forwarded here, add it to media.public_addresses"),
                ));
            }
        }
    }
}

/// Whether the configured certificate is there, in date, for the name, and whole.
pub(super) fn certificate(config: &Config, host: &impl Host, findings: &mut Vec<Finding>) {
    let Some((certificate, key)) = &config.http.certificate else {
        if config.http.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
            && config.http.listen_tls.is_some()
        {
            findings.push(Finding::warning(
                "certificate",
                "no certificate is configured, so browsers warn and mobile clients refuse",
                "set http.certificate and http.key, or: sudo ./scripts/certificate NAME E-MAIL",
            ));
        }
        return;
    };
    let fault = |cause: String, fix: &str| Finding::fault("certificate", cause, fix);
    if let Err(error) = host.read_bytes(key) {
        findings.push(fault(
            format!("the key {} cannot be read: {error}", key.display()),
            "the group sluice must be able to read it (mode 0640): sudo chgrp sluice FILE",
        ));
    }
    let text = match host.read_bytes(certificate) {
        Ok(text) => text,
        Err(error) => {
            return findings.push(fault(
                format!("the certificate {} cannot be read: {error}", certificate.display()),
                "correct http.certificate, or let the group sluice read the file",
            ));
        }
    };
    let chain: Vec<Pem> = Pem::iter_from_buffer(&text).flatten().collect();
    let parsed: Vec<X509Certificate<'_>> = chain.iter().filter_map(|pem| pem.parse_x509().ok()).collect();
    let Some(leaf) = parsed.first() else {
        return findings.push(fault(
            format!("{} holds no certificate", certificate.display()),
            "it must be PEM: the server's certificate, then those that signed it",
        ));
    };
    dates(leaf, host.now(), findings);
    if let Some(name) = public_host(config)
        && !names(leaf).iter().any(|pattern| matches(pattern, &name))
    {
        findings.push(fault(
            format!("the certificate is for {}, not for {name}: browsers refuse it", names(leaf).join(", ")),
            "get one for the host in http.public_url, or correct that",
        ));
    }
    if parsed.len() == 1 && leaf.issuer() != leaf.subject() {
        findings.push(Finding::warning(
            "certificate",
            "the file holds the server's certificate alone, without those that signed it: some clients refuse it",
            "use the full chain (fullchain.pem)",
        ));
    }
}

fn dates(leaf: &X509Certificate<'_>, now: i64, findings: &mut Vec<Finding>) {
    let validity = leaf.validity();
    let (begins, ends) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    let renew = "renew it (certbot renew; see journalctl -u certbot); the server takes the new file by itself or at: systemctl reload sluice";
    if now < begins {
        findings.push(Finding::fault(
            "certificate",
            format!("the certificate becomes valid only on {}, or this clock is wrong", validity.not_before),
            "compare the clock: timedatectl",
        ));
    } else if now >= ends {
        let days = (now - ends) / DAY_S;
        findings.push(Finding::fault(
            "certificate",
            format!("the certificate expired {days} days ago ({}): no browser comes in", validity.not_after),
            renew,
        ));
    } else if ends - now < DAYS_LEFT_MIN * DAY_S {
        let days = (ends - now) / DAY_S;
        findings.push(Finding::warning(
            "certificate",
            format!(
                "the certificate ends in {days} days ({}), and should have been renewed",
                validity.not_after
            ),
            renew,
        ));
    }
}

/// DNS names and addresses of a certificate.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => Some(IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?).to_string()),
            16 => Some(IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
            _ => None,
        },
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

/// RFC 9525 §6.3: a star stands for one whole label.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    match pattern.strip_prefix("*.") {
        Some(rest) => name.split_once('.').is_some_and(|(_, parent)| parent == rest),
        None => pattern == name,
    }
}

/// The host in `http.public_url`.
pub(super) fn public_host(config: &Config) -> Option<String> {
    let url = config.http.public_url.as_deref()?;
    let authority = url.split_once("://")?.1.split('/').next()?;
    if let Some(v6) = authority.strip_prefix('[') {
        return v6.split(']').next().map(str::to_owned);
    }
    authority.split(':').next().filter(|host| !host.is_empty()).map(str::to_owned)
}

/// Addresses at which this server is: its machine's, and those configured in front of them.
pub(super) fn our_addresses(config: &Config, host: &impl Host) -> Vec<IpAddr> {
    let mut ours: Vec<IpAddr> = config.media.public_addresses.iter().map(|mapping| mapping.public).collect();
    ours.extend(host.addresses());
    ours
}

/// Neither of a local network nor of the machine itself (RFC 1918, RFC 6598, RFC 4193).
pub(super) fn is_public(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || shared)
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast())
        }
    }
}

const DAY_S: i64 = 86_400;

/// Let's Encrypt's are renewed with 30 days left; with fewer than these the renewal has failed for a while.
const DAYS_LEFT_MIN: i64 = 14;

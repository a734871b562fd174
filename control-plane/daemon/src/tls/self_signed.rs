//! A certificate of our own, made at the first start and kept: a browser asks its user once, not after each restart.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::identity::Identity;
use crate::config::Http;

/// The one in `state`, if it is there and good for a while; else a new one, kept there if that can be.
pub(super) fn kept_or_made(state: Option<&Path>, names: &[String]) -> Result<Identity> {
    let Some(state) = state else { return read(&made(names)?) };
    let path = state.join(FILE);
    match kept(&path) {
        Ok(Some(identity)) => return Ok(identity),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), error = format!("{error:#}"), "the kept certificate is not used");
        }
    }
    let made = made(names)?;
    match keep(state, &path, &made) {
        Ok(()) => tracing::info!(path = %path.display(), "made a self-signed certificate"),
        Err(error) => tracing::warn!(
            path = %path.display(), %error,
            "a self-signed certificate cannot be kept: browsers ask again after each restart",
        ),
    }
    read(&made)
}

/// `localhost`, the host's name, that of the public URL, and the machine's addresses.
pub(super) fn names(http: &Http, of_machine: &[IpAddr]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    names.extend(nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()));
    let host = http.public_url.as_deref().and_then(|url| url.split_once("://")).map(|(_, rest)| rest);
    let host = host.and_then(|rest| rest.split(['/', ':', '[']).next()).filter(|host| !host.is_empty());
    names.extend(host.map(str::to_owned));
    names.extend(of_machine.iter().map(IpAddr::to_string));
    names.sort();
    names.dedup();
    names
}

/// `None` if there is none, or none that will last.
fn kept(path: &Path) -> Result<Option<Identity>> {
    let pem = match fs::read(path) {
        Ok(pem) => pem,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let open = fs::metadata(path)?.permissions().mode() & 0o077 != 0;
    anyhow::ensure!(!open, "others could read its key");
    let identity = read(&pem)?;
    let renew_at = identity.not_after - RENEWED_BEFORE_S;
    Ok((super::since_1970() < renew_at).then_some(identity))
}

fn read(pem: &[u8]) -> Result<Identity> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().context("certificate")?;
    let key = PrivateKeyDer::from_pem_slice(pem).context("key")?;
    Identity::new(chain, key)
}

/// Certificate and key in one text, so that they cannot be parted.
fn made(names: &[String]) -> Result<Vec<u8>> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("making a key")?;
    let mut params = CertificateParams::new(names).context("making a self-signed certificate")?;
    params.distinguished_name.push(DnType::CommonName, "Sluice, self-signed");
    let today = std::time::SystemTime::now();
    params.not_before = (today - std::time::Duration::from_secs(86_400)).into();
    params.not_after = (today + std::time::Duration::from_secs(LASTS_S)).into();
    let certificate = params.self_signed(&key).context("making a self-signed certificate")?;
    Ok(format!("{}{}", certificate.pem(), key.serialize_pem()).into_bytes())
}

/// Whole or not at all, readable by nobody else.
fn keep(state: &Path, path: &Path, pem: &[u8]) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state)?;
    let beside = state.join(format!("{FILE}.{}", std::process::id()));
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    let written = file.write_all(pem).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

const FILE: &str = "self-signed.pem";
/// Some systems accept no certificate that is valid for longer than 825 days.
const LASTS_S: u64 = 820 * 86_400;
/// A server that is started less often than monthly is rare.
const RENEWED_BEFORE_S: i64 = 30 * 86_400;

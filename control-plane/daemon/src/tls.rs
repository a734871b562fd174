//! The certificate of the HTTPS listener: the configured one, changed while running, or one of our own.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;

use crate::config::{Http, TlsVersion};
use crate::status::Status;

use self::identity::Identity;

mod counters;
mod identity;
mod self_signed;
#[cfg(test)]
mod tests;

pub(crate) use self::counters::TlsCounters;

/// The TLS settings in use and where they come from.
pub(crate) struct Tls {
    in_use: RustlsConfig,
    files: Mutex<Files>,
    status: Arc<Status>,
}

/// What is watched, as it was when last looked at.
struct Files {
    http: Http,
    stamp: Stamp,
}

impl Tls {
    /// Reads the configured certificate, or takes up our own from `state`, or makes it.
    pub(crate) fn new(
        http: &Http,
        state: Option<&Path>,
        of_machine: &[IpAddr],
        status: &Arc<Status>,
    ) -> Result<Arc<Tls>> {
        let stamp = Stamp::of(http);
        let identity = match &http.certificate {
            Some((certificate, key)) => Identity::read(certificate, key)?,
            None => self_signed::kept_or_made(state, &self_signed::names(http, of_machine))?,
        };
        let now = since_1970();
        if !identity.is_valid_at(now) {
            tracing::warn!(certificate = %identity, "the certificate is not valid today; browsers will refuse it");
        }
        status.tls.in_use(identity.not_after, http.certificate.is_some());
        let in_use = RustlsConfig::from_config(server_config(identity, http.tls_min_version)?);
        let files = Mutex::new(Files { http: http.clone(), stamp });
        Ok(Arc::new(Tls { in_use, files, status: Arc::clone(status) }))
    }

    /// For the listener. What is changed later holds for the connections to come.
    pub(crate) fn in_use(&self) -> RustlsConfig {
        self.in_use.clone()
    }

    /// Takes up other settings; the files are read anew. Without files before and after, our own certificate stays.
    ///
    /// # Errors
    /// What is wrong with them; the former certificate stays in use.
    pub(crate) fn reload(&self, http: &Http) -> Result<()> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.stamp = Stamp::of(http);
        let taken_up = self.take_up(http);
        match &taken_up {
            Ok(()) => files.http = http.clone(),
            Err(error) => {
                self.status.tls.refused();
                tracing::error!(
                    error = format!("{error:#}"),
                    "the new certificate is refused; the former stays in use"
                );
            }
        }
        taken_up
    }

    /// Looks, for ever, whether the files have changed. Polled rather than watched: certificates are put in place by
    /// renaming, by turning links, or by network file systems.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut settling = None;
        loop {
            tokio::time::sleep(WATCH_EVERY).await;
            let (http, known) = {
                let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
                (files.http.clone(), files.stamp.clone())
            };
            let now = Stamp::of(&http);
            if now == known {
                settling = None;
            } else if settling.as_ref() == Some(&now) {
                // Two looks alike: nobody is between writing the one file and the other.
                settling = None;
                // It has been said in the log.
                let _ = self.reload(&http);
            } else {
                settling = Some(now);
            }
        }
    }

    fn take_up(&self, http: &Http) -> Result<()> {
        let Some((certificate, key)) = &http.certificate else {
            anyhow::ensure!(
                !self.status.tls.is_real(),
                "going back to a certificate of our own needs a restart"
            );
            return Ok(());
        };
        let identity = Identity::read(certificate, key)?;
        anyhow::ensure!(
            identity.is_valid_at(since_1970()),
            "http.certificate: {} is not valid today",
            certificate.display()
        );
        let (text, not_after) = (identity.to_string(), identity.not_after);
        // New settings as a whole: a session resumed from before would not show the new chain.
        self.in_use.reload_from_config(server_config(identity, http.tls_min_version)?);
        self.status.tls.in_use(not_after, true);
        self.status.tls.reloaded();
        tracing::info!(certificate = text, "a new certificate is in use");
        Ok(())
    }
}

/// TLS 1.2 with forward secrecy and authenticated ciphers, and 1.3; HTTP/1.1 only.
fn server_config(identity: Identity, least: TlsVersion) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: Vec<_> = rustls::ALL_VERSIONS
        .iter()
        .copied()
        .filter(|known| least == TlsVersion::V1_2 || known.version == rustls::ProtocolVersion::TLSv1_3)
        .collect();
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .context("TLS versions")?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
        .context("http.certificate and http.key do not belong together")?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}

/// By what a change of either file shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stamp([Option<(u64, u64, Duration)>; 2]);

impl Stamp {
    fn of(http: &Http) -> Stamp {
        use std::os::unix::fs::MetadataExt;
        let look = |path: &Path| {
            let data = std::fs::metadata(path).ok()?;
            let changed = data.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            Some((data.ino(), data.len(), changed))
        };
        http.certificate
            .as_ref()
            .map_or_else(Stamp::default, |(certificate, key)| Stamp([look(certificate), look(key)]))
    }
}

fn since_1970() -> i64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A renewed certificate has days; a person who tries it out has less patience.
const WATCH_EVERY: Duration = Duration::from_secs(2);

//! A certificate chain with its key, and what the chain says of itself.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a listener shows, and the key to it.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    subject: String,
    not_before: i64,
    /// Seconds since 1970.
    pub(super) not_after: i64,
}

impl Identity {
    /// From PEM files.
    pub(super) fn read(certificate: &Path, key: &Path) -> Result<Identity> {
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("http.certificate: cannot read {}", certificate.display()))?;
        warn_if_open(key);
        let key = PrivateKeyDer::from_pem_file(key)
            .with_context(|| format!("http.key: cannot read a private key from {}", key.display()))?;
        Identity::new(chain, key).with_context(|| format!("http.certificate: {}", certificate.display()))
    }

    /// The first of `chain` is the one that names the server.
    pub(super) fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Identity> {
        let first = chain.first().context("there is no certificate in it")?;
        let (_, parsed) = X509Certificate::from_der(first).context("the first certificate cannot be read")?;
        let (subject, validity) = (parsed.subject().to_string(), parsed.validity());
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        Ok(Identity { chain, key, subject, not_before, not_after })
    }

    /// By its dates alone; `now` in seconds since 1970.
    pub(super) fn is_valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = (self.not_after - super::since_1970()).div_euclid(86_400);
        write!(f, "\"{}\", {} in the chain, {days} days left", self.subject, self.chain.len())
    }
}

/// A key that others may read is no secret.
fn warn_if_open(key: &Path) {
    let Ok(data) = std::fs::metadata(key) else { return };
    if data.permissions().mode() & 0o007 != 0 {
        tracing::warn!(key = %key.display(), "http.key: everybody on this machine can read the private key; chmod 640");
    }
}

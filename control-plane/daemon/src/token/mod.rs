//! Tokens of clients (RFC 7519 with Jitsi's claims): checked when a connection opens, so that the signalling loop never
//! waits for a key.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use xmpp::credentials::{Claims, Token};

use self::claims::{Flaw, Parts, Rules};
use self::jws::Key;
use self::keys::{Keys, Place};
use crate::config::{Jwt, KeySource};

pub(crate) mod claims;
pub(crate) mod fetch;
pub(crate) mod jws;
mod keys;

/// Checks tokens by the settings.
pub(crate) struct Verifier {
    rules: Rules,
    keys: Keys,
}

impl Verifier {
    /// Reads the keys that are in files.
    pub(crate) fn new(config: &Jwt) -> Result<Verifier> {
        let algorithm = config.rules.algorithm;
        let keys = match &config.keys {
            KeySource::Secret(path) => {
                let secret = std::fs::read(path)
                    .with_context(|| format!("jwt.secret_file: cannot read {}", path.display()))?;
                let secret = secret.trim_ascii();
                anyhow::ensure!(
                    secret.len() >= SECRET_BYTES_MIN,
                    "jwt.secret_file: {} has fewer than {SECRET_BYTES_MIN} bytes, anyone could guess it",
                    path.display()
                );
                let key = Key::from_secret(algorithm, secret).context("jwt.algorithm has no secret")?;
                Keys::Fixed(vec![(None, key)])
            }
            KeySource::Files(files) => {
                let keys = files.iter().map(|(kid, path)| {
                    let pem = std::fs::read(path)
                        .with_context(|| format!("jwt.public_keys: cannot read {}", path.display()))?;
                    let key = Key::from_pem(algorithm, &pem).with_context(|| {
                        format!(
                            "jwt.public_keys: {} holds no public key for {}",
                            path.display(),
                            algorithm.name()
                        )
                    })?;
                    Ok((kid.clone(), key))
                });
                Keys::Fixed(keys.collect::<Result<_>>()?)
            }
            KeySource::Server(url) => Keys::remote(algorithm, Place::Server(url.clone())),
            KeySource::Set(url) => Keys::remote(algorithm, Place::Set(url.clone())),
        };
        Ok(Verifier { rules: config.rules.clone(), keys })
    }

    /// What `token` is worth.
    pub(crate) async fn check(&self, token: Option<&str>) -> Token {
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Token::Absent };
        match self.verify(token).await {
            Ok(claims) => Token::Valid(Arc::new(claims)),
            Err(flaw) => {
                tracing::info!(%flaw, "token refused");
                Token::Invalid(flaw.text())
            }
        }
    }

    async fn verify(&self, token: &str) -> Result<Claims, Flaw> {
        let parts = Parts::of(token, &self.rules)?;
        let keys = self.keys.find(parts.kid.as_deref()).await?;
        if !keys.iter().any(|key| key.verifies(parts.signed, &parts.signature)) {
            return Err(Flaw::Signature);
        }
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        parts.claims(&self.rules, since_1970.as_secs())
    }
}

/// Shorter secrets are found by trying (RFC 7518 §3.2 asks for as many bytes as the hash has; existing deployments have less).
const SECRET_BYTES_MIN: usize = 8;

#[cfg(test)]
mod tests;

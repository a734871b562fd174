//! The certificate of the HTTPS listener: the configured one, or one made for this start.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Http;

/// Settings of TLS, HTTP/1.1 only.
pub(crate) fn server_config(config: &Http, addresses: &[IpAddr]) -> Result<ServerConfig> {
    let (chain, key) = match &config.certificate {
        Some((certificate, key)) => read(certificate, key)?,
        None => self_signed(addresses)?,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS versions")?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("http.certificate and http.key do not belong together")?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read(certificate: &Path, key: &Path) -> Result<Identity> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("http.certificate: cannot read {}", certificate.display()))?;
    anyhow::ensure!(!chain.is_empty(), "http.certificate: no certificate in {}", certificate.display());
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("http.key: cannot read a private key from {}", key.display()))?;
    Ok((chain, key))
}

/// For `localhost`, the host's name and the machine's addresses.
fn self_signed(addresses: &[IpAddr]) -> Result<Identity> {
    let mut names = vec!["localhost".to_owned()];
    names.extend(nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()));
    names.extend(addresses.iter().map(IpAddr::to_string));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("making a key")?;
    let certificate = CertificateParams::new(names)
        .and_then(|params| params.self_signed(&key))
        .context("making a self-signed certificate")?;
    let key =
        PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| anyhow::anyhow!("own key: {error}"))?;
    Ok((vec![certificate.der().clone()], key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn without_settings_a_certificate_is_made_and_only_http_1_is_spoken() {
        let config = Config::parse("", []).unwrap().http;
        let tls = server_config(&config, &[IpAddr::from([127, 0, 0, 1])]).unwrap();
        assert_eq!(tls.alpn_protocols, [b"http/1.1".to_vec()]);
    }

    #[test]
    fn a_missing_file_names_the_key() {
        let config =
            Config::parse("[http]\ncertificate = '/nowhere/c.pem'\nkey = '/nowhere/k.pem'", []).unwrap().http;
        let error = format!("{:#}", server_config(&config, &[]).unwrap_err());
        assert!(error.contains("http.certificate") && error.contains("/nowhere/c.pem"), "{error}");
    }
}

//! The process's own certificate: ECDSA P-256, made at start, never on disk (RFC 8827 §6.5).

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use contract::limits::HANDSHAKE_TIMEOUT;

use crate::fingerprint::Fingerprint;

/// A self-signed certificate with its key, and the DTLS settings that all associations share. Cheap to clone.
#[derive(Clone)]
pub struct Certificate {
    pub(crate) dtls: dimpl::DtlsCertificate,
    pub(crate) config: Arc<dimpl::Config>,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// Makes a new key and certificate.
    ///
    /// # Errors
    /// If the system's random generator or the crypto library fails.
    pub fn generate() -> Result<Certificate, CertificateError> {
        let dtls = dimpl::certificate::generate_self_signed_certificate()
            .map_err(|error| CertificateError::Generate(error.to_string()))?;
        // The peer proved its address by ICE before a datagram gets here, so a cookie round trip would buy nothing.
        let config = dimpl::Config::builder()
            .mtu(MTU)
            .max_queue_rx(RECORDS_PER_DATAGRAM_MAX)
            .use_server_cookie(false)
            .require_client_certificate(true)
            .handshake_timeout(HANDSHAKE_TIMEOUT)
            .flight_start_rto(FLIGHT_START_RTO)
            .flight_retries(FLIGHT_RETRIES)
            .build()
            .map_err(|error| CertificateError::Settings(error.to_string()))?;
        let value = digest::digest(&digest::SHA256, &dtls.certificate).as_ref().to_vec();
        let fingerprint = Fingerprint { hash: "sha-256".to_owned(), value };

        Ok(Certificate { dtls, config: Arc::new(config), fingerprint })
    }

    /// What signalling tells the client (RFC 8122 §5): the SHA-256 of the DER.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

impl core::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Certificate({})", self.fingerprint.to_text())
    }
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Key or certificate could not be made.
    #[error("the DTLS certificate could not be made: {0}")]
    Generate(String),
    /// The crypto provider refused the settings.
    #[error("the DTLS settings were refused: {0}")]
    Settings(String),
}

/// Largest datagram that is sent: what every path of today's internet carries, and what browsers assume.
pub(crate) const MTU: usize = 1_200;

/// Records are read out after every datagram; this many of the shortest fit into one of 1,500 bytes. A full queue is the end
/// of an association.
const RECORDS_PER_DATAGRAM_MAX: usize = 128;

/// First retransmission of a flight. RFC 6347 §4.2.4.1 says a second and allows less where delay matters: a lost datagram
/// here is a second of black picture.
const FLIGHT_START_RTO: Duration = Duration::from_millis(250);

/// Doubling from 250 ms, the whole-handshake limit strikes first.
const FLIGHT_RETRIES: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_certificate_is_its_own() {
        let (one, two) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
        assert_ne!(one.fingerprint(), two.fingerprint());
        assert_eq!(one.fingerprint().hash, "sha-256");
        assert_eq!(one.fingerprint().value.len(), 32);
    }

    #[test]
    fn printing_it_shows_the_fingerprint_and_no_key() {
        let certificate = Certificate::generate().unwrap();
        let printed = format!("{certificate:?}");
        assert!(printed.contains(&certificate.fingerprint().to_text()));
        assert!(printed.len() < 120);
    }
}

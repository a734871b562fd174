//! Signatures of tokens (RFC 7515): the algorithm is the setting's, the key is of that algorithm's kind.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use serde_json::Value;

/// A signature algorithm (RFC 7518 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Es256,
    Es384,
}

impl Algorithm {
    /// All with their names.
    pub(crate) const NAMES: [(&'static str, Algorithm); 9] = [
        ("HS256", Algorithm::Hs256),
        ("HS384", Algorithm::Hs384),
        ("HS512", Algorithm::Hs512),
        ("RS256", Algorithm::Rs256),
        ("RS384", Algorithm::Rs384),
        ("RS512", Algorithm::Rs512),
        ("PS256", Algorithm::Ps256),
        ("ES256", Algorithm::Es256),
        ("ES384", Algorithm::Es384),
    ];

    /// Its name in the head of a token.
    pub(crate) fn name(self) -> &'static str {
        Algorithm::NAMES.iter().find(|(_, algorithm)| *algorithm == self).map_or("", |(name, _)| name)
    }

    /// Whether signer and verifier share one secret.
    pub(crate) fn is_symmetric(self) -> bool {
        self.hmac().is_some()
    }

    fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
            Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
            Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    fn rsa(self) -> Option<&'static signature::RsaParameters> {
        match self {
            Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
            _ => None,
        }
    }

    /// The algorithm on elliptic curves and the bytes of a coordinate.
    fn ecdsa(self) -> Option<(&'static dyn VerificationAlgorithm, usize)> {
        match self {
            Algorithm::Es256 => Some((&signature::ECDSA_P256_SHA256_FIXED, 32)),
            Algorithm::Es384 => Some((&signature::ECDSA_P384_SHA384_FIXED, 48)),
            _ => None,
        }
    }
}

/// A key for one algorithm.
#[derive(Clone)]
pub(crate) struct Key {
    algorithm: Algorithm,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Secret(Box<hmac::Key>),
    /// A public key, as `SubjectPublicKeyInfo` or as the point of a curve.
    Public(Vec<u8>),
    /// Modulus and exponent.
    Rsa(Vec<u8>, Vec<u8>),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Key {
    /// A shared secret; `None` for an algorithm that has none.
    pub(crate) fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Option<Key> {
        let key = hmac::Key::new(algorithm.hmac()?, secret);
        Some(Key { algorithm, material: Material::Secret(Box::new(key)) })
    }

    /// A public key in PEM, or the key of a certificate; `None` if it is neither, or for an algorithm with a secret.
    pub(crate) fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Option<Key> {
        if algorithm.is_symmetric() {
            return None;
        }
        let key = match SubjectPublicKeyInfoDer::from_pem_slice(pem) {
            Ok(key) => key.to_vec(),
            Err(_) => {
                let certificate = CertificateDer::from_pem_slice(pem).ok()?;
                let certificate = rustls::server::ParsedCertificate::try_from(&certificate).ok()?;
                certificate.subject_public_key_info().to_vec()
            }
        };
        Key { algorithm, material: Material::Public(key) }.usable()
    }

    /// A key of a key set (RFC 7517); `None` if it is of another kind or for another purpose.
    pub(crate) fn from_jwk(algorithm: Algorithm, jwk: &Value) -> Option<Key> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let fits = text("alg").is_none_or(|alg| alg == algorithm.name());
        let signs = text("use").is_none_or(|purpose| purpose == "sig");
        if !fits || !signs {
            return None;
        }
        let material = match text("kty")? {
            "RSA" if algorithm.rsa().is_some() => Material::Rsa(bytes("n")?, bytes("e")?),
            "EC" => {
                let (_, length) = algorithm.ecdsa()?;
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != length || y.len() != length {
                    return None;
                }
                Material::Public([vec![UNCOMPRESSED], x, y].concat())
            }
            _ => return None,
        };
        Some(Key { algorithm, material })
    }

    /// Whether `signature` is this key's under `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Material::Rsa(n, e) => {
                let key = RsaPublicKeyComponents { n, e };
                self.algorithm.rsa().is_some_and(|rsa| key.verify(rsa, message, signature).is_ok())
            }
            Material::Public(key) => {
                let algorithm = match (self.algorithm.rsa(), self.algorithm.ecdsa()) {
                    (Some(rsa), _) => rsa as &dyn VerificationAlgorithm,
                    (None, Some((ecdsa, _))) => ecdsa,
                    (None, None) => return false,
                };
                UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
            }
        }
    }

    /// This key, if it is of the algorithm's kind at all.
    fn usable(self) -> Option<Key> {
        let Material::Public(der) = &self.material else { return Some(self) };
        let algorithm = match (self.algorithm.rsa(), self.algorithm.ecdsa()) {
            (Some(rsa), _) => rsa as &'static dyn VerificationAlgorithm,
            (None, Some((ecdsa, _))) => ecdsa,
            (None, None) => return None,
        };
        signature::ParsedPublicKey::new(algorithm, der).ok()?;
        Some(self)
    }
}

/// The first byte of a point that is written with both coordinates (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_serves_symmetric_algorithms_only_and_a_public_key_the_others() {
        let pem = rcgen::KeyPair::generate().unwrap().public_key_pem();
        for (name, algorithm) in Algorithm::NAMES {
            let symmetric = name.starts_with("HS");
            assert_eq!(Key::from_secret(algorithm, b"secret").is_some(), symmetric, "{name}");
            assert_eq!(Key::from_pem(algorithm, pem.as_bytes()).is_some(), name == "ES256", "{name}");
            assert_eq!(algorithm.name(), name);
        }
    }

    #[test]
    fn keys_from_files_certificates_and_key_sets_verify_what_their_owner_signed() {
        let key = rcgen::KeyPair::generate().unwrap();
        let fixed = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let signer = EcdsaKeyPair::from_pkcs8(fixed, &key.serialize_der()).unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["x".into()]).unwrap().self_signed(&key).unwrap();
        let point = signer.public_key().as_ref().to_vec();
        let jwk = json!({ "kty": "EC", "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]) });
        let signed = signer.sign(&SystemRandom::new(), b"message").unwrap();
        let keys = [
            Key::from_pem(Algorithm::Es256, key.public_key_pem().as_bytes()),
            Key::from_pem(Algorithm::Es256, certificate.pem().as_bytes()),
            Key::from_jwk(Algorithm::Es256, &jwk),
        ];
        for key in keys {
            let key = key.expect("usable");
            assert!(key.verifies(b"message", signed.as_ref()));
            assert!(!key.verifies(b"massage", signed.as_ref()));
            assert!(!key.verifies(b"message", b""));
        }
        assert!(Key::from_jwk(Algorithm::Rs256, &jwk).is_none(), "another kind");
        assert!(Key::from_jwk(Algorithm::Es384, &jwk).is_none(), "another curve");
    }

    #[test]
    fn rsa_keys_of_a_key_set_are_for_their_purpose_only() {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        // RSAPublicKey (RFC 8017 §A.1.1): a head of nine bytes, the modulus, a head of two, the exponent.
        let der = pair.public_key().as_ref().to_vec();
        let (n, e) = (URL_SAFE_NO_PAD.encode(&der[9..265]), URL_SAFE_NO_PAD.encode(&der[267..]));
        let mut signed = vec![0; pair.public_modulus_len()];
        pair.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), b"message", &mut signed).unwrap();
        let jwk = json!({ "kty": "RSA", "n": n, "e": e });
        assert!(Key::from_jwk(Algorithm::Rs256, &jwk).unwrap().verifies(b"message", &signed));
        assert!(!Key::from_jwk(Algorithm::Rs512, &jwk).unwrap().verifies(b"message", &signed));
        for other in
            [json!({ "use": "enc" }), json!({ "alg": "RS512" }), json!({ "kty": "oct", "k": "AAAA" })]
        {
            let mut jwk = jwk.clone();
            jwk.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
            assert!(Key::from_jwk(Algorithm::Rs256, &jwk).is_none(), "{other}");
        }
    }
}

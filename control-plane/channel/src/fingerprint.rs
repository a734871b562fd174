//! Certificate fingerprints as signalled (RFC 8122 §5, RFC 8827 §6.5) and their verification.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;

/// The hash of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Name of the hash function as signalled, such as `sha-256`; case does not matter.
    pub hash: String,
    /// The hash's bytes.
    pub value: Vec<u8>,
}

impl Fingerprint {
    /// The value in upper-case hexadecimal, colons between bytes.
    pub fn to_text(&self) -> String {
        self.value.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }
}

/// Why a certificate is not that of the signalled peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// None of the signalled hashes is strong enough to prove anything: only md5, sha-1 or unknown ones.
    #[error("no fingerprint with an acceptable hash was signalled")]
    NoAcceptableHash,
    /// The certificate is another one.
    #[error("the certificate does not match the signalled fingerprint")]
    Different,
}

/// Whether `certificate` (DER) is the one signalled. Of several hash functions only the strongest counts; of several values
/// under that one any may match, as a client may announce more than one certificate (RFC 8122 §5.1).
pub(crate) fn verify(certificate: &[u8], signalled: &[Fingerprint]) -> Result<(), Mismatch> {
    let strongest = signalled
        .iter()
        .filter_map(|fingerprint| algorithm(&fingerprint.hash))
        .max_by_key(|a| a.output_len());
    let Some(strongest) = strongest else { return Err(Mismatch::NoAcceptableHash) };

    let actual = digest::digest(strongest, certificate);
    let matches = signalled
        .iter()
        .filter(|fingerprint| algorithm(&fingerprint.hash) == Some(strongest))
        .any(|fingerprint| verify_slices_are_equal(&fingerprint.value, actual.as_ref()).is_ok());
    if matches { Ok(()) } else { Err(Mismatch::Different) }
}

/// The hash functions that count as proof. Collisions of sha-1 and md5 can be made to order.
fn algorithm(name: &str) -> Option<&'static digest::Algorithm> {
    const ACCEPTED: [(&str, &digest::Algorithm); 3] =
        [("sha-256", &digest::SHA256), ("sha-384", &digest::SHA384), ("sha-512", &digest::SHA512)];
    ACCEPTED.iter().find(|(accepted, _)| accepted.eq_ignore_ascii_case(name)).map(|(_, algorithm)| *algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &[u8] = b"stands for a DER certificate";

    fn of(hash: &str) -> Fingerprint {
        let algorithm = match hash.to_ascii_lowercase().as_str() {
            "sha-1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            "sha-384" => &digest::SHA384,
            "sha-512" => &digest::SHA512,
            _ => &digest::SHA256,
        };
        Fingerprint { hash: hash.to_owned(), value: digest::digest(algorithm, CERTIFICATE).as_ref().to_vec() }
    }

    fn wrong(hash: &str) -> Fingerprint {
        let mut fingerprint = of(hash);
        fingerprint.value[0] ^= 1;
        fingerprint
    }

    #[test]
    fn only_the_strongest_signalled_hash_decides() {
        let shortened = Fingerprint { value: of("sha-256").value[..31].to_vec(), ..of("sha-256") };
        let table: [(&str, Vec<Fingerprint>, Result<(), Mismatch>); 12] = [
            ("right", vec![of("sha-256")], Ok(())),
            ("right, upper case", vec![of("SHA-256")], Ok(())),
            ("right, sha-384", vec![of("sha-384")], Ok(())),
            ("right, sha-512", vec![of("sha-512")], Ok(())),
            ("wrong", vec![wrong("sha-256")], Err(Mismatch::Different)),
            ("too short", vec![shortened], Err(Mismatch::Different)),
            ("nothing signalled", vec![], Err(Mismatch::NoAcceptableHash)),
            ("right but sha-1", vec![of("sha-1")], Err(Mismatch::NoAcceptableHash)),
            ("unknown hash", vec![of("md5")], Err(Mismatch::NoAcceptableHash)),
            ("weak right, strong wrong", vec![of("sha-256"), wrong("sha-512")], Err(Mismatch::Different)),
            ("weak wrong, strong right", vec![wrong("sha-256"), of("sha-512"), of("sha-1")], Ok(())),
            ("second certificate of two", vec![wrong("sha-256"), of("sha-256")], Ok(())),
        ];
        for (name, signalled, expected) in table {
            assert_eq!(verify(CERTIFICATE, &signalled), expected, "{name}");
        }
    }

    #[test]
    fn text_is_upper_case_with_colons() {
        let fingerprint = Fingerprint { hash: "sha-256".into(), value: vec![0x0a, 0xff, 0x10] };
        assert_eq!(fingerprint.to_text(), "0A:FF:10");
    }
}

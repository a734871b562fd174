//! Session keys from master keys (RFC 3711 §4.3, RFC 6188 for 256 bits, RFC 7714 §11 for short salts).

use super::provider::{CounterMode, Failed};

/// What a session key is for (RFC 3711 §4.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// Derives session keys of one direction. The key derivation rate is zero, as with DTLS-SRTP (RFC 5764 §4.1.2).
pub(crate) struct KeyDerivation {
    generator: CounterMode,
    salt: [u8; 14],
}

impl KeyDerivation {
    /// Master key of 16 or 32 bytes, master salt of at most 14; a shorter one is padded with zeros behind.
    pub(crate) fn new(key: &[u8], salt: &[u8]) -> Result<KeyDerivation, Failed> {
        if salt.len() > 14 {
            return Err(Failed);
        }
        let mut padded = [0; 14];
        for (to, from) in padded.iter_mut().zip(salt) {
            *to = *from;
        }
        Ok(KeyDerivation { generator: CounterMode::new(key)?, salt: padded })
    }

    /// `N` bytes of the key stream for `label`.
    pub(crate) fn derive<const N: usize>(&self, label: Label) -> Result<[u8; N], Failed> {
        let mut counter = [0; 16];
        counter[..14].copy_from_slice(&self.salt);
        counter[7] ^= label as u8;
        let mut key = [0; N];
        self.generator.apply(counter, &mut key)?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn derivation_gives_the_keys_of_rfc_3711_appendix_b_3() {
        let derivation = KeyDerivation::new(
            &bytes("E1F97A0D3E018BE0D64FA32C06DE4139"),
            &bytes("0EC675AD498AFEEBB6960B3AABE6"),
        )
        .unwrap();
        assert_eq!(
            derivation.derive::<16>(Label::RtpEncryption).unwrap()[..],
            bytes("C61E7A93744F39EE10734AFE3FF7A087")
        );
        assert_eq!(
            derivation.derive::<14>(Label::RtpSalt).unwrap()[..],
            bytes("30CBBC08863D8C85D49DB34A9AE1")
        );
        assert_eq!(
            derivation.derive::<94>(Label::RtpAuthentication).unwrap()[..],
            bytes(
                "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF722709863\
                 71C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2"
            )
        );
    }

    #[test]
    fn derivation_gives_the_keys_of_rfc_6188_section_7_2() {
        let derivation = KeyDerivation::new(
            &bytes("F0F04914B513F2763A1B1FA130F10E2998F6F6E43E4309D1E622A0E332B9F1B6"),
            &bytes("3B04803DE51EE7C96423AB5B78D2"),
        )
        .unwrap();
        assert_eq!(
            derivation.derive::<32>(Label::RtpEncryption).unwrap()[..],
            bytes("5BA1064E30EC51613CAD926C5A28EF731EC7FB397F70A960653CAF06554CD8C4")
        );
        assert_eq!(
            derivation.derive::<14>(Label::RtpSalt).unwrap()[..],
            bytes("FA31791685CA444A9E07C6C64E93")
        );
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert!(KeyDerivation::new(&[0; 15], &[0; 14]).is_err());
        assert!(KeyDerivation::new(&[0; 16], &[0; 15]).is_err());
    }
}

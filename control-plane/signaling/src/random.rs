//! Names and secrets from a source of randomness that is handed in.

/// A source of strong randomness: fills the slice. The process passes the operating system's, tests a counter.
pub type Random = Box<dyn FnMut(&mut [u8]) + Send>;

/// `digits` random lower-case hexadecimal digits.
pub(crate) fn hex(random: &mut Random, digits: usize) -> String {
    let mut bytes = vec![0; digits.div_ceil(2)];
    random(&mut bytes);
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    text
}

/// `length` random letters and digits. No character is likelier than 5/256, so each carries at least 5.6 bits:
/// 24 of them exceed the 128 bits that a secret needs.
pub(crate) fn alphanumeric(random: &mut Random, length: usize) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut bytes = vec![0; length];
    random(&mut bytes);
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}

/// A random SSRC that is not `0` and not `other`.
pub(crate) fn ssrc(random: &mut Random, other: u32) -> u32 {
    let mut bytes = [0; 4];
    random(&mut bytes);
    let mut drawn = u32::from_be_bytes(bytes);
    while drawn == 0 || drawn == other {
        drawn = drawn.wrapping_add(1);
    }
    drawn
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A source that never repeats and is the same in every run.
    pub(crate) fn counting() -> Random {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        Box::new(move |bytes| {
            for byte in bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = (state >> 56) as u8;
            }
        })
    }

    #[test]
    fn names_have_the_asked_length_and_alphabet() {
        let mut random = counting();
        let (name, secret) = (hex(&mut random, 13), alphanumeric(&mut random, 24));
        assert!(name.len() == 13 && name.bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
        assert!(secret.len() == 24 && secret.bytes().all(|b| b.is_ascii_alphanumeric()), "{secret}");
    }

    #[test]
    fn an_ssrc_is_neither_zero_nor_the_other_one() {
        let mut zeros: Random = Box::new(|bytes| bytes.fill(0));
        assert_eq!(ssrc(&mut zeros, 1), 2);
    }
}

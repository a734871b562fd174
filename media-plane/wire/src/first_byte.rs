//! What a datagram on the shared port is, from its first two bytes (RFC 7983 §7, RFC 5761 §4).

/// The protocol that a datagram belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// First byte 0..=3 (RFC 8489).
    Stun,
    /// First byte 20..=63 (RFC 6347, 9147).
    Dtls,
    /// First byte 128..=191, second byte outside 192..=223.
    Rtp,
    /// First byte 128..=191, second byte 192..=223.
    Rtcp,
    /// Everything else: empty, ZRTP, TURN channels, QUIC, and one lone byte of RTP.
    Unknown,
}

/// Sort a datagram by its first bytes alone; nothing else of it is checked.
pub fn classify(datagram: &[u8]) -> Kind {
    match datagram {
        [0..=3, ..] => Kind::Stun,
        [20..=63, ..] => Kind::Dtls,
        [128..=191, 192..=223, ..] => Kind::Rtcp,
        [128..=191, _, ..] => Kind::Rtp,
        _ => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_first_bytes_falls_into_its_range() {
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let expected = if first <= 3 {
                    Kind::Stun
                } else if (20..64).contains(&first) {
                    Kind::Dtls
                } else if first & 0xC0 == 0x80 {
                    if (192..224).contains(&second) { Kind::Rtcp } else { Kind::Rtp }
                } else {
                    Kind::Unknown
                };
                assert_eq!(classify(&[first, second, 0]), expected, "{first} {second}");
            }
        }
    }

    #[test]
    fn datagrams_too_short_to_tell_are_unknown() {
        assert_eq!(classify(&[]), Kind::Unknown);
        assert_eq!(classify(&[0x80]), Kind::Unknown, "RTP and RTCP cannot be told apart");
        assert_eq!(classify(&[0]), Kind::Stun, "the parser refuses it");
    }
}

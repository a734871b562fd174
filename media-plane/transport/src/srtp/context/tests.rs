use arrayvec::ArrayVec;

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn keys(profile: SrtpProfile, provider: Provider, master: &str) -> Box<Session> {
    let both: ArrayVec<u8, 46> = bytes(master).into_iter().collect();
    Session::with_provider(&SrtpKeys { profile, inbound: both.clone(), outbound: both }, provider).unwrap()
}

/// Protection under session keys as RFC 7714 gives them, without derivation.
fn aead(provider: Provider, key: &[u8]) -> Protection {
    Protection::Aead { key: Aead::new(provider, key).unwrap(), salt: *b"Quid pro quo" }
}

/// Each row with each provider.
fn with_providers<T>(rows: &[T]) -> impl Iterator<Item = (Provider, &T)> {
    Provider::ALL.into_iter().flat_map(move |provider| rows.iter().map(move |row| (provider, row)))
}

const KEY: [u8; 32] = {
    let mut key = [0; 32];
    let mut i = 0;
    while i < 32 {
        key[i] = i as u8;
        i += 1;
    }
    key
};

/// (plaintext, key bytes, protected): RFC 7714 §16.1.1 and §16.2.1, roll-over counter 0.
const RTP: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070
    61727465 73207472 6573";
const RTP_ROWS: &[(usize, &str)] = &[
    (
        16,
        "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b
         36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
    ),
    (
        32,
        "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f
         1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
    ),
];
/// RFC 7714 §17.1 and §17.2, index 0x5d4.
const RTCP: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef
    deadbeef deadbeef deadbeef";
const RTCP_ROWS: &[(usize, &str)] = &[
    (
        16,
        "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda 4ce09b46
         86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
    ),
    (
        32,
        "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1 110555be 8415f658
         c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4",
    ),
];

#[test]
fn rtp_is_protected_as_in_rfc_7714_section_16() {
    for (provider, &(key, protected)) in with_providers(RTP_ROWS) {
        let protection = aead(provider, &KEY[..key]);
        let (mut packet, mut tag) = (bytes(RTP), [0; 16]);
        protection.seal_rtp(0x5501_a0b2, 0xf17b, &mut packet, 12, &mut tag).unwrap();
        packet.extend_from_slice(&tag);
        assert_eq!(packet, bytes(protected));
        // Out of place, in all divisions into payload and what is handed in as padding.
        let plain = bytes(RTP);
        for payload_len in 0..=plain.len() - 12 {
            let mut packet = plain[..12].to_vec();
            packet.resize(plain.len() + 16, 0xEE);
            let body = plain[12..].split_at(payload_len);
            protection.seal_rtp_from(0x5501_a0b2, 0xf17b, &mut packet, 12, body).unwrap();
            assert_eq!(packet, bytes(protected), "{provider:?}");
        }
        let mut payload = vec![0; packet.len() - 28];
        protection.open_rtp(0x5501_a0b2, 0xf17b, &packet, 12, &mut payload).unwrap();
        assert_eq!(payload, bytes(RTP)[12..]);
    }
}

#[test]
fn rtcp_is_protected_as_in_rfc_7714_section_17() {
    for (provider, &(key, protected)) in with_providers(RTCP_ROWS) {
        let protection = aead(provider, &KEY[..key]);
        let mut packet = bytes(RTCP);
        let len = packet.len();
        packet.resize(len + 20, 0);
        protection.seal_rtcp(0x5d4, &mut packet, len).unwrap();
        assert_eq!(packet, bytes(protected));
        let mut compound = vec![0; len];
        protection.open_rtcp(0x4d61_7273, 0x5d4, &packet, &mut compound).unwrap();
        assert_eq!(compound, bytes(RTCP));
    }
}

/// Whole sessions, derivation included, against values that are known from other implementations:
/// (profile, master key and salt, protected RTP, protected RTCP of index 1).
const SESSION_ROWS: &[(SrtpProfile, &str, &str, &str)] = &[
    (
        SrtpProfile::Aes128CmHmacSha1_80,
        "e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6",
        "800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb",
        "81c8000b cafebabe 7128035b e487b9bd bef89041 f977a5a8 80000001 993e08cd 54d6c123 0798",
    ),
    (
        SrtpProfile::AeadAes128Gcm,
        "000102030405060708090a0b0c0d0e0f a0a1a2a3a4a5a6a7a8a9aaab",
        "800f1234 decafbad cafebabe c5002ede 04cfdd2e b91159e0 880aa06e d2976826 f796b201 df3131a1 27e8a392",
        "81c8000b cafebabe c98b8b5d f0392a55 852b6c21 ac8e7025 c52c6fbe a2b3b446 ea31123b a88ce61e 80000001",
    ),
];

#[test]
fn whole_sessions_agree_with_other_implementations() {
    for (provider, &(profile, master, rtp, rtcp)) in with_providers(SESSION_ROWS) {
        let session = keys(profile, provider, master);
        let mut packet = bytes("800f1234 decafbad cafebabe");
        packet.extend_from_slice(&[0xab; 16]);
        packet.resize(28 + session.rtp_overhead(), 0);
        assert_eq!(session.seal_rtp(0xcafe_babe, 0x1234, &mut packet, 12, 28), Some(packet.len()));
        assert_eq!(packet, bytes(rtp), "{profile:?}");
        let mut payload = [0; 16];
        assert_eq!(session.open_rtp(0xcafe_babe, 0x1234, &packet, 12, &mut payload), Ok(16));
        assert_eq!(payload, [0xab; 16]);

        let mut packet = bytes("81c8000b cafebabe");
        packet.extend_from_slice(&[0xab; 16]);
        packet.resize(24 + session.rtcp_overhead(), 0);
        assert_eq!(session.seal_rtcp(1, &mut packet, 24), Some(packet.len()));
        assert_eq!(packet, bytes(rtcp), "{profile:?}");
        let mut compound = [0; 24];
        assert_eq!(session.peek_rtcp(&packet), Ok((0xcafe_babe, 1)));
        assert_eq!(session.open_rtcp(&packet, &mut compound), Ok(24));
        assert_eq!(compound[8..], [0xab; 16]);
    }
}

fn all() -> [Box<Session>; 5] {
    let master = |len: usize| (0..len).map(|i| format!("{i:02x}")).collect::<String>();
    [
        keys(SrtpProfile::AeadAes128Gcm, Provider::AwsLc, &master(28)),
        keys(SrtpProfile::AeadAes256Gcm, Provider::AwsLc, &master(44)),
        keys(SrtpProfile::Aes128CmHmacSha1_80, Provider::AwsLc, &master(30)),
        keys(SrtpProfile::AeadAes128Gcm, Provider::Ring, &master(28)),
        keys(SrtpProfile::AeadAes256Gcm, Provider::Ring, &master(44)),
    ]
}

#[test]
fn sealing_from_elsewhere_gives_the_bytes_of_sealing_in_place_and_opens_with_either_provider() {
    let sessions = all();
    let payload: Vec<u8> = (0..1_300u32).map(|at| (at * 7) as u8).collect();
    for (number, session) in sessions.iter().enumerate() {
        let overhead = session.rtp_overhead();
        for (len, padding) in [(0, 0), (1, 0), (15, 1), (16, 2), (17, 255), (300, 3), (1_300, 0), (1_200, 9)]
        {
            let plain_len = 20 + len + usize::from(padding);
            let mut in_place = vec![0x90; plain_len + overhead];
            in_place[20..20 + len].copy_from_slice(&payload[..len]);
            in_place[20 + len..plain_len].fill(0);
            if padding > 0 {
                in_place[plain_len - 1] = padding;
            }
            let mut elsewhere = vec![0x90; plain_len + overhead];
            assert_eq!(session.seal_rtp(7, 99, &mut in_place, 20, plain_len), Some(plain_len + overhead));
            let sealed = session.seal_rtp_from(7, 99, 20, &payload[..len], padding, &mut elsewhere);
            assert_eq!(sealed, Some(plain_len + overhead));
            assert_eq!(in_place, elsewhere, "{session:?} {len} {padding}");
            // The same keys with the other library, where there is one.
            let other = &sessions[(number + 3) % 5];
            if other.profile() == session.profile() {
                let mut opened = vec![0; plain_len - 20];
                let len_opened = other.open_rtp(7, 99, &elsewhere, 20, &mut opened);
                assert_eq!(len_opened, Ok(plain_len - 20));
                assert_eq!(opened[..len], payload[..len]);
            }
            elsewhere.pop();
            assert_eq!(session.seal_rtp_from(7, 99, 20, &payload[..len], padding, &mut elsewhere), None);
        }
    }
}

#[test]
fn every_single_bit_is_authenticated() {
    for session in all() {
        let mut packet = [0x80; 60];
        let len = session.seal_rtp(7, 1 << 20 | 5, &mut packet, 12, 40).unwrap();
        let mut plain = [0; 60];
        for bit in 0..len * 8 {
            let mut bad = packet;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(session.open_rtp(7, 1 << 20 | 5, &bad[..len], 12, &mut plain).is_err(), "bit {bit}");
        }
        let other_roll_over = session.open_rtp(7, 2 << 20 | 5, &packet[..len], 12, &mut plain);
        assert_eq!(other_roll_over, Err(DropReason::SrtpAuth));
        assert!(session.open_rtp(7, 1 << 20 | 5, &packet[..len], 12, &mut plain).is_ok());

        let mut packet = [0x81; 80];
        let len = session.seal_rtcp(9, &mut packet, 40).unwrap();
        for bit in 0..len * 8 {
            let mut bad = packet;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(session.open_rtcp(&bad[..len], &mut [0; 80]).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn no_length_is_too_short_to_be_refused() {
    for session in all() {
        for len in 0..=80 {
            for header_len in [0, 12, 16, 72, 80, 200] {
                let result = session.open_rtp(1, 1, &[0x80; 80][..len], header_len, &mut [0; 80]);
                let short = len < header_len + session.rtp_overhead();
                assert_eq!(result, Err(if short { DropReason::SrtpShort } else { DropReason::SrtpAuth }));
                let result = session.open_rtp(1, 1, &[0x80; 80][..len], header_len, &mut []);
                assert!(result.is_err());
                let mut packet = [0x80; 80];
                let sealed = session.seal_rtp(1, 1, &mut packet[..len], header_len.min(len), len);
                assert_eq!(sealed, None, "no room for the tag");
            }
            let result = session.open_rtcp(&[0x80; 80][..len], &mut [0; 80]);
            let short = len < 8 + session.rtcp_overhead();
            assert_eq!(
                result,
                Err(if short { DropReason::SrtpShort } else { DropReason::SrtpAuth }),
                "{len}"
            );
        }
    }
}

#[test]
fn clear_rtcp_is_refused() {
    for session in all() {
        let mut packet = [0x81; 80];
        let len = session.seal_rtcp(9, &mut packet, 40).unwrap();
        let index_at = session.inbound_rtcp.srtcp_index_at(len).unwrap();
        packet[index_at] &= 0x7F;
        assert_eq!(session.peek_rtcp(&packet[..len]), Err(DropReason::SrtcpClear));
    }
}

#[test]
fn keys_end_with_their_indices() {
    for session in all() {
        assert!(session.seal_rtp_from(1, INDEX_MAX, 12, &[1; 20], 0, &mut [0x80; 60]).is_some());
        assert_eq!(session.seal_rtp_from(1, INDEX_MAX + 1, 12, &[1; 20], 0, &mut [0x80; 60]), None);
        assert!(session.seal_rtp(1, INDEX_MAX, &mut [0x80; 60], 12, 40).is_some());
        assert_eq!(session.seal_rtp(1, INDEX_MAX + 1, &mut [0x80; 60], 12, 40), None);
        assert!(session.seal_rtcp(SRTCP_INDEX_MAX, &mut [0x80; 80], 40).is_some());
        assert_eq!(session.seal_rtcp(SRTCP_INDEX_MAX + 1, &mut [0x80; 80], 40), None);
    }
}

#[test]
fn keys_of_a_wrong_length_are_refused_and_none_is_printed() {
    for len in [0, 27, 29, 46] {
        let both: ArrayVec<u8, 46> = (0..len).map(|i| i as u8).collect();
        let keys = SrtpKeys { profile: SrtpProfile::AeadAes128Gcm, inbound: both.clone(), outbound: both };
        assert_eq!(Session::new(&keys).err(), Some(Refused));
    }
    assert_eq!(format!("{:?}", all()[0]), "Session(AEAD_AES_128_GCM)");
}

//! Messages of RFC 5769, hand-made broken ones, and round trips.

use core::net::SocketAddr;

use proptest::prelude::*;

use super::*;

/// RFC 5769 §2.1, sample request: ufrag "evtj:h6vY", password "VOkJxbRl1RmTxUk/WvJxBt".
const REQUEST: [u8; 108] = [
    0x00, 0x01, 0x00, 0x58, // Binding request, 88 bytes
    0x21, 0x12, 0xa4, 0x42, // cookie
    0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, // transaction
    0x80, 0x22, 0x00, 0x10, // SOFTWARE "STUN test client"
    0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, //
    0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff, // PRIORITY
    0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, // ICE-CONTROLLED
    0x00, 0x06, 0x00, 0x09, // USERNAME
    0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, // padded by spaces
    0x00, 0x08, 0x00, 0x14, // MESSAGE-INTEGRITY
    0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, //
    0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71, 0xa2, //
    0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf, // FINGERPRINT
];

/// RFC 5769 §2.2: XOR-MAPPED-ADDRESS 192.0.2.1:32853, without the integrity's check here.
const RESPONSE_V4: [u8; 80] = [
    0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, // Binding success
    0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, //
    0x80, 0x22, 0x00, 0x0b, // SOFTWARE "test vector"
    0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20, //
    0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43, //
    0x00, 0x08, 0x00, 0x14, //
    0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74, //
    0x89, 0xf9, 0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7, //
    0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96, //
];

const TRANSACTION: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/// Stands for HMAC-SHA1: depends on each byte and its place.
fn toy_hmac(parts: &[&[u8]]) -> [u8; 20] {
    let mut sum = [0u8; 20];
    for (index, byte) in parts.iter().flat_map(|part| part.iter()).enumerate() {
        let slot = &mut sum[index % 20];
        *slot = slot.wrapping_mul(31).wrapping_add(*byte).rotate_left(1);
    }
    sum
}

/// A message with these attributes (type, value), lengths right, no fingerprint.
fn message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    bytes.extend(TRANSACTION);
    for (kind, value) in attributes {
        bytes.extend(kind.to_be_bytes());
        bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        bytes.extend(*value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let length = u16::try_from(bytes.len() - 20).unwrap();
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

#[test]
fn the_sample_request_of_rfc_5769_is_read() {
    let message = Message::parse(&REQUEST).unwrap();
    assert_eq!(message.class(), Class::Request);
    assert!(message.is_binding());
    assert_eq!(message.transaction_id(), REQUEST[8..20]);
    assert_eq!(message.username(), Some("evtj:h6vY"));
    assert_eq!(message.local_ufrag(), Some("evtj"));
    assert_eq!(message.remote_ufrag(), Some("h6vY"));
    assert_eq!(message.priority(), Some(0x6e00_01ff));
    assert_eq!(message.ice_controlled(), Some(0x932f_f9b1_5126_3b36));
    assert_eq!(message.ice_controlling(), None);
    assert!(!message.use_candidate());
    assert!(message.has_fingerprint());
    assert_eq!(message.unknown_required(), &[] as &[u16], "SOFTWARE is optional");
}

#[test]
fn integrity_covers_the_message_before_it_with_the_length_adjusted() {
    let message = Message::parse(&REQUEST).unwrap();
    let mut covered = Vec::new();
    let answer = message.verify(|parts| {
        covered = parts.concat();
        REQUEST[80..100].try_into().unwrap()
    });
    assert_eq!(answer, Integrity::Right);
    assert_eq!(covered.len(), 76);
    assert_eq!(covered[2..4], [0, 0x50], "80: the fingerprint is not counted");
    assert_eq!(covered[4..], REQUEST[4..76]);
    assert_eq!(message.verify(|_| [0; 20]), Integrity::Wrong);
    let mut last_bit: [u8; 20] = REQUEST[80..100].try_into().unwrap();
    last_bit[19] ^= 1;
    assert_eq!(message.verify(|_| last_bit), Integrity::Wrong);
}

#[test]
fn the_sample_response_of_rfc_5769_is_read() {
    let message = Message::parse(&RESPONSE_V4).unwrap();
    assert_eq!(message.class(), Class::Success);
    assert_eq!(message.xor_mapped_address(), Some("192.0.2.1:32853".parse().unwrap()));
}

#[test]
fn a_changed_byte_breaks_the_fingerprint() {
    for at in 0..REQUEST.len() {
        let mut bytes = REQUEST;
        bytes[at] ^= 1;
        // A changed type of the attribute itself leaves a message without one.
        let unnoticed = Message::parse(&bytes).is_ok_and(|message| message.has_fingerprint());
        assert!(!unnoticed, "byte {at}");
    }
}

#[test]
fn truncated_and_overlong_datagrams_are_refused() {
    for length in 0..REQUEST.len() {
        assert!(Message::parse(&REQUEST[..length]).is_err(), "{length}");
    }
    let mut longer = REQUEST.to_vec();
    longer.extend([0; 4]);
    assert_eq!(Message::parse(&longer), Err(Malformed::Header));
}

#[test]
fn headers_must_be_exact() {
    let good = message(&[]);
    assert!(Message::parse(&good).is_ok());
    let rows: &[(usize, u8)] = &[(0, 0x40), (0, 0x80), (3, 4), (3, 1), (4, 0x20), (7, 0)];
    for &(at, value) in rows {
        let mut bytes = good.clone();
        bytes[at] = value;
        assert_eq!(Message::parse(&bytes), Err(Malformed::Header), "{at} {value}");
    }
    let mut odd = good.clone();
    odd.extend([0; 2]);
    odd[3] = 2;
    assert_eq!(Message::parse(&odd), Err(Malformed::Header), "length no multiple of four");
}

#[test]
fn attribute_values_must_have_their_size_and_shape() {
    let long_name = [b'a'; 509];
    let rows: &[(u16, &[u8], bool)] = &[
        (attribute::XOR_MAPPED_ADDRESS, &[], false),
        (attribute::XOR_MAPPED_ADDRESS, &[0, 1, 0, 0], false),
        (attribute::XOR_MAPPED_ADDRESS, &[0, 1, 0, 0, 1, 2, 3, 4], true),
        (attribute::XOR_MAPPED_ADDRESS, &[0, 2, 0, 0, 1, 2, 3, 4], false),
        (attribute::XOR_MAPPED_ADDRESS, &[0, 3, 0, 0, 1, 2, 3, 4], false),
        (attribute::XOR_MAPPED_ADDRESS, &[0, 1, 0, 0, 1, 2, 3, 4, 5], false),
        (attribute::XOR_MAPPED_ADDRESS, &[0; 20], false),
        (attribute::PRIORITY, &[], false),
        (attribute::PRIORITY, &[1, 2, 3], false),
        (attribute::PRIORITY, &[1, 2, 3, 4], true),
        (attribute::PRIORITY, &[1, 2, 3, 4, 5], false),
        (attribute::USE_CANDIDATE, &[], true),
        (attribute::USE_CANDIDATE, &[0], false),
        (attribute::ICE_CONTROLLING, &[0; 7], false),
        (attribute::ICE_CONTROLLING, &[0; 8], true),
        (attribute::ICE_CONTROLLED, &[0; 4], false),
        (attribute::ICE_CONTROLLED, &[0; 8], true),
        (attribute::ERROR_CODE, &[], false),
        (attribute::ERROR_CODE, &[0, 0, 4], false),
        (attribute::ERROR_CODE, &[0, 0, 4, 1], true),
        (attribute::ERROR_CODE, &[0, 0, 2, 1], false),
        (attribute::ERROR_CODE, &[0, 0, 7, 1], false),
        (attribute::ERROR_CODE, &[0, 0, 4, 100], false),
        (attribute::USERNAME, &[], true),
        (attribute::USERNAME, b"a:b", true),
        (attribute::USERNAME, &[0xFF, 0xFE], false),
        (attribute::USERNAME, &long_name[..508], true),
        (attribute::USERNAME, &long_name, false),
        (attribute::MESSAGE_INTEGRITY, &[0; 20], true),
        (attribute::MESSAGE_INTEGRITY, &[0; 19], false),
        (attribute::MESSAGE_INTEGRITY, &[0; 32], false),
    ];
    for (kind, value, good) in rows {
        let expected = if *good { Ok(()) } else { Err(Malformed::Attribute) };
        assert_eq!(Message::parse(&message(&[(*kind, value)])).map(drop), expected, "{kind:#x} {value:?}");
    }
    assert_eq!(
        Message::parse(&message(&[(attribute::FINGERPRINT, &[0; 4])])),
        Err(Malformed::Fingerprint),
        "wrong sum"
    );
    assert_eq!(Message::parse(&message(&[(attribute::FINGERPRINT, &[])])), Err(Malformed::Fingerprint));
}

#[test]
fn an_attribute_past_the_end_is_refused() {
    let mut bytes = message(&[(attribute::PRIORITY, &[1, 2, 3, 4])]);
    bytes[23] = 5;
    assert_eq!(Message::parse(&bytes), Err(Malformed::Attribute));
    bytes[22] = 0xFF;
    assert_eq!(Message::parse(&bytes), Err(Malformed::Attribute));
}

#[test]
fn what_follows_the_integrity_does_not_exist() {
    let bytes = message(&[
        (attribute::USERNAME, b"a:b"),
        (attribute::MESSAGE_INTEGRITY, &[7; 20]),
        (attribute::USE_CANDIDATE, &[]),
        (attribute::PRIORITY, &[1]),
        (attribute::XOR_MAPPED_ADDRESS, &[]),
        (0x0077, &[]),
        (attribute::MESSAGE_INTEGRITY, &[8; 20]),
    ]);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.username(), Some("a:b"));
    assert!(!message.use_candidate());
    assert_eq!(message.priority(), None);
    assert_eq!(message.xor_mapped_address(), None);
    assert!(message.unknown_required().is_empty());
    assert_eq!(message.verify(|_| [7; 20]), Integrity::Right, "the first integrity counts");
}

#[test]
fn an_integrity_by_sha256_alone_is_no_integrity_to_us_but_seals() {
    let bytes = message(&[
        (attribute::MESSAGE_INTEGRITY_SHA256, &[1; 32]),
        (attribute::MESSAGE_INTEGRITY, &[2; 20]),
        (attribute::USE_CANDIDATE, &[]),
    ]);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.verify(|_| [2; 20]), Integrity::Missing);
    assert!(!message.use_candidate());
}

#[test]
fn of_a_repeated_attribute_the_first_counts() {
    let bytes = message(&[
        (attribute::USERNAME, b"first:x"),
        (attribute::USERNAME, b"second:x"),
        (attribute::PRIORITY, &[0, 0, 0, 1]),
        (attribute::PRIORITY, &[0, 0, 0, 2]),
    ]);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.username(), Some("first:x"));
    assert_eq!(message.priority(), Some(1));
}

#[test]
fn unknown_required_attributes_are_listed_once_each_and_bounded() {
    let kinds: Vec<(u16, &[u8])> = (0x0100..0x0114).map(|kind| (kind, &[][..])).collect();
    let bytes = message(&kinds);
    let parsed = Message::parse(&bytes).unwrap();
    assert_eq!(parsed.unknown_required().len(), UNKNOWN_MAX);
    assert_eq!(parsed.unknown_required()[0], 0x0100);
    let bytes = message(&[(0x0100, &[]), (0x0100, &[]), (0xC057, &[0; 4])]);
    assert_eq!(Message::parse(&bytes).unwrap().unknown_required(), &[0x0100]);
}

#[test]
fn attributes_and_bytes_are_bounded() {
    let many = vec![(0x8022u16, &[][..]); ATTRIBUTES_MAX];
    assert!(Message::parse(&message(&many)).is_ok());
    let more = vec![(0x8022u16, &[][..]); ATTRIBUTES_MAX + 1];
    assert_eq!(Message::parse(&message(&more)), Err(Malformed::TooManyAttributes));
    let long = vec![0u8; MESSAGE_LEN_MAX - 24];
    assert!(Message::parse(&message(&[(0x8022, &long)])).is_ok());
    let longer = vec![0u8; MESSAGE_LEN_MAX - 20];
    assert_eq!(Message::parse(&message(&[(0x8022, &longer)])), Err(Malformed::TooLong));
}

#[test]
fn a_fingerprint_must_be_last() {
    let mut bytes = [0; 128];
    let length =
        Writer::new(&mut bytes, Class::Request, TRANSACTION).priority(9).fingerprint().finish().unwrap();
    let mut bytes = bytes[..length].to_vec();
    assert!(Message::parse(&bytes).is_ok());
    bytes.extend([0x80, 0x22, 0, 0]);
    bytes[3] += 4;
    assert_eq!(Message::parse(&bytes), Err(Malformed::Fingerprint));
}

#[test]
fn the_writer_refuses_what_must_not_be_written() {
    let mut out = [0; 256];
    let mut rows: Vec<(&str, Option<usize>)> = Vec::new();
    let mut row = |name, write: fn(Writer<'_>) -> Writer<'_>| {
        rows.push((name, write(Writer::new(&mut out, Class::Request, TRANSACTION)).finish()));
    };
    row("attribute after integrity", |w| w.integrity(toy_hmac).priority(1));
    row("integrity after fingerprint", |w| w.fingerprint().integrity(toy_hmac));
    row("two integrities", |w| w.integrity(toy_hmac).integrity(toy_hmac));
    row("two fingerprints", |w| w.fingerprint().fingerprint());
    row("code too low", |w| w.error_code(299, ""));
    row("code too high", |w| w.error_code(700, ""));
    row("too many unknown", |w| w.unknown_attributes(&[0; UNKNOWN_MAX + 1]));
    row("long reason", |w| w.error_code(400, core::str::from_utf8(&[b'x'; 128]).unwrap()));
    for (name, finished) in rows {
        assert_eq!(finished, None, "{name}");
    }
}

#[test]
fn the_writer_fails_in_every_buffer_that_is_too_short() {
    let write = |out: &mut [u8]| {
        Writer::new(out, Class::Request, TRANSACTION)
            .username("abcd", "efghi")
            .priority(77)
            .use_candidate()
            .ice_controlling(5)
            .integrity(toy_hmac)
            .fingerprint()
            .finish()
    };
    let needed = write(&mut [0; 256]).unwrap();
    for length in 0..needed {
        assert_eq!(write(&mut vec![0; length]), None, "{length}");
    }
    assert_eq!(write(&mut vec![0; needed]), Some(needed));
}

#[test]
fn a_420_answer_lists_the_unknown_attributes() {
    let mut out = [0; 128];
    let length = Writer::new(&mut out, Class::Error, TRANSACTION)
        .error_code(420, "Unknown Attribute")
        .unknown_attributes(&[0x0102, 0x0304, 0x0506])
        .finish()
        .unwrap();
    let message = Message::parse(&out[..length]).unwrap();
    assert_eq!(message.error_code(), Some(420));
    assert_eq!(message.class(), Class::Error);
    assert!(out[..length].ends_with(&[0, 0x0A, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0]));
}

fn address() -> impl Strategy<Value = SocketAddr> {
    (any::<core::net::IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        class in prop_oneof![Just(Class::Request), Just(Class::Indication), Just(Class::Success), Just(Class::Error)],
        transaction: [u8; 12], remote in "[a-zA-Z0-9+/]{4,32}", local in "[a-zA-Z0-9+/]{4,32}", priority: u32,
        nominate: bool, tie: u64, controlling: bool, address in address(), code in 300u16..700,
    ) {
        let mut out = [0; 512];
        let mut writer = Writer::new(&mut out, class, transaction).username(&remote, &local).priority(priority);
        if nominate {
            writer = writer.use_candidate();
        }
        writer = if controlling { writer.ice_controlling(tie) } else { writer.ice_controlled(tie) };
        let length = writer
            .xor_mapped_address(address)
            .error_code(code, "why")
            .integrity(toy_hmac)
            .fingerprint()
            .finish()
            .unwrap();
        let message = Message::parse(&out[..length]).unwrap();
        prop_assert_eq!(message.class(), class);
        prop_assert_eq!(message.transaction_id(), transaction);
        prop_assert_eq!(message.local_ufrag(), Some(&remote[..]));
        prop_assert_eq!(message.remote_ufrag(), Some(&local[..]));
        prop_assert_eq!(message.priority(), Some(priority));
        prop_assert_eq!(message.use_candidate(), nominate);
        prop_assert_eq!(message.ice_controlling(), controlling.then_some(tie));
        prop_assert_eq!(message.ice_controlled(), (!controlling).then_some(tie));
        prop_assert_eq!(message.xor_mapped_address(), Some(address));
        prop_assert_eq!(message.error_code(), Some(code));
        prop_assert_eq!(message.verify(toy_hmac), Integrity::Right);
        prop_assert!(message.has_fingerprint());
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), shape: bool) {
        if shape && bytes.len() >= 8 {
            let length = (bytes.len() - bytes.len() % 4).saturating_sub(20);
            bytes.truncate(20 + length);
            if bytes.len() >= 20 {
                bytes[0] &= 0x3F;
                bytes[2..4].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
                bytes[4..8].copy_from_slice(&COOKIE.to_be_bytes());
            }
        }
        if let Ok(message) = Message::parse(&bytes) {
            message.verify(toy_hmac);
            let _ = (message.local_ufrag(), message.unknown_required());
        }
    }

    #[test]
    fn changing_a_covered_byte_breaks_the_integrity(at in 0usize..76, flip in 1u8..=255) {
        let mut out = [0; 128];
        let length = Writer::new(&mut out, Class::Request, TRANSACTION)
            .username("abcd", "efgh").priority(1).ice_controlling(2).integrity(toy_hmac).finish().unwrap();
        let at = at % (length - 20);
        out[at] ^= flip;
        let verdict = Message::parse(&out[..length]).map(|message| message.verify(toy_hmac));
        prop_assert_ne!(verdict, Ok(Integrity::Right));
    }
}

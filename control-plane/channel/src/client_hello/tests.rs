use proptest::prelude::*;

use super::*;

/// A ClientHello body with the given extensions.
fn hello(suites: &[[u8; 2]], extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend_from_slice(&[7; 32]);
    body.extend_from_slice(&[0, 0]); // no session id, no cookie
    body.extend_from_slice(&(2 * suites.len() as u16).to_be_bytes());
    body.extend(suites.iter().flatten());
    body.extend_from_slice(&[1, 0]); // null compression
    let mut block = Vec::new();
    for (kind, value) in extensions {
        block.extend_from_slice(&kind.to_be_bytes());
        block.extend_from_slice(&(value.len() as u16).to_be_bytes());
        block.extend_from_slice(value);
    }
    body.extend_from_slice(&(block.len() as u16).to_be_bytes());
    body.extend_from_slice(&block);
    body
}

fn use_srtp(profiles: &[u8]) -> (u16, Vec<u8>) {
    let mut value = (2 * profiles.len() as u16).to_be_bytes().to_vec();
    value.extend(profiles.iter().flat_map(|profile| [0, *profile]));
    value.push(0); // no MKI
    (14, value)
}

fn versions(versions: &[u8]) -> (u16, Vec<u8>) {
    let mut value = vec![2 * versions.len() as u8];
    value.extend(versions.iter().flat_map(|version| [0xfe, *version]));
    (43, value)
}

const EMS: (u16, Vec<u8>) = (23, Vec::new());

/// One record with one fragment.
fn record(total: usize, offset: usize, body: &[u8]) -> Vec<u8> {
    let number = |n: usize| [(n >> 16) as u8, (n >> 8) as u8, n as u8];
    let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1];
    record.extend_from_slice(&((12 + body.len()) as u16).to_be_bytes());
    record.push(1);
    record.extend_from_slice(&number(total));
    record.extend_from_slice(&[0, 0]);
    record.extend_from_slice(&number(offset));
    record.extend_from_slice(&number(body.len()));
    record.extend_from_slice(body);
    record
}

fn decide(body: &[u8]) -> Progress {
    FirstFlight::default().datagram(&record(body.len(), 0, body))
}

fn version(body: &[u8]) -> Option<Version> {
    match decide(body) {
        Progress::Complete(version, datagrams) => {
            assert_eq!(datagrams.len(), 1);
            Some(version)
        }
        Progress::Refused => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_version_is_that_with_the_cheaper_profile() {
    const ECDSA: [u8; 2] = [0xc0, 0x2b];
    const RSA: [u8; 2] = [0xc0, 0x2f];
    let (both, only_13, only_12) = (versions(&[0xfc, 0xfd]), versions(&[0xfc]), versions(&[0xfd]));
    let chromium = use_srtp(&[1, 8, 7]);
    let table = [
        (
            "chromium, both versions",
            hello(&[ECDSA], &[EMS, both.clone(), chromium.clone()]),
            Some(Version::Dtls12),
        ),
        (
            "chromium, 1.2 without the extension",
            hello(&[ECDSA], &[EMS, chromium.clone()]),
            Some(Version::Dtls12),
        ),
        ("GCM-128 first", hello(&[ECDSA], &[EMS, both.clone(), use_srtp(&[7, 8, 1])]), Some(Version::Dtls13)),
        (
            "1.3 gives 128, 1.2 would give 256",
            hello(&[ECDSA], &[EMS, both.clone(), use_srtp(&[7, 8])]),
            Some(Version::Dtls13),
        ),
        (
            "only SHA-1 either way",
            hello(&[ECDSA], &[EMS, both.clone(), use_srtp(&[1, 2])]),
            Some(Version::Dtls13),
        ),
        (
            "no ECDSA suite for 1.2",
            hello(&[RSA], &[EMS, both.clone(), chromium.clone()]),
            Some(Version::Dtls13),
        ),
        (
            "no extended master secret for 1.2",
            hello(&[ECDSA], &[both, chromium.clone()]),
            Some(Version::Dtls13),
        ),
        ("1.3 alone", hello(&[ECDSA], &[EMS, only_13, chromium.clone()]), Some(Version::Dtls13)),
        ("1.2 alone, named", hello(&[ECDSA], &[EMS, only_12.clone(), chromium]), Some(Version::Dtls12)),
        ("no use_srtp", hello(&[ECDSA], &[EMS, only_12.clone()]), None),
        ("unknown profiles only", hello(&[ECDSA], &[EMS, only_12, use_srtp(&[2, 5, 6])]), None),
        ("neither version", hello(&[ECDSA], &[EMS, versions(&[0xff]), use_srtp(&[7])]), None),
        ("no extensions at all", hello(&[ECDSA], &[]), None),
    ];
    for (name, body, expected) in table {
        assert_eq!(version(&body), expected, "{name}");
    }
}

#[test]
fn fragments_that_lie_are_ignored_and_the_rest_completes() {
    let body = hello(&[[0xc0, 0x2b]], &[EMS, use_srtp(&[7])]);
    let (total, half) = (body.len(), body.len() / 2);
    let mut flight = FirstFlight::default();
    assert_eq!(flight.datagram(&record(total, half, &body[half..])), Progress::Incomplete);

    let mut other_message = record(total, 0, &body[..half]);
    other_message[13] = 2; // ServerHello
    let mut other_epoch = record(total, 0, &body[..half]);
    other_epoch[4] = 1;
    let mut cut_off = record(total, 0, &body[..half]);
    cut_off.pop();
    let table: [(&str, Vec<u8>); 9] = [
        ("seen before", record(total, half, &body[half..])),
        ("empty fragment", record(total, 0, &[])),
        ("another length", record(total + 1, 0, &body[..half])),
        ("beyond the end", record(total, total - 1, &body[..half])),
        ("zero length", record(0, 0, &[])),
        ("too long", record(CLIENT_HELLO_BYTES_MAX + 1, 0, &body[..half])),
        ("another message", other_message),
        ("another epoch", other_epoch),
        ("cut off", cut_off),
    ];
    for (name, datagram) in table {
        assert_eq!(flight.datagram(&datagram), Progress::Ignored, "{name}");
    }

    let Progress::Complete(Version::Dtls12, datagrams) = flight.datagram(&record(total, 0, &body[..half]))
    else {
        panic!("the hello is whole")
    };
    assert_eq!(datagrams[0], record(total, 0, &body[..half]), "in the order of the message");
    assert_eq!(datagrams.len(), 2);
}

#[test]
fn several_fragments_in_one_datagram_count() {
    let body = hello(&[[0xc0, 0x2b]], &[EMS, use_srtp(&[7])]);
    let half = body.len() / 2;
    let mut datagram = record(body.len(), 0, &body[..half]);
    datagram.extend(record(body.len(), half, &body[half..]));
    assert!(matches!(FirstFlight::default().datagram(&datagram), Progress::Complete(Version::Dtls12, _)));
}

#[test]
fn crumbs_that_never_add_up_are_bounded() {
    let mut flight = FirstFlight::default();
    for number in 0..10_000 {
        flight.datagram(&record(CLIENT_HELLO_BYTES_MAX, number % CLIENT_HELLO_BYTES_MAX, &[1]));
        assert!(flight.datagrams.len() <= FIRST_FLIGHT_DATAGRAMS_MAX);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8)) {
        let mut flight = FirstFlight::default();
        for datagram in datagrams {
            flight.datagram(&datagram);
            flight.datagram(&record(datagram.len(), 0, &datagram));
        }
    }

    #[test]
    fn any_cut_in_any_order_gives_the_whole(cuts in proptest::collection::btree_set(1usize..60, 0..12), seed in any::<u64>()) {
        let body = hello(&[[0xc0, 0x2b]], &[EMS, use_srtp(&[7])]);
        let mut ends: Vec<usize> = cuts.into_iter().filter(|cut| *cut < body.len()).collect();
        ends.push(body.len());
        let mut start = 0;
        let mut datagrams = Vec::new();
        for end in ends {
            datagrams.push(record(body.len(), start, &body[start..end]));
            start = end;
        }
        let count = datagrams.len();
        let mut order = datagrams.clone();
        for i in (1..count).rev() {
            order.swap(i, (seed.rotate_left(i as u32) % (i as u64 + 1)) as usize);
        }
        let mut flight = FirstFlight::default();
        let (last, rest) = order.split_last().unwrap();
        for datagram in rest {
            prop_assert_eq!(flight.datagram(datagram), Progress::Incomplete);
        }
        prop_assert_eq!(flight.datagram(last), Progress::Complete(Version::Dtls12, datagrams));
    }
}

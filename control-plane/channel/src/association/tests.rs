mod world;

use std::time::Duration;

use proptest::prelude::*;
use sctp_proto::PayloadProtocolIdentifier;

use self::world::{Dialect, World, perfect};
use super::*;

/// The bytes that both sides must agree on.
fn agree(world: &World) {
    let (material, _) = world.client.material.as_ref().expect("the client has keys");
    let keys = world.keys().expect("the server has keys");
    let (key, salt) = keys.profile.key_and_salt_bytes();
    let client_key = &material[..key];
    let server_salt = &material[2 * key + salt..];
    assert_eq!(&keys.inbound[..key], client_key);
    assert_eq!(&keys.outbound[key..], server_salt);
}

#[test]
fn every_version_ends_in_the_same_keys_on_both_sides() {
    for dialect in [Dialect::Only12, Dialect::Only13, Dialect::Both] {
        let mut world = World::new(dialect, 1_150);
        let fingerprint = world.client_fingerprint.clone();
        world.server.set_remote_fingerprints(&[fingerprint], world.now);
        world.run(&mut perfect, 60);
        assert!(world.server.is_established(), "{dialect:?}: {:?}", world.outputs);
        agree(&world);
    }
}

#[test]
fn keys_wait_for_the_fingerprint() {
    for dialect in [Dialect::Only12, Dialect::Only13] {
        let mut world = World::new(dialect, 1_150);
        world.run(&mut perfect, 60);
        assert!(world.client.material.is_some(), "the handshake is over");
        assert_eq!(world.outputs, [], "and nothing came out of it");

        let fingerprint = world.client_fingerprint.clone();
        world.server.set_remote_fingerprints(&[fingerprint], world.now);
        world.run(&mut perfect, 10);
        agree(&world);
    }
}

#[test]
fn data_before_the_fingerprint_is_kept_and_used_afterwards() {
    let mut world = World::new(Dialect::Only12, 1_150);
    world.run(&mut perfect, 60);
    world.client.connect_sctp();
    world.run(&mut perfect, 3);
    assert_eq!(world.outputs, []);
    let fingerprint = world.client_fingerprint.clone();
    world.server.set_remote_fingerprints(&[fingerprint], world.now);
    world.run(&mut perfect, 10);
    world.client.open_channel(0, b"JVB data channel", b"");
    world.run(&mut perfect, 20);
    assert!(world.outputs.contains(&Output::ChannelOpened));
}

#[test]
fn a_wrong_fingerprint_ends_it_and_no_key_leaves() {
    let right = |world: &World| world.client_fingerprint.clone();
    let wrong = |world: &World| {
        let mut fingerprint = right(world);
        fingerprint.value[31] ^= 1;
        fingerprint
    };
    type Signalled<'a> = &'a dyn Fn(&World) -> Vec<Fingerprint>;
    let table: [(&str, Signalled<'_>, Mismatch); 3] = [
        ("one bit off", &|world| vec![wrong(world)], Mismatch::Different),
        ("none", &|_| vec![], Mismatch::NoAcceptableHash),
        (
            "sha-1 alone",
            &|_| vec![Fingerprint { hash: "sha-1".into(), value: vec![0; 20] }],
            Mismatch::NoAcceptableHash,
        ),
    ];
    for (name, signalled, mismatch) in table {
        for early in [true, false] {
            let mut world = World::new(Dialect::Both, 1_150);
            let signalled = signalled(&world);
            if !early {
                world.run(&mut perfect, 60);
            }
            world.server.set_remote_fingerprints(&signalled, world.now);
            world.run(&mut perfect, 60);
            assert_eq!(world.failure(), Some(&FailReason::Fingerprint(mismatch)), "{name}");
            assert_eq!(world.keys(), None, "{name}");
            assert_eq!(world.server.send_text("x", world.now), Err(SendError::NotOpen));
            assert_eq!(world.server.poll_timeout(), Timestamp::NEVER);
        }
    }
}

/// Cuts each ClientHello into fragments of `piece` bytes, a datagram each, as a path with a small MTU makes a client do.
fn cut_hello(datagram: Vec<u8>, piece: usize) -> Vec<Vec<u8>> {
    if datagram[0] != 22 || datagram[13] != 1 {
        return vec![datagram];
    }
    let number = |n: usize| [(n >> 16) as u8, (n >> 8) as u8, n as u8];
    let (header, body) = (&datagram[..25], &datagram[25..]);
    let fragment = |(index, chunk): (usize, &[u8])| {
        let mut record = header.to_vec();
        // Each record a number of its own, far above those the client goes on with.
        record[9] = 0x40;
        record[10] = index as u8;
        record[11..13].copy_from_slice(&((12 + chunk.len()) as u16).to_be_bytes());
        record[19..22].copy_from_slice(&number(index * piece));
        record[22..25].copy_from_slice(&number(chunk.len()));
        record.extend_from_slice(chunk);
        record
    };
    body.chunks(piece).enumerate().map(fragment).collect()
}

#[test]
fn a_hello_in_pieces_works_in_any_order() {
    for dialect in [Dialect::Only12, Dialect::Only13, Dialect::Both] {
        for (reversed, piece) in [(false, 40), (true, 40), (false, 70), (true, 70)] {
            let mut world = World::new(dialect, 1_150);
            let fingerprint = world.client_fingerprint.clone();
            world.server.set_remote_fingerprints(&[fingerprint], world.now);
            let mut pieces = 0;
            let mut network = |direction: &'static str, datagrams: Vec<Vec<u8>>| {
                if direction == "to client" {
                    return datagrams;
                }
                let mut cut: Vec<_> =
                    datagrams.into_iter().flat_map(|datagram| cut_hello(datagram, piece)).collect();
                pieces = pieces.max(cut.len());
                if reversed {
                    cut.reverse();
                }
                cut
            };
            world.run(&mut network, 100);
            assert!(world.server.is_established(), "{dialect:?} {reversed} {piece}: {:?}", world.outputs);
            assert!(pieces > 1, "{dialect:?} {piece}");
            agree(&world);
        }
    }
}

#[test]
fn a_connect_towards_a_passive_client_works() {
    let certificate = Certificate::generate().unwrap();
    let now = Timestamp::from_millis(1);
    let mut one = Association::new(EndpointId(1), &certificate, now);
    let mut two = Association::new(EndpointId(2), &certificate, now);
    one.set_remote_fingerprints(&[certificate.fingerprint().clone()], now);
    two.set_remote_fingerprints(&[certificate.fingerprint().clone()], now);
    one.connect(now);
    let (mut of_one, mut of_two) = (None, None);
    for _ in 0..30 {
        while let Some(output) = one.poll_output() {
            match output {
                Output::Datagram(datagram) => two.datagram(&datagram, now),
                Output::Keys(keys) => of_one = Some(keys),
                other => panic!("{other:?}"),
            }
        }
        while let Some(output) = two.poll_output() {
            match output {
                Output::Datagram(datagram) => one.datagram(&datagram, now),
                Output::Keys(keys) => of_two = Some(keys),
                other => panic!("{other:?}"),
            }
        }
    }
    let (of_one, of_two) = (of_one.unwrap(), of_two.unwrap());
    assert_eq!((of_one.inbound, of_one.outbound), (of_two.outbound, of_two.inbound));
}

#[test]
fn a_client_that_stops_is_given_up_in_time() {
    for (dialect, mtu, datagrams) in
        [(Dialect::Only12, 1_150, 1), (Dialect::Only13, 1_150, 1), (Dialect::Both, 1_150, 2)]
    {
        let mut world = World::new(dialect, mtu);
        let mut left = datagrams;
        let mut network = |direction: &'static str, datagrams: Vec<Vec<u8>>| {
            let passed =
                if direction == "to server" { datagrams.into_iter().take(left).collect() } else { vec![] };
            left -= left.min(passed.len());
            passed
        };
        let start = world.now;
        world.run(&mut network, 400);
        assert_eq!(world.failure(), Some(&FailReason::Timeout), "{dialect:?}");
        assert!(world.now.since(start) <= Duration::from_secs(45));
        assert_eq!(world.server.poll_timeout(), Timestamp::NEVER);
    }
}

#[test]
fn an_idle_association_has_no_timer_and_never_fails() {
    let certificate = Certificate::generate().unwrap();
    let mut association = Association::new(EndpointId(1), &certificate, Timestamp::ZERO);
    assert_eq!(association.poll_timeout(), Timestamp::NEVER);
    association.handle_timeout(Timestamp::from_millis(3_600_000));
    assert_eq!(association.poll_output(), None);
}

#[test]
fn messages_go_both_ways_in_every_version() {
    for dialect in [Dialect::Only12, Dialect::Only13, Dialect::Both] {
        let mut world = World::open(dialect);
        let long = "ä".repeat(20_000);
        world.client.write(0, b"{\"colibriClass\":\"ClientHello\"}", PayloadProtocolIdentifier::String);
        world.client.write(0, long.as_bytes(), PayloadProtocolIdentifier::String);
        world.server.send_text("{\"colibriClass\":\"ServerHello\"}", world.now).unwrap();
        world.server.send_text(&long, world.now).unwrap();
        world.run(&mut perfect, 300);
        assert_eq!(world.texts(), ["{\"colibriClass\":\"ClientHello\"}", &long]);
        assert_eq!(world.client.texts, ["{\"colibriClass\":\"ServerHello\"}", &long]);
    }
}

#[test]
fn messages_survive_loss() {
    let mut world = World::open(Dialect::Both);
    for number in 0..50 {
        world.client.write(0, number.to_string().as_bytes(), PayloadProtocolIdentifier::String);
        world.server.send_text(&number.to_string(), world.now).unwrap();
    }
    let mut chance = 1u32;
    let mut network = |_: &'static str, datagrams: Vec<Vec<u8>>| {
        let mut pass = || {
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            chance >> 30 != 0
        };
        datagrams.into_iter().filter(|_| pass()).collect()
    };
    world.run(&mut network, 600);
    let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(world.texts(), expected);
    assert_eq!(world.client.texts, expected);
}

#[test]
fn what_is_not_the_bridge_channel_is_counted_and_ignored() {
    let mut world = World::open(Dialect::Only12);
    world.client.open_channel(2, b"another", b"");
    world.client.write(2, b"hello", PayloadProtocolIdentifier::String);
    world.client.write(0, b"\x00\x01", PayloadProtocolIdentifier::Binary);
    world.client.write(0, b"\xff\xfe", PayloadProtocolIdentifier::String);
    world.client.write(0, b"\x03\x00", PayloadProtocolIdentifier::Dcep);
    world.run(&mut perfect, 100);
    assert_eq!(world.texts(), Vec::<&str>::new());
    let counters = world.server.counters();
    assert_eq!((counters.channels_ignored, counters.dcep_rejected, counters.messages_rejected), (1, 1, 3));

    world.client.write(0, b"still here", PayloadProtocolIdentifier::String);
    world.run(&mut perfect, 50);
    assert_eq!(world.texts(), ["still here"]);
}

#[test]
fn sends_are_refused_when_closed_too_long_or_too_many() {
    let mut fresh = World::new(Dialect::Only12, 1_150);
    assert_eq!(fresh.server.send_text("x", fresh.now), Err(SendError::NotOpen));

    let mut world = World::open(Dialect::Only12);
    let longest = "x".repeat(64 * 1_024);
    assert_eq!(world.server.send_text(&format!("{longest}x"), world.now), Err(SendError::TooLong));
    let accepted = (0..100).take_while(|_| world.server.send_text(&longest, world.now).is_ok()).count();
    assert!((3..=5).contains(&accepted), "{accepted} messages of 64 KiB wait");
    assert_eq!(world.server.send_text(&longest, world.now), Err(SendError::Full));
}

#[test]
fn the_end_of_sctp_is_not_the_end_of_the_association() {
    let mut world = World::open(Dialect::Only13);
    let (_, _, association) = world.client.sctp.as_mut().unwrap();
    association.shutdown().unwrap();
    world.run(&mut perfect, 50);
    assert!(world.outputs.contains(&Output::ChannelClosed), "{:?}", world.outputs);
    assert!(world.server.is_established());

    world.outputs.clear();
    world.client.connect_sctp();
    world.run(&mut perfect, 50);
    world.client.open_channel(4, b"JVB data channel", b"");
    world.run(&mut perfect, 50);
    assert!(world.outputs.contains(&Output::ChannelOpened), "the client may open another");
}

#[test]
fn a_flood_of_inits_leaves_the_live_association_alone() {
    let mut world = World::open(Dialect::Only12);
    for tag in 1..500u32 {
        // RFC 9260 §3.3.2, checksum not even looked at: refused before.
        let mut init = vec![0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 20];
        init.extend_from_slice(&tag.to_be_bytes());
        init.extend_from_slice(&[0, 2, 0, 0, 0, 16, 0, 16, 0, 0, 0, 1]);
        world.client.dtls.send_application_data(&init).unwrap();
        world.client.drain(world.now, &mut world.to_server);
    }
    world.run(&mut perfect, 20);
    assert_eq!(world.server.counters().sctp_rejected, 499);
    world.client.write(0, b"still here", PayloadProtocolIdentifier::String);
    world.run(&mut perfect, 50);
    assert_eq!(world.texts(), ["still here"]);
}

#[test]
fn closing_is_told_to_the_client_and_by_the_client() {
    let mut world = World::open(Dialect::Only12);
    world.server.close(world.now);
    let told =
        std::iter::from_fn(|| world.server.poll_output()).any(|output| matches!(output, Output::Datagram(_)));
    assert!(told);

    let mut world = World::open(Dialect::Only12);
    world.client.dtls.close().unwrap();
    world.run(&mut perfect, 5);
    assert_eq!(world.outputs.last(), Some(&Output::Closed));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// RFC 6347 §4.1.2.7, RFC 9147 §4.5.2: what does not authenticate is nothing.
    #[test]
    fn junk_never_ends_an_established_association(
        junk in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..20),
        kind in 20u8..=26, epoch in 0u16..3, version12 in any::<bool>(),
    ) {
        let mut world = World::open(if version12 { Dialect::Only12 } else { Dialect::Only13 });
        for (number, body) in junk.iter().enumerate() {
            world.server.datagram(body, world.now);
            let mut record = vec![kind, 0xfe, 0xfd];
            record.extend_from_slice(&epoch.to_be_bytes());
            record.extend_from_slice(&[0, 0, 0, 0, 1, number as u8]);
            record.extend_from_slice(&(body.len() as u16).to_be_bytes());
            record.extend_from_slice(body);
            world.server.datagram(&record, world.now);
        }
        world.run(&mut perfect, 20);
        prop_assert_eq!(world.failure(), None);
        world.client.write(0, b"still here", PayloadProtocolIdentifier::String);
        world.run(&mut perfect, 50);
        prop_assert_eq!(world.texts(), ["still here"]);
    }

    #[test]
    fn handshakes_survive_loss_duplication_and_reordering(
        fates in proptest::collection::vec(0u8..10, 400), small in any::<bool>(), dialect in 0..3usize,
    ) {
        let dialect = [Dialect::Only12, Dialect::Only13, Dialect::Both][dialect];
        let mut world = World::new(dialect, if small { 300 } else { 1_150 });
        let fingerprint = world.client_fingerprint.clone();
        world.server.set_remote_fingerprints(&[fingerprint], world.now);
        let mut fates = fates.into_iter();
        let mut network = |_: &'static str, datagrams: Vec<Vec<u8>>| {
            let mut passed = Vec::new();
            for datagram in datagrams {
                match fates.next().unwrap_or(9) {
                    0 => {}
                    1 => passed.extend([datagram.clone(), datagram]),
                    2 => passed.insert(0, datagram),
                    _ => passed.push(datagram),
                }
            }
            passed
        };
        world.run(&mut network, 500);
        prop_assert!(world.server.is_established(), "{:?} {:?}", dialect, world.outputs);
        agree(&world);
    }
}

use contract::session::{Candidate, CandidateKind};
use contract::{DropReason, Duration, Timestamp};
use wire::stun::{Class, Integrity, Message, Writer};

use super::{Event, Refused};
use crate::path::Path;
use crate::simulation::{CLIENT, Mail, SERVER, World, at, config, host};
use crate::srtp::provider::Mac;

mod tcp;

fn connected(event: &Event) -> bool {
    matches!(event, Event::Connected(_))
}

fn both(world: &World) -> [Option<core::net::SocketAddr>; 2] {
    [Some(world.addresses[CLIENT]), Some(world.addresses[SERVER])]
}

/// A check as a client would send it.
fn check(name: &str, pwd: &str, id: u8) -> Vec<u8> {
    let mut buffer = [0; 300];
    let key = Mac::new(pwd.as_bytes());
    let len = Writer::new(&mut buffer, Class::Request, [id; 12])
        .username(name, "ufragC")
        .priority(1 << 24)
        .ice_controlled(1)
        .integrity(|parts| key.sign(parts))
        .fingerprint()
        .finish()
        .unwrap();
    buffer[..len].to_vec()
}

const SERVER_PWD: &str = "password-of-32-letters-for-sideS";

/// The client's answer to a check, from wherever it may be.
fn answer(question: &[u8]) -> Vec<u8> {
    let key = Mac::new(b"password-of-32-letters-for-sideC");
    let id = Message::parse(question).unwrap().transaction_id();
    let mut buffer = [0; 200];
    let len = Writer::new(&mut buffer, Class::Success, id)
        .xor_mapped_address(World::server_address())
        .integrity(|parts| key.sign(parts))
        .fingerprint()
        .finish()
        .unwrap();
    buffer[..len].to_vec()
}

#[test]
fn an_address_of_a_class_that_may_not_be_checked_is_answered_and_no_more() {
    let mut world = World::new();
    world.signal();
    for (n, peer) in ["169.254.169.254:80", "127.0.0.1:80", "198.51.100.9:80"].iter().enumerate() {
        let path = Path { peer: peer.parse().unwrap(), socket: 0 };
        let mut mail = Mail::default();
        let question = check("ufragS", SERVER_PWD, n as u8);
        assert_eq!(world.sides[SERVER].stun(&question, path, at(1_000), &mut mail), Ok(()));
        let sent: Vec<u8> = mail.0.iter().map(|(_, bytes)| bytes[0]).collect();
        let expected: &[u8] = if n == 2 { &[1, 0] } else { &[1] };
        assert_eq!(sent, expected, "{peer}");
    }
}

#[test]
fn two_agents_connect_within_two_round_trips_without_loss() {
    let mut world = World::new();
    world.signal();
    world.run_until(at(1_000 + 4 * 20 + 60));
    assert_eq!(world.selected(), both(&world));
    assert_eq!(world.count(SERVER, connected), 1);
    assert_eq!(world.count(CLIENT, connected), 1);
    world.run_until(at(120_000));
    assert_eq!(world.selected(), both(&world), "consent keeps it");
    assert_eq!(world.count(SERVER, connected), 1);
    let rtt = world.sides[SERVER].statistics().round_trip_us.unwrap();
    assert!((39_000..=41_000).contains(&rtt), "{rtt}");
}

#[test]
fn two_agents_connect_and_stay_connected_over_a_lossy_link() {
    for loss in [100, 300] {
        let mut world = World::new();
        world.loss = loss;
        world.signal();
        world.run_until(at(16_000));
        assert_eq!(world.selected(), both(&world), "{loss}");
        world.run_until(at(300_000));
        assert_eq!(world.selected(), both(&world), "{loss}");
        let lost = |event: &Event| matches!(event, Event::ConsentLost { .. });
        assert_eq!(world.count(SERVER, lost), 0, "{loss}");
    }
}

#[test]
fn a_client_that_checks_before_signalling_is_found_afterwards() {
    let mut world = World::new();
    let now = world.now;
    let candidate = host(world.addresses[SERVER]);
    world.sides[CLIENT].set_remote("ufragS", SERVER_PWD, &[candidate], now).unwrap();
    world.run_until(at(2_000));
    assert!(world.sides[SERVER].proved(Path { peer: world.addresses[CLIENT], socket: 0 }));
    assert_eq!(world.selected()[SERVER], None);
    world.sides[SERVER].set_remote("ufragC", "password-of-32-letters-for-sideC", &[], at(2_000)).unwrap();
    world.run_until(at(2_200));
    assert_eq!(world.selected(), both(&world));
}

#[test]
fn a_path_is_usable_before_it_is_nominated() {
    let mut world = World::new();
    world.signal();
    let mut first = None;
    for ms in 1_000..1_200 {
        world.run_until(at(ms));
        if world.sides[SERVER].usable().is_some() && first.is_none() {
            first = Some(ms);
            assert!(world.sides[SERVER].selected().is_none());
        }
    }
    assert!(first.is_some_and(|ms| ms <= 1_062), "{first:?}");
}

#[test]
fn a_wrong_password_proves_nothing_and_gets_five_errors_a_second() {
    let mut world = World::new();
    world.signal();
    let (client, server) = (world.addresses[CLIENT], world.addresses[SERVER]);
    world.sides[CLIENT].restart_ice("ufragX", "another-password-of-22-letters", at(1_000)).unwrap();
    for n in 0..40u8 {
        world.send(client, server, check("ufragS", "wrong-password-of-32-letters-xx", n));
        world.run_until(at(1_000 + 20 * u64::from(n)));
    }
    assert!(!world.sides[SERVER].proved(Path { peer: client, socket: 0 }));
    let answers: Vec<_> = world.seen.iter().filter(|seen| seen.from == server).collect();
    assert_eq!(answers.len(), 5);
    for answer in answers {
        let message = Message::parse(&answer.bytes).unwrap();
        assert_eq!((message.class(), message.error_code()), (Class::Error, Some(401)));
    }
    assert!(world.events[SERVER].is_empty());
}

#[test]
fn every_flaw_of_a_check_has_its_consequence() {
    let client = World::client_address();
    let path = Path { peer: client, socket: 0 };
    let key = Mac::new(SERVER_PWD.as_bytes());
    let sign = |parts: &[&[u8]]| key.sign(parts);
    type Build = fn(Writer<'_>, &dyn Fn(&[&[u8]]) -> [u8; 20]) -> Option<usize>;
    let rows: &[(&str, Build, DropReason, Option<u16>)] = &[
        (
            "unknown ufrag",
            |w, sign| w.username("nobody", "c").priority(1).integrity(sign).fingerprint().finish(),
            DropReason::StunAuth,
            None,
        ),
        (
            "no username",
            |w, sign| w.priority(1).integrity(sign).fingerprint().finish(),
            DropReason::StunAuth,
            Some(400),
        ),
        (
            "no integrity",
            |w, _| w.username("ufragS", "c").priority(1).fingerprint().finish(),
            DropReason::StunAuth,
            Some(400),
        ),
        (
            "no fingerprint",
            |w, sign| w.username("ufragS", "c").priority(1).integrity(sign).finish(),
            DropReason::StunMalformed,
            None,
        ),
        (
            "no priority",
            |w, sign| w.username("ufragS", "c").integrity(sign).fingerprint().finish(),
            DropReason::StunMalformed,
            // The signed answer would be longer than the question.
            None,
        ),
    ];
    for (name, build, reason, answer) in rows {
        let mut world = World::new();
        world.signal();
        let mut buffer = [0; 300];
        let len = build(Writer::new(&mut buffer, Class::Request, [1; 12]), &sign).unwrap();
        let mut mail = Mail::default();
        let result = world.sides[SERVER].stun(&buffer[..len], path, at(1_000), &mut mail);
        assert_eq!(result, Err(*reason), "{name}");
        assert!(!world.sides[SERVER].proved(path), "{name}");
        let codes: Vec<_> =
            mail.0.iter().map(|(_, bytes)| Message::parse(bytes).unwrap().error_code()).collect();
        assert_eq!(codes, answer.map(|code| vec![Some(code)]).unwrap_or_default(), "{name}");
        assert!(mail.0.iter().all(|(_, bytes)| bytes.len() <= len), "{name}: an amplifier");
    }
}

#[test]
fn no_changed_byte_of_a_check_proves_anything() {
    let mut world = World::new();
    world.signal();
    let good = check("ufragS", SERVER_PWD, 9);
    let path = Path { peer: World::client_address(), socket: 0 };
    for at_byte in 0..good.len() {
        for bit in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[at_byte] ^= bit;
            let now = Timestamp::from_millis(2_000 + 50 * at_byte as u64);
            let mut mail = Mail::default();
            assert!(world.sides[SERVER].stun(&bad, path, now, &mut mail).is_err(), "byte {at_byte}");
            assert!(!world.sides[SERVER].proved(path), "byte {at_byte}");
        }
    }
    assert!(world.sides[SERVER].stun(&good, path, at(30_000), &mut Mail::default()).is_ok());
    assert!(world.sides[SERVER].proved(path));
}

#[test]
fn a_replayed_check_proves_nothing_elsewhere_and_moves_nothing() {
    let mut world = World::new();
    world.signal();
    world.run_until(at(5_000));
    let (client, server) = (world.addresses[CLIENT], world.addresses[SERVER]);
    let attacker: core::net::SocketAddr = "203.0.113.66:666".parse().unwrap();
    let checks: Vec<_> = world
        .seen
        .iter()
        .filter(|seen| seen.from == client && seen.bytes[0] == 0)
        .map(|s| s.bytes.clone())
        .collect();
    assert!(!checks.is_empty());
    for bytes in checks {
        world.send(attacker, server, bytes);
        world.run_until(Timestamp::from_micros(world.now.as_micros() + 50_000));
    }
    assert!(!world.sides[SERVER].proved(Path { peer: attacker, socket: 0 }));
    assert!(world.seen.iter().all(|seen| seen.to != attacker), "nothing went there");
    world.run_until(at(60_000));
    assert_eq!(world.selected(), both(&world));
    assert_eq!(world.count(SERVER, connected), 1);
}

#[test]
fn an_answer_nobody_asked_for_is_dropped() {
    let mut world = World::new();
    world.signal();
    world.run_until(at(5_000));
    let answer = world.seen.iter().find(|seen| seen.from == world.addresses[CLIENT] && seen.bytes[0] == 1);
    let bytes = answer.unwrap().bytes.clone();
    let path = Path { peer: world.addresses[CLIENT], socket: 0 };
    let result = world.sides[SERVER].stun(&bytes, path, at(5_000), &mut Mail::default());
    assert_eq!(result, Err(DropReason::StunUnsolicited));
}

#[test]
fn an_answer_counts_only_under_the_peers_password_and_from_where_it_was_asked() {
    let mut world = World::new();
    world.signal();
    let client = world.addresses[CLIENT];
    world.sides[SERVER].add_candidates(&[host(client)], at(1_000));
    let mut mail = Mail::default();
    world.sides[SERVER].handle_timeout(at(1_000), &mut mail);
    let (asked, question) = &mail.0[0];
    let id = Message::parse(question).unwrap().transaction_id();
    let elsewhere = Path { peer: "203.0.113.66:666".parse().unwrap(), socket: 0 };
    let rows = [
        ("wrong-password-of-32-letters-xx", *asked, Err(DropReason::StunAuth)),
        (SERVER_PWD, *asked, Err(DropReason::StunAuth)),
        ("password-of-32-letters-for-sideC", elsewhere, Err(DropReason::StunUnsolicited)),
        ("password-of-32-letters-for-sideC", *asked, Ok(())),
        ("password-of-32-letters-for-sideC", *asked, Err(DropReason::StunUnsolicited)),
    ];
    for (pwd, path, expected) in rows {
        let key = Mac::new(pwd.as_bytes());
        let mut buffer = [0; 200];
        let len = Writer::new(&mut buffer, Class::Success, id)
            .xor_mapped_address(world.addresses[SERVER])
            .integrity(|parts| key.sign(parts))
            .fingerprint()
            .finish()
            .unwrap();
        let result = world.sides[SERVER].stun(&buffer[..len], path, at(1_010), &mut Mail::default());
        assert_eq!(result, expected, "{pwd}");
        let valid = expected.is_ok() || world.sides[SERVER].usable().is_some();
        assert_eq!(world.sides[SERVER].proved(*asked), valid, "{pwd}");
        assert!(!world.sides[SERVER].proved(elsewhere));
    }
}

#[test]
fn a_role_conflict_is_settled_by_the_tie_breaker() {
    // (we control, our tie-breaker, theirs, they are told to yield, we control afterwards), as RFC 8445 §7.3.1.1 has it.
    let rows = [
        (true, 5, 4, true, true),
        (true, 5, 5, true, true),
        (true, 5, 6, false, false),
        (false, 5, 4, false, true),
        (false, 5, 5, false, true),
        (false, 5, 6, true, false),
    ];
    for (controlling, ours, theirs, told, afterwards) in rows {
        let mut configs =
            [config('S', controlling, World::server_address()), config('C', true, World::client_address())];
        configs[0].tie_breaker = ours;
        let mut world = World::with(&configs);
        world.signal();
        let key = Mac::new(SERVER_PWD.as_bytes());
        let mut buffer = [0; 300];
        let writer =
            Writer::new(&mut buffer, Class::Request, [1; 12]).username("ufragS", "ufragC").priority(1);
        let writer = if controlling { writer.ice_controlling(theirs) } else { writer.ice_controlled(theirs) };
        let len = writer.integrity(|parts| key.sign(parts)).fingerprint().finish().unwrap();
        let path = Path { peer: world.addresses[CLIENT], socket: 0 };
        let mut mail = Mail::default();
        world.sides[SERVER].stun(&buffer[..len], path, at(1_000), &mut mail).unwrap();
        let code = Message::parse(&mail.0[0].1).unwrap().error_code();
        assert_eq!(code, told.then_some(487), "{controlling} {ours} {theirs}");
        world.sides[SERVER].add_candidates(&[host(path.peer)], at(1_000));
        world.sides[SERVER].handle_timeout(at(1_030), &mut mail);
        let mut questions = mail.0.iter().map(|(_, bytes)| Message::parse(bytes).unwrap());
        let question = questions.rfind(|message| message.class() == Class::Request).unwrap();
        assert_eq!(question.ice_controlling().is_some(), afterwards, "{controlling} {ours} {theirs}");
    }
}

#[test]
fn two_controlling_or_two_controlled_agents_come_to_terms() {
    for controlling in [true, false] {
        for ties in [(1, 2), (2, 1), (5, 5)] {
            let mut configs = [
                config('S', controlling, World::server_address()),
                config('C', controlling, World::client_address()),
            ];
            (configs[0].tie_breaker, configs[1].tie_breaker) = ties;
            let mut world = World::with(&configs);
            world.signal();
            world.run_until(at(10_000));
            assert_eq!(world.selected(), both(&world), "{controlling} {ties:?}");
        }
    }
}

#[test]
fn consent_is_lost_thirty_seconds_after_the_last_answer() {
    let mut world = World::new();
    world.signal();
    world.run_until(at(40_000));
    let last = world.seen.iter().rfind(|seen| {
        seen.from == world.addresses[CLIENT] && seen.bytes[0] == 1 && seen.at + world.delay <= at(40_000)
    });
    let last = last.unwrap().at + world.delay;
    world.loss = 1_000;
    let client = world.addresses[CLIENT];
    world.run_until(last + Duration::from_millis(29_000));
    assert_eq!(world.selected()[SERVER], Some(client));
    world.run_until(last + Duration::from_millis(31_000));
    assert_eq!(world.selected()[SERVER], None);
    assert!(!world.sides[SERVER].proved(Path { peer: client, socket: 0 }), "a new proof is needed");
    let lost = |event: &Event| matches!(event, Event::ConsentLost { .. });
    assert_eq!(world.count(SERVER, lost), 1);
    assert_eq!(world.count(SERVER, |event| matches!(event, Event::Forgotten(_))), 1);
    let checks = world.sides[SERVER].statistics().checks_sent;
    world.run_until(last + Duration::from_secs(120));
    assert!(world.sides[SERVER].statistics().checks_sent <= checks + 8, "silence after that");
    // The client comes back.
    world.loss = 0;
    let (from, to) = (world.addresses[CLIENT], world.addresses[SERVER]);
    world.send(from, to, check("ufragS", SERVER_PWD, 200));
    world.run_until(last + Duration::from_secs(125));
    assert_eq!(world.selected()[SERVER], Some(client));
}

#[test]
fn a_client_whose_nat_binding_changes_is_followed_within_a_check_interval() {
    let mut world = World::new();
    world.signal();
    world.run_until(at(20_000));
    assert_eq!(world.selected(), both(&world));
    world.addresses[CLIENT] = "198.51.100.7:51111".parse().unwrap();
    world.run_until(at(32_000));
    assert_eq!(world.selected(), both(&world));
    let moved = world.events[SERVER].iter().rfind(|(_, event)| connected(event)).unwrap().0;
    let noticed = world.seen.iter().find(|seen| seen.from == world.addresses[CLIENT]).unwrap().at;
    assert!(moved.since(noticed) < Duration::from_secs(5), "{:?}", moved.since(noticed));
    world.run_until(at(120_000));
    assert_eq!(world.selected(), both(&world));
    assert_eq!(world.count(SERVER, connected), 2, "once there, it stays");
}

#[test]
fn a_second_path_that_works_does_not_take_over_from_one_that_works() {
    let mut world = World::new();
    world.signal();
    world.run_until(at(10_000));
    let (client, server) = (world.addresses[CLIENT], world.addresses[SERVER]);
    let other = "198.51.100.8:1234".parse().unwrap();
    // The client's second interface checks and answers as well.
    let mut answered = 0;
    for n in 0..100u8 {
        world.send(other, server, check("ufragS", SERVER_PWD, n));
        world.run_until(at(10_000 + 400 * (u64::from(n) + 1)));
        let questions: Vec<_> =
            world.seen.iter().filter(|seen| seen.to == other && seen.bytes[0] == 0).collect();
        let answers: Vec<_> = questions[answered..].iter().map(|seen| answer(&seen.bytes)).collect();
        answered += answers.len();
        answers.into_iter().for_each(|answer| world.send(other, server, answer));
    }
    assert!(answered > 0, "it was checked, and is valid");
    assert!(world.sides[SERVER].proved(Path { peer: other, socket: 0 }));
    assert_eq!(world.selected()[SERVER], Some(client));
}

#[test]
fn a_restart_keeps_the_path_until_the_new_credentials_carry_it() {
    let mut world = World::new();
    world.signal();
    world.run_until(at(10_000));
    let server = world.addresses[SERVER];
    world.sides[SERVER].restart_ice("ufragS2", "new-password-of-22-letters-S", at(10_000)).unwrap();
    world.run_until(at(15_000));
    assert_eq!(world.selected(), both(&world), "while signalling is under way");
    world.sides[CLIENT].restart_ice("ufragC2", "new-password-of-22-letters-C", at(15_000)).unwrap();
    world.sides[CLIENT]
        .set_remote("ufragS2", "new-password-of-22-letters-S", &[host(server)], at(15_000))
        .unwrap();
    world.sides[SERVER].set_remote("ufragC2", "new-password-of-22-letters-C", &[], at(15_000)).unwrap();
    world.run_until(at(16_000));
    assert_eq!(world.selected(), both(&world));
    assert_eq!(world.count(SERVER, connected), 2);
    let path = Path { peer: "203.0.113.5:5".parse().unwrap(), socket: 0 };
    let mut old =
        |now, id| world.sides[SERVER].stun(&check("ufragS", SERVER_PWD, id), path, now, &mut Mail::default());
    assert_eq!(old(at(17_500), 1), Ok(()), "the old password within 3 s of the cut-over");
    world.run_until(at(19_000));
    let old =
        world.sides[SERVER].stun(&check("ufragS", SERVER_PWD, 2), path, at(19_000), &mut Mail::default());
    assert_eq!(old, Err(DropReason::StunAuth), "and no longer");
    world.run_until(at(90_000));
    assert_eq!(world.selected(), both(&world));
}

#[test]
fn a_restart_that_comes_to_nothing_leaves_the_old_path() {
    let mut world = World::new();
    world.signal();
    world.run_until(at(10_000));
    world.sides[SERVER].restart_ice("ufragS2", "new-password-of-22-letters-S", at(10_000)).unwrap();
    world.run_until(at(100_000));
    assert_eq!(world.selected(), both(&world));
    assert_eq!(world.count(SERVER, connected), 1);
    for n in 0..4 {
        assert_eq!(
            world.sides[SERVER].restart_ice("ufragSn", "new-password-of-22-letters-S", at(100_000 + n)),
            Ok(())
        );
    }
    assert_eq!(
        world.sides[SERVER].restart_ice("ufragSn", "new-password-of-22-letters-S", at(100_010)),
        Ok(())
    );
    let sixth = world.sides[SERVER].restart_ice("ufragSn", "new-password-of-22-letters-S", at(100_020));
    assert_eq!(sixth, Err(Refused::TooOften));
}

#[test]
fn nothing_that_answers_is_a_failure_after_thirty_seconds() {
    let mut world = World::new();
    world.loss = 1_000;
    world.signal();
    world.run_until(at(30_900));
    assert_eq!(world.count(SERVER, |event| *event == Event::Failed), 0);
    world.run_until(at(31_100));
    assert_eq!(world.count(SERVER, |event| *event == Event::Failed), 1);
    world.loss = 0;
    let (from, to) = (world.addresses[CLIENT], world.addresses[SERVER]);
    world.send(from, to, check("ufragS", SERVER_PWD, 1));
    world.run_until(at(33_000));
    assert_eq!(world.selected()[SERVER], Some(from), "late is not never");
}

#[test]
fn candidates_and_paths_are_bounded_and_paced() {
    let mut world = World::new();
    world.signal();
    let candidates: Vec<_> = (0..1_000u32)
        .map(|n| host(core::net::SocketAddr::from(([198, 18, (n / 200) as u8, (n % 200) as u8], 9))))
        .collect();
    assert_eq!(world.sides[SERVER].add_candidates(&candidates, at(1_000)), 0);
    let loopback = host("127.0.0.1:9".parse().unwrap());
    assert_eq!(world.sides[SERVER].add_candidates(&[loopback], at(1_000)), 1);
    world.loss = 1_000;
    world.run_until(at(31_000));
    let server = world.addresses[SERVER];
    let times: Vec<_> = world.seen.iter().filter(|seen| seen.from == server).map(|seen| seen.at).collect();
    assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_millis(20)));
    assert!(times.len() <= 32 * 7, "{}", times.len());

    for n in 0..1_000u16 {
        let path = Path { peer: core::net::SocketAddr::from(([198, 19, 0, 1], n + 1)), socket: 0 };
        let mut id = [0; 12];
        id[..2].copy_from_slice(&n.to_be_bytes());
        let now = at(40_000 + u64::from(n));
        let mut bytes = check("ufragS", SERVER_PWD, 0);
        let key = Mac::new(SERVER_PWD.as_bytes());
        let mut buffer = [0; 300];
        let len = Writer::new(&mut buffer, Class::Request, id)
            .username("ufragS", "ufragC")
            .priority(1)
            .ice_controlled(1)
            .integrity(|parts| key.sign(parts))
            .fingerprint()
            .finish()
            .unwrap();
        bytes.clear();
        bytes.extend_from_slice(&buffer[..len]);
        assert_eq!(world.sides[SERVER].stun(&bytes, path, now, &mut Mail::default()), Ok(()));
        while world.sides[SERVER].poll_event().is_some() {}
    }
    let live = (0..1_000u16)
        .filter(|n| {
            let peer = core::net::SocketAddr::from(([198, 19, 0, 1], n + 1));
            world.sides[SERVER].proved(Path { peer, socket: 0 })
        })
        .count();
    assert_eq!(live, 8);
}

#[test]
fn no_answer_is_longer_than_its_question() {
    let mut world = World::new();
    world.signal();
    world.run_until(at(20_000));
    let mut questions = std::collections::HashMap::new();
    for seen in &world.seen {
        let message = Message::parse(&seen.bytes);
        let Ok(message) = message else { continue };
        if message.class() == Class::Request {
            questions.insert(message.transaction_id(), seen.bytes.len());
        } else {
            assert!(seen.bytes.len() <= questions[&message.transaction_id()]);
            let key = Mac::new(SERVER_PWD.as_bytes());
            if seen.from == world.addresses[SERVER] {
                assert_eq!(message.verify(|parts| key.sign(parts)), Integrity::Right);
            }
        }
    }
    assert!(questions.len() > 4);
}

#[test]
fn a_relayed_path_waits_for_a_direct_one() {
    for (kind, at_least) in [(CandidateKind::Relayed, 800), (CandidateKind::ServerReflexive, 0)] {
        let mut world = World::new();
        world.signal();
        let candidate = Candidate { kind, ..host(world.addresses[CLIENT]) };
        world.sides[SERVER].add_candidates(&[candidate], at(1_000));
        world.run_until(at(5_000));
        let (when, _) = world.events[SERVER].iter().find(|(_, event)| connected(event)).unwrap();
        let waited = when.since(at(1_000));
        assert!(waited >= Duration::from_millis(at_least), "{kind:?} {waited:?}");
        assert!(waited <= Duration::from_millis(at_least + 200), "{kind:?} {waited:?}");
    }
}

#[test]
fn the_state_of_an_idle_endpoint_is_small() {
    let pairs = 100 * size_of::<super::check::Pair>();
    let bytes = size_of::<crate::Transport>() + pairs;
    assert!(bytes <= 48 * 1024, "{bytes} of which {pairs} for pairs");
}

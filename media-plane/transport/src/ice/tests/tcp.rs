//! ICE-TCP beside UDP (RFC 6544): a passive socket learns its peers and is nominated only where nothing better is.

use contract::Timestamp;
use contract::session::CandidateKind;
use wire::stun::Message;

use super::{SERVER_PWD, answer, check};
use crate::config::LocalSocket;
use crate::path::Path;
use crate::simulation::{Mail, World, at, config};
use crate::transport::Transport;

const UDP: u8 = 0;
const TCP: u8 = 1;

fn server() -> Box<Transport> {
    let mut config = config('S', true, World::server_address());
    let address = "192.0.2.1:4443".parse().unwrap();
    config.sockets.push(LocalSocket { address, priority: 90 << 24 | 0xFFFF, tcp: true });
    let mut transport = Transport::new(&config, at(1_000));
    transport.set_remote("ufragC", "password-of-32-letters-for-sideC", &[], at(1_000)).unwrap();
    transport
}

/// Answer every check in `mail`, and those that follow; whether one of them nominated, and which path.
fn answer_all(transport: &mut Transport, mut mail: Mail, now: Timestamp) -> Option<Path> {
    let mut nominated = None;
    for _ in 0..10 {
        let sent = std::mem::take(&mut mail);
        for (path, bytes) in sent.0 {
            let message = Message::parse(&bytes).unwrap();
            if message.class() != wire::stun::Class::Request {
                continue;
            }
            if message.use_candidate() {
                nominated = Some(path);
            }
            transport.stun(&answer(&bytes), path, now, &mut mail).unwrap();
        }
    }
    nominated
}

/// Let the transport's timers run until `end`; the first path that it nominates, and when.
fn run(transport: &mut Transport, end: u64) -> Option<(Path, Timestamp)> {
    for _ in 0..1_000 {
        let now = transport.poll_timeout();
        if now > at(end) {
            return None;
        }
        let mut mail = Mail::default();
        transport.handle_timeout(now, &mut mail);
        if let Some(path) = answer_all(transport, mail, now) {
            return Some((path, now));
        }
    }
    panic!("a timer that stays due");
}

fn check_on(transport: &mut Transport, socket: u8, id: u8, now: Timestamp) -> Option<Path> {
    let path = Path { peer: format!("198.51.100.7:{}", 40_000 + u16::from(id)).parse().unwrap(), socket };
    let mut mail = Mail::default();
    transport.stun(&check("ufragS", SERVER_PWD, id), path, now, &mut mail).unwrap();
    answer_all(transport, mail, now)
}

#[test]
fn a_pair_by_tcp_alone_is_nominated_after_it_gave_udp_its_time() {
    let mut transport = server();
    assert_eq!(check_on(&mut transport, TCP, 1, at(1_000)), None);
    let (path, when) = run(&mut transport, 5_000).expect("nominated at last");
    assert_eq!(path.socket, TCP);
    assert!(when >= at(1_800) && when <= at(1_900), "{when:?}");
    assert_eq!(transport.selected(), Some(path));
}

#[test]
fn udp_that_comes_second_is_chosen_all_the_same() {
    let mut transport = server();
    assert_eq!(check_on(&mut transport, TCP, 1, at(1_000)), None);
    assert_eq!(run(&mut transport, 1_600), None);
    let nominated =
        check_on(&mut transport, UDP, 2, at(1_700)).or_else(|| Some(run(&mut transport, 5_000)?.0));
    assert_eq!(nominated.map(|path| path.socket), Some(UDP));
}

#[test]
fn a_passive_socket_begins_no_check_of_its_own() {
    let mut transport = server();
    let peer = "198.51.100.7:9".parse().unwrap();
    let active = contract::session::Candidate {
        address: peer,
        kind: CandidateKind::Host,
        priority: 1,
        related: None,
        tcp: true,
    };
    assert_eq!(transport.add_candidates(&[active], at(1_000)), 1, "an active candidate is of no use to us");
    let udp = contract::session::Candidate { tcp: false, ..active };
    transport.add_candidates(&[udp], at(1_000));
    let mut mail = Mail::default();
    transport.handle_timeout(at(1_100), &mut mail);
    let sockets: Vec<u8> = mail.0.iter().map(|(path, _)| path.socket).collect();
    assert!(!sockets.is_empty() && sockets.iter().all(|socket| *socket == UDP), "{sockets:?}");
}

//! Who is not the signalled peer gets nothing and disturbs nothing.

use std::net::UdpSocket;
use std::time::Duration;

use channel::FailReason;
use contract::{DropReason, Metric};
use interop::{Call, Joining, Setting};

#[test]
fn without_the_signalled_fingerprint_there_is_never_any_media() {
    let mut call = Call::of(1, Setting::default(), &Joining::default());
    let wrong = call.join(&Joining { wrong_fingerprint: true, ..Joining::default() });
    let endpoint = call.clients[wrong].endpoint;
    let failed = call.run_until(Duration::from_secs(10), |call| call.server.failures.contains_key(&endpoint));
    assert!(failed, "the association fails");
    assert!(
        matches!(call.server.failures[&endpoint], FailReason::Fingerprint(_)),
        "{:?}",
        call.server.failures
    );
    // It has keys of its own and sends: what comes is refused.
    call.clients[wrong].noticed.connected = true;
    call.run(Duration::from_secs(2));
    let totals = call.server.totals();
    println!("drops {:?}, published {}", totals.drops(), totals.counter(Metric::PacketsPublished));
    assert!(!call.server.profiles.contains_key(&endpoint), "no keys come out");
    assert!(call.clients.iter().all(|client| client.noticed.streams.is_empty()), "nobody gets anything");
    assert_eq!(call.clients[wrong].noticed.arrived[2], 0, "not a byte of media or RTCP");
    assert!(totals.balanced());
}

#[test]
fn what_comes_from_an_address_that_never_proved_itself_is_dropped_and_counted() {
    let mut call = Call::of(2, Setting::default(), &Joining::default());
    let stranger = UdpSocket::bind(("127.0.0.1", 0)).expect("loopback has free ports");
    stranger.set_nonblocking(true).expect("sockets can be non-blocking");
    // A ClientHello before anybody is connected.
    let hello = |call: &Call| !call.clients[0].noticed.last_sent[2].is_empty();
    assert!(call.run_until(Duration::from_secs(10), hello));
    stranger
        .send_to(&call.clients[0].noticed.last_sent[2], call.server.address())
        .expect("loopback takes it");
    call.connect();
    call.run_for_frames(20);

    // Authentic packets of a client, and its handshake again, from elsewhere.
    let mut sent = 1;
    for _ in 0..20 {
        for datagram in call.clients[0].noticed.last_sent.clone().iter().filter(|bytes| !bytes.is_empty()) {
            stranger.send_to(datagram, call.server.address()).expect("loopback takes it");
            sent += 1;
        }
        call.run(Duration::from_millis(20));
    }
    call.run(Duration::from_millis(500));
    let totals = call.server.totals();
    println!("sent {sent}, drops {:?}", totals.drops());
    assert!(sent > 40, "there was something to send: {sent}");
    assert_eq!(totals.dropped(DropReason::UnknownPeer), sent);
    assert!(totals.balanced());
    assert!(stranger.recv_from(&mut [0; 2_048]).is_err(), "a stranger gets no answer");
    call.assert_continuous(20);
}

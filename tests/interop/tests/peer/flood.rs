//! Junk from outside during a call.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use contract::{DropReason, Metric};
use interop::{Call, Joining, Setting};
use sim::Chance;

#[test]
fn twenty_thousand_junk_datagrams_are_counted_and_the_call_goes_on() {
    let mut call = Call::of(2, Setting::default(), &Joining::default());
    call.connect();
    call.run_for_frames(20);
    let before = call.server.totals();
    let address = call.server.address();
    let flood = std::thread::spawn(move || junk(address));
    while !flood.is_finished() {
        call.run(Duration::from_millis(50));
    }
    let sent = flood.join().expect("the flood does not fail");
    call.run_for_frames(60);
    let after = call.server.totals();
    let dropped = after.dropped_total() - before.dropped_total();
    let received = after.counter(Metric::DatagramsReceived) - before.counter(Metric::DatagramsReceived);
    println!("junk {sent}, received {received}, dropped {dropped}: {:?}", after.drops());
    // What is missing was dropped by the kernel, whose buffer is not ours to count.
    assert!(dropped <= sent && dropped > sent / 2, "{dropped} of {sent}");
    for reason in
        [DropReason::UnknownPeer, DropReason::UnknownKind, DropReason::StunMalformed, DropReason::StunAuth]
    {
        assert!(after.dropped(reason) > before.dropped(reason), "{}", reason.label());
    }
    assert!(after.balanced());
    call.assert_continuous(60);
}

/// Sends junk of every kind, in bursts; how many datagrams.
fn junk(server: SocketAddr) -> u64 {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("loopback has free ports");
    let mut chance = Chance::new(7);
    let mut sent = 0;
    for burst in 0..JUNK / BURST {
        for _ in 0..BURST {
            let mut datagram: Vec<u8> = (0..20 + chance.below(1_100)).map(|_| chance.bits() as u8).collect();
            match chance.below(5) {
                // RTP and RTCP, DTLS, STUN by its first bits, a check with an unknown user fragment, anything at all.
                0 => datagram[0] = 0x80,
                1 => datagram[0] = 22,
                2 => datagram[0] = 0,
                3 => datagram = check(&mut chance),
                _ => {}
            }
            sent += u64::from(socket.send_to(&datagram, server).is_ok());
        }
        if burst % 4 == 3 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    sent
}

/// A well-formed binding request (RFC 8489 §5) with a user name that nobody has.
fn check(chance: &mut Chance) -> Vec<u8> {
    let mut message = vec![0x00, 0x01, 0x00, 0x14, 0x21, 0x12, 0xA4, 0x42];
    message.extend((0..12).map(|_| chance.bits() as u8));
    message.extend_from_slice(&[0x00, 0x06, 0x00, 0x10]);
    message.extend((0..16).map(|_| b'a' + (chance.bits() % 26) as u8));
    message
}

const JUNK: u64 = 20_000;
const BURST: u64 = 25;

//! Receiving, sending and submitting through either back end, real sockets included: nothing is allocated.

use std::alloc::System;
use std::net::{SocketAddr, UdpSocket};

use mesh::steady::{self, Steady};
use mesh::wake::Wake;
use uring::{Choice, Io, Options};

#[global_allocator]
static ALLOCATOR: Steady<System> = Steady(System);

#[test]
fn a_hundred_thousand_datagrams_pass_through_each_back_end_without_an_allocation() {
    for choice in [Choice::Plain, Choice::Auto] {
        let (sleeper, _waker) = Wake::pair().expect("an eventfd");
        let mut options = Options::new(vec![SocketAddr::from(([127, 0, 0, 1], 0))], sleeper.fd());
        options.backend = choice;
        let mut io = Io::open(options).expect("a loopback socket");
        io.start_on_this_thread().expect("this thread is the first");
        let server = io.local_address(0);
        let client = UdpSocket::bind("127.0.0.1:0").expect("a loopback socket");
        let peers: Vec<SocketAddr> =
            (1..=PEERS).map(|host| SocketAddr::from(([127, 0, 2, host], 9))).collect();
        let mut received = 0;
        for _ in 0..BATCHES {
            for _ in 0..BATCH {
                client.send_to(&[7; 1_000], server).expect("sent");
            }
            steady::begin();
            received += echo(&mut io, &peers);
            steady::end();
            assert_eq!(steady::allocations(), 0, "{:?}", io.backend());
        }
        let datagrams = BATCHES * BATCH;
        assert!(received > datagrams * 9 / 10, "{:?}: {received} of {datagrams} arrived", io.backend());
        assert!(io.statistics().segments > datagrams as u64 * 9 / 10 * u64::from(PEERS), "all were sent");
    }
}

/// What a worker's thread does: submit, take what arrived, send it on to everyone; how many arrived.
fn echo(io: &mut Io, peers: &[SocketAddr]) -> usize {
    io.submit();
    let received = io.receive();
    for peer in peers {
        for index in 0..received {
            let len = io.datagram(index).bytes.len();
            let sent = io.send(0, *peer, 1_500, |out| {
                out[..len].fill(9);
                len
            });
            assert!(sent.is_ok(), "loopback takes what it is given");
        }
    }
    io.recycle();
    received
}

const BATCH: usize = 8;
const BATCHES: usize = 3_125;
const PEERS: u8 = 4;

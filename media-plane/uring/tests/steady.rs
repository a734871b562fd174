//! Nothing is allocated after the start, whatever happens.

use mesh::steady::{self, Steady};
use std::alloc::System;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;
use uring::{Choice, Io, Options};

#[global_allocator]
static ALLOCATOR: Steady<System> = Steady(System);

#[test]
fn a_million_bytes_both_ways_allocate_nothing() {
    for backend in [Choice::IoUring, Choice::Plain] {
        let (sleeper, _waker) = mesh::Wake::pair().expect("an eventfd");
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut options = Options::new(vec![loopback], sleeper.fd());
        options.backend = backend;
        options.receive_buffers = 16;
        options.send_bytes = 1 << 17;
        let mut io = Io::open(options).expect("opened");
        io.start_on_this_thread().expect("started");
        let client = UdpSocket::bind("127.0.0.1:0").expect("bound");
        client.set_nonblocking(true).expect("set");
        let (to, back) = (io.local_address(0), client.local_addr().expect("bound"));
        let mut buffer = [1; 2_048];
        let before = steady::allocations();
        steady::begin();
        for turn in 0..50 {
            for number in 0..40 {
                let _ = client.send_to(&buffer[..100 + turn + number], to);
            }
            for number in 0..200 {
                let len = if number % 7 == 0 { 1_400 } else { 900 + number };
                let _ = io.send(0, back, 1_500, |_| len);
            }
            let _ = io.send(3, back, 1_500, |_| 1);
            io.wake(sleeper.fd());
            for _ in 0..4 {
                io.submit_and_wait(Some(Duration::from_micros(200)));
                io.receive();
                assert!(io.batch().all(|datagram| datagram.peer == back));
                io.recycle();
            }
            while client.recv(&mut buffer).is_ok() {}
        }
        steady::end();
        assert_eq!(steady::allocations() - before, 0, "{backend:?}");
        let statistics = io.statistics();
        assert_eq!(statistics.datagrams_received, 50 * 40);
        assert!(statistics.bytes_sent > 1_000_000);
        assert!(statistics.no_buffer > 0 || backend == Choice::Plain, "buffers must have run out at times");
    }
}

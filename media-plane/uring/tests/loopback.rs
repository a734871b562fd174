//! Both back ends against plain sockets of the standard library, over loopback.

use mesh::{Sleeper, Wake, Waker};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use uring::{Backend, Choice, Io, OpenError, Options, Twin};

const BACKENDS: [(Choice, Backend); 2] =
    [(Choice::IoUring, Backend::IoUring), (Choice::Plain, Backend::Plain)];

/// Longest time that any of these tests waits for something.
const PATIENCE: Duration = Duration::from_secs(10);

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn options(local: &[&str], backend: Choice) -> (Options, Sleeper, Waker) {
    let (sleeper, waker) = Wake::pair().expect("an eventfd");
    let mut options = Options::new(local.iter().map(|text| address(text)).collect(), sleeper.fd());
    options.backend = backend;
    (options, sleeper, waker)
}

fn started(local: &[&str], backend: Choice) -> (Io, Sleeper, Waker) {
    let (options, sleeper, waker) = options(local, backend);
    let mut io = Io::open(options).expect("opened");
    io.start_on_this_thread().expect("started");
    (io, sleeper, waker)
}

fn client(local: &str) -> UdpSocket {
    let socket = UdpSocket::bind(local).expect("bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    socket
}

/// One turn that sends every datagram back; gives how many there were.
fn echo_turn(io: &mut Io, timeout: Duration) -> usize {
    io.submit_and_wait(Some(timeout));
    let count = io.receive();
    let mut bytes = [0u8; 2_048];
    for index in 0..count {
        let datagram = io.datagram(index);
        let (peer, socket, len) = (datagram.peer, datagram.socket, datagram.bytes.len());
        bytes[..len].copy_from_slice(datagram.bytes);
        io.send(socket, peer, 2_048, |buffer| {
            buffer[..len].copy_from_slice(&bytes[..len]);
            len
        })
        .expect("room");
    }
    io.recycle();
    count
}

/// All that a socket holds; loopback delivers while the sender sends.
fn receive_all(socket: &UdpSocket) -> Vec<Vec<u8>> {
    socket.set_nonblocking(true).expect("set");
    let mut buffer = [0u8; 65_536];
    let mut all = Vec::new();
    while let Ok((len, _)) = socket.recv_from(&mut buffer) {
        all.push(buffer[..len].to_vec());
    }
    all
}

#[test]
fn ten_thousand_datagrams_are_echoed_and_counted() {
    for (choice, backend) in BACKENDS {
        let (mut io, _sleeper, _waker) = started(&["127.0.0.1:0"], choice);
        assert_eq!((io.backend(), io.fallback_reason()), (backend, None));
        let client = client("127.0.0.1:0");
        let to = io.local_address(0);
        let (mut sent, mut echoed, mut bytes, mut next) = (0u32, 0, 0u64, 0u32);
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0u8; 2_048];
        while next < 10_000 && Instant::now() < deadline {
            for _ in 0..40 {
                let len = 4 + (sent as usize * 37) % 1_400;
                let mut datagram = vec![sent as u8; len];
                datagram[..4].copy_from_slice(&sent.to_be_bytes());
                client.send_to(&datagram, to).expect("sent");
                (sent, bytes) = (sent + 1, bytes + len as u64);
            }
            while echoed < sent && Instant::now() < deadline {
                echoed += echo_turn(&mut io, Duration::from_millis(10)) as u32;
            }
            io.submit();
            while next < sent {
                let (len, from) = client.recv_from(&mut buffer).expect("an echo");
                assert_eq!(from, to);
                assert_eq!(buffer[..4], next.to_be_bytes(), "{backend:?}: order");
                assert_eq!(len, 4 + (next as usize * 37) % 1_400);
                next += 1;
            }
        }
        io.submit();
        io.receive();
        let statistics = io.statistics();
        assert_eq!(next, 10_000);
        assert_eq!(
            (statistics.datagrams_received, statistics.bytes_received),
            (10_000, bytes),
            "{backend:?}"
        );
        assert_eq!((statistics.segments, statistics.bytes_sent), (10_000, bytes), "{backend:?}");
        assert_eq!((statistics.send_errors, statistics.truncated, statistics.receive_errors), (0, 0, 0));
        assert!(statistics.sends < 10_000, "some neighbours must have been grouped");
        assert_eq!(io.twin().expect("duplicated").kernel_drops(), 0);
    }
}

#[test]
fn equal_lengths_to_one_peer_are_one_send_and_arrive_as_they_were() {
    for (choice, backend) in BACKENDS {
        let (mut io, _sleeper, _waker) = started(&["127.0.0.1:0"], choice);
        let (a, b) = (client("127.0.0.1:0"), client("127.0.0.1:0"));
        let peers = [a.local_addr().expect("bound"), b.local_addr().expect("bound")];
        for (index, peer) in peers.into_iter().enumerate() {
            for value in 0..8u8 {
                let len = if value == 7 { 500 } else { 1_200 };
                io.send(0, peer, 1_500, |buffer| {
                    buffer[..len].fill(value + 100 * index as u8);
                    len
                })
                .expect("room");
            }
        }
        io.submit();
        io.receive();
        let statistics = *io.statistics();
        assert_eq!((statistics.sends, statistics.segments), (2, 16), "{backend:?}");
        assert_eq!(statistics.bytes_sent, 2 * (7 * 1_200 + 500));
        for (index, socket) in [a, b].iter().enumerate() {
            let datagrams = receive_all(socket);
            assert_eq!(datagrams.len(), 8);
            for (value, datagram) in datagrams.iter().enumerate() {
                assert_eq!(datagram.len(), if value == 7 { 500 } else { 1_200 });
                assert!(datagram.iter().all(|byte| *byte == value as u8 + 100 * index as u8));
            }
        }
    }
}

#[test]
fn more_than_the_send_memory_goes_out_in_one_turn_in_waves() {
    for (choice, backend) in BACKENDS {
        let (mut io, _sleeper, _waker) = started(&["127.0.0.1:0"], choice);
        let sink = client("127.0.0.1:0");
        let to = sink.local_addr().expect("bound");
        for number in 0..3_000u32 {
            let sent = io.send(0, to, 1_500, |buffer| {
                buffer[..1_200].fill(number as u8);
                1_200
            });
            assert_eq!(sent, Ok(()), "{backend:?}: datagram {number}");
        }
        io.submit();
        io.receive();
        let statistics = io.statistics();
        assert_eq!(
            (statistics.segments, statistics.sends, statistics.send_full),
            (3_000, 56, 0),
            "{backend:?}"
        );
        assert!(statistics.system_calls < 120, "{} calls", statistics.system_calls);
    }
}

#[test]
fn a_datagram_longer_than_a_buffer_is_flagged_and_nothing_else_is_hurt() {
    for (choice, backend) in BACKENDS {
        let (mut io, _sleeper, _waker) = started(&["127.0.0.1:0"], choice);
        let client = client("127.0.0.1:0");
        for len in [1_500, 1_900, 4_000, 60_000, 0, 1] {
            client.send_to(&vec![7; len], io.local_address(0)).expect("sent");
        }
        let mut seen = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while seen.len() < 6 && Instant::now() < deadline {
            io.submit_and_wait(Some(Duration::from_millis(50)));
            io.receive();
            seen.extend(io.batch().map(|datagram| (datagram.bytes.len() > 1_500, datagram.truncated)));
            io.recycle();
        }
        let expected =
            [(false, false), (true, false), (true, true), (true, true), (false, false), (false, false)];
        assert_eq!(seen, expected, "{backend:?}");
        assert_eq!(io.statistics().truncated, 2);
    }
}

#[test]
fn a_burst_beyond_the_buffers_is_counted_and_service_goes_on() {
    for (choice, backend) in BACKENDS {
        let (mut options, _sleeper, _waker) = options(&["127.0.0.1:0", "127.0.0.2:0"], choice);
        options.receive_buffers = 32;
        let mut io = Io::open(options).expect("opened");
        io.start_on_this_thread().expect("started");
        let client = client("127.0.0.1:0");
        let to = [io.local_address(0), io.local_address(1)];
        for round in 0..5 {
            for number in 0..96u8 {
                client.send_to(&[round, number], to[usize::from(number % 2)]).expect("sent");
            }
            let mut seen = vec![0; 96];
            let deadline = Instant::now() + PATIENCE;
            while seen.contains(&0) && Instant::now() < deadline {
                io.submit_and_wait(Some(Duration::from_millis(50)));
                assert!(io.receive() <= 32);
                for datagram in io.batch() {
                    assert_eq!(datagram.bytes[0], round);
                    assert_eq!(datagram.socket, datagram.bytes[1] % 2);
                    seen[usize::from(datagram.bytes[1])] += 1;
                }
                io.recycle();
            }
            assert!(seen.iter().all(|count| *count == 1), "{backend:?}: each datagram once");
        }
        let statistics = io.statistics();
        assert_eq!(statistics.datagrams_received, 5 * 96);
        if backend == Backend::IoUring {
            assert!(statistics.no_buffer > 0 && statistics.rearmed >= statistics.no_buffer, "{statistics:?}");
        }
    }
}

#[test]
fn datagrams_not_recycled_stay_as_they_are() {
    for (choice, backend) in BACKENDS {
        let (mut io, _sleeper, _waker) = started(&["127.0.0.1:0"], choice);
        let client = client("127.0.0.1:0");
        for (expected, value) in [(1, 1u8), (2, 2), (3, 3)] {
            client.send_to(&[value; 10], io.local_address(0)).expect("sent");
            let deadline = Instant::now() + PATIENCE;
            let mut count = 0;
            while count < expected && Instant::now() < deadline {
                io.submit_and_wait(Some(Duration::from_millis(50)));
                count = io.receive();
            }
            assert_eq!(count, expected);
        }
        io.datagram_mut(1)[0] = 9;
        let bytes: Vec<u8> = io.batch().map(|datagram| datagram.bytes[0]).collect();
        assert_eq!(bytes, [1, 9, 3], "{backend:?}");
        io.recycle();
        assert_eq!(io.receive(), 0);
    }
}

#[test]
fn a_wake_up_from_another_thread_ends_the_wait() {
    for (choice, backend) in BACKENDS {
        let (mut io, sleeper, waker) = started(&["127.0.0.1:0"], choice);
        for round in 0..20 {
            sleeper.about_to_sleep();
            let other = waker.clone();
            let thread = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(2));
                other.wake();
                other.wake();
            });
            let start = Instant::now();
            while io.statistics().woken <= round && start.elapsed() < PATIENCE {
                io.submit_and_wait(Some(PATIENCE));
                io.receive();
            }
            sleeper.awake();
            thread.join().expect("joined");
            assert!(start.elapsed() < PATIENCE / 2, "{backend:?}: woken late");
            assert_eq!(io.statistics().woken, round + 1, "{backend:?}: one wake-up a sleep");
        }
    }
}

#[test]
fn one_io_wakes_another_and_a_claim_is_for_one() {
    for (choice, backend) in BACKENDS {
        let (mut first, _sleeper, _waker) = started(&["127.0.0.1:0"], choice);
        let (mut second, sleeper, waker) = started(&["127.0.0.1:0"], choice);
        assert_eq!(waker.claim(), None, "nobody sleeps");
        sleeper.about_to_sleep();
        let eventfd = waker.claim().expect("asleep");
        assert_eq!(waker.claim(), None, "claimed");
        first.wake(eventfd);
        first.submit();
        let start = Instant::now();
        second.submit_and_wait(Some(PATIENCE));
        second.receive();
        assert!(start.elapsed() < PATIENCE / 2);
        assert_eq!(second.statistics().woken, 1, "{backend:?}");
        first.submit_and_wait(Some(Duration::from_millis(1)));
        let kernel_threads = std::fs::read_dir("/proc/self/task").expect("procfs").filter(|task| {
            let path = task.as_ref().expect("a task").path().join("comm");
            std::fs::read_to_string(path).is_ok_and(|name| name.starts_with("iou-wrk"))
        });
        assert_eq!(kernel_threads.count(), 0, "a wake-up must not be handed to a kernel thread");
    }
}

#[test]
fn a_quiet_wait_ends_with_its_timeout_even_behind_sends() {
    for (choice, backend) in BACKENDS {
        let (mut io, _sleeper, _waker) = started(&["127.0.0.1:0"], choice);
        let sink = client("127.0.0.1:0");
        let to = sink.local_addr().expect("bound");
        let mut waits = Vec::new();
        for _ in 0..4 {
            for len in [300, 300, 200, 400] {
                io.send(0, to, 400, |_| len).expect("room");
            }
            let start = Instant::now();
            io.submit_and_wait(Some(Duration::from_millis(30)));
            waits.push(start.elapsed());
            assert_eq!(io.receive(), 0);
        }
        assert!(waits[1..].iter().all(|wait| *wait >= Duration::from_millis(29)), "{backend:?}: {waits:?}");
        assert!(waits.iter().all(|wait| *wait < PATIENCE));
    }
}

#[test]
fn a_port_in_use_is_an_error_that_names_the_address() {
    for (choice, _) in BACKENDS {
        let holder = client("127.0.0.1:0");
        let held = holder.local_addr().expect("bound");
        let (options, _sleeper, _waker) = options(&[&held.to_string()], choice);
        let error = Io::open(options).map(drop).expect_err("the port is held");
        assert_eq!(error, OpenError::AddressInUse(held));
        assert!(error.to_string().contains(&held.to_string()));
        assert_eq!(uring::check_free(&[held]), Err(OpenError::AddressInUse(held)));
    }
    let (foreign, _sleeper, _waker) = options(&["192.0.2.1:0"], Choice::Auto);
    assert_eq!(Io::open(foreign).map(drop), Err(OpenError::AddressNotAvailable(address("192.0.2.1:0"))));
    let (none, _sleeper, _waker) = options(&[], Choice::Auto);
    assert_eq!(Io::open(none).map(drop), Err(OpenError::NoAddress));
}

#[test]
fn two_ios_share_a_port_and_together_lose_nothing() {
    for (choice, backend) in BACKENDS {
        let (mut first, _sleeper, _waker) = started(&["127.0.0.1:0"], choice);
        let to = first.local_address(0);
        assert_eq!(uring::check_free(&[to]), Err(OpenError::AddressInUse(to)), "held by ourselves");
        let (mut second, _other_sleeper, _other_waker) = started(&[&to.to_string()], choice);
        let clients: Vec<UdpSocket> = (0..64).map(|_| client("127.0.0.1:0")).collect();
        for client in &clients {
            client.send_to(b"hello", to).expect("sent");
        }
        let (mut one, mut two) = (0, 0);
        let deadline = Instant::now() + PATIENCE;
        while one + two < 64 && Instant::now() < deadline {
            one += echo_turn(&mut first, Duration::from_millis(1));
            two += echo_turn(&mut second, Duration::from_millis(1));
        }
        first.submit();
        second.submit();
        assert!(one > 0 && two > 0 && one + two == 64, "{backend:?}: {one} and {two}");
        for client in &clients {
            let (len, from) = client.recv_from(&mut [0; 16]).expect("an echo");
            assert_eq!((len, from), (5, to));
        }
    }
}

#[test]
fn ipv6_and_ipv4_sockets_share_one_io() {
    if UdpSocket::bind("[::1]:0").is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable) {
        return;
    }
    for (choice, backend) in BACKENDS {
        let (mut io, _sleeper, _waker) = started(&["127.0.0.1:0", "[::1]:0"], choice);
        assert_eq!(io.sockets(), 2);
        assert_eq!(io.local_address(0).port(), io.local_address(1).port());
        let clients = [client("127.0.0.1:0"), client("[::1]:0")];
        for (index, client) in clients.iter().enumerate() {
            client.send_to(&[index as u8; 1_200], io.local_address(index as u8)).expect("sent");
        }
        let (mut count, deadline) = (0, Instant::now() + PATIENCE);
        while count < 2 && Instant::now() < deadline {
            count += echo_turn(&mut io, Duration::from_millis(50));
        }
        io.submit();
        for (index, client) in clients.iter().enumerate() {
            let mut buffer = [0; 2_048];
            let (len, from) = client.recv_from(&mut buffer).expect("an echo");
            assert_eq!((len, from), (1_200, io.local_address(index as u8)), "{backend:?}");
            assert!(buffer[..len].iter().all(|byte| *byte == index as u8));
        }
    }
}

#[test]
fn an_address_that_comes_later_is_given_to_a_spare_socket_of_each_worker() {
    for (choice, backend) in BACKENDS {
        let (sleeper, _waker) = mesh::Wake::pair().expect("an eventfd");
        let mut options = Options::new(vec!["127.0.0.1:0".parse().expect("an address")], sleeper.fd());
        (options.backend, options.spares) = (choice, 1);
        let mut io = Io::open(options).expect("opened");
        let mut twins = [io.twin().expect("duplicated")];
        io.start_on_this_thread().expect("started");
        let to = SocketAddr::new(IpAddr::from([127, 0, 0, 7]), io.local_address(0).port());
        // The receive is armed long before there is anything to receive.
        echo_turn(&mut io, Duration::from_millis(10));
        assert_eq!(Twin::give_address(&mut twins, to).expect("bound"), Some(1), "{backend:?}");
        let client = client("127.0.0.1:0");
        client.send_to(b"hello", to).expect("sent");
        let deadline = Instant::now() + PATIENCE;
        while echo_turn(&mut io, Duration::from_millis(50)) == 0 && Instant::now() < deadline {}
        io.submit();
        let (len, from) = client.recv_from(&mut [0; 16]).expect("an echo");
        assert_eq!((len, from), (5, to), "{backend:?}");
        let next = SocketAddr::new(IpAddr::from([127, 0, 0, 8]), to.port());
        assert_eq!(Twin::give_address(&mut twins, next).expect("no error"), None, "no spare is left");
    }
}

#[test]
fn a_peer_that_cannot_be_reached_is_a_send_error_and_costs_nobody_else() {
    for (choice, backend) in BACKENDS {
        let (mut io, _sleeper, _waker) = started(&["127.0.0.1:0"], choice);
        let sink = client("127.0.0.1:0");
        let to = sink.local_addr().expect("bound");
        for peer in [address("[::1]:5"), address("127.0.0.1:0"), to, address("255.255.255.255:5"), to] {
            io.send(0, peer, 100, |buffer| buffer.len()).expect("room");
        }
        io.send(9, to, 100, |buffer| buffer.len()).expect("room");
        io.submit();
        io.receive();
        let statistics = io.statistics();
        assert_eq!((statistics.sends, statistics.send_errors, statistics.gso_off), (2, 4, 0), "{backend:?}");
        assert_eq!(receive_all(&sink).len(), 2);
    }
}

#[test]
fn an_io_moves_to_its_thread_before_the_start() {
    for (choice, backend) in BACKENDS {
        let (options, _sleeper, _waker) = options(&["127.0.0.1:0"], choice);
        let mut io = Io::open(options).expect("opened");
        let to = io.local_address(0);
        let client = client("127.0.0.1:0");
        client.send_to(b"early", to).expect("sent");
        let thread = std::thread::spawn(move || {
            io.start_on_this_thread().expect("started");
            let deadline = Instant::now() + PATIENCE;
            while echo_turn(&mut io, Duration::from_millis(50)) == 0 && Instant::now() < deadline {}
            io.submit();
        });
        let (len, _) = client.recv_from(&mut [0; 16]).expect("an echo");
        assert_eq!(len, 5, "{backend:?}");
        thread.join().expect("joined");
    }
}

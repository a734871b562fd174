//! CPU time of one thread per datagram sent over loopback, for both back ends and several datagrams per peer.
//!
//! `cargo run --release -p uring --example send_cost`. Loopback counts the receiver's side too; compare rows, not with a
//! network card.

#![allow(unsafe_code)]

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;
use uring::{Choice, Io, Options};

const PEERS: usize = 64;
const BYTES: usize = 1_216;
const ROUNDS: usize = 40;
const TURNS: usize = 40;

fn thread_nanoseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is ours to write.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Small buffers that nobody reads: what they cannot hold is dropped at the receiving socket.
    let sinks: Vec<UdpSocket> =
        (0..PEERS).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    let peers: Vec<SocketAddr> = sinks.iter().map(UdpSocket::local_addr).collect::<std::io::Result<_>>()?;
    let (sleeper, _waker) = mesh::Wake::pair()?;
    let open = |backend| {
        let mut options = Options::new(vec![SocketAddr::from(([127, 0, 0, 1], 0))], sleeper.fd());
        options.backend = backend;
        Io::open(options)
    };
    let mut ios = [open(Choice::IoUring)?, open(Choice::Plain)?];
    for io in &mut ios {
        io.start_on_this_thread()?;
    }
    println!(
        "{:>10} {:>8} {:>12} {:>14} {:>16}",
        "per peer", "backend", "ns/datagram", "datagrams/send", "datagrams/call"
    );
    for per_peer in [1, 2, 4, 8, 16] {
        let mut costs = [Vec::new(), Vec::new()];
        let before = [*ios[0].statistics(), *ios[1].statistics()];
        for _ in 0..ROUNDS {
            for (io, costs) in ios.iter_mut().zip(&mut costs) {
                let start = thread_nanoseconds();
                for _ in 0..TURNS {
                    turn(io, &peers, per_peer);
                }
                costs.push((thread_nanoseconds() - start) / (TURNS * PEERS * per_peer) as u64);
            }
        }
        for ((io, costs), before) in ios.iter().zip(&mut costs).zip(before) {
            costs.sort_unstable();
            let now = io.statistics();
            let segments = (now.segments - before.segments) as f64;
            println!(
                "{per_peer:>10} {:>8} {:>12} {:>14.1} {:>16.1}",
                io.backend().label(),
                costs[costs.len() / 2],
                segments / (now.sends - before.sends) as f64,
                segments / (now.system_calls - before.system_calls) as f64,
            );
        }
    }
    Ok(())
}

fn turn(io: &mut Io, peers: &[SocketAddr], per_peer: usize) {
    for peer in peers {
        for _ in 0..per_peer {
            // Nothing is lost but the cost of a datagram if there is no room.
            let _ = io.send(0, *peer, 1_500, |buffer| {
                buffer[..BYTES].fill(1);
                BYTES
            });
        }
    }
    io.submit_and_wait(Some(Duration::ZERO));
    io.receive();
    io.recycle();
}

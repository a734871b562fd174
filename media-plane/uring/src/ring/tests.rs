//! What only the ring can show: its restrictions, and that everything ends.

use super::*;
use io_uring::types::FsyncFlags;

fn ring() -> (Ring, mesh::Sleeper) {
    let (sleeper, _waker) = mesh::Wake::pair().expect("an eventfd");
    let mut options = Options::new(vec!["127.0.0.1:0".parse().expect("an address")], sleeper.fd());
    options.socket_receive_bytes = 0;
    let sockets = Sockets::open(&options).expect("a socket");
    match Ring::open(&options, sockets) {
        Ok(ring) => (ring, sleeper),
        Err((_, RingError::Kernel(finding))) => panic!("no io_uring here: {finding}"),
        Err((_, RingError::Options(error))) => panic!("{error}"),
    }
}

/// Submits one entry and gives its result, passing over the ring's own.
fn result_of(ring: &mut Ring, entry: squeue::Entry) -> i32 {
    const MARK: u64 = 99 << 32;
    // SAFETY: the entries of these tests name no memory, or static memory.
    unsafe { ring.ring.submission().push(&entry.user_data(MARK)) }.expect("room");
    for _ in 0..100 {
        ring.enter(1, true, Some(Duration::from_millis(10)));
        let found = ring.ring.completion().find(|entry| entry.user_data() == MARK);
        if let Some(entry) = found {
            return entry.result();
        }
    }
    panic!("no completion");
}

#[test]
fn the_kernel_refuses_every_operation_that_is_not_ours() {
    let (mut ring, _sleeper) = ring();
    ring.start().expect("started");
    let path = c"/etc/hostname".as_ptr();
    let refused = [
        ("nop", opcode::Nop::new().build()),
        ("openat", opcode::OpenAt::new(Fd(libc::AT_FDCWD), path).build()),
        ("socket", opcode::Socket::new(libc::AF_INET, libc::SOCK_DGRAM, 0).build()),
        ("close", opcode::Close::new(Fd(1_000_000)).build()),
        ("fsync", opcode::Fsync::new(Fd(1_000_000)).flags(FsyncFlags::empty()).build()),
        ("read", opcode::Read::new(Fd(1_000_000), std::ptr::null_mut(), 0).build()),
        ("splice", opcode::Splice::new(Fd(0), -1, Fd(1), -1, 1).build()),
    ];
    for (name, entry) in refused {
        assert_eq!(result_of(&mut ring, entry), -libc::EACCES, "{name}");
    }
    let linked = opcode::Write::new(Fd(1_000_000), std::ptr::null(), 0).build().flags(squeue::Flags::IO_LINK);
    assert_eq!(result_of(&mut ring, linked), -libc::EACCES, "a flag that is not ours");
    let ours = opcode::Write::new(Fd(1_000_000), std::ptr::null(), 0).build();
    assert_eq!(result_of(&mut ring, ours), -libc::EBADF, "an operation that is ours");
    assert!(ring.ring.submitter().register_files_sparse(1).is_err(), "registrations end with the start");
}

#[test]
fn a_ring_ends_clean_in_every_state() {
    let (mut started, _sleeper) = ring();
    started.start().expect("started");
    let to = started.sockets.local()[0];
    for _ in 0..100 {
        started.send(0, to, 100, |buffer| buffer.len()).expect("room");
    }
    started.submit();
    assert!(started.drain(), "everything cancelled and reaped");
    assert_eq!((started.pending, started.memory.queue.in_flight()), (0, 0));
    drop(started);
    drop(ring());
    let (mut moved, _sleeper) = ring();
    moved.start().expect("started");
    let (clean, mut back) = thread::spawn(move || (moved.drain(), moved)).join().expect("joined");
    assert!(!clean, "a foreign thread cannot end it and must leave the memory");
    assert!(back.drain(), "its own can");
}

#[test]
fn a_full_completion_queue_loses_nothing() {
    let (mut ring, sleeper) = ring();
    ring.start().expect("started");
    let capacity = ring.ring.params().cq_entries();
    let eventfd = sleeper.fd();
    let writes = capacity * 2;
    for _ in 0..writes {
        ring.wake(eventfd);
        // Submitted one by one and not reaped: more completions than the queue holds.
        ring.enter(0, false, None);
    }
    for _ in 0..100 {
        ring.enter(0, true, None);
        ring.reap();
    }
    assert!(ring.statistics.overflow > 0, "the queue overflowed");
    // Overflow may end the watch, as any multishot operation; the receive and the watch are all that is left.
    ring.submit();
    assert_eq!((ring.pending, ring.watching), (2, true), "every write's completion came");
}

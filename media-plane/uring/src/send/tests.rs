//! Grouping, memory and refusals of the send queue, against a kernel played by the test.

use super::*;

fn peer(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn queue() -> Queue {
    Queue::new(1 << 17, true).expect("memory")
}

fn push(queue: &mut Queue, port: u16, len: usize, value: u8) {
    queue
        .push(0, peer(port), 2_048, |buffer| {
            buffer[..len].fill(value);
            len
        })
        .expect("room");
}

/// What the kernel would send: per operation the datagrams' lengths.
fn taken(queue: &mut Queue) -> Vec<(Operation, Vec<usize>)> {
    queue.close();
    let mut all = Vec::new();
    while let Some(operation) = queue.take() {
        let message = &queue.messages[operation.slot as usize];
        let segment = if operation.single { operation.len as usize } else { usize::from(message.segment) };
        let mut left = operation.len as usize;
        let mut lengths = Vec::new();
        while left > 0 {
            lengths.push(left.min(segment));
            left -= left.min(segment);
        }
        all.push((operation, lengths));
    }
    all
}

fn complete_all(queue: &mut Queue, statistics: &mut Statistics) {
    for (operation, _) in taken(queue) {
        queue.complete(operation.slot, operation.len as i32, statistics);
    }
}

#[test]
fn datagrams_group_by_peer_and_length_and_only_the_last_is_shorter() {
    // (peer's port, length) in the order of writing -> lengths per operation
    type Row = (&'static str, Vec<(u16, usize)>, Vec<Vec<usize>>);
    let rows: Vec<Row> = vec![
        ("equal lengths", vec![(1, 100), (1, 100), (1, 100)], vec![vec![100, 100, 100]]),
        ("a shorter one ends it", vec![(1, 100), (1, 60), (1, 60)], vec![vec![100, 60], vec![60]]),
        ("a longer one begins anew", vec![(1, 60), (1, 100), (1, 60)], vec![vec![60], vec![100, 60]]),
        ("another peer", vec![(1, 100), (2, 100), (1, 100)], vec![vec![100], vec![100], vec![100]]),
        ("nothing written", vec![(1, 100), (1, 0), (1, 100)], vec![vec![100, 100]]),
        ("at most 64", vec![(1, 10); 70], vec![vec![10; 64], vec![10; 6]]),
        ("at most 65,507 bytes", vec![(1, 1_400); 50], vec![vec![1_400; 46], vec![1_400; 4]]),
    ];
    for (name, written, expected) in rows {
        let mut queue = queue();
        for (port, len) in written {
            push(&mut queue, port, len, 0);
        }
        let lengths: Vec<Vec<usize>> = taken(&mut queue).into_iter().map(|(_, lengths)| lengths).collect();
        assert_eq!(lengths, expected, "{name}");
    }
}

#[test]
fn messages_begin_on_a_cache_line_and_away_from_the_slow_offsets() {
    let mut queue = queue();
    for port in 1..40 {
        push(&mut queue, port, 1_216 - usize::from(port), 0);
    }
    for (operation, _) in taken(&mut queue) {
        assert_eq!(operation.bytes as usize % ALIGNMENT, 0);
        assert!(!(1..64).contains(&(operation.bytes as usize % 2_048)));
    }
}

#[test]
fn memory_is_given_again_only_when_the_kernel_is_done_in_whatever_order() {
    let mut queue = queue();
    let mut statistics = Statistics::default();
    let mut flying: Vec<(Operation, u8)> = Vec::new();
    let mut random = 12_345u32;
    let mut draw = move |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) % below
    };
    let (mut pushed, mut full) = (0u64, 0u64);
    for round in 0..20_000u32 {
        let (value, len) = (round as u8, 1 + draw(1_500) as usize);
        let port = 1 + draw(3) as u16;
        match queue.push(0, peer(port), 1_500, |buffer| {
            buffer[..len].fill(value);
            len
        }) {
            Ok(()) => pushed += 1,
            Err(SendFull) => full += 1,
        }
        // One datagram a message, so that a message has one value.
        queue.close();
        while let Some(operation) = queue.take() {
            flying.push((operation, value));
        }
        let mut ends = if draw(800) == 0 { flying.len() as u32 } else { draw(2) };
        while ends > 0 && !flying.is_empty() {
            let (operation, value) = flying.swap_remove(draw(flying.len() as u32) as usize);
            // SAFETY: in flight, so nobody writes it.
            let bytes = unsafe { std::slice::from_raw_parts(operation.bytes, operation.len as usize) };
            assert!(bytes.iter().all(|byte| *byte == value), "round {round}: overwritten in flight");
            queue.complete(operation.slot, operation.len as i32, &mut statistics);
            ends -= 1;
        }
    }
    assert!(full > 100, "the memory must have been full at times ({full})");
    assert_eq!(pushed, statistics.segments + flying.len() as u64);
}

#[test]
fn an_empty_queue_begins_at_its_warm_start_again() {
    let mut queue = queue();
    let mut statistics = Statistics::default();
    for _ in 0..3 {
        push(&mut queue, 1, 1_200, 0);
        assert_eq!(taken(&mut queue)[0].0.bytes, queue.memory.address(0).cast_const());
        queue.complete(0, 1_200, &mut statistics);
    }
}

#[test]
fn refused_segmentation_sends_the_same_datagrams_singly_and_is_switched_off() {
    let mut queue = queue();
    let mut statistics = Statistics::default();
    for value in 0..3 {
        push(&mut queue, 1, 100, value);
    }
    push(&mut queue, 1, 70, 3);
    let (operation, _) = taken(&mut queue).remove(0);
    queue.complete(operation.slot, -libc::EIO, &mut statistics);
    let mut sent = Vec::new();
    while let Some(operation) = queue.take() {
        assert!(operation.single);
        // SAFETY: in flight, so nobody writes it.
        let bytes = unsafe { std::slice::from_raw_parts(operation.bytes, operation.len as usize) };
        sent.push((bytes.len(), bytes[0]));
        queue.complete(operation.slot, operation.len as i32, &mut statistics);
    }
    assert_eq!(sent, [(100, 0), (100, 1), (100, 2), (70, 3)]);
    assert_eq!((statistics.sends, statistics.segments, statistics.bytes_sent), (4, 4, 370));
    assert_eq!((statistics.gso_refused, statistics.gso_off, statistics.send_errors), (1, 1, 0));
    push(&mut queue, 1, 100, 0);
    push(&mut queue, 1, 100, 0);
    assert_eq!(taken(&mut queue).len(), 2, "nothing is grouped any more");
}

#[test]
fn segmentation_stays_on_if_the_datagrams_fail_singly_too() {
    let mut queue = queue();
    let mut statistics = Statistics::default();
    push(&mut queue, 1, 100, 0);
    push(&mut queue, 1, 100, 0);
    for _ in 0..3 {
        let (operation, _) = taken(&mut queue).remove(0);
        queue.complete(operation.slot, -libc::EINVAL, &mut statistics);
    }
    assert_eq!((statistics.send_errors, statistics.segments_lost, statistics.gso_off), (2, 2, 0));
    push(&mut queue, 1, 100, 0);
    push(&mut queue, 1, 100, 0);
    assert_eq!(taken(&mut queue).len(), 1);
}

#[test]
fn a_length_that_an_interface_cannot_segment_does_not_end_grouping_of_shorter_ones() {
    let mut queue = queue();
    let mut statistics = Statistics::default();
    push(&mut queue, 1, 1_400, 0);
    push(&mut queue, 1, 1_400, 0);
    let (operation, _) = taken(&mut queue).remove(0);
    queue.complete(operation.slot, -libc::EINVAL, &mut statistics);
    complete_all(&mut queue, &mut statistics);
    complete_all(&mut queue, &mut statistics);
    assert_eq!((statistics.segments, statistics.gso_off), (2, 0));
    for len in [1_400, 1_400, 1_200, 1_200] {
        push(&mut queue, 1, len, 0);
    }
    let lengths: Vec<Vec<usize>> = taken(&mut queue).into_iter().map(|(_, lengths)| lengths).collect();
    assert_eq!(lengths, [vec![1_400], vec![1_400], vec![1_200, 1_200]]);
}

#[test]
fn what_the_kernel_would_not_take_is_taken_again_in_order() {
    let mut queue = queue();
    for port in 1..5 {
        push(&mut queue, port, 100, 0);
    }
    let first: Vec<u32> = taken(&mut queue).iter().map(|(operation, _)| operation.slot).collect();
    let mut operations: Vec<Operation> = Vec::new();
    for slot in &first {
        let message = &queue.messages[*slot as usize];
        assert_eq!(message.state, State::InFlight);
    }
    let mut again = self::queue();
    for port in 1..5 {
        push(&mut again, port, 100, 0);
    }
    again.close();
    while let Some(operation) = again.take() {
        operations.push(operation);
    }
    for operation in operations.drain(..).rev() {
        again.untake(operation);
    }
    assert_eq!(again.in_flight(), 0);
    let second: Vec<u32> = taken(&mut again).iter().map(|(operation, _)| operation.slot).collect();
    assert_eq!(first, second);
}

#[test]
fn a_datagram_longer_than_udp_or_than_the_memory_is_refused() {
    let mut queue = Queue::new(70_000, true).expect("memory");
    assert_eq!(queue.push(0, peer(1), MESSAGE_BYTES_MAX + 1, |_| 1), Err(SendFull));
    assert_eq!(queue.push(0, peer(1), MESSAGE_BYTES_MAX, |buffer| buffer.len()), Ok(()));
    assert_eq!(queue.push(0, peer(2), 10_000, |_| 1), Err(SendFull));
}

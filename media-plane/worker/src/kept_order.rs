//! The packets kept for retransmission on a worker, oldest first: their slots come back by age without a look at any cache,
//! and under load the oldest packet of all gives way to the newest.

use std::collections::VecDeque;

use contract::{Duration, Timestamp};
use mesh::arena::{Arena, Slot};

/// Number of a kept packet, counted from the first that the worker kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeptNumber(u64);

/// A reference to a slot, held here alone: caches know the number.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// `None`: it was let go before its time.
    slot: Option<Slot>,
    arrival: Timestamp,
}

/// As many places as the arena has slots, allocated at start.
#[derive(Debug)]
pub(crate) struct KeptOrder {
    queue: VecDeque<Kept>,
    /// Number of the first in the queue.
    oldest: u64,
    places: usize,
}

impl KeptOrder {
    pub(crate) fn new(slots: u32) -> KeptOrder {
        KeptOrder { queue: VecDeque::with_capacity(slots as usize), oldest: 0, places: slots as usize }
    }

    /// Keep a packet: the slot gets one more reference.
    pub(crate) fn keep(&mut self, slot: Slot, arrival: Timestamp, arena: &mut Arena) -> KeptNumber {
        if self.queue.len() == self.places {
            self.release_oldest(arena);
        }
        arena.retain(slot);
        self.queue.push_back(Kept { slot: Some(slot), arrival });
        KeptNumber(self.oldest + self.queue.len() as u64 - 1)
    }

    /// The slot of a packet, if it is still kept and not older than `age`.
    pub(crate) fn slot(&self, number: KeptNumber, age: Duration, now: Timestamp) -> Option<Slot> {
        let kept = self.queue.get(number.0.checked_sub(self.oldest)? as usize)?;
        kept.slot.filter(|_| now.since(kept.arrival) <= age)
    }

    /// Release a packet before its time.
    pub(crate) fn let_go(&mut self, number: KeptNumber, arena: &mut Arena) {
        let place = number.0.checked_sub(self.oldest).and_then(|at| self.queue.get_mut(at as usize));
        if let Some(slot) = place.and_then(|kept| kept.slot.take()) {
            arena.release(slot);
        }
    }

    /// Release what is older than `age`, at most `most` packets.
    pub(crate) fn release_older_than(
        &mut self,
        age: Duration,
        now: Timestamp,
        most: usize,
        arena: &mut Arena,
    ) {
        for _ in 0..most {
            if self.queue.front().is_none_or(|oldest| now.since(oldest.arrival) <= age) {
                return;
            }
            self.release_oldest(arena);
        }
    }

    /// A free slot; the oldest kept packets go for it if need be.
    pub(crate) fn take_slot(&mut self, arena: &mut Arena) -> Option<Slot> {
        loop {
            if let Some(slot) = arena.take() {
                return Some(slot);
            }
            if !self.release_oldest(arena) {
                return None;
            }
        }
    }

    /// False if nothing is kept.
    fn release_oldest(&mut self, arena: &mut Arena) -> bool {
        let Some(oldest) = self.queue.pop_front() else { return false };
        self.oldest += 1;
        if let Some(slot) = oldest.slot {
            arena.release(slot);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way_by_age_and_for_want_of_slots() {
        let second = Timestamp::from_millis;
        let mut arena = Arena::new(3);
        let mut kept = KeptOrder::new(3);
        let numbers = [0, 1_000, 2_000].map(|ms| {
            let slot = kept.take_slot(&mut arena).unwrap();
            let number = kept.keep(slot, second(ms), &mut arena);
            arena.release(slot);
            number
        });
        let age = Duration::from_secs(1);
        let there = |kept: &KeptOrder, now| numbers.map(|number| kept.slot(number, age, now).is_some());
        assert_eq!(there(&kept, second(2_000)), [false, true, true], "too old is as good as gone");
        kept.let_go(numbers[1], &mut arena);
        kept.let_go(numbers[1], &mut arena);
        assert_eq!(arena.free(), 1, "once is enough");
        let taken = [(); 2].map(|()| kept.take_slot(&mut arena).unwrap());
        assert_eq!(there(&kept, second(0)), [false, false, true], "the first gave its slot");
        kept.release_older_than(age, second(4_000), 8, &mut arena);
        assert_eq!(there(&kept, second(0)), [false; 3]);
        taken.into_iter().for_each(|slot| arena.release(slot));
        assert_eq!(arena.free(), 3);
    }
}

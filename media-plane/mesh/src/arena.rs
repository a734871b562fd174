//! Fixed packet slots of one thread, counted by reference, without a lock or an allocation after construction.
//!
//! The owner holds `&mut`; a [`Slot`] is a number, copied freely, and every copy that is kept needs its own reference.
//! Invariant: `free() + held() == slots()`.

/// Bytes of one slot: the longest datagram accepted (1,500 B) and room before and behind it.
pub const SLOT_BYTES: usize = 2_048;

/// Bytes that slots are aligned to: one cache line.
pub const SLOT_ALIGNMENT: usize = 64;

/// What a returned slot is filled with in debug builds, so that use after release shows.
const POISON: u8 = 0xDD;

/// Slots of packet memory and their reference counts.
pub struct Arena {
    /// `slots * SLOT_BYTES` plus what alignment costs; zeroed by the system when first touched.
    memory: Box<[u8]>,
    /// Where the first slot starts in `memory`, so that slots are aligned.
    offset: usize,
    /// References per slot; 0 is free.
    references: Box<[u32]>,
    /// Free slots; the last returned is taken first, as it is warm.
    free: Vec<Slot>,
}

/// Handle of one slot of one arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(u32);

impl Slot {
    /// The slot's number, from 0.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Arena {
    /// An arena of `slots` free slots. Untouched slots cost address space only.
    pub fn new(slots: u32) -> Arena {
        let count = slots as usize;
        let memory = vec![0u8; count * SLOT_BYTES + SLOT_ALIGNMENT].into_boxed_slice();
        in_huge_pages(&memory);
        let offset = memory.as_ptr().align_offset(SLOT_ALIGNMENT).min(SLOT_ALIGNMENT);
        let free = (0..slots).rev().map(Slot).collect();
        Arena { memory, offset, references: vec![0; count].into_boxed_slice(), free }
    }

    /// Takes a free slot, with one reference. Its bytes are what they were.
    #[inline]
    pub fn take(&mut self) -> Option<Slot> {
        let slot = self.free.pop()?;
        self.references[slot.index()] = 1;
        Some(slot)
    }

    /// Adds a reference to a held slot.
    #[inline]
    pub fn retain(&mut self, slot: Slot) {
        let references = &mut self.references[slot.index()];
        debug_assert!(*references > 0, "retained a free slot");
        *references += 1;
    }

    /// Drops a reference; the last one frees the slot.
    ///
    /// Releasing a free slot is a bug of the caller: debug builds panic, release builds ignore it, so that no slot is
    /// ever free twice.
    #[inline]
    pub fn release(&mut self, slot: Slot) {
        let references = &mut self.references[slot.index()];
        debug_assert!(*references > 0, "released a free slot");
        if *references == 0 {
            return;
        }
        *references -= 1;
        if *references > 0 {
            return;
        }
        if cfg!(debug_assertions) {
            self.bytes_mut(slot).fill(POISON);
        }
        self.free.push(slot);
    }

    /// References to a slot; 0 is free.
    pub fn references(&self, slot: Slot) -> u32 {
        self.references[slot.index()]
    }

    /// The slot's bytes, [`SLOT_BYTES`] of them, aligned to [`SLOT_ALIGNMENT`].
    #[inline]
    pub fn bytes(&self, slot: Slot) -> &[u8] {
        let start = self.start(slot);
        &self.memory[start..start + SLOT_BYTES]
    }

    /// The slot's bytes, to write.
    #[inline]
    pub fn bytes_mut(&mut self, slot: Slot) -> &mut [u8] {
        let start = self.start(slot);
        &mut self.memory[start..start + SLOT_BYTES]
    }

    /// The bytes of two different slots, one to read and one to write.
    ///
    /// # Panics
    /// If both are the same slot, which no input can bring about.
    #[inline]
    pub fn pair(&mut self, source: Slot, destination: Slot) -> (&[u8], &mut [u8]) {
        let (from, to) = (self.start(source), self.start(destination));
        let [from, to] = self
            .memory
            .get_disjoint_mut([from..from + SLOT_BYTES, to..to + SLOT_BYTES])
            .expect("two slots of one arena, which the caller owes to be different");
        (from, to)
    }

    /// Free slots.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Slots with a reference.
    pub fn held(&self) -> usize {
        self.slots() - self.free()
    }

    /// All slots.
    pub fn slots(&self) -> usize {
        self.references.len()
    }

    #[inline]
    fn start(&self, slot: Slot) -> usize {
        self.offset + slot.index() * SLOT_BYTES
    }
}

/// Ask the system for huge pages: packets kept for a second go round all of the memory, and each would miss the TLB.
fn in_huge_pages(memory: &[u8]) {
    let begin = memory.as_ptr().addr().next_multiple_of(HUGE_PAGE_BYTES);
    let end = (memory.as_ptr().addr() + memory.len()) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    if begin < end {
        let address = memory.as_ptr().with_addr(begin).cast_mut();
        // SAFETY: whole pages of memory that is ours; its contents stay. Where it is refused, pages stay small.
        unsafe { libc::madvise(address.cast(), end - begin, libc::MADV_HUGEPAGE) };
    }
}

/// Of x86-64 and of 64-bit ARM with pages of 4 KiB.
const HUGE_PAGE_BYTES: usize = 2 << 20;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_free_or_held_and_the_last_release_frees() {
        let mut arena = Arena::new(3);
        let a = arena.take().expect("three free");
        let b = arena.take().expect("two free");
        arena.retain(a);
        assert_eq!((arena.free(), arena.held()), (1, 2));
        arena.release(a);
        assert_eq!((arena.free(), arena.held(), arena.references(a)), (1, 2, 1));
        arena.release(a);
        assert_eq!((arena.free(), arena.held()), (2, 1));
        arena.release(b);
        assert_eq!((arena.free(), arena.held()), (3, 0));
    }

    #[test]
    fn an_empty_arena_gives_nothing_and_the_slot_released_last_is_taken_first() {
        let mut arena = Arena::new(2);
        let (a, b) = (arena.take().expect("two"), arena.take().expect("one"));
        assert_eq!(arena.take(), None);
        arena.release(a);
        arena.release(b);
        assert_eq!(arena.take(), Some(b));
    }

    #[test]
    fn slots_are_aligned_and_do_not_overlap() {
        let mut arena = Arena::new(5);
        let slots: Vec<Slot> = std::iter::from_fn(|| arena.take()).collect();
        for (value, slot) in slots.iter().enumerate() {
            arena.bytes_mut(*slot).fill(value as u8);
        }
        for (value, slot) in slots.iter().enumerate() {
            assert_eq!(arena.bytes(*slot).as_ptr() as usize % SLOT_ALIGNMENT, 0);
            assert_eq!(arena.bytes(*slot).len(), SLOT_BYTES);
            assert!(arena.bytes(*slot).iter().all(|byte| *byte == value as u8));
        }
    }

    #[test]
    fn a_pair_reads_one_slot_and_writes_the_other_in_either_order() {
        let mut arena = Arena::new(2);
        let (a, b) = (arena.take().expect("two"), arena.take().expect("one"));
        for (from, to, value) in [(a, b, 1), (b, a, 2)] {
            arena.bytes_mut(from).fill(value);
            let (source, destination) = arena.pair(from, to);
            destination.copy_from_slice(source);
            assert_eq!(arena.bytes(to)[SLOT_BYTES - 1], value);
        }
    }

    #[test]
    #[cfg(debug_assertions)]
    fn a_returned_slot_is_poisoned_in_debug_builds() {
        let mut arena = Arena::new(1);
        let slot = arena.take().expect("one");
        arena.bytes_mut(slot).fill(1);
        arena.release(slot);
        assert!(arena.bytes(slot).iter().all(|byte| *byte == POISON));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "released a free slot")]
    fn a_second_release_panics_in_debug_builds() {
        let mut arena = Arena::new(1);
        let slot = arena.take().expect("one");
        arena.release(slot);
        arena.release(slot);
    }

    #[test]
    #[should_panic(expected = "different")]
    fn a_pair_of_one_slot_is_refused() {
        let mut arena = Arena::new(1);
        let slot = arena.take().expect("one");
        arena.pair(slot, slot);
    }

    #[test]
    fn untouched_slots_cost_no_memory() {
        let resident = || {
            let text = std::fs::read_to_string("/proc/self/statm").expect("procfs");
            text.split(' ').nth(1).expect("resident").parse::<usize>().expect("pages") * 4_096
        };
        let before = resident();
        let arena = Arena::new(100_000);
        assert_eq!(arena.free(), 100_000);
        assert!(resident().saturating_sub(before) < 32 << 20, "200 MB of slots must stay untouched");
    }
}

//! Renumbering of a rising sequence from which numbers are taken out, with a fixed memory of what was decided.

/// What was decided about a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing so high was seen.
    Ahead,
    /// Passed over, not seen yet.
    Open,
    /// Seen and kept.
    Kept,
    /// Seen and taken out.
    Removed,
    /// Before the beginning, or too old to tell.
    Gone,
}

/// A window over the last `64 * WORDS` numbers. A number taken out closes its gap for all that follow; one passed over
/// leaves its place free, so that it fits in when it comes late.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Window<const WORDS: usize> {
    /// One above the highest number decided.
    next: u64,
    /// Numbers below belong to a former life.
    floor: u64,
    /// How many below `next` were taken out.
    removed: u64,
    /// Of 64 numbers each: which were kept, and which taken out. Side by side, as they are looked at together.
    bits: [Decided; WORDS],
}

/// A bit for each of 64 numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Decided {
    kept: u64,
    removed: u64,
}

impl<const WORDS: usize> Window<WORDS> {
    /// How many numbers are remembered.
    pub(crate) const SPAN: u64 = 64 * WORDS as u64;

    /// A window that begins at `first`.
    pub(crate) const fn starting_at(first: u64) -> Self {
        Window { next: first, floor: first, removed: 0, bits: [Decided { kept: 0, removed: 0 }; WORDS] }
    }

    /// One above the highest number decided.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// What was decided about `number`.
    pub(crate) fn place(&self, number: u64) -> Place {
        if number >= self.next {
            return Place::Ahead;
        }
        if number < self.floor || self.next - number > Self::SPAN {
            return Place::Gone;
        }
        let (word, bit) = Self::position(number);
        if self.bits[word].kept & bit != 0 {
            Place::Kept
        } else if self.bits[word].removed & bit != 0 {
            Place::Removed
        } else {
            Place::Open
        }
    }

    /// Keep `number`. Returns how many before it were taken out, or `None` if it was decided before or is gone.
    pub(crate) fn keep(&mut self, number: u64) -> Option<u64> {
        match self.place(number) {
            Place::Ahead => self.advance(number),
            Place::Open => {}
            Place::Kept | Place::Removed | Place::Gone => return None,
        }
        let (word, bit) = Self::position(number);
        self.bits[word].kept |= bit;
        Some(self.removed_before(number))
    }

    /// Take `number` out. A number that comes late keeps its place free: those after it are out already.
    pub(crate) fn remove(&mut self, number: u64) {
        if self.place(number) != Place::Ahead {
            return;
        }
        self.advance(number);
        let (word, bit) = Self::position(number);
        self.bits[word].removed |= bit;
        self.removed += 1;
    }

    /// Take out all numbers from the highest decided up to `number`. Bounded by the window: a longer gap stays.
    pub(crate) fn remove_through(&mut self, number: u64) {
        let first = self.next;
        if number.saturating_sub(first) >= Self::SPAN {
            return self.remove(number);
        }
        for each in first..=number {
            self.remove(each);
        }
    }

    /// Numbers below `number` that were not decided yet are gone.
    pub(crate) fn forget_before(&mut self, number: u64) {
        self.floor = self.floor.max(number);
    }

    /// How many numbers below `number` were taken out; for a number within the window or ahead of it.
    pub(crate) fn removed_before(&self, number: u64) -> u64 {
        let mut at = number.saturating_add(1);
        if self.next.saturating_sub(at) > Self::SPAN {
            at = self.next.saturating_sub(Self::SPAN);
        }
        let mut later = 0;
        while at < self.next {
            let from = at % 64;
            let count = (64 - from).min(self.next - at);
            let mask = (u64::MAX >> (64 - count)) << from;
            later += u64::from((self.bits[Self::position(at).0].removed & mask).count_ones());
            at += count;
        }
        self.removed.saturating_sub(later)
    }

    fn advance(&mut self, number: u64) {
        if number - self.next >= Self::SPAN {
            self.bits = [Decided::default(); WORDS];
        } else {
            for each in self.next..=number {
                let (word, bit) = Self::position(each);
                self.bits[word].kept &= !bit;
                self.bits[word].removed &= !bit;
            }
        }
        self.next = number.saturating_add(1);
    }

    fn position(number: u64) -> (usize, u64) {
        ((number / 64) as usize % WORDS, 1 << (number % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn removed_numbers_close_and_skipped_numbers_stay_open() {
        let mut window = Window::<2>::starting_at(10);
        assert_eq!(window.keep(10), Some(0));
        window.remove(11);
        assert_eq!(window.keep(12), Some(1));
        assert_eq!(window.keep(15), Some(1), "13 and 14 are missing, their places stay");
        window.remove(16);
        assert_eq!(window.keep(13), Some(1), "late, into its place");
        assert_eq!(window.keep(13), None, "twice");
        assert_eq!(window.place(11), Place::Removed);
        assert_eq!(window.place(14), Place::Open);
        assert_eq!(window.place(9), Place::Gone);
        assert_eq!(window.keep(17), Some(2));
    }

    #[test]
    fn a_run_can_be_removed_at_once() {
        let mut window = Window::<2>::starting_at(0);
        window.keep(0);
        window.remove_through(5);
        assert_eq!(window.keep(6), Some(5));
    }

    proptest! {
        /// Whatever the order and the decisions: outputs are unique and have the order of the inputs.
        #[test]
        fn outputs_are_unique_and_in_order(steps in prop::collection::vec((0u64..40, any::<bool>(), any::<bool>()), 1..2_000)) {
            let mut window = Window::<2>::starting_at(1_000);
            let mut head = 1_000u64;
            let mut out = std::collections::BTreeMap::new();
            for (jump, back, keep) in steps {
                let number = if back { head.saturating_sub(jump) } else { head + jump / 8 };
                head = head.max(number);
                if keep {
                    if let Some(removed) = window.keep(number) {
                        prop_assert!(out.insert(number, number - removed).is_none());
                    }
                } else {
                    window.remove(number);
                }
            }
            let outputs: Vec<u64> = out.values().copied().collect();
            prop_assert!(outputs.windows(2).all(|pair| pair[0] < pair[1]), "{outputs:?}");
        }
    }
}

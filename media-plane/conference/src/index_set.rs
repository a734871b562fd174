//! A fixed set of small indices, walked in order without touching what is not in it.

/// A bit for each index below `64 * WORDS`, and one for each word that has any: the empty set is known by one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexSet<const WORDS: usize> {
    words: [u64; WORDS],
    /// Bit i: word i is not zero.
    summary: u128,
}

impl<const WORDS: usize> Default for IndexSet<WORDS> {
    fn default() -> Self {
        const { assert!(WORDS <= 128, "the summary has a bit for each word") };
        IndexSet { words: [0; WORDS], summary: 0 }
    }
}

impl<const WORDS: usize> IndexSet<WORDS> {
    /// Add; nothing beyond the limit.
    pub(crate) fn insert(&mut self, index: u16) {
        if let Some(word) = self.words.get_mut(usize::from(index / 64)) {
            *word |= 1 << (index % 64);
            self.summary |= 1 << (index / 64);
        }
    }

    /// Take out.
    pub(crate) fn remove(&mut self, index: u16) {
        if let Some(word) = self.words.get_mut(usize::from(index / 64)) {
            *word &= !(1 << (index % 64));
            if *word == 0 {
                self.summary &= !(1 << (index / 64));
            }
        }
    }

    /// Add or take out.
    pub(crate) fn set(&mut self, index: u16, member: bool) {
        if member {
            self.insert(index);
        } else {
            self.remove(index);
        }
    }

    pub(crate) fn contains(&self, index: u16) -> bool {
        self.words.get(usize::from(index / 64)).is_some_and(|word| word & 1 << (index % 64) != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.summary == 0
    }

    /// The lowest member at or above `from`.
    pub(crate) fn next_from(&self, from: u16) -> Option<u16> {
        let at = from / 64;
        let left = self.words.get(usize::from(at))? & u64::MAX << (from % 64);
        if left != 0 {
            return Some(at * 64 + left.trailing_zeros() as u16);
        }
        let behind = self.summary & u128::MAX.checked_shl(u32::from(at) + 1).unwrap_or(0);
        let next = behind.trailing_zeros();
        let word = self.words.get(next as usize)?;
        Some(next as u16 * 64 + word.trailing_zeros() as u16)
    }

    /// All members, rising.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        let mut from = Some(0u16);
        core::iter::from_fn(move || {
            let found = self.next_from(from?)?;
            from = found.checked_add(1);
            Some(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_come_out_in_order() {
        let mut set = IndexSet::<2>::default();
        for index in [127, 0, 64, 63, 200] {
            set.insert(index);
        }
        set.remove(64);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 127]);
        assert!(set.contains(63) && !set.contains(64) && !set.contains(200));
    }

    proptest! {
        #[test]
        fn the_summary_says_what_the_words_hold(steps in proptest::collection::vec((0u16..8_200, any::<bool>()), 1..80)) {
            let mut set = IndexSet::<125>::default();
            let mut model = std::collections::BTreeSet::new();
            for (index, member) in steps {
                set.set(index, member);
                if member && index < 8_000 {
                    model.insert(index);
                } else {
                    model.remove(&index);
                }
                prop_assert_eq!(set.is_empty(), model.is_empty());
                prop_assert!(set.iter().eq(model.iter().copied()));
                prop_assert_eq!(set.next_from(index), model.range(index..).next().copied());
            }
        }
    }
}

//! A fixed set of small indices, walked in order without touching what is not in it.

/// A bit for each index below `64 * WORDS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexSet<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Default for IndexSet<WORDS> {
    fn default() -> Self {
        IndexSet([0; WORDS])
    }
}

impl<const WORDS: usize> IndexSet<WORDS> {
    /// Add; nothing beyond the limit.
    pub(crate) fn insert(&mut self, index: u16) {
        if let Some(word) = self.0.get_mut(usize::from(index / 64)) {
            *word |= 1 << (index % 64);
        }
    }

    /// Take out.
    pub(crate) fn remove(&mut self, index: u16) {
        if let Some(word) = self.0.get_mut(usize::from(index / 64)) {
            *word &= !(1 << (index % 64));
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
        self.0.get(usize::from(index / 64)).is_some_and(|word| word & 1 << (index % 64) != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The lowest member at or above `from`.
    pub(crate) fn next_from(&self, from: u16) -> Option<u16> {
        let mut at = usize::from(from / 64);
        let mut mask = u64::MAX << (from % 64);
        while let Some(word) = self.0.get(at) {
            let left = word & mask;
            if left != 0 {
                return Some((at * 64) as u16 + left.trailing_zeros() as u16);
            }
            mask = u64::MAX;
            at += 1;
        }
        None
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
}

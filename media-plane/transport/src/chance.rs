//! Seeded chance: the generator `SplitMix64`, enough for transaction ids, as answers are authenticated anyway.

/// A stream of numbers from one seed.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `low..high`; `low` if the range is empty.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % high.saturating_sub(low).max(1)
    }

    /// A STUN transaction (RFC 8489 §6): a prefix that names us, and 64 bits that nobody guesses.
    pub(crate) fn transaction_id(&mut self, prefix: [u8; 4]) -> [u8; 12] {
        let (a, b) = (self.next().to_be_bytes(), prefix);
        [b[0], b[1], b[2], b[3], a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]]
    }
}

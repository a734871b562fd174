//! Bits from the top of each byte down, as AV1 counts them.

use crate::codec::Malformed;

/// Reads numbers of a few bits, one after another.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at }
    }

    /// The next bit's place.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        let byte = self.data.get(self.at / 8).ok_or(Malformed::Truncated)?;
        let set = byte >> (7 - self.at % 8) & 1 == 1;
        self.at += 1;
        Ok(set)
    }

    /// A number of at most 32 bits.
    pub(super) fn bits(&mut self, count: u32) -> Result<u32, Malformed> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Ok(value)
    }

    /// A number of at most 8 bits.
    pub(super) fn small(&mut self, count: u32) -> Result<u8, Malformed> {
        u8::try_from(self.bits(count)?).map_err(|_| Malformed::Invalid)
    }

    /// A number below `bound`, which is above zero, in as few bits as it takes: `ns(n)` of the AV1 specification, §4.10.7.
    pub(super) fn below(&mut self, bound: u8) -> Result<u8, Malformed> {
        let width = u8::BITS - bound.leading_zeros();
        let short = (1u32 << width) - u32::from(bound);
        let value = self.bits(width.saturating_sub(1))?;
        if value < short {
            return u8::try_from(value).map_err(|_| Malformed::Invalid);
        }
        let extra = u32::from(self.flag()?);
        u8::try_from((value << 1) + extra - short).map_err(|_| Malformed::Invalid)
    }
}

/// Overwrite `count` bits at `at`, if they lie inside.
pub(super) fn put(data: &mut [u8], at: usize, count: u32, value: u32) -> Option<()> {
    for (index, bit) in (at..).zip((0..count).rev()) {
        let byte = data.get_mut(index / 8)?;
        let mask = 0x80 >> (index % 8);
        if value >> bit & 1 == 1 { *byte |= mask } else { *byte &= !mask }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_a_bound_take_as_few_bits_as_they_can() {
        // Of five values the first three have two bits: 00 01 10 110 111.
        let data = [0b0001_1011, 0b0111_0000];
        let mut reader = Reader::new(&data, 0);
        for expected in 0..5 {
            assert_eq!(reader.below(5), Ok(expected));
        }
        assert_eq!(reader.at(), 12);
        assert_eq!(Reader::new(&[], 0).below(1), Ok(0), "no bit at all");
        assert_eq!(Reader::new(&[], 0).below(2), Err(Malformed::Truncated));
    }

    #[test]
    fn what_is_put_is_read() {
        for at in 0..20 {
            for fill in [0, 0xFF] {
                let mut data = [fill; 7];
                put(&mut data, at, 32, 0x9234_5679).unwrap();
                assert_eq!(Reader::new(&data, at).bits(32), Ok(0x9234_5679));
                let ones: u32 = data.iter().map(|byte| byte.count_ones()).sum();
                let around = if fill == 0 { 0 } else { 7 * 8 - 32 };
                assert_eq!(ones, around + 0x9234_5679u32.count_ones(), "nothing around it changes");
            }
        }
        assert_eq!(put(&mut [0; 2], 10, 7, 0), None);
    }
}

//! Packet indices and the replay list (RFC 3711 §3.3.1, §3.3.2).

/// The largest RTP index: 32 bits of roll-over counter, 16 of sequence number. No key outlives it (RFC 3711 §9.2).
pub(super) const INDEX_MAX: u64 = (1 << 48) - 1;

/// What a window says about an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Never seen.
    Fresh,
    /// Seen.
    Seen,
    /// Behind the window: nobody can tell.
    Old,
}

/// The last [`ReplayWindow::WIDTH`] indices of one stream, as a ring of bits.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct ReplayWindow {
    highest: Option<u64>,
    bits: [u64; ReplayWindow::WORDS],
}

impl ReplayWindow {
    /// Indices remembered. RFC 3711 asks for 64; at 1,000 packets a second that would be 64 ms of reordering.
    pub const WIDTH: u64 = 1_024;
    const WORDS: usize = (ReplayWindow::WIDTH / 64) as usize;

    /// The highest index marked so far.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Judge an index; changes nothing.
    pub fn check(&self, index: u64) -> Verdict {
        let Some(highest) = self.highest else { return Verdict::Fresh };
        if index > highest {
            return Verdict::Fresh;
        }
        if highest - index >= Self::WIDTH {
            return Verdict::Old;
        }
        if self.word(index) & Self::bit(index) == 0 { Verdict::Fresh } else { Verdict::Seen }
    }

    /// Remember an index. Only after the packet proved authentic. One behind the window changes nothing.
    pub fn mark(&mut self, index: u64) {
        let highest = match self.highest {
            None => {
                self.highest = Some(index);
                index
            }
            Some(highest) if index > highest => {
                self.clear_between(highest, index);
                self.highest = Some(index);
                index
            }
            Some(highest) => highest,
        };
        if highest - index < Self::WIDTH {
            let position = Self::position(index);
            self.bits[position] |= Self::bit(index);
        }
    }

    /// Mark every index up to `highest`, so that only later ones are fresh.
    pub fn close_up_to(&mut self, highest: u64) {
        self.highest = Some(highest);
        self.bits = [u64::MAX; Self::WORDS];
    }

    /// Forget the indices that enter the window when it moves from `from` to `to`.
    fn clear_between(&mut self, from: u64, to: u64) {
        if to - from >= Self::WIDTH {
            self.bits = [0; Self::WORDS];
            return;
        }
        let mut index = from + 1;
        while index <= to {
            // A whole word at a time where the rest allows it.
            if index.is_multiple_of(64) && to - index >= 63 {
                self.bits[Self::position(index)] = 0;
                index += 64;
            } else {
                self.bits[Self::position(index)] &= !Self::bit(index);
                index += 1;
            }
        }
    }

    fn word(&self, index: u64) -> u64 {
        self.bits[Self::position(index)]
    }

    fn position(index: u64) -> usize {
        (index / 64) as usize % Self::WORDS
    }

    fn bit(index: u64) -> u64 {
        1 << (index % 64)
    }
}

/// The index of a packet with this sequence number, given the highest index so far (RFC 3711 §3.3.1); `None` where it
/// would lie before the first packet or beyond 48 bits.
pub fn estimate(highest: Option<u64>, sequence: u16) -> Option<u64> {
    let Some(highest) = highest else { return Some(u64::from(sequence)) };
    let roll_over = highest >> 16;
    let last = (highest & 0xFFFF) as i32;
    let sequence = i32::from(sequence);
    let roll_over = if last < 0x8000 && sequence - last > 0x8000 {
        roll_over.checked_sub(1)?
    } else if last >= 0x8000 && last - 0x8000 > sequence {
        roll_over + 1
    } else {
        roll_over
    };
    let index = roll_over << 16 | sequence as u64;
    (index <= INDEX_MAX).then_some(index)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The same rules with a set of all indices ever marked.
    #[derive(Default)]
    struct Model(BTreeSet<u64>);

    impl Model {
        fn check(&self, index: u64) -> Verdict {
            let Some(&highest) = self.0.last() else { return Verdict::Fresh };
            if index + ReplayWindow::WIDTH <= highest {
                Verdict::Old
            } else if self.0.contains(&index) {
                Verdict::Seen
            } else {
                Verdict::Fresh
            }
        }
    }

    #[test]
    fn an_index_is_estimated_by_the_nearest_roll_over() {
        let rows: &[(Option<u64>, u16, Option<u64>)] = &[
            (None, 0, Some(0)),
            (None, 65_535, Some(65_535)),
            (Some(65_535), 0, Some(65_536)),
            (Some(65_536), 65_535, Some(65_535)),
            (Some(5), 65_530, None),
            (Some(0x1_0005), 65_530, Some(65_530)),
            (Some(0x7FFF), 0xFFFF, Some(0xFFFF)),
            (Some(0x7FFE), 0xFFFF, None),
            (Some(0x8000), 0, Some(0)),
            (Some(0x8001), 0, Some(0x1_0000)),
            (Some(INDEX_MAX), 0, None),
            (Some(INDEX_MAX), 65_535, Some(INDEX_MAX)),
        ];
        for &(highest, sequence, expected) in rows {
            assert_eq!(estimate(highest, sequence), expected, "{highest:?} {sequence}");
        }
    }

    #[test]
    fn the_window_accepts_each_index_once_and_refuses_what_fell_out() {
        let mut window = ReplayWindow::default();
        for (index, verdict) in [
            (5_000, Verdict::Fresh),
            (5_000, Verdict::Seen),
            (4_999, Verdict::Fresh),
            (3_977, Verdict::Fresh),
            (3_976, Verdict::Old),
            (6_000, Verdict::Fresh),
            (4_976, Verdict::Old),
            (4_999, Verdict::Seen),
            (5_000, Verdict::Seen),
            (5_001, Verdict::Fresh),
            (1 << 40, Verdict::Fresh),
            (6_000, Verdict::Old),
            ((1 << 40) - 1_023, Verdict::Fresh),
        ] {
            assert_eq!(window.check(index), verdict, "{index}");
            if verdict == Verdict::Fresh {
                window.mark(index);
            }
        }
    }

    #[test]
    fn a_closed_window_accepts_only_what_follows() {
        let mut window = ReplayWindow::default();
        window.close_up_to(900);
        assert_eq!(window.check(900), Verdict::Seen);
        assert_eq!(window.check(0), Verdict::Seen);
        assert_eq!(window.check(901), Verdict::Fresh);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        /// 512 cases of 200 packets: 10^5 judgements against the model.
        #[test]
        fn window_and_model_agree(
            start in 0u64..1 << 20,
            steps in proptest::collection::vec((0u8..20, 0i64..2_100), 200),
        ) {
            let (mut window, mut model, mut at) = (ReplayWindow::default(), Model::default(), start);
            for (kind, step) in steps {
                let index = match kind {
                    0 => at.saturating_add(step as u64 * 40),
                    1..=6 => at.saturating_sub(step as u64),
                    7..=10 => at.saturating_sub(step as u64 % 8),
                    _ => at + step as u64 % 5,
                };
                let verdict = window.check(index);
                prop_assert_eq!(verdict, model.check(index), "{}", index);
                if verdict == Verdict::Fresh {
                    window.mark(index);
                    model.0.insert(index);
                }
                at = at.max(index);
                prop_assert_eq!(window.highest(), model.0.last().copied());
            }
        }

        /// Whenever a packet is within half a span of the highest, its index is found again from 16 bits.
        #[test]
        fn an_index_survives_truncation_within_half_a_span(highest in 0u64..1 << 47, step in -32_768i64..=32_768) {
            if let Some(index) = highest.checked_add_signed(step) {
                let tie = step.unsigned_abs() == 32_768;
                let found = estimate(Some(highest), index as u16);
                prop_assert!(found == Some(index) || tie, "{:?} {}", found, index);
            }
        }
    }
}

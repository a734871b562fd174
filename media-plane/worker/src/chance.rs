//! Where the control thread takes chance from: the system, or, that a simulation can be repeated, a seed.

use aws_lc_rs::rand;

/// A source of random bytes.
#[derive(Debug)]
pub(crate) enum Chance {
    /// The system's generator: what nobody guesses.
    System,
    /// `SplitMix64` from this state: a simulation's, the same again under the same seed.
    Seeded(u64),
}

impl Chance {
    /// Random bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        match self {
            Chance::System => rand::fill(&mut bytes)
                .expect("the system's random generator works or nothing secure can be done"),
            Chance::Seeded(state) => {
                for part in bytes.chunks_mut(8) {
                    part.copy_from_slice(&next(state).to_le_bytes()[..part.len()]);
                }
            }
        }
        bytes
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }
}

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_again_and_the_system_does_not() {
        let draw = |mut chance: Chance| (chance.bytes::<26>(), chance.bits());
        assert_eq!(draw(Chance::Seeded(1)), draw(Chance::Seeded(1)));
        assert_ne!(draw(Chance::Seeded(1)), draw(Chance::Seeded(2)));
        assert_ne!(draw(Chance::System), draw(Chance::System));
    }
}

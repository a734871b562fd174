//! Whole conferences in virtual time: the production turn of the workers, model clients that speak ICE, SRTP and RTCP by
//! the transport crate, and a network with faults, all stepped by one thread from one seed.
//!
//! What a run must not break is checked while it goes and at its end: datagrams are accounted for, streams are
//! continuous, nobody gets what is not his.
#![forbid(unsafe_code)]

pub mod client;
pub mod io;
pub mod link;
pub mod network;
pub mod received;
pub mod video;
pub mod world;

pub use client::{Client, PATIENCE};
pub use link::{Link, LinkSpec};
pub use network::{Direction, Faults};
pub use world::World;

/// Seeded chance (splitmix64): good enough for tests, the same everywhere.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// From a seed.
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound.max(1)
    }

    /// True with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64 <= probability && probability > 0.0
    }
}

//! The most that an endpoint may send (hardening §3.7), as a token bucket of a second.

use contract::Timestamp;

use crate::config::RateLimit;

/// Tokens for packets and bits.
#[derive(Debug)]
pub(crate) struct RateGate {
    limit: RateLimit,
    /// Millionths of a packet.
    packets: u64,
    /// Millionths of a bit.
    bits: u64,
    since: Timestamp,
}

const MILLION: u64 = 1_000_000;

impl RateGate {
    pub(crate) fn new(limit: RateLimit, now: Timestamp) -> RateGate {
        let (packets, bits) = (u64::from(limit.packets) * MILLION, u64::from(limit.bits) * MILLION);
        RateGate { limit, packets, bits, since: now }
    }

    /// Whether a packet of `len` bytes may pass.
    pub(crate) fn admit(&mut self, len: usize, now: Timestamp) -> bool {
        let elapsed = (now.since(self.since).as_micros() as u64).min(MILLION);
        self.since = self.since.max(now);
        let (packets, bits) = (u64::from(self.limit.packets), u64::from(self.limit.bits));
        self.packets = (self.packets + elapsed * packets).min(packets * MILLION);
        self.bits = (self.bits + elapsed * bits).min(bits * MILLION);
        let needed = len as u64 * 8 * MILLION;
        if self.packets < MILLION || self.bits < needed {
            return false;
        }
        self.packets -= MILLION;
        self.bits -= needed;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_packets_and_bits_are_limited_over_a_second() {
        for (len, per_ms, expected) in [(100, 10, 2_000), (1_250, 5, 1_000), (100, 1, 1_000)] {
            let mut gate = RateGate::new(RateLimit { packets: 2_000, bits: 10_000_000 }, Timestamp::ZERO);
            // The first second uses up the bucket, the next ones show the rate.
            let mut passed = [0; 5];
            for ms in 0..5_000u64 {
                for _ in 0..per_ms {
                    let admitted = gate.admit(len, Timestamp::from_millis(ms));
                    passed[ms as usize / 1_000] += u32::from(admitted);
                }
            }
            assert!(passed[1..].iter().all(|passed| passed.abs_diff(expected) <= 2), "{len}: {passed:?}");
        }
    }
}

//! Which provider of AES-GCM (RFC 7714) is the faster one on this processor, by trying.

use core::time::Duration;

use super::provider::{AEAD_TAG_BYTES, Aead, Failed, Provider};

/// What a packet costs to seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Mean of the packets of the quickest round, in nanoseconds, in the order of [`Provider::ALL`].
    pub nanoseconds: [u64; Provider::ALL.len()],
}

impl Measured {
    /// The faster one; the default unless the other is faster by a twentieth at least.
    pub fn faster(&self) -> Provider {
        let [aws_lc, ring] = self.nanoseconds;
        if ring > 0 && ring * 20 < aws_lc * 19 { Provider::Ring } else { Provider::AwsLc }
    }
}

/// Seal some hundreds of packets with each, taking turns, on the calling thread: one or two milliseconds. `elapsed` is
/// a clock with any origin. The quickest round of each counts, as whatever else the machine does only adds to a round.
/// `None`: a provider does not work here.
pub fn measure(mut elapsed: impl FnMut() -> Duration) -> Option<Measured> {
    let mut trials = Vec::new();
    for provider in Provider::ALL {
        trials.push(Trial::new(provider).ok()?);
    }
    let mut quickest = [Duration::MAX; Provider::ALL.len()];
    for _ in 0..ROUNDS {
        for (trial, quickest) in trials.iter_mut().zip(&mut quickest) {
            let began = elapsed();
            trial.round().ok()?;
            *quickest = elapsed().saturating_sub(began).min(*quickest);
        }
    }
    Some(Measured { nanoseconds: quickest.map(|round| round.as_nanos() as u64 / PACKETS_PER_ROUND as u64) })
}

/// Keys of both lengths and what they are tried on.
struct Trial {
    keys: [Aead; 2],
    number: u64,
    payload: [u8; VIDEO_BYTES],
    sealed: Vec<u8>,
}

impl Trial {
    fn new(provider: Provider) -> Result<Trial, Failed> {
        let keys = [Aead::new(provider, &[0x5A; 16])?, Aead::new(provider, &[0xA5; 32])?];
        let sealed = vec![0; VIDEO_BYTES + AEAD_TAG_BYTES];
        Ok(Trial { keys, number: 0, payload: [0x3C; VIDEO_BYTES], sealed })
    }

    fn round(&mut self) -> Result<(), Failed> {
        for at in 0..PACKETS_PER_ROUND {
            let len = if at % VIDEO_PER_AUDIO == 0 { AUDIO_BYTES } else { VIDEO_BYTES };
            let mut nonce = [0; 12];
            nonce[4..].copy_from_slice(&self.number.to_be_bytes());
            self.number += 1;
            let key = &self.keys[at % 2];
            let sealed = &mut self.sealed[..len + AEAD_TAG_BYTES];
            key.seal_from(nonce, &[0; HEADER_BYTES], &self.payload[..len], &[], sealed)?;
        }
        Ok(())
    }
}

/// Rounds of each provider.
const ROUNDS: usize = 12;
/// Packets of one round: some 30 µs, short beside a time slice.
const PACKETS_PER_ROUND: usize = 64;
/// Every so many-th packet is audio.
const VIDEO_PER_AUDIO: usize = 8;
/// Payloads as they are sent, and a header with one extension.
const VIDEO_BYTES: usize = 1_180;
const AUDIO_BYTES: usize = 80;
const HEADER_BYTES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_stays_unless_the_other_is_faster_by_a_twentieth() {
        for (aws_lc, ring, expected) in [
            (450, 300, Provider::Ring),
            (300, 450, Provider::AwsLc),
            (400, 400, Provider::AwsLc),
            (400, 380, Provider::AwsLc),
            (400, 379, Provider::Ring),
            (0, 0, Provider::AwsLc),
        ] {
            assert_eq!(Measured { nanoseconds: [aws_lc, ring] }.faster(), expected, "{aws_lc} {ring}");
        }
    }

    #[test]
    fn the_quickest_round_counts() {
        // Each look at the clock takes a microsecond more than the one before; the first rounds are the quickest.
        let mut looks = 0u32;
        let clock = || {
            looks += 1;
            Duration::from_micros(u64::from(looks * looks)) * PACKETS_PER_ROUND as u32
        };
        let measured = measure(clock).expect("both libraries work");
        assert_eq!(measured.nanoseconds, [3_000, 7_000]);
        assert_eq!(measured.faster(), Provider::AwsLc);
    }
}

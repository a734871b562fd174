//! Of all who make a sound only the loudest few are heard, if so configured: an endless row of open microphones costs every receiver
//! bandwidth and tells nobody anything.

use arrayvec::ArrayVec;
use contract::{Duration, Timestamp};

/// Places at most: beyond, nobody can follow.
pub(crate) const PLACES_MAX: usize = 16;
/// Who was quiet for longer loses the place; the pauses within a sentence are shorter.
const HOLD: Duration = Duration::from_millis(500);
/// Levels of RFC 6464, as 127 less them, up to which a microphone is quiet.
const QUIET: u8 = 47;
/// A newcomer must be louder than the quietest heard by this, in dB, lest two take turns.
const MARGIN: u8 = 3;

/// Who is heard.
#[derive(Debug, Default)]
pub(crate) struct Loudest(ArrayVec<Heard, PLACES_MAX>);

#[derive(Clone, Copy, Debug)]
struct Heard {
    source: u16,
    /// 127 less the level; rises at once and falls slowly.
    loudness: u8,
    /// When it was last not quiet.
    loud: Timestamp,
}

impl Loudest {
    /// Whether a packet of `source` with this level (0 is the loudest, RFC 6464) is heard, with so many places. A voice that rises takes its
    /// place with its first packet.
    pub(crate) fn admit(&mut self, source: u16, level: u8, places: usize, now: Timestamp) -> bool {
        let loudness = 127u8.saturating_sub(level);
        let is_loud = loudness > QUIET;
        self.0.retain(|heard| heard.source == source || now.since(heard.loud) < HOLD);
        if let Some(at) = self.0.iter().position(|heard| heard.source == source) {
            let own = &mut self.0[at];
            own.loudness = loudness.max(((3 * u16::from(own.loudness) + u16::from(loudness)) / 4) as u8);
            own.loud = if is_loud { now } else { own.loud };
            if now.since(own.loud) >= HOLD {
                self.0.swap_remove(at);
                return false;
            }
            return true;
        }
        let fresh = Heard { source, loudness, loud: now };
        if !is_loud {
            return false;
        }
        if self.0.len() < places.min(PLACES_MAX) {
            self.0.push(fresh);
            return true;
        }
        let quietest = self.0.iter_mut().min_by_key(|heard| heard.loudness);
        let Some(quietest) = quietest.filter(|heard| loudness > heard.loudness.saturating_add(MARGIN)) else {
            return false;
        };
        *quietest = fresh;
        true
    }

    /// A source is gone.
    pub(crate) fn forget(&mut self, source: u16) {
        self.0.retain(|heard| heard.source != source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets each 20 ms of sources at these levels; who is heard in the last round.
    fn rounds(loudest: &mut Loudest, from: &mut u64, count: usize, levels: &[(u16, u8)]) -> Vec<u16> {
        let mut heard = Vec::new();
        for _ in 0..count {
            *from += 20;
            heard.clear();
            let admitted = |(source, level): &(u16, u8)| {
                loudest.admit(*source, *level, 2, Timestamp::from_millis(*from)).then_some(*source)
            };
            heard.extend(levels.iter().filter_map(admitted));
        }
        heard
    }

    #[test]
    fn the_loudest_are_heard_and_a_voice_that_rises_at_once() {
        let (mut loudest, mut at) = (Loudest::default(), 0);
        assert_eq!(rounds(&mut loudest, &mut at, 1, &[(1, 30), (2, 40), (3, 50)]), [1, 2]);
        assert_eq!(
            rounds(&mut loudest, &mut at, 50, &[(1, 30), (2, 40), (3, 39)]),
            [1, 2],
            "not by so little"
        );
        assert_eq!(
            rounds(&mut loudest, &mut at, 1, &[(1, 30), (2, 40), (3, 20)]),
            [1, 2, 3],
            "the second was heard before"
        );
        assert_eq!(rounds(&mut loudest, &mut at, 1, &[(1, 30), (2, 40), (3, 20)]), [1, 3]);
    }

    #[test]
    fn a_pause_keeps_the_place_and_silence_gives_it_up() {
        let (mut loudest, mut at) = (Loudest::default(), 0);
        rounds(&mut loudest, &mut at, 5, &[(1, 30), (2, 30)]);
        assert_eq!(rounds(&mut loudest, &mut at, 20, &[(1, 90), (2, 30)]), [1, 2]);
        assert_eq!(rounds(&mut loudest, &mut at, 10, &[(1, 90), (2, 30)]), [2]);
        assert_eq!(rounds(&mut loudest, &mut at, 1, &[(1, 90), (2, 30), (3, 60)]), [2, 3]);
    }

    #[test]
    fn whoever_is_always_loud_takes_one_place_and_no_more() {
        let (mut loudest, mut at) = (Loudest::default(), 0);
        let heard = rounds(&mut loudest, &mut at, 500, &[(9, 0), (1, 60)]);
        assert_eq!(heard, [9, 1]);
    }
}

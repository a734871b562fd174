//! Who speaks: dominant speaker identification after Volfin and Cohen, on the audio levels of RFC 6464.
//!
//! Speech activity is scored over three lengths of time; whoever beats the dominant speaker on all three takes over. Levels are
//! claims of the senders: the noise floor of each and the time between decisions bound what a false one can do.

use contract::{Duration, Timestamp};

/// Levels kept of a speaker, newest first: a second of 20 ms packets.
const LEVELS: usize = 50;

/// Level step of an immediate.
const SUBUNIT: u8 = 10;

/// Levels per immediate score, immediates per medium, mediums per long.
const N1: usize = 13;
const N2: usize = 5;
const N3: usize = 10;

/// An immediate counts for its medium above this, a medium for its long above that.
const MEDIUM_THRESHOLD: u8 = 7;
const LONG_THRESHOLD: u8 = 4;

/// What the logarithms of the ratios of scores must exceed.
const C1: f64 = 3.0;
const C2: f64 = 2.0;
const C3: f64 = 0.0;

const P: f64 = 0.5;
const LAMBDA_IMMEDIATE: f64 = 0.78;
const LAMBDA_MEDIUM: f64 = 24.0;
const LAMBDA_LONG: f64 = 47.0;
const SCORE_MIN: f64 = 1e-10;

/// Time between decisions, and so between changes.
const DECISION_INTERVAL: Duration = Duration::from_millis(300);

/// A speaker without packets for so long counts as silent, again for each further such time.
const IDLE_US: u64 = 40_000;

/// Without any level for so long no decisions are taken.
const SLEEP: Duration = Duration::from_secs(15);

/// A speaker who is not dominant is forgotten after so long.
const FORGET: Duration = Duration::from_secs(3_600);

/// Non-zero levels over which the noise floor may rise: 15 s.
const FLOOR_WINDOW: u16 = 750;

/// A level less than so much above the floor is noise.
const FLOOR_MARGIN: u8 = 10;

/// The level of RFC 6464 that stands for silence.
const SILENCE: u8 = 127;

/// What is remembered of one speaker.
#[derive(Clone, Debug)]
pub(crate) struct Speaker {
    /// Newest first; 0 = silence.
    levels: [u8; LEVELS],
    floor: u8,
    window_min: u8,
    window_count: u16,
    /// When a level came last.
    last: Option<Timestamp>,
    /// Up to when silence was filled in.
    filled: Timestamp,
}

impl Default for Speaker {
    fn default() -> Self {
        Speaker {
            levels: [0; LEVELS],
            floor: 0,
            window_min: 0,
            window_count: 0,
            last: None,
            filled: Timestamp::ZERO,
        }
    }
}

impl Speaker {
    /// A level as in RFC 6464, 0 = loudest, 127 = silence.
    pub(crate) fn note(&mut self, level: u8, now: Timestamp) {
        self.fill(now);
        let level = SILENCE - level.min(SILENCE);
        self.learn_floor(level);
        let audible = level >= self.floor.saturating_add(FLOOR_MARGIN);
        self.push(if audible { level } else { 0 });
        self.last = Some(now);
        self.filled = now;
    }

    /// Whether the speaker was heard of lately.
    fn is_known(&self, now: Timestamp) -> bool {
        self.last.is_some_and(|last| now.since(last) < FORGET)
    }

    fn push(&mut self, level: u8) {
        self.levels.copy_within(..LEVELS - 1, 1);
        self.levels[0] = level;
    }

    /// Silence for the time without packets.
    fn fill(&mut self, now: Timestamp) {
        if self.last.is_none() {
            return;
        }
        let missing = now.since(self.filled).as_micros() as u64 / IDLE_US;
        for _ in 0..missing.min(LEVELS as u64) {
            self.push(0);
        }
        self.filled = self.filled.after(Duration::from_micros(missing * IDLE_US));
    }

    /// The floor falls at once and rises slowly.
    fn learn_floor(&mut self, level: u8) {
        if level == 0 {
            return;
        }
        if self.floor == 0 || level < self.floor {
            self.floor = level;
            self.window_min = 0;
            self.window_count = 0;
            return;
        }
        self.window_min = if self.window_min == 0 { level } else { self.window_min.min(level) };
        self.window_count += 1;
        if self.window_count == FLOOR_WINDOW {
            self.floor = (f64::from(self.floor) * f64::from(self.window_min)).sqrt() as u8;
            self.window_min = 0;
            self.window_count = 0;
        }
    }

    fn scores(&self, table: &Table) -> [f64; 3] {
        let immediate = (self.levels[0] / SUBUNIT) as usize;
        let medium = |group: &[u8]| group.iter().filter(|level| **level / SUBUNIT > MEDIUM_THRESHOLD).count();
        let newest = self.levels.first_chunk::<N2>().map_or(0, |group| medium(group));
        let long = self.levels.chunks(N2).filter(|group| medium(group) > usize::from(LONG_THRESHOLD)).count();
        [table.immediate[immediate.min(N1)], table.medium[newest.min(N2)], table.long[long.min(N3)]]
    }
}

/// Scores by count, computed once.
#[derive(Clone, Debug)]
struct Table {
    immediate: [f64; N1 + 1],
    medium: [f64; N2 + 1],
    long: [f64; N3 + 1],
}

impl Table {
    fn new() -> Table {
        Table {
            immediate: core::array::from_fn(|active| score(active, N1, LAMBDA_IMMEDIATE)),
            medium: core::array::from_fn(|active| score(active, N2, LAMBDA_MEDIUM)),
            long: core::array::from_fn(|active| score(active, N3, LAMBDA_LONG)),
        }
    }
}

/// The logarithm of the likelihood ratio of speech, `active` of `total` units being active.
fn score(active: usize, total: usize, lambda: f64) -> f64 {
    let ways: f64 = (1..=active).map(|k| ((total - active + k) as f64 / k as f64).ln()).sum();
    let (v, n) = (active as f64, total as f64);
    (ways + v * P.ln() + (n - v) * (1.0 - P).ln() - lambda.ln() + lambda * v).max(SCORE_MIN)
}

/// The detector of one conference. Speakers are kept by the caller and named by its own index.
#[derive(Clone, Debug)]
pub(crate) struct Speech {
    dominant: Option<u16>,
    next: Timestamp,
    last_level: Timestamp,
    table: Table,
}

impl Speech {
    pub(crate) fn new() -> Speech {
        Speech { dominant: None, next: Timestamp::NEVER, last_level: Timestamp::ZERO, table: Table::new() }
    }

    /// Who is dominant.
    pub(crate) fn dominant(&self) -> Option<u16> {
        self.dominant
    }

    /// When [`Speech::decide`] is due.
    pub(crate) fn timeout(&self) -> Timestamp {
        self.next
    }

    /// Some speaker's level came in.
    pub(crate) fn wake(&mut self, now: Timestamp) {
        self.last_level = now;
        if self.next == Timestamp::NEVER {
            self.next = now.after(DECISION_INTERVAL);
        }
    }

    /// A speaker is gone.
    pub(crate) fn forget(&mut self, speaker: u16) {
        if self.dominant == Some(speaker) {
            self.dominant = None;
        }
    }

    /// Compare the speakers. Returns whether another is dominant now.
    pub(crate) fn decide<'a>(
        &mut self,
        now: Timestamp,
        speakers: impl Iterator<Item = (u16, &'a mut Speaker)>,
    ) -> bool {
        let asleep = now.since(self.last_level) > SLEEP;
        self.next = if asleep { Timestamp::NEVER } else { now.after(DECISION_INTERVAL) };
        let before = self.dominant;
        // One pass: whoever is dominant may come last, so the best by medium score is kept for each way of comparing.
        let mut reference = None;
        let mut best: [Option<(u16, [f64; 3])>; CANDIDATES_MAX] = [None; CANDIDATES_MAX];
        for (index, speaker) in speakers {
            if !speaker.is_known(now) && self.dominant != Some(index) {
                continue;
            }
            speaker.fill(now);
            let scores = speaker.scores(&self.table);
            if self.dominant.unwrap_or(index) == index && reference.is_none() {
                self.dominant = Some(index);
                reference = Some(scores);
                continue;
            }
            keep_best(&mut best, index, scores);
        }
        let Some(reference) = reference else { return before != self.dominant };
        let ratio = |scores: &[f64; 3], at: usize| (scores[at] / reference[at]).ln();
        let winner = best
            .iter()
            .flatten()
            .filter(|(_, scores)| ratio(scores, 0) > C1 && ratio(scores, 1) > C2 && ratio(scores, 2) > C3)
            .max_by(|a, b| a.1[1].total_cmp(&b.1[1]));
        if let Some((index, _)) = winner {
            self.dominant = Some(*index);
        }
        before != self.dominant
    }
}

/// Candidates kept for comparison: those that score highest in the medium term. Few people speak at once.
const CANDIDATES_MAX: usize = 16;

fn keep_best(best: &mut [Option<(u16, [f64; 3])>], index: u16, scores: [f64; 3]) {
    let poorest = best.iter_mut().min_by(|a, b| {
        let key = |entry: &Option<(u16, [f64; 3])>| entry.map_or(-1.0, |(_, scores)| scores[1]);
        key(a).total_cmp(&key(b))
    });
    if let Some(slot) = poorest
        && slot.is_none_or(|(_, held)| held[1] < scores[1])
    {
        *slot = Some((index, scores));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Speakers fed by a script: (speaker, from ms, to ms, level as in RFC 6464), a packet each 20 ms. Returns the changes.
    fn play(count: usize, until: u64, script: &[(usize, u64, u64, u8)]) -> Vec<(u64, Option<u16>)> {
        let mut speech = Speech::new();
        let mut speakers = vec![Speaker::default(); count];
        let mut changes = Vec::new();
        for ms in (0..until).step_by(20) {
            let now = Timestamp::from_millis(ms);
            for (who, from, to, level) in script {
                if (*from..*to).contains(&ms) {
                    // Speech is uneven.
                    let wobble = (ms / 20 % 3) as u8;
                    speakers[*who].note(level.saturating_add(wobble), now);
                    speech.wake(now);
                }
            }
            if speech.timeout() <= now {
                let each = speakers.iter_mut().enumerate().map(|(at, speaker)| (at as u16, speaker));
                if speech.decide(now, each) {
                    changes.push((ms, speech.dominant()));
                }
            }
        }
        changes
    }

    /// Background noise far below speech.
    const NOISE: u8 = 90;
    const LOUD: u8 = 30;

    #[test]
    fn the_only_one_heard_is_dominant() {
        assert_eq!(play(3, 1_000, &[(1, 0, 1_000, NOISE)]), [(300, Some(1))]);
    }

    #[test]
    fn who_goes_on_speaking_takes_over_and_keeps_it() {
        let script =
            [(0, 0, 6_000, NOISE), (1, 0, 1_000, NOISE), (1, 1_000, 4_000, LOUD), (1, 4_000, 6_000, NOISE)];
        let changes = play(2, 6_000, &script);
        assert_eq!(changes.len(), 2, "{changes:?}");
        assert_eq!(changes[1].1, Some(1));
        assert!((1_100..1_800).contains(&changes[1].0), "{changes:?}");
    }

    #[test]
    fn a_cough_does_not_take_over() {
        let script = [
            (0, 0, 500, NOISE),
            (0, 500, 5_000, LOUD),
            (1, 0, 2_000, NOISE),
            (1, 2_000, 2_060, LOUD),
            (1, 2_060, 5_000, NOISE),
        ];
        let changes = play(2, 5_000, &script);
        assert_eq!(changes.last().map(|change| change.1), Some(Some(0)), "{changes:?}");
        assert_eq!(changes.len(), 1);
    }

    #[test]
    fn a_claim_of_constant_loudness_is_its_own_noise_floor() {
        let mut speaker = Speaker::default();
        for ms in (0..2_000).step_by(20) {
            speaker.note(0, Timestamp::from_millis(ms));
        }
        assert_eq!(speaker.levels, [0; LEVELS]);
    }

    #[test]
    fn changes_are_at_least_a_decision_apart() {
        let mut script = Vec::new();
        for turn in 0..40u64 {
            let (from, to) = (1_000 + turn * 250, 1_250 + turn * 250);
            script.push((turn as usize % 2, from, to, 10));
            script.push((1 - turn as usize % 2, from, to, NOISE));
        }
        script.push((0, 0, 1_000, NOISE));
        script.push((1, 0, 1_000, NOISE));
        let changes = play(2, 11_000, &script);
        assert!(changes.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 300), "{changes:?}");
    }

    #[test]
    fn decisions_stop_when_nothing_is_heard() {
        let mut speech = Speech::new();
        let mut speaker = Speaker::default();
        speaker.note(LOUD, Timestamp::ZERO);
        speech.wake(Timestamp::ZERO);
        assert_eq!(speech.timeout(), Timestamp::from_millis(300));
        speech.decide(Timestamp::from_millis(300), [(0, &mut speaker)].into_iter());
        speech.decide(Timestamp::from_millis(16_000), [(0, &mut speaker)].into_iter());
        assert_eq!(speech.timeout(), Timestamp::NEVER);
    }

    #[test]
    fn scores_rise_with_activity() {
        let table = Table::new();
        // Immediates of loud speech lie around the middle; the formula falls off beyond.
        assert!(table.immediate[..10].windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(table.medium.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(table.long.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(table.long[0], SCORE_MIN);
    }
}

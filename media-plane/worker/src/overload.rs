//! The ladder of the box: how busy a worker is, and what its conferences give up for it.

use conference::Shedding;
use contract::{DropReason, Duration, Metric, Timestamp};

use crate::worker::Worker;

/// From this share of its time on a worker is too busy: turns begin to wait for each other.
const BUSY: f64 = 0.9;
/// Below this share what was given up comes back.
const EASY: f64 = 0.7;
/// A step up the ladder is followed by the next one not before this, as rates need a second to show it.
const CLIMB: Duration = Duration::from_millis(1_500);
/// So long it must be easy before a step down: twice as long each time that it had to climb again soon.
const DESCEND: Duration = Duration::from_secs(5);
const DESCEND_MAX: Duration = Duration::from_secs(60);
/// Climbing again within this time after a step down.
const SOON: Duration = Duration::from_secs(20);

/// What a worker counted in all so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Microseconds spent in turns.
    pub(crate) turn_us: u64,
    /// Packets lost for want of slots and room in rings.
    pub(crate) lost: u64,
}

/// Where a worker stands.
#[derive(Debug)]
pub(crate) struct Ladder {
    pub(crate) step: Shedding,
    before: Load,
    looked: Timestamp,
    climbed: Timestamp,
    descended: Option<Timestamp>,
    easy_since: Timestamp,
    patience: Duration,
}

impl Ladder {
    pub(crate) fn new() -> Ladder {
        Ladder {
            step: Shedding::Nothing,
            before: Load::default(),
            looked: Timestamp::ZERO,
            climbed: Timestamp::ZERO,
            descended: None,
            easy_since: Timestamp::ZERO,
            patience: DESCEND,
        }
    }

    /// Look at what was counted since the last look; whether the step changed.
    pub(crate) fn look(&mut self, load: Load, now: Timestamp) -> bool {
        let elapsed = now.since(self.looked).as_micros() as f64;
        let busy = load.turn_us.saturating_sub(self.before.turn_us) as f64 / elapsed.max(1.0);
        let lost = load.lost.saturating_sub(self.before.lost);
        (self.before, self.looked) = (load, now);
        let former = self.step;
        if busy > BUSY || lost > 0 {
            self.easy_since = now;
            if now.since(self.climbed) >= CLIMB || former == Shedding::Nothing {
                let again = self.descended.is_some_and(|at| now.since(at) < SOON);
                self.patience = if again { (self.patience * 2).min(DESCEND_MAX) } else { self.patience };
                (self.step, self.climbed, self.descended) = (former.more(), now, None);
            }
        } else if busy > EASY {
            self.easy_since = now;
        } else if now.since(self.easy_since) >= self.patience {
            (self.step, self.descended, self.easy_since) = (former.less(), Some(now), now);
            if self.step == Shedding::Nothing && former == Shedding::Nothing {
                self.patience = DESCEND;
            }
        }
        self.step != former
    }
}

impl Worker {
    /// Twice a second: is it too much, and what follows.
    pub(crate) fn mind_load(&mut self, now: Timestamp) {
        let statistics = &self.statistics;
        let load = Load {
            turn_us: statistics.counter(Metric::TurnMicroseconds),
            lost: statistics.counter(Metric::PacketsLostToMesh)
                + statistics.dropped(DropReason::NoSlot)
                + statistics.dropped(DropReason::MeshFull),
        };
        if self.ladder.look(load, now) {
            self.statistics.count(Metric::SheddingChanges);
            for number in 0..self.rooms.len() {
                if let Some(room) = &mut self.rooms[number] {
                    room.conference.set_shedding(self.ladder.step, now);
                }
                self.note_deadline_of_room(number as u32);
            }
        }
        self.statistics.shedding = self.ladder.step as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of load, as share of the time and packets lost each half second; the steps at their ends.
    fn run(ladder: &mut Ladder, at: &mut u64, load: &mut Load, seconds: u64, busy: f64, lost: u64) -> usize {
        for _ in 0..seconds * 2 {
            *at += 500;
            load.turn_us += (busy * 500_000.0) as u64;
            load.lost += lost;
            ladder.look(*load, Timestamp::from_millis(*at));
        }
        ladder.step as usize
    }

    #[test]
    fn load_climbs_the_ladder_and_ease_comes_down_again() {
        let (mut ladder, mut at, mut load) = (Ladder::new(), 0, Load::default());
        let mut step = |seconds, busy, lost| run(&mut ladder, &mut at, &mut load, seconds, busy, lost);
        assert_eq!(step(10, 0.6, 0), 0);
        assert_eq!(step(1, 0.95, 0), 1);
        assert_eq!(step(3, 0.95, 0), 3);
        assert_eq!(step(10, 0.8, 0), 3, "neither too much nor easy");
        assert_eq!(step(20, 0.99, 0), 5, "the last one");
        assert_eq!(step(60, 0.3, 0), 0);
    }

    #[test]
    fn packets_lost_are_stress_however_idle_the_worker_seems() {
        let (mut ladder, mut at, mut load) = (Ladder::new(), 0, Load::default());
        assert_eq!(run(&mut ladder, &mut at, &mut load, 2, 0.2, 7), 2);
    }

    #[test]
    fn what_does_not_bear_to_come_back_is_tried_less_and_less_often() {
        let (mut ladder, mut at, mut load) = (Ladder::new(), 0, Load::default());
        let mut changes = [0usize; 2];
        for in_minute in &mut changes {
            let mut before = ladder.step;
            for _ in 0..120 {
                // With nothing given up it is too much, with one step it is easy.
                let busy = if ladder.step == Shedding::Nothing { 0.95 } else { 0.5 };
                at += 500;
                load.turn_us += (busy * 500_000.0) as u64;
                ladder.look(load, Timestamp::from_millis(at));
                *in_minute += usize::from(std::mem::replace(&mut before, ladder.step) != ladder.step);
            }
        }
        assert!(changes[1] < changes[0] && changes[1] <= 4, "{changes:?}");
    }
}

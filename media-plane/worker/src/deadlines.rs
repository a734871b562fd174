//! When each of many wants to be called, so that a turn in which nothing is due asks one number, not all of them.
//!
//! Exact times in a dense array, and a lower bound for each block of it: setting a time lowers the bound of its block
//! or leaves it, and only a look that finds the bound too low makes it exact again. No upkeep per packet but a
//! comparison, no allocation after construction.

use contract::Timestamp;

/// Times by number, from 0 to a capacity fixed at construction.
#[derive(Debug)]
pub(crate) struct Deadlines {
    times: Vec<Timestamp>,
    /// No time of a block is earlier.
    bounds: Vec<Timestamp>,
    /// No bound is earlier.
    earliest: Timestamp,
}

impl Deadlines {
    /// So many that do not want to be called.
    pub(crate) fn new(count: usize) -> Deadlines {
        Deadlines {
            times: vec![Timestamp::NEVER; count],
            bounds: vec![Timestamp::NEVER; count.div_ceil(BLOCK)],
            earliest: Timestamp::NEVER,
        }
    }

    /// `number` wants to be called at `time`. Numbers beyond the capacity are ignored.
    #[inline]
    pub(crate) fn set(&mut self, number: u32, time: Timestamp) {
        let number = number as usize;
        if let (Some(place), Some(bound)) = (self.times.get_mut(number), self.bounds.get_mut(number / BLOCK))
        {
            *place = time;
            *bound = time.min(*bound);
            self.earliest = time.min(self.earliest);
        }
    }

    /// `number` wants to be called at `time` or when it wanted before, whichever comes first.
    #[inline]
    pub(crate) fn bring_forward(&mut self, number: u32, time: Timestamp) {
        if time < self.get(number) {
            self.set(number, time);
        }
    }

    /// When `number` wants to be called.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Timestamp {
        self.times.get(number as usize).copied().unwrap_or(Timestamp::NEVER)
    }

    /// The first number from `from` on that wanted to be called by `now`. To visit all that are due once, begin with 0 and
    /// go on behind each.
    pub(crate) fn due(&mut self, from: u32, now: Timestamp) -> Option<u32> {
        if self.earliest > now {
            return None;
        }
        let from = from as usize;
        for block in from / BLOCK..self.bounds.len() {
            if self.bounds[block] > now {
                continue;
            }
            let begin = block * BLOCK;
            let times = &self.times[begin..self.times.len().min(begin + BLOCK)];
            let seen = from.saturating_sub(begin).min(times.len());
            if let Some(at) = times[seen..].iter().position(|time| *time <= now) {
                return Some((begin + seen + at) as u32);
            }
            self.bounds[block] = times.iter().copied().min().unwrap_or(Timestamp::NEVER);
        }
        self.earliest = self.bounds.iter().copied().min().unwrap_or(Timestamp::NEVER);
        None
    }

    /// The earliest of all times, exactly.
    pub(crate) fn next(&self) -> Timestamp {
        let mut next = Timestamp::NEVER;
        for (times, bound) in self.times.chunks(BLOCK).zip(&self.bounds) {
            if *bound < next {
                next = times.iter().copied().fold(next, Timestamp::min);
            }
        }
        next
    }
}

/// Times under one bound: eight cache lines.
const BLOCK: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn visit(deadlines: &mut Deadlines, now: Timestamp) -> Vec<u32> {
        let mut due = Vec::new();
        let mut from = 0;
        while let Some(number) = deadlines.due(from, now) {
            due.push(number);
            from = number + 1;
        }
        due
    }

    #[test]
    fn one_that_is_due_again_at_once_is_visited_once_a_turn() {
        let mut deadlines = Deadlines::new(100);
        deadlines.set(70, Timestamp::from_millis(1));
        deadlines.set(100, Timestamp::ZERO);
        for now in 1..4 {
            assert_eq!(visit(&mut deadlines, Timestamp::from_millis(now)), [70]);
        }
        deadlines.set(70, Timestamp::NEVER);
        assert_eq!(visit(&mut deadlines, Timestamp::from_millis(9)), []);
        assert_eq!(deadlines.next(), Timestamp::NEVER);
    }

    proptest! {
        #[test]
        fn every_deadline_is_met_whatever_is_moved(
            steps in proptest::collection::vec((0u32..300, 0u64..50, 0u64..3), 1..200),
        ) {
            let mut deadlines = Deadlines::new(300);
            let mut model = vec![Timestamp::NEVER; 300];
            let mut now = 0;
            for (number, ahead, passed) in steps {
                let time = if ahead == 0 { Timestamp::NEVER } else { Timestamp::from_millis(now + ahead) };
                deadlines.set(number, time);
                model[number as usize] = time;
                now += passed;
                prop_assert_eq!(deadlines.next(), model.iter().copied().min().unwrap());
                let due: Vec<u32> =
                    (0..300).filter(|at| model[*at as usize] <= Timestamp::from_millis(now)).collect();
                prop_assert_eq!(visit(&mut deadlines, Timestamp::from_millis(now)), due.clone());
                for number in due {
                    prop_assert!(deadlines.get(number) <= Timestamp::from_millis(now));
                    deadlines.set(number, Timestamp::from_millis(now + 7));
                    model[number as usize] = Timestamp::from_millis(now + 7);
                }
            }
        }
    }
}

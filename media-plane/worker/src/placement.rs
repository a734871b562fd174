//! Which worker an endpoint lives on, and the numbers of the seats there.
//!
//! A conference stays on one worker until it outgrows it, so that its packets cross no core; then its further
//! endpoints go to the emptiest of the others.

use contract::WorkerId;

/// Seats of one worker; the seat number has 20 bits in the user fragment, memory gives out much earlier.
pub(crate) const SEATS_PER_WORKER: u32 = 8_192;

/// Free seats and loads, by worker.
#[derive(Debug)]
pub(crate) struct Placement {
    workers: Vec<Occupancy>,
    spread_after: usize,
}

#[derive(Debug)]
struct Occupancy {
    free: Vec<u32>,
    /// The first seat number never given out.
    fresh: u32,
    seated: usize,
}

impl Placement {
    pub(crate) fn new(workers: usize, spread_after: usize) -> Placement {
        let workers = (0..workers).map(|_| Occupancy { free: Vec::new(), fresh: 0, seated: 0 }).collect();
        Placement { workers, spread_after: spread_after.max(1) }
    }

    /// A seat for one more endpoint of a conference that has `present[worker]` endpoints on each worker. `None`: the
    /// process is full.
    pub(crate) fn place(&mut self, present: &[usize]) -> Option<(WorkerId, u32)> {
        let roomy = |worker: &usize| self.workers[*worker].has_room();
        let all = 0..self.workers.len();
        let home =
            all.clone().filter(roomy).filter(|worker| (1..self.spread_after).contains(&present[*worker]));
        let chosen = home.min_by_key(|worker| present[*worker]).or_else(|| {
            all.filter(roomy).min_by_key(|worker| (present[*worker], self.workers[*worker].seated))
        })?;
        Some((WorkerId(chosen as u16), self.workers[chosen].take()))
    }

    /// A seat is empty again.
    pub(crate) fn vacate(&mut self, worker: WorkerId, seat: u32) {
        if let Some(worker) = self.workers.get_mut(usize::from(worker.0)) {
            worker.free.push(seat);
            worker.seated -= 1;
        }
    }
}

impl Occupancy {
    fn has_room(&self) -> bool {
        !self.free.is_empty() || self.fresh < SEATS_PER_WORKER
    }

    fn take(&mut self) -> u32 {
        self.seated += 1;
        self.free.pop().unwrap_or_else(|| {
            self.fresh += 1;
            self.fresh - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conference_stays_together_until_it_outgrows_its_worker() {
        let mut placement = Placement::new(2, 3);
        let mut present = [0, 0];
        let mut placed = Vec::new();
        for _ in 0..6 {
            let (worker, _) = placement.place(&present).expect("room");
            present[usize::from(worker.0)] += 1;
            placed.push(worker.0);
        }
        assert_eq!(placed, [0, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn conferences_go_to_the_emptiest_worker() {
        let mut placement = Placement::new(3, 50);
        let workers: Vec<u16> = (0..3).map(|_| placement.place(&[0, 0, 0]).expect("room").0.0).collect();
        assert_eq!(workers, [0, 1, 2]);
    }

    #[test]
    fn seats_are_used_again_and_end() {
        let mut placement = Placement::new(1, 1);
        for number in 0..SEATS_PER_WORKER {
            assert_eq!(placement.place(&[0]), Some((WorkerId(0), number)));
        }
        assert_eq!(placement.place(&[0]), None);
        placement.vacate(WorkerId(0), 17);
        assert_eq!(placement.place(&[0]), Some((WorkerId(0), 17)));
    }
}

//! Measuring: CPU time of this thread, in short rounds that alternate between what is compared.

use nix::time::{ClockId, clock_gettime};

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Times that everything has its turn, after one that does not count.
    pub rounds: usize,
    /// CPU time of one round of one thing.
    pub nanoseconds: u64,
    /// Instead, so many passes in each round: for counting instructions.
    pub passes: Option<usize>,
}

impl Effort {
    /// To see that it runs.
    pub const QUICK: Effort = Effort { rounds: 3, nanoseconds: 15_000_000, passes: None };
    /// To be quoted.
    pub const FULL: Effort = Effort { rounds: 9, nanoseconds: 60_000_000, passes: None };
}

/// Something to be measured: a batch, again and again.
pub trait Workload {
    /// What it is called in the table.
    fn name(&self) -> String;
    /// Take one batch through; the datagrams sent and the CPU time that counts, in nanoseconds. `Err`: the work was not
    /// done as it should, so its time means nothing.
    fn pass(&mut self) -> Result<(u64, u64), String>;
    /// Datagrams in one send operation so far, if that is counted.
    fn per_send(&self) -> Option<f64> {
        None
    }
}

/// Nanoseconds of CPU per datagram sent, over rounds.
#[derive(Clone, Debug)]
pub struct Cost {
    /// Of what.
    pub name: String,
    /// The round in the middle.
    pub median: f64,
    /// The cheapest round.
    pub least: f64,
    /// The dearest round.
    pub most: f64,
    /// Datagrams in one send operation, if that is counted.
    pub per_send: Option<f64>,
    /// Datagrams sent in the rounds that count.
    pub sent: u64,
}

/// CPU time of the calling thread, in nanoseconds.
pub fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has this clock");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// What two readings of the clock cost, to be taken off each section.
pub fn clock_cost() -> u64 {
    let mut costs: Vec<u64> = (0..1_001)
        .map(|_| {
            let began = thread_time();
            thread_time() - began
        })
        .collect();
    costs.sort_unstable();
    costs[costs.len() / 2]
}

/// Measure everything in alternation.
pub fn measure(workloads: &mut [Box<dyn Workload>], effort: Effort) -> Result<Vec<Cost>, String> {
    let clock = clock_cost();
    let mut figures: Vec<Vec<f64>> = workloads.iter().map(|_| Vec::new()).collect();
    let mut totals = vec![0; workloads.len()];
    for round in 0..=effort.rounds {
        for ((workload, figures), total) in workloads.iter_mut().zip(&mut figures).zip(&mut totals) {
            let (mut sent, mut spent, mut passes) = (0, 0, 0);
            while effort.passes.map_or(spent < effort.nanoseconds, |most| passes < most) {
                passes += 1;
                let (datagrams, nanoseconds) =
                    workload.pass().map_err(|error| format!("{}: {error}", workload.name()))?;
                sent += datagrams;
                spent += nanoseconds.saturating_sub(clock);
            }
            // The first round warms up caches, pools and branch predictors.
            if round > 0 || effort.rounds == 0 {
                figures.push(spent as f64 / sent as f64);
                *total += sent;
            }
        }
    }
    let cost = |((workload, mut rounds), sent): ((&mut Box<dyn Workload>, Vec<f64>), u64)| {
        rounds.sort_unstable_by(f64::total_cmp);
        Cost {
            name: workload.name(),
            median: rounds[rounds.len() / 2],
            least: rounds[0],
            most: rounds[rounds.len() - 1],
            per_send: workload.per_send(),
            sent,
        }
    };
    Ok(workloads.iter_mut().zip(figures).zip(totals).map(cost).collect())
}

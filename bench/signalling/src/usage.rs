//! CPU time of a process by its threads, and its memory, as `/proc` tells them (proc(5)).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

/// What the kernel knows of a process.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// CPU time of all threads together, those that ended included.
    pub cpu: Duration,
    /// CPU time of the threads that live, by name without a number at its end.
    pub threads: BTreeMap<String, Duration>,
    /// Resident bytes.
    pub memory: u64,
}

impl Usage {
    /// CPU time of the threads called `name`.
    pub fn of(&self, name: &str) -> Duration {
        self.threads.get(name).copied().unwrap_or_default()
    }

    /// CPU time by thread since `before`.
    pub fn since(&self, before: &Usage) -> BTreeMap<String, Duration> {
        let threads = self.threads.iter();
        threads.map(|(name, cpu)| (name.clone(), cpu.saturating_sub(before.of(name)))).collect()
    }
}

/// What the kernel knows of the process `pid` now.
///
/// # Errors
/// When there is no such process.
pub fn usage(pid: u32) -> Result<Usage> {
    let mut threads = BTreeMap::<String, Duration>::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = thread?.path();
        // A thread may end between two looks.
        let Ok(name) = std::fs::read_to_string(path.join("comm")) else { continue };
        let Ok(cpu) = cpu_time(&path.join("stat").to_string_lossy()) else { continue };
        let name = name.trim().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
        *threads.entry(name.to_owned()).or_default() += cpu;
    }
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let resident: u64 = pages.split(' ').nth(1).context("statm")?.parse()?;
    Ok(Usage { cpu: cpu_time(&format!("/proc/{pid}/stat"))?, threads, memory: resident * PAGE_BYTES })
}

/// `utime` and `stime` of a `stat` file.
fn cpu_time(path: &str) -> Result<Duration> {
    let text = std::fs::read_to_string(path).with_context(|| path.to_owned())?;
    let (_, rest) = text.rsplit_once(')').context("stat")?;
    let fields: Vec<u64> = rest.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
    let ticks: u64 = fields.iter().skip(11).take(2).sum();
    Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// Of Linux on all our architectures.
const TICKS_PER_SECOND: u64 = 100;
const PAGE_BYTES: u64 = 4_096;

//! The process under load, by its id or by the port that it listens on: CPU, memory, and what the kernel does for it.

use std::fs;
use std::net::IpAddr;

/// A process on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerProcess {
    /// Its id.
    pub pid: u32,
}

/// Usage so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// User and system time of all its threads, seconds.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Time that all cores of the machine spent in softirq outside of processes, seconds.
    pub softirq_seconds: f64,
}

impl ServerProcess {
    /// The process that listens on a TCP port of this machine, as far as we may see it.
    pub fn listening_on(address: IpAddr, port: u16) -> Option<ServerProcess> {
        if !address.is_loopback() && !is_local(address) {
            return None;
        }
        let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .flat_map(|table| table.lines().filter_map(|line| listener(line, port)).collect::<Vec<_>>())
            .map(|inode| format!("socket:[{inode}]"))
            .collect();
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let holds = |pid: &u32| {
            let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
            descriptors.flatten().any(|descriptor| {
                let link = fs::read_link(descriptor.path()).ok();
                link.and_then(|link| link.into_os_string().into_string().ok())
                    .is_some_and(|link| inodes.contains(&link))
            })
        };
        pids.find(holds).map(|pid| ServerProcess { pid })
    }

    /// What it and the processes that it started have used; `None` when it is gone.
    pub fn usage(&self) -> Option<Usage> {
        let (mut ticks, mut pages) = usage_of(self.pid)?;
        let mut children = children_of(self.pid);
        // A tree that grows while it is read is cut somewhere.
        for _ in 0..PROCESSES_MAX {
            let Some(child) = children.pop() else { break };
            if let Some((more_ticks, more_pages)) = usage_of(child) {
                (ticks, pages) = (ticks + more_ticks, pages + more_pages);
                children.extend(children_of(child));
            }
        }
        Some(Usage {
            cpu_seconds: ticks as f64 / TICKS_PER_SECOND,
            rss_bytes: pages * PAGE_BYTES,
            softirq_seconds: softirq_ticks(&fs::read_to_string("/proc/stat").ok()?)? as f64
                / TICKS_PER_SECOND,
        })
    }
}

/// Ticks of CPU and pages of memory of one process.
fn usage_of(pid: u32) -> Option<(u64, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let memory = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    Some((cpu_ticks(&stat)?, memory.split_whitespace().nth(1)?.parse().ok()?))
}

/// Processes that any thread of one has started and that still run.
fn children_of(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// Seconds that the cores of this machine were busy with anything, and the number of cores.
pub fn machine() -> Option<(f64, usize)> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let cores = stat.lines().filter(|line| line.starts_with("cpu")).count().saturating_sub(1);
    Some((busy_ticks(&stat)? as f64 / TICKS_PER_SECOND, cores))
}

/// All figures of the first line of `/proc/stat` but idle and waiting for disks; guests are in user time already.
fn busy_ticks(stat: &str) -> Option<u64> {
    let figures: Vec<u64> =
        stat.lines().next()?.split_whitespace().skip(1).map_while(|f| f.parse().ok()).collect();
    let busy = figures.iter().enumerate().filter(|(at, _)| !matches!(*at, 3 | 4 | 8 | 9));
    (figures.len() >= 7).then(|| busy.map(|(_, ticks)| ticks).sum())
}

fn is_local(address: IpAddr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}

/// The inode of a line of `/proc/net/tcp` that listens on the port.
fn listener(line: &str, port: u16) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let at = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    (*state == "0A" && at == port).then(|| (*inode).to_owned())
}

/// Fields 14 and 15 of `/proc/PID/stat`; the name in field 2 may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let rest = stat.rsplit_once(')')?.1;
    let mut fields = rest.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// The seventh figure of the first line of `/proc/stat`.
fn softirq_ticks(stat: &str) -> Option<u64> {
    stat.lines().next()?.split_whitespace().nth(7)?.parse().ok()
}

/// `USER_HZ`, the same on all Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: u64 = 4_096;
/// Of a server's processes more are not looked at.
const PROCESSES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_kernel_are_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 4242 1 0 100";
        assert_eq!(listener(line, 8_080).as_deref(), Some("4242"));
        assert_eq!((listener(line, 81), listener("sl local", 80)), (None, None));
        let stat = "77 (a b) c) S 1 2 3 4 5 6 7 8 9 10 110 25 0 0";
        assert_eq!(cpu_ticks(stat), Some(135));
        assert_eq!(softirq_ticks("cpu  1 2 3 4 5 6 70 8\ncpu0 1"), Some(70));
        assert_eq!((cpu_ticks("1 (x"), softirq_ticks("")), (None, None));
        assert_eq!(busy_ticks("cpu  1 2 3 1000 2000 6 70 8 900 900\ncpu0 1"), Some(90));
        assert_eq!(busy_ticks("cpu 1"), None);
        assert!(machine().is_some_and(|(busy, cores)| busy > 0.0 && cores > 0));
    }

    #[test]
    fn the_memory_of_what_a_process_started_is_its_own() {
        let own = ServerProcess { pid: std::process::id() };
        let mut child = std::process::Command::new("sleep").arg("5").spawn().unwrap();
        let listed = children_of(own.pid).contains(&child.id());
        let (alone, all) = (usage_of(own.pid), own.usage());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(listed);
        assert!(all.zip(alone).is_some_and(|(all, (_, pages))| all.rss_bytes / PAGE_BYTES > pages));
    }

    #[test]
    fn a_listener_of_ours_is_found_by_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let found = ServerProcess::listening_on(address.ip(), address.port());
        assert_eq!(found, Some(ServerProcess { pid: std::process::id() }));
        assert!(found.and_then(|process| process.usage()).is_some_and(|usage| usage.rss_bytes > 100_000));
        assert_eq!(ServerProcess::listening_on("192.0.2.1".parse().unwrap(), address.port()), None);
    }
}

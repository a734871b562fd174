//! Network cards: offloads, queues, rings, interrupts and steering.

use std::io::ErrorKind;

use crate::host::Weight;
use crate::plan::{Advice, Plan, Profile};
use crate::system::System;
use crate::target::{Target, number};

/// An offload that should be on, where the driver lets it be.
struct Offload {
    name: &'static str,
    weight: Weight,
    reason: &'static str,
}

const OFFLOADS: [Offload; 5] = [
    Offload {
        name: "tx-udp-segmentation",
        weight: Weight::Matters,
        reason: "the card cuts one large send into packets; without it the kernel does, and sending costs 2.6 times as much",
    },
    Offload {
        name: "tx-checksumming",
        weight: Weight::Helps,
        reason: "checksums in software cost some 100 ns a packet, and segmentation on the card needs them there",
    },
    Offload {
        name: "rx-checksumming",
        weight: Weight::Helps,
        reason: "checksums of arriving packets in software cost some 100 ns each",
    },
    Offload {
        name: "generic-segmentation-offload",
        weight: Weight::Matters,
        reason: "without it large sends are cut before the kernel's queues rather than behind them, and each packet pays the whole way",
    },
    Offload {
        name: "receive-hashing",
        weight: Weight::Helps,
        reason: "packets are spread over queues and sockets by this hash; without it the kernel computes it again for each",
    },
];

/// Cards with a device behind them that are up, and those asked for.
pub(crate) fn interfaces(system: &impl System, asked: &[String]) -> Vec<String> {
    let mut names: Vec<String> = system
        .list(NET)
        .into_iter()
        .filter(|name| system.list(&format!("{NET}/{name}")).iter().any(|entry| entry == "device"))
        .filter(|name| {
            system
                .read(&format!("{NET}/{name}/operstate"))
                .is_ok_and(|state| matches!(state.trim(), "up" | "unknown"))
        })
        .collect();
    names.extend(asked.iter().filter(|name| system.list(NET).contains(name)).cloned());
    names.sort();
    names.dedup();
    names
}

/// Adds what is off with one card.
pub(crate) fn plan(system: &impl System, profile: Profile, interface: &str, plan: &mut Plan) {
    let owned = || interface.to_owned();
    if let Err(error) = system.ethtool(&["--show-features", interface]) {
        let fix = if error.kind() == ErrorKind::NotFound {
            "run: sudo apt-get install ethtool"
        } else {
            "look with ethtool -k"
        };
        plan.advice.push(Advice {
            about: owned(),
            weight: Weight::Helps,
            reason: format!("the offloads of {interface} cannot be read: {error}"),
            fix: fix.to_owned(),
        });
    } else {
        offloads(system, interface, plan);
    }
    let cores = cores(system);
    if profile != Profile::Shared {
        queues(system, interface, cores, plan);
        steering(system, interface, cores, plan);
    }
    if profile == Profile::Dedicated {
        rings(system, interface, plan);
        let target = Target::Coalescing { interface: owned(), name: "rx-usecs".to_owned() };
        if let Ok(before) = target.read(system)
            && before.parse::<u64>().is_ok_and(|usecs| usecs > COALESCING_MAX_US)
        {
            plan.propose(target, before, COALESCING_MAX_US.to_string(), Weight::Helps, COALESCING_REASON);
        }
        interrupts(system, interface, cores, plan);
    }
}

fn offloads(system: &impl System, interface: &str, plan: &mut Plan) {
    for offload in &OFFLOADS {
        let target = Target::Feature { interface: interface.to_owned(), name: offload.name.to_owned() };
        match target.read(system) {
            Ok(before) => plan.propose(target, before, "on".to_owned(), offload.weight, offload.reason),
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                let shown = system.ethtool(&["--show-features", interface]).unwrap_or_default();
                let off =
                    shown.lines().any(|line| line.trim().starts_with(&format!("{}: off", offload.name)));
                if off && offload.weight == Weight::Matters {
                    plan.advice.push(Advice {
                        about: target.name(),
                        weight: Weight::Informs,
                        reason: format!("{interface} cannot do {}: {}", offload.name, offload.reason),
                        fix: "for full load choose a card or a virtual one that can; nothing breaks without"
                            .to_owned(),
                    });
                }
            }
            Err(_) => {}
        }
    }
}

/// As many queues as cores, as far as the card has them.
fn queues(system: &impl System, interface: &str, cores: usize, plan: &mut Plan) {
    let Ok(shown) = system.ethtool(&["--show-channels", interface]) else { return };
    let Some(most) = number(&shown, "Combined").and_then(|most| most.parse::<usize>().ok()) else { return };
    let target = Target::Queues { interface: interface.to_owned() };
    let wanted = most.min(cores).max(1);
    if let Ok(before) = target.read(system)
        && before.parse::<usize>().is_ok_and(|now| now < wanted)
    {
        plan.propose(target, before, wanted.to_string(), Weight::Matters, QUEUES_REASON);
    }
}

/// A card with one queue interrupts one core: the kernel can spread what arrives over the others.
fn steering(system: &impl System, interface: &str, cores: usize, plan: &mut Plan) {
    let queues = system.list(&format!("{NET}/{interface}/queues"));
    let receiving: Vec<&String> = queues.iter().filter(|name| name.starts_with("rx-")).collect();
    if cores < 2 || receiving.len() != 1 {
        return;
    }
    let path = format!("{NET}/{interface}/queues/{}/rps_cpus", receiving[0]);
    plan.want(system, Target::File(path), &mask(cores), Weight::Helps, STEERING_REASON);
}

fn rings(system: &impl System, interface: &str, plan: &mut Plan) {
    let Ok(shown) = system.ethtool(&["--show-ring", interface]) else { return };
    for name in ["rx", "tx"] {
        let Some(most) = number(&shown, &name.to_ascii_uppercase()).and_then(|most| most.parse::<u64>().ok())
        else {
            continue;
        };
        let target = Target::Ring { interface: interface.to_owned(), name: name.to_owned() };
        let wanted = most.min(RING_MAX);
        if let Ok(before) = target.read(system)
            && before.parse::<u64>().is_ok_and(|now| now < wanted)
        {
            plan.propose(target, before, wanted.to_string(), Weight::Helps, RINGS_REASON);
        }
    }
}

/// One queue's interrupt on one core each, where the card has as many interrupts as it needs and nobody else moves them.
fn interrupts(system: &impl System, interface: &str, cores: usize, plan: &mut Plan) {
    let numbers = system.list(&format!("{NET}/{interface}/device/msi_irqs"));
    let mut numbers: Vec<u32> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
    numbers.sort_unstable();
    // The first is for configuration changes on the cards that have more than one.
    let skipped = usize::from(numbers.len() > 1);
    if numbers.is_empty() || cores < 2 {
        return;
    }
    if system.list("/run").iter().any(|entry| entry == "irqbalance") {
        plan.advice.push(Advice {
            about: "irqbalance".to_owned(),
            weight: Weight::Helps,
            reason:
                "irqbalance moves interrupts between cores, so that the cores of media threads get them too"
                    .to_owned(),
            fix: "on a machine for media alone: sudo systemctl disable --now irqbalance, then apply again"
                .to_owned(),
        });
        return;
    }
    for (queue, irq) in numbers.iter().skip(skipped).enumerate() {
        let path = format!("/proc/irq/{irq}/smp_affinity_list");
        plan.want(system, Target::File(path), &(queue % cores).to_string(), Weight::Helps, INTERRUPTS_REASON);
    }
}

/// Processors that are online.
pub(crate) fn cores(system: &impl System) -> usize {
    let online = system.read("/sys/devices/system/cpu/online").unwrap_or_default();
    let count = |range: &str| -> Option<usize> {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<usize>().ok()?.checked_sub(first.parse().ok()?)? + 1)
    };
    online.trim().split(',').filter_map(count).sum::<usize>().max(1)
}

/// A CPU mask of the first `cores`, in groups of 32 as the kernel writes it.
fn mask(cores: usize) -> String {
    let groups: Vec<String> = (0..cores.div_ceil(32))
        .map(|group| {
            let bits = (cores - 32 * group).min(32);
            format!("{:x}", if bits == 32 { u32::MAX } else { (1u32 << bits) - 1 })
        })
        .collect();
    groups.into_iter().rev().collect::<Vec<_>>().join(",")
}

const NET: &str = "/sys/class/net";

/// Longer rings hold packets longer than they are worth, and fall out of the cache.
const RING_MAX: u64 = 4_096;

/// Added to the delay of each packet while the line is quiet.
const COALESCING_MAX_US: u64 = 50;

const COALESCING_REASON: &str =
    "the card holds packets back this long to save interrupts, and all of it is delay in calls";
const QUEUES_REASON: &str =
    "each queue interrupts one core; with fewer queues than cores one core does the work of several";
const STEERING_REASON: &str =
    "a card with one queue gives all arriving packets to one core; steered, the others take their share";
const RINGS_REASON: &str = "a burst that is longer than the ring is dropped before anybody counts it, and a key frame to many is one";
const INTERRUPTS_REASON: &str =
    "a queue whose interrupts stay on one core keeps its packets in that core's cache";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_written_in_groups_of_thirty_two() {
        for (cores, expected) in
            [(1, "1"), (2, "3"), (8, "ff"), (32, "ffffffff"), (40, "ff,ffffffff"), (64, "ffffffff,ffffffff")]
        {
            assert_eq!(mask(cores), expected, "{cores}");
        }
    }
}

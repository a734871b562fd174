use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::plan::{Plan, plan};

/// A machine of eight cores with one card, in memory.
#[derive(Clone, Default)]
struct Machine {
    files: BTreeMap<String, String>,
    /// What ethtool knows of eth0: name in its output, now, most.
    features: BTreeMap<String, String>,
    ring: BTreeMap<String, (u64, u64)>,
    queues: (u64, u64),
    usecs: u64,
    /// Writes to these fail; those that begin with `half ` take and then fail.
    broken: BTreeSet<String>,
    written: RefCell<Vec<String>>,
}

impl Machine {
    fn new() -> Machine {
        let mut machine = Machine { queues: (2, 16), usecs: 200, ..Machine::default() };
        for (path, text) in [
            ("/proc/sys/net/core/rmem_max", "212992\n"),
            ("/proc/sys/net/core/wmem_max", "16777216\n"),
            ("/proc/sys/net/core/netdev_max_backlog", "1000\n"),
            ("/proc/sys/net/core/netdev_budget", "300\n"),
            ("/proc/sys/net/ipv4/udp_rmem_min", "4096\n"),
            ("/proc/sys/kernel/random/boot_id", "one\n"),
            ("/proc/cpuinfo", "flags : fpu avx2\n"),
            ("/sys/devices/system/cpu/online", "0-7\n"),
            ("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
            ("/sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors", "performance powersave\n"),
            ("/sys/devices/system/cpu/cpu0/cpuidle/state1/latency", "2\n"),
            ("/sys/devices/system/cpu/cpu0/cpuidle/state1/disable", "0\n"),
            ("/sys/devices/system/cpu/cpu0/cpuidle/state3/latency", "890\n"),
            ("/sys/devices/system/cpu/cpu0/cpuidle/state3/disable", "0\n"),
            ("/sys/class/net/eth0/device/msi_irqs/40", "msix\n"),
            ("/sys/class/net/eth0/device/msi_irqs/41", "msix\n"),
            ("/sys/class/net/eth0/device/msi_irqs/42", "msix\n"),
            ("/sys/class/net/eth0/operstate", "up\n"),
            ("/sys/class/net/eth0/queues/rx-0/rps_cpus", "00\n"),
            ("/sys/class/net/lo/operstate", "unknown\n"),
            ("/proc/irq/41/smp_affinity_list", "0-7\n"),
            ("/proc/irq/42/smp_affinity_list", "0-7\n"),
        ] {
            machine.files.insert(path.to_owned(), text.to_owned());
        }
        for (name, value) in
            [("tx-udp-segmentation", "off"), ("tx-checksumming", "on"), ("receive-hashing", "off [fixed]")]
        {
            machine.features.insert(name.to_owned(), value.to_owned());
        }
        machine.ring.insert("rx".to_owned(), (512, 8_192));
        machine.ring.insert("tx".to_owned(), (512, 1_024));
        machine
    }

    /// Everything that can be seen of it.
    fn state(&self) -> String {
        format!("{:?} {:?} {:?} {:?} {}", self.files, self.features, self.ring, self.queues, self.usecs)
    }

    fn set(&mut self, name: &str, change: impl FnOnce(&mut Machine)) -> io::Result<()> {
        self.written.borrow_mut().push(name.to_owned());
        if self.broken.contains(name) {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        change(self);
        // Complains once, after the fact.
        if self.broken.remove(&format!("half {name}")) {
            return Err(io::Error::other("took it, with a complaint"));
        }
        Ok(())
    }
}

/// The machine behind a cell, as `ethtool` changes things through a shared reference.
struct Host(RefCell<Machine>);

impl System for Host {
    fn read(&self, path: &str) -> io::Result<String> {
        self.0.borrow().files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&mut self, path: &str, text: &str) -> io::Result<()> {
        self.0.borrow_mut().set(path, |machine| {
            machine.files.insert(path.to_owned(), format!("{text}\n"));
        })
    }

    fn list(&self, path: &str) -> Vec<String> {
        let machine = self.0.borrow();
        let below = format!("{path}/");
        let names: BTreeSet<String> = machine
            .files
            .keys()
            .filter_map(|file| file.strip_prefix(&below)?.split('/').next().map(str::to_owned))
            .collect();
        names.into_iter().collect()
    }

    fn ethtool(&self, arguments: &[&str]) -> io::Result<String> {
        let mut machine = self.0.borrow_mut();
        match arguments {
            ["--show-features", "eth0"] => {
                Ok(machine.features.iter().map(|(name, value)| format!("\t{name}: {value}\n")).collect())
            }
            ["--show-ring", "eth0"] => {
                let lines = |pick: fn(&(u64, u64)) -> u64| -> String {
                    machine
                        .ring
                        .iter()
                        .map(|(name, ring)| format!("{}: {}\n", name.to_uppercase(), pick(ring)))
                        .collect()
                };
                Ok(format!(
                    "Pre-set maximums:\n{}Current hardware settings:\n{}",
                    lines(|ring| ring.1),
                    lines(|ring| ring.0)
                ))
            }
            ["--show-channels", "eth0"] => {
                let (now, most) = machine.queues;
                Ok(format!(
                    "Pre-set maximums:\nCombined: {most}\nCurrent hardware settings:\nCombined: {now}\n"
                ))
            }
            ["--show-coalesce", "eth0"] => Ok(format!("Adaptive RX: off\nrx-usecs: {}\n", machine.usecs)),
            ["--features", "eth0", name, value] => {
                machine.set(name, |machine| {
                    drop(machine.features.insert((*name).to_owned(), (*value).to_owned()))
                })?;
                Ok(String::new())
            }
            ["--set-ring", "eth0", name, value] => {
                let value = value.parse().unwrap();
                machine
                    .set(&format!("ring {name}"), |machine| machine.ring.get_mut(*name).unwrap().0 = value)?;
                Ok(String::new())
            }
            ["--set-channels", "eth0", "combined", value] => {
                machine.set("queues", |machine| machine.queues.0 = value.parse().unwrap())?;
                Ok(String::new())
            }
            ["--coalesce", "eth0", "rx-usecs", value] => {
                machine.set("rx-usecs", |machine| machine.usecs = value.parse().unwrap())?;
                Ok(String::new())
            }
            _ => Err(io::Error::other(format!("not understood: {arguments:?}"))),
        }
    }
}

/// Keeps the last, or fails from a given time on.
#[derive(Default)]
struct Notes {
    kept: Vec<Changes>,
    fails_from: Option<usize>,
}

impl Journal for Notes {
    fn keep(&mut self, changes: &Changes) -> io::Result<()> {
        if self.fails_from.is_some_and(|from| self.kept.len() >= from) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.kept.push(changes.clone());
        Ok(())
    }
}

fn host() -> Host {
    Host(RefCell::new(Machine::new()))
}

fn names(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{}={}", step.target.name(), step.after)).collect()
}

#[test]
fn each_profile_takes_what_is_its_own() {
    let sysctl = [
        "net.core.rmem_max=4194304",
        "net.core.netdev_max_backlog=5000",
        "net.core.netdev_budget=600",
        "net.ipv4.udp_rmem_min=16384",
    ];
    let shared = ["eth0 tx-udp-segmentation=on"];
    let guest = ["eth0 queues=8", "/sys/class/net/eth0/queues/rx-0/rps_cpus=ff"];
    let dedicated = [
        "eth0 ring rx=4096",
        "eth0 ring tx=1024",
        "eth0 rx-usecs=50",
        "/proc/irq/41/smp_affinity_list=0",
        "/proc/irq/42/smp_affinity_list=1",
        "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor=performance",
        "/sys/devices/system/cpu/cpu0/cpuidle/state3/disable=1",
    ];
    let table = [
        (Profile::Shared, [&sysctl[..], &shared[..]].concat()),
        (Profile::Vm, [&sysctl[..], &shared[..], &guest[..]].concat()),
        (Profile::Dedicated, [&sysctl[..], &shared[..], &guest[..], &dedicated[..]].concat()),
    ];
    for (profile, expected) in table {
        assert_eq!(names(&plan(&host(), profile, &[])), expected, "{profile}");
    }
}

#[test]
fn what_is_applied_is_applied_once_and_reverts_to_what_was() {
    for profile in Profile::ALL {
        let (mut host, mut notes, mut changes) = (host(), Notes::default(), Changes::default());
        let before = host.0.borrow().state();
        let steps = plan(&host, profile, &[]).steps;
        apply(&mut host, &mut notes, &mut changes, profile, &steps).unwrap();
        assert_eq!(plan(&host, profile, &[]).steps, [], "{profile}: nothing is left to do");
        assert_eq!(notes.kept.last(), Some(&changes));
        let reverted = revert(&mut host, &mut changes);
        assert_eq!((reverted.left.len(), reverted.stuck.len()), (0, 0), "{reverted:?}");
        assert!(changes.changes.is_empty());
        // Files read the same but for leading zeros of masks.
        assert_eq!(host.0.borrow().state(), before, "{profile}");
    }
}

#[test]
fn a_second_apply_keeps_what_the_first_found() {
    let (mut host, mut notes, mut changes) = (host(), Notes::default(), Changes::default());
    for profile in [Profile::Shared, Profile::Dedicated] {
        let steps = plan(&host, profile, &[]).steps;
        apply(&mut host, &mut notes, &mut changes, profile, &steps).unwrap();
        // Somebody sets one back; the next apply sees it.
        host.write("/proc/sys/net/core/rmem_max", "300000").unwrap();
    }
    let steps = plan(&host, Profile::Dedicated, &[]).steps;
    assert_eq!(steps.len(), 1);
    apply(&mut host, &mut notes, &mut changes, Profile::Dedicated, &steps).unwrap();
    revert(&mut host, &mut changes);
    assert_eq!(host.read("/proc/sys/net/core/rmem_max").unwrap().trim(), "212992");
}

#[test]
fn what_others_changed_since_is_left_alone() {
    let (mut host, mut notes, mut changes) = (host(), Notes::default(), Changes::default());
    let steps = plan(&host, Profile::Shared, &[]).steps;
    apply(&mut host, &mut notes, &mut changes, Profile::Shared, &steps).unwrap();
    host.write("/proc/sys/net/core/rmem_max", "9000000").unwrap();
    let reverted = revert(&mut host, &mut changes);
    assert_eq!(reverted.left.len(), 1, "{reverted:?}");
    assert!(reverted.left[0].contains("rmem_max is 9000000"));
    assert_eq!(host.read("/proc/sys/net/core/rmem_max").unwrap().trim(), "9000000");
}

#[test]
fn every_step_that_fails_takes_all_of_it_back() {
    let steps = plan(&host(), Profile::Dedicated, &[]).steps;
    assert!(steps.len() > 10);
    for half in ["", "half "] {
        for step in &steps {
            let name = match &step.target {
                Target::Sysctl(key) => format!("/proc/sys/{}", key.replace('.', "/")),
                Target::File(path) => path.clone(),
                Target::Feature { name, .. } | Target::Coalescing { name, .. } => name.clone(),
                Target::Ring { name, .. } => format!("ring {name}"),
                Target::Queues { .. } => "queues".to_owned(),
            };
            let (mut host, mut notes, mut changes) = (host(), Notes::default(), Changes::default());
            let before = host.0.borrow().state();
            host.0.borrow_mut().broken.insert(format!("{half}{name}"));
            let error = apply(&mut host, &mut notes, &mut changes, Profile::Dedicated, &steps).unwrap_err();
            assert_eq!(error.step, step.to_string());
            assert_eq!(error.stuck, Vec::<String>::new(), "{half}{name}");
            assert_eq!(host.0.borrow().state(), before, "{half}{name}");
            assert_eq!(changes, Changes::default());
        }
    }
}

#[test]
fn nothing_is_changed_that_was_not_noted_first() {
    let steps = plan(&host(), Profile::Dedicated, &[]).steps;
    for fails_from in 0..steps.len() {
        let (mut host, mut changes) = (host(), Changes::default());
        let mut notes = Notes { fails_from: Some(fails_from), ..Notes::default() };
        let before = host.0.borrow().state();
        apply(&mut host, &mut notes, &mut changes, Profile::Dedicated, &steps).unwrap_err();
        assert_eq!(host.0.borrow().state(), before);
    }
}

#[test]
fn after_a_new_start_of_the_machine_nothing_is_put_back() {
    let host = host();
    let old = Changes {
        boot: "zero".to_owned(),
        profile: "vm".to_owned(),
        changes: vec![Change {
            target: Target::Sysctl("net.core.rmem_max".to_owned()),
            before: "1".into(),
            after: "2".into(),
        }],
    };
    let now = old.clone().since_start(&host);
    assert_eq!((now.boot.as_str(), now.changes.len()), ("one", 0));
    let same = Changes { boot: "one".to_owned(), ..old };
    assert_eq!(same.clone().since_start(&host), same);
}

#[test]
fn what_cannot_be_read_is_not_touched() {
    let host = host();
    host.0.borrow_mut().files.insert("/proc/sys/net/core/rmem_max".to_owned(), "lots\n".to_owned());
    host.0.borrow_mut().files.remove("/proc/sys/net/core/netdev_budget");
    let names = names(&plan(&host, Profile::Vm, &[]));
    assert!(
        !names.iter().any(|name| name.contains("rmem_max") || name.contains("netdev_budget")),
        "{names:?}"
    );
    assert!(!names.iter().any(|name| name.contains("receive-hashing")), "fixed by the driver: {names:?}");
}

proptest! {
    #[test]
    fn whatever_fails_whenever_all_is_as_it_was_or_said_to_be_stuck(broken in proptest::collection::btree_set(0usize..40, 0..4)) {
        let mut host = host();
        let steps = plan(&host, Profile::Dedicated, &[]).steps;
        let before = host.0.borrow().state();
        let targets: Vec<String> = ["queues", "ring rx", "ring tx", "rx-usecs", "tx-udp-segmentation"]
            .into_iter().map(str::to_owned)
            .chain(host.0.borrow().files.keys().cloned())
            .collect();
        host.0.borrow_mut().broken.extend(broken.iter().filter_map(|at| targets.get(*at).cloned()));
        let mut changes = Changes::default();
        let outcome = apply(&mut host, &mut Notes::default(), &mut changes, Profile::Dedicated, &steps);
        match outcome {
            Ok(()) => { revert(&mut host, &mut changes); }
            Err(error) => prop_assert!(error.stuck.is_empty()),
        }
        prop_assert_eq!(host.0.borrow().state(), before);
    }
}

//! The settings of the host, each with what is wanted of it and why.

use serde::Serialize;

/// One kernel setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its sysctl key, such as `net.core.rmem_max`.
    pub key: &'static str,
    /// What is wanted.
    pub wanted: Wanted,
    /// What its numbers count.
    pub unit: Unit,
    /// How much it matters.
    pub weight: Weight,
    /// Whether the profile sets it. What the kernel sizes by the memory of the machine, and what an administrator forbids on
    /// purpose, is checked only.
    pub in_profile: bool,
    /// The first kernel that has the key; older ones act as wanted.
    pub since: Option<(u32, u32)>,
    /// Why, in one sentence.
    pub reason: &'static str,
}

/// What is wanted of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This number or more.
    AtLeast(u64),
    /// This number.
    Exactly(u64),
    /// Three numbers, of which the last, a limit, is this or more. The others are for the one who sets it.
    LimitAtLeast([u64; 3]),
    /// This release of the kernel or a later one. Nothing that can be set.
    Release(u32, u32),
}

/// What a setting counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Memory pages, 4 KiB on most machines.
    Pages,
    /// Packets.
    Packets,
    /// Open files.
    Files,
    /// Microseconds.
    Microseconds,
    /// A choice among numbers.
    Choice,
    /// A version.
    Version,
}

/// How much a setting matters, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Good to know.
    Informs,
    /// Better under full load.
    Helps,
    /// Packets are lost or capacity is, so it counts as a fault of the host.
    Matters,
}

/// Every setting that is looked at, the weightiest first.
pub const HOST: [Setting; 11] = [
    Setting {
        key: "kernel.osrelease",
        wanted: Wanted::Release(6, 1),
        unit: Unit::Version,
        weight: Weight::Matters,
        in_profile: false,
        since: None,
        reason: "older kernels lack what the media ring needs, and media moves by recvmmsg and sendmmsg instead",
    },
    Setting {
        key: "kernel.io_uring_disabled",
        wanted: Wanted::Exactly(0),
        unit: Unit::Choice,
        weight: Weight::Matters,
        in_profile: false,
        since: Some((6, 6)),
        reason: "1 keeps io_uring to one group and 2 to nobody, and media moves by recvmmsg and sendmmsg instead",
    },
    Setting {
        key: "net.core.rmem_max",
        wanted: Wanted::AtLeast(SOCKET_BYTES),
        unit: Unit::Bytes,
        weight: Weight::Matters,
        in_profile: true,
        since: None,
        reason: "the kernel cuts the receive buffer of media sockets to this in silence, and bursts are then dropped",
    },
    Setting {
        key: "net.core.wmem_max",
        wanted: Wanted::AtLeast(SOCKET_BYTES),
        unit: Unit::Bytes,
        weight: Weight::Matters,
        in_profile: true,
        since: None,
        reason: "the kernel cuts the send buffer of media sockets to this in silence, and a key frame to many overruns it",
    },
    Setting {
        key: "net.ipv4.udp_mem",
        wanted: Wanted::LimitAtLeast([49_152, 65_536, 98_304]),
        unit: Unit::Pages,
        weight: Weight::Matters,
        in_profile: false,
        since: None,
        reason: "all UDP sockets together may hold this much; beyond its last number the kernel drops for all of them",
    },
    Setting {
        key: "net.core.netdev_max_backlog",
        wanted: Wanted::AtLeast(5_000),
        unit: Unit::Packets,
        weight: Weight::Helps,
        in_profile: true,
        since: None,
        reason: "where packets are steered to a core in software they wait in this queue; 1000 is a millisecond at full load",
    },
    Setting {
        key: "net.core.netdev_budget",
        wanted: Wanted::AtLeast(600),
        unit: Unit::Packets,
        weight: Weight::Helps,
        in_profile: true,
        since: None,
        reason: "packets taken from the network cards in one round; a busy media core gives the kernel few rounds",
    },
    Setting {
        key: "net.ipv4.udp_rmem_min",
        wanted: Wanted::AtLeast(16_384),
        unit: Unit::Bytes,
        weight: Weight::Helps,
        in_profile: true,
        since: None,
        reason: "what each socket may still hold when UDP memory is short; the usual 4096 is one or two packets",
    },
    Setting {
        key: "fs.file-max",
        wanted: Wanted::AtLeast(100_000),
        unit: Unit::Files,
        weight: Weight::Helps,
        in_profile: false,
        since: None,
        reason: "each participant holds one or two connections, and the limit is shared with all other programs",
    },
    Setting {
        key: "net.core.rmem_default",
        wanted: Wanted::AtLeast(212_992),
        unit: Unit::Bytes,
        weight: Weight::Informs,
        in_profile: false,
        since: None,
        reason: "media sockets ask for their size; less than the kernel's own default here tells of a host tuned for little memory",
    },
    Setting {
        key: "net.core.busy_poll",
        wanted: Wanted::Exactly(0),
        unit: Unit::Microseconds,
        weight: Weight::Informs,
        in_profile: false,
        since: None,
        reason: "media threads spin by themselves (media.spin_us); here the kernel spins again for every program that polls",
    },
];

/// What a media socket asks for in each direction.
const SOCKET_BYTES: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_setting_stands_once_with_a_reason_of_one_sentence_and_the_weightiest_come_first() {
        let keys: HashSet<&str> = HOST.iter().map(|setting| setting.key).collect();
        assert_eq!(keys.len(), HOST.len());
        assert!(HOST.is_sorted_by(|before, after| before.weight >= after.weight));
        for setting in HOST {
            assert!(setting.reason.len() > 40, "{}: say more", setting.key);
            assert!(
                !setting.reason.contains(". ") && !setting.reason.ends_with('.'),
                "{}: one sentence",
                setting.key
            );
        }
    }

    #[test]
    fn the_profile_sets_nothing_that_the_kernel_sizes_by_memory_or_that_is_forbidden_on_purpose() {
        for key in ["net.ipv4.udp_mem", "fs.file-max", "kernel.io_uring_disabled", "kernel.osrelease"] {
            let setting = HOST.iter().find(|setting| setting.key == key).expect("it is looked at");
            assert!(!setting.in_profile, "{key}");
        }
        for setting in HOST.iter().filter(|setting| setting.in_profile) {
            assert!(matches!(setting.wanted, Wanted::AtLeast(_)), "{}: a number to set", setting.key);
        }
    }
}

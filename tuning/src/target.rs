//! One setting of a host, where it is and how it is read and written. Only what is listed here is ever written.

use std::io;

use serde::{Deserialize, Serialize};

use crate::system::System;

/// A setting that can be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A sysctl key, such as `net.core.rmem_max`.
    Sysctl(String),
    /// A file below `/sys` or `/proc/irq`.
    File(String),
    /// An offload of a network card, by the name that `ethtool --show-features` has.
    Feature {
        /// The interface.
        interface: String,
        /// The name of the offload.
        name: String,
    },
    /// The length of a ring, `rx` or `tx`.
    Ring {
        /// The interface.
        interface: String,
        /// `rx` or `tx`.
        name: String,
    },
    /// The number of combined queues.
    Queues {
        /// The interface.
        interface: String,
    },
    /// Interrupt moderation, such as `rx-usecs`.
    Coalescing {
        /// The interface.
        interface: String,
        /// The name that `ethtool --coalesce` has.
        name: String,
    },
}

impl Target {
    /// What people call it.
    pub fn name(&self) -> String {
        match self {
            Target::Sysctl(key) => key.clone(),
            Target::File(path) => path.clone(),
            Target::Feature { interface, name } => format!("{interface} {name}"),
            Target::Ring { interface, name } => format!("{interface} ring {name}"),
            Target::Queues { interface } => format!("{interface} queues"),
            Target::Coalescing { interface, name } => format!("{interface} {name}"),
        }
    }

    /// The command that does the same by hand.
    pub fn command(&self, value: &str) -> String {
        match self {
            Target::Sysctl(key) => format!("sudo sysctl -w {key}=\"{value}\""),
            Target::File(path) => format!("echo {value} | sudo tee {path}"),
            Target::Feature { interface, name } => {
                format!("sudo ethtool --features {interface} {name} {value}")
            }
            Target::Ring { interface, name } => format!("sudo ethtool --set-ring {interface} {name} {value}"),
            Target::Queues { interface } => {
                format!("sudo ethtool --set-channels {interface} combined {value}")
            }
            Target::Coalescing { interface, name } => {
                format!("sudo ethtool --coalesce {interface} {name} {value}")
            }
        }
    }

    /// What it is now, in the form in which it is written.
    ///
    /// # Errors
    /// It cannot be read, or not be understood.
    pub fn read(&self, system: &impl System) -> io::Result<String> {
        let unknown = || io::Error::new(io::ErrorKind::InvalidData, "not shown for this device");
        match self {
            Target::Sysctl(key) => Ok(words(&system.read(&sysctl_path(key))?)),
            Target::File(path) => Ok(words(&system.read(path)?)),
            Target::Feature { interface, name } => {
                let shown = system.ethtool(&["--show-features", interface])?;
                let value = after(&shown, name).ok_or_else(unknown)?;
                if value.contains("[fixed]") {
                    return Err(io::Error::new(io::ErrorKind::Unsupported, "fixed by the driver"));
                }
                Ok(value.split_whitespace().next().unwrap_or_default().to_owned())
            }
            Target::Ring { interface, name } => {
                let shown = system.ethtool(&["--show-ring", interface])?;
                number(current(&shown), &name.to_ascii_uppercase()).ok_or_else(unknown)
            }
            Target::Queues { interface } => {
                let shown = system.ethtool(&["--show-channels", interface])?;
                number(current(&shown), "Combined").ok_or_else(unknown)
            }
            Target::Coalescing { interface, name } => {
                let shown = system.ethtool(&["--show-coalesce", interface])?;
                number(&shown, name).ok_or_else(unknown)
            }
        }
    }

    /// Sets it and looks whether it took.
    ///
    /// # Errors
    /// It cannot be written, or reads as something else afterwards.
    pub fn write(&self, system: &mut impl System, value: &str) -> io::Result<()> {
        self.check_place()?;
        match self {
            Target::Sysctl(key) => system.write(&sysctl_path(key), value)?,
            Target::File(path) => system.write(path, value)?,
            Target::Feature { interface, name } => {
                system.ethtool(&["--features", interface, name, value])?;
            }
            Target::Ring { interface, name } => {
                system.ethtool(&["--set-ring", interface, name, value])?;
            }
            Target::Queues { interface } => {
                system.ethtool(&["--set-channels", interface, "combined", value])?;
            }
            Target::Coalescing { interface, name } => {
                system.ethtool(&["--coalesce", interface, name, value])?;
            }
        }
        let now = self.read(system)?;
        if !same(&now, value) {
            return Err(io::Error::other(format!("it was set to {value} and reads {now}")));
        }
        Ok(())
    }

    /// A state file that someone else wrote must not lead us to write anywhere but here.
    fn check_place(&self) -> io::Result<()> {
        let plain = |text: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-@:".contains(letter))
                && !text.contains("..")
        };
        let allowed = match self {
            Target::Sysctl(key) => plain(key) && (key.starts_with("net.") || key.starts_with("kernel.")),
            Target::File(path) => {
                let below = PLACES.iter().any(|place| path.starts_with(place));
                below && path.split('/').skip(1).all(plain)
            }
            Target::Feature { interface, name }
            | Target::Ring { interface, name }
            | Target::Coalescing { interface, name } => plain(interface) && plain(name),
            Target::Queues { interface } => plain(interface),
        };
        if allowed { Ok(()) } else { Err(io::Error::other(format!("{} is not ours to set", self.name()))) }
    }
}

/// Whether two readings mean the same: CPU masks come back with other leading zeros.
pub(crate) fn same(one: &str, other: &str) -> bool {
    let bare = |text: &str| text.trim_start_matches(['0', ',']).to_ascii_lowercase();
    one == other || (one.len().max(other.len()) > 1 && bare(one) == bare(other))
}

fn sysctl_path(key: &str) -> String {
    format!("/proc/sys/{}", key.replace('.', "/"))
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What stands behind `name:` on a line of its own.
fn after<'text>(shown: &'text str, name: &str) -> Option<&'text str> {
    shown.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// A number behind `name:`; `n/a` is none.
pub(crate) fn number(shown: &str, name: &str) -> Option<String> {
    after(shown, name).filter(|value| value.parse::<u64>().is_ok()).map(str::to_owned)
}

/// The second half of what ethtool shows of rings and queues: what is set, not what is possible.
fn current(shown: &str) -> &str {
    shown.split_once("Current hardware settings").map_or("", |(_, current)| current)
}

/// Folders below which files may be written.
const PLACES: [&str; 3] = ["/sys/class/net/", "/sys/devices/system/cpu/", "/proc/irq/"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_outside_the_places_that_are_known() {
        let file = |path: &str| Target::File(path.to_owned());
        let table = [
            (file("/sys/class/net/eth0/queues/rx-0/rps_cpus"), true),
            (file("/proc/irq/24/smp_affinity_list"), true),
            (file("/sys/class/net/../../../etc/passwd"), false),
            (file("/etc/passwd"), false),
            (file("/proc/sys/kernel/core_pattern"), false),
            (Target::Sysctl("net.core.rmem_max".to_owned()), true),
            (Target::Sysctl("net.../../fs.x".to_owned()), false),
            (Target::Sysctl("fs.suid_dumpable".to_owned()), false),
            (Target::Queues { interface: "--reset".to_owned() }, false),
            (Target::Queues { interface: "enp1s0f0".to_owned() }, true),
        ];
        for (target, allowed) in table {
            assert_eq!(target.check_place().is_ok(), allowed, "{}", target.name());
        }
    }

    #[test]
    fn masks_are_the_same_with_and_without_leading_zeros_and_numbers_are_not() {
        for (one, other, expected) in [
            ("3", "3", true),
            ("00000003", "3", true),
            ("00000000,000000ff", "FF", true),
            ("on", "on", true),
            ("0", "1", false),
            ("00000000", "0", true),
            ("256", "512", false),
        ] {
            assert_eq!(same(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn what_is_possible_is_not_taken_for_what_is_set() {
        let shown = "Ring parameters for eth0:\nPre-set maximums:\nRX:\t4096\nTX:\t4096\nCurrent hardware settings:\n\
            RX:\t256\nTX:\tn/a\n";
        assert_eq!(number(current(shown), "RX").as_deref(), Some("256"));
        assert_eq!(number(current(shown), "TX"), None);
        assert_eq!(number(shown, "RX").as_deref(), Some("4096"));
    }
}

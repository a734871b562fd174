//! What of [`HOST`] is off or cannot be known.

use std::fmt;
use std::io;

use serde::Serialize;

use crate::host::{HOST, Setting, Unit, Wanted, Weight};

/// A setting that is not as wanted, or may not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The sysctl key.
    pub setting: &'static str,
    /// What it is now.
    pub current: Current,
    /// What is wanted, in words.
    pub wanted: String,
    /// What the numbers count.
    pub unit: Unit,
    /// How much it matters.
    pub weight: Weight,
    /// Why, in one sentence.
    pub reason: &'static str,
    /// What to do or to run.
    pub fix: String,
}

/// What a setting is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Current {
    /// As read.
    Value(String),
    /// It could not be read or understood; why. Not fine: not known.
    Unknown(String),
}

impl fmt::Display for Finding {
    /// One line with cause and fix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { setting, wanted, reason, fix, .. } = self;
        match &self.current {
            Current::Value(value) => write!(f, "{setting} is {value}, wanted: {wanted} ({reason}); {fix}"),
            Current::Unknown(why) => {
                write!(f, "{setting} is unknown ({why}), wanted: {wanted} ({reason}); {fix}")
            }
        }
    }
}

/// Looks at every setting through `read`, which takes a path below `/proc/sys` such as `net/core/rmem_max` and returns the
/// text of that file. Settings that are as wanted are left out; the others come the weightiest first.
///
/// ```
/// let findings = tuning::check(|path| std::fs::read_to_string(format!("/proc/sys/{path}")));
/// for finding in findings {
///     println!("{finding}");
/// }
/// ```
pub fn check(mut read: impl FnMut(&str) -> io::Result<String>) -> Vec<Finding> {
    let kernel = read("kernel/osrelease").ok().and_then(|release| version(&release));
    HOST.iter().filter_map(|setting| judge(setting, read(&path(setting.key)), kernel)).collect()
}

fn judge(setting: &Setting, text: io::Result<String>, kernel: Option<(u32, u32)>) -> Option<Finding> {
    let finding = |current, fix| {
        let Setting { key, unit, weight, reason, .. } = *setting;
        Some(Finding { setting: key, current, wanted: in_words(setting), unit, weight, reason, fix })
    };
    let unknown =
        |why| finding(Current::Unknown(why), format!("look on the host itself: sysctl {}", setting.key));

    let text = match text {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let too_old_to_have_it = setting.since.zip(kernel).is_some_and(|(since, kernel)| kernel < since);
            if too_old_to_have_it {
                return None;
            }
            return unknown("not shown here, as in many containers".to_owned());
        }
        Err(error) => return unknown(error.to_string()),
    };
    let value = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match as_wanted(setting.wanted, &value) {
        Some(true) => None,
        Some(false) => finding(Current::Value(value), fix(setting)),
        None => unknown(format!("`{}` is not understood", value.chars().take(SHOWN_MAX).collect::<String>())),
    }
}

/// Whether `value` is as wanted; `None` if it is not of the form that is known.
fn as_wanted(wanted: Wanted, value: &str) -> Option<bool> {
    let number = |text: &str| text.parse::<u64>().ok();
    match wanted {
        Wanted::AtLeast(least) => Some(number(value)? >= least),
        Wanted::Exactly(wanted) => Some(number(value)? == wanted),
        Wanted::LimitAtLeast([_, _, least]) => {
            let numbers = value.split(' ').map(number).collect::<Option<Vec<u64>>>()?;
            let [_, _, limit] = numbers[..] else { return None };
            Some(limit >= least)
        }
        Wanted::Release(major, minor) => Some(version(value)? >= (major, minor)),
    }
}

/// The first two numbers of a kernel release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.trim().split(|c: char| !c.is_ascii_digit()).map(|text| text.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn path(key: &str) -> String {
    key.replace('.', "/")
}

fn in_words(setting: &Setting) -> String {
    let unit = match setting.unit {
        Unit::Bytes => " bytes",
        Unit::Pages => " pages",
        Unit::Packets => " packets",
        Unit::Files => " files",
        Unit::Microseconds => " microseconds",
        Unit::Choice | Unit::Version => "",
    };
    match setting.wanted {
        Wanted::AtLeast(least) => format!("at least {least}{unit}"),
        Wanted::Exactly(value) => format!("{value}{unit}"),
        Wanted::LimitAtLeast([_, _, least]) => format!("a last number of at least {least}{unit}"),
        Wanted::Release(major, minor) => format!("{major}.{minor} or newer"),
    }
}

fn fix(setting: &Setting) -> String {
    let key = setting.key;
    match setting.wanted {
        Wanted::AtLeast(value) | Wanted::Exactly(value) => format!("run: sudo sysctl -w {key}={value}"),
        Wanted::LimitAtLeast([low, pressure, limit]) => {
            format!("run: sudo sysctl -w {key}=\"{low} {pressure} {limit}\"")
        }
        Wanted::Release(major, minor) => format!("install a kernel of {major}.{minor} or newer"),
    }
}

/// Characters shown of a value that is not understood.
const SHOWN_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::{Error, ErrorKind};

    use proptest::prelude::*;

    use super::*;

    const FINE: [(&str, &str); 11] = [
        ("kernel/osrelease", "6.12.1-amd64\n"),
        ("kernel/io_uring_disabled", "0\n"),
        ("net/core/rmem_max", "4194304\n"),
        ("net/core/wmem_max", "8388608\n"),
        ("net/ipv4/udp_mem", "49152\t65536\t98304\n"),
        ("net/core/netdev_max_backlog", "5000\n"),
        ("net/core/netdev_budget", "600\n"),
        ("net/ipv4/udp_rmem_min", "16384\n"),
        ("fs/file-max", "9223372036854775807\n"),
        ("net/core/rmem_default", "212992\n"),
        ("net/core/busy_poll", "0\n"),
    ];

    /// Findings on a fine host but for `changes`: a value, or how its file cannot be read.
    fn findings(changes: &[(&str, Result<&str, ErrorKind>)]) -> Vec<Finding> {
        let mut files: HashMap<&str, Result<&str, ErrorKind>> =
            FINE.iter().map(|(path, text)| (*path, Ok(*text))).collect();
        files.extend(changes.iter().copied());
        check(|path| match files.get(path) {
            Some(Ok(text)) => Ok((*text).to_owned()),
            Some(Err(kind)) => Err(Error::from(*kind)),
            None => Err(Error::from(ErrorKind::NotFound)),
        })
    }

    #[test]
    fn nothing_is_found_on_a_host_as_wanted() {
        assert_eq!(findings(&[]), []);
    }

    #[test]
    fn each_setting_that_is_off_is_found_alone_with_its_value_and_its_fix() {
        let table = [
            ("kernel/osrelease", "5.15.0-generic\n", "5.15.0-generic", "kernel of 6.1"),
            ("kernel/io_uring_disabled", "2\n", "2", "kernel.io_uring_disabled=0"),
            ("kernel/io_uring_disabled", "1\n", "1", "kernel.io_uring_disabled=0"),
            ("net/core/rmem_max", "4194303\n", "4194303", "sudo sysctl -w net.core.rmem_max=4194304"),
            ("net/core/wmem_max", "212992\n", "212992", "sudo sysctl -w net.core.wmem_max=4194304"),
            ("net/ipv4/udp_mem", "90000\t95000\t98303\n", "90000 95000 98303", "=\"49152 65536 98304\""),
            ("net/core/netdev_max_backlog", "1000\n", "1000", "net.core.netdev_max_backlog=5000"),
            ("net/core/netdev_budget", "300\n", "300", "net.core.netdev_budget=600"),
            ("net/ipv4/udp_rmem_min", "4096\n", "4096", "net.ipv4.udp_rmem_min=16384"),
            ("fs/file-max", "65536\n", "65536", "fs.file-max=100000"),
            ("net/core/rmem_default", "65536\n", "65536", "net.core.rmem_default=212992"),
            ("net/core/busy_poll", "50\n", "50", "net.core.busy_poll=0"),
        ];
        for (path, text, value, fix) in table {
            let found = findings(&[(path, Ok(text))]);
            assert_eq!(found.len(), 1, "{path}");
            assert_eq!(found[0].setting.replace('.', "/"), path);
            assert_eq!(found[0].current, Current::Value(value.to_owned()));
            let line = found[0].to_string();
            assert!(line.contains(fix) && line.contains(found[0].reason) && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_read_or_understood_is_unknown_and_never_fine() {
        for (path, _) in FINE {
            for fault in
                [Err(ErrorKind::PermissionDenied), Err(ErrorKind::NotFound), Ok(""), Ok("many"), Ok("-1")]
            {
                let found = findings(&[(path, fault)]);
                assert_eq!(found.len(), 1, "{path} {fault:?}");
                assert!(matches!(found[0].current, Current::Unknown(_)), "{path} {fault:?}");
                assert!(found[0].fix.contains("look on the host"), "{path} {fault:?}");
            }
        }
    }

    #[test]
    fn a_switch_that_the_kernel_is_too_old_to_have_is_no_finding_but_only_if_its_age_is_known() {
        let switch = ("kernel/io_uring_disabled", Err(ErrorKind::NotFound));
        let table = [
            (Ok("6.1.0-18-amd64"), vec![]),
            (Ok("6.5.13"), vec![]),
            (Ok("6.6.1"), vec!["kernel.io_uring_disabled"]),
            (Err(ErrorKind::NotFound), vec!["kernel.osrelease", "kernel.io_uring_disabled"]),
        ];
        for (release, expected) in table {
            let found = findings(&[("kernel/osrelease", release), switch]);
            let settings: Vec<&str> = found.iter().map(|finding| finding.setting).collect();
            assert_eq!(settings, expected, "{release:?}");
        }
        // An old kernel is no excuse for a file that is there and closed.
        let closed = ("kernel/io_uring_disabled", Err(ErrorKind::PermissionDenied));
        assert_eq!(findings(&[("kernel/osrelease", Ok("6.1.0")), closed]).len(), 1);
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic_and_in_the_order_of_weight(text in "\\PC{0,80}") {
            let found = check(|_| Ok(text.clone()));
            prop_assert!(found.is_sorted_by(|before, after| before.weight >= after.weight));
        }

        #[test]
        fn a_minimum_is_a_minimum(value: u64) {
            let text = value.to_string();
            let found = findings(&[("net/core/rmem_max", Ok(&text))]);
            prop_assert_eq!(found.is_empty(), value >= 4 << 20);
        }
    }
}

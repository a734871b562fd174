//! Whether this kernel has what the ring needs; each lack with its remedy.

use std::fmt;
use std::fs;

/// Oldest kernel with everything used: `DEFER_TASKRUN` and `SEND` with an address came with 6.1.
const KERNEL_FLOOR: (u32, u32) = (6, 1);

/// Releases in which the used operations are known to be broken.
const KERNELS_BROKEN: [(u32, u32, u32); 1] = [(6, 1, 7)];

/// Something that stands against io_uring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The kernel is older than 6.1; its release.
    KernelTooOld(String),
    /// This release has a fault in what is used.
    KernelBroken(String),
    /// `kernel.io_uring_disabled` forbids it; its value.
    Disabled(u8),
    /// Not allowed, and not by that sysctl: a system call filter of a container or unit.
    Forbidden,
    /// The kernel was built without it.
    NotBuilt,
    /// The limit on locked memory is too low; its value in bytes.
    LockedMemory(u64),
    /// A step of the set-up failed: which, and the errno.
    Step(&'static str, i32),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::KernelTooOld(release) => {
                write!(f, "kernel {release} is older than 6.1: install a newer kernel")
            }
            Finding::KernelBroken(release) => {
                write!(f, "kernel {release} loses receive buffers: install a later stable release")
            }
            Finding::Disabled(value) => {
                write!(f, "the kernel forbids it: set kernel.io_uring_disabled = 0 (now {value})")
            }
            Finding::Forbidden => write!(
                f,
                "a system call filter forbids it: allow io_uring_setup, io_uring_enter and io_uring_register"
            ),
            Finding::NotBuilt => write!(f, "the kernel was built without it: use one with CONFIG_IO_URING=y"),
            Finding::LockedMemory(bytes) => {
                write!(f, "the limit on locked memory is {bytes} bytes: set LimitMEMLOCK=64M or more")
            }
            Finding::Step(step, errno) => {
                write!(f, "{step}: {}", std::io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

impl std::error::Error for Finding {}

/// What can be said of the kernel without making a ring: nothing found means worth trying.
pub fn findings() -> Vec<Finding> {
    let release = release();
    let disabled = read("/proc/sys/kernel/io_uring_disabled");
    judge(&release, disabled.as_deref())
}

/// The kernel's release, from the kernel itself: a sandbox may hide the file that says the same.
fn release() -> String {
    // SAFETY: all-zero bytes are a valid `utsname`, an array of C strings.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live `utsname`, which the call fills with terminated strings; the result is checked.
    if unsafe { libc::uname(&mut name) } != 0 {
        return String::new();
    }
    let bytes: Vec<u8> = name.release.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Explains why step `step` of making a ring failed.
pub(crate) fn explain(step: &'static str, errno: i32) -> Finding {
    if let Some(finding) = findings().into_iter().next() {
        return finding;
    }
    match errno {
        libc::ENOSYS => Finding::NotBuilt,
        libc::EPERM | libc::EACCES => Finding::Forbidden,
        libc::ENOMEM => Finding::LockedMemory(locked_memory_limit()),
        _ => Finding::Step(step, errno),
    }
}

fn judge(release: &str, disabled: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|text| text.parse().unwrap_or(0u32));
    let mut next = || numbers.next().unwrap_or(0);
    let version = (next(), next(), next());
    if (version.0, version.1) < KERNEL_FLOOR {
        findings.push(Finding::KernelTooOld(release.to_string()));
    }
    if KERNELS_BROKEN.contains(&version) {
        findings.push(Finding::KernelBroken(release.to_string()));
    }
    // 1 lets one group and the privileged in: only trying tells.
    if disabled == Some("2") {
        findings.push(Finding::Disabled(2));
    }
    findings
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_string())
}

fn locked_memory_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is ours to write.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    limit.rlim_cur
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lack_is_found_and_nothing_else() {
        let too_old = |release: &str| Finding::KernelTooOld(release.to_string());
        let rows = [
            ("6.18.44-fc", Some("0"), vec![]),
            ("6.1.0-18-amd64", None, vec![]),
            ("6.1.7", None, vec![Finding::KernelBroken("6.1.7".to_string())]),
            ("6.0.19", None, vec![too_old("6.0.19")]),
            ("5.15.0-generic", Some("2"), vec![too_old("5.15.0-generic"), Finding::Disabled(2)]),
            ("6.12.1", Some("1"), vec![]),
            ("7.0-rc1", Some("0"), vec![]),
            ("", None, vec![too_old("")]),
        ];
        for (release, disabled, expected) in rows {
            assert_eq!(judge(release, disabled), expected, "{release}");
        }
    }

    #[test]
    fn every_finding_names_its_remedy() {
        let rows = [
            (Finding::Disabled(2), "kernel.io_uring_disabled = 0"),
            (Finding::LockedMemory(65_536), "LimitMEMLOCK"),
            (Finding::KernelTooOld("5.10".to_string()), "newer kernel"),
            (Finding::Forbidden, "allow io_uring_setup"),
            (Finding::NotBuilt, "CONFIG_IO_URING"),
        ];
        for (finding, remedy) in rows {
            assert!(finding.to_string().contains(remedy), "{finding}");
        }
    }
}

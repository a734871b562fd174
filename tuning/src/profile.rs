//! The settings of [`HOST`] as a sysctl.d(5) file, installed as `/usr/lib/sysctl.d/30-sluice.conf`.

use std::fmt::Write;

use crate::host::{HOST, Wanted};

/// The text of the file: each setting that is set under its reason.
pub fn render() -> String {
    let mut text = HEAD.to_owned();
    for setting in HOST.iter().filter(|setting| setting.in_profile) {
        let Wanted::AtLeast(value) = setting.wanted else { continue };
        let mut letters = setting.reason.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase()).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(text, "\n# {first}{}.\n{} = {value}\n", letters.as_str(), setting.key);
    }
    text
}

const HEAD: &str = "\
# Host settings for Sluice. Generated: `cargo run -p tuning --example profile` prints this file, tuning/src/host.rs has the data.
#
# Installed as /usr/lib/sysctl.d/30-sluice.conf. Files with a later name win over it, so that what a host sets by itself stands.
# What the kernel sizes by the machine's memory is not set here; `sluice tune check` looks at all.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_that_sets_has_its_reason_above_it() {
        let text = render();
        let lines: Vec<&str> = text.lines().collect();
        let sets: Vec<usize> = (0..lines.len()).filter(|line| lines[*line].contains(" = ")).collect();
        assert_eq!(sets.len(), HOST.iter().filter(|setting| setting.in_profile).count());
        for line in sets {
            assert!(lines[line - 1].starts_with("# ") && !lines[line].starts_with('#'), "{}", lines[line]);
        }
    }

    #[test]
    fn a_host_set_by_the_profile_has_no_finding_on_what_the_profile_sets() {
        let text = render();
        let found = crate::check(|path| {
            let key = path.replace('/', ".");
            let set = text.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")));
            set.map(str::to_owned).ok_or_else(|| std::io::ErrorKind::NotFound.into())
        });
        for finding in found {
            let setting = HOST.iter().find(|setting| setting.key == finding.setting).expect("from the table");
            assert!(!setting.in_profile, "{finding}");
        }
    }

    #[test]
    fn the_file_in_the_repository_is_the_one_rendered() {
        let committed = include_str!("../../systemd/30-sluice.conf");
        assert!(
            committed == render(),
            "systemd/30-sluice.conf is not what is rendered: cargo run -p tuning --example profile > systemd/30-sluice.conf"
        );
    }
}

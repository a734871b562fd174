//! `sluice tune`: what of the host's settings is off, setting it, and putting it back.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tuning::{Changes, Current, Finding, HOST, Journal, Plan, Profile, Step, Target, ThisHost, Weight};

use crate::command_line::{TuneApply, TuneChange, TuneCheck, TuneHost};

/// Looks and prints.
pub(crate) fn check(arguments: &TuneCheck) -> ExitCode {
    let looked = Looked::at(&arguments.host);
    print(&if arguments.json { looked.json() } else { looked.report() });
    if looked.passes() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Sets what is off.
pub(crate) fn apply(TuneApply { host, change }: &TuneApply) -> ExitCode {
    let looked = Looked::at(host);
    let steps = &looked.plan.steps;
    if change.dry_run || steps.is_empty() {
        let outcome = if steps.is_empty() { "nothing to change" } else { "would be changed" };
        return applied(change.json, looked.profile, steps, outcome, &[]);
    }
    let mut changes = match read(&change.state) {
        Ok(changes) => changes.since_start(&ThisHost),
        Err(error) => return cannot(&change.state, &error),
    };
    let mut file = File(change.state.clone());
    match tuning::apply(&mut ThisHost, &mut file, &mut changes, looked.profile, steps) {
        Ok(()) => applied(change.json, looked.profile, steps, "changed", &[]),
        Err(failure) => {
            eprintln!("error: {}: {}", failure.step, failure.error);
            applied(change.json, looked.profile, steps, "failed and taken back", &failure.stuck);
            ExitCode::FAILURE
        }
    }
}

/// Puts back what was set.
pub(crate) fn revert(arguments: &TuneChange) -> ExitCode {
    let mut changes = match read(&arguments.state) {
        Ok(changes) => changes.since_start(&ThisHost),
        Err(error) => return cannot(&arguments.state, &error),
    };
    if arguments.dry_run {
        let lines: Vec<String> = changes
            .changes
            .iter()
            .map(|change| format!("{} = {}", change.target.name(), change.before))
            .collect();
        if arguments.json {
            print(&format!(
                "{}\n",
                serde_json::json!({ "outcome": "would be put back", "changes": changes.changes })
            ));
        } else {
            lines.iter().for_each(|line| print(&format!("{line}\n")));
            print(&format!("{} settings would be put back.\n", lines.len()));
        }
        return ExitCode::SUCCESS;
    }
    let reverted = tuning::revert(&mut ThisHost, &mut changes);
    let kept = if changes.changes.is_empty() {
        remove(&arguments.state)
    } else {
        File(arguments.state.clone()).keep(&changes)
    };
    if arguments.json {
        print(&format!("{}\n", serde_json::json!({ "outcome": "put back", "reverted": reverted })));
    } else {
        let groups =
            [("put back", &reverted.restored), ("left alone", &reverted.left), ("error", &reverted.stuck)];
        for (word, lines) in groups {
            lines.iter().for_each(|line| print(&format!("{word}: {line}\n")));
        }
        print(&format!(
            "{} settings put back, {} left alone.\n",
            reverted.restored.len(),
            reverted.left.len()
        ));
    }
    match kept {
        Err(error) => cannot(&arguments.state, &error),
        Ok(()) if reverted.stuck.is_empty() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
    }
}

/// What is found on this host.
pub(crate) struct Looked {
    pub(crate) profile: Profile,
    pub(crate) findings: Vec<Finding>,
    pub(crate) plan: Plan,
}

impl Looked {
    fn at(host: &TuneHost) -> Looked {
        let profile = Profile::named(&host.profile).unwrap_or_else(|| Profile::detect(&ThisHost));
        Looked::with(profile, &host.interface)
    }

    /// As for `profile`.
    pub(crate) fn with(profile: Profile, interfaces: &[String]) -> Looked {
        let findings = tuning::check(|path| std::fs::read_to_string(format!("/proc/sys/{path}")));
        Looked { profile, findings, plan: tuning::plan(&ThisHost, profile, interfaces) }
    }

    /// Changes beside those of sysctl keys, which the findings name already.
    pub(crate) fn devices(&self) -> impl Iterator<Item = &Step> {
        self.plan.steps.iter().filter(|step| !matches!(step.target, Target::Sysctl(_)))
    }

    /// Whether nothing that matters is off. What matters and is unknown does not pass.
    fn passes(&self) -> bool {
        self.findings.iter().all(|finding| finding.weight < Weight::Matters)
            && self.devices().all(|step| step.weight < Weight::Matters)
            && self.plan.advice.iter().all(|advice| advice.weight < Weight::Matters)
    }

    fn json(&self) -> String {
        let object = serde_json::json!({
            "passes": self.passes(),
            "profile": self.profile,
            "checked": HOST.len(),
            "findings": self.findings,
            "steps": self.plan.steps,
            "advice": self.plan.advice,
        });
        format!("{object}\n")
    }

    /// One line a finding, and one that sums up.
    fn report(&self) -> String {
        let mut text: String =
            self.findings.iter().map(|finding| format!("{}: {finding}\n", label(finding.weight))).collect();
        for step in self.devices() {
            let Step { target, before, after, weight, reason } = step;
            text.push_str(&format!(
                "{}: {} is {before}, wanted: {after} ({reason}); run: {}\n",
                label(*weight),
                target.name(),
                target.command(after)
            ));
        }
        for advice in &self.plan.advice {
            text.push_str(&format!("{}: {}; {}\n", label(advice.weight), advice.reason, advice.fix));
        }
        let unknown =
            self.findings.iter().filter(|finding| matches!(finding.current, Current::Unknown(_))).count();
        let off = self.findings.len() - unknown;
        let fine = HOST.len() - self.findings.len();
        text.push_str(&format!("{} settings: {fine} as wanted, {off} off, {unknown} unknown.", HOST.len()));
        text.push_str(if self.passes() { " Nothing that matters is off.\n" } else { "\n" });
        if !self.plan.steps.is_empty() {
            text.push_str(&format!(
                "All {} that can be set at once: sudo sluice tune apply --profile {} (sluice tune revert undoes it).\n",
                self.plan.steps.len(),
                self.profile
            ));
        }
        text
    }
}

fn applied(json: bool, profile: Profile, steps: &[Step], outcome: &str, stuck: &[String]) -> ExitCode {
    if json {
        let object =
            serde_json::json!({ "outcome": outcome, "profile": profile, "steps": steps, "stuck": stuck });
        print(&format!("{object}\n"));
    } else {
        steps.iter().for_each(|step| print(&format!("{step}\n")));
        stuck.iter().for_each(|line| print(&format!("error: could not be taken back: {line}\n")));
        print(&format!("{} settings, profile {profile}: {outcome}.\n", steps.len()));
    }
    if stuck.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn label(weight: Weight) -> &'static str {
    match weight {
        Weight::Matters => "warning",
        Weight::Helps => "advice",
        Weight::Informs => "note",
    }
}

/// Whoever closes the pipe early has read enough.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

fn cannot(state: &Path, error: &io::Error) -> ExitCode {
    eprintln!("error: {}: {error}", state.display());
    ExitCode::FAILURE
}

/// Keeps changes in a file.
struct File(PathBuf);

impl Journal for File {
    /// Written aside, then put in place, each forced to the disk: at any moment one whole file is there.
    fn keep(&mut self, changes: &Changes) -> io::Result<()> {
        let folder = self.0.parent().unwrap_or(Path::new("/"));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let aside = self.0.with_extension("new");
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(serde_json::to_string_pretty(changes)?.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&aside, &self.0)?;
        std::fs::File::open(folder)?.sync_all()
    }
}

/// The noted changes; none if there is no file. A file that another user wrote is not followed.
fn read(state: &Path) -> io::Result<Changes> {
    let metadata = match std::fs::metadata(state) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Changes::default()),
        Err(error) => return Err(error),
    };
    if metadata.uid() != nix::unistd::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other(
            "belongs to another user or can be written by others; it is not followed",
        ));
    }
    serde_json::from_str(&std::fs::read_to_string(state)?).map_err(io::Error::other)
}

fn remove(state: &Path) -> io::Result<()> {
    match std::fs::remove_file(state) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The folder is ours alone if it is the usual one; another's that holds more stays.
    if let Some(folder) = state.parent().filter(|_| state == Path::new(CHANGES)) {
        let _ = std::fs::remove_dir(folder);
    }
    Ok(())
}

/// Apart from the folder of the service, which the service may write: this is followed with root's rights.
pub(crate) const CHANGES: &str = "/var/lib/sluice-tune/changes.json";

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    /// What is found on a host as wanted but for the file `path`, which reads `text`.
    fn looked(path: &str, text: &str) -> Looked {
        let fine = |key: &str| match key {
            "kernel/osrelease" => "6.12.0",
            "kernel/io_uring_disabled" | "net/core/busy_poll" => "0",
            "net/ipv4/udp_mem" => "1000000 1000000 1000000",
            _ => "9000000",
        };
        let findings = tuning::check(|key| Ok(if key == path { text } else { fine(key) }.to_owned()));
        Looked { profile: Profile::Shared, findings, plan: Plan::default() }
    }

    #[test]
    fn only_what_matters_fails_the_check() {
        let table = [
            ("", "", true),
            ("net/core/rmem_max", "212992", false),
            ("kernel/io_uring_disabled", "2", false),
            ("net/core/rmem_max", "?", false),
            ("net/core/netdev_budget", "300", true),
            ("net/core/busy_poll", "50", true),
        ];
        for (path, text, expected) in table {
            assert_eq!(looked(path, text).passes(), expected, "{path} {text}");
        }
    }

    #[test]
    fn each_finding_is_one_line_and_the_last_line_counts_them() {
        let text = looked("net/core/rmem_max", "212992").report();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].starts_with("warning: net.core.rmem_max is 212992"), "{text}");
        assert_eq!(lines[1], "11 settings: 10 as wanted, 1 off, 0 unknown.");

        let mut hidden = looked("", "");
        hidden.findings = tuning::check(|_| Err(Error::from(ErrorKind::NotFound)));
        let text = hidden.report();
        assert!(text.ends_with("11 settings: 0 as wanted, 0 off, 11 unknown.\n"), "{text}");
    }

    #[test]
    fn what_can_be_set_is_shown_with_the_command_that_sets_it() {
        let mut looked = looked("", "");
        looked.plan.steps.push(Step {
            target: Target::Queues { interface: "eth0".to_owned() },
            before: "2".to_owned(),
            after: "8".to_owned(),
            weight: Weight::Matters,
            reason: "each queue interrupts one core",
        });
        let text = looked.report();
        assert!(text.contains("warning: eth0 queues is 2, wanted: 8"), "{text}");
        assert!(text.contains("sudo ethtool --set-channels eth0 combined 8"), "{text}");
        assert!(text.contains("sudo sluice tune apply --profile shared"), "{text}");
        assert!(!looked.passes());
    }

    #[test]
    fn machines_read_one_object_with_every_part_of_a_finding() {
        let text = looked("net/core/wmem_max", "4096").json();
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((object["passes"].as_bool(), object["checked"].as_u64()), (Some(false), Some(11)));
        let finding = &object["findings"][0];
        assert_eq!(finding["current"]["value"], "4096");
        for part in ["setting", "wanted", "unit", "weight", "reason", "fix"] {
            assert!(finding[part].is_string(), "{part}: {text}");
        }
        assert_eq!(object["profile"], "shared");
    }

    #[test]
    fn the_note_of_changes_comes_back_and_one_that_others_may_write_is_not_followed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("sluice-tune-{}", std::process::id()));
        let state = folder.join("changes.json");
        assert_eq!(read(&state).unwrap(), Changes::default(), "no file: no changes");
        let changes = Changes { boot: "one".to_owned(), ..Changes::default() };
        File(state.clone()).keep(&changes).unwrap();
        assert_eq!(read(&state).unwrap(), changes);
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(read(&state).unwrap_err().to_string().contains("not followed"));
        remove(&state).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

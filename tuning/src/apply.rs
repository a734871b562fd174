//! Carries a plan out so that it can be undone: every value is noted before it is changed, a failure takes all of it back.

use std::io;

use serde::{Deserialize, Serialize};

use crate::plan::{Profile, Step};
use crate::system::System;
use crate::target::{Target, same};

/// What was changed since the machine started, in order. Kept in a file between `apply` and `revert`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// The start of the machine that they belong to: after another one nothing of them is left.
    pub boot: String,
    /// Name of the profile.
    pub profile: String,
    /// The changes.
    pub changes: Vec<Change>,
}

/// One change that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What was changed.
    pub target: Target,
    /// What it was.
    pub before: String,
    /// What it was set to.
    pub after: String,
}

/// Where [`Changes`] are kept.
pub trait Journal {
    /// Keeps them, so that they survive a crash right after.
    ///
    /// # Errors
    /// They could not be kept; then nothing further must be changed.
    fn keep(&mut self, changes: &Changes) -> io::Result<()>;
}

/// Why a plan was not carried out.
#[derive(Debug)]
pub struct ApplyError {
    /// What failed.
    pub step: String,
    /// How.
    pub error: io::Error,
    /// What could not be put back, with what it said; empty: all is as it was.
    pub stuck: Vec<String>,
}

/// What became of the changes in [`revert`].
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reverted {
    /// Put back.
    pub restored: Vec<String>,
    /// Someone else changed it since; left alone.
    pub left: Vec<String>,
    /// Could not be put back, with what it said.
    pub stuck: Vec<String>,
}

impl Changes {
    /// Those of this start of the machine, or none.
    pub fn since_start(self, system: &impl System) -> Changes {
        let boot = boot(system);
        if self.boot == boot { self } else { Changes { boot, ..Changes::default() } }
    }

    fn note(&mut self, step: &Step) {
        match self.changes.iter_mut().find(|change| change.target == step.target) {
            // What it was before the first change is what it goes back to.
            Some(change) => change.after.clone_from(&step.after),
            None => {
                let Step { target, before, after, .. } = step.clone();
                self.changes.push(Change { target, before, after });
            }
        }
    }
}

/// Carries out `steps`. On the first failure everything of this call is taken back.
///
/// # Errors
/// Which step failed and what could not be taken back.
pub fn apply(
    system: &mut impl System,
    journal: &mut impl Journal,
    changes: &mut Changes,
    profile: Profile,
    steps: &[Step],
) -> Result<(), ApplyError> {
    let earlier = changes.clone();
    changes.profile = profile.name().to_owned();
    for (done, step) in steps.iter().enumerate() {
        changes.note(step);
        let outcome = journal.keep(changes).and_then(|()| step.target.write(system, &step.after));
        let Err(error) = outcome else { continue };
        // The step that failed may have taken half: a card may have changed before it complained.
        let mut stuck = Vec::new();
        for undone in steps[..=done].iter().rev() {
            let now = undone.target.read(system);
            if now.is_ok_and(|now| same(&now, &undone.before)) {
                continue;
            }
            if let Err(error) = undone.target.write(system, &undone.before) {
                stuck.push(format!("{}: {error}", undone.target.name()));
            }
        }
        if stuck.is_empty() {
            *changes = earlier;
        }
        let kept = journal.keep(changes);
        stuck.extend(kept.err().map(|error| format!("the note of what was changed: {error}")));
        return Err(ApplyError { step: step.to_string(), error, stuck });
    }
    Ok(())
}

/// Puts back what was changed and is still as it was set, the last change first. What cannot be put back stays noted.
pub fn revert(system: &mut impl System, changes: &mut Changes) -> Reverted {
    let mut reverted = Reverted::default();
    let mut remaining = Vec::new();
    for change in std::mem::take(&mut changes.changes).into_iter().rev() {
        let name = change.target.name();
        match change.target.read(system) {
            Ok(now) if same(&now, &change.before) => reverted.restored.push(format!("{name} = {now}")),
            Ok(now) if !same(&now, &change.after) => {
                reverted.left.push(format!("{name} is {now}, which is neither what it was nor what was set"));
            }
            Ok(_) => match change.target.write(system, &change.before) {
                Ok(()) => reverted.restored.push(format!("{name} = {}", change.before)),
                Err(error) => {
                    reverted.stuck.push(format!("{name}: {error}"));
                    remaining.push(change);
                }
            },
            // A card that was taken out has no settings to put back.
            Err(error) => reverted.left.push(format!("{name} cannot be read any more: {error}")),
        }
    }
    remaining.reverse();
    changes.changes = remaining;
    reverted
}

fn boot(system: &impl System) -> String {
    system.read("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests;

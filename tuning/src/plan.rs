//! What would be changed on a host, by profile: only what is off, only what can be read, each with its reason.

use std::fmt;

use serde::Serialize;

use crate::card;
use crate::host::{HOST, Wanted, Weight};
use crate::processor;
use crate::system::System;
use crate::target::Target;

/// What kind of host it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// A machine for this server alone: processors, cards and interrupts are set for it.
    Dedicated,
    /// A machine with other work: only what harms nobody.
    Shared,
    /// A virtual machine: what the guest decides; power and interrupts are the host's.
    Vm,
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 3] = [Profile::Dedicated, Profile::Shared, Profile::Vm];

    /// By its name.
    pub fn named(name: &str) -> Option<Profile> {
        Profile::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Dedicated => "dedicated",
            Profile::Shared => "shared",
            Profile::Vm => "vm",
        }
    }

    /// The one that surely does no harm here: `vm` in a guest, else `shared`. `dedicated` is for people to say.
    pub fn detect(system: &impl System) -> Profile {
        let guest = system.read("/proc/cpuinfo").is_ok_and(|text| {
            text.lines().any(|line| line.split_whitespace().any(|word| word == "hypervisor"))
        });
        if guest { Profile::Vm } else { Profile::Shared }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What is changed.
    pub target: Target,
    /// What it is.
    pub before: String,
    /// What it is to be.
    pub after: String,
    /// How much it matters.
    pub weight: Weight,
    /// Why, in one sentence.
    pub reason: &'static str,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {} ({})", self.target.name(), self.before, self.after, self.reason)
    }
}

/// Something that is off and not ours to change: why, and what a person can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// What it is about.
    pub about: String,
    /// How much it matters.
    pub weight: Weight,
    /// What is found and why it matters, in one sentence.
    pub reason: String,
    /// What to do.
    pub fix: String,
}

/// What to change and what to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Changes, in the order in which they are made.
    pub steps: Vec<Step>,
    /// What is left to people.
    pub advice: Vec<Advice>,
}

/// Looks at the host. `interfaces` are looked at besides the cards that are found.
pub fn plan(system: &impl System, profile: Profile, interfaces: &[String]) -> Plan {
    let mut plan = Plan::default();
    sysctl(system, &mut plan);
    for interface in card::interfaces(system, interfaces) {
        card::plan(system, profile, &interface, &mut plan);
    }
    if profile == Profile::Dedicated {
        processor::plan(system, &mut plan);
    }
    processor::advise(system, profile, &mut plan);
    plan
}

/// A finding becomes a step if the setting is one that the profile sets and its value can be read.
fn sysctl(system: &impl System, plan: &mut Plan) {
    for setting in HOST.iter().filter(|setting| setting.in_profile) {
        let Wanted::AtLeast(least) = setting.wanted else { continue };
        let target = Target::Sysctl(setting.key.to_owned());
        let Ok(before) = target.read(system) else { continue };
        let Ok(value) = before.parse::<u64>() else { continue };
        if value < least {
            plan.propose(target, before, least.to_string(), setting.weight, setting.reason);
        }
    }
}

impl Plan {
    /// Takes a change up unless it is none.
    pub(crate) fn propose(
        &mut self,
        target: Target,
        before: String,
        after: String,
        weight: Weight,
        reason: &'static str,
    ) {
        if !crate::target::same(&before, &after) {
            self.steps.push(Step { target, before, after, weight, reason });
        }
    }

    /// As [`Plan::propose`], if the setting can be read at all.
    pub(crate) fn want(
        &mut self,
        system: &impl System,
        target: Target,
        after: &str,
        weight: Weight,
        reason: &'static str,
    ) {
        if let Ok(before) = target.read(system) {
            self.propose(target, before, after.to_owned(), weight, reason);
        }
    }
}

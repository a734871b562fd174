//! Processors: clock governor, sleep states, siblings, isolation; and connection tracking, which costs them.

use crate::host::Weight;
use crate::plan::{Advice, Plan, Profile};
use crate::system::System;
use crate::target::Target;

/// Adds what is off on a machine for this server alone.
pub(crate) fn plan(system: &impl System, plan: &mut Plan) {
    for cpu in processors(system) {
        let governor = Target::File(format!("{CPU}/{cpu}/cpufreq/scaling_governor"));
        let available =
            system.read(&format!("{CPU}/{cpu}/cpufreq/scaling_available_governors")).unwrap_or_default();
        if available.split_whitespace().any(|name| name == "performance") {
            plan.want(system, governor, "performance", Weight::Helps, GOVERNOR_REASON);
        }
        for state in system.list(&format!("{CPU}/{cpu}/cpuidle")) {
            let folder = format!("{CPU}/{cpu}/cpuidle/{state}");
            let latency = system
                .read(&format!("{folder}/latency"))
                .ok()
                .and_then(|text| text.trim().parse::<u64>().ok());
            if latency.is_some_and(|latency| latency > LATENCY_MAX_US) {
                plan.want(
                    system,
                    Target::File(format!("{folder}/disable")),
                    "1",
                    Weight::Helps,
                    SLEEP_REASON,
                );
            }
        }
    }
}

/// Says what only a person can decide.
pub(crate) fn advise(system: &impl System, profile: Profile, plan: &mut Plan) {
    if profile == Profile::Dedicated
        && system.read(&format!("{CPU}/smt/control")).is_ok_and(|text| text.trim() == "on")
    {
        plan.advice.push(Advice {
            about: "SMT siblings".to_owned(),
            weight: Weight::Informs,
            reason: "two media threads on the siblings of one core share its caches and units, and each takes longer".to_owned(),
            fix: "set media.workers to the number of whole cores (lscpu: Core(s) per socket)".to_owned(),
        });
    }
    let entries = system
        .read("/proc/sys/net/netfilter/nf_conntrack_count")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    let most = system
        .read("/proc/sys/net/netfilter/nf_conntrack_max")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    if let (Some(entries), Some(most)) = (entries, most)
        && entries > 0
    {
        let full = entries * 10 >= most * 9;
        plan.advice.push(Advice {
            about: "connection tracking".to_owned(),
            weight: if full { Weight::Matters } else { Weight::Informs },
            reason: format!(
                "the firewall tracks connections ({entries} of {most}): each media packet is looked up, and a full table drops"
            ),
            fix: CONNTRACK_FIX.to_owned(),
        });
    }
}

fn processors(system: &impl System) -> Vec<String> {
    let numbered = |name: &String| {
        name.strip_prefix("cpu")
            .is_some_and(|number| !number.is_empty() && number.chars().all(|digit| digit.is_ascii_digit()))
    };
    system.list(CPU).into_iter().filter(numbered).collect()
}

const CPU: &str = "/sys/devices/system/cpu";

/// Waking from deeper states takes longer than a packet may.
const LATENCY_MAX_US: u64 = 100;

const GOVERNOR_REASON: &str =
    "a core that lowers its clock between packets takes milliseconds to come back to speed";
const SLEEP_REASON: &str =
    "waking from this state takes over 100 microseconds, which the first packet after a pause waits";

/// Rules of our own would break a firewall that accepts answers by connection state, so they are only shown.
const CONNTRACK_FIX: &str = "if UDP 10000 is open without regard to state: nft add table inet media; nft add chain inet media in \
    '{ type filter hook prerouting priority raw; }'; nft add rule inet media in udp dport 10000 notrack; the same for output with \
    udp sport";

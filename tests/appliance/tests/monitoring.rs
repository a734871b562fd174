//! Alert rules, judged by Prometheus' own tool. Without `promtool` the tests say that they were skipped.

use std::process::Command;

use appliance::{program, root, skipped};

#[test]
fn prometheus_loads_the_rules_and_each_alert_speaks_when_it_should() {
    let Some(promtool) = program("promtool") else {
        return skipped("the alert rules", "promtool is not installed (package prometheus)");
    };
    for arguments in [
        ["check", "rules", "control-plane/monitoring/alerts.yml"],
        ["check", "config", "control-plane/monitoring/prometheus.yml"],
        ["test", "rules", "tests/appliance/alerts_test.yml"],
    ] {
        let output = Command::new(&promtool).args(arguments).current_dir(root()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    }
}

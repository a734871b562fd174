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

#[test]
fn every_query_of_the_dashboards_is_one() {
    let Some(promtool) = program("promtool") else {
        return skipped("the queries of the dashboards", "promtool is not installed (package prometheus)");
    };
    let mut rules = String::from("groups:\n- name: queries\n  rules:\n");
    let mut queries = 0;
    for board in ["overview.json", "workers.json"] {
        let text = std::fs::read_to_string(root().join("control-plane/monitoring").join(board))
            .expect("it is there");
        for line in text.lines() {
            let Some((_, expression)) = line.split_once("\"expr\": ") else { continue };
            // What Grafana fills in. A JSON text is a YAML text.
            let expression =
                expression.trim_end_matches(',').replace("$__rate_interval", "1m").replace("$instance", ".*");
            rules.push_str(&format!("  - record: query:{queries}\n    expr: {expression}\n"));
            queries += 1;
        }
    }
    assert!(queries > 40, "{queries}");
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("queries.yml");
    std::fs::write(&file, rules).expect("written");
    let output = Command::new(promtool).args(["check", "rules"]).arg(&file).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

//! Holds docs/metrics.md and the files in control-plane/monitoring to what the page prints.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;
use crate::status::{Rates, WorkerSample};

fn printed() -> String {
    let status = Arc::new(Status::new());
    status.put(Sample {
        at: Instant::now(),
        taken: true,
        signaling: signaling::Snapshot::default(),
        workers: vec![WorkerSample { silent_for: Duration::ZERO, statistics: Some(Statistics::new()) }],
        rates: Rates::default(),
        seats: Vec::new(),
    });
    page(&status).unwrap()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Name, with `_total` for counters, and kind of each metric.
fn metrics(page: &str) -> Vec<(String, String)> {
    let declared = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    declared
        .map(|(name, kind)| {
            let suffix = if kind == "counter" { "_total" } else { "" };
            (format!("{name}{suffix}"), kind.to_owned())
        })
        .collect()
}

/// The rows of the documentation.
fn rows(page: &str) -> String {
    let mut rows = String::new();
    for (name, kind) in metrics(page) {
        let base = name.strip_suffix("_total").unwrap_or(&name);
        let help =
            page.lines().find_map(|line| line.strip_prefix(&format!("# HELP {base} "))).unwrap_or_default();
        let sample =
            page.lines().find(|line| line.starts_with(base) && line.contains('{')).unwrap_or_default();
        let of_this = sample.split(['{', ' ']).next().is_some_and(|full| {
            ["", "_total", "_bucket", "_sum", "_count"].iter().any(|end| full == format!("{base}{end}"))
        });
        let labels: Vec<&str> = match sample.split_once('{').filter(|_| of_this) {
            None => Vec::new(),
            Some((_, labels)) => labels
                .split('"')
                .step_by(2)
                .filter_map(|part| part.trim_start_matches(',').strip_suffix('='))
                .filter(|label| *label != "le")
                .collect(),
        };
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        rows.push_str(&format!("| `{name}` | {kind} | {labels} | {} |\n", help.trim_end_matches('.')));
    }
    rows
}

fn reasons() -> String {
    let row = |reason: &DropReason| {
        format!("| `{}` | {} |\n", reason.label(), reason.help().trim().trim_end_matches('.'))
    };
    DropReason::ALL.iter().map(row).collect()
}

/// `SLUICE_WRITE_DOCS=1 cargo test -p sluice documented` writes the tables anew.
#[test]
fn the_documentation_lists_what_the_page_prints() {
    let path = root().join("docs/metrics.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let head = text.split("| metric |").next().unwrap();
    let expected = format!(
        "{head}| metric | kind | labels | meaning |\n|---|---|---|---|\n{}\n{REASONS_HEAD}{}",
        rows(&printed()),
        reasons()
    );
    if std::env::var_os("SLUICE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
        return;
    }
    for line in expected.lines() {
        assert!(text.lines().any(|own| own == line), "docs/metrics.md lacks this line; {AGAIN}\n{line}");
    }
    assert!(text == expected, "docs/metrics.md has lines that the page has not; {AGAIN}");
}

#[test]
fn dashboards_and_alerts_use_metrics_that_exist() {
    let known: BTreeSet<String> = metrics(&printed())
        .into_iter()
        .flat_map(|(name, kind)| match kind.as_str() {
            "histogram" => ["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")).to_vec(),
            _ => vec![name],
        })
        .collect();
    let folder = root().join("control-plane/monitoring");
    let mut used = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        if path.extension().is_some_and(|ending| ending == "json") {
            let board: serde_json::Value = serde_json::from_str(&text).unwrap();
            for panel in board["panels"].as_array().unwrap() {
                let titled = panel["title"].is_string() && panel["gridPos"]["w"].is_u64();
                let queried = panel["type"] == "row" || panel["targets"][0]["expr"].is_string();
                assert!(titled && queried, "{}: {panel}", path.display());
            }
        }
        for word in text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
            if word.starts_with("sluice_") {
                assert!(known.contains(word), "{}: no metric {word}", path.display());
                used.insert(word.to_owned());
            }
        }
    }
    assert!(used.len() > 40, "the dashboards show most of what there is: {}", used.len());
}

const REASONS_HEAD: &str = "## Reasons of `sluice_worker_drops_total`\n\n| reason | meaning |\n|---|---|\n";

const AGAIN: &str = "write it anew with SLUICE_WRITE_DOCS=1 cargo test -p sluice documented";

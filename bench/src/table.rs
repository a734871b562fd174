//! Figures for people and for programs.

use serde_json::{Value, json};

use crate::options::{Run, Shape};
use crate::rounds::Cost;

/// One line: what was measured at a shape, and the ratios that were formed from it.
#[derive(Clone, Debug)]
pub struct Line {
    /// At which shape.
    pub shape: Shape,
    /// The measurement.
    pub cost: Cost,
    /// Named ratios to other lines of the same run.
    pub ratios: Vec<(String, f64)>,
}

/// Print what the columns mean.
pub fn print_head() {
    println!("ns of CPU per datagram sent: median (least..most) of the rounds");
    println!("{:>3} {:>4} {:>6}  {:<28} {:>8}  {:>17}", "B", "N", "bytes", "loop", "ns", "least..most");
}

/// Print one line.
pub fn print(line: &Line) {
    let Line { shape, cost, .. } = line;
    let range = format!("{:.0}..{:.0}", cost.least, cost.most);
    let mut text = format!(
        "{:>3} {:>4} {:>6}  {:<28} {:>8.0}  {:>17}",
        shape.batch, shape.receivers, shape.bytes, cost.name, cost.median, range
    );
    if let Some(per_send) = cost.per_send {
        text.push_str(&format!("  {per_send:.1} a send"));
    }
    for (of, ratio) in &line.ratios {
        text.push_str(&format!("  {ratio:.2} x {of}"));
    }
    println!("{text}");
}

/// Write all lines as JSON, if they are to be written.
pub fn write(run: &Run, tool: &str, lines: &[Line]) -> Result<(), String> {
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| {
            let ratios: Vec<Value> =
                line.ratios.iter().map(|(of, ratio)| json!({ "of": of, "ratio": ratio })).collect();
            json!({
                "batch": line.shape.batch,
                "receivers": line.shape.receivers,
                "bytes": line.shape.bytes,
                "loop": line.cost.name,
                "ns_median": line.cost.median,
                "ns_least": line.cost.least,
                "ns_most": line.cost.most,
                "datagrams_per_send": line.cost.per_send,
                "ratios": ratios,
            })
        })
        .collect();
    let unit = "ns of thread CPU time per datagram sent";
    run.write(&json!({ "tool": tool, "quick": run.quick, "unit": unit, "lines": lines }))
}

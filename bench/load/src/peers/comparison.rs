//! The same workload for one unit after the other, in turns, and what came of it: medians of the rounds.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::launch::Server;
use crate::peer::PeerError;
use crate::profile::Shape;
use crate::progress::Progress;
use crate::run::{INTERRUPTED, Outcome, Settings, run};
use crate::tally::Count;

/// Workloads of a comparison that is not told which, in sizes that every unit carries on a core, with what they are for.
pub const WORKLOADS: [(&str, &str); 3] = [
    ("B2", "3 rooms of 5, sound and 1 Mbit/s of each, all to all"),
    ("pairs", "rooms of 2, sound and 1 Mbit/s of each"),
    ("big-ln8", "one room of 30 with small pictures, two speak, each gets 8 pictures"),
];

/// Workloads whose size is in the name, beyond what JVB carries on a core.
pub const SIZED: [(&str, &str); 2] = [
    ("B2-N", "N rooms of 5, sound and 1 Mbit/s of each, all to all; 12 are the named B2"),
    ("big-N", "one room of N, three send sound and 1 Mbit/s, all get all"),
];

/// One unit under one workload.
#[derive(Clone, Debug)]
pub struct Row {
    /// Workload.
    pub workload: String,
    /// Unit.
    pub system: &'static str,
    /// Its version.
    pub version: String,
    /// What each round gave.
    pub rounds: Vec<Figures>,
    /// Rounds that gave nothing, with the reason.
    pub failures: Vec<String>,
}

/// What a round gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Packets that came, each once, by the CPU seconds of the server.
    pub forwarded_per_cpu_second: f64,
    /// Packets that came in a second.
    pub packets_per_second: f64,
    /// Cores that the server used.
    pub cores: f64,
    /// 50th, 99th, 99.9th percentile and maximum of audio packets and frame completions.
    pub delay_us: [u64; 4],
    /// Resident memory of the server at the end.
    pub rss_bytes: u64,
    /// Packets that never came.
    pub lost: u64,
    /// 50th and 99th percentile.
    pub first_media_ms: [u64; 2],
    /// UDP payload.
    pub mean_packet_bytes: f64,
    /// SRTP profile of most connections.
    pub cipher: &'static str,
    /// Streams that did not flow at the end.
    pub missing_streams: u64,
    /// The generator was the bottleneck.
    pub limited: bool,
}

/// The named workload in its size for comparisons.
///
/// # Errors
/// If there is none of this name.
pub fn workload(name: &str) -> Result<Shape, String> {
    let named = |base: &str, rooms: usize| {
        Shape::named(base).map(|shape| Shape { rooms, join_rate: JOIN_RATE, ..shape })
    };
    match name {
        "B2" => named("B2", 3),
        "pairs" => named("custom", 16).map(|shape| Shape { name: name.to_owned(), ..shape }),
        "big-ln8" => {
            let mut shape = named("custom", 1)?;
            for layer in &mut shape.video.layers {
                (layer.width, layer.height, layer.bitrate) = (320, 180, 200_000);
            }
            shape.wants.last_n = 8;
            Ok(Shape { name: name.to_owned(), participants: 30, audio_senders: 2, ..shape })
        }
        _ => of_chosen_size(name).unwrap_or_else(|| {
            let names: Vec<&str> = WORKLOADS.iter().chain(&SIZED).map(|(name, _)| *name).collect();
            Err(format!("--workload {name}: none of {}", names.join(", ")))
        }),
    }
}

/// One of [`SIZED`]; `None` if the name is none of theirs.
fn of_chosen_size(name: &str) -> Option<Result<Shape, String>> {
    let (kind, size) = name.rsplit_once('-')?;
    let size = size.parse().ok().filter(|size| *size > 0)?;
    let (base, named) = (if kind == "big" { "custom" } else { kind }, name.to_owned());
    let shape = Shape::named(base).map(|shape| Shape { name: named, join_rate: JOIN_RATE, ..shape });
    match kind {
        "B2" => Some(shape.map(|shape| Shape { rooms: size, ..shape })),
        "big" if size >= BIG_SENDERS => {
            let (audio_senders, video_senders) = (BIG_SENDERS, BIG_SENDERS);
            Some(shape.map(|shape| Shape { participants: size, audio_senders, video_senders, ..shape }))
        }
        _ => None,
    }
}

/// Loads all servers in turns: a round that does not count, then `rounds` that do.
pub fn compare(
    servers: &[Server],
    workloads: &[Shape],
    rounds: usize,
    settings: &Settings,
    progress: &mut Progress,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for shape in workloads {
        let mut of_shape: Vec<Row> = servers
            .iter()
            .map(|server| Row {
                workload: shape.name.clone(),
                system: server.system.name(),
                version: server.version.clone(),
                rounds: Vec::new(),
                failures: Vec::new(),
            })
            .collect();
        for round in 0..=rounds {
            for (server, row) in servers.iter().zip(&mut of_shape) {
                if INTERRUPTED.load(Ordering::Relaxed) {
                    break;
                }
                let outcome = once(server, shape, settings);
                // Of a run that was cut short there is nothing to say.
                if outcome.as_ref().is_ok_and(|outcome| outcome.partial) {
                    break;
                }
                progress.say(&line(shape, server, round, &outcome));
                match outcome {
                    Ok(outcome) if round > 0 => row.rounds.push(figures(&outcome)),
                    Err(error) if round > 0 => row.failures.push(error.0),
                    _ => {}
                }
            }
        }
        rows.append(&mut of_shape);
    }
    rows
}

fn once(server: &Server, shape: &Shape, settings: &Settings) -> Result<Outcome, PeerError> {
    let settings = Settings { server: Some(server.process()), ..settings.clone() };
    run(&shape.scenario(), &settings, &mut Progress::new(true), async || server.peer().await)
}

fn line(shape: &Shape, server: &Server, round: usize, outcome: &Result<Outcome, PeerError>) -> String {
    let which = if round == 0 { "to warm up".to_owned() } else { format!("round {round}") };
    let said = match outcome {
        Ok(outcome) => {
            let figures = figures(outcome);
            let mut said = format!(
                "{:.1} kpps, {:.2} cores, {:.0} packets a CPU second, {} lost",
                figures.packets_per_second / 1e3,
                figures.cores,
                figures.forwarded_per_cpu_second,
                figures.lost
            );
            if outcome.connected < outcome.endpoints {
                let why: Vec<&str> = outcome.failures.keys().map(String::as_str).collect();
                let _ =
                    write!(said, ", {} of {} in: {}", outcome.connected, outcome.endpoints, why.join("; "));
            }
            if figures.missing_streams > 0 {
                let _ = write!(said, ", {} streams do not flow", figures.missing_streams);
            }
            for why in &outcome.limited {
                let _ = write!(said, ", THE GENERATOR WAS THE BOTTLENECK: {why}");
            }
            said
        }
        Err(error) => format!("FAILED: {error}"),
    };
    format!("{:8} {:8} {which:10} {said}", shape.name, server.system.name())
}

fn figures(outcome: &Outcome) -> Figures {
    let usage = outcome.server.map(|(_, usage)| usage).unwrap_or_default();
    let (counters, delays) = (&outcome.counters, outcome.delays.experienced());
    let per = |what: f64, by: f64| if by > 0.0 { what / by } else { 0.0 };
    let first = &outcome.first_media_ms;
    Figures {
        forwarded_per_cpu_second: per(counters[Count::Received] as f64, usage.cpu_seconds),
        packets_per_second: per(counters[Count::Received] as f64, outcome.seconds),
        cores: per(usage.cpu_seconds, outcome.seconds),
        delay_us: [0.5, 0.99, 0.999, 1.0].map(|quantile| delays.value_at_quantile(quantile)),
        rss_bytes: usage.rss_bytes,
        lost: counters[Count::Lost],
        first_media_ms: [0.5, 0.99].map(|quantile| first.value_at_quantile(quantile)),
        mean_packet_bytes: per(
            counters[Count::ReceivedBytes] as f64,
            (counters[Count::Received] + counters[Count::Duplicates]) as f64,
        ),
        cipher: outcome.ciphers.iter().max_by_key(|(_, count)| **count).map_or("", |(name, _)| *name),
        missing_streams: outcome.streams.iter().map(|(live, expected)| expected.saturating_sub(*live)).sum(),
        limited: !outcome.limited.is_empty(),
    }
}

impl Row {
    /// The rounds in the middle, figure by figure; `None` where no round came to its end. Losses are those of all rounds.
    pub fn median(&self) -> Option<Figures> {
        let last = self.rounds.last()?;
        let real = |of: fn(&Figures) -> f64| {
            let mut values: Vec<f64> = self.rounds.iter().map(of).collect();
            values.sort_unstable_by(f64::total_cmp);
            f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
        };
        let whole = |of: &dyn Fn(&Figures) -> u64| {
            let mut values: Vec<u64> = self.rounds.iter().map(of).collect();
            values.sort_unstable();
            u64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
        };
        Some(Figures {
            forwarded_per_cpu_second: real(|round| round.forwarded_per_cpu_second),
            packets_per_second: real(|round| round.packets_per_second),
            cores: real(|round| round.cores),
            delay_us: [0, 1, 2, 3].map(|at| whole(&|round| round.delay_us[at])),
            rss_bytes: whole(&|round| round.rss_bytes),
            lost: self.rounds.iter().map(|round| round.lost).sum(),
            first_media_ms: [0, 1].map(|at| whole(&|round| round.first_media_ms[at])),
            mean_packet_bytes: real(|round| round.mean_packet_bytes),
            cipher: last.cipher,
            missing_streams: self.rounds.iter().map(|round| round.missing_streams).max().unwrap_or_default(),
            limited: self.rounds.iter().any(|round| round.limited),
        })
    }

    /// Cheapest and dearest round.
    fn spread(&self) -> [f64; 2] {
        let all = || self.rounds.iter().map(|round| round.forwarded_per_cpu_second);
        [all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max)]
    }

    fn json(&self) -> Value {
        let common = json!({
            "workload": self.workload, "system": self.system, "version": self.version, "failures": self.failures,
        });
        let (Value::Object(mut common), Some(median)) = (common, self.median()) else {
            return json!({ "workload": self.workload, "system": self.system, "version": self.version,
                "failures": self.failures });
        };
        let [p50, p99, p999, max] = median.delay_us;
        let [least, most] = self.spread();
        let rounds: Vec<f64> = self.rounds.iter().map(|round| round.forwarded_per_cpu_second).collect();
        let figures = json!({
            "forwarded_packets_per_cpu_second": median.forwarded_per_cpu_second,
            "forwarded_packets_per_cpu_second_least": least,
            "forwarded_packets_per_cpu_second_most": most,
            "rounds": rounds,
            "packets_per_second": median.packets_per_second,
            "server_cores": median.cores,
            "delay_us": { "p50": p50, "p99": p99, "p999": p999, "max": max },
            "rss_bytes": median.rss_bytes,
            "lost": median.lost,
            "time_to_first_media_ms": { "p50": median.first_media_ms[0], "p99": median.first_media_ms[1] },
            "mean_packet_bytes": median.mean_packet_bytes,
            "cipher": median.cipher,
            "streams_missing": median.missing_streams,
            "generator_limited": median.limited,
        });
        if let Value::Object(figures) = figures {
            common.extend(figures);
        }
        Value::Object(common)
    }
}

/// Whether something was lost, failed or limited; `None` if nothing came to its end.
pub fn status(rows: &[Row]) -> Option<bool> {
    let medians: Vec<Figures> = rows.iter().filter_map(Row::median).collect();
    let flawed = medians.iter().any(|median| median.lost > 0 || median.limited);
    (!medians.is_empty()).then_some(flawed || rows.iter().any(|row| !row.failures.is_empty()))
}

/// For programs: an array of what was compared.
pub fn json(rows: &[Row]) -> Value {
    Value::Array(rows.iter().map(Row::json).collect())
}

/// For people: a table. The last column is how many times more packets the first unit of the workload forwards in a CPU
/// second.
pub fn table(rows: &[Row]) -> String {
    let mut out = format!(
        "{:8} {:8} {:12} {:>9} {:>19} {:>7} {:>25} {:>7} {:>6} {:>6} {:>5}  {:24} {:>6}\n",
        "workload",
        "system",
        "version",
        "kpps",
        "packets a CPU s",
        "cores",
        "delay p50/p99/p99.9 us",
        "RSS MB",
        "lost",
        "first",
        "bytes",
        "cipher",
        "ratio"
    );
    for row in rows {
        let Some(median) = row.median() else {
            let why = row.failures.first().map_or("no round came to its end", String::as_str);
            let _ = writeln!(out, "{:8} {:8} {:12} {why}", row.workload, row.system, row.version);
            continue;
        };
        let first = rows.iter().find(|first| first.workload == row.workload).and_then(Row::median);
        let ratio =
            first.map_or(0.0, |first| first.forwarded_per_cpu_second / median.forwarded_per_cpu_second);
        let [least, most] = row.spread();
        let [p50, p99, p999, _] = median.delay_us;
        let _ = writeln!(
            out,
            "{:8} {:8} {:12} {:>9.1} {:>7.0} ({:.0}..{:.0}) {:>7.2} {:>25} {:>7.0} {:>6} {:>6} {:>5.0}  {:24} {ratio:>5.1}x{}",
            row.workload,
            row.system,
            row.version.chars().take(12).collect::<String>(),
            median.packets_per_second / 1e3,
            median.forwarded_per_cpu_second,
            least / 1e3,
            most / 1e3,
            median.cores,
            format!("{p50}/{p99}/{p999}"),
            median.rss_bytes as f64 / 1e6,
            median.lost,
            median.first_media_ms[0],
            median.mean_packet_bytes,
            median.cipher,
            match (median.limited, median.missing_streams) {
                (true, _) => "  generator limited",
                (_, 0) => "",
                _ => "  streams missing",
            }
        );
    }
    out
}

/// Fast enough for a short run, slow enough for a virtual machine that is cold.
const JOIN_RATE: f64 = 40.0;
/// Of a big room.
const BIG_SENDERS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(system: &'static str, figures: &[f64]) -> Row {
        let round =
            |figure: &f64| Figures { forwarded_per_cpu_second: *figure, lost: 1, ..Figures::default() };
        Row {
            workload: "B2".into(),
            system,
            version: "1".into(),
            rounds: figures.iter().map(round).collect(),
            failures: Vec::new(),
        }
    }

    #[test]
    fn the_round_in_the_middle_counts_and_losses_add_up() {
        let three = row("jvb", &[9e3, 1e3, 4e3]);
        let median = three.median().unwrap();
        assert_eq!((median.forwarded_per_cpu_second, median.lost), (4e3, 3));
        let json = three.json();
        assert_eq!(json["forwarded_packets_per_cpu_second"], 4e3);
        let two = row("jvb", &[1e3, 3e3]).median().unwrap();
        assert_eq!(two.forwarded_per_cpu_second, 2e3);
        assert_eq!((&json["delay_us"]["p999"], &json["lost"]), (&json!(0), &json!(3)));
    }

    #[test]
    fn a_unit_without_a_round_is_in_the_table_with_its_reason() {
        let mut broken = row("janus", &[]);
        broken.failures.push("no endpoint could join".into());
        let table = table(&[row("sluice", &[8e3]), row("jvb", &[4e3]), broken]);
        assert!(table.contains("2.0x") && table.contains("no endpoint could join"), "{table}");
    }

    #[test]
    fn every_workload_has_its_size() {
        for (name, _) in WORKLOADS {
            let shape = workload(name).unwrap();
            assert_eq!(shape.name, name);
            assert!(shape.video.layers.len() == 1, "units that get SDP take one stream");
        }
        let (b2, big) = (workload("B2-12").unwrap(), workload("big-50").unwrap());
        assert_eq!((b2.rooms, b2.participants, big.rooms, big.participants), (12, 5, 1, 50));
        let forwarded = |shape: Shape| shape.scenario().packet_rates().1;
        assert!((36e3..44e3).contains(&forwarded(b2)), "as the named B2");
        assert!((20e3..28e3).contains(&forwarded(big)));
        for unknown in ["x", "B2-", "B2-0", "big-2", "pairs-3"] {
            assert!(workload(unknown).unwrap_err().contains("B2, pairs, big-ln8, B2-N, big-N"), "{unknown}");
        }
    }
}

//! What is said of a run: JSON for programs, text for people, and a page with plots.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::run::Outcome;
use crate::tally::{Count, Micros};

/// The figures of a run. The names are read by other programs and do not change.
pub fn json(outcome: &Outcome) -> Value {
    let counters = &outcome.counters;
    let experienced = outcome.delays.experienced();
    let first = &outcome.first_media_ms;
    let server = outcome.server.map(|(process, usage)| {
        json!({
            "pid": process.pid, "cpu_seconds": usage.cpu_seconds, "rss_bytes": usage.rss_bytes,
            "softirq_seconds": usage.softirq_seconds,
            "forwarded_packets_per_cpu_second": per(counters[Count::Received] as f64, usage.cpu_seconds),
        })
    });
    json!({
        "profile": outcome.profile,
        "seconds": outcome.seconds,
        "endpoints": outcome.endpoints,
        "connected": outcome.connected,
        "failures": outcome.failures,
        "partial": outcome.partial,
        "packets_sent": counters[Count::Sent],
        "packets_expected": counters[Count::Received] + counters[Count::Lost],
        "packets_received": counters[Count::Received],
        "packets_lost": counters[Count::Lost],
        "packets_recovered": counters[Count::Recovered],
        "packets_duplicate": counters[Count::Duplicates],
        "packets_dropped_on_purpose": counters[Count::DroppedOnPurpose],
        "packets_opened": counters[Count::Opened],
        "auth_failures": counters[Count::AuthFailures],
        "wrong_source": counters[Count::WrongSource],
        "unannounced": counters[Count::Unannounced],
        "delay_us": delays(&experienced),
        "audio_delay_us": delays(&outcome.delays.audio),
        "frame_delay_us": delays(&outcome.delays.frame),
        "video_packet_delay_us": delays(&outcome.delays.video),
        "time_to_first_media_ms": { "p50": first.value_at_quantile(0.5), "p99": first.value_at_quantile(0.99),
            "max": first.max(), "count": first.len() },
        "streams": {
            "audio": { "live": outcome.streams[0].0, "expected": outcome.streams[0].1 },
            "video": { "live": outcome.streams[1].0, "expected": outcome.streams[1].1 },
        },
        "generator": generator(outcome),
        "server": server,
        "machine": outcome.others.map(|(busy, cores)| json!({ "cores": cores, "cores_used_by_others": busy })),
        "mean_packet_bytes": per(counters[Count::ReceivedBytes] as f64, (counters[Count::Received] + counters[Count::Duplicates]) as f64),
        "mean_datagrams_per_receive": per(counters[Count::Datagrams] as f64, counters[Count::Receives] as f64),
        "cipher": outcome.ciphers.iter().max_by_key(|(_, count)| **count).map(|(name, _)| *name),
        "ciphers": outcome.ciphers,
        "padding_bytes_opened": counters[Count::PaddingBytes],
        "rtcp": rtcp(outcome),
        "per_second": per_second(outcome),
    })
}

/// What the generator itself used, and whether it was the bottleneck.
fn generator(outcome: &Outcome) -> Value {
    let counters = &outcome.counters;
    json!({
        "cpu_seconds": outcome.generator_cpu_seconds,
        "late_us_p99": outcome.delays.late.value_at_quantile(0.99),
        "limited": !outcome.limited.is_empty(),
        "limited_by": outcome.limited,
        "read_late_us_p99": outcome.delays.read_late.value_at_quantile(0.99),
        "busiest": outcome.busiest,
        "socket_drops": counters[Count::SocketDrops],
        "send_refused": counters[Count::SendRefused],
        "gro": outcome.sockets.gro,
        "gso": outcome.sockets.gso,
    })
}

/// Reports and requests both ways.
fn rtcp(outcome: &Outcome) -> Value {
    let counters = &outcome.counters;
    json!({
        "sent": counters[Count::RtcpSent], "received": counters[Count::RtcpReceived], "nacks_sent": counters[Count::NacksSent],
        "resent": counters[Count::Resent], "key_frames_asked": counters[Count::KeyFramesAsked],
        "key_frame_requests": counters[Count::KeyFrameRequests],
    })
}

/// The measurement second by second.
fn per_second(outcome: &Outcome) -> Vec<Value> {
    let second = |second: &crate::run::Second| {
        let [p50, p99, p999, max] = second.delay_us;
        json!({
            "sent": second.counters[Count::Sent],
            "received": second.counters[Count::Received],
            "lost": second.counters[Count::Lost],
            "delay_us": { "p50": p50, "p99": p99, "p999": p999, "max": max },
            "generator_cores": second.cpu[0],
            "server_cores": second.cpu[1],
        })
    };
    outcome.seconds_of_it.iter().map(second).collect()
}

fn delays(histogram: &Micros) -> Value {
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| histogram.value_at_quantile(quantile));
    json!({ "p50": p50, "p99": p99, "p999": p999, "max": histogram.max(), "count": histogram.len() })
}

fn per(what: f64, by: f64) -> f64 {
    if by > 0.0 { what / by } else { 0.0 }
}

/// Thousands a second; nothing is said of a run that ended before it began.
fn kilo(count: u64, seconds: f64) -> f64 {
    if seconds >= 0.1 { count as f64 / seconds / 1e3 } else { 0.0 }
}

/// The same for people.
pub fn text(outcome: &Outcome) -> String {
    let counters = &outcome.counters;
    let mut out = String::new();
    let seconds = outcome.seconds.max(0.001);
    let partial = if outcome.partial { ", ended early" } else { "" };
    let _ = writeln!(
        out,
        "{}: {} of {} endpoints, {seconds:.1} s{partial}, {}",
        outcome.profile,
        outcome.connected,
        outcome.endpoints,
        outcome.ciphers.keys().copied().collect::<Vec<_>>().join(" and ")
    );
    let _ = writeln!(
        out,
        "  packets     {:.1} kpps sent, {:.1} kpps received of {:.0} B, {} lost, {} recovered, {} opened",
        kilo(counters[Count::Sent], outcome.seconds),
        kilo(counters[Count::Received], outcome.seconds),
        per(counters[Count::ReceivedBytes] as f64, counters[Count::Received] as f64),
        counters[Count::Lost],
        counters[Count::Recovered],
        counters[Count::Opened]
    );
    let _ = writeln!(
        out,
        "  wrong       {} not authentic, {} of a wrong source, {} unannounced",
        counters[Count::AuthFailures],
        counters[Count::WrongSource],
        counters[Count::Unannounced]
    );
    for (name, histogram) in [("audio delay", &outcome.delays.audio), ("frame delay", &outcome.delays.frame)]
    {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| histogram.value_at_quantile(quantile));
        if !histogram.is_empty() {
            let _ = writeln!(out, "  {name} p50 {p50}, p99 {p99}, p99.9 {p999}, max {} us", histogram.max());
        }
    }
    let first = &outcome.first_media_ms;
    let _ = writeln!(
        out,
        "  first media p50 {}, p99 {}, max {} ms ({} joins)",
        first.value_at_quantile(0.5),
        first.value_at_quantile(0.99),
        first.max(),
        first.len()
    );
    let [audio, video] = outcome.streams;
    let _ = writeln!(
        out,
        "  streams     {} of {} audio, {} of {} video flow",
        audio.0, audio.1, video.0, video.1
    );
    processes(outcome, &mut out);
    out
}

/// The lines about who used what, and who failed.
fn processes(outcome: &Outcome, out: &mut String) {
    let (counters, seconds) = (&outcome.counters, outcome.seconds.max(0.001));
    if let Some((process, usage)) = &outcome.server {
        let _ = writeln!(
            out,
            "  server      pid {}, {:.2} s CPU ({:.0}% of a core; softirq of the machine {:.2} s), {:.1} MB, {:.0} packets a CPU \
             second",
            process.pid,
            usage.cpu_seconds,
            usage.cpu_seconds / seconds * 100.0,
            usage.softirq_seconds,
            usage.rss_bytes as f64 / 1e6,
            per(counters[Count::Received] as f64, usage.cpu_seconds)
        );
    }
    let _ = writeln!(
        out,
        "  generator   {:.2} s CPU, late p99 {} us, {} datagrams dropped by our sockets, GRO {}, GSO {}",
        outcome.generator_cpu_seconds,
        outcome.delays.late.value_at_quantile(0.99),
        counters[Count::SocketDrops],
        on(outcome.sockets.gro),
        on(outcome.sockets.gso)
    );
    for (reason, count) in &outcome.failures {
        let _ = writeln!(out, "  failed      {count} x {reason}");
    }
}

/// What must not be overlooked, if anything.
pub fn warnings(outcome: &Outcome) -> Vec<String> {
    let mut warnings: Vec<String> =
        outcome.limited.iter().map(|why| format!("THE GENERATOR WAS THE BOTTLENECK: {why}")).collect();
    if let Some((busy, cores)) = outcome.others.filter(|(busy, _)| *busy > OTHERS_MAX) {
        warnings.push(format!(
            "OTHER PROGRAMS USED {busy:.1} OF {cores} CORES: lateness and loss may be theirs, not the server's"
        ));
    }
    let missing: u64 = outcome.streams.iter().map(|(live, expected)| expected.saturating_sub(*live)).sum();
    if missing > 0 {
        warnings.push(format!("{missing} streams that were asked for did not flow at the end"));
    }
    if outcome.connected < outcome.endpoints {
        let missing = outcome.endpoints - outcome.connected;
        warnings.push(format!("{missing} endpoints did not get in: the figures are those of the others"));
    }
    warnings
}

/// Cores that other programs may use before it is said.
const OTHERS_MAX: f64 = 0.3;

fn on(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

/// A page with the text and the plots.
pub fn page(outcome: &Outcome) -> String {
    let seconds = &outcome.seconds_of_it;
    let line = |name: &'static str, of: &dyn Fn(&crate::run::Second) -> f64| {
        (name, seconds.iter().map(of).collect())
    };
    let plots = [
        crate::plot::plot(
            "Packets, thousands a second",
            &[
                line("sent", &|second| second.counters[Count::Sent] as f64 / 1e3),
                line("received", &|second| second.counters[Count::Received] as f64 / 1e3),
                line("lost", &|second| second.counters[Count::Lost] as f64 / 1e3),
            ],
            false,
        ),
        crate::plot::plot(
            "Delay in the box, microseconds",
            &[
                line("p50", &|second| second.delay_us[0] as f64),
                line("p99", &|second| second.delay_us[1] as f64),
                line("p99.9", &|second| second.delay_us[2] as f64),
            ],
            true,
        ),
        crate::plot::plot(
            "CPU, cores",
            &[line("server", &|second| second.cpu[1]), line("generator", &|second| second.cpu[0])],
            false,
        ),
    ];
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let warnings: String = warnings(outcome)
        .iter()
        .map(|warning| format!("<p class=\"warn\">{}</p>", escape(warning)))
        .collect();
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{profile}</title><style>body{{font:15px system-ui,sans-serif;\
         margin:2em auto;max-width:60em;color:#222}}pre{{background:#f4f4f4;padding:1em;overflow:auto}}.warn{{color:#b00020;\
         font-weight:bold}}svg{{width:100%;height:auto;margin:1em 0}}</style><h1>{profile}</h1>{warnings}<pre>{text}</pre>{plots}\
         <details><summary>All figures</summary><pre>{json}</pre></details></html>\n",
        profile = escape(&outcome.profile),
        text = escape(&text(outcome)),
        plots = plots.concat(),
        json = escape(&serde_json::to_string_pretty(&json(outcome)).unwrap_or_default()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Second;
    use crate::tally::{Counters, Delays, note};

    fn outcome() -> Outcome {
        let mut delays = Delays::default();
        for us in 1..=1_000 {
            note(&mut delays.audio, us);
        }
        let mut counters = Counters::default();
        for (count, value) in
            [(Count::Sent, 10), (Count::Received, 40), (Count::Lost, 2), (Count::ReceivedBytes, 4_000)]
        {
            counters[count] = value;
        }
        Outcome {
            profile: "B2 <x>".into(),
            seconds: 2.0,
            endpoints: 60,
            connected: 59,
            failures: [("refused".to_owned(), 1)].into(),
            counters,
            delays,
            first_offer: None,
            first_media_ms: crate::tally::micros(),
            seconds_of_it: vec![Second { counters, delay_us: [1, 2, 3, 4], cpu: [0.5, 0.25] }; 2],
            generator_cpu_seconds: 1.0,
            busiest: 0.5,
            server: None,
            others: Some((1.5, 2)),
            ciphers: [("AEAD_AES_128_GCM", 59)].into(),
            streams: [(10, 10), (3, 5)],
            partial: true,
            limited: vec!["busy".into()],
            sockets: crate::socket::SocketOptions { gro: true, gso: false, receive_buffer: 1 },
        }
    }

    #[test]
    fn json_has_the_fields_that_others_read() {
        let json = json(&outcome());
        for field in [
            "profile",
            "seconds",
            "endpoints",
            "packets_sent",
            "packets_expected",
            "packets_received",
            "packets_lost",
            "auth_failures",
            "wrong_source",
            "mean_packet_bytes",
            "cipher",
        ] {
            assert!(!json[field].is_null(), "{field}");
        }
        for (object, field) in [
            ("delay_us", "p50"),
            ("delay_us", "p99"),
            ("delay_us", "p999"),
            ("delay_us", "max"),
            ("time_to_first_media_ms", "p50"),
            ("time_to_first_media_ms", "p99"),
            ("generator", "cpu_seconds"),
            ("generator", "late_us_p99"),
            ("generator", "limited"),
        ] {
            assert!(!json[object][field].is_null(), "{object}.{field}");
        }
        assert_eq!((&json["packets_expected"], &json["mean_packet_bytes"]), (&json!(42), &json!(100.0)));
        assert_eq!((&json["generator"]["limited"], &json["partial"]), (&json!(true), &json!(true)));
        assert_eq!(json["delay_us"]["p99"], 990);
    }

    #[test]
    fn people_are_told_what_was_wrong() {
        let text = text(&outcome());
        assert!(
            text.contains("ended early") && text.contains("1 x refused") && text.contains("59 of 60"),
            "{text}"
        );
        let warnings = warnings(&outcome()).join("\n");
        assert!(warnings.contains("BOTTLENECK: busy") && warnings.contains("2 streams"), "{warnings}");
        assert!(warnings.contains("1.5 OF 2 CORES"), "{warnings}");
        assert!(warnings.contains("1 endpoints did not get in"), "{warnings}");
    }

    #[test]
    fn the_page_holds_three_plots_and_no_foreign_markup() {
        let page = page(&outcome());
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("B2 &lt;x&gt;") || page.contains("B2 &lt;x>"));
    }
}

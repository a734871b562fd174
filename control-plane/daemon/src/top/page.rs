//! The page of `sluice top`, from two readings.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::Value;

use super::Reading;

/// Rates are those between the two readings.
pub(super) fn render(before: &Reading, now: &Reading, width: usize) -> String {
    let seconds = now.at.saturating_duration_since(before.at).as_secs_f64().max(0.001);
    let (then, now) = (&before.value, &now.value);
    let mut page = String::new();
    let uptime = number(&now["uptime_s"]) as u64;
    let drain = if now["draining"] == Value::Bool(true) { "   DRAINING" } else { "" };
    let _ = writeln!(
        page,
        "sluice   up {}   {}{drain}   {} rooms   {} people   {} endpoints   {} by TCP",
        duration(uptime),
        text(&now["health"]),
        number(&now["rooms"]),
        number(&now["occupants"]),
        list(&now["conferences"]).map(|conference| list(&conference["endpoints"]).count()).sum::<usize>(),
        all(now).filter(|endpoint| text(&endpoint["path"]).starts_with("tcp")).count(),
    );
    workers(&mut page, then, now, seconds);
    conferences(&mut page, then, now, seconds);
    let mut cut = String::new();
    for line in page.lines() {
        cut.extend(line.chars().take(width));
        cut.push('\n');
    }
    cut
}

fn workers(page: &mut String, then: &Value, now: &Value, seconds: f64) {
    let _ = writeln!(
        page,
        "\n{:<8}{:>6}{:>11}{:>11}{:>10}{:>10}{:>10}{:>9}{:>9}",
        "thread", "busy", "in pkt/s", "out pkt/s", "in", "out", "endpoints", "p99 us", "drops/s"
    );
    for (at, worker) in list(&now["workers"]).enumerate() {
        let (new, old) = (&worker["statistics"], &then["workers"][at]["statistics"]);
        let rate = |key: &str| (number(&new[key]) - number(&old[key])).max(0.0) / seconds;
        let _ = writeln!(
            page,
            "media-{at:<2}{:>5.1}%{:>11.0}{:>11.0}{:>10}{:>10}{:>10}{:>9}{:>9.0}",
            rate("busy_us") / 10_000.0,
            rate("datagrams_received"),
            rate("datagrams_sent"),
            bits(8.0 * rate("bytes_received")),
            bits(8.0 * rate("bytes_sent")),
            number(&new["endpoints"]),
            number(&new["box_delay_us"]["p99"]),
            rate("dropped"),
        );
    }
}

fn conferences(page: &mut String, then: &Value, now: &Value, seconds: f64) {
    let former: HashMap<&str, &Value> = all(then).map(|endpoint| (text(&endpoint["id"]), endpoint)).collect();
    let _ = writeln!(
        page,
        "\n{:<22}{:<10}{:<7}{:>7}{:>8}{:>9}{:>9}{:>9}{:>7}{:>10}",
        "room", "person", "path", "rtt ms", "loss in", "loss out", "in", "out", "videos", "estimate"
    );
    for conference in list(&now["conferences"]) {
        for (at, endpoint) in list(&conference["endpoints"]).enumerate() {
            let old = former.get(text(&endpoint["id"])).copied().unwrap_or(endpoint);
            let rate =
                |key: &str| bits(8.0 * (number(&endpoint[key]) - number(&old[key])).max(0.0) / seconds);
            let room: String =
                if at == 0 { text(&conference["room"]).chars().take(21).collect() } else { String::new() };
            let _ = writeln!(
                page,
                "{room:<22}{:<10}{:<7}{:>7}{:>7.1}%{:>8.1}%{:>9}{:>9}{:>7}{:>10}",
                text(&endpoint["id"]).chars().take(9).collect::<String>(),
                if endpoint["path"].is_string() { text(&endpoint["path"]) } else { "none" },
                endpoint["round_trip_ms"].as_f64().map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}")),
                100.0 * number(&endpoint["loss_from_it"]),
                100.0 * number(&endpoint["loss_to_it"]),
                rate("bytes_from_it"),
                rate("bytes_to_it"),
                number(&endpoint["videos"]),
                endpoint["estimate_bps"].as_f64().map_or_else(|| "-".to_owned(), bits),
            );
        }
    }
}

fn all(reading: &Value) -> impl Iterator<Item = &Value> {
    list(&reading["conferences"]).flat_map(|conference| list(&conference["endpoints"]))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Bits per second with a unit.
fn bits(bits: f64) -> String {
    match bits {
        bits if bits >= 1e9 => format!("{:.2} Gb/s", bits / 1e9),
        bits if bits >= 1e6 => format!("{:.1} Mb/s", bits / 1e6),
        bits if bits >= 1e3 => format!("{:.0} kb/s", bits / 1e3),
        bits => format!("{bits:.0} b/s"),
    }
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match days {
        0 => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        days => format!("{days} d {hours}:{minutes:02}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;

    fn reading(at: Instant, bytes: u64) -> Reading {
        let endpoint = json!({
            "id": "a1b2c3d4", "path": "tcp 4", "round_trip_ms": 12.25, "loss_from_it": 0.015, "loss_to_it": 0.0,
            "bytes_from_it": bytes, "bytes_to_it": 2 * bytes, "videos": 3, "estimate_bps": 2_500_000,
        });
        let statistics = json!({ "busy_us": bytes, "dropped": 0, "datagrams_sent": bytes, "endpoints": 1 });
        Reading {
            at,
            value: json!({
                "uptime_s": 90_061, "health": "healthy", "draining": true, "rooms": 1, "occupants": 2,
                "workers": [{ "statistics": statistics }],
                "conferences": [{ "room": "standup", "endpoints": [endpoint] }],
            }),
        }
    }

    #[test]
    fn the_page_shows_rates_between_two_readings() {
        let now = Instant::now();
        let page = render(&reading(now, 0), &reading(now + Duration::from_secs(2), 250_000), 120);
        for part in [
            "up 1 d 1:01",
            "healthy   DRAINING",
            "1 by TCP",
            "standup",
            "a1b2c3d4",
            "tcp 4",
            "12.2",
            "1.5%",
            "1.0 Mb/s",
            "2.0 Mb/s",
            "2.5 Mb/s",
            "12.5%",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
    }

    #[test]
    fn an_answer_of_another_version_is_a_page_of_nothing_and_lines_keep_the_width() {
        let at = Instant::now();
        let empty = || Reading { at, value: json!({}) };
        let page = render(&empty(), &empty(), 40);
        assert!(page.lines().all(|line| line.chars().count() <= 40), "{page}");
    }
}

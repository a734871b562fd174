//! The page of `sluice top`, from two readings.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::Value;

use super::Reading;

/// Rates are those between the two readings.
pub(super) fn render(before: &Reading, now: &Reading) -> String {
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
    page
}

/// What there is room for: lines are cut at their ends, and the page at its end, which is said.
pub(super) fn fit(page: &str, rows: usize, columns: usize) -> String {
    // The cursor stands on the last row.
    let (lines, shown) = (page.lines().count(), rows.saturating_sub(1));
    let left_out = lines.saturating_sub(shown);
    let note = format!("… {} more lines; all of them: sluice top | less", left_out + 1);
    let kept = if left_out > 0 { shown.saturating_sub(1) } else { lines };
    let mut cut = String::new();
    for line in page.lines().take(kept).chain((left_out > 0).then_some(note.as_str())) {
        cut.extend(line.chars().take(columns));
        cut.push('\n');
    }
    cut
}

fn workers(page: &mut String, then: &Value, now: &Value, seconds: f64) {
    let _ = writeln!(
        page,
        "\n{:<8}{:>6}{:>10}{:>11}{:>12}{:>12}{:>11}{:>9}{:>9}",
        "thread", "busy", "in pkt/s", "out pkt/s", "in", "out", "endpoints", "p99 us", "drops/s"
    );
    for (at, worker) in list(&now["workers"]).enumerate() {
        let (new, old) = (&worker["statistics"], &then["workers"][at]["statistics"]);
        let rate = |key: &str| (number(&new[key]) - number(&old[key])).max(0.0) / seconds;
        let _ = writeln!(
            page,
            "media-{at:<2}{:>5.1}%{:>10.0}{:>11.0}{:>12}{:>12}{:>11}{:>9}{:>9.0}",
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
        "\n{:<20}{:<10}{:<6}{:>7}{:>9}{:>10}{:>10}{:>10}{:>10}  layers",
        "room", "person", "path", "rtt ms", "loss in", "loss out", "in", "out", "estimate"
    );
    for conference in list(&now["conferences"]) {
        for (at, endpoint) in list(&conference["endpoints"]).enumerate() {
            let old = former.get(text(&endpoint["id"])).copied().unwrap_or(endpoint);
            let rate =
                |key: &str| bits(8.0 * (number(&endpoint[key]) - number(&old[key])).max(0.0) / seconds);
            let room: String =
                if at == 0 { text(&conference["room"]).chars().take(19).collect() } else { String::new() };
            let _ = writeln!(
                page,
                "{room:<20}{:<10}{:<6}{:>7}{:>8.1}%{:>9.1}%{:>10}{:>10}{:>10}  {}",
                text(&endpoint["id"]).chars().take(9).collect::<String>(),
                if endpoint["path"].is_string() { text(&endpoint["path"]) } else { "none" },
                endpoint["round_trip_ms"].as_f64().map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}")),
                100.0 * number(&endpoint["loss_from_it"]),
                100.0 * number(&endpoint["loss_to_it"]),
                rate("bytes_from_it"),
                rate("bytes_to_it"),
                endpoint["estimate_bps"].as_f64().map_or_else(|| "-".to_owned(), bits),
                layers(&endpoint["videos_by_height"]),
            );
        }
    }
}

/// Videos by height, the largest first, as in "1x720 4x180".
fn layers(videos: &Value) -> String {
    let mut shown: Vec<(u64, String)> = videos
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, count)| number(count) > 0.0)
        .map(|(height, count)| match height.parse() {
            Ok(pixels) => (pixels, format!("{count}x{height}")),
            // Those above all limits.
            Err(_) => (u64::MAX, format!("{count}xlarger")),
        })
        .collect();
    shown.sort_by(|one, two| two.cmp(one));
    match shown.len() {
        0 => "-".to_owned(),
        _ => shown.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" "),
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
            "bytes_from_it": bytes, "bytes_to_it": 2 * bytes, "estimate_bps": 2_500_000,
            "videos_by_height": { "180": 3, "360": 0, "720": 1, "above": 2 },
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
        let page = render(&reading(now, 0), &reading(now + Duration::from_secs(2), 250_000));
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
            "2xlarger 1x720 3x180",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
    }

    #[test]
    fn an_answer_of_another_version_is_a_page_of_nothing_and_a_page_keeps_to_the_terminal() {
        let at = Instant::now();
        let empty = || Reading { at, value: json!({}) };
        let page = render(&empty(), &empty());
        assert_eq!(fit(&page, usize::MAX, usize::MAX), page);
        assert_eq!(fit(&page, page.lines().count() + 1, usize::MAX), page);
        let cut = fit(&page, 4, 40);
        assert!(cut.lines().all(|line| line.chars().count() <= 40), "{cut}");
        assert_eq!(cut.lines().count(), 3);
        let more = page.lines().count() - 2;
        assert!(cut.contains(&format!("… {more} more lines")), "{cut}");
    }
}

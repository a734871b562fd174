//! `/colibri/stats`: the keys that exporters, dashboards, autoscalers and shutdown scripts of the existing bridge read, as far
//! as they mean something here.

use contract::{Metric, Report};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::status::{Sample, Seat, Status};

/// What only rises, beside the counters of the workers.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) conferences_created: AtomicU64,
    pub(crate) conferences_completed: AtomicU64,
    pub(crate) conference_seconds: AtomicU64,
    endpoints: AtomicU64,
    ice_succeeded: AtomicU64,
    ice_failed: AtomicU64,
    disconnected: AtomicU64,
    reconnected: AtomicU64,
    speaker_changes: AtomicU64,
}

impl Totals {
    /// Counts what a report tells.
    pub(crate) fn note(&self, report: &Report) {
        let counter = match report {
            Report::EndpointReady { .. } => &self.endpoints,
            Report::TransportConnected { .. } => &self.ice_succeeded,
            Report::TransportFailed { .. } => &self.ice_failed,
            Report::Connectivity { active: false, .. } => &self.disconnected,
            Report::Connectivity { active: true, .. } => &self.reconnected,
            Report::DominantSpeaker { .. } => &self.speaker_changes,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The page. Bit rates in kbit/s, round trips in ms, losses from 0 to 1.
pub(crate) fn page(status: &Status) -> Value {
    let sample = status.sample();
    let mut page = of_now(status, &sample);
    let totals = totals(status, &sample);
    if let (Value::Object(page), Value::Object(totals)) = (&mut page, totals) {
        page.extend(totals);
    }
    page
}

fn of_now(status: &Status, sample: &Sample) -> Value {
    let mut sizes = BTreeMap::<_, u64>::new();
    for seat in &sample.seats {
        *sizes.entry(seat.statistics.conference).or_default() += 1;
    }
    let endpoints = sample.seats.len();
    let count = |test: &dyn Fn(&Seat) -> bool| sample.seats.iter().filter(|seat| test(seat)).count();
    let mean = |value: &dyn Fn(&Seat) -> Option<f64>| {
        let values: Vec<f64> = sample.seats.iter().filter_map(value).collect();
        if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
    };
    let (incoming, outgoing) = (
        mean(&|seat| Some(f64::from(seat.statistics.loss_inbound))),
        mean(&|seat| Some(f64::from(seat.statistics.loss_outbound))),
    );
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "current_timestamp": timestamp(),
        "healthy": status.health().is_ok(),
        "drain": status.draining(),
        "graceful_shutdown": status.ends_when_empty(),
        "shutting_down": false,
        "stress_level": sample.rates.busiest,
        "threads": threads(),
        "conferences": sizes.len(),
        "largest_conference": sizes.values().max().copied().unwrap_or(0),
        "conference_sizes": by_size(sizes.values()),
        "inactive_conferences": 0,
        "p2p_conferences": 0,
        "octo_conferences": 0,
        "endpoints": endpoints,
        "participants": endpoints,
        "local_endpoints": endpoints,
        "local_active_endpoints": count(&|seat| seat.statistics.active),
        "inactive_endpoints": count(&|seat| !seat.statistics.active),
        "receive_only_endpoints": count(&|seat| seat.statistics.packets_received == 0),
        "visitors": 0,
        "octo_endpoints": 0,
        "bit_rate_download": kilobits(sample.rates.bits_in),
        "bit_rate_upload": kilobits(sample.rates.bits_out),
        "packet_rate_download": sample.rates.packets_in.round(),
        "packet_rate_upload": sample.rates.packets_out.round(),
        "rtt_aggregate": mean(&|seat| seat.statistics.round_trip_us.map(|us| f64::from(us) / 1_000.0)),
        "incoming_loss": incoming,
        "outgoing_loss": outgoing,
        "overall_loss": f64::midpoint(incoming, outgoing),
        "endpoints_with_high_outgoing_loss": count(&|seat| seat.statistics.loss_outbound > 0.1),
    })
}

fn totals(status: &Status, sample: &Sample) -> Value {
    let statistics = || sample.workers.iter().filter_map(|worker| worker.statistics.as_ref());
    let total = |metric| statistics().map(|statistics| statistics.counter(metric)).sum::<u64>();
    let (failed, ..) = status.handshakes.read();
    let [messages_received, messages_sent, ..] = status.channels.read();
    let totals = &status.totals;
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    json!({
        "total_conferences_created": of(&totals.conferences_created),
        "total_conferences_completed": of(&totals.conferences_completed),
        "total_conference_seconds": of(&totals.conference_seconds),
        "total_participants": of(&totals.endpoints),
        "total_visitors": 0,
        "total_ice_succeeded": of(&totals.ice_succeeded),
        "total_ice_succeeded_tcp": status.tcp.read().proved,
        "total_ice_failed": of(&totals.ice_failed),
        "endpoints_ice_failed": of(&totals.ice_failed),
        "dtls_failed_endpoints": failed,
        "endpoints_disconnected": of(&totals.disconnected),
        "endpoints_reconnected": of(&totals.reconnected),
        "total_dominant_speaker_changes": of(&totals.speaker_changes),
        "total_bytes_received": total(Metric::BytesReceived),
        "total_bytes_sent": total(Metric::BytesSent),
        "total_packets_received": total(Metric::DatagramsReceived),
        "total_packets_sent": total(Metric::DatagramsSent),
        "total_keyframes_received": total(Metric::KeyFramesReceived),
        "total_data_channel_messages_received": messages_received,
        "total_data_channel_messages_sent": messages_sent,
        "total_colibri_web_socket_messages_received": 0,
        "total_colibri_web_socket_messages_sent": 0,
    })
}

/// How many conferences have 0, 1, … 21 and more endpoints.
fn by_size<'a>(sizes: impl Iterator<Item = &'a u64>) -> Vec<u64> {
    let mut counts = vec![0; SIZES];
    for size in sizes {
        let at = usize::try_from(*size).unwrap_or(SIZES).min(SIZES - 1);
        counts[at] += 1;
    }
    counts
}

fn threads() -> u64 {
    std::fs::read_dir("/proc/self/task").map_or(0, |tasks| tasks.count() as u64)
}

fn kilobits(bits: f64) -> f64 {
    (bits / 1_000.0).round()
}

/// `yyyy-MM-dd HH:mm:ss.SSS` in UTC (civil date from days, Gregorian).
fn timestamp() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:03}", since.subsec_millis())
}

/// Year, month and day of a day since 1970-01-01.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1_970;
    // Ends: each pass takes a year's days away.
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

/// As in the existing bridge.
const SIZES: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let table = [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (20_779, (2026, 11, 22)),
            (20_818, (2026, 12, 31)),
            (20_819, (2027, 1, 1)),
        ];
        for (days, expected) in table {
            assert_eq!(civil(days), expected, "{days}");
        }
    }

    #[test]
    fn the_keys_that_exporters_read_are_there_and_none_is_there_twice() {
        let status = Status::new();
        let page = page(&status);
        let page = page.as_object().unwrap();
        for key in [
            "conferences",
            "largest_conference",
            "participants",
            "octo_endpoints",
            "stress_level",
            "healthy",
            "graceful_shutdown",
            "bit_rate_download",
            "rtt_aggregate",
            "incoming_loss",
            "total_ice_succeeded",
            "total_conference_seconds",
            "total_bytes_sent",
            "endpoints_disconnected",
            "threads",
        ] {
            assert!(page.contains_key(key), "{key}");
        }
        assert!(page["healthy"].is_boolean() && page["stress_level"].is_f64());
    }

    #[test]
    fn sizes_beyond_twenty_fall_into_the_last_place() {
        let counts = by_size([0, 2, 2, 21, 500].iter());
        assert_eq!((counts[0], counts[2], counts[21], counts.len()), (1, 2, 2, 22));
    }
}

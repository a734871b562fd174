//! `/metrics` in OpenMetrics text: numbers that others count, read when somebody asks. Labels come from closed sets.

use std::fmt;
use std::sync::Arc;

use contract::{DropReason, Metric};
use hdrhistogram::Histogram;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use worker::Statistics;

use crate::ice_tcp::TcpEnding;
use crate::status::{Sample, Status};

/// The page.
pub(crate) fn page(status: &Arc<Status>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("sluice");
    registry.register_collector(Box::new(Numbers(Arc::clone(status))));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

/// Its media type.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

struct Numbers(Arc<Status>);

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Numbers")
    }
}

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let sample = self.0.sample();
        self.process(&mut encoder, &sample)?;
        self.control_plane(&mut encoder)?;
        self.ice_tcp(&mut encoder)?;
        workers(&mut encoder, &sample)
    }
}

impl Numbers {
    fn process(&self, encoder: &mut DescriptorEncoder<'_>, sample: &Sample) -> fmt::Result {
        let status = &self.0;
        gauge(encoder, "up_seconds", "Seconds since the start", status.uptime().as_secs_f64())?;
        gauge(
            encoder,
            "healthy",
            "1 if the process does its work",
            f64::from(u8::from(status.health().is_ok())),
        )?;
        gauge(
            encoder,
            "draining",
            "1 if new conferences are refused",
            f64::from(u8::from(status.draining())),
        )?;
        gauge(
            encoder,
            "sessions",
            "Signed-in participants, those that may resume included",
            sample.signaling.sessions as f64,
        )?;
        gauge(encoder, "rooms", "Rooms", sample.signaling.rooms as f64)?;
        gauge(encoder, "occupants", "Participants of all rooms", sample.signaling.occupants as f64)?;
        counter(
            encoder,
            "stanzas_refused",
            "Stanzas of clients that were answered with an error",
            sample.signaling.refused,
        )?;
        let help = "Private pages not made because they were asked for too often";
        counter(encoder, "scrapes_refused", help, status.scrapes.refused())
    }

    fn control_plane(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (not_after, reloaded, refused) = self.0.tls.read();
        let help = "When the certificate of HTTPS expires, seconds since 1970; 0 without HTTPS";
        gauge(encoder, "certificate_expiry_timestamp_seconds", help, not_after as f64)?;
        counter(encoder, "certificate_reloaded", "New certificates taken up while running", reloaded)?;
        counter(encoder, "certificate_refused", "New certificates refused, the former kept", refused)?;
        let help = "Times that new settings were refused, the former kept";
        counter(encoder, "settings_refused", help, self.0.settings_refused())?;
        let (open, refused, unauthorized) = self.0.http.read();
        gauge(encoder, "http_connections", "Open connections to the public listeners", open as f64)?;
        counter(encoder, "http_refused", "Connections refused at a limit", refused)?;
        counter(
            encoder,
            "channel_unauthorized",
            "Bridge-channel requests with a wrong name or password",
            unauthorized,
        )?;

        let mut family = encoder.encode_descriptor(
            "clients_refused",
            "Clients that were not let in, by reason",
            None,
            MetricType::Counter,
        )?;
        for (reason, count) in self.0.refusals.read() {
            ConstCounter::new(count).encode(family.encode_family(&[("reason", reason.label())])?)?;
        }

        let mut family = encoder.encode_descriptor(
            "dtls_established",
            "DTLS handshakes finished",
            None,
            MetricType::Counter,
        )?;
        for (profile, count) in self.0.handshakes.by_profile() {
            let labels = [("profile", profile.name())];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        let (failed, paced, associations) = self.0.handshakes.read();
        counter(encoder, "dtls_failed", "DTLS handshakes failed", failed)?;
        counter(
            encoder,
            "dtls_paced",
            "First datagrams of handshakes that had to be repeated because many began at once",
            paced,
        )?;
        gauge(encoder, "dtls_associations", "DTLS associations", associations as f64)?;
        gauge(
            encoder,
            "dtls_reached",
            "DTLS associations that a datagram came for: participants whose media path works",
            self.0.handshakes.reached_now() as f64,
        )?;

        let [received, sent, unsent, limited] = self.0.channels.read();
        counter(encoder, "channel_messages_received", "Bridge-channel messages received", received)?;
        counter(encoder, "channel_messages_sent", "Bridge-channel messages sent", sent)?;
        counter(
            encoder,
            "channel_messages_unsent",
            "Bridge-channel messages not sent: no channel, or nobody reads",
            unsent,
        )?;
        counter(
            encoder,
            "channel_messages_limited",
            "Bridge-channel messages dropped: the client sent too many",
            limited,
        )
    }
}

impl Numbers {
    fn ice_tcp(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let reading = self.0.tcp.read();
        gauge(encoder, "tcp_connections", "Open ICE-TCP connections", reading.open as f64)?;
        counter(encoder, "tcp_proved", "ICE-TCP connections that a transport accepted", reading.proved)?;
        counter(encoder, "tcp_refused", "ICE-TCP connections refused at a limit", reading.refused)?;
        counter(
            encoder,
            "tcp_datagrams_lost_inbound",
            "Datagrams from ICE-TCP connections lost because a media thread was behind",
            reading.lost_inbound,
        )?;
        counter(
            encoder,
            "tcp_datagrams_lost_outbound",
            "Datagrams for ICE-TCP connections lost because the client was slow or gone",
            reading.lost_outbound,
        )?;
        let name = "tcp_ended";
        let mut family = encoder.encode_descriptor(
            name,
            "ICE-TCP connections ended, by reason",
            None,
            MetricType::Counter,
        )?;
        for (ending, count) in TcpEnding::ALL.iter().zip(reading.ended) {
            ConstCounter::new(count).encode(family.encode_family(&[("reason", ending.label())])?)?;
        }
        Ok(())
    }
}

/// Counters and distributions of the media threads, labelled by thread.
fn workers(encoder: &mut DescriptorEncoder<'_>, sample: &Sample) -> fmt::Result {
    let statistics: Vec<(String, &Statistics)> = sample
        .workers
        .iter()
        .enumerate()
        .filter_map(|(number, worker)| Some((number.to_string(), worker.statistics.as_ref()?)))
        .collect();

    for metric in Metric::ALL {
        let name = format!("worker_{}", metric.label());
        let mut family = encoder.encode_descriptor(&name, metric.help().trim(), None, MetricType::Counter)?;
        for (number, statistics) in &statistics {
            let labels = [("worker", number.as_str())];
            ConstCounter::new(statistics.counter(*metric)).encode(family.encode_family(&labels)?)?;
        }
    }
    let mut family = encoder.encode_descriptor(
        "worker_drops",
        "Datagrams and packets that ended here, by reason",
        None,
        MetricType::Counter,
    )?;
    for (number, statistics) in &statistics {
        for reason in DropReason::ALL {
            let labels = [("worker", number.as_str()), ("reason", reason.label())];
            ConstCounter::new(statistics.dropped(*reason)).encode(family.encode_family(&labels)?)?;
        }
    }
    type Reading = fn(&Statistics) -> u64;
    let gauges: [(&str, &str, Reading); 5] = [
        ("worker_endpoints", "Endpoints seated", |statistics| statistics.endpoints),
        ("worker_conferences", "Conferences with an endpoint here", |statistics| statistics.conferences),
        (
            "worker_shedding",
            "What the worker gives up for want of time: 1 and 2 frame rates, 3 and 4 thumbnails, 5 the stage's size",
            |statistics| statistics.shedding,
        ),
        ("worker_slots_held", "Packet slots in use", |statistics| statistics.slots_held),
        ("worker_slots", "Packet slots in all", |statistics| statistics.slots),
    ];
    for (name, help, reading) in gauges {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (number, statistics) in &statistics {
            let labels = [("worker", number.as_str())];
            ConstGauge::new(reading(statistics)).encode(family.encode_family(&labels)?)?;
        }
    }
    type Distribution = fn(&Statistics) -> &Histogram<u64>;
    let distributions: [(&str, &str, Distribution); 2] = [
        ("worker_box_delay_seconds", "From arrival to hand-over to the kernel", |statistics| {
            &statistics.box_delay_us
        }),
        ("worker_turn_seconds", "Length of turns with work", |statistics| &statistics.turn_us),
    ];
    for (name, help, distribution) in distributions {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (number, statistics) in &statistics {
            let labels = [("worker", number.as_str())];
            histogram(family.encode_family(&labels)?, distribution(statistics))?;
        }
    }
    Ok(())
}

/// Microseconds inside, seconds outside.
fn histogram(mut encoder: MetricEncoder<'_>, delays: &Histogram<u64>) -> fmt::Result {
    let mut buckets = Vec::new();
    let mut below = 0;
    for bound in BUCKETS_US {
        buckets.push((bound as f64 / 1e6, delays.count_between(below, bound)));
        below = bound + 1;
    }
    buckets.push((f64::INFINITY, delays.count_between(below, u64::MAX)));
    let count = buckets.iter().map(|(_, count)| count).sum();
    let sum = if delays.is_empty() { 0.0 } else { delays.mean() * delays.len() as f64 / 1e6 };
    encoder.encode_histogram::<[(&str, &str); 0]>(sum, count, &buckets, None)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}

/// Around the goals of the product: 25 and 100 µs, 1 and 5 ms.
const BUCKETS_US: [u64; 12] = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000];

#[cfg(test)]
mod documented;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::status::{Rates, WorkerSample};

    #[test]
    fn the_page_has_every_metric_and_ends_as_openmetrics_demands() {
        let mut statistics = Statistics::new();
        for delay in [20, 20, 700, 400_000] {
            statistics.box_delay_us.record(delay).unwrap();
        }
        let status = Arc::new(Status::new());
        status.put(Sample {
            at: Instant::now(),
            taken: true,
            signaling: signaling::Snapshot { sessions: 3, ..signaling::Snapshot::default() },
            workers: vec![WorkerSample { silent_for: Duration::ZERO, statistics: Some(statistics) }],
            rates: Rates::default(),
            seats: Vec::new(),
        });
        let page = page(&status).unwrap();
        for metric in Metric::ALL {
            assert!(
                page.contains(&format!("sluice_worker_{}_total{{worker=\"0\"}} 0", metric.label())),
                "{}",
                metric.label()
            );
        }
        assert!(page.contains("sluice_sessions 3"), "{page}");
        assert!(page.contains("sluice_worker_drops_total{worker=\"0\",reason=\"srtp_auth\"} 0"));
        assert!(
            page.contains("sluice_worker_box_delay_seconds_bucket{le=\"0.000025\",worker=\"0\"} 2"),
            "{page}"
        );
        assert!(page.contains("sluice_worker_box_delay_seconds_count{worker=\"0\"} 4"));
        assert!(
            page.contains("sluice_worker_box_delay_seconds_bucket{le=\"+Inf\",worker=\"0\"} 4"),
            "without it no quantile can be computed: {page}"
        );
        assert!(page.contains("sluice_dtls_established_total{profile=\"AEAD_AES_128_GCM\"} 0"));
        assert!(page.ends_with("# EOF\n"));
    }
}

//! What the process knows of itself, for health, metrics and statistics: written here and there, read by anyone, no lock that
//! work could hold.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use contract::Metric;
use contract::session::SrtpProfile;
use signaling::Snapshot;
use worker::Statistics;

use crate::bandwidth_queries::BandwidthQueries;
use crate::ice_tcp::TcpCounters;
use crate::refusals::Refusals;
use crate::scrapes::Scrapes;
use crate::stats_page::Totals;
use crate::tls::TlsCounters;

/// The state of the process.
pub(crate) struct Status {
    sample: ArcSwap<Sample>,
    started: Instant,
    draining: AtomicBool,
    settings_refused: AtomicU64,
    ends_when_empty: AtomicBool,
    pub(crate) http: HttpCounters,
    pub(crate) refusals: Refusals,
    pub(crate) handshakes: HandshakeCounters,
    pub(crate) channels: ChannelCounters,
    pub(crate) tcp: TcpCounters,
    pub(crate) tls: TlsCounters,
    pub(crate) totals: Totals,
    pub(crate) bandwidth: BandwidthQueries,
    pub(crate) scrapes: Scrapes,
}

/// What the signalling loop saw a moment ago; taken once a second.
pub(crate) struct Sample {
    pub(crate) at: Instant,
    /// False in the one that stands before the first.
    pub(crate) taken: bool,
    pub(crate) signaling: Snapshot,
    pub(crate) workers: Vec<WorkerSample>,
    pub(crate) rates: Rates,
    /// By the media plane's identity.
    pub(crate) seats: Vec<Seat>,
}

/// One participant on the bridge, as signalling and its worker see it.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    /// Room address without its domain.
    pub(crate) room: String,
    /// The endpoint id that clients know.
    pub(crate) id: String,
    pub(crate) worker: usize,
    /// Video sources that it is sent.
    pub(crate) forwarded: usize,
    /// Bits per second that it is taken to have, once somebody said.
    pub(crate) estimate_bps: Option<u64>,
    pub(crate) statistics: worker::EndpointStatistics,
}

/// One media thread.
pub(crate) struct WorkerSample {
    /// Since it last began a turn, having been asked to.
    pub(crate) silent_for: Duration,
    /// `None` until it first answered.
    pub(crate) statistics: Option<Statistics>,
}

/// Traffic of all workers, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) packets_in: f64,
    pub(crate) packets_out: f64,
    pub(crate) bits_in: f64,
    pub(crate) bits_out: f64,
    /// Share of its time that the busiest worker is in turns.
    pub(crate) busiest: f64,
}

/// The HTTP side.
#[derive(Default)]
pub(crate) struct HttpCounters {
    open: AtomicUsize,
    refused: AtomicU64,
    unauthorized_channels: AtomicU64,
}

/// The handshake threads.
#[derive(Default)]
pub(crate) struct HandshakeCounters {
    /// By profile, in the order of [`PROFILES`].
    established: [AtomicU64; PROFILES.len()],
    failed: AtomicU64,
    paced: AtomicU64,
    associations: AtomicUsize,
    reached: AtomicUsize,
}

/// Bridge channels.
#[derive(Default)]
pub(crate) struct ChannelCounters {
    received: AtomicU64,
    sent: AtomicU64,
    unsent: AtomicU64,
    limited: AtomicU64,
}

/// All profiles that may be negotiated.
pub(crate) const PROFILES: [SrtpProfile; 3] =
    [SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm, SrtpProfile::Aes128CmHmacSha1_80];

impl Status {
    pub(crate) fn new() -> Status {
        let now = Instant::now();
        let nothing = Sample {
            at: now,
            taken: false,
            signaling: Snapshot::default(),
            workers: Vec::new(),
            rates: Rates::default(),
            seats: Vec::new(),
        };
        Status {
            sample: ArcSwap::from_pointee(nothing),
            started: now,
            draining: AtomicBool::new(false),
            settings_refused: AtomicU64::new(0),
            ends_when_empty: AtomicBool::new(false),
            http: HttpCounters::default(),
            refusals: Refusals::default(),
            handshakes: HandshakeCounters::default(),
            channels: ChannelCounters::default(),
            tcp: TcpCounters::default(),
            tls: TlsCounters::default(),
            totals: Totals::default(),
            bandwidth: BandwidthQueries::default(),
            scrapes: Scrapes::default(),
        }
    }

    /// New settings, or some of them, were refused.
    pub(crate) fn note_settings_refused(&self) {
        self.settings_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that happened.
    pub(crate) fn settings_refused(&self) -> u64 {
        self.settings_refused.load(Ordering::Relaxed)
    }

    pub(crate) fn sample(&self) -> arc_swap::Guard<std::sync::Arc<Sample>> {
        self.sample.load()
    }

    /// Puts a new sample in place; its rates are computed against the one before.
    pub(crate) fn put(&self, mut sample: Sample) {
        let before = self.sample.load();
        sample.rates = rates(&before, &sample);
        self.count_conferences(&before, &sample);
        self.sample.store(std::sync::Arc::new(sample));
    }

    /// Conferences that came and went between two samples, and how long those that are here have been.
    fn count_conferences(&self, before: &Sample, after: &Sample) {
        let of = |sample: &Sample| -> BTreeSet<_> {
            sample.seats.iter().map(|seat| seat.statistics.conference).collect()
        };
        let (before, after) = (of(before), of(after));
        let add = |counter: &AtomicU64, count: usize| counter.fetch_add(count as u64, Ordering::Relaxed);
        add(&self.totals.conferences_created, after.difference(&before).count());
        add(&self.totals.conferences_completed, before.difference(&after).count());
        add(&self.totals.conference_seconds, after.len());
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Refuse new conferences, or take them again.
    pub(crate) fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Relaxed);
        self.ends_when_empty.fetch_and(draining, Ordering::Relaxed);
    }

    /// Refuse new conferences, and end the process once nobody is left.
    pub(crate) fn drain_and_end(&self) {
        self.set_draining(true);
        self.ends_when_empty.store(true, Ordering::Relaxed);
    }

    pub(crate) fn ends_when_empty(&self) -> bool {
        self.ends_when_empty.load(Ordering::Relaxed)
    }

    /// Why the process does not do its work; `Ok` if it does. Reads what is there, waits for nothing.
    pub(crate) fn health(&self) -> Result<(), String> {
        let sample = self.sample.load();
        if !sample.taken && self.uptime() > STALLED_AFTER {
            return Err("signalling has not begun".to_owned());
        }
        let age = sample.at.elapsed();
        if sample.taken && age > STALLED_AFTER {
            return Err(format!("signalling has not moved for {:.1} s", age.as_secs_f32()));
        }
        for (number, worker) in sample.workers.iter().enumerate() {
            if worker.silent_for > STALLED_AFTER {
                return Err(format!(
                    "media thread {number} has not moved for {:.1} s",
                    worker.silent_for.as_secs_f32()
                ));
            }
        }
        Ok(())
    }
}

fn rates(before: &Sample, after: &Sample) -> Rates {
    let seconds = after.at.saturating_duration_since(before.at).as_secs_f64();
    if seconds <= 0.0 || !before.taken {
        return Rates::default();
    }
    let total = |sample: &Sample, metric| {
        let statistics = sample.workers.iter().filter_map(|worker| worker.statistics.as_ref());
        statistics.map(|statistics| statistics.counter(metric)).sum::<u64>()
    };
    let rate = |metric| total(after, metric).saturating_sub(total(before, metric)) as f64 / seconds;
    Rates {
        packets_in: rate(Metric::DatagramsReceived),
        packets_out: rate(Metric::DatagramsSent),
        bits_in: 8.0 * rate(Metric::BytesReceived),
        bits_out: 8.0 * rate(Metric::BytesSent),
        busiest: busiest(before, after) / seconds,
    }
}

/// Seconds that the busiest worker was in turns between two samples.
fn busiest(before: &Sample, after: &Sample) -> f64 {
    let busy = |worker: &WorkerSample| {
        worker.statistics.as_ref().map_or(0, |statistics| statistics.counter(Metric::TurnMicroseconds))
    };
    let spent = before.workers.iter().zip(&after.workers);
    spent.map(|(before, after)| busy(after).saturating_sub(busy(before))).max().unwrap_or(0) as f64 / 1e6
}

impl HttpCounters {
    pub(crate) fn set_open(&self, open: usize) {
        self.open.store(open, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unauthorized_channel(&self) {
        self.unauthorized_channels.fetch_add(1, Ordering::Relaxed);
    }

    /// Open connections, refused ones, bridge-channel requests with a wrong password or name.
    pub(crate) fn read(&self) -> (usize, u64, u64) {
        let unauthorized = self.unauthorized_channels.load(Ordering::Relaxed);
        (self.open.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed), unauthorized)
    }
}

impl HandshakeCounters {
    pub(crate) fn established(&self, profile: SrtpProfile) {
        let slot =
            PROFILES.iter().position(|known| *known == profile).and_then(|at| self.established.get(at));
        if let Some(slot) = slot {
            slot.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn paced(&self) {
        self.paced.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn created(&self) {
        self.associations.fetch_add(1, Ordering::Relaxed);
    }

    /// The first datagram of an association came.
    pub(crate) fn reached(&self) {
        self.reached.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn removed(&self, reached: bool) {
        self.associations.fetch_sub(1, Ordering::Relaxed);
        self.reached.fetch_sub(usize::from(reached), Ordering::Relaxed);
    }

    /// Associations that live and that a datagram came for.
    pub(crate) fn reached_now(&self) -> usize {
        self.reached.load(Ordering::Relaxed)
    }

    /// Finished handshakes by profile.
    pub(crate) fn by_profile(&self) -> impl Iterator<Item = (SrtpProfile, u64)> {
        PROFILES
            .iter()
            .zip(&self.established)
            .map(|(profile, count)| (*profile, count.load(Ordering::Relaxed)))
    }

    /// Failed handshakes, first datagrams that had to wait, associations that live.
    pub(crate) fn read(&self) -> (u64, u64, usize) {
        let associations = self.associations.load(Ordering::Relaxed);
        (self.failed.load(Ordering::Relaxed), self.paced.load(Ordering::Relaxed), associations)
    }
}

impl ChannelCounters {
    pub(crate) fn received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unsent(&self) {
        self.unsent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn limited(&self) {
        self.limited.fetch_add(1, Ordering::Relaxed);
    }

    /// Messages received, sent, not sent because the client did not read or was gone, and dropped because the client
    /// sent too many.
    pub(crate) fn read(&self) -> [u64; 4] {
        [&self.received, &self.sent, &self.unsent, &self.limited]
            .map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// Twice the sampling period, and the second that a sample may be old.
const STALLED_AFTER: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(age: Duration, silences: &[u64]) -> Sample {
        let workers = silences
            .iter()
            .map(|seconds| WorkerSample { silent_for: Duration::from_secs(*seconds), statistics: None });
        Sample {
            at: Instant::now().checked_sub(age).unwrap(),
            taken: true,
            signaling: Snapshot::default(),
            workers: workers.collect(),
            rates: Rates::default(),
            seats: Vec::new(),
        }
    }

    #[test]
    fn health_names_what_stands_still() {
        let table: [(&str, u64, &[u64], Option<&str>); 4] = [
            ("all well", 0, &[0, 1], None),
            ("signalling stuck", 10, &[0, 0], Some("signalling")),
            ("worker stuck", 0, &[0, 4], Some("media thread 1")),
            ("no workers", 0, &[], None),
        ];
        for (name, age, silences, expected) in table {
            let status = Status::new();
            status.put(sample(Duration::from_secs(age), silences));
            match (status.health(), expected) {
                (Ok(()), None) => {}
                (Err(reason), Some(part)) => assert!(reason.contains(part), "{name}: {reason}"),
                (health, _) => panic!("{name}: {health:?}"),
            }
        }
    }

    #[test]
    fn a_fresh_process_is_healthy() {
        assert_eq!(Status::new().health(), Ok(()));
    }
}
